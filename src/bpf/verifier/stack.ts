/**
 * Reading and writing the stack: which bytes are initialised, which slots hold spilled registers, and what of a register
 * comes back when it is filled again.
 */
import { EACCES, EFAULT, EINVAL } from '../../core/errno.ts';
import { MAX_BPF_STACK } from '../insn.ts';
import type { Verifier } from './env.ts';
import { noteStackAccess } from './history.ts';
import { markStackRead, markStackWrite } from './live-stack.ts';
import { markPrecise } from './precision.ts';
import { leaksPointer } from './read.ts';
import {
  CONST_PTR_TO_DYNPTR,
  isConst,
  NOT_INIT,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  type Reg,
  SCALAR_VALUE,
} from './reg.ts';
import { BPF_MAX_VAR_OFF } from './regions.ts';
import { assignScalarId, regWidth } from './scalar-id.ts';
import { destroyDynptrAt } from './stack-objects.ts';
import {
  type FuncState,
  STACK_DYNPTR,
  STACK_INVALID,
  STACK_ITER,
  STACK_MISC,
  STACK_SPILL,
  STACK_ZERO,
  type StackSlot,
} from './state.ts';
import { tnumPair } from './text.ts';
import { setKnown, setUnknown } from './values.ts';

export const spiOf = (off: number): number => (-off - 1) >> 3;
/** Nibble of the byte at a stack offset. */
const nibbleOf = (off: number): number => (-off - 1) & 7;

/** The frame that a stack pointer points into. */
export const frameOf = (v: Verifier, reg: Reg): FuncState => v.state.frames[reg.frame];

const constantOffset = (reg: Reg): boolean => reg.mask === 0n;

/** The access lies in the 512 bytes of the frame; `what` is " read from", " write to" or "". The stack grows to hold it. */
export function checkStackBounds(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  what: string,
  write: boolean,
): void {
  const reg = v.regs[regno];
  const frame = frameOf(v, reg);
  let low: bigint;
  let high: bigint;
  if (constantOffset(reg)) {
    low = BigInt.asIntN(64, reg.value) + BigInt(off);
    high = low + BigInt(size);
  } else {
    if (reg.smax >= BPF_MAX_VAR_OFF || reg.smin <= -BPF_MAX_VAR_OFF)
      v.reject(EACCES, `invalid unbounded variable-offset${what} stack R${regno}`);
    low = reg.smin + BigInt(off);
    high = reg.smax + BigInt(off) + BigInt(size);
  }
  const lowest = write || v.allowPtrLeaks ? -MAX_BPF_STACK : -frame.stack.length * 8;
  let errno = 0;
  if (low < BigInt(lowest) || low > -1n) errno = EACCES;
  else if (high > 0n) errno = EINVAL;
  else if (size < 0) errno = EFAULT;
  if (errno !== 0)
    v.reject(
      errno,
      constantOffset(reg)
        ? `invalid${what} stack R${regno} off=${low} size=${size}`
        : `invalid variable-offset${what} stack R${regno} var_off=${tnumPair(reg)} off=${off} size=${size}`,
    );
  const depth = -Number(low);
  frame.slot(spiOf(-depth));
  const subprog = v.subprogs[frame.subprog];
  if (subprog.stackDepth < depth) subprog.stackDepth = depth;
}

function checkReadable(v: Verifier, slot: StackSlot | undefined, off: number, i: number, size: number): number {
  const type = slot === undefined ? STACK_INVALID : slot.at(nibbleOf(off + i));
  if (type === STACK_MISC || type === STACK_ZERO || type === STACK_SPILL) return type;
  if (type === STACK_INVALID && v.allowPtrLeaks) return type;
  return v.reject(EACCES, `invalid read from stack off ${off}+${i} size ${size}`);
}

/** Bytes of a spilled register's slot that hold the register. */
function spillSize(slot: StackSlot): number {
  let n = 1;
  for (let i = 7; i > 0 && slot.at(i - 1) === STACK_SPILL; i--) n++;
  return n;
}

