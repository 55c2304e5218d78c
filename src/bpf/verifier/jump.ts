/** Conditional jumps: which way, and what is known on each way afterwards. */
import { EACCES } from '../../core/errno.ts';
import { BPF_JEQ, BPF_JMP32, BPF_JNE, BPF_X, classOf, type Insn } from '../insn.ts';
import { branchTaken, refine } from './branch.ts';
import { isMayGoto } from './cfg.ts';
import { jumpTarget } from './check-insn.ts';
import type { Verifier } from './env.ts';
import { noteLinked } from './history.ts';
import { noteContradiction } from './invariants.ts';
import { collectLinked, syncLinked } from './linked.ts';
import { isNotNull, markNotNull, markNullOrNot } from './null.ts';
import { flip, isAnyPacketPointer, learnPacketRange, packetBranchTaken } from './packet.ts';
import { pushBranch } from './paths.ts';
import { markPrecise } from './precision.ts';
import { findPreviousEntry, widen } from './prune.ts';
import { leaksPointer } from './read.ts';
import { baseType, mayBeNull, PTR_TO_BTF_ID, type Reg, SCALAR_VALUE } from './reg.ts';
import { pushMispredicted } from './sanitize.ts';
import { lowU32 } from './scalar.ts';
import { immediate } from './values.ts';

/** The value in the view of the comparison when it is constant. */
function constant(reg: Reg, is32: boolean): bigint | undefined {
  if (reg.type !== SCALAR_VALUE) return undefined;
  if (!is32) return reg.mask === 0n ? reg.value : undefined;
  return (reg.mask & 0xffff_ffffn) === 0n ? BigInt(lowU32(reg.value)) : undefined;
}

function outcome(dst: Reg, src: Reg, op: number, is32: boolean): 1 | 0 | -1 {
  if (isAnyPacketPointer(dst) && isAnyPacketPointer(src) && !is32) return packetBranchTaken(dst, src, op);
  if (dst.type === SCALAR_VALUE && src.type === SCALAR_VALUE) {
    // The analysis of two scalars takes a constant on the right.
    if (constant(dst, is32) !== undefined && constant(src, is32) === undefined)
      return branchTaken(src, dst, flip(op), is32);
    return branchTaken(dst, src, op, is32);
  }
  const [pointer, other] = constant(src, is32) !== undefined ? [dst, src] : [src, dst];
  if (constant(other, is32) !== 0n || !isNotNull(pointer)) return -1;
  if (op === BPF_JEQ) return 0;
  return op === BPF_JNE ? 1 : -1;
}

/** Walks `may_goto`: goes on behind it as another path, and jumps on this one. */
function walkMayGoto(v: Verifier, insn: Insn): number {
  const before = findPreviousEntry(v.state.parent, v.insn);
  const on = pushBranch(v, v.insn + 1, v.insn);
  on.mayGotoDepth++;
  if (before !== undefined) widen(v, before, on);
  return jumpTarget(insn, v.insn);
}

/** Fields and initialisation of the registers were checked. Returns where this path goes on. */
export function walkConditional(v: Verifier, insn: Insn): number {
  if (isMayGoto(insn)) return walkMayGoto(v, insn);
  const op = insn.code & 0xf0;
  const is32 = classOf(insn) === BPF_JMP32;
  const fromReg = (insn.code & BPF_X) !== 0;
  const dst = v.regs[insn.dst];
  let src: Reg;
  if (fromReg) {
    src = v.regs[insn.src];
    if (!(isAnyPacketPointer(dst) && isAnyPacketPointer(src)) && leaksPointer(v, src))
      v.reject(EACCES, `R${insn.src} pointer comparison prohibited`);
  } else {
    src = immediate(v, insn);
  }
  const target = jumpTarget(insn, v.insn);
  const taken = outcome(dst, src, op, is32);
  if (taken >= 0) {
    if (dst.type === SCALAR_VALUE) markPrecise(v, insn.dst);
    if (fromReg && src.type === SCALAR_VALUE) markPrecise(v, insn.src);
    pushMispredicted(v, insn, taken === 1 ? v.insn + 1 : target);
    return taken === 1 ? target : v.insn + 1;
  }

  const linked: number[] = [];
  // Two operands of one id are collected twice, as in the kernel: fewer others find a place.
  if (fromReg && src.type === SCALAR_VALUE && src.id !== 0) collectLinked(v, src.id, linked);
  if (dst.type === SCALAR_VALUE && dst.id !== 0) collectLinked(v, dst.id, linked);
  if (linked.length > 2) noteLinked(v, linked);

  const here = v.state;
  const other = pushBranch(v, target, v.insn);
  const otherDst = other.frame.regs[insn.dst];
  const otherSrc = fromReg ? other.frame.regs[insn.src] : src.clone();
  if (dst.type === SCALAR_VALUE && src.type === SCALAR_VALUE) {
    refine(op, is32, otherDst, otherSrc, true);
    refine(op, is32, dst, src, false);
    noteContradiction(v, otherDst, 'true_reg1');
    noteContradiction(v, otherSrc, 'true_reg2');
    noteContradiction(v, dst, 'false_reg1');
    noteContradiction(v, src, 'false_reg2');
    if (fromReg && src.id !== 0) {
      syncLinked(here, src, linked);
      syncLinked(other, otherSrc, linked);
    }
    if (dst.id !== 0) {
      syncLinked(here, dst, linked);
      syncLinked(other, otherDst, linked);
    }
  }

  // Equal to a pointer that is not null: not null either.
  if (
    !is32 &&
    fromReg &&
    src.type !== SCALAR_VALUE &&
    dst.type !== SCALAR_VALUE &&
    mayBeNull(src.type) !== mayBeNull(dst.type) &&
    baseType(src.type) !== PTR_TO_BTF_ID &&
    baseType(dst.type) !== PTR_TO_BTF_ID
  ) {
    const equal = op === BPF_JEQ ? other : op === BPF_JNE ? here : undefined;
    if (equal !== undefined) markNotNull(equal.frame.regs[mayBeNull(src.type) ? insn.src : insn.dst]);
  }

  if (!is32 && !fromReg && insn.imm === 0 && (op === BPF_JEQ || op === BPF_JNE) && mayBeNull(dst.type)) {
    const origin = dst.clone();
    markNullOrNot(here, origin, op === BPF_JNE);
    markNullOrNot(other, origin, op === BPF_JEQ);
  } else {
    const packet = fromReg && !is32 && learnPacketRange(op, dst, src, here, other, otherDst, otherSrc);
    if (!packet && leaksPointer(v, dst)) v.reject(EACCES, `R${insn.dst} pointer comparison prohibited`);
  }
  return v.insn + 1;
}
