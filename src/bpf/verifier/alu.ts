/**
 * Arithmetic on two scalars as the verifier sees it: what each BPF_ALU and BPF_ALU64 operation makes of tnum and bounds
 * (RFC 9669, section 4.1; Documentation/bpf/verifier.rst). The destination is changed in place.
 */
import { BPF_ADD, BPF_AND, BPF_ARSH, BPF_LSH, BPF_MUL, BPF_NEG, BPF_OR, BPF_RSH, BPF_SUB, BPF_XOR } from '../insn.ts';
import { type Reg, S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32_MAX, U64_MAX } from './reg.ts';
import {
  boundsFromTnum,
  boundsFromTnum32,
  boundsFromTnum64,
  coerceSubregToSizeSx,
  coerceToSize,
  coerceToSizeSx,
  lowU32,
  mark32Known,
  markKnown,
  markUnknown,
  setConst,
  setTnum,
  toS64,
  toU64,
  unbound,
  unbound32,
  unbound64,
  updateBounds,
  zext32,
} from './scalar.ts';
import {
  tnumAdd,
  tnumAnd,
  tnumArsh,
  tnumBswap,
  tnumLsh,
  tnumMul,
  tnumNeg,
  tnumOr,
  tnumRsh,
  tnumSub,
  tnumSubreg,
  tnumSubregIsConst,
  tnumXor,
} from './tnum.ts';

/**
 * dst = dst `op` src (op: BPF_ADD ... BPF_ARSH; BPF_NEG ignores src). Division and shifts by an unknown or too large
 * amount leave an unknown value, as in the kernel, even for two constants.
 */
export function aluScalar(op: number, is64: boolean, dst: Reg, src: Reg): void {
  if (op === BPF_LSH || op === BPF_RSH || op === BPF_ARSH) {
    if (!isConst(src, is64) || src.umax >= (is64 ? 64n : 32n)) {
      markUnknown(dst);
      return;
    }
    if (dst.mask === 0n) {
      constOp(op, is64, dst, src);
      return;
    }
    shift(op, is64, dst, Number(src.umax));
  } else if (dst.mask === 0n && src.mask === 0n && op !== BPF_NEG) {
    constOp(op, is64, dst, src);
    return;
  } else {
    const from = src === dst ? src.clone() : src;
    switch (op) {
      case BPF_ADD:
        add32(dst, from);
        add64(dst, from);
        setTnum(dst, tnumAdd(dst, from));
        break;
      case BPF_SUB:
        sub32(dst, from);
        sub64(dst, from);
        setTnum(dst, tnumSub(dst, from));
        break;
      case BPF_NEG: {
        const old = dst.clone();
        markKnown(dst, 0n);
        sub32(dst, old);
        sub64(dst, old);
        setTnum(dst, tnumNeg(old));
        break;
      }
      case BPF_MUL:
        setTnum(dst, tnumMul(dst, from));
        mul32(dst, from);
        mul64(dst, from);
        break;
      case BPF_AND:
        setTnum(dst, tnumAnd(dst, from));
        and32(dst, from);
        and64(dst, from);
        break;
      case BPF_OR:
        setTnum(dst, tnumOr(dst, from));
        or32(dst, from);
        or64(dst, from);
        break;
      case BPF_XOR:
        setTnum(dst, tnumXor(dst, from));
        xor32(dst, from);
        xor64(dst, from);
        break;
      default:
        markUnknown(dst);
        return;
    }
  }
  if (!is64) zext32(dst);
  updateBounds(dst);
}

/**
 * Whether `dst op= src` masks a sign (all zeros or all ones, from an arithmetic shift right) with a constant: then Linux
 * walks both cases on their own. 64 or 32: the width of the sign in `dst`; 0: no. The walker keeps a state in which the
 * (low word of the) register is 0 for the same instruction, and goes on with all ones.
 */
export function signMaskFork(op: number, dst: Reg, src: Reg): 0 | 32 | 64 {
  if ((op !== BPF_AND && op !== BPF_OR) || src.mask !== 0n) return 0;
  if (dst.s32min === -1 && dst.s32max === 0) return dst.smin === -1n && dst.smax === 0n ? 64 : 32;
  return 0;
}