/** A load of `size` bytes at a constant offset. `dst` undefined: an atomic read, the value goes nowhere. */
function readFixed(v: Verifier, frame: FuncState, off: number, size: number, dst: Reg | undefined): void {
  const spi = spiOf(off);
  const slot = frame.stack[spi];
  markStackRead(v, frame.frameno, spi);
  v.scratchSlot(frame.frameno, spi);
  if (slot?.spilled) {
    const reg = slot.reg;
    const spilled = spillSize(slot);
    if (size !== 8 || spilled !== 8) {
      if (reg.type !== SCALAR_VALUE) v.reject(EACCES, 'invalid size of register fill');
      if (dst === undefined) return;
      if (size <= spilled && off % 8 === 0) {
        const wider = regWidth(reg) > size * 8;
        dst.copy(reg);
        if (wider) {
          dst.id = 0;
          dst.off = 0;
        }
        noteStackAccess(v, frame.frameno, spi);
        return;
      }
      let fromSpill = 0;
      let zeros = 0;
      for (let i = 0; i < size; i++) {
        const type = slot.at(nibbleOf(off + i));
        if (type === STACK_SPILL) fromSpill++;
        else if (checkReadable(v, slot, off, i, size) === STACK_ZERO) zeros++;
      }
      if (fromSpill === size && isConst(reg) && reg.value === 0n) {
        setKnown(v, dst, 0n);
        noteStackAccess(v, frame.frameno, spi);
      } else if (zeros === size) {
        setKnown(v, dst, 0n);
      } else {
        setUnknown(v, dst);
      }
      return;
    }
    if (dst !== undefined) dst.copy(reg);
    else if (leaksPointer(v, reg)) v.reject(EACCES, `leaking pointer from stack off ${off}`);
    noteStackAccess(v, frame.frameno, spi);
    return;
  }
  for (let i = 0; i < size; i++) checkReadable(v, slot, off, i, size);
  if (dst !== undefined) readBytes(v, frame, off, off + size, dst);
}

/** The register gets bytes of the stack: zero when all of them are. */
function readBytes(v: Verifier, frame: FuncState, low: number, high: number, dst: Reg): void {
  let zeros = 0;
  for (let at = low; at < high; at++) {
    const slot = frame.stack[spiOf(at)];
    markStackRead(v, frame.frameno, spiOf(at));
    v.scratchSlot(frame.frameno, spiOf(at));
    if (slot?.at(nibbleOf(at)) !== STACK_ZERO) break;
    zeros++;
  }
  // Whoever wrote the zeros made them exact: the register need not be traced back.
  if (zeros === high - low) setKnown(v, dst, 0n);
  else setUnknown(v, dst);
}

/** A load through a stack pointer; `dst` undefined: the value goes nowhere. Bounds were checked. */
export function readStack(v: Verifier, regno: number, off: number, size: number, dst: Reg | undefined): void {
  const reg = v.regs[regno];
  const frame = frameOf(v, reg);
  if (constantOffset(reg)) {
    readFixed(v, frame, off + Number(BigInt.asIntN(64, reg.value)), size, dst);
    return;
  }
  if (dst === undefined)
    v.reject(
      EACCES,
      `variable offset stack pointer cannot be passed into helper function; var_off=${tnumPair(reg)} off=${off} size=${size}`,
    );
  const low = Number(reg.smin) + off;
  const high = Number(reg.smax) + off;
  checkStackRange(v, regno, off, size, false, false);
  readBytes(v, frame, low, high + size, dst);
}

function misc(slot: StackSlot, j: number): void {
  const type = slot.at(j);
  if (type === STACK_ZERO || type === STACK_INVALID) return;
  slot.set(j, STACK_MISC);
}

/** Puts a register into a slot: its low `size` bytes. */
function spill(slot: StackSlot, reg: Reg, size: number): void {
  slot.reg.copy(reg);
  for (let j = 7; j >= 8 - size; j--) slot.set(j, STACK_SPILL);
  for (let j = 7 - size; j >= 0; j--) misc(slot, j);
}

/** Bytes of a spilled register, dynptr or iterator become bytes of no meaning. */
export function scrub(slot: StackSlot): void {
  for (let j = 0; j < 8; j++) if (slot.at(j) !== STACK_INVALID) slot.set(j, STACK_MISC);
}

export type StoredValue = { readonly reg: Reg | undefined; readonly regno: number; readonly imm: number | undefined };

