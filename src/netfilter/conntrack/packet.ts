/**
 * Reading a packet for connection tracking: where its transport header is, its tuple, and whether its checksum is right.
 */
import { PKT_CSUM_PARTIAL, PKT_CSUM_UNNECESSARY, type Slab } from '../../core/slab.ts';
import { fold, partial, pseudo4, pseudo6 } from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { DST, PORTS, PROTO, type Words, ZONE } from './tuple.ts';

/** A transport header found. One object serves every packet. */
export type Located = {
  protocol: number;
  /** Offset of the transport header; 0 when none was found (a later fragment, a broken header). */
  at: number;
  /** One past the last byte that the IP header claims and the packet has. */
  end: number;
  readonly walk: ipv6.Walk;
};

export function newLocated(): Located {
  return { protocol: 0, at: 0, end: 0, walk: { protocol: 0, at: 0, fragOffset: 0, fragmentAt: 0 } };
}

/**
 * Finds the transport header behind the IP header at `ip` (`nf_conntrack_core`'s get_l4proto). Later fragments have none.
 * The bytes go up to `limit`, which may be before the end that the header claims (inside an ICMP error).
 */
export function locate(dv: DataView, pf: number, ip: number, limit: number, out: Located): boolean {
  out.at = 0;
  if (pf === NFPROTO_IPV4) {
    if (ip + ipv4.HEADER_LENGTH > limit || ipv4.version(dv, ip) !== 4) return false;
    if (ipv4.fragOff(dv, ip) & ipv4.IP_OFFSET) return false;
    const header = ipv4.headerLength(dv, ip);
    if (header < ipv4.HEADER_LENGTH || ip + header > limit) return false;
    out.protocol = ipv4.protocol(dv, ip);
    out.at = ip + header;
    out.end = Math.min(limit, ip + ipv4.totalLength(dv, ip));
    return true;
  }
  if (ip + ipv6.HEADER_LENGTH > limit || ipv6.version(dv, ip) !== 6) return false;
  out.end = Math.min(limit, ip + ipv6.HEADER_LENGTH + ipv6.payloadLength(dv, ip));
  const walk = ipv6.walk(dv, ip, limit, out.walk);
  if (walk.protocol < 0 || walk.protocol === ipv4.IPPROTO_NONE || walk.fragOffset !== 0) return false;
  out.protocol = walk.protocol;
  out.at = walk.at;
  return true;
}

/** Fills addresses, family and protocol of a tuple from the IP header at `ip`; ports and zone become 0. */
export function addressesFromHeader(dv: DataView, pf: number, ip: number, protocol: number, t: Words): void {
  if (pf === NFPROTO_IPV4) {
    t.fill(0);
    t[0] = dv.getUint32(ip + ipv4.SRC);
    t[DST] = dv.getUint32(ip + ipv4.DST);
  } else {
    for (let k = 0; k < 4; k++) {
      t[k] = dv.getUint32(ip + ipv6.SRC + k * 4);
      t[DST + k] = dv.getUint32(ip + ipv6.DST + k * 4);
    }
    t[PORTS] = 0;
    t[ZONE] = 0;
  }
  t[PROTO] = (pf << 8) | protocol;
}

/** True when the checksum over `[at, end)` and the pseudo header of `protocol` is right, or known to be. */
export function transportChecksumOk(
  slab: Slab,
  p: number,
  pf: number,
  protocol: number,
  at: number,
  end: number,
): boolean {
  if (slab.flags(p) & (PKT_CSUM_UNNECESSARY | PKT_CSUM_PARTIAL)) return true;
  const ip = slab.network(p);
  const pseudo =
    pf === NFPROTO_IPV4 ? pseudo4(slab.dv, ip, protocol, end - at) : pseudo6(slab.dv, ip, protocol, end - at);
  return fold(partial(slab.dv, at, end - at, pseudo)) === 0xffff;
}

/** The same without a pseudo header (ICMP). */
export function plainChecksumOk(slab: Slab, p: number, at: number, end: number): boolean {
  if (slab.flags(p) & (PKT_CSUM_UNNECESSARY | PKT_CSUM_PARTIAL)) return true;
  return fold(partial(slab.dv, at, end - at)) === 0xffff;
}

/** One past the last byte of the packet that its IP header claims. */
export function packetEnd(slab: Slab, p: number, pf: number): number {
  const ip = slab.network(p);
  const claimed =
    pf === NFPROTO_IPV4 ? ipv4.totalLength(slab.dv, ip) : ipv6.HEADER_LENGTH + ipv6.payloadLength(slab.dv, ip);
  return Math.min(slab.end(p), ip + claimed);
}
