/**
 * The bounds of a register as 64-bit and 32-bit, signed and unsigned intervals beside its tnum, and how each of the five
 * views sharpens the others (Documentation/bpf/verifier.rst, "Register value tracking"). All functions change the
 * register in place. The precision is Linux 6.18's: register states are compared with the kernel's own log.
 */
import { Reg, S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32_MAX, U64_MAX } from './reg.ts';
import { updateSmall } from './scalar-small.ts';
import { type Tnum, tnumCast, tnumIntersect, tnumRange, tnumStep, tnumSubregIsConst } from './tnum.ts';

const MASK32 = 0xffff_ffffn;
const HIGH32 = 0xffff_ffff_0000_0000n;
/** Clears the low word of a signed value too. */
const HIGH: bigint = -0x1_0000_0000n;

// asUintN and asIntN are single machine instructions to V8; masks and complements make bigints.
export const lowU32 = (x: bigint): number => Number(BigInt.asUintN(32, x));
export const lowS32 = (x: bigint): number => Number(BigInt.asIntN(32, x));
export const toS64 = (x: bigint): bigint => BigInt.asIntN(64, x);
export const toU64 = (x: bigint): bigint => BigInt.asUintN(64, x);

/** The greater; Math.max knows no bigint. */
export function maxBig(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}
export function minBig(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}

export function setTnum(reg: Reg, t: Tnum): void {
  reg.value = t.value;
  reg.mask = t.mask;
}

/** Forgets the 64-bit bounds. */
export function unbound64(reg: Reg): void {
  reg.umin = 0n;
  reg.umax = U64_MAX;
  reg.smin = S64_MIN;
  reg.smax = S64_MAX;
}

/** Forgets the 32-bit bounds. */
export function unbound32(reg: Reg): void {
  reg.u32min = 0;
  reg.u32max = U32_MAX;
  reg.s32min = S32_MIN;
  reg.s32max = S32_MAX;
}

/** Forgets all bounds; the tnum stays. */
export function unbound(reg: Reg): void {
  unbound64(reg);
  unbound32(reg);
}

/** A scalar about which nothing is known. */
export function markUnknown(reg: Reg): void {
  reg.forget();
}

/** Value and bounds are `value` (any sign); type, id and offsets stay. */
export function setConst(reg: Reg, value: bigint): void {
  const unsigned = toU64(value);
  reg.setConst(unsigned, toS64(value), lowU32(unsigned));
}

/** The known value `value` without id and offsets; the type stays. */
export function markKnown(reg: Reg, value: bigint): void {
  reg.clearPointer();
  setConst(reg, value);
}

/** The low word is `value`; the 64-bit bounds are left for `updateBounds`. */
export function mark32Known(reg: Reg, value: number): void {
  reg.value = (reg.value & HIGH32) | BigInt(value >>> 0);
  reg.mask &= HIGH32;
  reg.u32min = reg.u32max = value >>> 0;
  reg.s32min = reg.s32max = value | 0;
}

/** Bounds from the tnum. */
export function boundsFromTnum(reg: Reg): void {
  boundsFromTnum32(reg);
  boundsFromTnum64(reg);
}

export function boundsFromTnum32(reg: Reg): void {
  const value = lowU32(reg.value);
  const mask = lowU32(reg.mask);
  const most = (value | mask) >>> 0;
  reg.s32min = Math.max(reg.s32min, value | (mask & S32_MIN));
  reg.s32max = Math.min(reg.s32max, value | (mask & S32_MAX));
  reg.u32min = Math.max(reg.u32min, value);
  reg.u32max = Math.min(reg.u32max, most);
}

export function boundsFromTnum64(reg: Reg): void {
  const { value, mask } = reg;
  const most = value | mask;
  reg.umin = maxBig(reg.umin, value);
  reg.umax = minBig(reg.umax, most);
  // With an unknown sign bit the least signed value has it set and the greatest clear.
  const signUnknown = mask > S64_MAX;
  reg.smin = maxBig(reg.smin, signUnknown ? toS64(value) + S64_MIN : toS64(value));
  reg.smax = minBig(reg.smax, signUnknown ? most & S64_MAX : toS64(most));
  onlyMember(reg, most);
}

