/**
 * IPv6 of one host: receive, route, deliver, forward, send (RFC 8200, 4443). The order of checks and hooks is Linux's.
 */
import { DROP } from '../core/drop.ts';
import { EACCES, EHOSTUNREACH, EINVAL } from '../core/errno.ts';
import { PACKET_HOST, PACKET_LOOPBACK, PACKET_OTHERHOST, PKT_IGNORE_DF, PKT_LOCAL } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';
import { sendEthernet } from '../link/arp.ts';
import { AF_INET6, formatIpv6 } from '../wire/address.ts';
import { ETH_P_IPV6 } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv6.ts';
import {
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMPV6,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from '../wire/ipv4.ts';
import * as ip from '../wire/ipv6.ts';
import {
  NF_ACCEPT,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFPROTO_IPV6,
} from '../wire/uapi/netfilter.ts';
import { IFF_LOOPBACK, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST, RTN_UNREACHABLE } from '../wire/uapi/rtnetlink.ts';
import { Defrag6, fragment6 } from './frag6.ts';
import { Icmp6 } from './icmp6.ts';
import { Ndisc } from './ndisc.ts';
import { checkOptions } from './options6.ts';
import { PathMtu } from './path-mtu.ts';
import { clearFlow, type FibResult, type Flow, newFibResult, newFlow } from './route.ts';
import { selectSource6 } from './source.ts';
import { CB_LARGEST_FRAGMENT, type InetHost } from './stack.ts';
import { isZero, loadWords, sameWords, storeWords } from './words.ts';

const RTAX_MTU = 2;
const RT_ERROR = 0x100;
export const IPV6_MIN_MTU = 1280;

export class Ip6 {
  readonly host: InetHost;
  readonly icmp: Icmp6;
  readonly ndisc: Ndisc;
  readonly defrag: Defrag6;
  readonly pathMtu: PathMtu;
  readonly #flow: Flow = newFlow();
  readonly #result: FibResult = newFibResult();
  readonly #key = new Uint32Array(4);
  readonly #before = new Uint32Array(4);
  readonly #multicast = Uint8Array.of(0x33, 0x33, 0, 0, 0, 0);
  readonly #walk: ip.Walk = { protocol: 0, at: 0, fragOffset: 0, fragmentAt: 0 };
  #fragmentId = 1;

  constructor(host: InetHost) {
    this.host = host;
    this.pathMtu = new PathMtu(host.world);
    this.icmp = new Icmp6(host, this);
    this.ndisc = new Ndisc(host, this);
    this.defrag = new Defrag6(host, this.icmp);
  }

  #drop(p: number, reason: number): void {
    this.host.world.drop(p, reason, this.host.name);
  }

  nextFragmentId(): number {
    this.#fragmentId = (this.#fragmentId + 1) >>> 0 || 1;
    return this.#fragmentId;
  }

  /** A packet from a device; its data begins with the IPv6 header. Owns the packet. */
  receive(dev: NetDevice, p: number): void {
    const { slab } = this.host.world;
    this.host.world.probe?.hit({ point: 'ipv6_rcv', host: this.host.name, p, device: dev });
    const { dv } = slab;
    if (slab.pktType(p) === PACKET_OTHERHOST) return this.#drop(p, DROP.OTHERHOST);
    if (this.host.sysctls.conf6(dev.ifindex, 'disable_ipv6') !== 0) return this.#drop(p, DROP.IPV6DISABLED);
    const at = slab.head(p);
    const length = slab.len(p);
    if (length < ip.HEADER_LENGTH) return this.#drop(p, DROP.PKT_TOO_SMALL);
    if (ip.version(dv, at) !== 6) return this.#drop(p, DROP.IP_INHDR);
    const loopback = (dev.adminFlags & IFF_LOOPBACK) !== 0;
    const src = at + ip.SRC;
    const dst = at + ip.DST;
    // RFC 4291: the loopback address, multicast sources and interface-local multicast never come over a link.
    if (!loopback && (isLoopback(dv, src) || isLoopback(dv, dst))) return this.#drop(p, DROP.IP_INVALID_SOURCE);
    if (ip.isMulticast(dv, src)) return this.#drop(p, DROP.IP_INVALID_SOURCE);
    if (ip.isMulticast(dv, dst)) {
      const scope = dv.getUint8(dst + 1) & 15;
      if (scope === 0 || (scope === 1 && !loopback)) return this.#drop(p, DROP.IP_INVALID_DEST);
    }
    const payload = ip.payloadLength(dv, at);
    if (payload !== 0 || ip.nextHeader(dv, at) !== IPPROTO_HOPOPTS) {
      if (payload + ip.HEADER_LENGTH > length) return this.#drop(p, DROP.PKT_TOO_SMALL);
      if (payload + ip.HEADER_LENGTH < length) slab.setLen(p, payload + ip.HEADER_LENGTH);
    }
    slab.setNetwork(p, at);
    slab.setTransport(p, at + ip.HEADER_LENGTH);
    if (ip.nextHeader(dv, at) === IPPROTO_HOPOPTS && !checkOptions(this, p, at + ip.HEADER_LENGTH, true)) return;
    this.restart(dev, p);
  }

  /** From PRE_ROUTING on: a packet that has been checked, or put together from such. Owns the packet. */
  restart(dev: NetDevice, p: number): void {
    const { slab } = this.host.world;
    const { dv } = slab;
    const loopback = (dev.adminFlags & IFF_LOOPBACK) !== 0;
    if (loopback) loadWords(this.#before, dv, slab.network(p) + ip.DST, 16);
    if (this.host.hooks.run(NFPROTO_IPV6, NF_INET_PRE_ROUTING, p, dev.ifindex, 0) !== NF_ACCEPT) return;
    // What came over lo has its route already, unless translation gave it another destination.
    loadWords(this.#key, dv, slab.network(p) + ip.DST, 16);
    if (slab.rtType(p) === 0 || !loopback || !sameWords(this.#key, this.#before)) {
      const reason = this.#routeInput(p, dev);
      if (reason !== 0) return this.#drop(p, reason);
    } else if (slab.rtType(p) === RTN_UNICAST) return this.#drop(p, DROP.IP_INVALID_DEST);
    const error = slab.rtFlags(p);
    if (error & RT_ERROR) return this.#routeError(p, error & 255);
    if (slab.rtType(p) === RTN_LOCAL || slab.rtType(p) === RTN_MULTICAST) this.#deliver(p, dev);
    else this.#forward(p, dev);
  }

  #routeError(p: number, errno: number): void {
    const code = errno === EACCES ? icmp.ICMPV6_ADM_PROHIBITED : icmp.ICMPV6_NOROUTE;
    this.icmp.error(p, icmp.ICMPV6_DEST_UNREACH, code, 0);
    this.#drop(
      p,
      errno === EACCES ? DROP.IP_PROHIBIT : errno === EHOSTUNREACH ? DROP.IP_UNREACHABLE : DROP.IP_INNOROUTES,
    );
  }

  #flowOf(p: number, oif: number, iif: number): Flow {
    const { slab } = this.host.world;
    const flow = this.#flow;
    const at = slab.network(p);
    clearFlow(flow);
    loadWords(flow.dst, slab.dv, at + ip.DST, 16);
    loadWords(flow.src, slab.dv, at + ip.SRC, 16);
    flow.mark = slab.mark(p);
    flow.tos = ip.trafficClass(slab.dv, at);
    flow.oif = oif;
    flow.iif = iif;
    const walk = ip.walk(slab.dv, at, slab.end(p), this.#walk);
    flow.protocol = Math.max(0, walk.protocol);
    if (
      (walk.protocol === IPPROTO_TCP || walk.protocol === IPPROTO_UDP) &&
      walk.fragOffset === 0 &&
      walk.at + 4 <= slab.end(p)
    ) {
      flow.sport = slab.dv.getUint16(walk.at);
      flow.dport = slab.dv.getUint16(walk.at + 2);
    }
    return flow;
  }

  #routeInput(p: number, dev: NetDevice): number {
    const { slab } = this.host.world;
    const { dv } = slab;
    const at = slab.network(p);
    slab.setRtFlags(p, 0);
    if (ip.isMulticast(dv, at + ip.DST)) {
      if (!this.#joined(at + ip.DST, dev)) return DROP.IP_INADDRERRORS;
      return this.#setRoute(p, RTN_MULTICAST, dev.ifindex, undefined);
    }
    // Link-local destinations are looked for on the link they came by.
    const flow = this.#flowOf(p, 0, dev.ifindex);
    const linkLocal = ip.isLinkLocal(dv, at + ip.DST);
    if (linkLocal) flow.oif = dev.ifindex;
    const errno = this.host.fib6.lookup(flow, this.#result);
    if (errno !== 0) {
      if (errno === EINVAL) return DROP.IP_BLACKHOLE;
      return this.#setError(p, errno);
    }
    const type = this.#result.type;
    if (type === RTN_LOCAL || type === 4) return this.#setRoute(p, RTN_LOCAL, this.host.lo.ifindex, undefined);
    if (type === RTN_MULTICAST) return this.#setRoute(p, RTN_MULTICAST, dev.ifindex, undefined);
    return this.#setRoute(p, RTN_UNICAST, this.#result.nexthop?.oif ?? 0, this.#result);
  }

  /** True when this host listens to the multicast group on the device: all nodes, all routers, solicited node of its own. */
  #joined(group: number, dev: NetDevice): boolean {
    const { dv } = this.host.world.slab;
    const w0 = dv.getUint32(group);
    const w3 = dv.getUint32(group + 12);
    if (dv.getUint32(group + 4) === 0 && dv.getUint32(group + 8) === 0) {
      if ((w0 === 0xff020000 || w0 === 0xff010000) && w3 === 1) return true;
      if (w0 === 0xff020000 && w3 === 2) return this.host.sysctls.conf6(dev.ifindex, 'forwarding') !== 0;
      if (w0 === 0xff010000 && w3 === 2) return this.host.sysctls.conf6(dev.ifindex, 'forwarding') !== 0;
      if (w0 === 0xff050000 && w3 === 2) return this.host.sysctls.conf6(dev.ifindex, 'forwarding') !== 0;
    }
    if (w0 !== 0xff020000 || dv.getUint32(group + 4) !== 0 || dv.getUint32(group + 8) !== 1 || w3 >>> 24 !== 0xff)
      return false;
    for (const a of this.host.addresses.list(AF_INET6, dev.ifindex))
      if ((a.local[3] & 0xffffff) === (w3 & 0xffffff)) return true;
    return false;
  }

  #setRoute(p: number, type: number, oif: number, result: FibResult | undefined): number {
    const { world, name } = this.host;
    const { slab } = world;
    slab.setRtType(p, type);
    slab.setOif(p, oif);
    const at = slab.gatewayAt(p);
    slab.setGatewayFamily(p, AF_INET6);
    const hop = result?.nexthop;
    if (hop && hop.gatewayFamily === AF_INET6) storeWords(hop.gateway, slab.dv, at, 16);
    else ip.copyAddress(slab.dv, slab.network(p) + ip.DST, at);
    const dev = this.host.devices.get(oif);
    slab.setRtMtu(p, result?.route?.metrics.get(RTAX_MTU) || dev?.mtu || 1500);
    if (result?.route) slab.setClassid(p, result.route.realm);
    if (world.traced(p)) {
      const dst = formatIpv6(slab.u8, slab.network(p) + ip.DST);
      const via = formatIpv6(slab.u8, at);
      const kind = type === RTN_LOCAL ? 'local' : type === RTN_MULTICAST ? 'multicast' : 'unicast';
      const where = `dev ${dev?.name ?? ''}`;
      const text =
        kind === 'unicast' ? `${dst}${via === dst ? '' : ` via ${via}`} ${where}` : `${kind} ${dst} ${where}`;
      world.trace(p, { kind: 'route', host: name, type: kind, dev: dev?.name ?? '', text });
    }
    return 0;
  }

  #setError(p: number, errno: number): number {
    const { world, name } = this.host;
    world.slab.setRtType(p, RTN_UNREACHABLE);
    world.slab.setRtFlags(p, RT_ERROR | errno);
    if (world.traced(p)) {
      const dst = formatIpv6(world.slab.u8, world.slab.network(p) + ip.DST);
      const type = errno === EACCES ? 'prohibit' : 'unreachable';
      world.trace(p, { kind: 'route', host: name, type, dev: '', text: `${type} ${dst}` });
    }
    return 0;
  }

  #deliver(p: number, dev: NetDevice): void {
    if (this.host.hooks.run(NFPROTO_IPV6, NF_INET_LOCAL_IN, p, dev.ifindex, 0) !== NF_ACCEPT) return;
    const { slab } = this.host.world;
    const { dv } = slab;
    let packet = p;
    let at = slab.network(packet);
    let next = ip.nextHeader(dv, at);
    let where = at + 6;
    let cursor = at + ip.HEADER_LENGTH;
    for (let steps = 0; steps < 32; steps++) {
      if (
        next === IPPROTO_HOPOPTS ||
        next === IPPROTO_DSTOPTS ||
        next === IPPROTO_ROUTING ||
        next === IPPROTO_FRAGMENT
      ) {
        if (cursor + 8 > slab.end(packet)) {
          return this.#drop(packet, DROP.IPV6_BAD_EXTHDR);
        }
      }
      if (next === IPPROTO_HOPOPTS) {
        // Only directly behind the fixed header, where `receive` has looked at it.
        if (cursor !== at + ip.HEADER_LENGTH) return this.#badHeader(packet, where);
      } else if (next === IPPROTO_DSTOPTS) {
        if (!checkOptions(this, packet, cursor, false)) return;
      } else if (next === IPPROTO_ROUTING) {
        // Segments left: routing types that a host does not act on are errors (RFC 8200 4.4, RFC 5095).
        if (dv.getUint8(cursor + 3) !== 0) {
          this.icmp.error(packet, icmp.ICMPV6_PARAMPROB, icmp.ICMPV6_HDR_FIELD, cursor + 2 - at);
          return this.#drop(packet, DROP.IPV6_BAD_EXTHDR);
        }
      } else if (next === IPPROTO_FRAGMENT && (dv.getUint16(cursor + 2) & 0xfff9) !== 0) {
        packet = this.defrag.add(packet, cursor, 'in');
        if (packet < 0) return;
        at = slab.network(packet);
        next = ip.nextHeader(dv, at);
        where = at + 6;
        cursor = at + ip.HEADER_LENGTH;
        continue;
      } else if (next !== IPPROTO_FRAGMENT) break;
      // An atomic fragment (RFC 6946) needs no others: its header is one more to step over.
      const length = next === IPPROTO_FRAGMENT ? 8 : ip.extensionLength(dv, next, cursor);
      if (cursor + length > slab.end(packet)) return this.#drop(packet, DROP.IPV6_BAD_EXTHDR);
      where = cursor;
      next = dv.getUint8(cursor);
      cursor += length;
    }
    slab.setTransport(packet, cursor);
    slab.setL4proto(packet, next);
    if (next === IPPROTO_NONE) return this.#drop(packet, DROP.IP_NOPROTO);
    const raw = this.host.rawInput?.(packet, AF_INET6, next) === true;
    const handler = this.host.protocols.get(next);
    if (handler !== undefined) return handler.receive(packet, AF_INET6);
    if (next === IPPROTO_ICMPV6) return this.icmp.receive(packet, dev);
    if (raw) return slab.free(packet);
    this.#badHeader(packet, where);
  }

  #badHeader(p: number, where: number): void {
    const at = this.host.world.slab.network(p);
    this.icmp.error(p, icmp.ICMPV6_PARAMPROB, icmp.ICMPV6_UNK_NEXTHDR, where - at);
    this.#drop(p, DROP.IP_NOPROTO);
  }

  #forward(p: number, dev: NetDevice): void {
    this.host.world.probe?.hit({ point: 'ip6_forward', host: this.host.name, p, device: dev });
    const { slab } = this.host.world;
    const { dv } = slab;
    const at = slab.network(p);
    if (this.host.sysctls.conf6(dev.ifindex, 'forwarding') === 0) return this.#drop(p, DROP.IP_FORWARDING_DISABLED);
    if (slab.pktType(p) !== PACKET_HOST) return this.#drop(p, DROP.OTHERHOST);
    if (ip.hopLimit(dv, at) <= 1) {
      this.icmp.error(p, icmp.ICMPV6_TIME_EXCEED, icmp.ICMPV6_EXC_HOPLIMIT, 0);
      return this.#drop(p, DROP.TTL_EXCEEDED);
    }
    const out = slab.oif(p);
    // RFC 4291: link-local and unspecified addresses stay on their link.
    if (ip.isUnspecified(dv, at + ip.SRC)) return this.#drop(p, DROP.IP_INVALID_SOURCE);
    if (out !== dev.ifindex && ip.isLinkLocal(dv, at + ip.SRC)) {
      this.icmp.error(p, icmp.ICMPV6_DEST_UNREACH, icmp.ICMPV6_NOT_NEIGHBOUR, 0);
      return this.#drop(p, DROP.IP_INVALID_SOURCE);
    }
    if (out === dev.ifindex) this.ndisc.redirect(p, dev);
    const mtu = Math.max(IPV6_MIN_MTU, slab.rtMtu(p));
    // A packet put together from fragments that fit may leave in fragments again.
    const largest = slab.cb(p, CB_LARGEST_FRAGMENT);
    if (largest > mtu || (slab.len(p) > mtu && (slab.flags(p) & PKT_IGNORE_DF) === 0 && slab.gsoSize(p) === 0)) {
      this.icmp.error(p, icmp.ICMPV6_PKT_TOOBIG, 0, mtu);
      return this.#drop(p, DROP.PKT_TOO_BIG);
    }
    ip.setHopLimit(dv, at, ip.hopLimit(dv, at) - 1);
    if (this.host.hooks.run(NFPROTO_IPV6, NF_INET_FORWARD, p, dev.ifindex, out) !== NF_ACCEPT) return;
    this.output(p, dev.ifindex);
  }

  /** Behind FORWARD or LOCAL_OUT. Owns the packet. */
  output(p: number, iif = 0): void {
    const { slab } = this.host.world;
    this.host.world.probe?.hit({ point: 'ip6_output', host: this.host.name, p, ifindex: slab.oif(p) });
    if (this.host.hooks.run(NFPROTO_IPV6, NF_INET_POST_ROUTING, p, iif, slab.oif(p)) !== NF_ACCEPT) return;
    const { socketGate } = this.host;
    if (socketGate !== undefined && (slab.flags(p) & PKT_LOCAL) !== 0 && !socketGate(p, true))
      return this.#drop(p, DROP.BPF_CGROUP_EGRESS);
    this.finish(p);
  }

  /** Sends a routed packet out, in fragments when it is too long. Owns the packet. */
  finish(p: number): void {
    const { slab } = this.host.world;
    const dev = this.host.devices.get(slab.oif(p));
    if (dev === undefined) return this.#drop(p, DROP.DEV_READY);
    const mtu = slab.rtMtu(p) || dev.mtu;
    const largest = slab.cb(p, CB_LARGEST_FRAGMENT);
    if (slab.len(p) <= mtu && (largest === 0 || slab.len(p) <= largest)) return this.#toNeighbour(p, dev);
    const piece6 = largest === 0 ? mtu : Math.min(mtu, Math.max(largest, IPV6_MIN_MTU));
    fragment6(slab, p, piece6, this.nextFragmentId(), (piece) => this.#toNeighbour(piece, dev));
    slab.free(p);
  }

  #toNeighbour(p: number, dev: NetDevice): void {
    const { world } = this.host;
    const { slab } = world;
    if (world.traced(p))
      world.trace(p, { kind: 'transmit', host: this.host.name, ifindex: dev.ifindex, dev: dev.name });
    if (dev.adminFlags & IFF_LOOPBACK) {
      if (!slab.push(p, 14)) return this.#drop(p, DROP.DEV_HDR);
      const at = slab.head(p);
      slab.u8.fill(0, at, at + 12);
      slab.dv.setUint16(at + 12, ETH_P_IPV6);
      slab.setMac(p, at);
      slab.setPktType(p, PACKET_LOOPBACK);
      dev.transmit(p);
      return;
    }
    const gateway = slab.gatewayAt(p);
    if (slab.dv.getUint8(gateway) === 0xff) {
      for (let i = 0; i < 4; i++) this.#multicast[2 + i] = slab.u8[gateway + 12 + i];
      return sendEthernet(dev, p, this.#multicast, ETH_P_IPV6);
    }
    loadWords(this.#key, slab.dv, gateway, 16);
    this.host.neigh6.output(dev, this.#key, p);
  }

  /**
   * Finds the way for a packet of this host's own (ip6_route_output); an unspecified source is chosen and written.
   * 0 or an errno.
   */
  routeOutput(p: number, oif = 0): number {
    const { slab } = this.host.world;
    const { dv } = slab;
    const at = slab.network(p);
    slab.setRtFlags(p, 0);
    const flow = this.#flowOf(p, oif, this.host.lo.ifindex);
    const multicast = ip.isMulticast(dv, at + ip.DST);
    if (multicast && oif !== 0) {
      this.#chooseSource(at, oif);
      return this.#setRoute(p, RTN_MULTICAST, oif, undefined);
    }
    const errno = this.host.fib6.lookup(flow, this.#result);
    if (errno !== 0) return errno;
    const local = this.#result.type === RTN_LOCAL;
    const out = local ? this.host.lo.ifindex : (this.#result.nexthop?.oif ?? 0);
    if (isZero(flow.src)) {
      const pref = this.#result.route?.prefsrc;
      if (local) ip.copyAddress(dv, at + ip.DST, at + ip.SRC);
      else if (pref && !isZero(pref)) storeWords(pref, dv, at + ip.SRC, 16);
      else this.#chooseSource(at, out);
    }
    this.#setRoute(
      p,
      multicast ? RTN_MULTICAST : local ? RTN_LOCAL : RTN_UNICAST,
      out,
      local ? undefined : this.#result,
    );
    slab.setRtMtu(p, this.pathMtu.of(flow.dst, slab.rtMtu(p)));
    return 0;
  }

  /** "Packet too big" about a packet of this host's own; the destination's address is at `destination`. */
  learnMtu(destination: number, mtu: number): void {
    if (mtu < IPV6_MIN_MTU) return;
    loadWords(this.#key, this.host.world.slab.dv, destination, 16);
    this.pathMtu.learn(this.#key, mtu, 65_535);
  }

  #chooseSource(at: number, oif: number): void {
    const { dv } = this.host.world.slab;
    if (!ip.isUnspecified(dv, at + ip.SRC)) return;
    loadWords(this.#key, dv, at + ip.DST, 16);
    const source = selectSource6(this.host.addresses, oif, this.#key);
    if (source) storeWords(source, dv, at + ip.SRC, 16);
  }

  /** Sends a routed packet of this host's own: LOCAL_OUT, then out. Owns the packet. */
  send(p: number): void {
    const { slab } = this.host.world;
    if (this.host.hooks.run(NFPROTO_IPV6, NF_INET_LOCAL_OUT, p, 0, slab.oif(p)) !== NF_ACCEPT) return;
    this.output(p);
  }

  /** Routes again after a rule changed the packet; false when there is no way now. */
  reroute(p: number): boolean {
    return this.routeOutput(p) === 0;
  }
}

function isLoopback(dv: DataView, at: number): boolean {
  return (
    dv.getUint32(at) === 0 && dv.getUint32(at + 4) === 0 && dv.getUint32(at + 8) === 0 && dv.getUint32(at + 12) === 1
  );
}
