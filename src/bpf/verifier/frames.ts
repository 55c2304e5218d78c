/** Calling a subprogram and coming back. */
import { E2BIG, EACCES, EINVAL } from '../../core/errno.ts';
import { BPF_REG_FP, MAX_CALL_FRAMES } from '../insn.ts';
import type { Verifier } from './env.ts';
import { checkGlobalCall } from './global.ts';
import { pushBranch, pushPath } from './paths.ts';
import { markPrecise } from './precision.ts';
import { findPreviousEntry, widen } from './prune.ts';
import { clearCallerSaved } from './read.ts';
import { PTR_TO_STACK, type Reg, S64_MAX, S64_MIN, SCALAR_VALUE } from './reg.ts';
import { FuncState, type RetRange, State } from './state.ts';
import { stateText } from './state-text.ts';
import { setPointer, setUnknown } from './values.ts';

/** Gives a callee its arguments. `caller` is the frame that calls it, or calls the helper that does. */
export type SetCallee = (v: Verifier, caller: FuncState, callee: FuncState, insn: number) => void;

/** The frame of a function that has just been entered: only the frame pointer is there. */
export function newFrame(callsite: number, frameno: number, subprog: number): FuncState {
  const frame = new FuncState(callsite, frameno, subprog);
  setPointer(frame.regs[BPF_REG_FP], PTR_TO_STACK);
  frame.regs[BPF_REG_FP].frame = frameno;
  return frame;
}

/** Puts a frame for `subprog` on top of the state's frames. */
function enterFrame(v: Verifier, state: State, subprog: number, callsite: number): FuncState {
  const depth = state.frames.length;
  if (depth >= MAX_CALL_FRAMES) v.reject(E2BIG, `the call stack of ${depth + 1} frames is too deep`);
  const callee = newFrame(callsite, depth, subprog);
  state.frames.push(callee);
  v.scratchAll();
  return callee;
}

/** A path on which the helper calls the function (once more); the current path is the one on which it does not. */
export function pushCallback(v: Verifier, insn: number, subprog: number, setCallee: SetCallee): void {
  v.subprogs[subprog].isCallback = true;
  v.subprogs[subprog].called = true;
  const state = pushBranch(v, v.subprogs[subprog].start, insn);
  const caller = state.frame;
  const callee = enterFrame(v, state, subprog, insn);
  callee.inCallback = true;
  setCallee(v, caller, callee, insn);
  state.callbackUnrollDepth++;
  caller.callbackDepth++;
  v.frame.callbackDepth = 0;
}

/** A function that will be called later, with nothing on the stack below it (timers). */
export function pushAsyncCallback(v: Verifier, insn: number, subprog: number, setCallee: SetCallee): void {
  v.subprogs[subprog].isCallback = true;
  v.subprogs[subprog].isAsyncCallback = true;
  v.subprogs[subprog].called = true;
  const caller = v.frame;
  const state = new State();
  const callee = newFrame(-1, 0, subprog);
  state.frames.push(callee);
  v.scratchAll();
  state.firstInsn = v.subprogs[subprog].start;
  callee.inAsyncCallback = true;
  callee.asyncEntries = caller.asyncEntries + 1;
  setCallee(v, caller, callee, insn);
  pushPath(v, state, v.subprogs[subprog].start, insn);
}

/** A call of another function of the program. Returns where the path goes on. */
export function callSubprog(v: Verifier, insn: number, target: number): number {
  const index = v.subprogs.findIndex((s) => s.start === target);
  const subprog = v.subprogs[index];
  subprog.called = true;
  if (subprog.isGlobal) {
    checkGlobalCall(v, index);
    v.log.line(`Func#${index} ('${subprog.name}') is global and assumed valid.`);
    clearCallerSaved(v, v.regs);
    setUnknown(v, v.regs[0]);
    return insn + 1;
  }
  const caller = v.frame;
  const callee = enterFrame(v, v.state, index, insn);
  for (let i = 1; i <= 5; i++) callee.regs[i].copy(caller.regs[i]);
  clearCallerSaved(v, caller.regs);
  if (v.log.verbose) {
    v.log.write(`caller:\n${stateText(v, v.state, caller.frameno, true)}\n`);
    v.log.write(`callee:\n${stateText(v, v.state, v.state.depth, true)}\n`);
  }
  return target;
}

/** "At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]" */
export function badRange(reg: Reg, range: RetRange, where: string, name: string): string {
  let has = '';
  if (reg.smin > S64_MIN) has += ` smin=${reg.smin}`;
  if (reg.smax < S64_MAX) has += ` smax=${reg.smax}`;
  if (has === '') has = ' unknown scalar value';
  return `${where} the register ${name} has${has} should have been in [${range.min}, ${range.max}]`;
}

/** The innermost function returns. Returns where its caller goes on. */
export function returnFromFrame(v: Verifier): number {
  const { state } = v;
  const callee = state.frame;
  const r0 = callee.regs[0];
  if (r0.type === PTR_TO_STACK) v.reject(EINVAL, 'cannot return stack pointer to the caller');
  const caller = state.frames[state.depth - 1];
  if (callee.inCallback) {
    if (r0.type !== SCALAR_VALUE) v.reject(EACCES, 'R0 not a scalar value');
    markPrecise(v, 0);
    const range = callee.callbackRet ?? { min: 0, max: 0 };
    if (r0.smin < BigInt(range.min) || r0.smax > BigInt(range.max))
      v.reject(EINVAL, badRange(r0, range, 'At callback return', 'R0'));
  } else caller.regs[0].copy(r0);
  const next = callee.inCallback ? callee.callsite : callee.callsite + 1;
  if (v.log.verbose) {
    v.log.write(`returning from callee:\n${stateText(v, state, state.depth, true)}\n`);
    v.log.write(`to caller at ${next}:\n${stateText(v, state, caller.frameno, true)}\n`);
  }
  state.frames.pop();
  if (callee.inCallback) {
    const before = findPreviousEntry(state, next);
    if (before !== undefined) widen(v, before, state);
  }
  return next;
}
