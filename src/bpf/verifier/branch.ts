/**
 * Conditional jumps on two scalars: whether the outcome is certain, and what either outcome says about the operands
 * (Documentation/bpf/verifier.rst, "Register value tracking").
 */
import {
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
} from '../insn.ts';
import type { Reg } from './reg.ts';
import { lowU32, maxBig, minBig, setTnum, toS64, toU64, unbound, updateBounds } from './scalar.ts';
import { type Tnum, tnumIntersect, tnumOverlap, tnumSubreg, tnumSubregIsConst, tnumWithSubreg } from './tnum.ts';

/** Known in the view of the comparison: all of it, or the low word. */
const knownFor = (reg: Reg, is32: boolean): boolean => (is32 ? tnumSubregIsConst(reg) : reg.mask === 0n);

/** Whether `if a op b` is taken: 1 always, 0 never, -1 not known. Both are scalars. */
export function branchTaken(a: Reg, b: Reg, op: number, is32: boolean): 1 | 0 | -1 {
  switch (op) {
    case BPF_JEQ:
      return equality(a, b, is32);
    case BPF_JNE: {
      const equal = equality(a, b, is32);
      return equal === -1 ? -1 : equal === 1 ? 0 : 1;
    }
    case BPF_JSET:
      return bitsSet(a, b, is32);
    case BPF_JGT:
      return is32 ? greater(a.u32min, a.u32max, b.u32min, b.u32max) : greater(a.umin, a.umax, b.umin, b.umax);
    case BPF_JLT:
      return is32 ? greater(b.u32min, b.u32max, a.u32min, a.u32max) : greater(b.umin, b.umax, a.umin, a.umax);
    case BPF_JSGT:
      return is32 ? greater(a.s32min, a.s32max, b.s32min, b.s32max) : greater(a.smin, a.smax, b.smin, b.smax);
    case BPF_JSLT:
      return is32 ? greater(b.s32min, b.s32max, a.s32min, a.s32max) : greater(b.smin, b.smax, a.smin, a.smax);
    case BPF_JGE:
      return opposite(branchTaken(a, b, BPF_JLT, is32));
    case BPF_JLE:
      return opposite(branchTaken(a, b, BPF_JGT, is32));
    case BPF_JSGE:
      return opposite(branchTaken(a, b, BPF_JSLT, is32));
    case BPF_JSLE:
      return opposite(branchTaken(a, b, BPF_JSGT, is32));
    default:
      return -1;
  }
}

const opposite = (taken: 1 | 0 | -1): 1 | 0 | -1 => (taken === -1 ? -1 : taken === 1 ? 0 : 1);

function greater<T extends number | bigint>(amin: T, amax: T, bmin: T, bmax: T): 1 | 0 | -1 {
  if (amin > bmax) return 1;
  if (amax <= bmin) return 0;
  return -1;
}

function equality(a: Reg, b: Reg, is32: boolean): 1 | 0 | -1 {
  const ta: Tnum = is32 ? tnumSubreg(a) : a;
  const tb: Tnum = is32 ? tnumSubreg(b) : b;
  if (ta.mask === 0n && tb.mask === 0n) return ta.value === tb.value ? 1 : 0;
  if (!tnumOverlap(ta, tb)) return 0;
  if (!is32) {
    if (a.umin > b.umax || a.umax < b.umin || a.smin > b.smax || a.smax < b.smin) return 0;
  }
  if (a.u32min > b.u32max || a.u32max < b.u32min || a.s32min > b.s32max || a.s32max < b.s32min) return 0;
  return -1;
}

function bitsSet(a: Reg, b: Reg, is32: boolean): 1 | 0 | -1 {
  const swap = !knownFor(b, is32);
  const known = swap ? a : b;
  const other = swap ? b : a;
  if (!knownFor(known, is32)) return -1;
  const bits = is32 ? BigInt(lowU32(known.value)) : known.value;
  if ((other.value & bits) !== 0n) return 1;
  if (((other.value | other.mask) & bits) === 0n) return 0;
  return -1;
}

/**
 * What follows for both operands, in place, when `if a op b` was taken (or, with `taken` false, fell through). For a
 * comparison with a constant `b` is a register of that value.
 */
export function refine(op: number, is32: boolean, a: Reg, b: Reg, taken: boolean): void {
  refineOperands(op, is32, a, b, taken);
  updateBounds(a);
  updateBounds(b);
}

function refineOperands(op: number, is32: boolean, a: Reg, b: Reg, taken: boolean): void {
  switch (op) {
    case BPF_JEQ:
      if (taken) makeEqual(a, b, is32);
      else makeUnequal(a, b, is32);
      break;
    case BPF_JNE:
      if (taken) makeUnequal(a, b, is32);
      else makeEqual(a, b, is32);
      break;
    case BPF_JSET:
      refineBits(a, b, is32, taken);
      break;
    case BPF_JLE:
      if (taken) makeAtMost(a, b, is32);
      else makeBelow(b, a, is32);
      break;
    case BPF_JLT:
      if (taken) makeBelow(a, b, is32);
      else makeAtMost(b, a, is32);
      break;
    case BPF_JGE:
      if (taken) makeAtMost(b, a, is32);
      else makeBelow(a, b, is32);
      break;
    case BPF_JGT:
      if (taken) makeBelow(b, a, is32);
      else makeAtMost(a, b, is32);
      break;
    case BPF_JSLE:
      if (taken) makeAtMostSigned(a, b, is32);
      else makeBelowSigned(b, a, is32);
      break;
    case BPF_JSLT:
      if (taken) makeBelowSigned(a, b, is32);
      else makeAtMostSigned(b, a, is32);
      break;
    case BPF_JSGE:
      if (taken) makeAtMostSigned(b, a, is32);
      else makeBelowSigned(a, b, is32);
      break;
    case BPF_JSGT:
      if (taken) makeBelowSigned(b, a, is32);
      else makeAtMostSigned(a, b, is32);
      break;
  }
}

