/**
 * The control flow graph, before any path is walked: every instruction must be reachable, and the places where paths meet
 * become the places where states are compared (prune points).
 */
import { EINVAL } from '../../core/errno.ts';
import { BPF_CALL, BPF_EXIT, BPF_JA, BPF_JCOND, BPF_JMP, BPF_JMP32, classOf, type Insn, isLdImm64 } from '../insn.ts';
import { callsAsyncCallback, callsSyncCallback, isIterNext } from './call/kinds.ts';
import { isPseudoCall, isPseudoFunc, jumpTarget } from './check-insn.ts';
import type { Verifier } from './env.ts';

const FLOW: ReadonlySet<number> = new Set([BPF_JMP, BPF_JMP32]);

/** A jump with a condition, `may_goto` among them. */
export const isConditional = (insn: Insn): boolean => {
  const op = insn.code & 0xf0;
  return FLOW.has(classOf(insn)) && op !== BPF_CALL && op !== BPF_EXIT && op !== BPF_JA;
};
export const isMayGoto = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_JCOND);
export const isExit = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_EXIT);
export const isJa = (insn: Insn): boolean => FLOW.has(classOf(insn)) && (insn.code & 0xf0) === BPF_JA;

/** Instructions of the same subprogram that may run next; calls go on behind themselves. */
export function successors(insns: readonly Insn[], pc: number): readonly number[] {
  const insn = insns[pc];
  if (isExit(insn)) return [];
  if (isJa(insn)) return [jumpTarget(insn, pc)];
  const next = pc + (isLdImm64(insn) ? 2 : 1);
  if (isConditional(insn)) return [next, jumpTarget(insn, pc)];
  return [next];
}

const DISCOVERED = 1;
const EXPLORED = 2;

/** Depth first from each subprogram that is used; refuses what cannot be reached. */
export function checkCfg(v: Verifier): void {
  const { insns, info } = v;
  const state = new Uint8Array(insns.length);
  const stack: { pc: number; edges: readonly number[]; next: number }[] = [];
  const enter = (pc: number): void => {
    state[pc] = DISCOVERED;
    stack.push({ pc, edges: visit(v, pc), next: 0 });
  };
  enter(0);
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    if (top.next === top.edges.length) {
      state[top.pc] = EXPLORED;
      stack.pop();
      continue;
    }
    const to = top.edges[top.next++];
    if (to < 0 || to >= insns.length) v.reject(EINVAL, `jump out of range from insn ${top.pc} to ${to}`);
    if (state[to] === 0) enter(to);
    else if (state[to] === DISCOVERED && !v.bpfCapable) v.reject(EINVAL, `back-edge from insn ${top.pc} to ${to}`);
  }
  for (let pc = 0; pc < insns.length; pc++) {
    if (state[pc] !== EXPLORED) v.reject(EINVAL, `unreachable insn ${pc}`);
    if (isLdImm64(insns[pc])) {
      if (state[pc + 1] !== 0) v.reject(EINVAL, `jump into the middle of ldimm64 insn ${pc}`);
      pc++;
    }
  }
  info[0].prunePoint = true;
}

/** Marks what the instruction makes of its surroundings; where the walk can go from it. */
function visit(v: Verifier, pc: number): readonly number[] {
  const { insns, info } = v;
  const insn = insns[pc];
  const mark = (to: number, jump: boolean): void => {
    if (info[to] === undefined) return;
    info[to].prunePoint = true;
    if (jump) info[to].jmpPoint = true;
  };
  if (isPseudoFunc(insn)) {
    const to = pc + insn.imm + 1;
    mark(pc + 2, true);
    mark(pc, false);
    mark(to, true);
    return [pc + 2, to];
  }
  if (isExit(insn)) return [];
  if (isJa(insn)) {
    const to = jumpTarget(insn, pc);
    mark(to, true);
    return [to];
  }
  if (FLOW.has(classOf(insn)) && (insn.code & 0xf0) === BPF_CALL) {
    if (callsAsyncCallback(insn, v.spec)) mark(pc, false);
    if (callsSyncCallback(insn, v.spec)) {
      info[pc].callsCallback = true;
      info[pc].forceCheckpoint = true;
      mark(pc, true);
    } else if (isIterNext(insn, v.spec)) {
      info[pc].forceCheckpoint = true;
      mark(pc, false);
    }
    mark(pc + 1, true);
    if (!isPseudoCall(insn)) return [pc + 1];
    const to = pc + insn.imm + 1;
    mark(pc, false);
    mark(to, true);
    return [pc + 1, to];
  }
  if (isConditional(insn)) {
    mark(pc, false);
    if (isMayGoto(insn)) info[pc].forceCheckpoint = true;
    const to = jumpTarget(insn, pc);
    mark(to, true);
    return [pc + 1, to];
  }
  return [pc + (isLdImm64(insn) ? 2 : 1)];
}
