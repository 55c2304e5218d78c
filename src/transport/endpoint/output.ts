/**
 * Packets of sockets on their way out: the IP header a socket's options ask for, the route, the source address, path MTU
 * discovery (ip(7), ipv6(7)). Every protocol sends through here.
 *
 *     const p = output.start(sk, protocol, to, length, control); // room for `length` bytes at slab.transport(p)
 *     ... the protocol's header and the data ...
 *     output.route(sk, p, to, control); // 0 or a negative errno; the source address is in the header now
 *     ... checksum ...
 *     output.send(p);
 */
import { EACCES, EINVAL, EMSGSIZE, ENOBUFS } from '../../core/errno.ts';
import { PACKET_HOST, PKT_LOCAL } from '../../core/slab.ts';
import type { Ip4 } from '../../inet/ip4.ts';
import type { Ip6 } from '../../inet/ip6.ts';
import type { InetHost } from '../../inet/stack.ts';
import { AF_INET, AF_INET6 } from '../../wire/address.ts';
import { checksum, pseudo4, pseudo6 } from '../../wire/checksum.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { RTN_BROADCAST } from '../../wire/uapi/rtnetlink.ts';
import { IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT, SO_EE_ORIGIN_LOCAL } from '../../wire/uapi/socket.ts';
import * as a from './address.ts';
import type { SendControl } from './protocol.ts';
import type { Sock } from './sock.ts';
import type { Sockets } from './sockets.ts';

const HOPS = 64;
/** Longest IPv4 packet. */
const IP_MAX_MTU = 0xffff;

export class Output {
  readonly host: InetHost;
  readonly ip4: Ip4;
  readonly ip6: Ip6;
  readonly #sockets: Sockets;

  constructor(sockets: Sockets, ip4: Ip4, ip6: Ip6) {
    this.host = sockets.host;
    this.#sockets = sockets;
    this.ip4 = ip4;
    this.ip6 = ip6;
    sockets.pathMtu = (sk): number => {
      const found = this.way(sk, sk.daddr, sk.dport);
      return typeof found === 'number' ? 0 : found.mtu;
    };
  }

  /**
   * A packet from `sk` to `to` with room for `length` bytes behind the IP header, where ports go first if the protocol has
   * any; a handle, or a negative errno.
   */
  start(sk: Sock, protocol: number, to: Uint32Array, length: number, control: SendControl): number {
    const { world, sysctls } = this.host;
    const { slab } = world;
    const v4 = a.isMapped(to);
    const head = v4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
    if (head + length > 0xffff + (v4 ? 0 : head)) return -EMSGSIZE;
    const p = slab.alloc(head + length);
    if (p < 0) return -ENOBUFS;
    const { dv } = slab;
    const at = slab.head(p);
    slab.setLen(p, head + length);
    slab.setNetwork(p, at);
    slab.setTransport(p, at + head);
    slab.setProtocol(p, v4 ? ETH_P_IP : ETH_P_IPV6);
    slab.setPktType(p, PACKET_HOST);
    slab.setSk(p, sk.id, sk.owner.uid, sk.owner.gid);
    slab.setMark(p, control.mark ?? sk.mark);
    slab.setPriority(p, control.priority ?? sk.priority);
    slab.setFlags(p, slab.flags(p) | PKT_LOCAL);
    const many = a.isMulticast(to);
    if (v4) {
      const ttl = control.ttl ?? (many ? sk.multicastTtl : sk.ttl < 0 ? sysctls.ip4.ip_default_ttl : sk.ttl);
      ipv4.init(dv, at, 0, 0, protocol, head + length, ttl, 0, 0, control.tos ?? sk.tos);
    } else {
      const hops = control.ttl ?? (many ? sk.multicastHops : sk.hops < 0 ? HOPS : sk.hops);
      ipv6.init(dv, at, protocol, length, hops, control.tos ?? Math.max(0, sk.tclass));
    }
    a.store(to, dv, at + (v4 ? ipv4.DST : ipv6.DST), v4 ? AF_INET : AF_INET6);
    const source = this.#source(sk, many, v4, control);
    a.store(source, dv, at + (v4 ? ipv4.SRC : ipv6.SRC), v4 ? AF_INET : AF_INET6);
    return p;
  }