/** Takes the value when the unsigned range and the tnum have a single one in common; `most` is the tnum's greatest. */
function onlyMember(reg: Reg, most: bigint): void {
  const { umin, umax, value } = reg;
  // The commonest cases: the range starts with the tnum, and the next member lies within.
  const next = tnumStep(reg, umin);
  if (umin === value || ((umin ^ value) & (U64_MAX ^ reg.mask)) === 0n) {
    if (next > umax) setConst(reg, umin);
  } else if (next === most) setConst(reg, most);
  else if (next <= umax && tnumStep(reg, next) > umax) setConst(reg, next);
}

/** 32-bit bounds from the 64-bit ones and from each other. */
function deduce32(reg: Reg): void {
  const { umin, umax, smin, smax } = reg;
  const uminLow = lowU32(umin);
  const umaxLow = lowU32(umax);
  const sminLow = lowU32(smin);
  const smaxLow = lowU32(smax);
  const uminHigh = umin <= MASK32 ? 0 : Number(umin >> 32n);
  const umaxHigh = umax <= MASK32 ? 0 : Number(umax >> 32n);
  const sminHigh = Number(smin >> 32n);
  const smaxHigh = Number(smax >> 32n);
  let { u32min, u32max, s32min, s32max } = reg;

  // While the high word stands still the low words form a range.
  if (uminHigh === umaxHigh) {
    if (uminLow > u32min) u32min = uminLow;
    if (umaxLow < u32max) u32max = umaxLow;
    if ((uminLow | 0) <= (umaxLow | 0)) {
      s32min = Math.max(s32min, uminLow | 0);
      s32max = Math.min(s32max, umaxLow | 0);
    }
  }
  if (sminHigh === smaxHigh) {
    if (sminLow <= smaxLow) {
      if (sminLow > u32min) u32min = sminLow;
      if (smaxLow < u32max) u32max = smaxLow;
    }
    if ((sminLow | 0) <= (smaxLow | 0)) {
      s32min = Math.max(s32min, sminLow | 0);
      s32max = Math.min(s32max, smaxLow | 0);
    }
  }
  // A high word that goes up by one while the low word goes from negative to positive: one range through zero.
  if ((uminHigh + 1) >>> 0 === umaxHigh && (uminLow | 0) < 0 && (umaxLow | 0) >= 0) {
    s32min = Math.max(s32min, uminLow | 0);
    s32max = Math.min(s32max, umaxLow | 0);
  }
  if ((sminHigh + 1) >>> 0 === smaxHigh >>> 0 && (sminLow | 0) < 0 && (smaxLow | 0) >= 0) {
    s32min = Math.max(s32min, sminLow | 0);
    s32max = Math.min(s32max, smaxLow | 0);
  }
  // Both ends have one sign: signed and unsigned are the same range.
  if ((u32min | 0) <= (u32max | 0)) {
    s32min = Math.max(s32min, u32min | 0);
    s32max = Math.min(s32max, u32max | 0);
  }
  if (s32min >>> 0 <= s32max >>> 0) {
    u32min = Math.max(s32min >>> 0, u32min);
    u32max = Math.min(s32max >>> 0, u32max);
  } else if (u32max < s32min >>> 0) {
    // The signed range goes through zero and the unsigned one touches only its positive end ...
    s32min = u32min | 0;
    u32max = Math.min(u32max, s32max >>> 0);
  } else if (s32max >>> 0 < u32min) {
    // ... or only its negative end.
    s32max = u32max | 0;
    u32min = Math.max(u32min, s32min >>> 0);
  }
  reg.u32min = u32min;
  reg.u32max = u32max;
  reg.s32min = s32min;
  reg.s32max = s32max;
}

/** Signed and unsigned 64-bit bounds from each other. */
function deduce64(reg: Reg): void {
  const umin = toS64(reg.umin);
  const umax = toS64(reg.umax);
  if (umin <= umax) {
    reg.smin = maxBig(reg.smin, umin);
    reg.smax = minBig(reg.smax, umax);
  }
  const smin = toU64(reg.smin);
  const smax = toU64(reg.smax);
  if (smin <= smax) {
    reg.umin = maxBig(smin, reg.umin);
    reg.umax = minBig(smax, reg.umax);
  } else if (reg.umax < smin) {
    reg.smin = umin;
    reg.umax = minBig(reg.umax, smax);
  } else if (smax < reg.umin) {
    reg.smax = umax;
    reg.umin = maxBig(reg.umin, smin);
  }
}

