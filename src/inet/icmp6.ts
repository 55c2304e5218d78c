/**
 * ICMPv6 of one host (RFC 4443): errors about packets, echo answers, errors received; Neighbour Discovery goes to ndisc.
 */
import { DROP } from '../core/drop.ts';
import { PACKET_HOST, PKT_TRACE } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';
import { AF_INET6 } from '../wire/address.ts';
import { checksum, pseudo6 } from '../wire/checksum.ts';
import { ETH_P_IPV6 } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv6.ts';
import { IPPROTO_ICMPV6 } from '../wire/ipv4.ts';
import * as ip from '../wire/ipv6.ts';
import { RTN_LOCAL } from '../wire/uapi/rtnetlink.ts';
import type { Ip6 } from './ip6.ts';
import { IcmpRateLimit } from './rate-limit.ts';
import { attachConnection, type InetHost } from './stack.ts';

const MIN_MTU = 1280;

export class Icmp6 {
  readonly #host: InetHost;
  readonly #ip: Ip6;
  readonly #limit: IcmpRateLimit;
  readonly #walk: ip.Walk = { protocol: 0, at: 0, fragOffset: 0, fragmentAt: 0 };
  /** Told of echo replies and errors, for ping sockets. The packet is only lent. */
  onReply: ((p: number, type: number, code: number) => void) | undefined;

  constructor(host: InetHost, ip6: Ip6) {
    this.#host = host;
    this.#ip = ip6;
    this.#limit = new IcmpRateLimit(host.world);
  }

