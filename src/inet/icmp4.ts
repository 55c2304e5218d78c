/**
 * ICMP of one host (RFC 792, 1122, 1812): errors about packets, echo and timestamp answers, errors received.
 */
import { DROP } from '../core/drop.ts';
import { PACKET_HOST, PKT_TRACE } from '../core/slab.ts';
import { AF_INET } from '../wire/address.ts';
import { checksum } from '../wire/checksum.ts';
import { ETH_P_IP } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as ip from '../wire/ipv4.ts';
import { RTN_LOCAL, RTN_UNICAST } from '../wire/uapi/rtnetlink.ts';
import type { Ip4 } from './ip4.ts';
import { IcmpRateLimit } from './rate-limit.ts';
import { attachConnection, type InetHost } from './stack.ts';

/** An error quotes as much as fits into 576 bytes (RFC 1812 4.3.2.3). */
const MAX_ERROR = 576;
const MS_PER_DAY = 86_400_000;
/** ICMP types about which an error may be sent: echo, timestamp, information and address mask, questions and answers. */
const QUESTIONS: number = (1 << 0) | (1 << 8) | (0x3f << 13);
/** Unreachable destinations a sender may hear of at once; then one each second (route/error_burst, error_cost). */
const ROUTE_ERROR_BURST = 5;

export class Icmp4 {
  readonly #host: InetHost;
  readonly #ip: Ip4;
  readonly #limit: IcmpRateLimit;
  /** Told of echo replies and errors, for ping sockets. The packet is only lent. */
  onReply: ((p: number, type: number, code: number) => void) | undefined;

  constructor(host: InetHost, ip4: Ip4) {
    this.#host = host;
    this.#ip = ip4;
    this.#limit = new IcmpRateLimit(host.world);
  }

