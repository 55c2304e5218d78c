/**
 * What a fragment, or a packet made from fragments, takes over from the packet it comes from.
 */
import type { Slab } from '../core/slab.ts';

export function copyRouting(slab: Slab, p: number, q: number): void {
  slab.setProtocol(q, slab.protocol(p));
  slab.setIif(q, slab.iif(p));
  slab.setOif(q, slab.oif(p));
  slab.setMark(q, slab.mark(p));
  slab.setPriority(q, slab.priority(p));
  slab.setFlags(q, slab.flags(p));
  slab.setGatewayFamily(q, slab.gatewayFamily(p));
  slab.u8.copyWithin(slab.gatewayAt(q), slab.gatewayAt(p), slab.gatewayAt(p) + 16);
  slab.setRtType(q, slab.rtType(p));
  slab.setRtMtu(q, slab.rtMtu(p));
  slab.setPktType(q, slab.pktType(p));
}
