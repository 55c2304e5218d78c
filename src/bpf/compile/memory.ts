/**
 * Loads, stores and atomic operations (RFC 9669, section 5). Contexts, packets, maps and stacks lie in one memory, so an
 * access is one Wasm load or store; in checking mode it is allowed by the imported `check` first.
 *
 * One thread runs programs, so that atomic operations are plain ones.
 */
import { I64, OP } from '../../core/wasm.ts';
import {
  BPF_ADD,
  BPF_AND,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_FETCH,
  BPF_LOAD_ACQ,
  BPF_MEMSX,
  BPF_OR,
  BPF_REG_FP,
  BPF_STORE_REL,
  BPF_W,
  BPF_XCHG,
  BPF_XOR,
  type Insn,
  sizeOf,
} from '../insn.ts';
import type { Frame } from './frame.ts';
import { NotCompiled } from './input.ts';

const LOAD: Readonly<Record<number, number>> = {
  1: OP['i64.load8_u'],
  2: OP['i64.load16_u'],
  4: OP['i64.load32_u'],
  8: OP['i64.load'],
};
const LOAD_SIGNED: Readonly<Record<number, number>> = {
  1: OP['i64.load8_s'],
  2: OP['i64.load16_s'],
  4: OP['i64.load32_s'],
};
const STORE: Readonly<Record<number, number>> = {
  1: OP['i64.store8'],
  2: OP['i64.store16'],
  4: OP['i64.store32'],
  8: OP['i64.store'],
};

/** Function number of the imported `check(low, high, size, write, frame base)`; -1 when accesses are not checked. */
export type Check = { readonly func: number };

/**
 * Pushes the address `r + off` as i32, less an offset that is returned: Wasm's own offsets are unsigned and do not wrap
 * around, so that only offsets from 0 on can be left to them.
 */
function pushAddress(f: Frame, check: Check, r: number, off: number, size: number, write: boolean): number {
  const { code } = f;
  if (check.func >= 0) {
    f.reg(r).i64(off).op(OP['i64.add']).tee(f.a64).op(OP['i32.wrap_i64']);
    code.get(f.a64).i64(32).op(OP['i64.shr_u']).op(OP['i32.wrap_i64']);
    code.i32(size).i32(write ? 1 : 0);
    code.get(f.base).call(check.func);
    code.get(f.a64).op(OP['i32.wrap_i64']);
    return 0;
  }
  if (r === BPF_REG_FP && off + f.depth >= 0) {
    code.get(f.base);
    return off + f.depth;
  }
  f.low(r);
  if (off >= 0) return off;
  code.i32(off).op(OP['i32.add']);
  return 0;
}

/** BPF_LDX. */
export function writeLoad(f: Frame, check: Check, insn: Insn): void {
  const size = sizeOf(insn.code);
  const signed = (insn.code & 0xe0) === BPF_MEMSX;
  const offset = pushAddress(f, check, insn.src, insn.off, size, false);
  f.code.mem((signed ? LOAD_SIGNED : LOAD)[size], offset);
  f.set(insn.dst);
}

/** Below this address lies nothing that a program may see: a load there is one through NULL. */
const FIRST_ADDRESS = 4096;

/** BPF_LDX through a pointer that was found in a kernel struct: NULL, and what is no address, reads as zero. */
export function writeProbe(f: Frame, insn: Insn, memoryBytes: number): void {
  const size = sizeOf(insn.code);
  const signed = (insn.code & 0xe0) === BPF_MEMSX;
  f.low(insn.src).i32(insn.off).op(OP['i32.add']).tee(f.a32);
  f.code.i32(FIRST_ADDRESS).op(OP['i32.sub']);
  f.code
    .i32(memoryBytes - FIRST_ADDRESS - size)
    .op(OP['i32.gt_u'])
    .if(I64)
    .i64(0)
    .else();
  f.code
    .get(f.a32)
    .mem((signed ? LOAD_SIGNED : LOAD)[size], 0)
    .end();
  f.set(insn.dst);
}

/** BPF_ST | BPF_MEM: the immediate; BPF_STX | BPF_MEM: a register. */
export function writeStore(f: Frame, check: Check, insn: Insn, immediate: boolean): void {
  const size = sizeOf(insn.code);
  const offset = pushAddress(f, check, insn.dst, insn.off, size, true);
  if (immediate) f.code.i64(insn.imm);
  else f.reg(insn.src);
  f.code.mem(STORE[size], offset);
}

const ATOMIC: ReadonlyMap<number, number> = new Map<number, number>([
  [BPF_ADD, OP['i64.add']],
  [BPF_OR, OP['i64.or']],
  [BPF_AND, OP['i64.and']],
  [BPF_XOR, OP['i64.xor']],
]);

/** BPF_STX | BPF_ATOMIC. */
export function writeAtomic(f: Frame, check: Check, insn: Insn, pc: number): void {
  const { code } = f;
  const size = sizeOf(insn.code);
  if (insn.imm === BPF_LOAD_ACQ) {
    code.mem(LOAD[size], pushAddress(f, check, insn.src, insn.off, size, false));
    f.set(insn.dst);
    return;
  }
  if (insn.imm === BPF_STORE_REL) {
    const offset = pushAddress(f, check, insn.dst, insn.off, size, true);
    f.reg(insn.src).mem(STORE[size], offset);
    return;
  }
  const width = insn.code & 0x18;
  if (width !== BPF_W && width !== BPF_DW) throw new NotCompiled('atomic operations on 1 or 2 bytes', pc);
  // The address is needed twice, the old value perhaps afterwards.
  const offset = pushAddress(f, check, insn.dst, insn.off, size, true);
  code.tee(f.a32);
  if (insn.imm === BPF_CMPXCHG) {
    code.mem(LOAD[size], offset).tee(f.b64);
    f.reg(0);
    if (size === 4) code.i64(-1, 0).op(OP['i64.and']);
    code.op(OP['i64.eq']).if().get(f.a32);
    f.reg(insn.src).mem(STORE[size], offset).end();
    code.get(f.b64);
    f.set(0);
    return;
  }
  code.get(f.a32).mem(LOAD[size], offset).set(f.b64);
  if (insn.imm === BPF_XCHG) f.reg(insn.src);
  else {
    const op = ATOMIC.get(insn.imm & ~BPF_FETCH);
    if (op === undefined) throw new NotCompiled(`atomic operation 0x${insn.imm.toString(16)}`, pc);
    code.get(f.b64);
    f.reg(insn.src).op(op);
  }
  code.mem(STORE[size], offset);
  if (insn.imm === BPF_XCHG || (insn.imm & BPF_FETCH) !== 0) {
    code.get(f.b64);
    f.set(insn.src);
  }
}
