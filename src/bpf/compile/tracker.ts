/**
 * What compiled code knows at one point without looking: constants in registers, and what was stored last in the bytes of the
 * stack. Known from instruction to instruction, and where paths meet as far as they agree; a loop starts with nothing.
 *
 * Keys of maps are built on the stack by small stores and read back by larger loads at once, which no processor
 * forwards; taking the parts from where they came from saves the wait.
 */
import { type Code, I64, OP } from '../../core/wasm.ts';
import { BPF_REG_FP } from '../insn.ts';
import type { Frame } from './frame.ts';

export type Known =
  | { readonly kind: 'map'; readonly map: number }
  | { readonly kind: 'value'; readonly map: number; readonly off: number }
  | { readonly kind: 'func'; readonly pc: number }
  | { readonly kind: 'ctx' }
  /** r10 + off. */
  | { readonly kind: 'stack'; readonly off: number };

/** `size` bytes of the stack: the low ones of `value`, or of the local's value shifted right by `shift` bits. */
type Stored = { readonly size: number; readonly local: number; readonly shift: number; readonly value: bigint };

/** Copies of registers that one path keeps; their locals serve other paths too. */
const MAX_COPIES = 64;

const mask = (size: number): bigint => (1n << BigInt(size * 8)) - 1n;

/** Pushes a constant. */
export function pushConstant(code: Code, value: bigint): void {
  code.i64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
}

export class Tracker {
  readonly #known: (Known | undefined)[];
  readonly #stored: Map<number, Stored>;
  #copies: number;

  constructor(from?: Tracker) {
    this.#known = from === undefined ? new Array(BPF_REG_FP + 1).fill(undefined) : [...from.#known];
    this.#known[BPF_REG_FP] = { kind: 'stack', off: 0 };
    this.#stored = new Map(from === undefined ? [] : from.#stored);
    this.#copies = from === undefined ? 0 : from.#copies;
  }

  /** Keeps what `other` says too: both lead here. A local means on each path what that path put in it. */
  meet(other: Tracker): void {
    for (let r = 0; r < BPF_REG_FP; r++) if (!sameKnown(this.#known[r], other.#known[r])) this.#known[r] = undefined;
    for (const [at, a] of [...this.#stored]) {
      const b = other.#stored.get(at);
      const same = b !== undefined && a.size === b.size && a.local === b.local && a.shift === b.shift;
      if (!same || a.value !== b.value) this.#stored.delete(at);
    }
    this.#copies = Math.max(this.#copies, other.#copies);
  }

  known(r: number): Known | undefined {
    return this.#known[r];
  }
  learn(r: number, known: Known | undefined): void {
    if (r !== BPF_REG_FP) this.#known[r] = known;
  }
  /** r0 to r5 are a call's. */
  forgetCallerSaved(): void {
    this.#known.fill(undefined, 0, 6);
  }
  /** Whoever was called may have moved the packet and written to the stack. */
  forgetMemory(): void {
    this.#stored.clear();
    for (let r = 6; r < BPF_REG_FP; r++) if (this.#known[r]?.kind === 'ctx') this.#known[r] = undefined;
  }

  /** A store of `size` bytes through `base`: of the constant `value`, or of what `push` pushes. */
  store(f: Frame, base: number, off: number, size: number, value: bigint | (() => unknown)): void {
    const known = this.#known[base];
    if (known?.kind !== 'stack') {
      // Map values and the context are elsewhere; any other pointer may be one to the stack.
      if (known?.kind !== 'value' && known?.kind !== 'ctx') this.#stored.clear();
      return;
    }
    const at = known.off + off;
    this.#overwrite(at, size);
    if (typeof value === 'bigint') this.#stored.set(at, { size, local: -1, shift: 0, value: value & mask(size) });
    else if (this.#copies < MAX_COPIES) {
      const local = f.named(`stored${this.#copies++}`, I64);
      value();
      f.code.set(local);
      this.#stored.set(at, { size, local, shift: 0, value: 0n });
    }
  }

  /** An atomic operation, whose result is not followed. */
  forgetStored(): void {
    this.#stored.clear();
  }

  #overwrite(at: number, size: number): void {
    for (const [from, s] of [...this.#stored]) {
      const end = from + s.size;
      if (end <= at || from >= at + size) continue;
      this.#stored.delete(from);
      if (from < at) this.#stored.set(from, part(s, 0, at - from));
      if (end > at + size) this.#stored.set(at + size, part(s, at + size - from, end - at - size));
    }
  }

  /** Pushes the `size` (1 to 8) bytes that lie `off` from r10 as i64, zero padded, when all are known; else false. */
  push(code: Code, off: number, size: number): boolean {
    const pieces: (Stored & { readonly at: number })[] = [];
    for (let at = 0; at < size; ) {
      let s = this.#stored.get(off + at);
      if (s === undefined) return false;
      if (at + s.size > size) s = part(s, 0, size - at);
      pieces.push({ ...s, at });
      at += s.size;
    }
    let constant = 0n;
    let pushed = 0;
    for (const { at, local, shift, size: bytes, value } of pieces) {
      if (local < 0) {
        constant |= value << BigInt(at * 8);
        continue;
      }
      code.get(local);
      if (shift > 0) code.i64(shift).op(OP['i64.shr_u']);
      if (at + bytes < 8 && shift + bytes * 8 < 64) {
        pushConstant(code, mask(bytes));
        code.op(OP['i64.and']);
      }
      if (at > 0) {
        code.i64(at * 8);
        code.op(OP['i64.shl']);
      }
      if (pushed++ > 0) code.op(OP['i64.or']);
    }
    if (constant !== 0n || pushed === 0) {
      pushConstant(code, constant);
      if (pushed > 0) code.op(OP['i64.or']);
    }
    return true;
  }

  /** True when these bytes were stored as one. */
  whole(off: number, size: number): boolean {
    return this.#stored.get(off)?.size === size;
  }
}

function sameKnown(a: Known | undefined, b: Known | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.kind !== b.kind) return false;
  switch (a.kind) {
    case 'map':
      return a.map === (b as typeof a).map;
    case 'value':
      return a.map === (b as typeof a).map && a.off === (b as typeof a).off;
    case 'func':
      return a.pc === (b as typeof a).pc;
    case 'stack':
      return a.off === (b as typeof a).off;
    default:
      return true;
  }
}

/** `size` bytes of a piece from its byte `skip` on. */
function part(s: Stored, skip: number, size: number): Stored {
  return { size, local: s.local, shift: s.shift + skip * 8, value: (s.value >> BigInt(skip * 8)) & mask(size) };
}
