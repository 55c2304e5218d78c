/** Arithmetic instructions on registers that may hold pointers. */
import { EACCES, EINVAL } from '../../core/errno.ts';
import { BPF_ADD, BPF_ALU64, BPF_END, BPF_MOV, BPF_NEG, BPF_SUB, BPF_X, classOf, type Insn } from '../insn.ts';
import { aluEndian, aluMov32, aluMovsx, aluScalar, keepsValueSx, setSign, signMaskFork } from './alu.ts';
import type { Verifier } from './env.ts';
import { noteContradiction } from './invariants.ts';
import { pushBranch } from './paths.ts';
import { movePointer } from './pointer-alu.ts';
import { markPrecise } from './precision.ts';
import { leaksPointer } from './read.ts';
import {
  BPF_ADD_CONST,
  BPF_ADD_CONST32,
  BPF_ADD_CONST64,
  type Reg,
  S32_MAX,
  S32_MIN,
  SCALAR_VALUE,
  U32_MAX,
} from './reg.ts';
import { sanitizeScalars } from './sanitize.ts';
import { lowS32, toS64 } from './scalar.ts';
import { assignScalarId, clearScalarId, regWidth } from './scalar-id.ts';
import { operatorText } from './text.ts';
import { tnumSubregIsConst } from './tnum.ts';
import { immediate, setKnown, setUnknown } from './values.ts';

/** Fields and initialisation of the registers were checked. */
export function walkAlu(v: Verifier, insn: Insn): void {
  const op = insn.code & 0xf0;
  const is64 = classOf(insn) === BPF_ALU64;
  const dst = v.regs[insn.dst];
  if (op === BPF_NEG || op === BPF_END) {
    if (leaksPointer(v, dst)) v.reject(EACCES, `R${insn.dst} pointer arithmetic prohibited`);
    if (dst.type !== SCALAR_VALUE) setUnknown(v, dst);
    else if (op === BPF_NEG) {
      aluScalar(BPF_NEG, is64, dst, dst);
      noteContradiction(v, dst, 'alu');
    } else {
      // 64-bit class: an unconditional swap; otherwise to little endian (nothing to swap) or to big endian.
      aluEndian(dst, insn.imm, is64 || (insn.code & BPF_X) !== 0);
    }
    return;
  }
  if (op === BPF_MOV) return walkMov(v, insn, dst, is64);
  const src = (insn.code & BPF_X) !== 0 ? v.regs[insn.src] : immediate(v, insn);
  const ptr = dst.type !== SCALAR_VALUE ? dst : undefined;
  if (src.type !== SCALAR_VALUE) {
    if (ptr !== undefined) {
      if (op === BPF_SUB && v.allowPtrLeaks) return setUnknown(v, dst);
      v.reject(EACCES, `R${insn.dst} pointer ${operatorText(insn.code)} pointer prohibited`);
    }
    markPrecise(v, insn.dst);
    return movePointer(v, insn, src, dst.clone());
  }
  if (ptr !== undefined) {
    if ((insn.code & BPF_X) !== 0) markPrecise(v, insn.src);
    return movePointer(v, insn, ptr, src);
  }
  if (dst.precise && (insn.code & BPF_X) !== 0) markPrecise(v, insn.src);
  sanitizeScalars(v, insn);
  forkOnSign(v, op, dst, src);
  // A register used with itself: what it was decides about the link.
  const operand1 = src === dst ? src.clone() : src;
  // A 32-bit sum drops the high word: no distance from the others, unless there is none.
  if (!is64 && dst.umax > BigInt(U32_MAX)) clearScalarId(dst);
  aluScalar(op, is64, dst, operand1);
  noteContradiction(v, dst, 'alu');
  linkSum(v, op, is64, dst, operand1);
}

/** After `r1 = r2; r1 += 4` a comparison of one still tells about the other: the distance is kept beside the id. */
function linkSum(v: Verifier, op: number, is64: boolean, dst: Reg, src: Reg): void {
  const isSum = op === BPF_ADD || op === BPF_SUB;
  // One distance is all that is kept.
  if (!v.bpfCapable || !isSum || dst.id === 0 || (dst.id & BPF_ADD_CONST) !== 0) return clearScalarId(dst);
  if (is64 ? src.mask !== 0n : !tnumSubregIsConst(src)) return clearScalarId(dst);
  const value = is64 ? toS64(src.value) : BigInt(lowS32(src.value));
  const distance = op === BPF_ADD ? value : -value;
  if (value < BigInt(S32_MIN) || value > BigInt(S32_MAX) || distance > BigInt(S32_MAX)) return clearScalarId(dst);
  dst.id |= is64 ? BPF_ADD_CONST64 : BPF_ADD_CONST32;
  dst.off = Number(distance);
}

/** `dst &= K` or `dst |= K` where dst is 0 or -1 (the result of an arithmetic shift): both are walked, each exact. */
function forkOnSign(v: Verifier, op: number, dst: Reg, src: Reg): void {
  const width = signMaskFork(op, dst, src);
  if (width === 0) return;
  const other = pushBranch(v, v.insn, v.insn);
  setSign(other.frame.regs[v.insns[v.insn].dst], width, 0);
  setSign(dst, width, -1);
}

function walkMov(v: Verifier, insn: Insn, dst: Reg, is64: boolean): void {
  if ((insn.code & BPF_X) === 0) {
    if (is64 || insn.imm >= 0) dst.copy(immediate(v, insn));
    else setKnown(v, dst, BigInt(insn.imm >>> 0));
    return;
  }
  const src = v.regs[insn.src];
  const bits = insn.off;
  if (is64 && bits === 1) v.reject(EINVAL, 'netloom does not support arenas (addr_space_cast)');
  if (is64 && bits === 0) {
    assignScalarId(v, src);
    dst.copy(src);
    return;
  }
  if (leaksPointer(v, src))
    v.reject(EACCES, `R${insn.src} ${is64 ? 'sign-extension part' : 'partial copy'} of pointer`);
  if (src.type !== SCALAR_VALUE) {
    setUnknown(v, dst);
    if (!is64) aluMov32(dst);
    return;
  }
  const same = bits === 0 ? regWidth(src) <= 32 : keepsValueSx(src, bits);
  if (same) assignScalarId(v, src);
  dst.copy(src);
  if (!same) clearScalarId(dst);
  if (bits === 0) aluMov32(dst);
  else aluMovsx(dst, is64, bits);
}
