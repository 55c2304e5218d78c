/**
 * Bounds that contradict each other: refinement of a branch that can not be taken, which the analysis did not notice.
 * Linux notes it in the log and forgets the register's bounds.
 */
import type { Verifier } from './env.ts';
import type { Reg } from './reg.ts';
import { boundsContradiction, unbound } from './scalar.ts';

const hex = (n: bigint | number): string => {
  const unsigned = typeof n === 'bigint' ? BigInt.asUintN(64, n) : n >>> 0;
  // printf's %#x writes zero without a prefix, but the kernel's always has one.
  return `0x${unsigned.toString(16)}`;
};

/** Notes in the log, and forgets, bounds of `reg` that contradict each other after `where`. */
export function noteContradiction(v: Verifier, reg: Reg, where: string): void {
  const line = repairBounds(reg, where);
  if (line !== '') v.note(line);
}

/**
 * Checks one register after `where` ("alu", "true_reg1", ...). When its bounds contradict each other they are forgotten,
 * and the line for the log is returned; otherwise ''.
 */
export function repairBounds(reg: Reg, where: string): string {
  const problem = boundsContradiction(reg);
  if (problem === '') return '';
  const line =
    `verifier bug: REG INVARIANTS VIOLATION (${where}): ${problem} ` +
    `u64=[${hex(reg.umin)}, ${hex(reg.umax)}] s64=[${hex(reg.smin)}, ${hex(reg.smax)}] ` +
    `u32=[${hex(reg.u32min)}, ${hex(reg.u32max)}] s32=[${hex(reg.s32min)}, ${hex(reg.s32max)}] ` +
    `var_off=(${hex(reg.value)}, ${hex(reg.mask)})`;
  unbound(reg);
  return line;
}
