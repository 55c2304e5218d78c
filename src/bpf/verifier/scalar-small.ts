/**
 * The common case of `updateBounds` in plain numbers: everything known of the register lies within 31 bits, so that
 * signed and unsigned, 32 and 64 bits are the same interval. Bigint arithmetic costs five times as much.
 */
import type { Reg } from './reg.ts';

const SMALL = 0x7fff_ffffn;

/** `tnumStep` for 31 bits. */
function step(value: number, mask: number, z: number): number {
  const most = value | mask;
  if (z >= most) return most;
  if (z < value) return value;
  const wrong = (z ^ value) & ~mask;
  if (wrong === 0) return (((z | ~mask) + 1) & mask) | value;
  const top = 1 << (31 - Math.clz32(wrong));
  const below = (top << 1) - 1;
  if ((z & top) === 0) return (z & mask & ~below) | value;
  return (((z | ~mask | below) + 1) & mask & ~below) | value;
}

/** The only value that tnum and range have in common; -1 when there are several (or none). */
function onlyMember(value: number, mask: number, min: number, max: number): number {
  const next = step(value, mask, min);
  if (((min ^ value) & ~mask) === 0) return next > max ? min : -1;
  if (next === (value | mask)) return next;
  return next <= max && step(value, mask, next) > max ? next : -1;
}

const BYTES: readonly bigint[] = Array.from({ length: 256 }, (_, n) => BigInt(n));
/** Small ones need not be made anew. */
const big = (n: number): bigint => (n < BYTES.length ? BYTES[n] : BigInt(n));

function store(reg: Reg, value: number, mask: number, min: number, max: number): void {
  reg.setSmall(big(value), big(mask), big(min), big(max), min, max);
}

/** Does all of `updateBounds` when the case is this one; false, and nothing done, when not. */
export function updateSmall(reg: Reg): boolean {
  if (reg.value > SMALL || reg.mask > SMALL) return false;
  const value = Number(reg.value);
  const mask = Number(reg.mask);
  const umin = Math.max(Number(reg.umin), value);
  const umax = Math.min(Number(reg.umax), value | mask);
  if (umin > umax) return false;
  const first = onlyMember(value, mask, umin, umax);
  if (first >= 0) {
    store(reg, first, 0, first, first);
    return true;
  }
  const min = Math.max(umin, Number(reg.smin), reg.u32min, reg.s32min);
  const max = Math.min(umax, Number(reg.smax), reg.u32max, reg.s32max);
  if (min > max) return false;

  const differing = min ^ max;
  const free = differing === 0 ? 0 : (2 << (31 - Math.clz32(differing))) - 1;
  const newMask = mask & free;
  const newValue = (value | (min & ~free)) & ~newMask;
  const newMin = Math.max(min, newValue);
  const newMax = Math.min(max, newValue | newMask);
  if (newMin > newMax) return false;
  const only = onlyMember(newValue, newMask, newMin, newMax);
  if (only >= 0) store(reg, only, 0, only, only);
  else store(reg, newValue, newMask, newMin, newMax);
  return true;
}
