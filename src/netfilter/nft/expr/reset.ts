/**
 * The TCP reset that answers a rejected segment (RFC 9293 section 3.10.7.1), as an IP packet without link header.
 */

import { attachConnection } from '../../../inet/stack.ts';
import { fold, checksum as inetChecksum, partial, pseudo4, pseudo6 } from '../../../wire/checksum.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../../wire/ethernet.ts';
import * as ipv4 from '../../../wire/ipv4.ts';
import * as ipv6 from '../../../wire/ipv6.ts';
import * as tcp from '../../../wire/tcp.ts';
import type { PktInfo } from '../pkt.ts';

const DEFAULT_TTL = 64;

/** Builds the reset; -1 when the packet may not be answered (not TCP, a reset itself, a fragment, a wrong checksum). */
export function resetFor(pkt: PktInfo): number {
  const { slab } = pkt;
  const { dv } = slab;
  if (!pkt.hasTransport || pkt.tprot !== ipv4.IPPROTO_TCP || pkt.fragoff !== 0) return -1;
  const from = pkt.thoff;
  const length = pkt.ipEnd() - from;
  if (length < tcp.HEADER_LENGTH) return -1;
  const flags = tcp.flags(dv, from);
  if (flags & tcp.RST) return -1;
  const v4 = ipv4.version(dv, pkt.nhoff) === 4;
  const pseudo = v4
    ? pseudo4(dv, pkt.nhoff, ipv4.IPPROTO_TCP, length)
    : pseudo6(dv, pkt.nhoff, ipv4.IPPROTO_TCP, length);
  if ((fold(partial(dv, from, length, pseudo)) ^ 0xffff) !== 0) return -1;

  const headerLength = v4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  const reply = slab.alloc(headerLength + tcp.HEADER_LENGTH);
  if (reply < 0) return -1;
  slab.setLen(reply, headerLength + tcp.HEADER_LENGTH);
  const ip = slab.head(reply);
  const to = ip + headerLength;
  slab.setNetwork(reply, ip);
  slab.setTransport(reply, to);
  slab.setProtocol(reply, v4 ? ETH_P_IP : ETH_P_IPV6);
  attachConnection(slab, reply, pkt.p);
  slab.u8.fill(0, ip, to + tcp.HEADER_LENGTH);
  if (v4) {
    const src = ipv4.srcAddr(dv, pkt.nhoff);
    const dst = ipv4.dstAddr(dv, pkt.nhoff);
    ipv4.init(dv, ip, dst, src, ipv4.IPPROTO_TCP, slab.len(reply), DEFAULT_TTL, 0, ipv4.IP_DF);
  } else {
    ipv6.init(dv, ip, ipv4.IPPROTO_TCP, tcp.HEADER_LENGTH, DEFAULT_TTL);
    ipv6.copyAddress(dv, pkt.nhoff + ipv6.DST, ip + ipv6.SRC);
    ipv6.copyAddress(dv, pkt.nhoff + ipv6.SRC, ip + ipv6.DST);
  }
  tcp.setSrcPort(dv, to, tcp.dstPort(dv, from));
  tcp.setDstPort(dv, to, tcp.srcPort(dv, from));
  tcp.setHeaderLength(dv, to, tcp.HEADER_LENGTH);
  if (flags & tcp.ACK) {
    tcp.setSeq(dv, to, tcp.ackSeq(dv, from));
    tcp.setFlags(dv, to, tcp.RST);
  } else {
    const syn = flags & tcp.SYN ? 1 : 0;
    const fin = flags & tcp.FIN ? 1 : 0;
    tcp.setAckSeq(dv, to, (tcp.seq(dv, from) + syn + fin + length - tcp.headerLength(dv, from)) >>> 0);
    tcp.setFlags(dv, to, tcp.RST | tcp.ACK);
  }
  const sum = v4
    ? pseudo4(dv, ip, ipv4.IPPROTO_TCP, tcp.HEADER_LENGTH)
    : pseudo6(dv, ip, ipv4.IPPROTO_TCP, tcp.HEADER_LENGTH);
  tcp.setChecksum(dv, to, inetChecksum(dv, to, tcp.HEADER_LENGTH, sum));
  return reply;
}
