/**
 * Tristate numbers: what is known of the 64 bits of a value. A bit set in `mask` is unknown (and 0 in `value`), any other
 * bit is as in `value` (Documentation/bpf/verifier.rst, "Register value tracking"). Pure functions; a `Reg` is a Tnum too.
 */

export type Tnum = { readonly value: bigint; readonly mask: bigint };

const MASK64 = 0xffff_ffff_ffff_ffffn;
const MASK32 = 0xffff_ffffn;
const HIGH32 = 0xffff_ffff_0000_0000n;
/** LOW_BITS[n]: the n lowest bits set. */
const LOW_BITS: readonly bigint[] = Array.from({ length: 65 }, (_, n) => (1n << BigInt(n)) - 1n);

const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);

export const TNUM_UNKNOWN: Tnum = { value: 0n, mask: MASK64 };

/** The one value `value` (any sign). */
export const tnumConst = (value: bigint): Tnum => ({ value: u64(value), mask: 0n });

/** Number of bits up to the highest set one. */
function bitLength(x: bigint): number {
  if (x <= MASK32) return 32 - Math.clz32(Number(x));
  return 64 - Math.clz32(Number(x >> 32n));
}

/** The smallest tnum with everything from `min` to `max` (unsigned 64 bits). */
export function tnumRange(min: bigint, max: bigint): Tnum {
  const delta = LOW_BITS[bitLength(min ^ max)] as bigint;
  return { value: min & (MASK64 ^ delta), mask: delta };
}

export const tnumLsh = (a: Tnum, shift: number): Tnum => ({
  value: u64(a.value << BigInt(shift)),
  mask: u64(a.mask << BigInt(shift)),
});

export const tnumRsh = (a: Tnum, shift: number): Tnum => ({
  value: a.value >> BigInt(shift),
  mask: a.mask >> BigInt(shift),
});

/** Arithmetic shift of the low `bits` (32 or 64); an unknown sign bit spreads as unknown. */
export function tnumArsh(a: Tnum, shift: number, bits: 32 | 64): Tnum {
  const by = BigInt(shift);
  return {
    value: BigInt.asUintN(bits, BigInt.asIntN(bits, a.value) >> by),
    mask: BigInt.asUintN(bits, BigInt.asIntN(bits, a.mask) >> by),
  };
}

export function tnumAdd(a: Tnum, b: Tnum): Tnum {
  const least = u64(a.value + b.value);
  if (a.mask === 0n && b.mask === 0n) return { value: least, mask: 0n };
  // A bit of the sum is unknown where an operand's is, or where a carry out of unknown bits can reach.
  const most = u64(least + a.mask + b.mask);
  const mask = (most ^ least) | a.mask | b.mask;
  return { value: least & (MASK64 ^ mask), mask };
}

export function tnumSub(a: Tnum, b: Tnum): Tnum {
  const base = u64(a.value - b.value);
  if (a.mask === 0n && b.mask === 0n) return { value: base, mask: 0n };
  const mask = (u64(base + a.mask) ^ u64(base - b.mask)) | a.mask | b.mask;
  return { value: base & (MASK64 ^ mask), mask };
}

export const tnumNeg = (a: Tnum): Tnum => tnumSub({ value: 0n, mask: 0n }, a);

export function tnumAnd(a: Tnum, b: Tnum): Tnum {
  const value = a.value & b.value;
  return { value, mask: (a.value | a.mask) & (b.value | b.mask) & (MASK64 ^ value) };
}

export function tnumOr(a: Tnum, b: Tnum): Tnum {
  const value = a.value | b.value;
  return { value, mask: (a.mask | b.mask) & (MASK64 ^ value) };
}

export function tnumXor(a: Tnum, b: Tnum): Tnum {
  const mask = a.mask | b.mask;
  return { value: (a.value ^ b.value) & (MASK64 ^ mask), mask };
}