  #source(sk: Sock, many: boolean, v4: boolean, control: SendControl): Uint32Array {
    if (control.source !== undefined) return a.fromBytes(control.source);
    if (many && v4 && a.isAny(sk.saddr) && !a.isAny(sk.multicastAddr)) return sk.multicastAddr;
    // An IPv6 socket bound to "any" sends IPv4 too.
    return v4 && !a.isMapped(sk.saddr) ? a.anyAddress(AF_INET) : sk.saddr;
  }

  #device(sk: Sock, to: Uint32Array, control: SendControl, scopeId: number): number {
    if (sk.boundDevIf !== 0) return sk.boundDevIf;
    if (control.ifindex !== undefined && control.ifindex !== 0) return control.ifindex;
    if (scopeId !== 0 && !a.isMapped(to)) return scopeId;
    if (a.isMulticast(to)) return a.isMapped(to) ? sk.multicastIf : sk.multicastIf6;
    return sk.unicastIf;
  }

  /** Routes the packet: 0 or a negative errno; the packet stays the caller's. */
  route(sk: Sock, p: number, to: Uint32Array, control: SendControl = {}, scopeId = 0): number {
    const { slab } = this.host.world;
    const { dv } = slab;
    const v4 = a.isMapped(to);
    const oif = this.#device(sk, to, control, scopeId);
    const errno = v4 ? this.ip4.routeOutput(p, oif) : this.ip6.routeOutput(p, oif);
    if (errno !== 0) return -errno;
    if (v4 && dv.getUint8(slab.network(p) + ipv4.SRC) === 127 && this.#leaves(p)) return -EINVAL;
    if (v4 && slab.rtType(p) === RTN_BROADCAST && !sk.broadcast) return -EACCES;
    if (!v4 && sk.fragSize6 !== 0 && sk.fragSize6 < slab.rtMtu(p)) slab.setRtMtu(p, sk.fragSize6);
    const mtu = slab.rtMtu(p);
    const large = slab.len(p) > mtu;
    const discover = v4 ? sk.pmtudisc : sk.pmtudisc6;
    const whole = discover === IP_PMTUDISC_DO || discover === IP_PMTUDISC_PROBE;
    if (large && whole) {
      this.#tooLong(sk, to, mtu);
      return -EMSGSIZE;
    }
    // What is larger than the path goes out in pieces, and must not say "do not fragment".
    if (v4) {
      const at = slab.network(p);
      if (whole || (!large && discover === IP_PMTUDISC_WANT)) ipv4.setFragOff(dv, at, ipv4.IP_DF);
      ipv4.setId(dv, at, this.ip4.nextId());
    }
    return 0;
  }

  /** The packet goes out of a device that takes no loopback addresses. */
  #leaves(p: number): boolean {
    const oif = this.host.world.slab.oif(p);
    return oif !== this.host.lo.ifindex && this.host.sysctls.conf4(oif, 'route_localnet') === 0;
  }

  /** A message longer than the path takes, of a socket that wants to hear of it (ip_local_error). */
  #tooLong(sk: Sock, to: Uint32Array, mtu: number): void {
    if (!(a.isMapped(to) ? sk.recverr : sk.recverr6)) return;
    const detail = {
      errno: EMSGSIZE,
      origin: SO_EE_ORIGIN_LOCAL,
      type: 0,
      code: 0,
      info: mtu,
      offender: undefined,
      to: this.#sockets.sockAddr(sk, to, sk.dport),
      data: new Uint8Array(0),
    };
    sk.errorQueue.push(detail);
  }

  /** The checksum over pseudo header and `length` bytes behind the IP header; 0 is sent as 0xffff. */
  checksum(p: number, protocol: number, length: number, covered: number = length): number {
    const { slab } = this.host.world;
    const network = slab.network(p);
    const at = slab.transport(p);
    const v4 = slab.protocol(p) === ETH_P_IP;
    const pseudo = v4 ? pseudo4(slab.dv, network, protocol, length) : pseudo6(slab.dv, network, protocol, length);
    return checksum(slab.dv, at, covered, pseudo) || 0xffff;
  }

  /** Sends a routed packet. Owns it. */
  send(p: number): void {
    if (this.host.world.slab.protocol(p) === ETH_P_IP) this.ip4.send(p);
    else this.ip6.send(p);
  }

  /** The source and path MTU that routing gives towards an address; or a negative errno. */
  way(
    sk: Sock,
    to: Uint32Array,
    port: number,
    scopeId = 0,
  ): { readonly source: Uint32Array; readonly mtu: number } | number {
    const { slab } = this.host.world;
    const p = this.start(sk, sk.protocol & 0xff, to, 8, {});
    if (p < 0) return p;
    const at = slab.transport(p);
    slab.dv.setUint32(at, ((sk.sport << 16) | port) >>> 0);
    slab.dv.setUint32(at + 4, 0x0008_0000);
    const failed = this.route(sk, p, to, {}, scopeId);
    const v4 = a.isMapped(to);
    const source = new Uint32Array(4);
    a.load(source, slab.dv, slab.network(p) + (v4 ? ipv4.SRC : ipv6.SRC), v4 ? AF_INET : AF_INET6);
    const mtu = v4 ? Math.min(slab.rtMtu(p), IP_MAX_MTU) : slab.rtMtu(p);
    slab.free(p);
    return failed !== 0 ? failed : { source, mtu };
  }
}
