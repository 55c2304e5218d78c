/**
 * Which scalars matter exactly. States are compared without looking at scalars that nothing depended on; so when something
 * does (an offset, a size, a comparison that decides), the path is walked backwards and every register that the value
 * came from is marked in the recorded states it passes.
 */

import { disasmInsn } from '../asm/disassemble.ts';
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_END,
  BPF_IND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_ST,
  BPF_STX,
  BPF_X,
  classOf,
  type Insn,
  MAX_BPF_STACK,
} from '../insn.ts';
import { callsSyncCallback } from './call/kinds.ts';
import { isConditional, isExit, isMayGoto } from './cfg.ts';
import { isPseudoCall } from './check-insn.ts';
import type { Verifier } from './env.ts';
import { SCALAR_VALUE } from './reg.ts';
import type { State, Step } from './state.ts';
import { stateText } from './state-text.ts';
import type { Tracked } from './tracked.ts';

const ARGUMENTS = 0b111110;
const SLOTS: number = MAX_BPF_STACK / 8;

/** Walks back over one instruction. False: what the value came from cannot be told. */
function backOver(v: Verifier, pc: number, later: number, step: Step | undefined, t: Tracked): boolean {
  const insn = v.insns[pc];
  t.sync(step);
  const known = backOverInsn(v, insn, pc, later, step, t);
  t.sync(step);
  return known;
}

function backOverInsn(v: Verifier, insn: Insn, pc: number, later: number, step: Step | undefined, t: Tracked): boolean {
  const { dst, src } = insn;
  const fromReg = (insn.code & BPF_X) !== 0;
  switch (classOf(insn)) {
    case BPF_ALU:
    case BPF_ALU64: {
      if (!t.has(dst)) return true;
      const op = insn.code & 0xf0;
      if (op === BPF_END || op === BPF_NEG) return true;
      if (op === BPF_MOV) t.drop(dst);
      if (fromReg) t.add(src);
      return true;
    }
    case BPF_LDX:
      return backOverLoad(dst, step, t);
    case BPF_STX:
    case BPF_ST:
      if ((insn.code & 0xe0) === BPF_ATOMIC && classOf(insn) === BPF_STX && insn.imm === BPF_LOAD_ACQ)
        return backOverLoad(dst, step, t);
      // Storing through a register that is traced: a pointer made from a difference of pointers.
      if (t.has(dst)) return false;
      if (step === undefined || step.spi < 0 || !t.dropSlot(step.frame, step.spi)) return true;
      if (classOf(insn) === BPF_STX) t.addAny(src);
      return true;
    case BPF_JMP:
    case BPF_JMP32:
      return backOverJump(v, insn, pc, later, t);
    case BPF_LD: {
      if (!t.has(dst)) return true;
      t.drop(dst);
      const mode = insn.code & 0xe0;
      return mode !== BPF_ABS && mode !== BPF_IND;
    }
    default:
      return true;
  }
}

function backOverLoad(dst: number, step: Step | undefined, t: Tracked): boolean {
  if (!t.has(dst)) return true;
  t.drop(dst);
  // Only what was spilled can be traced further; other memory is not tracked.
  if (step !== undefined && step.spi >= 0) t.addSlot(step.frame, step.spi);
  return true;
}

