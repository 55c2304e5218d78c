/** Paths that are still to be walked. */
import { EFAULT } from '../../core/errno.ts';
import type { Verifier } from './env.ts';
import { leaveLoop } from './loops.ts';
import type { State } from './state.ts';

/** More branches in a row than this are refused. */
const MAX_PENDING = 8192;

/** A copy of the current state, to be walked from `insn` later. */
export function pushBranch(v: Verifier, insn: number, prev: number, speculative = false): State {
  const state = v.state.clone();
  state.speculative = state.speculative || speculative;
  state.cleaned = false;
  pushPath(v, state, insn, prev);
  return state;
}

export function pushPath(v: Verifier, state: State, insn: number, prev: number): void {
  v.push(state, insn, prev);
  if (v.pending.length > MAX_PENDING) v.reject(EFAULT, `The sequence of ${v.pending.length} jumps is too complex.`);
  if (state.parent !== undefined) state.parent.branches++;
}

/** The current path has ended: recorded states count one path less each, as far as they have no other. */
export function endPath(v: Verifier, state: State): void {
  let at: State | undefined = state.parent;
  while (at !== undefined) {
    at.branches--;
    if (at.branches > 0) return;
    leaveLoop(v, at);
    if (at.evicted) v.statesKept--;
    at = at.parent;
  }
}
