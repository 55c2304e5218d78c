/**
 * Rewriting payloads for helpers (`nf_nat_helper`): some bytes are replaced by others, perhaps more or fewer; lengths and
 * checksums are mended, and the TCP sequence numbers from there on corrected.
 */
import { PKT_CSUM_PARTIAL, type Slab } from '../../core/slab.ts';
import { fold, partial, pseudo4, pseudo6, update16 } from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as tcp from '../../wire/tcp.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import * as udp from '../../wire/udp.ts';
import type { Conn } from '../conntrack/entry.ts';
import { packetEnd } from '../conntrack/packet.ts';
import { setSeqAdjust } from '../conntrack/seqadj.ts';

/** Replaces `length` bytes at `from` (an offset in the slab) and moves what follows; false: there is no room. */
function replace(slab: Slab, p: number, pf: number, from: number, length: number, by: Uint8Array): boolean {
  const grown = by.length - length;
  const end = packetEnd(slab, p, pf);
  if (from < slab.network(p) || from + length > end) return false;
  const ip = slab.network(p);
  if (end - ip + grown > 65535) return false;
  // What lies behind the IP packet (padding) is of no use.
  if (!slab.setLen(p, end + grown - slab.head(p))) return false;
  if (grown !== 0) slab.u8.copyWithin(from + by.length, from + length, end);
  slab.u8.set(by, from);
  const { dv } = slab;
  if (pf === NFPROTO_IPV4) {
    const old = ipv4.totalLength(dv, ip);
    dv.setUint16(ip + 2, old + grown);
    dv.setUint16(ip + 10, update16(dv.getUint16(ip + 10), old, old + grown));
  } else dv.setUint16(ip + 4, ipv6.payloadLength(dv, ip) + grown);
  return true;
}

/** Computes a transport checksum anew, or the pseudo header's when the rest is filled in later. */
function refill(slab: Slab, p: number, pf: number, protocol: number, at: number, field: number): number {
  const { dv } = slab;
  const end = packetEnd(slab, p, pf);
  const ip = slab.network(p);
  const pseudo = pf === NFPROTO_IPV4 ? pseudo4(dv, ip, protocol, end - at) : pseudo6(dv, ip, protocol, end - at);
  if (slab.flags(p) & PKT_CSUM_PARTIAL) {
    dv.setUint16(field, fold(pseudo));
    return fold(pseudo);
  }
  dv.setUint16(field, 0);
  const check = fold(partial(dv, at, end - at, pseudo)) ^ 0xffff;
  dv.setUint16(field, check);
  return check;
}

/** Replaces bytes of a TCP payload; `offset` counts from its start. */
export function mangleTcp(
  slab: Slab,
  ct: Conn,
  p: number,
  pf: number,
  at: number,
  ctinfo: number,
  offset: number,
  length: number,
  by: Uint8Array,
): boolean {
  const from = at + tcp.headerLength(slab.dv, at) + offset;
  if (!replace(slab, p, pf, from, length, by)) return false;
  refill(slab, p, pf, ipv4.IPPROTO_TCP, at, at + 16);
  if (by.length !== length) setSeqAdjust(ct, ctinfo, tcp.seq(slab.dv, at), by.length - length);
  return true;
}

/** The same of a UDP payload. */
export function mangleUdp(
  slab: Slab,
  p: number,
  pf: number,
  at: number,
  offset: number,
  length: number,
  by: Uint8Array,
): boolean {
  if (!replace(slab, p, pf, at + udp.HEADER_LENGTH + offset, length, by)) return false;
  slab.dv.setUint16(at + 4, packetEnd(slab, p, pf) - at);
  // Without a checksum it stays without.
  if (udp.checksum(slab.dv, at) === 0 && !(slab.flags(p) & PKT_CSUM_PARTIAL)) return true;
  if (refill(slab, p, pf, ipv4.IPPROTO_UDP, at, at + 6) === 0 && !(slab.flags(p) & PKT_CSUM_PARTIAL))
    slab.dv.setUint16(at + 6, 0xffff);
  return true;
}