function backOverJump(v: Verifier, insn: Insn, pc: number, later: number, t: Tracked): boolean {
  if ((insn.code & 0xf0) === BPF_CALL) {
    if (isPseudoCall(insn)) {
      const callee = v.subprogs.findIndex((s) => s.start === pc + insn.imm + 1);
      if (callee >= 0 && v.subprogs[callee].isGlobal && later === pc + 1) {
        t.drop(0);
        return true;
      }
      if (later !== pc + 1 || t.frame > 0) {
        // Out of the called function, to its caller: arguments stand in the caller's registers.
        if (t.frame === 0) return false;
        if ((t.regs[t.frame] & ~ARGUMENTS) !== 0 || t.anySlot(t.frame)) return false;
        const args = t.regs[t.frame];
        t.regs[t.frame] = 0;
        t.frame--;
        t.regs[t.frame] |= args;
        return true;
      }
      return false;
    }
    if (callsSyncCallback(insn, v.spec) && pc !== later - 1) {
      // Into the callback from the helper: its arguments are the helper's making.
      if (t.frame === 0) return false;
      if ((t.regs[t.frame] & ~ARGUMENTS) !== 0 || t.anySlot(t.frame)) return false;
      t.regs[t.frame] = 0;
      t.frame--;
      return true;
    }
    if (insn.src === BPF_PSEUDO_KFUNC_CALL && insn.imm === 0) return false;
    t.drop(0);
    if (callsSyncCallback(insn, v.spec)) t.regs[t.frame] &= ~ARGUMENTS;
    return (t.regs[t.frame] & ARGUMENTS) === 0;
  }
  if (isExit(insn)) {
    if (t.frame >= 8) return false;
    const intoCallback = later >= 0 && v.info[later]?.callsCallback === true;
    if (intoCallback) t.regs[t.frame] &= ~ARGUMENTS;
    if ((t.regs[t.frame] & ARGUMENTS) !== 0) return false;
    const fromCall = later >= 1 && isPseudoCall(v.insns[later - 1]);
    const result = fromCall && t.has(0);
    t.drop(0);
    t.frame++;
    t.clear(t.frame);
    if (result) t.add(0);
    return true;
  }
  if (isConditional(insn) && !isMayGoto(insn) && (insn.code & BPF_X) !== 0) {
    if (!t.has(insn.dst) && !t.has(insn.src)) return true;
    t.addAny(insn.dst);
    t.addAny(insn.src);
  }
  return true;
}

/** The big hammer: every scalar of every recorded state on this path. */
export function markEverything(v: Verifier, state: State): void {
  const say = (line: string): void => {
    if (v.log.everyPath) v.log.write(`${line}\n`);
  };
  say(`mark_precise: frame${state.depth}: falling back to forcing all scalars precise`);
  for (let s = state.parent; s !== undefined; s = s.parent)
    for (const [f, frame] of s.frames.entries()) {
      for (let i = 0; i < 10; i++) {
        if (frame.regs[i].type !== SCALAR_VALUE || frame.regs[i].precise) continue;
        frame.regs[i].precise = true;
        say(`force_precise: frame${f}: forcing r${i} to be precise`);
      }
      for (const [spi, slot] of frame.stack.entries()) {
        if (!slot.spilledScalar || slot.reg.precise) continue;
        slot.reg.precise = true;
        say(`force_precise: frame${f}: forcing fp-${(spi + 1) * 8} to be precise`);
      }
    }
}

/** Marks in one frame of a recorded state; what was marked before need not be traced further. True when something is new. */
function markIn(state: State, t: Tracked, f: number): boolean {
  let fresh = false;
  const frame = state.frames[f];
  if (frame === undefined) {
    t.clear(f);
    return false;
  }
  for (let i = 0; t.regs[f] >>> i !== 0; i++) {
    if ((t.regs[f] & (1 << i)) === 0) continue;
    const reg = frame.regs[i];
    if (reg.type !== SCALAR_VALUE || reg.precise) t.drop(i, f);
    else {
      reg.precise = true;
      fresh = true;
    }
  }
  for (let spi = 0; spi < SLOTS && t.anySlot(f); spi++) {
    if (!t.hasSlot(f, spi)) continue;
    const slot = frame.stack[spi];
    if (slot === undefined || !slot.spilledScalar || slot.reg.precise) t.dropSlot(f, spi);
    else {
      slot.reg.precise = true;
      fresh = true;
    }
  }
  return fresh;
}

