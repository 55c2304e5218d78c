/**
 * Where the header behind the transport header begins: for raw payload expressions of base "inner".
 */
import { IPPROTO_GRE, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../../wire/ipv4.ts';
import * as tcp from '../../../wire/tcp.ts';
import type { PktInfo } from '../pkt.ts';

/** Offset of the inner header, -1 when the packet has none. */
export function innerHeader(pkt: PktInfo): number {
  if (!pkt.hasTransport || pkt.fragoff !== 0) return -1;
  const at = pkt.thoff;
  const dv = pkt.slab.dv;
  switch (pkt.tprot) {
    case IPPROTO_UDP:
      return at + 8;
    case IPPROTO_TCP:
      return at + 20 <= pkt.end ? at + tcp.headerLength(dv, at) : -1;
    case IPPROTO_GRE: {
      if (at + 4 > pkt.end) return -1;
      const flags = dv.getUint16(at);
      if ((flags & 7) !== 0) return -1;
      let length = 4;
      if (flags & 0x8000) length += 4; // checksum
      if (flags & 0x2000) length += 4; // key
      if (flags & 0x1000) length += 4; // sequence number
      return at + length;
    }
    case IPPROTO_IPIP:
    case IPPROTO_IPV6:
      return at;
    default:
      return -1;
  }
}
