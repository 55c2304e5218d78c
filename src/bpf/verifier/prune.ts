/**
 * Recorded states: a path that comes to a place in a state no worse than one that was walked from there needs no walking
 * again; and one that comes back to the very same state goes round for ever (Documentation/bpf/verifier.rst, "Pruning").
 */
import { EINVAL } from '../../core/errno.ts';
import { isIterNext } from './call/kinds.ts';
import { isMayGoto } from './cfg.ts';
import { sameValues, statesEqual } from './compare.ts';
import type { Explored, Verifier } from './env.ts';
import { noteJump } from './history.ts';
import { addBackEdge, enterLoop, marksIncomplete } from './loops.ts';
import { propagatePrecision } from './precision.ts';
import { type Reg, SCALAR_VALUE } from './reg.ts';
import { STACK_INVALID, STACK_ITER, type State } from './state.ts';
import { stateText } from './state-text.ts';
import { setUninit, setUnknown } from './values.ts';

/** States kept for one instruction without CAP_BPF. */
const MAX_STATES = 64;
/** Checkpoints inside loops that are walked until they settle are given more time before they are forgotten. */
const PATIENCE = 3;
const LOOP_PATIENCE = 64;

/** The last recorded state before `now` that stands at `insn` with the same calls, on the way that led here. */
export function findPreviousEntry(now: State | undefined, insn: number): State | undefined {
  for (let s = now?.parent; s !== undefined; s = s.parent)
    if (s.insn === insn && s.depth === now?.depth && s.frames.every((f, i) => f.callsite === now?.frames[i].callsite))
      return s;
  return undefined;
}

/** Scalars that changed since `before`, and that nothing depends on exactly, are forgotten, so that a loop settles. */
export function widen(v: Verifier, before: State, now: State): void {
  const loosen = (old: Reg, cur: Reg): void => {
    if (old.type !== SCALAR_VALUE || cur.type !== SCALAR_VALUE) return;
    if (old.precise || cur.precise || (sameValues(old, cur) && old.id === cur.id)) return;
    setUnknown(v, cur);
  };
  for (let f = Math.min(before.depth, now.depth); f >= 0; f--) {
    const a = before.frames[f];
    const b = now.frames[f];
    for (let i = 0; i < 10; i++) loosen(a.regs[i], b.regs[i]);
    for (let s = 0; s < Math.min(a.stack.length, b.stack.length); s++)
      if (a.stack[s].spilled && b.stack[s].spilled && a.stack[s].types === b.stack[s].types)
        loosen(a.stack[s].reg, b.stack[s].reg);
  }
}

/** Forgets registers and slots that nothing reads any more. All paths from the state have ended. */
function clean(v: Verifier, state: State): void {
  state.cleaned = true;
  for (let f = 0; f <= state.depth; f++) {
    const frame = state.frames[f];
    const pc = f === state.depth ? state.insn : state.frames[f + 1].callsite;
    const alive = v.info[pc].liveRegs;
    for (let i = 0; i < 10; i++) if (((alive >> i) & 1) === 0) setUninit(frame.regs[i]);
    frame.stack.forEach((slot, spi) => {
      if (slot.types === 0) return;
      if (v.liveStack.alive(v, state, f, spi)) return;
      slot.fill(STACK_INVALID);
      setUninit(slot.reg);
    });
  }
}

/** An iterator is being walked at different depths: the loop makes progress. */
function iteratorsAdvanced(old: State, cur: State): boolean {
  for (let f = 0; f <= old.depth; f++)
    for (let s = 0; s < old.frames[f].stack.length; s++) {
      const a = old.frames[f].stack[s];
      const b = cur.frames[f]?.stack[s];
      if (a.types >>> 28 !== STACK_ITER || b === undefined) continue;
      if (a.reg.iterActive && a.reg.iterDepth !== b.reg.iterDepth) return true;
    }
  return false;
}

/** Quick look before a whole comparison: the same registers of the innermost frame. */
function mayBeLooping(old: State, cur: State): boolean {
  if (old.depth !== cur.depth) return false;
  const a = old.frame.regs;
  const b = cur.frame.regs;
  for (let i = 0; i <= 10; i++)
    if (a[i].type !== b[i].type || !sameValues(a[i], b[i]) || a[i].off !== b[i].off) return false;
  return true;
}

/** The iterator that this call of `next` was given is still giving elements. */
function iteratorActive(v: Verifier, state: State): boolean {
  const reg = v.regs[1];
  const frame = state.frames[reg.frame];
  const spi = (-(reg.off + Number(BigInt.asIntN(64, reg.value))) - 1) >> 3;
  return frame?.stack[spi]?.reg.iterActive === true;
}

type Found = 'hit' | 'loop' | 'miss' | 'young';