/** Walks back from `start` (which stands before its next instruction) with these registers and slots. */
function trace(v: Verifier, start: State, t: Tracked, lastInsn: number): boolean {
  let state: State | undefined = start;
  let last = lastInsn;
  let later = -1;
  // The instruction itself has not changed anything yet.
  let skip = true;
  let fresh = false;
  while (state !== undefined) {
    const verbose = v.log.everyPath;
    if (verbose)
      v.log.write(
        `mark_precise: frame${t.frame}: last_idx ${last} first_idx ${state.firstInsn} subseq_idx ${later} \n`,
      );
    let at: Step | undefined = state.history;
    let pc = last;
    if (last < 0) {
      // The entry of a function that is verified by itself: its arguments.
      const own = state.frames[0];
      for (let i = 1; i <= 5; i++) if (t.has(i) && own.regs[i].type === SCALAR_VALUE) own.regs[i].precise = true;
      return true;
    }
    for (;;) {
      const step: Step | undefined = at?.insn === pc ? at : undefined;
      if (skip) skip = false;
      else if (v.insns[pc].code !== 0) {
        if (verbose) {
          const { regs, slots } = t.text();
          const line = disasmInsn(v.insns, pc);
          v.log.write(`mark_precise: frame${t.frame}: regs=${regs} stack=${slots} before ${pc}: ${line}\n`);
        }
        if (!backOver(v, pc, later, step, t)) {
          markEverything(v, start);
          return true;
        }
        if (t.empty) return fresh;
      }
      later = pc;
      if (pc === state.firstInsn && (at === undefined || (at.before === undefined && at.insn === pc))) break;
      if (step !== undefined) {
        pc = step.prev;
        at = step.before;
      } else pc--;
      if (pc < 0 || pc >= v.insns.length) break;
    }
    const parent: State | undefined = state.parent;
    if (parent === undefined) break;
    for (let f = t.frame; f >= 0; f--) {
      if (markIn(parent, t, f)) fresh = true;
      if (!verbose) continue;
      const { regs, slots } = t.text(f);
      v.log.write(
        `mark_precise: frame${f}: parent state regs=${regs} stack=${slots}: ${stateText(v, parent, f, true)}\n`,
      );
    }
    if (t.empty) return fresh;
    later = state.firstInsn;
    // A recorded state keeps the stretch of path that led to it.
    last = parent.lastInsn;
    state = parent;
  }
  if (!t.empty) markEverything(v, start);
  return true;
}

/** The scalar in this register of the current frame is needed exactly. */
export function markPrecise(v: Verifier, regno: number): void {
  if (!v.bpfCapable || v.regs[regno].type !== SCALAR_VALUE) return;
  const t = v.tracked.start(v.state.depth);
  t.add(regno);
  trace(v, v.state, t, v.insn);
}

/** The scalar spilled to this slot is needed exactly. */
export function markSlotPrecise(v: Verifier, frame: number, spi: number): void {
  if (!v.bpfCapable) return;
  const t = v.tracked.start(v.state.depth);
  t.addSlot(frame, spi);
  trace(v, v.state, t, v.insn);
}

function logPropagating(v: Verifier, t: Tracked, frame: number): void {
  const { regs, slots } = t.text(frame);
  const names = [regs, slots.replace(/-/g, 'fp-')].filter((text) => text !== '');
  if (names.length > 0) v.log.write(`frame ${frame}: propagating ${names.join(',')}\n`);
}

/** `state` ends where `old` was recorded: what `old` needs exactly, the path of `state` needs too. True: something new. */
export function propagatePrecision(v: Verifier, old: State, state: State): boolean {
  if (!v.bpfCapable) return false;
  const t = v.tracked.start(old.depth);
  for (let f = old.depth; f >= 0; f--) {
    const { regs, stack } = old.frames[f];
    for (let i = 0; i < 10; i++) if (regs[i].precise && regs[i].type === SCALAR_VALUE) t.add(i, f);
    for (let spi = 0; spi < stack.length; spi++)
      if (stack[spi].reg.precise && stack[spi].spilledScalar) t.addSlot(f, spi);
    if (v.log.everyPath) logPropagating(v, t, f);
  }
  if (t.empty) return false;
  return trace(v, state, t, state.insn);
}