  /** Sends an error about a packet, unless RFC 4443 2.4 (e) forbids it. The packet stays the caller's. */
  error(p: number, type: number, code: number, info: number): void {
    const host = this.#host;
    const { world } = host;
    const { slab } = world;
    const { dv, u8 } = slab;
    const at = slab.network(p);
    const parameter = type === icmp.ICMPV6_PARAMPROB && code === icmp.ICMPV6_UNK_OPTION;
    if (slab.pktType(p) !== PACKET_HOST && slab.pktType(p) !== 4 && slab.pktType(p) !== 5) {
      // Multicast may be answered for packet too big and unknown options only.
      if (type !== icmp.ICMPV6_PKT_TOOBIG && !parameter) return;
    }
    if (ip.isMulticast(dv, at + ip.DST) && type !== icmp.ICMPV6_PKT_TOOBIG && !parameter) return;
    if (ip.isUnspecified(dv, at + ip.SRC) || ip.isMulticast(dv, at + ip.SRC)) return;
    const walk = ip.walk(dv, at, slab.end(p), this.#walk);
    if (walk.protocol === IPPROTO_ICMPV6 && walk.fragOffset === 0) {
      // No errors about errors, nor about what is too short to tell (but for a fragment without its rest).
      if (walk.at >= slab.end(p)) {
        if (walk.fragmentAt === 0 || dv.getUint16(walk.fragmentAt + 2) === 0) return;
      } else if (icmp.isError(dv.getUint8(walk.at))) return;
    }
    const quoted = Math.min(MIN_MTU - ip.HEADER_LENGTH - icmp.HEADER_LENGTH, slab.end(p) - at);
    const q = slab.alloc(ip.HEADER_LENGTH + icmp.HEADER_LENGTH + quoted);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setLen(q, ip.HEADER_LENGTH + icmp.HEADER_LENGTH + quoted);
    slab.setNetwork(q, to);
    slab.setProtocol(q, ETH_P_IPV6);
    slab.setFlags(q, slab.flags(p) & PKT_TRACE);
    if (host.sysctls.ip6.fwmark_reflect) slab.setMark(q, slab.mark(p));
    attachConnection(slab, q, p);
    ip.init(dv, to, IPPROTO_ICMPV6, icmp.HEADER_LENGTH + quoted, 64);
    ip.copyAddress(dv, at + ip.SRC, to + ip.DST);
    if (slab.rtType(p) === RTN_LOCAL) ip.copyAddress(dv, at + ip.DST, to + ip.SRC);
    else u8.fill(0, to + ip.SRC, to + ip.SRC + 16);
    const message = to + ip.HEADER_LENGTH;
    slab.setTransport(q, message);
    dv.setUint8(message, type);
    dv.setUint8(message + 1, code);
    dv.setUint16(message + 2, 0);
    dv.setUint32(message + 4, info);
    u8.copyWithin(message + 8, at, at + quoted);
    const oif = ip.isLinkLocal(dv, to + ip.DST) ? slab.iif(p) : 0;
    if (this.#ip.routeOutput(q, oif) !== 0 || !this.#allowed(type, to, slab.oif(q) === host.lo.ifindex)) {
      slab.free(q);
      return;
    }
    this.fill(q);
    if (world.traced(p)) world.trace(p, { kind: 'reply', host: host.name, text: `icmpv6 type ${type} code ${code}` });
    this.#ip.send(q);
  }

  #allowed(type: number, at: number, local: boolean): boolean {
    if (local || type === icmp.ICMPV6_PKT_TOOBIG || type >= 128) return true;
    const { dv } = this.#host.world.slab;
    const interval = this.#host.sysctls.ip6['icmp.ratelimit'];
    const peer =
      dv.getUint32(at + ip.DST) ^
      dv.getUint32(at + ip.DST + 4) ^
      dv.getUint32(at + ip.DST + 8) ^
      dv.getUint32(at + ip.DST + 12);
    if (!this.#limit.global(this.#host.sysctls.ip4.icmp_msgs_per_sec, this.#host.sysctls.ip4.icmp_msgs_burst))
      return false;
    return this.#limit.peer(peer, interval);
  }

  /** Writes the checksum of the ICMPv6 message right behind the fixed header. */
  fill(p: number): void {
    const { slab } = this.#host.world;
    const { dv } = slab;
    const at = slab.network(p);
    const message = slab.transport(p);
    const length = slab.end(p) - message;
    icmp.setChecksum(dv, message, 0);
    icmp.setChecksum(dv, message, checksum(dv, message, length, pseudo6(dv, at, IPPROTO_ICMPV6, length)));
  }

  /** A message for this host. Owns the packet. */
  receive(p: number, dev: NetDevice): void {
    const { world, name, sysctls } = this.#host;
    const { slab } = world;
    world.probe?.hit({ point: 'icmpv6_rcv', host: name, p, device: dev });
    const { dv } = slab;
    const at = slab.transport(p);
    const length = slab.end(p) - at;
    if (length < icmp.HEADER_LENGTH) return world.drop(p, DROP.HDR_TRUNC, name);
    if (checksum(dv, at, length, pseudo6(dv, slab.network(p), IPPROTO_ICMPV6, length)) !== 0) {
      return world.drop(p, DROP.ICMP_CSUM, name);
    }
    const type = icmp.type(dv, at);
    if (type >= icmp.NDISC_ROUTER_SOLICITATION && type <= icmp.NDISC_REDIRECT) {
      const reason = this.#ip.ndisc.receive(p, dev);
      if (reason !== 0) return world.drop(p, reason, name);
    } else if (type === icmp.ICMPV6_ECHO_REQUEST) {
      const multicast = ip.isMulticast(dv, slab.network(p) + ip.DST);
      if (!sysctls.ip6['icmp.echo_ignore_all'] && !(multicast && sysctls.ip6['icmp.echo_ignore_multicast']))
        this.#echo(p, dev);
    } else if (type === icmp.ICMPV6_ECHO_REPLY) this.onReply?.(p, type, icmp.code(dv, at));
    else if (icmp.isError(type)) this.#receivedError(p, at, length, type);
    if (world.traced(p)) world.trace(p, { kind: 'deliver', host: name, to: `icmpv6 type ${type}` });
    slab.free(p);
  }

  #echo(p: number, dev: NetDevice): void {
    const { slab } = this.#host.world;
    const { dv, u8 } = slab;
    const at = slab.transport(p);
    const network = slab.network(p);
    const length = slab.end(p) - at;
    const q = slab.alloc(ip.HEADER_LENGTH + length);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setLen(q, ip.HEADER_LENGTH + length);
    slab.setNetwork(q, to);
    slab.setProtocol(q, ETH_P_IPV6);
    slab.setFlags(q, slab.flags(p) & PKT_TRACE);
    if (this.#host.sysctls.ip6.fwmark_reflect) slab.setMark(q, slab.mark(p));
    ip.init(
      dv,
      to,
      IPPROTO_ICMPV6,
      length,
      this.#host.sysctls.conf6(dev.ifindex, 'hop_limit') || 64,
      ip.trafficClass(dv, network),
    );
    if (ip.isMulticast(dv, network + ip.DST)) u8.fill(0, to + ip.SRC, to + ip.SRC + 16);
    else ip.copyAddress(dv, network + ip.DST, to + ip.SRC);
    ip.copyAddress(dv, network + ip.SRC, to + ip.DST);
    const message = to + ip.HEADER_LENGTH;
    slab.setTransport(q, message);
    u8.copyWithin(message, at, at + length);
    dv.setUint8(message, icmp.ICMPV6_ECHO_REPLY);
    const oif = ip.isLinkLocal(dv, to + ip.DST) ? dev.ifindex : 0;
    if (this.#ip.routeOutput(q, oif) !== 0) {
      slab.free(q);
      return;
    }
    this.fill(q);
    this.#ip.send(q);
  }

  #receivedError(p: number, at: number, length: number, type: number): void {
    const { slab } = this.#host.world;
    const { dv } = slab;
    const quoted = at + icmp.HEADER_LENGTH;
    if (length < icmp.HEADER_LENGTH + ip.HEADER_LENGTH || ip.version(dv, quoted) !== 6) return;
    const walk = ip.walk(dv, quoted, at + length, this.#walk);
    if (walk.protocol < 0 || walk.fragOffset !== 0 || walk.at + 8 > at + length) return;
    const code = icmp.code(dv, at);
    if (type === icmp.ICMPV6_PKT_TOOBIG) this.#ip.learnMtu(quoted + ip.DST, dv.getUint32(at + 4));
    if (walk.protocol === IPPROTO_ICMPV6) this.onReply?.(p, type, code);
    const { protocol, at: payload } = walk;
    const info = dv.getUint32(at + 4);
    this.#host.rawError?.(p, { family: AF_INET6, protocol, network: quoted, payload }, { type, code, info });
    this.#host.protocols.get(walk.protocol)?.error?.(p, AF_INET6, quoted, walk.at, type, code, dv.getUint32(at + 4));
  }
}
