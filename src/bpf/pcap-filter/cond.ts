/**
 * Conditions on a packet, between the expression and the program: decision trees whose leaves load something and compare
 * it. Which load comes first matters, since a load outside the packet ends the program.
 */

import { BPF_MEM, BPF_MSH } from '../cbpf/classic.ts';
import {
  BPF_ABS,
  BPF_B,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JSET,
  BPF_LD,
  BPF_LDX,
  BPF_W,
} from '../insn.ts';

/** An instruction without jumps: opcode and operand. */
export type Step = readonly [code: number, k: number];

export type Cond =
  | { readonly kind: 'const'; readonly value: boolean }
  /** Steps that leave a value in A, and a comparison of it: with `k`, or with X. */
  | { readonly kind: 'test'; readonly steps: readonly Step[]; readonly op: number; readonly k: number | 'x' }
  /** Steps that only store to memory words. */
  | { readonly kind: 'effect'; readonly steps: readonly Step[] }
  | { readonly kind: 'if'; readonly cond: Cond; readonly yes: Cond; readonly no: Cond };

export const TRUE: Cond = { kind: 'const', value: true };
export const FALSE: Cond = { kind: 'const', value: false };

/** Both; the left one is looked at first. */
export const and = (left: Cond, right: Cond): Cond => ({ kind: 'if', cond: left, yes: right, no: FALSE });
export const or = (left: Cond, right: Cond): Cond => ({ kind: 'if', cond: left, yes: TRUE, no: right });
export const not = (cond: Cond): Cond => ({ kind: 'if', cond, yes: FALSE, no: TRUE });
export const choose = (cond: Cond, yes: Cond, no: Cond): Cond => ({ kind: 'if', cond, yes, no });

export const test = (steps: readonly Step[], op: number, k: number | 'x'): Cond => ({ kind: 'test', steps, op, k });

/** A place in the packet: a distance from its beginning, or from what a memory word says. */
export type Offset = { readonly slot: number | undefined; readonly k: number };

export const beyond = (offset: Offset, by: number): Offset => ({ slot: offset.slot, k: offset.k + by });

const SIZES: ReadonlyMap<number, number> = new Map([
  [1, BPF_B],
  [2, BPF_H],
  [4, BPF_W],
]);
export const sizeBits = (size: number): number => SIZES.get(size) ?? BPF_W;

/** A = the bytes there. */
export function load(offset: Offset, size: number): Step[] {
  if (offset.slot === undefined) return [[BPF_LD | BPF_ABS | sizeBits(size), offset.k]];
  return [
    [BPF_LDX | BPF_MEM, offset.slot],
    [BPF_LD | BPF_IND | sizeBits(size), offset.k],
  ];
}

/** X = the length of the IPv4 header at `header`, beyond what its memory word says. */
export function ip4HeaderLength(header: Offset): Step[] {
  if (header.slot === undefined) return [[BPF_LDX | BPF_MSH | BPF_B, header.k]];
  return [...load(header, 1), [0x54, 15], [0x64, 2], [0x0c, 0], [0x07, 0]];
}

/** A = the bytes `at` behind the IPv4 header at `header`. */
export function loadBehindIp4(header: Offset, at: number, size: number): Step[] {
  return [...ip4HeaderLength(header), [BPF_LD | BPF_IND | sizeBits(size), header.k + at]];
}

/** A & mask, when the mask leaves something out. */
export const masked = (steps: readonly Step[], mask: number): readonly Step[] =>
  mask >>> 0 === 0xffff_ffff ? steps : [...steps, [0x54, mask >>> 0]];

/** Comparisons of bytes with a number. */
export const equal = (offset: Offset, size: number, value: number, mask = 0xffff_ffff): Cond =>
  mask === 0 && value === 0 ? TRUE : test(masked(load(offset, size), mask), BPF_JEQ, value >>> 0);
export const greater = (offset: Offset, size: number, value: number): Cond => test(load(offset, size), BPF_JGT, value);
export const atLeast = (offset: Offset, size: number, value: number): Cond => test(load(offset, size), BPF_JGE, value);
export const anyBit = (offset: Offset, size: number, mask: number): Cond => test(load(offset, size), BPF_JSET, mask);

/** Some step of the condition reads the memory word. */
export function usesWord(cond: Cond, word: number, seen: Set<Cond> = new Set()): boolean {
  if (cond.kind === 'const' || seen.has(cond)) return false;
  seen.add(cond);
  if (cond.kind !== 'if') return cond.steps.some(([code, k]) => (code === 0x60 || code === 0x61) && k === word);
  return usesWord(cond.cond, word, seen) || usesWord(cond.yes, word, seen) || usesWord(cond.no, word, seen);
}

/** `ld #k`. */
export const constant = (k: number): Step => [BPF_LD | BPF_IMM, k >>> 0];
