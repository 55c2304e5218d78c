/** The walk: every path through the program, instruction by instruction, until it ends or is known to be safe. */
import { E2BIG, EACCES, EFAULT, EINVAL } from '../../core/errno.ts';
import {
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
} from '../../wire/uapi/bpf.ts';
import { disasmInsn } from '../asm/disassemble.ts';
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_IND,
  BPF_LD,
  BPF_LDX,
  BPF_MEMSX,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STX,
  classOf,
  type Insn,
  sizeOf,
} from '../insn.ts';
import { walkAlu } from './alu-insn.ts';
import { walkAtomic } from './atomic.ts';
import { checkHelperCall } from './call/helper.ts';
import { checkKfuncCall } from './call/kfunc.ts';
import { isExit, isJa } from './cfg.ts';
import { isKfuncCall, isPseudoCall, jumpTarget } from './check-insn.ts';
import { checkWalked, type RegAccess } from './check-walked.ts';
import { Reject, type Verifier } from './env.ts';
import { walkExit } from './exit.ts';
import { callSubprog, returnFromFrame } from './frames.ts';
import { noteJump } from './history.ts';
import { walkConditional } from './jump.ts';
import { checkMemAccess, checkPtrOffReg } from './memory.ts';
import { endPath, pushBranch } from './paths.ts';
import { stateVisited } from './prune.ts';
import { clearCallerSaved, readReg } from './read.ts';
import { checkResourceLeak } from './refs.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_FUNC,
  PTR_TO_MAP_VALUE,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
} from './reg.ts';
import { isRecoverable } from './sanitize.ts';
import { clearScratched, logInsnState, stateText } from './state-text.ts';
import { setKnown, setPointer, setUnknown } from './values.ts';

const SKB_TYPES: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_CGROUP_SKB,
]);

/** Walks all paths from the current state. */
export function walkAll(v: Verifier): void {
  const regs: RegAccess = {
    read: (regno) => {
      v.scratchReg(regno);
      return v.regs[regno].type === NOT_INIT ? { errno: EACCES, message: `R${regno} !read_ok` } : undefined;
    },
    write: (regno) => {
      v.scratchReg(regno);
      return undefined;
    },
  };
  const options = {
    mayAccessSkb: SKB_TYPES.has(v.spec.type) && v.spec.type !== BPF_PROG_TYPE_CGROUP_SKB,
    hasArena: false,
  };
  let showState = true;
  for (;;) {
    const pc = v.insn;
    const insn = v.insns[pc];
    v.currentStep = undefined;
    if (insn === undefined) v.reject(EFAULT, `invalid insn idx ${pc} insn_cnt ${v.insns.length}`);
    if (++v.processed > v.complexityLimit) v.reject(E2BIG, `BPF program is too large. Processed ${v.processed} insn`);
    const info = v.info[pc];
    if (info.prunePoint && stateVisited(v)) {
      if (v.log.verbose) {
        if (showState) v.log.write(`\nfrom ${v.prevInsn} to ${pc}: safe\n`);
        else v.log.write(`${pc}: safe\n`);
      }
      if (!nextPath(v)) return;
      showState = true;
      continue;
    }
    if (info.jmpPoint) noteJump(v);
    logBefore(v, pc, showState);
    showState = false;
    // What only a misprediction reaches is dead code.
    if (!v.state.speculative) info.seen = true;
    if (v.state.speculative && info.nospec) {
      v.prevInsn = pc;
      if (!nextPath(v)) return;
      showState = true;
      continue;
    }
    v.liveStack.begin(v);
    const { speculative } = v.state;
    let next: number | undefined;
    try {
      const problem = checkWalked(insn, regs, options);
      if (problem !== undefined) v.reject(problem.errno, problem.message);
      next = step(v, insn, pc);
    } catch (error) {
      if (!speculative || !(error instanceof Reject) || !isRecoverable(error.errno)) throw error;
      v.note(error.message);
      info.nospec = true;
      info.aluState = 0;
      next = undefined;
    }
    v.prevInsn = pc;
    v.liveStack.commit(pc);
    if (next === undefined || (speculative && info.nospecResult)) {
      if (!nextPath(v)) return;
      showState = true;
    } else {
      if (isExit(insn)) showState = true;
      v.insn = next;
    }
  }
}

/** The current path is over; true when another one has been taken up. */
function nextPath(v: Verifier): boolean {
  clearScratched(v);
  endPath(v, v.state);
  const path = v.pending.pop();
  if (path === undefined) return false;
  if (v.log.verbose && !v.log.everyPath) v.log.reset(path.logPosition);
  v.state = path.state;
  v.insn = path.insn;
  v.prevInsn = path.prev;
  v.scratchAll();
  return true;
}

function logBefore(v: Verifier, pc: number, showState: boolean): void {
  if (!v.log.verbose) return;
  if (v.log.everyPath && showState && v.processed > 1)
    v.log.write(`\nfrom ${v.prevInsn} to ${pc}:${stateText(v, v.state, v.state.depth, true)}\n`);
  if (v.scratchedRegs !== 0 || v.scratchedSlots.size > 0) logInsnState(v);
  const source = v.sourceLine(pc);
  if (source !== undefined) v.log.write(`; ${source}\n`);
  v.insnLineStart = v.log.position;
  v.log.write(`${pc}: ${disasmInsn(v.insns, pc)}\n`);
  v.insnLineEnd = v.log.position;
}

