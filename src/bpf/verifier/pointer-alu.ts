/** Moving pointers: a constant changes the fixed offset, anything else becomes a variable offset with bounds. */
import { EACCES, EINVAL } from '../../core/errno.ts';
import { BPF_ADD, BPF_ALU64, BPF_AND, BPF_OR, BPF_SUB, BPF_XOR, classOf, type Insn } from '../insn.ts';
import type { Verifier } from './env.ts';
import { typeName } from './print.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  isPacketPointer,
  mayBeNull,
  PTR_TO_FLOW_KEYS,
  PTR_TO_PACKET_END,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  type Reg,
  S64_MAX,
  S64_MIN,
  U64_MAX,
} from './reg.ts';
import { BPF_MAX_VAR_OFF } from './regions.ts';
import { afterMove, beforeMove } from './sanitize.ts';
import { unbound32, updateBounds } from './scalar.ts';
import { operatorText } from './text.ts';
import { tnumAdd, tnumSub } from './tnum.ts';
import { setUnknown } from './values.ts';

const FIXED: ReadonlySet<number> = new Set([
  PTR_TO_FLOW_KEYS,
  CONST_PTR_TO_MAP,
  PTR_TO_PACKET_END,
  PTR_TO_SOCKET,
  PTR_TO_SOCK_COMMON,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
]);

const fitsS32 = (n: bigint): boolean => BigInt.asIntN(32, n) === n;
const fitsS64 = (n: bigint): boolean => BigInt.asIntN(64, n) === n;

/** Offsets stay so small that no sum of them can overflow. */
function checkSane(v: Verifier, reg: Reg, type: number): void {
  const name = typeName(type);
  const constant = reg.mask === 0n;
  const value = BigInt.asIntN(64, reg.value);
  if (constant && (value >= BPF_MAX_VAR_OFF || value <= -BPF_MAX_VAR_OFF))
    v.reject(EINVAL, `math between ${name} pointer and ${value} is not allowed`);
  const off = BigInt(reg.off);
  if (off >= BPF_MAX_VAR_OFF || off <= -BPF_MAX_VAR_OFF)
    v.reject(EINVAL, `${name} pointer offset ${reg.off} is not allowed`);
  if (reg.smin === S64_MIN)
    v.reject(EINVAL, `math between ${name} pointer and register with unbounded min value is not allowed`);
  if (reg.smin >= BPF_MAX_VAR_OFF || reg.smin <= -BPF_MAX_VAR_OFF)
    v.reject(EINVAL, `value ${reg.smin} makes ${name} pointer be out of bounds`);
}

/** `dst = ptr op off`, where `ptr` or `off` may be the destination's old contents. */
export function movePointer(v: Verifier, insn: Insn, ptrReg: Reg, offReg: Reg): void {
  const dst = v.regs[insn.dst];
  const op = insn.code & 0xf0;
  const known = offReg.mask === 0n;
  if ((known && (offReg.smin !== offReg.smax || offReg.umin !== offReg.umax)) || offReg.smin > offReg.smax)
    return setUnknown(v, dst);
  if (classOf(insn) !== BPF_ALU64) {
    if (op === BPF_SUB && v.allowPtrLeaks) return setUnknown(v, dst);
    v.reject(EACCES, `R${insn.dst} 32-bit pointer arithmetic prohibited`);
  }
  const type = typeName(ptrReg.type);
  if (mayBeNull(ptrReg.type))
    v.reject(EACCES, `R${insn.dst} pointer arithmetic on ${type} prohibited, null-check it first`);
  const base = baseType(ptrReg.type);
  if (FIXED.has(base)) {
    const allowed =
      (base === PTR_TO_FLOW_KEYS && known) ||
      ((base === CONST_PTR_TO_MAP || base === PTR_TO_FLOW_KEYS) && known && offReg.smin === 0n && op === BPF_ADD);
    if (!allowed) v.reject(EACCES, `R${insn.dst} pointer arithmetic on ${type} prohibited`);
  }
  const ptr = ptrReg === dst ? dst.clone() : ptrReg;
  checkSane(v, offReg, ptr.type);
  checkSane(v, ptr, ptr.type);
  const offIsDst = ptrReg !== dst;
  const masking = beforeMove(v, insn, ptr, offReg, offIsDst);
  if (op === BPF_SUB && ptrReg !== dst) v.reject(EACCES, `R${insn.dst} tried to subtract pointer from scalar`);
  if (op === BPF_SUB && base === PTR_TO_STACK)
    v.reject(EACCES, `R${insn.dst} subtraction from stack pointer prohibited`);
  if (op === BPF_AND || op === BPF_OR || op === BPF_XOR)
    v.reject(EACCES, `R${insn.dst} bitwise operator ${operatorText(insn.code)} on pointer prohibited`);
  if (op !== BPF_ADD && op !== BPF_SUB)
    v.reject(EACCES, `R${insn.dst} pointer arithmetic with ${operatorText(insn.code)} operator prohibited`);
  const sign = op === BPF_ADD ? 1n : -1n;
  const fixed = BigInt(ptr.off) + sign * offReg.smin;
  const off = offReg;
  if (known && fitsS32(fixed)) {
    dst.copy(ptr);
    dst.precise = false;
    dst.off = Number(fixed);
  } else {
    const bounds = op === BPF_ADD ? sum(ptr, off) : difference(ptr, off);
    dst.copy(ptr);
    dst.precise = false;
    dst.smin = bounds.smin;
    dst.smax = bounds.smax;
    dst.umin = bounds.umin;
    dst.umax = bounds.umax;
    dst.value = bounds.value;
    dst.mask = bounds.mask;
    if (isPacketPointer(ptr.type)) {
      dst.id = v.newId();
      // What was learned about the packet's length holds only if the pointer did not move forwards.
      if (op === BPF_ADD || bounds.movesForward) dst.range = 0;
    }
  }
  unbound32(dst);
  checkSane(v, dst, ptr.type);
  updateBounds(dst);
  afterMove(v, insn, offIsDst, masking);
}

type Bounds = {
  smin: bigint;
  smax: bigint;
  umin: bigint;
  umax: bigint;
  value: bigint;
  mask: bigint;
  movesForward: boolean;
};

function sum(a: Reg, b: Reg): Bounds {
  const smin = a.smin + b.smin;
  const smax = a.smax + b.smax;
  const umax = a.umax + b.umax;
  const signed = fitsS64(smin) && fitsS64(smax);
  const unsigned = umax <= U64_MAX;
  const bits = tnumAdd(a, b);
  return {
    smin: signed ? smin : S64_MIN,
    smax: signed ? smax : S64_MAX,
    umin: unsigned ? a.umin + b.umin : 0n,
    umax: unsigned ? umax : U64_MAX,
    value: bits.value,
    mask: bits.mask,
    movesForward: true,
  };
}

function difference(a: Reg, b: Reg): Bounds {
  const smin = a.smin - b.smax;
  const smax = a.smax - b.smin;
  const signed = fitsS64(smin) && fitsS64(smax);
  const unsigned = a.umin >= b.umax;
  const bits = tnumSub(a, b);
  return {
    smin: signed ? smin : S64_MIN,
    smax: signed ? smax : S64_MAX,
    umin: unsigned ? a.umin - b.umax : 0n,
    umax: unsigned ? a.umax - b.umin : U64_MAX,
    value: bits.value,
    mask: bits.mask,
    movesForward: b.smin < 0n,
  };
}
