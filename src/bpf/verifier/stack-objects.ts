/** Dynptrs on the stack: two slots that only helpers may touch. A plain write destroys them. */
import { EINVAL } from '../../core/errno.ts';
import type { Verifier } from './env.ts';
import { forEachReg } from './refs.ts';
import { type FuncState, STACK_DYNPTR, STACK_INVALID } from './state.ts';
import { setUninit } from './values.ts';

/** If the slot belongs to a dynptr: both its slots become uninitialised, and slices of it invalid. */
export function destroyDynptrAt(v: Verifier, frame: FuncState, spi: number): void {
  const slot = frame.stack[spi];
  if (slot === undefined || slot.types >>> 28 !== STACK_DYNPTR) return;
  if (slot.reg.dynptrKind === 'ringbuf') v.reject(EINVAL, 'cannot overwrite referenced dynptr');
  // The lower half lies at the higher slot number.
  const first = slot.reg.dynptrFirst ? spi : spi + 1;
  const id = slot.reg.id;
  for (const s of [first, first - 1]) {
    frame.stack[s].fill(STACK_INVALID);
    setUninit(frame.stack[s].reg);
    v.scratchSlot(frame.frameno, s);
  }
  forEachReg(v, (reg, where) => {
    if (reg.dynptrId !== 0 && reg.dynptrId === id && (where === undefined || where.spilled)) setUninit(reg);
  });
}