/** Pointers that come back whole; a dynptr argument and a tracepoint's buffer leave bytes only. */
const isSpillable = (reg: Reg): boolean =>
  reg.type !== SCALAR_VALUE &&
  reg.type !== NOT_INIT &&
  reg.type !== CONST_PTR_TO_DYNPTR &&
  reg.type !== PTR_TO_TP_BUFFER;

/** The slot holds nothing but bytes. */
function plain(slot: StackSlot, size: number): boolean {
  for (let j = 0; j < size; j++) if (slot.at(j) !== STACK_MISC && slot.at(j) !== STACK_ZERO) return false;
  return true;
}

function writeFixed(v: Verifier, frame: FuncState, off: number, size: number, value: StoredValue): void {
  const spi = spiOf(off);
  const slot = frame.slot(spi);
  const { reg } = value;
  if (!v.allowPtrLeaks && slot.spilled && !slot.spilledScalar && size !== 8)
    v.reject(EACCES, 'attempt to corrupt spilled pointer on stack');
  // A load may be predicted not to see this store.
  if (!v.allowPtrLeaks && ((reg !== undefined && isSpillable(reg)) || !plain(slot, size)))
    v.info[v.insn].nospecResult = true;
  destroyDynptrAt(v, frame, spi);
  v.scratchSlot(frame.frameno, spi);
  if (size === 8) markStackWrite(v, frame.frameno, spi);
  const aligned = off % 8 === 0;
  if (reg !== undefined && aligned && reg.type === SCALAR_VALUE && v.bpfCapable) {
    const fits = regWidth(reg) <= size * 8;
    if (fits) assignScalarId(v, reg);
    spill(slot, reg, size);
    if (!fits) {
      slot.reg.id = 0;
      slot.reg.off = 0;
    }
    noteStackAccess(v, frame.frameno, spi);
  } else if (reg === undefined && aligned && value.imm !== undefined && v.bpfCapable) {
    const known = slot.reg;
    setKnown(v, known, BigInt.asUintN(64, BigInt(value.imm)));
    for (let j = 7; j >= 8 - size; j--) slot.set(j, STACK_SPILL);
    for (let j = 7 - size; j >= 0; j--) misc(slot, j);
    noteStackAccess(v, frame.frameno, spi);
  } else if (reg !== undefined && isSpillable(reg)) {
    if (size !== 8) v.reject(EACCES, 'invalid size of register spill');
    if (frame !== v.frame && reg.type === PTR_TO_STACK)
      v.reject(EINVAL, 'cannot spill pointers to stack into stack frame of the caller');
    spill(slot, reg, size);
    noteStackAccess(v, frame.frameno, spi);
  } else {
    slot.reg.type = NOT_INIT;
    const special = slot.types >>> 28;
    if (special === STACK_SPILL || special === STACK_DYNPTR || special === STACK_ITER) scrub(slot);
    let type = STACK_MISC;
    if ((reg !== undefined && isConst(reg) && reg.value === 0n) || (reg === undefined && value.imm === 0)) {
      // The bytes forget the register: it must be exactly zero.
      if (reg !== undefined) markPrecise(v, value.regno);
      type = STACK_ZERO;
    }
    for (let i = 0; i < size; i++) slot.set(nibbleOf(off + i), type);
  }
}

function writeVariable(v: Verifier, ptr: Reg, frame: FuncState, off: number, size: number, value: StoredValue): void {
  const low = Number(ptr.smin) + off;
  const high = Number(ptr.smax) + off + size;
  const zero = value.reg === undefined ? value.imm === 0 : isConst(value.reg) && value.reg.value === 0n;
  let zeroUsed = false;
  for (let at = low; at < high; at++) destroyDynptrAt(v, frame, spiOf(at));
  for (let at = low; at < high; at++) {
    const slot = frame.slot(spiOf(at));
    const j = nibbleOf(at);
    const type = slot.at(j);
    v.scratchSlot(frame.frameno, spiOf(at));
    if (!v.allowPtrLeaks && type !== STACK_INVALID && type !== STACK_MISC && type !== STACK_ZERO && !slot.spilledScalar)
      v.reject(EINVAL, `spilled ptr in range of var-offset stack write; insn ${v.insn}, ptr off: ${at}`);
    if (zero && type === STACK_SPILL && slot.spilledScalar && isConst(slot.reg) && slot.reg.value === 0n) {
      zeroUsed = true;
      continue;
    }
    if (slot.spilled) {
      // What is left of a register that was written into is bytes.
      scrub(slot);
    }
    slot.reg.type = NOT_INIT;
    const keepZero = zero && type === STACK_ZERO;
    if (keepZero) zeroUsed = true;
    if (type === STACK_INVALID && !v.allowPtrLeaks)
      v.reject(EINVAL, `uninit stack in range of var-offset write prohibited for !root; insn ${v.insn}, off: ${at}`);
    slot.set(j, keepZero ? STACK_ZERO : STACK_MISC);
  }
  if (zeroUsed && value.reg !== undefined) markPrecise(v, value.regno);
}

