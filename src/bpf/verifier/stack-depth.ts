/** All frames that can be active at once fit in 512 bytes of stack, and tail calls do not add to deep ones. */
import { E2BIG, EACCES } from '../../core/errno.ts';
import { MAX_BPF_STACK, MAX_CALL_FRAMES } from '../insn.ts';
import { isPseudoCall, isPseudoFunc } from './check-insn.ts';
import type { Verifier } from './env.ts';

/** A function that makes tail calls must not be called with more stack than this in use. */
const MAX_TAIL_CALL_STACK = 256;

/** The JIT keeps frames 16-byte aligned. */
const rounded = (depth: number): number => Math.ceil(depth / 16) * 16;

/** Functions called from each function: by calls, and by helpers that call back before they return. */
function callees(v: Verifier): number[][] {
  const index = new Map(v.subprogs.map((s, i) => [s.start, i]));
  return v.subprogs.map((s) => {
    const found: number[] = [];
    for (let pc = s.start; pc < s.end; pc++) {
      const insn = v.insns[pc];
      if (!isPseudoCall(insn) && !isPseudoFunc(insn)) continue;
      const target = index.get(pc + insn.imm + 1);
      if (target === undefined) continue;
      // A timer's callback starts on an empty stack.
      if (isPseudoFunc(insn) && v.subprogs[target].isAsyncCallback) continue;
      found.push(target);
    }
    return found;
  });
}

export function checkStackDepth(v: Verifier): void {
  const calls = callees(v);
  const walk = (index: number, chain: number[], depth: number): void => {
    const s = v.subprogs[index];
    if (index > 0 && s.hasTailCall && depth >= MAX_TAIL_CALL_STACK)
      v.reject(EACCES, `tail_calls are not allowed when call stack of previous frames is ${depth} bytes. Too large`);
    const used = depth + rounded(s.stackDepth);
    const frames = [...chain, index];
    if (used > MAX_BPF_STACK) v.reject(EACCES, `combined stack size of ${frames.length} calls is ${used}. Too large`);
    for (const callee of calls[index]) {
      if (frames.length >= MAX_CALL_FRAMES) v.reject(E2BIG, `the call stack of ${frames.length} frames is too deep !`);
      walk(callee, frames, used);
    }
  };
  v.subprogs.forEach((s, i) => {
    if (i > 0 && !s.isAsyncCallback) return;
    walk(i, [], 0);
  });
}
