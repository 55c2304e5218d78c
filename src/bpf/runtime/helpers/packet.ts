/**
 * Moving a packet's bytes: what skb_push, skb_pull and their like do in Linux, on the slab. Every function keeps the
 * context's data pointers right.
 */
import { NO_OFFSET } from '../../../core/slab.ts';
import { refresh } from '../ctx.ts';
import type { Run } from '../run.ts';

/** The first `length` bytes are there and may be written (everything is linear here). */
export function writable(run: Run, length: number): boolean {
  return length <= run.slab.len(run.packet);
}

/** Room in front of the packet's data. */
export function headroom(run: Run): number {
  const { slab, packet: p } = run;
  return slab.head(p) - (run.headLimit === 0 ? slab.base(p) : run.headLimit);
}

/** Length of the link-layer header: where the network header begins, counted from the MAC header. */
export function macLength(run: Run): number {
  const { slab, packet: p } = run;
  const mac = slab.mac(p);
  const network = slab.network(p);
  return mac === NO_OFFSET || network === NO_OFFSET ? 0 : network - mac;
}

/** Opens `length` zeroed bytes behind the first `offset` bytes of data; false when there is no room. Headers move along. */
export function openGap(run: Run, offset: number, length: number): boolean {
  const { slab, packet: p } = run;
  if (headroom(run) < length || !slab.push(p, length)) return false;
  const head = slab.head(p);
  run.u8.copyWithin(head, head + length, head + length + offset);
  run.u8.fill(0, head + offset, head + offset + length);
  shiftHeaders(run, -length);
  return true;
}

/** Takes `length` bytes out behind the first `offset` bytes of data; false when there are fewer. */
export function closeGap(run: Run, offset: number, length: number): boolean {
  const { slab, packet: p } = run;
  if (offset + length > slab.len(p)) return false;
  const head = slab.head(p);
  run.u8.copyWithin(head + length, head, head + offset);
  slab.pull(p, length);
  shiftHeaders(run, length);
  return true;
}

/** MAC and network header move with the bytes in front of a gap; a transport header that stood at the network header too. */
function shiftHeaders(run: Run, by: number): void {
  const { slab, packet: p } = run;
  const network = slab.network(p);
  if (slab.transport(p) === network && network !== NO_OFFSET) slab.setTransport(p, network + by);
  if (slab.mac(p) !== NO_OFFSET) slab.setMac(p, slab.mac(p) + by);
  if (network !== NO_OFFSET) slab.setNetwork(p, network + by);
}

/** After a change of bytes: metadata in front is gone, the context follows. */
export function moved(run: Run): void {
  run.meta = run.slab.head(run.packet);
  refresh(run);
}
