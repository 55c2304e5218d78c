/**
 * IPv6 fragments: cutting and putting together (RFC 8200 4.5; overlaps RFC 5722, atomic fragments RFC 6946).
 *
 *     fragment header:  | next 1 | 0 | offset 13 bits, 2 reserved, M | identification 4 |
 */
import { DROP } from '../core/drop.ts';
import { PKT_IGNORE_DF, type Slab } from '../core/slab.ts';
import { ICMPV6_EXC_FRAGTIME, ICMPV6_HDR_FIELD, ICMPV6_PARAMPROB, ICMPV6_TIME_EXCEED } from '../wire/icmpv6.ts';
import {
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMPV6,
  IPPROTO_ROUTING,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from '../wire/ipv4.ts';
import * as ip from '../wire/ipv6.ts';
import { copyRouting } from './frag-meta.ts';
import { geometryOf, geometrySize, pieceLength, setGeometry } from './geometry.ts';
import type { Icmp6 } from './icmp6.ts';
import { Reassembly } from './reassembly.ts';
import { CB_FRAGMENT_HEADER, CB_LARGEST_FRAGMENT, type InetHost } from './stack.ts';

const FRAGMENT_HEADER = 8;
/** Parameter problem: the first fragment has an incomplete header chain (RFC 7112 6). */
const ICMPV6_HDR_INCOMP = 3;

/** End of the part that every fragment repeats, and where the next-header field of its last header lies. */
function unfragmentable(slab: Slab, at: number, end: number): [end: number, nextAt: number] {
  const { dv } = slab;
  let next = ip.nextHeader(dv, at);
  let nextAt = at + 6;
  let cursor = at + ip.HEADER_LENGTH;
  let out: [number, number] = [cursor, nextAt];
  while ((next === IPPROTO_HOPOPTS || next === IPPROTO_ROUTING || next === IPPROTO_DSTOPTS) && cursor + 8 <= end) {
    const routing = next === IPPROTO_ROUTING || next === IPPROTO_HOPOPTS;
    nextAt = cursor;
    next = dv.getUint8(cursor);
    cursor += ip.extensionLength(dv, IPPROTO_HOPOPTS, cursor);
    if (routing) out = [cursor, nextAt];
  }
  return out;
}

/** Cuts a packet into fragments of at most `mtu` bytes and hands each over. The packet itself stays the caller's. */
export function fragment6(slab: Slab, p: number, mtu: number, id: number, emit: (piece: number) => void): void {
  const { dv, u8 } = slab;
  const at = slab.network(p);
  const end = slab.end(p);
  const [split, nextAt] = unfragmentable(slab, at, end);
  const head = split - at;
  const room = (mtu - head - FRAGMENT_HEADER) & ~7;
  if (room < 8) return;
  const next = dv.getUint8(nextAt);
  const known = geometryOf(slab, p, end - split, mtu - head - FRAGMENT_HEADER);
  let length = 0;
  for (let from = split, i = 0; from < end; from += length, i++) {
    length = known > 0 ? pieceLength(slab, p, i) : Math.min(room, end - from);
    const q = slab.alloc(head + FRAGMENT_HEADER + length);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setLen(q, head + FRAGMENT_HEADER + length);
    copyRouting(slab, p, q);
    u8.copyWithin(to, at, split);
    dv.setUint8(to + nextAt - at, IPPROTO_FRAGMENT);
    const header = to + head;
    dv.setUint8(header, next);
    dv.setUint8(header + 1, 0);
    dv.setUint16(header + 2, (from - split) | (from + length < end ? 1 : 0));
    dv.setUint32(header + 4, id);
    u8.copyWithin(header + FRAGMENT_HEADER, from, from + length);
    slab.setNetwork(q, to);
    slab.setTransport(q, header);
    ip.setPayloadLength(dv, to, slab.len(q) - ip.HEADER_LENGTH);
    emit(q);
  }
}

/** `Defrag6.add` in front of connection tracking: not for reassembly, the fragment goes on as it is. */
export const FRAGMENT_AS_IT_IS = -2;

export class Defrag6 {
  readonly #host: InetHost;
  readonly #icmp: Icmp6;
  readonly #reassembly: Reassembly;

  constructor(host: InetHost, errors: Icmp6) {
    this.#host = host;
    this.#icmp = errors;
    const { ip6 } = host.sysctls;
    this.#reassembly = new Reassembly(host.world, host.name, {
      timeoutNs: () => ip6.ip6frag_time * 1e9,
      highThreshold: () => ip6.ip6frag_high_thresh,
      expired: (p) => errors.error(p, ICMPV6_TIME_EXCEED, ICMPV6_EXC_FRAGTIME, 0),
    });
  }

  get pending(): number {
    return this.#reassembly.size;
  }

  /** True when a first fragment ends before its transport header does (RFC 7112, RFC 8200 4.5). */
  #headerTruncated(header: number, end: number): boolean {
    const { dv } = this.#host.world.slab;
    let next = dv.getUint8(header);
    let cursor = header + FRAGMENT_HEADER;
    while (ip.isExtensionHeader(next) && next !== IPPROTO_FRAGMENT) {
      if (cursor + 2 > end) return false;
      const length = ip.extensionLength(dv, next, cursor);
      next = dv.getUint8(cursor);
      cursor += length;
    }
    const needed = next === IPPROTO_TCP ? 20 : next === IPPROTO_UDP || next === IPPROTO_ICMPV6 ? 8 : 1;
    return cursor + needed > end;
  }

  /** Takes the fragment whose fragment header is at `header`; the whole packet, or -1 while parts are missing. Owns the packet. */
  add(p: number, header: number, user: string): number {
    const { world, name } = this.#host;
    const { slab } = world;
    const { dv, u8 } = slab;
    const at = slab.network(p);
    const field = dv.getUint16(header + 2);
    const from = field & 0xfff8;
    const more = (field & 1) !== 0;
    const length = slab.end(p) - header - FRAGMENT_HEADER;
    // Conntrack drops what is wrong without a word; a destination says so.
    const speak = user === 'in';
    if (from === 0 && this.#headerTruncated(header, slab.end(p))) {
      if (!speak) return FRAGMENT_AS_IT_IS;
      this.#icmp.error(p, ICMPV6_PARAMPROB, ICMPV6_HDR_INCOMP, 0);
      world.drop(p, DROP.IPV6_BAD_EXTHDR, name);
      return -1;
    }
    if (from + length + (header - at - ip.HEADER_LENGTH) > 65_535) {
      if (speak) this.#icmp.error(p, ICMPV6_PARAMPROB, ICMPV6_HDR_FIELD, header + 2 - at);
      world.drop(p, DROP.PKT_TOO_BIG, name);
      return -1;
    }
    let key = `${user} ${dv.getUint32(header + 4)} ${slab.iif(p)}`;
    for (let i = 8; i < 40; i += 4) key += ` ${dv.getUint32(at + i)}`;
    if (more && (length & 7) !== 0 && !speak) {
      this.#reassembly.kill(key);
      return FRAGMENT_AS_IT_IS;
    }
    if (more && (length & 7) !== 0) {
      this.#icmp.error(p, ICMPV6_PARAMPROB, ICMPV6_HDR_FIELD, 4);
      world.drop(p, DROP.IPV6_BAD_EXTHDR, name);
      return -1;
    }
    if (length < 0) {
      world.drop(p, DROP.IPV6_BAD_EXTHDR, name);
      return -1;
    }
    // Where the payload begins is remembered in scratch words, relative to the network header.
    slab.setCb(p, CB_FRAGMENT_HEADER, header - at);
    const pieces = this.#reassembly.add(p, key, from, from + length, more, !speak);
    if (pieces === undefined) return -1;
    const first = pieces[0].p;
    const firstAt = slab.network(first);
    const head = slab.cb(first, CB_FRAGMENT_HEADER);
    const total = pieces[pieces.length - 1].to;
    const whole = slab.alloc(head + total + geometrySize(pieces.length));
    if (whole < 0) {
      for (const piece of pieces) world.drop(piece.p, DROP.NOMEM, name);
      return -1;
    }
    const to = slab.head(whole);
    slab.setLen(whole, head + total);
    copyRouting(slab, first, whole);
    u8.copyWithin(to, firstAt, firstAt + head);
    // The fragment header goes: the header in front of it names what was behind it.
    let nextAt = to + 6;
    for (let cursor = to + ip.HEADER_LENGTH; cursor < to + head; ) {
      nextAt = cursor;
      cursor += ip.extensionLength(dv, IPPROTO_HOPOPTS, cursor);
    }
    dv.setUint8(nextAt, dv.getUint8(firstAt + head));
    let largest = 0;
    for (const piece of pieces) {
      largest = Math.max(largest, slab.len(piece.p));
      const body = slab.network(piece.p) + slab.cb(piece.p, CB_FRAGMENT_HEADER) + FRAGMENT_HEADER;
      u8.copyWithin(to + head + piece.from, body, body + piece.to - piece.from);
    }
    slab.setNetwork(whole, to);
    slab.setTransport(whole, to + ip.HEADER_LENGTH);
    const mac = slab.mac(first);
    if (mac !== 0xffffffff && firstAt - mac === 14) {
      u8.copyWithin(to - 14, mac, mac + 14);
      slab.setMac(whole, to - 14);
    }
    slab.setFlags(whole, slab.flags(first) | PKT_IGNORE_DF);
    if (pieces.length > 1) {
      slab.setCb(whole, CB_LARGEST_FRAGMENT, largest);
      setGeometry(slab, whole, pieces);
    }
    ip.setPayloadLength(dv, to, head + total - ip.HEADER_LENGTH);
    for (const piece of pieces) slab.free(piece.p);
    return whole;
  }
}
