/** Pointers that point to nothing any more: packet data has moved, or a reference was given back. */
import type { Verifier } from './env.ts';
import { isAnyPacketPointer } from './packet.ts';
import { forEachReg } from './refs.ts';
import { baseType, PTR_TO_MEM, type Reg } from './reg.ts';
import { setUninit, setUnknown } from './values.ts';

/** With CAP_PERFMON an unknown number is left; without it, it cannot even be read: its bits are an address. */
export function forgetPointer(v: Verifier, reg: Reg): void {
  if (v.allowPtrLeaks) setUnknown(v, reg);
  else setUninit(reg);
}

/** A slice of a dynptr that lies in a packet. */
const isPacketSlice = (reg: Reg): boolean =>
  baseType(reg.type) === PTR_TO_MEM && (reg.dynptrKind === 'skb' || reg.dynptrKind === 'xdp');

/** Packet data may have moved: pointers into it, and slices of packet dynptrs, are worth nothing any more. */
export function clearPacketPointers(v: Verifier): void {
  v.changesPacketData = true;
  forEachReg(v, (reg, slot) => {
    if (slot !== undefined && !slot.spilled) return;
    if (isAnyPacketPointer(reg) || isPacketSlice(reg)) forgetPointer(v, reg);
  });
}