  /** True when an error may be sent to `dst` now. */
  #allowed(type: number, code: number, dst: number, local: boolean): boolean {
    const { ip4 } = this.#host.sysctls;
    // Path MTU discovery is never limited, nor is talk with oneself.
    if (type === icmp.ICMP_DEST_UNREACH && code === icmp.ICMP_FRAG_NEEDED) return true;
    if (((1 << type) & ip4.icmp_ratemask) === 0) return true;
    if (local) return true;
    return this.#limit.global(ip4.icmp_msgs_per_sec, ip4.icmp_msgs_burst) && this.#limit.peer(dst, ip4.icmp_ratelimit);
  }

  /** True when a sender may be sent a redirect now (ip_rt_send_redirect). */
  redirectAllowed(src: number): boolean {
    return this.#limit.redirect(src);
  }

  /** True when a sender may be told now that routing has no way for its packet (ip_error). */
  routeErrorAllowed(src: number): boolean {
    return this.#limit.peer(src, 1000, ROUTE_ERROR_BURST);
  }

  /**
   * Sends an error about a packet (icmp_send), unless the rules of RFC 1122 3.2.2 forbid it. `info` is the second word of
   * the message (MTU, pointer, gateway). The packet stays the caller's.
   */
  error(p: number, type: number, code: number, info: number): void {
    const host = this.#host;
    const { world } = host;
    const { slab } = world;
    const { dv, u8 } = slab;
    const at = slab.network(p);
    if (slab.pktType(p) !== PACKET_HOST && slab.pktType(p) !== 4 && slab.pktType(p) !== 5) return;
    const src = ip.srcAddr(dv, at);
    const dst = ip.dstAddr(dv, at);
    const header = ip.headerLength(dv, at);
    if ((ip.fragOff(dv, at) & ip.IP_OFFSET) !== 0) return;
    if (dst >>> 28 === 14 || dst === 0xffffffff || src === 0 || src >>> 28 === 14) return;
    if (ip.protocol(dv, at) === ip.IPPROTO_ICMP) {
      // No errors about errors; nor about ICMP that cannot be read.
      if (at + header + 1 > slab.end(p)) return;
      const inner = dv.getUint8(at + header);
      if (((QUESTIONS >> inner) & 1) === 0 || inner > 18) return;
    }
    const q = slab.alloc(MAX_ERROR);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setNetwork(q, to);
    slab.setProtocol(q, ETH_P_IP);
    slab.setFlags(q, slab.flags(p) & PKT_TRACE);
    if (host.sysctls.ip4.fwmark_reflect) slab.setMark(q, slab.mark(p));
    attachConnection(slab, q, p);
    // The source: the address the packet was for, or chosen by routing back.
    const local = slab.rtType(p) === RTN_LOCAL;
    let from = local ? dst : 0;
    if (!local && host.sysctls.ip4.icmp_errors_use_inbound_ifaddr && slab.iif(p) !== 0) {
      from = this.#ip.addressOn(slab.iif(p), src);
    }
    const tos = type === icmp.ICMP_REDIRECT || icmp.isError(type) ? (ip.tos(dv, at) & 0x1e) | 0xc0 : ip.tos(dv, at);
    slab.setLen(q, ip.HEADER_LENGTH + 8);
    ip.init(dv, to, from, src, ip.IPPROTO_ICMP, 0, host.sysctls.ip4.ip_default_ttl, this.#ip.nextId(), 0, tos);
    if (this.#ip.routeOutput(q) !== 0 || !this.#allowed(type, code, src, slab.oif(q) === host.lo.ifindex)) {
      slab.free(q);
      return;
    }
    const room = Math.min(slab.rtMtu(q), MAX_ERROR) - ip.HEADER_LENGTH - icmp.HEADER_LENGTH;
    const quoted = Math.min(room, slab.end(p) - at);
    const total = ip.HEADER_LENGTH + icmp.HEADER_LENGTH + quoted;
    slab.setLen(q, total);
    ip.setTotalLength(dv, to, total);
    const message = to + ip.HEADER_LENGTH;
    slab.setTransport(q, message);
    dv.setUint8(message, type);
    dv.setUint8(message + 1, code);
    dv.setUint16(message + 2, 0);
    dv.setUint32(message + 4, info);
    u8.copyWithin(message + 8, at, at + quoted);
    icmp.setChecksum(dv, message, checksum(dv, message, icmp.HEADER_LENGTH + quoted));
    world.probe?.hit({ point: 'icmp_send', host: host.name, p, ifindex: slab.iif(p), args: { type, code } });
    if (world.traced(p)) {
      world.trace(p, { kind: 'reply', host: host.name, text: `icmp type ${type} code ${code}` });
    }
    this.#ip.send(q);
  }

  /** A message for this host. Owns the packet. */
  receive(p: number): void {
    const { world, name, sysctls } = this.#host;
    const { slab } = world;
    world.probe?.hit({ point: 'icmp_rcv', host: name, p, ifindex: slab.iif(p) });
    const { dv } = slab;
    const at = slab.transport(p);
    const length = slab.end(p) - at;
    if (length < icmp.HEADER_LENGTH) return world.drop(p, DROP.HDR_TRUNC, name);
    if (checksum(dv, at, length) !== 0) return world.drop(p, DROP.ICMP_CSUM, name);
    const type = icmp.type(dv, at);
    const dst = ip.dstAddr(dv, slab.network(p));
    const toMany = slab.rtType(p) !== RTN_LOCAL && slab.rtType(p) !== RTN_UNICAST;
    if (type > 18) return world.drop(p, DROP.UNHANDLED_PROTO, name);
    if (toMany) {
      const quiet =
        (type === icmp.ICMP_ECHO || type === icmp.ICMP_TIMESTAMP) && sysctls.ip4.icmp_echo_ignore_broadcasts !== 0;
      const allowed =
        type === icmp.ICMP_ECHO ||
        type === icmp.ICMP_TIMESTAMP ||
        type === icmp.ICMP_ADDRESS ||
        type === icmp.ICMP_ADDRESSREPLY;
      if (quiet || !allowed) return world.drop(p, DROP.IP_INVALID_DEST, name);
    }
    switch (type) {
      case icmp.ICMP_ECHO:
        if (sysctls.ip4.icmp_echo_ignore_all === 0) this.#answer(p, toMany ? 0 : dst, icmp.ICMP_ECHOREPLY);
        break;
      case icmp.ICMP_TIMESTAMP:
        if (length >= 20) this.#answer(p, toMany ? 0 : dst, icmp.ICMP_TIMESTAMPREPLY);
        break;
      case icmp.ICMP_ECHOREPLY:
        this.onReply?.(p, type, icmp.code(dv, at));
        break;
      default:
        if (icmp.isError(type)) this.#receivedError(p, at, length, type);
    }
    if (world.traced(p)) world.trace(p, { kind: 'deliver', host: name, to: `icmp type ${type}` });
    world.probe?.hit({ point: 'consume_skb', host: name, p, ifindex: world.slab.iif(p) });
    world.slab.free(p);
  }

  /** Sends an answer with the same contents (icmp_reply). */
  #answer(p: number, from: number, type: number): void {
    const host = this.#host;
    const { slab } = host.world;
    const { dv, u8 } = slab;
    const at = slab.transport(p);
    const network = slab.network(p);
    const src = ip.srcAddr(dv, network);
    const length = slab.end(p) - at;
    const size = type === icmp.ICMP_TIMESTAMPREPLY ? 20 : length;
    const q = slab.alloc(ip.HEADER_LENGTH + size);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setLen(q, ip.HEADER_LENGTH + size);
    slab.setNetwork(q, to);
    slab.setProtocol(q, ETH_P_IP);
    slab.setFlags(q, slab.flags(p) & PKT_TRACE);
    if (host.sysctls.ip4.fwmark_reflect) slab.setMark(q, slab.mark(p));
    ip.init(
      dv,
      to,
      from,
      src,
      ip.IPPROTO_ICMP,
      slab.len(q),
      host.sysctls.ip4.ip_default_ttl,
      this.#ip.nextId(),
      0,
      ip.tos(dv, network),
    );
    const message = to + ip.HEADER_LENGTH;
    slab.setTransport(q, message);
    u8.copyWithin(message, at, at + size);
    dv.setUint8(message, type);
    if (type === icmp.ICMP_TIMESTAMPREPLY) {
      const ms = Math.floor((host.world.epochMs + host.world.now / 1e6) % MS_PER_DAY);
      dv.setUint32(message + 12, ms);
      dv.setUint32(message + 16, ms);
    }
    dv.setUint16(message + 2, 0);
    if (this.#ip.routeOutput(q) !== 0) {
      slab.free(q);
      return;
    }
    icmp.setChecksum(dv, message, checksum(dv, message, size));
    this.#ip.send(q);
  }

  /** An error came back: tell the protocol whose packet it quotes. */
  #receivedError(p: number, at: number, length: number, type: number): void {
    const { slab } = this.#host.world;
    const { dv } = slab;
    const quoted = at + icmp.HEADER_LENGTH;
    if (length < icmp.HEADER_LENGTH + ip.HEADER_LENGTH || ip.version(dv, quoted) !== 4) return;
    const header = ip.headerLength(dv, quoted);
    if (header < ip.HEADER_LENGTH || quoted + header + 8 > at + length) return;
    const code = icmp.code(dv, at);
    const protocol = ip.protocol(dv, quoted);
    const mtu = icmp.mtu(dv, at);
    if (type === icmp.ICMP_DEST_UNREACH && code === icmp.ICMP_FRAG_NEEDED) {
      // Without discovery, and without a number (RFC 1191 section 5), the packet is lost and nothing is learned.
      if (this.#host.sysctls.ip4.ip_no_pmtu_disc !== 0 || mtu === 0) return;
      this.#ip.learnMtu(ip.dstAddr(dv, quoted), mtu);
    }
    if (protocol === ip.IPPROTO_ICMP) this.onReply?.(p, type, code);
    const payload = quoted + header;
    const info = dv.getUint32(at + 4);
    this.#host.rawError?.(p, { family: AF_INET, protocol, network: quoted, payload }, { type, code, info });
    this.#host.protocols.get(protocol)?.error?.(p, AF_INET, quoted, quoted + header, type, code, dv.getUint32(at + 4));
  }
}