/** Long multiplication; where a bit of `a` is unknown, the result is either partial sum. */
export function tnumMul(a: Tnum, b: Tnum): Tnum {
  if (a.mask === 0n && b.mask === 0n) return { value: u64(a.value * b.value), mask: 0n };
  let sum: Tnum = { value: 0n, mask: 0n };
  let { value, mask } = a;
  let addend = b;
  // Once nothing is known of the sum, no addend changes that.
  while ((value !== 0n || mask !== 0n) && sum.mask !== MASK64) {
    if ((value & 1n) !== 0n) sum = tnumAdd(sum, addend);
    else if ((mask & 1n) !== 0n) sum = tnumUnion(sum, tnumAdd(sum, addend));
    value >>= 1n;
    mask >>= 1n;
    addend = tnumLsh(addend, 1);
  }
  return sum;
}

/** What is known from both; when they contradict each other, bits that are one in either are one. */
export function tnumIntersect(a: Tnum, b: Tnum): Tnum {
  const mask = a.mask & b.mask;
  return { value: (a.value | b.value) & (MASK64 ^ mask), mask };
}

/** The smallest tnum that holds both. */
export function tnumUnion(a: Tnum, b: Tnum): Tnum {
  const mask = (a.value ^ b.value) | a.mask | b.mask;
  return { value: a.value & b.value & (MASK64 ^ mask), mask };
}

/** Whether some value is in both. */
export const tnumOverlap = (a: Tnum, b: Tnum): boolean => ((a.value ^ b.value) & (MASK64 ^ (a.mask | b.mask))) === 0n;

/** Whether everything in `b` is in `a`. */
export const tnumIn = (a: Tnum, b: Tnum): boolean => (b.mask & ~a.mask) === 0n && (b.value & ~a.mask) === a.value;

/**
 * The smallest member above `z`; the greatest member when there is none, the smallest when `z` lies below all.
 */
export function tnumStep(t: Tnum, z: bigint): bigint {
  const { value, mask } = t;
  const most = value | mask;
  if (z >= most) return most;
  if (z < value) return value;
  const wrong = (z ^ value) & (MASK64 ^ mask);
  if (wrong === 0n) return (u64((z | (MASK64 ^ mask)) + 1n) & mask) | value;
  // The highest fixed bit where z is no member: all below it are free to choose.
  const below = LOW_BITS[bitLength(wrong)] as bigint;
  const top = below ^ (below >> 1n);
  const high = MASK64 ^ below;
  if ((z & top) === 0n) return (z & mask & high) | value;
  return (u64((z | (MASK64 ^ mask) | below) + 1n) & mask & high) | value;
}

/** Keeps the low `size` bytes. */
export function tnumCast(a: Tnum, size: number): Tnum {
  const keep = LOW_BITS[size * 8] as bigint;
  return { value: a.value & keep, mask: a.mask & keep };
}

/** Whether every value is a multiple of `size`, a power of two. */
export const tnumIsAligned = (a: Tnum, size: number): boolean =>
  size === 0 || ((a.value | a.mask) & BigInt(size - 1)) === 0n;

/** The low word. */
export const tnumSubreg = (a: Tnum): Tnum => ({ value: a.value & MASK32, mask: a.mask & MASK32 });

export const tnumSubregIsConst = (a: Tnum): boolean => (a.mask & MASK32) === 0n;

/** `a` with the low word of `low`. */
export const tnumWithSubreg = (a: Tnum, low: Tnum): Tnum => ({
  value: (a.value & HIGH32) | (low.value & MASK32),
  mask: (a.mask & HIGH32) | (low.mask & MASK32),
});

export const tnumConstSubreg = (a: Tnum, value: number): Tnum => tnumWithSubreg(a, tnumConst(BigInt(value >>> 0)));

function swapBytes(x: bigint, bytes: number): bigint {
  let out = 0n;
  for (let i = 0; i < bytes; i++) out = (out << 8n) | ((x >> BigInt(8 * i)) & 0xffn);
  return out;
}

/** Reverses the low 16, 32 or 64 bits bytewise; the rest is zero. */
export const tnumBswap = (a: Tnum, bits: number): Tnum => ({
  value: swapBytes(a.value, bits / 8),
  mask: swapBytes(a.mask, bits / 8),
});
