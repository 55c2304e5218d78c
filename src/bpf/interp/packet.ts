/**
 * LD_ABS and LD_IND: loads from the packet in network order, with classic BPF's two magic ranges of negative offsets
 * (Documentation/networking/filter.rst).
 */
import { NO_OFFSET } from '../../core/slab.ts';
import { networkAt } from '../runtime/ctx.ts';
import type { Run } from '../runtime/run.ts';

export const SKF_NET_OFF = -0x100000;
export const SKF_LL_OFF = -0x200000;

/** The value at `offset` (signed 32 bits) from the packet's data, or -1 when it is not all there. */
export function loadPacket(run: Run, offset: number, size: number): number {
  const { slab, packet: p, dv } = run;
  if (p < 0) return -1;
  let at = slab.head(p) + offset;
  if (offset < 0) {
    if (offset >= SKF_NET_OFF) at = networkAt(slab, p) + offset - SKF_NET_OFF;
    else if (offset >= SKF_LL_OFF && slab.mac(p) !== NO_OFFSET) at = slab.mac(p) + offset - SKF_LL_OFF;
    else return -1;
  }
  if (at < slab.base(p) || at + size > slab.end(p)) return -1;
  return size === 4 ? dv.getUint32(at) : size === 2 ? dv.getUint16(at) : dv.getUint8(at);
}