/** Sets the (low word of the) sign found by `signMaskFork` to 0 or all ones. */
export function setSign(dst: Reg, width: 32 | 64, value: 0 | -1): void {
  if (width === 64) markKnown(dst, BigInt(value));
  else mark32Known(dst, value);
}

/** Constant operand, in all views. */
function isConst(reg: Reg, is64: boolean): boolean {
  if (is64) return reg.mask === 0n && reg.umin === reg.umax && reg.smin === reg.smax;
  return tnumSubregIsConst(reg) && reg.u32min === reg.u32max && reg.s32min === reg.s32max;
}

/** Two constants: the result exactly. */
function constOp(op: number, is64: boolean, dst: Reg, src: Reg): void {
  const a = dst.value;
  const b = src.value;
  let r: bigint;
  switch (op) {
    case BPF_ADD:
      r = a + b;
      break;
    case BPF_SUB:
      r = a - b;
      break;
    case BPF_MUL:
      r = a * b;
      break;
    case BPF_AND:
      r = a & b;
      break;
    case BPF_OR:
      r = a | b;
      break;
    case BPF_XOR:
      r = a ^ b;
      break;
    case BPF_LSH:
      r = a << src.umax;
      break;
    case BPF_RSH:
      r = (is64 ? a : a & 0xffff_ffffn) >> src.umax;
      break;
    case BPF_ARSH:
      r = BigInt.asIntN(is64 ? 64 : 32, a) >> src.umax;
      break;
    default:
      markUnknown(dst);
      return;
  }
  setConst(dst, is64 ? r : r & 0xffff_ffffn);
}

const fitsS32 = (x: number): boolean => x >= S32_MIN && x <= S32_MAX;
const fitsS64 = (x: bigint): boolean => x >= S64_MIN && x <= S64_MAX;

function setS32(reg: Reg, min: number, max: number): void {
  const fits = fitsS32(min) && fitsS32(max);
  reg.s32min = fits ? min : S32_MIN;
  reg.s32max = fits ? max : S32_MAX;
}

function setS64(reg: Reg, min: bigint, max: bigint): void {
  const fits = fitsS64(min) && fitsS64(max);
  reg.smin = fits ? min : S64_MIN;
  reg.smax = fits ? max : S64_MAX;
}

function add32(dst: Reg, src: Reg): void {
  setS32(dst, dst.s32min + src.s32min, dst.s32max + src.s32max);
  const min = dst.u32min + src.u32min;
  const max = dst.u32max + src.u32max;
  // When both ends overflow the range stays one piece.
  const torn = min <= U32_MAX && max > U32_MAX;
  dst.u32min = torn ? 0 : min >>> 0;
  dst.u32max = torn ? U32_MAX : max >>> 0;
}

function add64(dst: Reg, src: Reg): void {
  setS64(dst, dst.smin + src.smin, dst.smax + src.smax);
  const min = dst.umin + src.umin;
  const max = dst.umax + src.umax;
  const torn = min <= U64_MAX && max > U64_MAX;
  dst.umin = torn ? 0n : toU64(min);
  dst.umax = torn ? U64_MAX : toU64(max);
}

function sub32(dst: Reg, src: Reg): void {
  setS32(dst, dst.s32min - src.s32max, dst.s32max - src.s32min);
  const min = dst.u32min - src.u32max;
  const max = dst.u32max - src.u32min;
  const torn = min < 0 && max >= 0;
  dst.u32min = torn ? 0 : min >>> 0;
  dst.u32max = torn ? U32_MAX : max >>> 0;
}

function sub64(dst: Reg, src: Reg): void {
  setS64(dst, dst.smin - src.smax, dst.smax - src.smin);
  const min = dst.umin - src.umax;
  const max = dst.umax - src.umin;
  const torn = min < 0n && max >= 0n;
  dst.umin = torn ? 0n : toU64(min);
  dst.umax = torn ? U64_MAX : toU64(max);
}

function mul32(dst: Reg, src: Reg): void {
  const max = dst.u32max * src.u32max;
  const min = dst.u32min * src.u32min;
  const fits = max <= U32_MAX && min <= U32_MAX;
  dst.u32min = fits ? min : 0;
  dst.u32max = fits ? max : U32_MAX;
  const a = dst.s32min * src.s32min;
  const b = dst.s32min * src.s32max;
  const c = dst.s32max * src.s32min;
  const d = dst.s32max * src.s32max;
  // `+ 0` turns -0 into 0.
  setS32(dst, Math.min(a, b, c, d) + 0, Math.max(a, b, c, d) + 0);
}

