/** The end of a path: nothing held, and R0 as the program type wants it. */
import { EACCES, EINVAL } from '../../core/errno.ts';
import { returnRange } from '../progtype/index.ts';
import type { Verifier } from './env.ts';
import { badRange, returnFromFrame } from './frames.ts';
import { markPrecise } from './precision.ts';
import { typeName } from './print.ts';
import { leaksPointer, readReg } from './read.ts';
import { checkResourceLeak } from './refs.ts';
import { SCALAR_VALUE } from './reg.ts';

/** `exit`. Returns where the path goes on in a caller, or undefined when the program is over. */
export function walkExit(v: Verifier): number | undefined {
  const { state } = v;
  checkResourceLeak(v, 'BPF_EXIT instruction in main prog', state.depth === 0);
  if (state.depth > 0) return returnFromFrame(v);
  if (v.frame.inAsyncCallback) checkAsyncReturn(v);
  else if (v.frame.subprog !== 0) checkGlobalReturn(v);
  else checkReturn(v);
  return undefined;
}

function checkAsyncReturn(v: Verifier): void {
  const reg = readReg(v, 0);
  if (reg.type !== SCALAR_VALUE)
    v.reject(EINVAL, `In async callback the register R0 is not a known value (${typeName(reg.type)})`);
  markPrecise(v, 0);
  if (reg.smin !== 0n || reg.smax !== 0n)
    v.reject(EINVAL, badRange(reg, { min: 0, max: 0 }, 'At async callback return', 'R0'));
}

function checkGlobalReturn(v: Verifier): void {
  const reg = readReg(v, 0);
  if (reg.type !== SCALAR_VALUE)
    v.reject(EINVAL, `At subprogram exit the register R0 is not a scalar value (${typeName(reg.type)})`);
}

function checkReturn(v: Verifier): void {
  const reg = readReg(v, 0);
  if (leaksPointer(v, reg)) v.reject(EACCES, 'R0 leaks addr as return value');
  const range = returnRange(v.spec.type, v.spec.expectedAttachType);
  if (range === undefined) return;
  if (reg.type !== SCALAR_VALUE)
    v.reject(EINVAL, `At program exit the register R0 is not a known value (${typeName(reg.type)})`);
  markPrecise(v, 0);
  if (reg.smin < BigInt(range.min) || reg.smax > BigInt(range.max))
    v.reject(EINVAL, badRange(reg, range, 'At program exit', 'R0'));
}