/** 64-bit bounds from the 32-bit ones. */
function deduceMixed(reg: Reg): void {
  const low = BigInt(reg.u32min);
  const high = BigInt(reg.u32max);
  reg.umin = maxBig(reg.umin, (reg.umin & HIGH32) | low);
  reg.umax = minBig(reg.umax, (reg.umax & HIGH32) | high);
  reg.smin = maxBig(reg.smin, (reg.smin & HIGH) | low);
  reg.smax = minBig(reg.smax, (reg.smax & HIGH) | high);
  // A sign-extended word that is not negative is the word itself.
  if (reg.s32min >= 0 && reg.smin >= BigInt(S32_MIN) && reg.smax <= BigInt(S32_MAX)) {
    reg.smin = reg.umin = BigInt(reg.s32min);
    reg.smax = BigInt(reg.s32max);
    reg.umax = toU64(reg.smax);
    setTnum(reg, tnumIntersect(reg, tnumRange(reg.umin, reg.umax)));
  }
}

/** The tnum from the bounds. */
function tnumFromBounds(reg: Reg): void {
  const wide = tnumIntersect(reg, tnumRange(reg.umin, reg.umax));
  const word = tnumRange(BigInt(reg.u32min), BigInt(reg.u32max));
  const maskLow = wide.mask & word.mask & MASK32;
  const valueLow = (wide.value | word.value) & MASK32 & ~maskLow;
  reg.value = (wide.value & HIGH32) | valueLow;
  reg.mask = (wide.mask & HIGH32) | maskLow;
}

/** Lets tnum and bounds sharpen each other after either has changed (the kernel's reg_bounds_sync). */
export function updateBounds(reg: Reg): void {
  if (reg.mask === 0n && holds(reg, reg.value)) setConst(reg, reg.value);
  else if (!updateSmall(reg)) updateWide(reg);
}

/** `updateBounds` for every case. */
export function updateWide(reg: Reg): void {
  boundsFromTnum(reg);
  for (let round = 0; round < 3; round++) {
    const { umin, umax, smin, smax, u32min, u32max, s32min, s32max } = reg;
    deduce32(reg);
    deduce64(reg);
    deduceMixed(reg);
    const words = u32min === reg.u32min && u32max === reg.u32max && s32min === reg.s32min && s32max === reg.s32max;
    // Nothing new: nor would the next round find anything.
    if (words && umin === reg.umin && umax === reg.umax && smin === reg.smin && smax === reg.smax) break;
  }
  tnumFromBounds(reg);
  boundsFromTnum(reg);
}

/** Whether the bounds and the tnum allow `value` (unsigned 64 bits). */
export function holds(reg: Reg, value: bigint): boolean {
  const signed = toS64(value);
  const low = lowU32(value);
  return (
    ((value ^ reg.value) & (U64_MAX ^ reg.mask)) === 0n &&
    value >= reg.umin &&
    value <= reg.umax &&
    signed >= reg.smin &&
    signed <= reg.smax &&
    low >= reg.u32min &&
    low <= reg.u32max &&
    (low | 0) >= reg.s32min &&
    (low | 0) <= reg.s32max
  );
}

/** 64-bit bounds of a zero-extended low word. */
function bounds64From32(reg: Reg): void {
  reg.umin = BigInt(reg.u32min);
  reg.umax = BigInt(reg.u32max);
  if (reg.s32min >= 0 && reg.s32max >= 0) {
    reg.smin = BigInt(reg.s32min);
    reg.smax = BigInt(reg.s32max);
  } else {
    reg.smin = 0n;
    reg.smax = BigInt(U32_MAX);
  }
}

/** Zero-extends the low word, as every 32-bit operation does; `updateBounds` is the caller's. */
export function zext32(reg: Reg): void {
  reg.value &= MASK32;
  reg.mask &= MASK32;
  bounds64From32(reg);
}

/** Cuts to `size` bytes (1, 2, 4), zero-extended: a narrow load. */
export function coerceToSize(reg: Reg, size: number): void {
  if (reg.isForgotten) {
    const { precise } = reg;
    reg.copy(UNKNOWN_BYTES[size]);
    reg.precise = precise;
  } else cutToSize(reg, size);
}

/** Unknown values of 1, 2 and 4 bytes: most loads. */
const UNKNOWN_BYTES: readonly Reg[] = [0, 1, 2, 3, 4].map((size) => {
  const reg = new Reg();
  reg.forget();
  if (size > 0) cutToSize(reg, size);
  return reg;
});