function mul64(dst: Reg, src: Reg): void {
  const max = dst.umax * src.umax;
  const min = dst.umin * src.umin;
  const fits = max <= U64_MAX && min <= U64_MAX;
  dst.umin = fits ? min : 0n;
  dst.umax = fits ? max : U64_MAX;
  const a = dst.smin * src.smin;
  const b = dst.smin * src.smax;
  const c = dst.smax * src.smin;
  const d = dst.smax * src.smax;
  let least = a;
  let most = a;
  for (const x of [b, c, d]) {
    if (x < least) least = x;
    if (x > most) most = x;
  }
  setS64(dst, least, most);
}

/** After a bitwise operation: the unsigned range is also the signed one when it does not cross the sign bit. */
function signed32FromUnsigned(reg: Reg): void {
  const same = (reg.u32min | 0) <= (reg.u32max | 0);
  reg.s32min = same ? reg.u32min | 0 : S32_MIN;
  reg.s32max = same ? reg.u32max | 0 : S32_MAX;
}

function signed64FromUnsigned(reg: Reg): void {
  const min = toS64(reg.umin);
  const max = toS64(reg.umax);
  const same = min <= max;
  reg.smin = same ? min : S64_MIN;
  reg.smax = same ? max : S64_MAX;
}

// The bitwise ones: the destination's tnum is the result already, its bounds are still the operand's.

function and32(dst: Reg, src: Reg): void {
  const low = lowU32(dst.value);
  if (tnumSubregIsConst(src) && tnumSubregIsConst(dst)) {
    mark32Known(dst, low);
    return;
  }
  dst.u32min = low;
  dst.u32max = Math.min(dst.u32max, src.u32max);
  signed32FromUnsigned(dst);
}

function and64(dst: Reg, src: Reg): void {
  if (src.mask === 0n && dst.mask === 0n) {
    markKnown(dst, dst.value);
    return;
  }
  dst.umin = dst.value;
  if (src.umax < dst.umax) dst.umax = src.umax;
  signed64FromUnsigned(dst);
  boundsFromTnum(dst);
}

function or32(dst: Reg, src: Reg): void {
  const low = lowU32(dst.value);
  if (tnumSubregIsConst(src) && tnumSubregIsConst(dst)) {
    mark32Known(dst, low);
    return;
  }
  dst.u32min = Math.max(dst.u32min, src.u32min);
  dst.u32max = (low | lowU32(dst.mask)) >>> 0;
  signed32FromUnsigned(dst);
}

function or64(dst: Reg, src: Reg): void {
  if (src.mask === 0n && dst.mask === 0n) {
    markKnown(dst, dst.value);
    return;
  }
  if (src.umin > dst.umin) dst.umin = src.umin;
  dst.umax = dst.value | dst.mask;
  signed64FromUnsigned(dst);
  boundsFromTnum(dst);
}

function xor32(dst: Reg, src: Reg): void {
  const low = lowU32(dst.value);
  if (tnumSubregIsConst(src) && tnumSubregIsConst(dst)) {
    mark32Known(dst, low);
    return;
  }
  dst.u32min = low;
  dst.u32max = (low | lowU32(dst.mask)) >>> 0;
  signed32FromUnsigned(dst);
}

function xor64(dst: Reg, src: Reg): void {
  if (src.mask === 0n && dst.mask === 0n) {
    markKnown(dst, dst.value);
    return;
  }
  dst.umin = dst.value;
  dst.umax = dst.value | dst.mask;
  signed64FromUnsigned(dst);
  boundsFromTnum(dst);
}

/** Shifts by the constant `by`, below the width. */
function shift(op: number, is64: boolean, dst: Reg, by: number): void {
  if (op === BPF_LSH) {
    if (is64) lsh64(dst, by);
    else lsh32(dst, by);
  } else if (op === BPF_RSH) {
    if (is64) rsh64(dst, by);
    else rsh32(dst, by);
  } else if (is64) arsh64(dst, by);
  else arsh32(dst, by);
}