/** Walks one instruction. The next one of this path, undefined at its end. */
function step(v: Verifier, insn: Insn, pc: number): number | undefined {
  switch (classOf(insn)) {
    case BPF_ALU:
    case BPF_ALU64:
      walkAlu(v, insn);
      return pc + 1;
    case BPF_LDX: {
      const signed = (insn.code & 0xe0) === BPF_MEMSX;
      const { type } = v.regs[insn.src];
      checkMemAccess(v, insn.src, insn.off, sizeOf(insn.code), { write: false, regno: insn.dst, signed });
      notePointer(v, pc, type);
      if (baseType(type) === PTR_TO_BTF_ID && (type & PTR_TRUSTED) === 0) v.info[pc].mayFault = true;
      return pc + 1;
    }
    case BPF_STX:
      if ((insn.code & 0xe0) === BPF_ATOMIC) walkAtomic(v, insn);
      else {
        const { type } = v.regs[insn.dst];
        checkMemAccess(v, insn.dst, insn.off, sizeOf(insn.code), { write: true, regno: insn.src });
        notePointer(v, pc, type);
      }
      return pc + 1;
    case BPF_ST: {
      const { type } = v.regs[insn.dst];
      checkMemAccess(v, insn.dst, insn.off, sizeOf(insn.code), { write: true, regno: undefined, imm: insn.imm });
      notePointer(v, pc, type);
      return pc + 1;
    }
    case BPF_LD:
      return walkLd(v, insn, pc);
    default:
      return walkJump(v, insn, pc);
  }
}

/** Kinds of pointers whose loads and stores the kernel rewrites, so that an instruction must always have the same. */
const REWRITTEN: ReadonlySet<number> = new Set([
  PTR_TO_CTX,
  PTR_TO_SOCKET,
  PTR_TO_SOCK_COMMON,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TO_BTF_ID,
  PTR_TO_ARENA,
]);

function notePointer(v: Verifier, pc: number, type: number): void {
  const info = v.info[pc];
  const before = info.ptrType;
  if (before === NOT_INIT) info.ptrType = type;
  else if (before !== type && (REWRITTEN.has(baseType(before)) || REWRITTEN.has(baseType(type)))) {
    // Trusted and untrusted pointers to the same kind of struct may meet in a load.
    if (baseType(before) === PTR_TO_BTF_ID && baseType(type) === PTR_TO_BTF_ID) return;
    v.reject(EINVAL, 'same insn cannot be used with different pointers');
  }
}

function walkLd(v: Verifier, insn: Insn, pc: number): number {
  const mode = insn.code & 0xe0;
  if (mode === BPF_ABS || mode === BPF_IND) {
    readReg(v, 6);
    checkResourceLeak(v, 'BPF_LD_[ABS|IND]', true);
    if (v.regs[6].type !== PTR_TO_CTX) v.reject(EINVAL, 'at the time of BPF_LD_ABS|IND R6 != pointer to skb');
    if (mode === BPF_IND) readReg(v, insn.src);
    checkPtrOffReg(v, v.regs[6], 6);
    clearCallerSaved(v, v.regs);
    setUnknown(v, v.regs[0]);
    if (v.state.depth === 0) return pc + 1;
    // Beyond the packet's end the function returns 0 at once.
    pushBranch(v, pc + 1, pc);
    setKnown(v, v.regs[0], 0n);
    return returnFromFrame(v);
  }
  const dst = v.regs[insn.dst];
  const high = v.insns[pc + 1].imm;
  switch (insn.src) {
    case BPF_PSEUDO_FUNC:
      setPointer(dst, PTR_TO_FUNC);
      dst.subprog = v.subprogs.findIndex((s) => s.start === pc + insn.imm + 1);
      if (v.subprogs[dst.subprog].isGlobal) v.reject(EINVAL, 'callback function not static');
      break;
    case BPF_PSEUDO_MAP_FD:
      setPointer(dst, CONST_PTR_TO_MAP);
      dst.map = v.maps[insn.imm];
      break;
    case BPF_PSEUDO_MAP_VALUE:
      setPointer(dst, PTR_TO_MAP_VALUE);
      dst.map = v.maps[insn.imm];
      dst.off = high;
      if (dst.map.record?.spinLock !== undefined) dst.id = v.newId();
      break;
    default:
      setKnown(v, dst, BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(insn.imm >>> 0)));
  }
  return pc + 2;
}

function walkJump(v: Verifier, insn: Insn, pc: number): number | undefined {
  v.jumpsProcessed++;
  if ((insn.code & 0xf0) === BPF_CALL) {
    if (v.state.activeLocks > 0) checkCallUnderLock(v, insn);
    if (isPseudoCall(insn)) return callSubprog(v, pc, pc + insn.imm + 1);
    if (!isKfuncCall(insn)) return checkHelperCall(v, insn);
    checkKfuncCall(v, insn);
    return pc + 1;
  }
  if (isJa(insn)) return jumpTarget(insn, pc);
  if (isExit(insn)) return walkExit(v);
  const next = walkConditional(v, insn);
  if (v.log.verbose && v.scratchedRegs !== 0) logInsnState(v);
  return next;
}

/** Helper bpf_spin_unlock and a few kernel functions are all that may be called while a lock is held. */
const SPIN_UNLOCK = 94;

function checkCallUnderLock(v: Verifier, insn: Insn): void {
  if (isPseudoCall(insn) || isKfuncCall(insn) || insn.imm === SPIN_UNLOCK) return;
  v.reject(EINVAL, 'function calls are not allowed while holding a lock');
}
