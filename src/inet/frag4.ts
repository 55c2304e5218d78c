/**
 * IPv4 fragments: cutting (RFC 791 2.3) and putting together. A datagram put together remembers that it came in
 * fragments, so that it may leave in fragments again.
 */
import { DROP } from '../core/drop.ts';
import { PKT_IGNORE_DF, type Slab } from '../core/slab.ts';
import * as icmp from '../wire/icmp.ts';
import * as ip from '../wire/ipv4.ts';
import { copyRouting } from './frag-meta.ts';
import { geometryOf, geometrySize, pieceLength, setGeometry } from './geometry.ts';
import type { Icmp4 } from './icmp4.ts';
import { Reassembly } from './reassembly.ts';
import { CB_LARGEST_FRAGMENT, type InetHost } from './stack.ts';

/** Cuts a packet into pieces of at most `mtu` bytes and hands each over. The packet itself stays the caller's. */
export function fragment4(slab: Slab, p: number, mtu: number, emit: (piece: number) => void): void {
  const { dv, u8 } = slab;
  const at = slab.network(p);
  const header = ip.headerLength(dv, at);
  const total = slab.end(p) - at;
  const before = ip.fragOff(dv, at);
  const base = (before & ip.IP_OFFSET) << 3;
  const room = (mtu - header) & ~7;
  if (room < 8) return;
  const known = base === 0 ? geometryOf(slab, p, total - header, mtu - header) : 0;
  let length = 0;
  for (let from = 0, i = 0; from < total - header; from += length, i++) {
    length = known > 0 ? pieceLength(slab, p, i) : Math.min(room, total - header - from);
    const q = slab.alloc(header + length);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setLen(q, header + length);
    copyRouting(slab, p, q);
    u8.copyWithin(to, at, at + header);
    u8.copyWithin(to + header, at + header + from, at + header + from + length);
    slab.setNetwork(q, to);
    slab.setTransport(q, to + header);
    const last = from + length >= total - header;
    const more = last ? before & ip.IP_MF : ip.IP_MF;
    ip.setTotalLength(dv, to, header + length);
    ip.setFragOff(dv, to, (known > 0 ? 0 : before & ip.IP_DF) | more | ((base + from) >> 3));
    if (from > 0) blankOptions(u8, to + ip.HEADER_LENGTH, to + header);
    ip.fillChecksum(dv, to);
    emit(q);
  }
}

/** In later fragments options without the copy bit become no-operations (RFC 791 3.1). */
function blankOptions(u8: Uint8Array, from: number, end: number): void {
  for (let at = from; at < end; ) {
    const kind = u8[at];
    if (kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = u8[at + 1];
    if (length < 2 || at + length > end) return;
    if ((kind & 0x80) === 0) u8.fill(1, at, at + length);
    at += length;
  }
}

export class Defrag4 {
  readonly #host: InetHost;
  readonly #reassembly: Reassembly;

  constructor(host: InetHost, errors: Icmp4) {
    this.#host = host;
    const { ip4 } = host.sysctls;
    this.#reassembly = new Reassembly(host.world, host.name, {
      timeoutNs: () => ip4.ipfrag_time * 1e9,
      highThreshold: () => ip4.ipfrag_high_thresh,
      expired: (p) => errors.error(p, icmp.ICMP_TIME_EXCEEDED, icmp.ICMP_EXC_FRAGTIME, 0),
    });
  }

  /** Datagrams being put together. */
  get pending(): number {
    return this.#reassembly.size;
  }

  /** Takes a fragment; answers the whole packet when it completes one, -1 otherwise. `user` keeps users apart. Owns the packet. */
  add(p: number, user: string): number {
    const { world, name } = this.#host;
    const { slab } = world;
    const { dv, u8 } = slab;
    const at = slab.network(p);
    const header = ip.headerLength(dv, at);
    const field = ip.fragOff(dv, at);
    const from = (field & ip.IP_OFFSET) << 3;
    const length = slab.end(p) - at - header;
    const more = (field & ip.IP_MF) !== 0;
    // All but the last are multiples of eight bytes (Linux cuts the rest off); nothing reaches beyond 65,535.
    const take = more ? length & ~7 : length;
    if (from + take + header > 65_535) {
      world.drop(p, DROP.PKT_TOO_BIG, name);
      return -1;
    }
    const key = `${user} ${ip.srcAddr(dv, at)} ${ip.dstAddr(dv, at)} ${ip.id(dv, at)} ${ip.protocol(dv, at)} ${slab.nfct(p) >>> 31}`;
    const pieces = this.#reassembly.add(p, key, from, from + take, more);
    if (pieces === undefined) return -1;
    const first = pieces[0].p;
    const firstAt = slab.network(first);
    const firstHeader = ip.headerLength(dv, firstAt);
    const total = pieces[pieces.length - 1].to;
    const whole = slab.alloc(firstHeader + total + geometrySize(pieces.length));
    if (whole < 0) {
      for (const piece of pieces) world.drop(piece.p, DROP.NOMEM, name);
      return -1;
    }
    const to = slab.head(whole);
    slab.setLen(whole, firstHeader + total);
    copyRouting(slab, first, whole);
    u8.copyWithin(to, firstAt, firstAt + firstHeader);
    let largest = 0;
    let largestDf = 0;
    for (const piece of pieces) {
      const n = slab.network(piece.p);
      const h = ip.headerLength(dv, n);
      u8.copyWithin(to + firstHeader + piece.from, n + h, n + h + piece.to - piece.from);
      const size = h + piece.to - piece.from;
      largest = Math.max(largest, size);
      if ((ip.fragOff(dv, n) & ip.IP_DF) !== 0) largestDf = Math.max(largestDf, size);
    }
    slab.setNetwork(whole, to);
    slab.setTransport(whole, to + firstHeader);
    slab.setMac(whole, 0xffffffff);
    // The link header of the first fragment goes along, for rules that look at it.
    const mac = slab.mac(first);
    if (mac !== 0xffffffff && firstAt - mac === 14) {
      u8.copyWithin(to - 14, mac, mac + 14);
      slab.setMac(whole, to - 14);
    }
    slab.setFlags(whole, slab.flags(first) | PKT_IGNORE_DF);
    ip.setTotalLength(dv, to, firstHeader + total);
    // The sender is discovering the path's MTU when its largest fragment said "do not fragment".
    ip.setFragOff(dv, to, largestDf === largest ? ip.IP_DF : 0);
    slab.setCb(whole, CB_LARGEST_FRAGMENT, largest);
    setGeometry(slab, whole, pieces);
    ip.fillChecksum(dv, to);
    for (const piece of pieces) slab.free(piece.p);
    return whole;
  }
}
