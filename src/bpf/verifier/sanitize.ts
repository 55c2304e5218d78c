/**
 * Speculative execution (Spectre, Documentation/admin-guide/hw-vuln/spectre.rst): for programs loaded without CAP_PERFMON a
 * mispredicted branch must not lead a pointer out of its object either. The verifier walks such paths too (they end at
 * the first thing they must not do), and pointer arithmetic must be such that it could be masked.
 */
import { EACCES, EINVAL, ENOMEM, EPERM } from '../../core/errno.ts';
import { BPF_ADD, BPF_SUB, BPF_X, type Insn, MAX_BPF_STACK } from '../insn.ts';
import { Reject, type Verifier } from './env.ts';
import { pushBranch } from './paths.ts';
import { PTR_TO_MAP_VALUE, PTR_TO_STACK, type Reg } from './reg.ts';
import { checkMapAccess } from './regions.ts';
import { tnumPair } from './text.ts';
import { setUnknown } from './values.ts';

// What is remembered about the masking of one instruction; it must be the same on all paths.
const NON_POINTER = 1;
const SANITIZE_SRC = 2;
const SANITIZE_DST = 4;
const NEG_VALUE = 8;
const IMMEDIATE = 16;

type Reason = 'bounds' | 'type' | 'paths' | 'limit';

/** The first half of the masking of one instruction, for the second. */
export type Masking = { state: number; limit: number; toLeft: boolean };

/** Errors that a speculative path may run into: a barrier before the instruction ends it there. */
export const isRecoverable = (errno: number): boolean => errno === EPERM || errno === EACCES || errno === EINVAL;

const isSum = (insn: Insn): boolean => (insn.code & 0xf0) === BPF_ADD || (insn.code & 0xf0) === BPF_SUB;

/** This instruction's operands have to be masked. */
function isNeeded(v: Verifier, insn: Insn): boolean {
  return !v.allowPtrLeaks && isSum(insn) && (insn.code & BPF_X) !== 0 && !v.info[v.insn].nospec;
}

function refuse(v: Verifier, insn: Insn, reason: Reason, offIsDst: boolean): never {
  const { dst, src } = insn;
  const verb = (insn.code & 0xf0) === BPF_ADD ? 'add' : 'sub';
  const text: Record<Reason, string> = {
    bounds: `R${offIsDst ? dst : src} has unknown scalar with mixed signed bounds`,
    type: `R${offIsDst ? src : dst} has pointer with unsupported alu operation`,
    paths: `R${dst} tried to ${verb} from different maps, paths or scalars`,
    limit: `R${dst} tried to ${verb} beyond pointer bounds`,
  };
  return v.reject(EACCES, `${text[reason]}, pointer arithmetic with it prohibited for !root`);
}

/** How far the pointer may move in that direction, or why that cannot be said. */
function limitOf(ptr: Reg, toLeft: boolean): number | Reason {
  let max: bigint;
  let limit: bigint;
  if (ptr.type === PTR_TO_STACK) {
    // Offset 0 is outside, but a start for the way down.
    max = BigInt(MAX_BPF_STACK + (toLeft ? 1 : 0));
    limit = -(BigInt.asIntN(64, ptr.value) + BigInt(ptr.off));
  } else if (ptr.type === PTR_TO_MAP_VALUE) {
    max = BigInt(ptr.map?.valueSize ?? 0);
    limit = (toLeft ? ptr.smin : ptr.umax) + BigInt(ptr.off);
  } else return 'type';
  const word = BigInt.asUintN(32, limit);
  return word >= max ? 'limit' : Number(word);
}

function remember(v: Verifier, state: number, limit: number): boolean {
  const info = v.info[v.insn];
  if (info.aluState !== 0 && (info.aluState !== state || info.aluLimit !== limit)) return false;
  info.aluState = state;
  info.aluLimit = limit;
  return true;
}

/** Arithmetic of two scalars: the instruction must not move a pointer on another path. */
export function sanitizeScalars(v: Verifier, insn: Insn): void {
  if (isNeeded(v, insn) && !remember(v, NON_POINTER, 0)) refuse(v, insn, 'paths', false);
}

/** Before a pointer is moved; `offIsDst`: the offset stands in the destination register. */
export function beforeMove(v: Verifier, insn: Insn, ptr: Reg, off: Reg, offIsDst: boolean): Masking | undefined {
  if (!isNeeded(v, insn)) return undefined;
  const known = off.mask === 0n;
  const negative = off.smin < 0n;
  const masking: Masking = { state: 0, limit: 0, toLeft: false };
  if (!v.state.speculative) {
    if (!known && negative !== off.smax < 0n) refuse(v, insn, 'bounds', offIsDst);
    masking.toLeft = ((insn.code & 0xf0) === BPF_ADD) === negative;
    const limit = limitOf(ptr, masking.toLeft);
    if (typeof limit !== 'number') return refuse(v, insn, limit, offIsDst);
    masking.limit = limit;
    masking.state = (negative ? NEG_VALUE : 0) | (known ? IMMEDIATE : 0) | (offIsDst ? SANITIZE_DST : SANITIZE_SRC);
    if (!known) v.exploreAluLimits = true;
  }
  // A masked offset may become zero: the pointer that has not moved is walked as well.
  if (!known) {
    try {
      pushBranch(v, v.insn + 1, v.insn, true).frame.regs[insn.dst].copy(ptr);
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      v.note(error.message);
      v.reject(
        ENOMEM,
        `R${insn.dst} could not be pushed for speculative verification, pointer arithmetic with it prohibited for !root`,
      );
    }
  }
  return masking;
}

/** After the pointer was moved: it lies in its object, and the way it went is what the mask will allow. */
export function afterMove(v: Verifier, insn: Insn, offIsDst: boolean, masking: Masking | undefined): void {
  if (v.allowPtrLeaks) return;
  checkMoved(v, insn.dst);
  if (masking === undefined || v.state.speculative) return;
  const limit = limitOf(v.regs[insn.dst], masking.toLeft);
  if (typeof limit !== 'number') return refuse(v, insn, limit, offIsDst);
  if (!remember(v, masking.state, Math.abs(masking.limit - limit))) refuse(v, insn, 'paths', offIsDst);
}

function checkMoved(v: Verifier, regno: number): void {
  const reg = v.regs[regno];
  if (reg.type === PTR_TO_STACK) {
    const off = BigInt.asIntN(64, reg.value) + BigInt(reg.off);
    if (reg.mask !== 0n)
      v.reject(EACCES, `R${regno} variable stack access prohibited for !root, var_off=${tnumPair(reg)} off=${off}`);
    if (off >= 0n || off < BigInt(-MAX_BPF_STACK))
      v.reject(EACCES, `R${regno} stack pointer arithmetic goes out of range, prohibited for !root; off=${off}`);
  } else if (reg.type === PTR_TO_MAP_VALUE) {
    try {
      checkMapAccess(v, regno, reg.off, 1, false, 'helper');
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      v.note(error.message);
      v.reject(EACCES, `R${regno} pointer arithmetic of map value goes out of range, prohibited for !root`);
    }
  }
}

/** The branch not taken may be predicted: it is walked with operands of any value. */
export function pushMispredicted(v: Verifier, insn: Insn, target: number): void {
  if (v.allowPtrLeaks) return;
  const { regs } = pushBranch(v, target, v.insn, true).frame;
  setUnknown(v, regs[insn.dst]);
  if ((insn.code & BPF_X) !== 0) setUnknown(v, regs[insn.src]);
}
