/**
 * Dynptrs: two stack slots (16 bytes) that only helpers and kernel functions read and write; what they point to has a
 * size known at run time (Documentation/bpf/kfuncs.rst, bpf-helpers(7)).
 */
import { EINVAL } from '../../core/errno.ts';
import type { Verifier } from './env.ts';
import { markStackRead, markStackWrite } from './live-stack.ts';
import { acquireRef, releaseRef } from './refs.ts';
import { CONST_PTR_TO_DYNPTR, PTR_TO_STACK, type Reg } from './reg.ts';
import { checkStackBounds, frameOf, writeStack } from './stack.ts';
import { destroyDynptrAt } from './stack-objects.ts';
import { type FuncState, STACK_DYNPTR, STACK_INVALID } from './state.ts';
import { setPointer, setUninit } from './values.ts';

/** What a dynptr points to. */
export type DynptrKind = 'local' | 'ringbuf' | 'skb' | 'xdp' | 'skb_meta';

const DYNPTR_SLOTS = 2;

/** Kinds that must be given back. */
const isRefcounted = (kind: string): boolean => kind === 'ringbuf';

/** `objectSlot`: beyond the used stack; at a place where no such object can be. */
const OUT_OF_FRAME = -1;
const BAD_PLACE = -2;

/**
 * Slot number of the lower half of an object of `slots` slots on the stack that the register points to; negative when
 * there cannot be one.
 */
export function objectSlot(v: Verifier, reg: Reg, what: string, slots: number): number {
  if (reg.mask !== 0n) {
    v.note(`${what} has to be at a constant offset`);
    return BAD_PLACE;
  }
  const off = reg.off + Number(BigInt.asIntN(64, reg.value));
  const spi = (-off - 1) >> 3;
  if (off % 8 !== 0 || spi + 1 < slots) {
    v.note(`cannot pass in ${what} at an offset=${off}`);
    return BAD_PLACE;
  }
  return spi < frameOf(v, reg).stack.length ? spi : OUT_OF_FRAME;
}

/** The slot that describes an initialised dynptr; undefined when there is none at this place. */
function initialised(v: Verifier, reg: Reg): { frame: FuncState; spi: number } | undefined {
  const spi = objectSlot(v, reg, 'dynptr', DYNPTR_SLOTS);
  if (spi < 0) return undefined;
  const frame = frameOf(v, reg);
  const upper = frame.stack[spi - 1];
  const lower = frame.stack[spi];
  if (!lower.is(STACK_DYNPTR) || !upper.is(STACK_DYNPTR) || !lower.reg.dynptrFirst) return undefined;
  return { frame, spi };
}

/** Id, reference and kind of the dynptr behind an argument that was checked. */
export function dynptrOf(v: Verifier, reg: Reg): Reg {
  if (reg.type === CONST_PTR_TO_DYNPTR) return reg;
  const at = initialised(v, reg);
  return at === undefined ? reg : at.frame.stack[at.spi].reg;
}

/** The argument of a releasing helper is no dynptr that holds a reference. */
export function isUnacquiredDynptr(v: Verifier, regno: number): boolean {
  const reg = v.regs[regno];
  const spi = objectSlot(v, reg, 'dynptr', DYNPTR_SLOTS);
  return spi < 0 || frameOf(v, reg).stack[spi].reg.refId === 0;
}

/** What a dynptr argument must be, or becomes. */
export type DynptrArg = {
  readonly uninit?: boolean;
  readonly readOnly?: boolean;
  /** The kind taken; any when absent. For an uninitialised one: the kind made. */
  readonly dynptr?: DynptrKind;
  /** The dynptr that this one becomes a clone of. */
  readonly parent?: Reg;
};

/** Checks a dynptr argument; an `uninit` one becomes a dynptr. */
export function dynptrArg(v: Verifier, regno: number, arg: DynptrArg): void {
  const reg = v.regs[regno];
  if (reg.type !== PTR_TO_STACK && reg.type !== CONST_PTR_TO_DYNPTR)
    v.reject(EINVAL, `arg#${regno - 1} expected pointer to stack or const struct bpf_dynptr`);
  if (arg.uninit === true) {
    if (reg.type === CONST_PTR_TO_DYNPTR || objectSlot(v, reg, 'dynptr', DYNPTR_SLOTS) === BAD_PLACE)
      v.reject(EINVAL, 'Dynptr has to be an uninitialized dynptr');
    for (const at of [0, 8]) {
      checkStackBounds(v, regno, reg.off + at, 8, ' write to', true);
      writeStack(v, regno, reg.off + at, 8, { reg: undefined, regno: -1, imm: undefined });
    }
    makeDynptr(v, reg, arg.dynptr ?? 'local', arg.parent);
    return;
  }
  if (reg.type === CONST_PTR_TO_DYNPTR) {
    if (arg.readOnly !== true) v.reject(EINVAL, 'cannot pass pointer to const bpf_dynptr, the helper mutates it');
  } else {
    const at = initialised(v, reg);
    if (at === undefined) v.reject(EINVAL, `Expected an initialized dynptr as arg #${regno - 1}`);
    for (const s of [at!.spi - 1, at!.spi]) markStackRead(v, at!.frame.frameno, s);
  }
  if (arg.dynptr !== undefined && dynptrOf(v, reg).dynptrKind !== arg.dynptr)
    v.reject(EINVAL, `Expected a dynptr of type ${arg.dynptr} as arg #${regno - 1}`);
}

function makeDynptr(v: Verifier, reg: Reg, kind: DynptrKind, parent: Reg | undefined): void {
  const frame = frameOf(v, reg);
  const spi = objectSlot(v, reg, 'dynptr', DYNPTR_SLOTS);
  // The two slots may belong to two different dynptrs so far.
  destroyDynptrAt(v, frame, spi);
  destroyDynptrAt(v, frame, spi - 1);
  const id = v.newId();
  const refId = isRefcounted(kind) ? (parent?.refId ?? acquireRef(v, v.insn)) : 0;
  for (const s of [spi, spi - 1]) {
    const slot = frame.stack[s];
    slot.fill(STACK_DYNPTR);
    setDynptr(slot.reg, kind, s === spi, id);
    slot.reg.refId = refId;
    markStackWrite(v, frame.frameno, s);
    v.scratchSlot(frame.frameno, s);
  }
}

/** A register, or one half of a dynptr on the stack. */
export function setDynptr(reg: Reg, kind: DynptrKind, first: boolean, id: number): void {
  setPointer(reg, CONST_PTR_TO_DYNPTR);
  reg.id = id;
  reg.dynptrKind = kind;
  reg.dynptrFirst = first;
}

function forget(v: Verifier, frame: FuncState, spi: number): void {
  for (const s of [spi, spi - 1]) {
    frame.stack[s].fill(STACK_INVALID);
    setUninit(frame.stack[s].reg);
    markStackWrite(v, frame.frameno, s);
    v.scratchSlot(frame.frameno, s);
  }
}

/** The dynptr at this argument is given back: its clones and all slices of them are gone too. */
export function releaseDynptr(v: Verifier, reg: Reg): void {
  const at = initialised(v, reg);
  if (at === undefined) return;
  const { refId } = at.frame.stack[at.spi].reg;
  if (refId === 0) return forget(v, at.frame, at.spi);
  releaseRef(v, refId);
  const { stack } = at.frame;
  for (let s = 1; s < stack.length; s++)
    if (stack[s].is(STACK_DYNPTR) && stack[s].reg.refId === refId && stack[s].reg.dynptrFirst) forget(v, at.frame, s);
}
