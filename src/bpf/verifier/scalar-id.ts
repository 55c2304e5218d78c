/** Ids that tell that several scalars are the same value, or differ by a constant. */
import type { Verifier } from './env.ts';
import { BPF_ADD_CONST, isConst, type Reg, SCALAR_VALUE } from './reg.ts';

/** Bits that the value may need. */
export function regWidth(reg: Reg): number {
  return reg.umax.toString(2).length * (reg.umax === 0n ? 0 : 1);
}

/** A scalar about to be copied gets an id, so that what a comparison teaches about one copy is known of all. */
export function assignScalarId(v: Verifier, reg: Reg): void {
  if (reg.type !== SCALAR_VALUE) return;
  if ((reg.id & BPF_ADD_CONST) !== 0) clearScalarId(reg);
  if (reg.id === 0 && !isConst(reg)) reg.id = v.newId();
}

export function clearScalarId(reg: Reg): void {
  reg.id = 0;
  reg.off = 0;
}

export const idBase = (id: number): number => id & ~BPF_ADD_CONST;
