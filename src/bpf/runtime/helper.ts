/**
 * The contract between running programs and helper functions. One table, by helper number (bpf-helpers(7)), serves the
 * interpreter and compiled code.
 *
 * Arguments are the low 32 bits of r1..r5 as signed numbers (addresses: `>>> 0`). No 64-bit value crosses into JavaScript
 * as a BigInt: the caller stores the high words of the arguments that `wide` names in the run block (`run.hi(n)`), and a
 * 64-bit result leaves its high word there (`run.setRetHi`).
 */
import type { Run } from './run.ts';

export type HelperCall = (run: Run, r1: number, r2: number, r3: number, r4: number, r5: number) => number;

export type HelperImpl = {
  readonly call: HelperCall;
  /** Bit n: the high word of argument n (1..5) is needed. */
  readonly wide?: number;
  /**
   * How the result becomes r0: 'int' is sign-extended from 32 bits, 'u32' (pointers too) zero-extended, 'u64' has the high
   * word of `run.setRetHi`.
   */
  readonly ret: 'int' | 'u32' | 'u64';
  /** The helper moves or replaces packet bytes, so that data and data_end in the context may differ afterwards. */
  readonly movesPacket?: boolean;
};

/** Helpers by number. */
export type HelperTable = ReadonlyMap<number, HelperImpl>;

/** Kernel functions by name; same calling convention. */
export type KfuncTable = ReadonlyMap<string, HelperImpl>;

/** `wide` for the arguments given. */
export function wide(...args: readonly number[]): number {
  return args.reduce((bits, n) => bits | (1 << n), 0);
}