function cutToSize(reg: Reg, size: number): void {
  setTnum(reg, tnumCast(reg, size));
  const mask = (1n << BigInt(size * 8)) - 1n;
  if ((reg.umin & ~mask) === (reg.umax & ~mask)) {
    reg.umin &= mask;
    reg.umax &= mask;
  } else {
    reg.umin = 0n;
    reg.umax = mask;
  }
  reg.smin = reg.umin;
  reg.smax = reg.umax;
  // The word's own bounds are still right when it is what is kept.
  if (size < 4) unbound32(reg);
  updateBounds(reg);
}

/** Sign-extends the low `size` bytes (1, 2, 4) to 64 bits: a sign-extending load or move. */
export function coerceToSizeSx(reg: Reg, size: number): void {
  const bits = size * 8;
  if (reg.mask === 0n) {
    setConst(reg, BigInt.asIntN(bits, reg.value));
    return;
  }
  const shift = BigInt(bits);
  if (toU64(reg.smin) >> shift === toU64(reg.smax) >> shift) {
    const a = BigInt.asIntN(bits, reg.smin);
    const b = BigInt.asIntN(bits, reg.smax);
    const min = minBig(a, b);
    const max = maxBig(a, b);
    if (min >= 0n === max >= 0n) {
      reg.smin = min;
      reg.smax = max;
      reg.umin = toU64(min);
      reg.umax = toU64(max);
      reg.s32min = lowS32(min);
      reg.s32max = lowS32(max);
      reg.u32min = lowU32(min);
      reg.u32max = lowU32(max);
      setTnum(reg, tnumRange(reg.umin, reg.umax));
      return;
    }
  }
  const least = -(2 ** (bits - 1));
  reg.smin = BigInt(least);
  reg.smax = BigInt(-1 - least);
  reg.s32min = least;
  reg.s32max = -1 - least;
  reg.umin = 0n;
  reg.umax = U64_MAX;
  reg.u32min = 0;
  reg.u32max = U32_MAX;
  reg.value = 0n;
  reg.mask = U64_MAX;
}

/** Sign-extends the low `size` bytes (1, 2) to 32 bits; zero-extension to 64 is the caller's. */
export function coerceSubregToSizeSx(reg: Reg, size: number): void {
  const bits = size * 8;
  const shift = 32 - bits;
  if (tnumSubregIsConst(reg)) {
    const value = (lowU32(reg.value) << shift) >> shift;
    reg.value = BigInt(value >>> 0);
    reg.mask = 0n;
    reg.u32min = reg.u32max = value >>> 0;
    reg.s32min = reg.s32max = value;
    return;
  }
  if (reg.s32min >>> bits === reg.s32max >>> bits) {
    const a = (reg.s32min << shift) >> shift;
    const b = (reg.s32max << shift) >> shift;
    const min = Math.min(a, b);
    const max = Math.max(a, b);
    if (min >= 0 === max >= 0) {
      reg.s32min = min;
      reg.s32max = max;
      reg.u32min = min >>> 0;
      reg.u32max = max >>> 0;
      setTnum(reg, tnumRange(BigInt(min >>> 0), BigInt(max >>> 0)));
      return;
    }
  }
  reg.s32min = -(2 ** (bits - 1));
  reg.s32max = -1 - reg.s32min;
  reg.u32min = 0;
  reg.u32max = U32_MAX;
  reg.value = 0n;
  reg.mask = MASK32;
}

/** Bounds that contradict each other: the kernel's text for it, or '' when all is well. */
export function boundsContradiction(reg: Reg): string {
  if (reg.umin > reg.umax || reg.smin > reg.smax || reg.u32min > reg.u32max || reg.s32min > reg.s32max)
    return 'range bounds violation';
  if (reg.mask === 0n) {
    const signed = toS64(reg.value);
    if (reg.umin !== reg.value || reg.umax !== reg.value || reg.smin !== signed || reg.smax !== signed)
      return 'const tnum out of sync with range bounds';
  }
  if (tnumSubregIsConst(reg)) {
    const low = lowU32(reg.value);
    if (reg.u32min !== low || reg.u32max !== low || reg.s32min !== (low | 0) || reg.s32max !== (low | 0))
      return 'const subreg tnum out of sync with range bounds';
  }
  return '';
}