function makeEqual(a: Reg, b: Reg, is32: boolean): void {
  if (is32) {
    a.u32min = b.u32min = Math.max(a.u32min, b.u32min);
    a.u32max = b.u32max = Math.min(a.u32max, b.u32max);
    a.s32min = b.s32min = Math.max(a.s32min, b.s32min);
    a.s32max = b.s32max = Math.min(a.s32max, b.s32max);
    const low = tnumIntersect(tnumSubreg(a), tnumSubreg(b));
    setTnum(a, tnumWithSubreg(a, low));
    setTnum(b, tnumWithSubreg(b, low));
    return;
  }
  a.umin = b.umin = maxBig(a.umin, b.umin);
  a.umax = b.umax = minBig(a.umax, b.umax);
  a.smin = b.smin = maxBig(a.smin, b.smin);
  a.smax = b.smax = minBig(a.smax, b.smax);
  const both = tnumIntersect(a, b);
  setTnum(a, both);
  setTnum(b, both);
}

/** Only an end of a range can be cut off. */
function makeUnequal(a: Reg, b: Reg, is32: boolean): void {
  const swap = !knownFor(b, is32);
  const known = swap ? a : b;
  const reg = swap ? b : a;
  if (!knownFor(known, is32)) return;
  if (is32) {
    const value = lowU32(known.value);
    if (reg.u32min === value) reg.u32min = (reg.u32min + 1) >>> 0;
    if (reg.u32max === value) reg.u32max = (reg.u32max - 1) >>> 0;
    if (reg.s32min === (value | 0)) reg.s32min = (reg.s32min + 1) | 0;
    if (reg.s32max === (value | 0)) reg.s32max = (reg.s32max - 1) | 0;
    return;
  }
  const { value } = known;
  const signed = toS64(value);
  if (reg.umin === value) reg.umin = toU64(reg.umin + 1n);
  if (reg.umax === value) reg.umax = toU64(reg.umax - 1n);
  if (reg.smin === signed) reg.smin = toS64(reg.smin + 1n);
  if (reg.smax === signed) reg.smax = toS64(reg.smax - 1n);
}

function refineBits(a: Reg, b: Reg, is32: boolean, taken: boolean): void {
  const swap = !knownFor(b, is32);
  const known = swap ? a : b;
  const reg = swap ? b : a;
  if (!knownFor(known, is32)) return;
  const bits = is32 ? BigInt(lowU32(known.value)) : known.value;
  if (taken) {
    // One of several bits is set: nothing to note.
    if (bits === 0n || (bits & (bits - 1n)) !== 0n) return;
    reg.value |= bits;
    reg.mask &= ~bits;
    return;
  }
  // The bounds follow from the tnum; keeping the old ones could contradict it in a dead branch.
  unbound(reg);
  reg.value &= ~bits;
  reg.mask &= ~bits;
}

/** a <= b. */
function makeAtMost(a: Reg, b: Reg, is32: boolean): void {
  if (is32) {
    a.u32max = Math.min(a.u32max, b.u32max);
    b.u32min = Math.max(a.u32min, b.u32min);
    return;
  }
  if (b.umax < a.umax) a.umax = b.umax;
  if (a.umin > b.umin) b.umin = a.umin;
}

/** a < b; at the edge of a branch that is dead the neighbour wraps round, as in the kernel. */
function makeBelow(a: Reg, b: Reg, is32: boolean): void {
  if (is32) {
    a.u32max = Math.min(a.u32max, (b.u32max - 1) >>> 0);
    b.u32min = Math.max((a.u32min + 1) >>> 0, b.u32min);
    return;
  }
  const max = toU64(b.umax - 1n);
  if (max < a.umax) a.umax = max;
  const min = toU64(a.umin + 1n);
  if (min > b.umin) b.umin = min;
}

function makeAtMostSigned(a: Reg, b: Reg, is32: boolean): void {
  if (is32) {
    a.s32max = Math.min(a.s32max, b.s32max);
    b.s32min = Math.max(a.s32min, b.s32min);
    return;
  }
  if (b.smax < a.smax) a.smax = b.smax;
  if (a.smin > b.smin) b.smin = a.smin;
}

function makeBelowSigned(a: Reg, b: Reg, is32: boolean): void {
  if (is32) {
    a.s32max = Math.min(a.s32max, (b.s32max - 1) | 0);
    b.s32min = Math.max((a.s32min + 1) | 0, b.s32min);
    return;
  }
  const max = toS64(b.smax - 1n);
  if (max < a.smax) a.smax = max;
  const min = toS64(a.smin + 1n);
  if (min > b.smin) b.smin = min;
}
