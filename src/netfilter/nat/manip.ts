/**
 * Rewriting packets: addresses and ports, with every checksum that covers them mended (RFC 1624), in the packet itself and in
 * the packet quoted by an ICMP error (RFC 5508 REQ-5).
 */
import { PKT_CSUM_PARTIAL, type Slab } from '../../core/slab.ts';
import { checksum, fold, partial, pseudo6, update16, update32 } from '../../wire/checksum.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as sctp from '../../wire/sctp.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { locate, newLocated } from '../conntrack/packet.ts';
import { DST, dstPort, srcPort, type Words } from '../conntrack/tuple.ts';
import { MANIP_SRC } from './range.ts';

/** Where a transport protocol keeps its checksum, and how much of the header must be there to have one. */
const CHECKSUM_AT: ReadonlyMap<number, { readonly at: number; readonly need: number }> = new Map([
  [ipv4.IPPROTO_TCP, { at: 16, need: 20 }],
  [ipv4.IPPROTO_UDP, { at: 6, need: 8 }],
  [ipv4.IPPROTO_UDPLITE, { at: 6, need: 8 }],
]);

/** Address words that a checksum covers changed from `before` to `after`. */
function updateAddress(dv: DataView, at: number, before: Words, after: Words, b: number, words: number): void {
  let check = dv.getUint16(at);
  for (let k = 0; k < words; k++) check = update32(check, before[k], after[b + k]);
  dv.setUint16(at, check);
}

function updateField(dv: DataView, at: number, before: number, after: number): void {
  dv.setUint16(at, update16(dv.getUint16(at), before, after));
}

/**
 * Writes the source (or destination) of `target` into the IP packet at `ip`, whose bytes end at `limit`, and into its transport
 * header. `nested`: the packet is a quotation, its transport header may be cut off.
 */
export function manipulate(
  slab: Slab,
  p: number,
  pf: number,
  ip: number,
  limit: number,
  target: Words,
  t: number,
  manip: number,
  nested: boolean,
): boolean {
  const { dv } = slab;
  const source = manip === MANIP_SRC;
  const four = pf === NFPROTO_IPV4;
  const at = source ? (four ? ipv4.SRC : ipv6.SRC) : four ? ipv4.DST : ipv6.DST;
  const words = four ? 1 : 4;
  const from = source ? t : t + DST;
  const before = new Uint32Array(4);
  for (let k = 0; k < words; k++) before[k] = dv.getUint32(ip + at + k * 4);

  const found = newLocated();
  // A later fragment, or a header that cannot be found: only the addresses.
  if (locate(dv, pf, ip, limit, found) && found.at < limit) {
    if (found.protocol === ipv4.IPPROTO_GRE && !source && !gre(dv, found.at, limit, dstPort(target, t))) return false;
    const end = nested ? limit : found.end;
    const port = source ? srcPort(target, t) : dstPort(target, t);
    transport(slab, p, found.protocol, found.at, end, before, target, from, words, port, source, nested);
  }
  for (let k = 0; k < words; k++) dv.setUint32(ip + at + k * 4, target[from + k]);
  if (four) updateAddress(dv, ip + 10, before, target, from, 1);
  return true;
}

/** The destination of a GRE packet: PPTP's call id is rewritten, other versions than 0 cannot be (RFC 2784, RFC 2637). */
function gre(dv: DataView, at: number, limit: number, key: number): boolean {
  if (at + 4 > limit) return false;
  const version = dv.getUint16(at) & 7;
  if (version === 1 && at + 8 <= limit) dv.setUint16(at + 6, key);
  return version <= 1;
}

function transport(
  slab: Slab,
  p: number,
  protocol: number,
  at: number,
  end: number,
  before: Words,
  after: Words,
  from: number,
  words: number,
  port: number,
  source: boolean,
  nested: boolean,
): void {
  const { dv } = slab;
  const length = end - at;
  switch (protocol) {
    case ipv4.IPPROTO_TCP:
    case ipv4.IPPROTO_UDP:
    case ipv4.IPPROTO_UDPLITE: {
      if (length < 8) return;
      const portAt = at + (source ? 0 : 2);
      const old = dv.getUint16(portAt);
      dv.setUint16(portAt, port);
      const { at: where, need } = CHECKSUM_AT.get(protocol)!;
      if (length < need) return;
      const check = at + where;
      const udp = protocol !== ipv4.IPPROTO_TCP;
      if (!nested && slab.flags(p) & PKT_CSUM_PARTIAL) {
        // The field holds the folded pseudo header, not complemented: the addresses change it, the port does not.
        let sum = dv.getUint16(check) ^ 0xffff;
        for (let k = 0; k < words; k++) sum = update32(sum, before[k], after[from + k]);
        dv.setUint16(check, sum ^ 0xffff);
        return;
      }
      if (udp && dv.getUint16(check) === 0) return;
      updateAddress(dv, check, before, after, from, words);
      updateField(dv, check, old, port);
      if (udp && dv.getUint16(check) === 0) dv.setUint16(check, 0xffff);
      return;
    }
    case ipv4.IPPROTO_SCTP:
      // Nested and cut off: the port alone, the CRC cannot be computed from a part.
      if (length < 8) return;
      dv.setUint16(at + (source ? 0 : 2), port);
      if (nested || length < sctp.HEADER_LENGTH || slab.flags(p) & PKT_CSUM_PARTIAL) return;
      sctp.setChecksum(dv, at, sctp.computeChecksum(dv, slab.u8, at, length));
      return;
    case ipv4.IPPROTO_ICMP: {
      if (length < icmp.HEADER_LENGTH || icmp.isError(icmp.type(dv, at))) return;
      const old = icmp.id(dv, at);
      const id = queryId(after, from, source);
      icmp.setId(dv, at, id);
      updateField(dv, at + 2, old, id);
      return;
    }
    case ipv4.IPPROTO_ICMPV6: {
      if (length < icmpv6.HEADER_LENGTH) return;
      updateAddress(dv, at + 2, before, after, from, words);
      const type = icmpv6.type(dv, at);
      if (type !== icmpv6.ICMPV6_ECHO_REQUEST && type !== icmpv6.ICMPV6_ECHO_REPLY) return;
      const old = icmpv6.id(dv, at);
      const id = queryId(after, from, source);
      icmpv6.setId(dv, at, id);
      updateField(dv, at + 2, old, id);
    }
  }
}

/** The id lies in the source half of the tuple, whichever half is rewritten. */
function queryId(target: Words, from: number, source: boolean): number {
  return srcPort(target, source ? from : from - DST);
}

/** Computes the ICMP or ICMPv6 checksum of the message in `[at, end)` anew. */
export function refillIcmp(slab: Slab, pf: number, ip: number, at: number, end: number): void {
  const { dv } = slab;
  dv.setUint16(at + 2, 0);
  const check =
    pf === NFPROTO_IPV4
      ? checksum(dv, at, end - at)
      : fold(partial(dv, at, end - at, pseudo6(dv, ip, ipv4.IPPROTO_ICMPV6, end - at))) ^ 0xffff;
  dv.setUint16(at + 2, check);
}
