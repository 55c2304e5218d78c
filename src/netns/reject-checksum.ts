/**
 * Whether a packet may be answered by a reject: a packet whose checksum is wrong may lie about who sent it. As Linux
 * (nf_reject_verify_csum): a few protocols are exempt, of all others the whole payload must sum up.
 */
import type { Slab } from '../core/slab.ts';
import { type Located, locate } from '../netfilter/conntrack/packet.ts';
import { fold, partial, pseudo4, pseudo6 } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { NFPROTO_IPV4 } from '../wire/uapi/netfilter.ts';

function exempt(dv: DataView, protocol: number, at: number, end: number): boolean {
  switch (protocol) {
    case ipv4.IPPROTO_AH:
    case ipv4.IPPROTO_ESP:
    case ipv4.IPPROTO_SCTP:
    case ipv4.IPPROTO_UDPLITE:
    case ipv4.IPPROTO_DCCP:
    case ipv4.IPPROTO_GRE:
      return true;
    case ipv4.IPPROTO_UDP:
      return at + 8 <= end && dv.getUint16(at + 6) === 0;
    default:
      return false;
  }
}

export function mayAnswer(slab: Slab, p: number, pf: number, scratch: Located): boolean {
  const { dv } = slab;
  const ip = slab.network(p);
  const v4 = pf === NFPROTO_IPV4;
  const claimed = v4 ? ipv4.totalLength(dv, ip) : ipv6.HEADER_LENGTH + ipv6.payloadLength(dv, ip);
  const end = Math.min(slab.end(p), ip + claimed);
  if (!locate(dv, pf, ip, end, scratch)) return false;
  const { protocol, at } = scratch;
  if (exempt(dv, protocol, at, end)) return true;
  const length = end - at;
  // IPv4: only TCP and UDP sum their pseudo header.
  const withPseudo = protocol === ipv4.IPPROTO_TCP || protocol === ipv4.IPPROTO_UDP;
  const pseudo = v4 ? (withPseudo ? pseudo4(dv, ip, protocol, length) : 0) : pseudo6(dv, ip, protocol, length);
  return fold(partial(dv, at, length, pseudo)) === 0xffff;
}
