/** Small pieces of verifier messages. */
import type { Reg } from './reg.ts';

/** A tnum as messages show it: "0", "0x8", "(0x0; 0x3f)". */
export function tnumText(value: bigint, mask: bigint): string {
  const hex = (n: bigint): string => `0x${n.toString(16)}`;
  if (mask === 0n) return value === 0n ? '0' : hex(value);
  return `(${hex(value)}; ${hex(mask)})`;
}

export const varOffText = (reg: Reg): string => tnumText(reg.value, reg.mask);

/** `(0x0; 0x3f)` also for constants, as messages about variable offsets show them. */
export function tnumPair(reg: Reg): string {
  return `(0x${reg.value.toString(16)}; 0x${reg.mask.toString(16)})`;
}

const OPERATORS: readonly string[] = [
  '+=',
  '-=',
  '*=',
  '/=',
  '|=',
  '&=',
  '<<=',
  '>>=',
  'neg',
  '%=',
  '^=',
  '=',
  's>>=',
  'endian',
];

/** The operator of an arithmetic instruction. */
export const operatorText = (code: number): string => OPERATORS[code >> 4] ?? '?';
