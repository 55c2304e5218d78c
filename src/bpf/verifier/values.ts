/** Common changes of a register's contents. */
import type { Insn } from '../insn.ts';
import type { Verifier } from './env.ts';
import { PTR_MAYBE_NULL, Reg, S32_MAX, S32_MIN, S64_MAX, S64_MIN, SCALAR_VALUE, U32_MAX, U64_MAX } from './reg.ts';
import { markKnown } from './scalar.ts';

/** An unknown scalar; without CAP_BPF every scalar is precise. */
export function setUnknown(v: Verifier, reg: Reg): void {
  reg.forget();
  reg.precise = !v.bpfCapable;
}

/** Forgets bounds and bits, whatever the register holds. */
export function unbounded(reg: Reg): void {
  reg.value = 0n;
  reg.mask = U64_MAX;
  reg.umin = 0n;
  reg.umax = U64_MAX;
  reg.smin = S64_MIN;
  reg.smax = S64_MAX;
  reg.u32min = 0;
  reg.u32max = U32_MAX;
  reg.s32min = S32_MIN;
  reg.s32max = S32_MAX;
}

/** A constant scalar; without CAP_BPF every scalar is precise. */
export function setKnown(v: Verifier, reg: Reg, value: bigint): void {
  reg.type = SCALAR_VALUE;
  reg.clearPointer();
  reg.precise = !v.bpfCapable;
  markKnown(reg, value);
}

/** The immediate operand of an instruction, sign-extended, in a register of its own. */
export function immediate(v: Verifier, insn: Insn): Reg {
  let known = v.immediates.get(insn.imm);
  if (known === undefined) {
    known = new Reg();
    setKnown(v, known, BigInt.asUintN(64, BigInt(insn.imm)));
    v.immediates.set(insn.imm, known);
  }
  return known.clone();
}

/** A pointer of this type with no variable offset. */
export function setPointer(reg: Reg, type: number): void {
  reg.clearPointer();
  reg.precise = false;
  markKnown(reg, 0n);
  reg.type = type;
}

/** May not be read. */
export function setUninit(reg: Reg): void {
  reg.reset();
}

/** The pointer is known not to be null. */
export function clearNull(reg: Reg): void {
  reg.type &= ~PTR_MAYBE_NULL;
}
