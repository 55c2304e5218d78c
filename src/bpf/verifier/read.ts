/** May this instruction read or write that register. */
import { EACCES, EINVAL } from '../../core/errno.ts';
import { BPF_REG_FP } from '../insn.ts';
import type { Verifier } from './env.ts';
import { NOT_INIT, type Reg, SCALAR_VALUE } from './reg.ts';
import { setUninit, setUnknown } from './values.ts';

/** The register's contents, which must be initialised. */
export function readReg(v: Verifier, regno: number): Reg {
  checkRegno(v, regno);
  const reg = v.regs[regno];
  v.scratchReg(regno);
  if (reg.type === NOT_INIT) v.reject(EACCES, `R${regno} !read_ok`);
  return reg;
}

/** The register, to be given contents by the caller; the frame pointer is read only. */
export function writeReg(v: Verifier, regno: number): Reg {
  checkRegno(v, regno);
  if (regno === BPF_REG_FP) v.reject(EACCES, 'frame pointer is read only');
  v.scratchReg(regno);
  return v.regs[regno];
}

/** The register becomes an unknown scalar. */
export function overwriteReg(v: Verifier, regno: number): Reg {
  const reg = writeReg(v, regno);
  setUnknown(v, reg);
  return reg;
}

function checkRegno(v: Verifier, regno: number): void {
  if (regno > BPF_REG_FP) v.reject(EINVAL, `R${regno} is invalid`);
}

/** The register holds an address that this program may not give away. */
export function leaksPointer(v: Verifier, reg: Reg): boolean {
  return !v.allowPtrLeaks && reg.type !== SCALAR_VALUE;
}

/** A call destroys r0 to r5. */
export function clearCallerSaved(v: Verifier, regs: readonly Reg[]): void {
  for (let i = 0; i <= 5; i++) {
    setUninit(regs[i]);
    v.scratchReg(i);
  }
}