/** A store through a stack pointer. Bounds were checked. */
export function writeStack(v: Verifier, regno: number, off: number, size: number, value: StoredValue): void {
  const reg = v.regs[regno];
  const frame = frameOf(v, reg);
  if (constantOffset(reg)) writeFixed(v, frame, off + Number(BigInt.asIntN(64, reg.value)), size, value);
  else writeVariable(v, reg, frame, off, size, value);
}

/** A buffer that a helper is going to fill: remembered, written after the call. */
export type RawBuffer = { raw: boolean; regno: number; accessSize: number };

/**
 * A helper reads or writes stack memory (or a load has a variable offset): every byte must be initialised, unless the
 * helper initialises it (`meta.raw`).
 */
export function checkStackRange(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  zeroOk: boolean,
  clobber: boolean,
  meta?: RawBuffer,
): void {
  const reg = v.regs[regno];
  const frame = frameOf(v, reg);
  if (size === 0 && !zeroOk) v.reject(EACCES, 'invalid zero-sized read');
  checkStackBounds(v, regno, off, size, clobber ? ' write to' : ' read from', clobber);
  const constant = constantOffset(reg);
  let raw = meta?.raw === true;
  let low: number;
  let high: number;
  if (constant) {
    low = Number(BigInt.asIntN(64, reg.value)) + off;
    high = low;
  } else {
    if (!v.allowPtrLeaks)
      v.reject(EACCES, `R${regno} variable offset stack access prohibited for !root, var_off=${tnumPair(reg)}`);
    // Where exactly the helper writes is not known, so it cannot count as initialising.
    raw = false;
    low = Number(reg.smin) + off;
    high = Number(reg.smax) + off;
  }
  if (raw && meta !== undefined) {
    for (let at = low; at < high + size; at++)
      if (frame.slot(spiOf(at)).at(nibbleOf(at)) === STACK_DYNPTR)
        v.reject(EACCES, `potential write to dynptr at off=${at} disallowed`);
    meta.accessSize = size;
    meta.regno = regno;
    return;
  }
  for (let at = low; at < high + size; at++) {
    const spi = spiOf(at);
    const slot = frame.slot(spi);
    const j = nibbleOf(at);
    const type = slot.at(j);
    markStackRead(v, frame.frameno, spi);
    if (type === STACK_MISC) continue;
    if (type === STACK_ZERO || (type === STACK_INVALID && v.allowPtrLeaks)) {
      if (clobber) slot.set(j, STACK_MISC);
      continue;
    }
    if (slot.spilled && (slot.reg.type === SCALAR_VALUE || v.allowPtrLeaks)) {
      if (clobber) {
        setUnknown(v, slot.reg);
        scrub(slot);
      }
      continue;
    }
    const where = constant ? `off ${low}+${at - low}` : `var_off ${tnumPair(reg)}+${at - low}`;
    v.reject(EACCES, `invalid read from stack R${regno} ${where} size ${size}`);
  }
}

/** A helper has written `size` bytes at this register's address: they are initialised, and nothing is known of them. */
export function clobberStack(v: Verifier, regno: number, size: number): void {
  const reg = v.regs[regno];
  const low = reg.off + Number(BigInt.asIntN(64, reg.value));
  for (let at = low; at < low + size; at++)
    writeFixed(v, frameOf(v, reg), at, 1, { reg: undefined, regno: -1, imm: undefined });
}
