/**
 * Values as vectors of bits, each bit a function of the packet (bdd.ts): comparisons with constants, membership in sets of
 * ranges, addition. Bits are in memory order, the most significant bit of each byte first, as registers and headers
 * are read.
 */
import { type Bdd, FALSE, type Node, TRUE } from './bdd.ts';

export type Vec = readonly Node[];

/** Bit i of bytes, counted from the most significant of the first byte. */
export function bitOf(bytes: Uint8Array, i: number): boolean {
  return ((bytes[i >> 3] >> (7 - (i & 7))) & 1) === 1;
}

/** A constant. */
export function constant(bytes: Uint8Array): Node[] {
  return Array.from({ length: bytes.length * 8 }, (_, i) => (bitOf(bytes, i) ? TRUE : FALSE));
}

/** A number in network order, of `width` bits. */
export function number(value: number, width: number): Node[] {
  return Array.from({ length: width }, (_, i) => (Math.floor(value / 2 ** (width - 1 - i)) % 2 === 1 ? TRUE : FALSE));
}

/** Network order to host order (little-endian) and back: the bytes the other way round. */
export function swapped(vec: Vec): Node[] {
  const out: Node[] = [];
  for (let at = vec.length - 8; at >= 0; at -= 8) for (let i = 0; i < 8; i++) out.push(vec[at + i]);
  return out;
}

/** The value is these bytes. */
export function equals(bdd: Bdd, vec: Vec, bytes: Uint8Array): Node {
  let acc = TRUE;
  for (let i = Math.min(vec.length, bytes.length * 8) - 1; i >= 0; i--)
    acc = bitOf(bytes, i) ? bdd.ite(vec[i], acc, FALSE) : bdd.ite(vec[i], FALSE, acc);
  return acc;
}

/** The value is at least these bytes (`strict`: more). */
export function above(bdd: Bdd, vec: Vec, bytes: Uint8Array, strict = false): Node {
  let acc: Node = strict ? FALSE : TRUE;
  for (let i = bytes.length * 8 - 1; i >= 0; i--)
    acc = bitOf(bytes, i) ? bdd.ite(vec[i], acc, FALSE) : bdd.ite(vec[i], TRUE, acc);
  return acc;
}

/** The value lies between two bounds, both included. */
export function between(bdd: Bdd, vec: Vec, low: Uint8Array, high: Uint8Array): Node {
  return bdd.diff(above(bdd, vec, low), above(bdd, vec, high, true));
}

/** Bits of two vectors differ somewhere. */
export function differ(bdd: Bdd, a: Vec, b: Vec): Node {
  let acc: Node = FALSE;
  for (let i = a.length - 1; i >= 0; i--) acc = bdd.or(acc, bdd.xor(a[i], b[i]));
  return acc;
}

/** `cond ? a : b`, bit by bit. */
export function choose(bdd: Bdd, cond: Node, a: Vec, b: Vec): Node[] {
  return a.map((bit, i) => bdd.ite(cond, bit, b[i]));
}

/** The sum of a number in network order and a constant, of the same width; what overflows is lost. */
export function plus(bdd: Bdd, vec: Vec, add: number): Node[] {
  const addend = number(add, vec.length);
  const out: Node[] = new Array<Node>(vec.length).fill(FALSE);
  let carry: Node = FALSE;
  for (let i = vec.length - 1; i >= 0; i--) {
    const half = bdd.xor(vec[i], addend[i]);
    out[i] = bdd.xor(half, carry);
    carry = bdd.or(bdd.and(vec[i], addend[i]), bdd.and(half, carry));
  }
  return out;
}

/** A range of keys, both ends included, and what it means. */
export type Span = { readonly low: Uint8Array; readonly high: Uint8Array; readonly value: Node };

type Open = { readonly span: Span; readonly low: boolean; readonly high: boolean };

/** The value of the first span that holds the key; `none` when none does. */
export function spans(bdd: Bdd, vec: Vec, list: readonly Span[], none: Node): Node {
  const width = vec.length;
  // `low` and `high`: the key is already known to be above the lower and below the upper end.
  const build = (open: readonly Open[], at: number): Node => {
    if (open.length === 0) return none;
    const first = open[0];
    if (first.low && first.high) return first.span.value;
    if (at === width) return first.span.value;
    const zero: Open[] = [];
    const one: Open[] = [];
    for (const { span, low, high } of open) {
      const from = !low && bitOf(span.low, at);
      const to = high || bitOf(span.high, at);
      if (!from) zero.push({ span, low, high: to });
      if (to) one.push({ span, low: !from, high });
    }
    return bdd.ite(vec[at], build(one, at + 1), build(zero, at + 1));
  };
  return build(
    list.map((span) => ({ span, low: false, high: false })),
    0,
  );
}
