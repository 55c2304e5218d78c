/**
 * Open-coded iterators: one stack slot that a `new`, a `next` and a `destroy` function share (Documentation/bpf/
 * kfuncs.rst). `next` is walked twice: once it finds nothing more, once there is another element.
 */
import { EINVAL } from '../../core/errno.ts';
import { objectSlot } from './dynptr.ts';
import type { Verifier } from './env.ts';
import { markStackRead, markStackWrite } from './live-stack.ts';
import { checkMemAccess } from './memory.ts';
import { markNotNull } from './null.ts';
import { pushBranch } from './paths.ts';
import { findPreviousEntry, widen } from './prune.ts';
import { acquireRef, releaseRef } from './refs.ts';
import { PTR_TO_STACK } from './reg.ts';
import { frameOf } from './stack.ts';
import { STACK_INVALID, STACK_ITER, type StackSlot } from './state.ts';
import { setKnown, setPointer, setUninit } from './values.ts';

/** Where an iterator lies. */
export type IterPlace = { readonly frame: number; readonly spi: number };

/** R`regno` is the iterator of a `new`: an unused slot that becomes one. */
export function newIter(v: Verifier, regno: number, kind: string): void {
  const reg = pointer(v, regno);
  const spi = objectSlot(v, reg, 'iter', 1);
  const frame = frameOf(v, reg);
  if (spi < -1 || (spi >= 0 && touchesIter(frame.stack[spi])))
    v.reject(EINVAL, `expected uninitialized iter_${kind} as arg #${regno - 1}`);
  checkMemAccess(v, regno, 0, 8, { write: true, regno: undefined });
  const slot = frame.slot(objectSlot(v, reg, 'iter', 1));
  setPointer(slot.reg, PTR_TO_STACK);
  slot.reg.refId = acquireRef(v, v.insn);
  slot.reg.iterKind = kind;
  slot.reg.iterActive = true;
  slot.reg.iterDepth = 0;
  slot.fill(STACK_ITER);
  const at = objectSlot(v, reg, 'iter', 1);
  markStackWrite(v, frame.frameno, at);
  v.scratchSlot(frame.frameno, at);
}

function touchesIter(slot: StackSlot): boolean {
  for (let j = 0; j < 8; j++) if (slot.at(j) === STACK_ITER) return true;
  return false;
}

function pointer(v: Verifier, regno: number) {
  const reg = v.regs[regno];
  if (reg.type !== PTR_TO_STACK) v.reject(EINVAL, `arg#${regno - 1} expected pointer to an iterator on stack`);
  return reg;
}

/** R`regno` is an iterator that a `new` has made. */
export function initialisedIter(v: Verifier, regno: number, kind: string): IterPlace {
  const reg = pointer(v, regno);
  const spi = objectSlot(v, reg, 'iter', 1);
  const slot = spi < 0 ? undefined : frameOf(v, reg).stack[spi];
  if (slot === undefined || !slot.is(STACK_ITER) || slot.reg.iterKind !== kind || slot.reg.refId === 0)
    return v.reject(EINVAL, `expected an initialized iter_${kind} as arg #${regno - 1}`);
  markStackRead(v, reg.frame, spi);
  v.scratchSlot(reg.frame, spi);
  return { frame: reg.frame, spi };
}

export function destroyIter(v: Verifier, place: IterPlace): void {
  const slot = v.state.frames[place.frame].stack[place.spi];
  releaseRef(v, slot.reg.refId);
  setUninit(slot.reg);
  slot.fill(STACK_INVALID);
  markStackWrite(v, place.frame, place.spi);
  v.scratchSlot(place.frame, place.spi);
}

/** R0 holds the element or NULL: the path with an element is walked later, this one goes on without. */
export function nextIter(v: Verifier, place: IterPlace): void {
  const { state } = v;
  const iter = state.frames[place.frame].stack[place.spi].reg;
  if (iter.iterActive) {
    // The state recorded at this very instruction is no earlier round.
    const before = findPreviousEntry(state.parent, v.insn);
    const other = pushBranch(v, v.insn + 1, v.insn);
    other.frames[place.frame].stack[place.spi].reg.iterDepth++;
    if (before !== undefined) widen(v, before, other);
    markNotNull(other.frame.regs[0]);
  }
  iter.iterActive = false;
  setKnown(v, state.frame.regs[0], 0n);
}