/** Compares with a recorded state from which paths are still being walked. */
function compareOpen(v: Verifier, old: State, cur: State): Found {
  const insn = v.insns[v.insn];
  if (old.frame.inAsyncCallback && old.frame.asyncEntries !== cur.frame.asyncEntries) return 'miss';
  if (isIterNext(insn, v.spec)) return statesEqual(v, old, cur, 'within') && iteratorActive(v, cur) ? 'loop' : 'miss';
  if (isMayGoto(insn) && old.mayGotoDepth !== cur.mayGotoDepth && statesEqual(v, old, cur, 'within')) return 'loop';
  if (v.info[v.insn].callsCallback) return statesEqual(v, old, cur, 'within') ? 'loop' : 'miss';
  if (
    mayBeLooping(old, cur) &&
    statesEqual(v, old, cur, 'exact') &&
    !iteratorsAdvanced(old, cur) &&
    old.mayGotoDepth === cur.mayGotoDepth &&
    old.callbackUnrollDepth === cur.callbackUnrollDepth
  ) {
    const states =
      `cur state:${stateText(v, cur, cur.depth, true)}\n` + `old state:${stateText(v, old, old.depth, true)}\n`;
    v.reject(EINVAL, `infinite loop detected at insn ${v.insn}`, states);
  }
  return 'young';
}

/** True: the path need not be walked on. Otherwise the state may be recorded. */
export function stateVisited(v: Verifier): boolean {
  const { insn, state: cur } = v;
  const info = v.info[insn];
  const force = v.testStateFreq || info.forceCheckpoint || cur.steps > 40;
  let record = force;
  if (v.jumpsProcessed - v.prevJumpsProcessed >= 2 && v.processed - v.prevProcessed >= 8) record = true;
  cur.insn = insn;
  // The kernel's hash table: a function called from several places has a list for each, but for collisions.
  const bucket = ((insn ^ cur.frame.callsite) >>> 0) % v.insns.length;
  let list = v.explored.get(bucket);
  if (list === undefined) {
    list = [];
    v.explored.set(bucket, list);
  }
  let states = 0;
  for (let i = list.length - 1; i >= 0; i--) {
    const entry = list[i];
    const old = entry.state;
    states++;
    if (old.insn !== insn) continue;
    let found: Found;
    if (old.branches > 0) {
      found = compareOpen(v, old, cur);
      if (found === 'young') {
        // Do not record at every turn of a short loop.
        if (!force && v.jumpsProcessed - v.prevJumpsProcessed < 20 && v.processed - v.prevProcessed < 100)
          record = false;
        found = 'miss';
      }
    } else {
      const open = marksIncomplete(old);
      if (!old.cleaned && !open) clean(v, old);
      if (!statesEqual(v, old, cur, open ? 'within' : 'loose')) found = 'miss';
      else found = open ? 'loop' : 'hit';
    }
    if (found !== 'miss') {
      entry.hits++;
      if (info.jmpPoint) noteJump(v);
      propagatePrecision(v, old, cur);
      if (found === 'loop') addBackEdge(v, old, cur);
      return true;
    }
    if (record) entry.misses++;
    const patience = info.forceCheckpoint && old.branches > 0 ? LOOP_PATIENCE : PATIENCE;
    if (entry.misses > entry.hits * patience + patience) {
      list.splice(i, 1);
      // Paths that go on from it still need it.
      if (old.branches === 0) v.statesKept--;
      else old.evicted = true;
    }
  }
  v.maxStatesPerInsn = Math.max(v.maxStatesPerInsn, states);
  if (!v.bpfCapable && states > MAX_STATES) return false;
  if (!record) return false;
  recordState(v, list);
  return false;
}

function recordState(v: Verifier, list: Explored[]): void {
  const cur = v.state;
  v.totalStates++;
  v.prevJumpsProcessed = v.jumpsProcessed;
  v.prevProcessed = v.processed;
  if (v.bpfCapable) forgetPrecision(cur);
  cur.insn = v.insn;
  cur.lastInsn = v.prevInsn;
  const recorded = cur.clone();
  recorded.branches = 1;
  enterLoop(v, recorded);
  list.push({ state: recorded, hits: 0, misses: 0 });
  v.statesKept++;
  v.peakStates = Math.max(v.peakStates, v.statesKept);
  cur.parent = recorded;
  cur.firstInsn = v.insn;
  cur.dfsDepth = recorded.dfsDepth + 1;
  cur.history = undefined;
  cur.steps = 0;
}

/** A recorded state starts with nothing known to matter. */
function forgetPrecision(state: State): void {
  for (const frame of state.frames) {
    for (const reg of frame.regs) if (reg.type === SCALAR_VALUE) reg.precise = false;
    for (const slot of frame.stack) if (slot.spilledScalar) slot.reg.precise = false;
  }
}
