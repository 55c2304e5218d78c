/** What comparing packet pointers with the packet's end teaches. */
import { BPF_JGE, BPF_JGT, BPF_JLE, BPF_JLT } from '../insn.ts';
import { AT_PKT_END, BEYOND_PKT_END, PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_PACKET_META, type Reg } from './reg.ts';
import type { State } from './state.ts';

/** No packet is longer, so that a pointer further away cannot have a range. */
const MAX_PACKET_OFF = 0xffffn;

const isStart = (reg: Reg, type: number): boolean =>
  reg.type === type && reg.id === 0 && reg.off === 0 && reg.mask === 0n && reg.value === 0n;

/** The first is a place in the packet, the second where it ends; or a place in the metadata and where that ends. */
const placeAndEnd = (a: Reg, b: Reg): boolean =>
  (a.type === PTR_TO_PACKET && b.type === PTR_TO_PACKET_END) ||
  (a.type === PTR_TO_PACKET_META && isStart(b, PTR_TO_PACKET));

export const isAnyPacketPointer = (reg: Reg): boolean =>
  reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META || reg.type === PTR_TO_PACKET_END;

/** All bytes up to the pointer's fixed offset are there, for every pointer of the same origin; `inclusive`: one more. */
function grantRange(state: State, place: Reg, inclusive: boolean): void {
  if (place.off < 0 || (place.off === 0 && inclusive)) return;
  if (place.umax > MAX_PACKET_OFF || place.umax + BigInt(place.off) > MAX_PACKET_OFF) return;
  const { type, id } = place;
  const range = place.off + (inclusive ? 1 : 0);
  const grant = (reg: Reg): void => {
    if (reg.type === type && reg.id === id) reg.range = Math.max(reg.range, range);
  };
  for (const frame of state.frames) {
    for (const reg of frame.regs) grant(reg);
    for (const slot of frame.stack) if (slot.spilled) grant(slot.reg);
  }
}

function markEnd(place: Reg, beyond: boolean): void {
  if (place.type === PTR_TO_PACKET) place.range = beyond ? BEYOND_PKT_END : AT_PKT_END;
}

/**
 * `if dst op src`: gives ranges to the branch where the packet is long enough. False when this is no comparison of a
 * packet pointer with an end.
 */
export function learnPacketRange(
  op: number,
  dst: Reg,
  src: Reg,
  here: State,
  taken: State,
  takenDst: Reg,
  takenSrc: Reg,
): boolean {
  const straight = placeAndEnd(dst, src);
  if (!straight && !placeAndEnd(src, dst)) return false;
  const place = straight ? dst : src;
  const takenPlace = straight ? takenDst : takenSrc;
  // As if the place stood on the left.
  switch (straight ? op : flip(op)) {
    case BPF_JGT:
      grantRange(here, place, false);
      markEnd(takenPlace, true);
      return true;
    case BPF_JLT:
      grantRange(taken, takenPlace, true);
      markEnd(place, false);
      return true;
    case BPF_JGE:
      grantRange(here, place, true);
      markEnd(takenPlace, false);
      return true;
    case BPF_JLE:
      grantRange(taken, takenPlace, false);
      markEnd(place, true);
      return true;
    default:
      return false;
  }
}

/** The operator of the same comparison with the operands exchanged. */
export function flip(op: number): number {
  switch (op) {
    case BPF_JGE:
      return BPF_JLE;
    case BPF_JGT:
      return BPF_JLT;
    case BPF_JLE:
      return BPF_JGE;
    case BPF_JLT:
      return BPF_JGT;
    case 0x60:
      return 0xc0;
    case 0x70:
      return 0xd0;
    case 0xc0:
      return 0x60;
    case 0xd0:
      return 0x70;
    default:
      return op;
  }
}

/** Outcome of comparing a pointer known to lie at or beyond the end; -1 when not known. */
export function packetBranchTaken(dst: Reg, src: Reg, op: number): 1 | 0 | -1 {
  let place = dst;
  let operator = op;
  if (src.type !== PTR_TO_PACKET_END) {
    if (dst.type !== PTR_TO_PACKET_END) return -1;
    place = src;
    operator = flip(op);
  }
  if (place.range >= 0) return -1;
  switch (operator) {
    case BPF_JLE:
    case BPF_JGT:
      return place.range === BEYOND_PKT_END ? (operator === BPF_JGT ? 1 : 0) : -1;
    case BPF_JLT:
    case BPF_JGE:
      return operator === BPF_JGE ? 1 : 0;
    default:
      return -1;
  }
}
