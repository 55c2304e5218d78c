/**
 * One instruction in clang's notation, which `llvm-objdump -d` prints and inline assembly is written in:
 *
 *     w6 = *(u32 *)(r1 + 0x0)
 *     if r2 > r7 goto +0xb
 *     r1 = 0x5 ll
 */
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEM,
  BPF_MEMSX,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  BPF_XCHG,
  type Insn,
  isLdImm64,
} from '../insn.ts';
import { ALU_OPS, atomicName, imm64, JMP_OPS, sizeName } from './ops.ts';

/** How numbers are written, and where jumps go. */
export type ClangForm = {
  /** Immediates and offsets in hexadecimal, as llvm-objdump does by default. */
  readonly hex: boolean;
  /** Text after `goto` for a distance; a distance with its sign when absent. */
  readonly target?: (distance: number) => string;
  /** Text after `call` for a distance. */
  readonly callee?: (distance: number) => string;
  /** Name of a map by its index in the program. */
  readonly map?: (index: number) => string | undefined;
};

const number = (n: number, form: ClangForm): string =>
  form.hex ? `${n < 0 ? '-' : ''}0x${Math.abs(n).toString(16)}` : `${n}`;

/** "+0x3": a distance. */
const distance = (n: number, form: ClangForm): string => `${n < 0 ? '' : '+'}${number(n, form)}`;

/** "r1 + 0x8", "r10 - 0x8". */
const address = (reg: number, off: number, form: ClangForm): string =>
  `r${reg} ${off < 0 ? '-' : '+'} ${number(Math.abs(off), form)}`;

function alu(insn: Insn, form: ClangForm): string {
  const { code, dst, src, off, imm } = insn;
  const op = code & 0xf0;
  const r = (code & 7) === BPF_ALU64 ? 'r' : 'w';
  if (op === BPF_END) {
    if ((code & 7) === BPF_ALU64) return `r${dst} = bswap${imm} r${dst}`;
    return `r${dst} = ${(code & BPF_X) !== 0 ? 'be' : 'le'}${imm} r${dst}`;
  }
  if (op === BPF_NEG) return `${r}${dst} = -${r}${dst}`;
  const movsx = op === BPF_MOV && (code & BPF_X) !== 0;
  if (movsx && r === 'r' && off === 1) {
    return `r${dst} = addr_space_cast(r${src}, ${number(imm >>> 16, form)}, ${number(imm & 0xffff, form)})`;
  }
  const extend = movsx && (off === 8 || off === 16 || off === 32) ? `(s${off})` : '';
  const operand = (code & BPF_X) !== 0 ? `${extend}${r}${src}` : number(imm, form);
  const text = ALU_OPS[op >> 4];
  if (text === undefined) return '';
  const sign = off === 1 && (text === '/=' || text === '%=') ? 's' : '';
  return `${r}${dst} ${sign}${text} ${operand}`;
}

function atomic(insn: Insn, form: ClangForm): string {
  const { code, dst, src, off, imm } = insn;
  const type = sizeName(code);
  const wide = (code & 0x18) === BPF_DW;
  const r = wide ? 'r' : 'w';
  const at = `(${type} *)(${address(dst, off, form)})`;
  switch (imm) {
    case BPF_CMPXCHG:
      return `${r}0 = cmpxchg${wide ? '_64' : '32_32'}(${address(dst, off, form)}, ${r}0, ${r}${src})`;
    case BPF_XCHG:
      return `${r}${src} = xchg${wide ? '_64' : '32_32'}(${address(dst, off, form)}, ${r}${src})`;
    case BPF_LOAD_ACQ:
      return `${r}${dst} = load_acquire((${type} *)(${address(src, off, form)}))`;
    case BPF_STORE_REL:
      return `store_release(${at}, ${r}${src})`;
    default:
  }
  const name = atomicName(imm & ~BPF_FETCH);
  if (name === undefined) return '';
  if ((imm & BPF_FETCH) !== 0) return `${r}${src} = atomic_fetch_${name}(${at}, ${r}${src})`;
  return `lock *${at} ${ALU_OPS[imm >> 4]} ${r}${src}`;
}

