/** The path since the last recorded state: enough to walk it backwards. */
import type { Verifier } from './env.ts';
import type { State, Step } from './state.ts';

function step(v: Verifier, state: State): Step {
  const last = state.history;
  // One instruction adds one step, however often it is mentioned. `current` is cleared when the next one begins.
  if (last !== undefined && v.currentStep === last) return last;
  const added: Step = { before: last, insn: v.insn, prev: v.prevInsn, frame: -1, spi: -1, linked: undefined };
  state.history = added;
  state.steps++;
  v.currentStep = added;
  return added;
}

/** The instruction can be reached by a jump, or leaves the straight line. */
export function noteJump(v: Verifier): void {
  step(v, v.state);
}

/** The instruction reads or writes a register's value in that stack slot. */
export function noteStackAccess(v: Verifier, frame: number, spi: number): void {
  const s = step(v, v.state);
  s.frame = frame;
  s.spi = spi;
}

/** The comparison narrows these registers together; see `Step.linked`. */
export function noteLinked(v: Verifier, linked: readonly number[]): void {
  step(v, v.state).linked = linked;
}
