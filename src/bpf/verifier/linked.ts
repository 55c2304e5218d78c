/** Registers that share an id: narrowing one narrows all (linked scalars). */
import { BPF_ADD } from '../insn.ts';
import { aluScalar } from './alu.ts';
import type { Verifier } from './env.ts';
import { BPF_ADD_CONST, BPF_ADD_CONST32, Reg, SCALAR_VALUE } from './reg.ts';
import { markKnown } from './scalar.ts';
import { idBase } from './scalar-id.ts';
import type { State } from './state.ts';
import { SLOT } from './tracked.ts';

/** So many are remembered for walking back; the others lose their id. */
const MAX_LINKED = 6;

/** Adds (frame, regno or SLOT + spi) pairs of the scalars with this id to `linked`. */
export function collectLinked(v: Verifier, id: number, linked: number[]): void {
  const { state } = v;
  const base = idBase(id);
  const take = (reg: Reg, frame: number, place: number): void => {
    if (reg.type !== SCALAR_VALUE || reg.id === 0 || idBase(reg.id) !== base) return;
    if (linked.length < MAX_LINKED * 2) linked.push(frame, place);
    else reg.id = 0;
  };
  for (let f = state.frames.length - 1; f >= 0; f--) {
    const frame = state.frames[f];
    const alive = v.info[f === state.depth ? v.insn : state.frames[f + 1].callsite].liveRegs;
    // What is never read again need not be narrowed.
    for (let i = 0; i < 10; i++) if (((alive >> i) & 1) !== 0) take(frame.regs[i], f, i);
    for (let s = 0; s < frame.stack.length; s++) if (frame.stack[s].spilled) take(frame.stack[s].reg, f, SLOT + s);
  }
}

export const linkedReg = (state: State, frame: number, place: number): Reg =>
  place < SLOT ? state.frames[frame].regs[place] : state.frames[frame].stack[place - SLOT].reg;

/** Copies what is known about `known` to the registers linked with it. */
export function syncLinked(state: State, known: Reg, linked: readonly number[]): void {
  for (let i = 0; i < linked.length; i += 2) {
    const reg = linkedReg(state, linked[i], linked[i + 1]);
    if (reg === known || reg.type !== SCALAR_VALUE || idBase(reg.id) !== idBase(known.id)) continue;
    // The distance of a 64-bit sum says nothing about that of a 32-bit one.
    if (((reg.id ^ known.id) & BPF_ADD_CONST) === BPF_ADD_CONST) continue;
    const bothPlain = ((reg.id | known.id) & BPF_ADD_CONST) === 0;
    if (bothPlain || reg.off === known.off) {
      reg.copy(known);
      continue;
    }
    const is64 = ((reg.id | known.id) & BPF_ADD_CONST32) === 0;
    const { off, id } = reg;
    const delta = new Reg();
    delta.type = SCALAR_VALUE;
    markKnown(delta, BigInt.asUintN(64, BigInt(off) - BigInt(known.off)));
    reg.copy(known);
    aluScalar(BPF_ADD, is64, reg, delta);
    reg.off = off;
    reg.id = id;
  }
}