function lshBounds32(dst: Reg, by: number): void {
  dst.s32min = S32_MIN;
  dst.s32max = S32_MAX;
  if (by > 31 || dst.u32max > 2 ** (31 - by)) {
    dst.u32min = 0;
    dst.u32max = U32_MAX;
  } else {
    dst.u32min = (dst.u32min << by) >>> 0;
    dst.u32max = (dst.u32max << by) >>> 0;
  }
}

function lsh32(dst: Reg, by: number): void {
  lshBounds32(dst, by);
  setTnum(dst, tnumSubreg(tnumLsh(tnumSubreg(dst), by)));
  unbound64(dst);
  boundsFromTnum32(dst);
}

function lsh64(dst: Reg, by: number): void {
  // <<= 32, s>>= 32 is how compilers sign-extend a word: keep its signed bounds.
  dst.smax = by === 32 ? BigInt(dst.s32max) << 32n : S64_MAX;
  dst.smin = by === 32 ? BigInt(dst.s32min) << 32n : S64_MIN;
  const shift = BigInt(by);
  if (dst.umax > 1n << (63n - shift)) {
    dst.umin = 0n;
    dst.umax = U64_MAX;
  } else {
    dst.umin <<= shift;
    dst.umax <<= shift;
  }
  lshBounds32(dst, by);
  setTnum(dst, tnumLsh(dst, by));
  boundsFromTnum(dst);
}

function rsh32(dst: Reg, by: number): void {
  dst.s32min = S32_MIN;
  dst.s32max = S32_MAX;
  setTnum(dst, tnumRsh(tnumSubreg(dst), by));
  dst.u32min >>>= by;
  dst.u32max >>>= by;
  unbound64(dst);
  boundsFromTnum32(dst);
}

function rsh64(dst: Reg, by: number): void {
  dst.smin = S64_MIN;
  dst.smax = S64_MAX;
  setTnum(dst, tnumRsh(dst, by));
  dst.umin >>= BigInt(by);
  dst.umax >>= BigInt(by);
  unbound32(dst);
  boundsFromTnum(dst);
}

function arsh32(dst: Reg, by: number): void {
  dst.s32min >>= by;
  dst.s32max >>= by;
  setTnum(dst, tnumArsh(tnumSubreg(dst), by, 32));
  dst.u32min = 0;
  dst.u32max = U32_MAX;
  unbound64(dst);
  boundsFromTnum32(dst);
  boundsFromTnum64(dst);
}

function arsh64(dst: Reg, by: number): void {
  dst.smin >>= BigInt(by);
  dst.smax >>= BigInt(by);
  setTnum(dst, tnumArsh(dst, by, 64));
  dst.umin = 0n;
  dst.umax = U64_MAX;
  unbound32(dst);
  boundsFromTnum(dst);
}

/**
 * BPF_END on the low `bits` (16, 32, 64): swaps bytes when `swap` (to big endian, and bswap), else only cuts (to little
 * endian; memory here is little endian). A register that is changed loses its id.
 */
export function aluEndian(dst: Reg, bits: number, swap: boolean): void {
  if (swap || bits < 64) dst.id = 0;
  if (swap) {
    setTnum(dst, tnumBswap(dst, bits));
    unbound(dst);
  }
  if (bits < 64) coerceToSize(dst, bits / 8);
  updateBounds(dst);
}

/**
 * Sign-extending move (`off` 8, 16, 32) of what has been copied to `dst`. Whether `dst` keeps its id is the caller's
 * (`keepsValueSx` of the source).
 */
export function aluMovsx(dst: Reg, is64: boolean, bits: number): void {
  if (is64) {
    coerceToSizeSx(dst, bits / 8);
    return;
  }
  coerceSubregToSizeSx(dst, bits / 8);
  zext32(dst);
  updateBounds(dst);
}

/** Sign extension from `bits` cannot change this value: source and destination stay linked. */
export const keepsValueSx = (src: Reg, bits: number): boolean => src.umax < 1n << BigInt(bits - 1);

/** A 32-bit move of what has been copied to `dst`. */
export function aluMov32(dst: Reg): void {
  zext32(dst);
  updateBounds(dst);
}