function ld(insn: Insn, high: number, form: ClangForm): string {
  const { code, dst, src, imm } = insn;
  switch (code & 0xe0) {
    case BPF_ABS:
      return `r0 = *(${sizeName(code)} *)skb[${number(imm, form)}]`;
    case BPF_IND:
      // Clang has no words for a distance beside the register.
      return imm === 0
        ? `r0 = *(${sizeName(code)} *)skb[r${src}]`
        : `r0 = *(${sizeName(code)} *)skb[r${src} + ${number(imm, form)}]`;
    default:
  }
  if (!isLdImm64(insn)) return '';
  const map = src === BPF_PSEUDO_MAP_FD || src === BPF_PSEUDO_MAP_VALUE ? form.map?.(imm) : undefined;
  if (map !== undefined) {
    // The offset zero is written too: it tells the first value from the map.
    return src === BPF_PSEUDO_MAP_FD ? `r${dst} = ${map} ll` : `r${dst} = ${map} + ${number(high >>> 0, form)} ll`;
  }
  if (src !== 0) {
    // An address constant's low half: the high one is the offset of a map value.
    if (high === 0) return `ld_pseudo r${dst}, ${number(src, form)}, ${number(imm, form)}`;
    const both = imm64(imm, high);
    return `ld_pseudo r${dst}, ${number(src, form)}, 0x${both.toString(16)}`;
  }
  const value = BigInt.asIntN(64, imm64(imm, high));
  if (!form.hex) return `r${dst} = ${value} ll`;
  return `r${dst} = ${value < 0n ? '-' : ''}0x${(value < 0n ? -value : value).toString(16)} ll`;
}

function jump(insn: Insn, form: ClangForm): string {
  const { code, dst, src, off, imm } = insn;
  const narrow = (code & 7) === BPF_JMP32;
  const target = (n: number): string => form.target?.(n) ?? distance(n, form);
  switch (code & 0xf0) {
    case BPF_CALL:
      if (narrow) return '';
      if ((code & BPF_X) !== 0) return `callx r${dst}`;
      if (src === BPF_PSEUDO_CALL && form.callee !== undefined) return `call ${form.callee(imm)}`;
      if (src === BPF_PSEUDO_KFUNC_CALL) return `call kfunc ${number(imm, form)}`;
      return `call ${src === BPF_PSEUDO_CALL ? distance(imm, form) : number(imm, form)}`;
    case BPF_EXIT:
      return narrow ? '' : 'exit';
    case BPF_JA:
      return narrow ? `gotol ${target(imm)}` : `goto ${target(off)}`;
    case BPF_JCOND:
      return narrow ? '' : `may_goto ${target(off)}`;
    default:
  }
  const op = JMP_OPS[code >> 4];
  const r = narrow ? 'w' : 'r';
  const operand = (code & BPF_X) !== 0 ? `${r}${src}` : number(imm, form);
  return op === undefined ? '' : `if ${r}${dst} ${op} ${operand} goto ${target(off)}`;
}

/** The instruction; '' when there are no words for it. `high`: imm of an LD_IMM64's second slot. */
export function clangText(insn: Insn, high: number, form: ClangForm): string {
  const { code, dst, src, off, imm } = insn;
  const mode = code & 0xe0;
  // With 32-bit registers (-mcpu=v3) clang names the half that a narrow access fills.
  const r = (code & 0x18) === BPF_DW ? 'r' : 'w';
  const at = (reg: number): string => `*(${sizeName(code)} *)(${address(reg, off, form)})`;
  switch (code & 7) {
    case BPF_ALU:
    case BPF_ALU64:
      return alu(insn, form);
    case BPF_JMP:
    case BPF_JMP32:
      return jump(insn, form);
    case BPF_LD:
      return ld(insn, high, form);
    case BPF_LDX:
      if (mode === BPF_MEMSX) return `r${dst} = ${at(src)}`;
      return mode === BPF_MEM ? `${r}${dst} = ${at(src)}` : '';
    case BPF_ST:
      return mode === BPF_MEM ? `${at(dst)} = ${number(imm, form)}` : '';
    case BPF_STX:
      if (mode === BPF_MEM) return `${at(dst)} = ${r}${src}`;
      return mode === BPF_ATOMIC ? atomic(insn, form) : '';
    default:
      return '';
  }
}
