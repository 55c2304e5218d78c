/**
 * IPv4 of one host: receive, route, deliver, forward, send (RFC 791, 1122, 1812). The order of checks and hooks is Linux's.
 *
 *     receive -> PRE_ROUTING -> route -> LOCAL_IN -> transport
 *                                 \---> forward -> FORWARD -> output
 *     send -> LOCAL_OUT -> output -> POST_ROUTING -> fragment -> neighbour
 */
import { DROP } from '../core/drop.ts';
import { EACCES, EHOSTUNREACH, EINVAL } from '../core/errno.ts';
import { PACKET_HOST, PACKET_LOOPBACK, PACKET_OTHERHOST, PKT_IGNORE_DF, PKT_LOCAL } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';
import { sendEthernet } from '../link/arp.ts';
import { AF_INET, formatIpv4 } from '../wire/address.ts';
import { ETH_P_IP } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as ip from '../wire/ipv4.ts';
import {
  NF_ACCEPT,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFPROTO_IPV4,
} from '../wire/uapi/netfilter.ts';
import {
  IFF_LOOPBACK,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_UNICAST,
  RTN_UNREACHABLE,
} from '../wire/uapi/rtnetlink.ts';
import { Defrag4, fragment4 } from './frag4.ts';
import { Icmp4 } from './icmp4.ts';
import { finishOptions, OPTIONS_OK, readOptions } from './options4.ts';
import { PathMtu } from './path-mtu.ts';
import { clearFlow, type FibResult, type Flow, newFibResult, newFlow } from './route.ts';
import { resultSource4, selectSource4 } from './source.ts';
import { CB_LARGEST_FRAGMENT, CB_OPTIONS, type InetHost } from './stack.ts';

const RTAX_MTU = 2;
/** `rtFlags`: routing refused; the errno is in the low byte (ip_error). */
export const RT_ERROR = 0x100;

export class Ip4 {
  readonly host: InetHost;
  readonly icmp: Icmp4;
  readonly defrag: Defrag4;
  readonly pathMtu: PathMtu;
  readonly #flow: Flow = newFlow();
  readonly #result: FibResult = newFibResult();
  readonly #key = new Uint32Array(4);
  readonly #multicast = Uint8Array.of(1, 0, 0x5e, 0, 0, 0);
  #id = 1;

  constructor(host: InetHost) {
    this.host = host;
    this.pathMtu = new PathMtu(host.world);
    this.icmp = new Icmp4(host, this);
    this.defrag = new Defrag4(host, this.icmp);
  }

  #drop(p: number, reason: number): void {
    this.host.world.drop(p, reason, this.host.name);
  }

  /** A packet from a device; its data begins with the IPv4 header. Owns the packet. */
  receive(dev: NetDevice, p: number): void {
    const { slab } = this.host.world;
    this.host.world.probe?.hit({ point: 'ip_rcv', host: this.host.name, p, device: dev });
    const { dv } = slab;
    if (slab.pktType(p) === PACKET_OTHERHOST) return this.#drop(p, DROP.OTHERHOST);
    const at = slab.head(p);
    const length = slab.len(p);
    if (length < ip.HEADER_LENGTH) return this.#drop(p, DROP.PKT_TOO_SMALL);
    const header = ip.headerLength(dv, at);
    if (ip.version(dv, at) !== 4 || header < ip.HEADER_LENGTH || header > length) return this.#drop(p, DROP.IP_INHDR);
    if (!ip.checksumOk(dv, at)) return this.#drop(p, DROP.IP_CSUM);
    const total = ip.totalLength(dv, at);
    if (total > length) return this.#drop(p, DROP.PKT_TOO_SMALL);
    if (total < header) return this.#drop(p, DROP.IP_INHDR);
    if (total < length) slab.setLen(p, total);
    slab.setNetwork(p, at);
    slab.setTransport(p, at + header);
    this.restart(dev, p);
  }

  /** From PRE_ROUTING on: a packet that has been checked, or put together from such. Owns the packet. */
  restart(dev: NetDevice, p: number): void {
    const { slab } = this.host.world;
    const { dv } = slab;
    const dst = ip.dstAddr(dv, slab.network(p));
    if (this.host.hooks.run(NFPROTO_IPV4, NF_INET_PRE_ROUTING, p, dev.ifindex, 0) !== NF_ACCEPT) return;
    // What came over lo has its route already, unless translation gave it another destination.
    if (slab.rtType(p) === 0 || (dev.adminFlags & IFF_LOOPBACK) === 0 || ip.dstAddr(dv, slab.network(p)) !== dst) {
      const reason = this.#routeInput(p, dev);
      if (reason !== 0) return this.#drop(p, reason);
    } else if (slab.rtType(p) === RTN_UNICAST) return this.#drop(p, DROP.IP_INVALID_DEST);
    if (ip.headerLength(dv, slab.network(p)) > ip.HEADER_LENGTH && !this.#options(p)) return;
    this.#dispatch(p, dev);
  }

  #dispatch(p: number, dev: NetDevice): void {
    const { slab } = this.host.world;
    const error = slab.rtFlags(p);
    if (error & RT_ERROR) return this.#routeError(p, dev, error & 255);
    switch (slab.rtType(p)) {
      case RTN_LOCAL:
      case RTN_BROADCAST:
      case RTN_MULTICAST:
        return this.#deliver(p, dev);
      default:
        return this.#forward(p, dev);
    }
  }

  /** False: something in the options is wrong, and the packet gone. */
  #options(p: number): boolean {
    const found = readOptions(this, p);
    if (found === OPTIONS_OK) return true;
    if (found >= 0) this.icmp.error(p, icmp.ICMP_PARAMETERPROB, 0, found << 24);
    this.#drop(p, DROP.IP_INHDR);
    return false;
  }

  /** True when the address at `at` is not to be reached by a unicast route: this host's own, broadcast or multicast. */
  ownAddress(at: number): boolean {
    const address = this.host.world.slab.dv.getUint32(at);
    this.#key[0] = address;
    this.#key[1] = this.#key[2] = this.#key[3] = 0;
    return address >>> 28 === 14 || address === 0xffffffff || this.host.addresses.isLocal(AF_INET, this.#key);
  }

  /** Routing said no: an ICMP error to the sender when this host forwards. */
  #routeError(p: number, dev: NetDevice, errno: number): void {
    const { sysctls } = this.host;
    const reason =
      errno === EHOSTUNREACH ? DROP.IP_UNREACHABLE : errno === EACCES ? DROP.IP_PROHIBIT : DROP.IP_INNOROUTES;
    if (sysctls.conf4(dev.ifindex, 'forwarding') === 0) {
      return this.#drop(p, errno === EHOSTUNREACH ? DROP.IP_INADDRERRORS : DROP.IP_INNOROUTES);
    }
    const code =
      errno === EHOSTUNREACH
        ? icmp.ICMP_HOST_UNREACH
        : errno === EACCES
          ? icmp.ICMP_PKT_FILTERED
          : icmp.ICMP_NET_UNREACH;
    const { slab } = this.host.world;
    if (this.icmp.routeErrorAllowed(ip.srcAddr(slab.dv, slab.network(p))))
      this.icmp.error(p, icmp.ICMP_DEST_UNREACH, code, 0);
    this.#drop(p, reason);
  }

  /** Fills the flow from the packet. */
  #flowOf(p: number, oif: number, iif: number): Flow {
    const { slab } = this.host.world;
    const flow = this.#flow;
    const at = slab.network(p);
    clearFlow(flow);
    flow.dst[0] = ip.dstAddr(slab.dv, at);
    flow.src[0] = ip.srcAddr(slab.dv, at);
    flow.tos = ip.tos(slab.dv, at) & 0x1c;
    flow.mark = slab.mark(p);
    flow.protocol = ip.protocol(slab.dv, at);
    flow.oif = oif;
    flow.iif = iif;
    if ((flow.protocol === ip.IPPROTO_TCP || flow.protocol === ip.IPPROTO_UDP) && !ip.isFragment(slab.dv, at)) {
      const transport = at + ip.headerLength(slab.dv, at);
      if (transport + 4 <= slab.end(p)) {
        flow.sport = slab.dv.getUint16(transport);
        flow.dport = slab.dv.getUint16(transport + 2);
      }
    }
    return flow;
  }

  /** ip_route_input: 0 with the packet's route set (maybe to an error), or the reason to drop it without a word. */
  #routeInput(p: number, dev: NetDevice): number {
    const { slab } = this.host.world;
    const { dv } = slab;
    const at = slab.network(p);
    const src = ip.srcAddr(dv, at);
    const dst = ip.dstAddr(dv, at);
    const { sysctls } = this.host;
    const loopback = (dev.adminFlags & IFF_LOOPBACK) !== 0;
    slab.setRtFlags(p, 0);
    slab.setRtMtu(p, 0);
    slab.setRtType(p, 0);
    if (dst >>> 28 === 14) {
      // Multicast: to this host when it has joined; everybody has joined 224.0.0.1.
      if (src >>> 28 === 14 || src === 0xffffffff || (src >>> 24 === 127 && !loopback)) return DROP.IP_INVALID_SOURCE;
      if (dst !== 0xe0000001) return DROP.IP_INADDRERRORS;
      return this.#setRoute(p, RTN_MULTICAST, this.host.lo.ifindex);
    }
    if (src >>> 28 === 14 || src === 0xffffffff) return DROP.IP_INVALID_SOURCE;
    if (dst === 0xffffffff || (src === 0 && dst === 0)) {
      if (src !== 0 && this.#martianSource(p, dev, src, dst) < 0) return DROP.IP_LOCAL_SOURCE;
      return this.#setRoute(p, RTN_BROADCAST, this.host.lo.ifindex);
    }
    if (src === 0) return DROP.IP_INVALID_SOURCE;
    if (dst === 0) return DROP.IP_INVALID_DEST;
    if (dst >>> 24 === 127 && !loopback && sysctls.conf4(dev.ifindex, 'route_localnet') === 0) return DROP.IP_LOCALNET;
    if (src >>> 24 === 127 && !loopback && sysctls.conf4(dev.ifindex, 'route_localnet') === 0) return DROP.IP_LOCALNET;
    const flow = this.#flowOf(p, 0, dev.ifindex);
    const result = this.#result;
    const errno = this.host.fib4.lookup(flow, result);
    const forwarding = sysctls.conf4(dev.ifindex, 'forwarding') !== 0;
    if (errno !== 0) {
      if (errno === EINVAL) return DROP.IP_BLACKHOLE;
      return this.#setError(p, forwarding ? errno : EHOSTUNREACH);
    }
    const type = result.type;
    const out = result.nexthop?.oif ?? 0;
    if (type === RTN_BROADCAST) {
      if (src !== 0 && this.#martianSource(p, dev, src, dst) < 0) return DROP.IP_RPFILTER;
      return this.#setRoute(p, RTN_BROADCAST, this.host.lo.ifindex);
    }
    if (type === RTN_LOCAL) {
      // What comes over lo was routed when it was sent and is not looked at again (Linux keeps its dst).
      if (!loopback && this.#martianSource(p, dev, src, dst) < 0) return DROP.IP_RPFILTER;
      return this.#setRoute(p, RTN_LOCAL, this.host.lo.ifindex);
    }
    if (!forwarding) return this.#setError(p, EHOSTUNREACH);
    if (type !== RTN_UNICAST) return DROP.IP_INVALID_DEST;
    const mtu = this.#mtuOf(result, out);
    this.#setGateway(p, result, dst);
    if (this.#martianSource(p, dev, src, dst, out) < 0) return DROP.IP_RPFILTER;
    this.#key[0] = dst;
    this.#key[1] = this.#key[2] = this.#key[3] = 0;
    slab.setRtMtu(p, sysctls.ip4.ip_forward_use_pmtu === 0 ? mtu : this.pathMtu.of(this.#key, mtu));
    return this.#setRoute(p, RTN_UNICAST, out);
  }

  #mtuOf(result: FibResult, out: number): number {
    return result.route?.metrics.get(RTAX_MTU) || this.host.devices.get(out)?.mtu || 1500;
  }

  #setGateway(p: number, result: FibResult, dst: number): void {
    const { slab } = this.host.world;
    const hop = result.nexthop!;
    const at = slab.gatewayAt(p);
    const family = hop.gatewayFamily || AF_INET;
    slab.setGatewayFamily(p, family);
    if (hop.gatewayFamily === 0) slab.dv.setUint32(at, dst);
    else for (let i = 0; i < 4; i++) slab.dv.setUint32(at + i * 4, hop.gateway[i]);
    slab.setClassid(p, result.route?.realm ?? 0);
  }

  #setRoute(p: number, type: number, oif: number): number {
    const { world, name } = this.host;
    const { slab } = world;
    slab.setRtType(p, type);
    slab.setOif(p, oif);
    if (type !== RTN_UNICAST) {
      slab.setGatewayFamily(p, AF_INET);
      slab.dv.setUint32(slab.gatewayAt(p), ip.dstAddr(slab.dv, slab.network(p)));
    }
    if (world.traced(p)) {
      const dev = this.host.devices.get(oif)?.name ?? '';
      const dst = formatIpv4(slab.u8, slab.network(p) + ip.DST);
      const via = formatIpv4(slab.u8, slab.gatewayAt(p));
      const kind =
        type === RTN_LOCAL
          ? 'local'
          : type === RTN_BROADCAST
            ? 'broadcast'
            : type === RTN_MULTICAST
              ? 'multicast'
              : 'unicast';
      const text =
        kind === 'unicast' ? `${dst}${via === dst ? '' : ` via ${via}`} dev ${dev}` : `${kind} ${dst} dev ${dev}`;
      world.trace(p, { kind: 'route', host: name, type: kind, dev, text });
    }
    return 0;
  }

  #setError(p: number, errno: number): number {
    const { world, name } = this.host;
    world.slab.setRtType(p, RTN_UNREACHABLE);
    world.slab.setRtFlags(p, RT_ERROR | errno);
    if (world.traced(p)) {
      const dst = formatIpv4(world.slab.u8, world.slab.network(p) + ip.DST);
      const type = errno === EACCES ? 'prohibit' : 'unreachable';
      world.trace(p, { kind: 'route', host: name, type, dev: '', text: `${type} ${dst}` });
    }
    return 0;
  }

  /** fib_validate_source: negative when the source is not believed on this device. Keeps `#flow` and `#result` untouched for none. */
  #martianSource(p: number, dev: NetDevice, src: number, dst: number, out = 0): number {
    const { sysctls } = this.host;
    const rp = sysctls.conf4(dev.ifindex, 'rp_filter');
    const flow = this.#flow;
    const result = this.#result;
    const redirects = sysctls.conf4(dev.ifindex, 'send_redirects') !== 0;
    if (rp === 0 && (dev.ifindex !== out || !redirects)) {
      if (sysctls.conf4(dev.ifindex, 'accept_local') !== 0) return 0;
      this.#key[0] = src;
      return this.host.addresses.isLocal(AF_INET, this.#key) ? -1 : 0;
    }
    clearFlow(flow);
    flow.dst[0] = src;
    flow.src[0] = dst;
    flow.iif = out || this.host.lo.ifindex;
    flow.tos = 0;
    flow.mark = sysctls.conf4(dev.ifindex, 'src_valid_mark') !== 0 ? this.host.world.slab.mark(p) : 0;
    if (this.host.fib4.lookup(flow, result) !== 0) return rp !== 0 ? -1 : 0;
    if (result.type !== RTN_UNICAST && (result.type !== RTN_LOCAL || sysctls.conf4(dev.ifindex, 'accept_local') === 0))
      return -1;
    if (result.route?.nexthops.some((hop) => hop.oif === dev.ifindex)) return 0;
    if (rp === 1) return -1;
    if (rp === 0) return 0;
    flow.oif = dev.ifindex;
    const strict = this.host.fib4.lookup(flow, result);
    return strict === 0 && result.type === RTN_UNICAST ? 0 : rp === 2 ? 0 : -1;
  }

  #deliver(p: number, dev: NetDevice): void {
    this.host.world.probe?.hit({ point: 'ip_local_deliver', host: this.host.name, p, device: dev });
    const { slab } = this.host.world;
    let packet = p;
    if (ip.isFragment(slab.dv, slab.network(p))) {
      packet = this.defrag.add(p, 'in');
      if (packet < 0) return;
    }
    if (this.host.hooks.run(NFPROTO_IPV4, NF_INET_LOCAL_IN, packet, dev.ifindex, 0) !== NF_ACCEPT) return;
    const at = slab.network(packet);
    const protocol = ip.protocol(slab.dv, at);
    slab.setTransport(packet, at + ip.headerLength(slab.dv, at));
    const raw = this.host.rawInput?.(packet, AF_INET, protocol) === true;
    const handler = this.host.protocols.get(protocol);
    if (handler !== undefined) return handler.receive(packet, AF_INET);
    if (protocol === ip.IPPROTO_ICMP) return this.icmp.receive(packet);
    if (raw) return slab.free(packet);
    this.icmp.error(packet, icmp.ICMP_DEST_UNREACH, icmp.ICMP_PROT_UNREACH, 0);
    this.#drop(packet, DROP.IP_NOPROTO);
  }

  #forward(p: number, dev: NetDevice): void {
    this.host.world.probe?.hit({ point: 'ip_forward', host: this.host.name, p, device: dev });
    const { slab } = this.host.world;
    const { dv } = slab;
    const at = slab.network(p);
    if (slab.pktType(p) !== PACKET_HOST) return this.#drop(p, DROP.OTHERHOST);
    if (ip.ttl(dv, at) <= 1) {
      this.icmp.error(p, icmp.ICMP_TIME_EXCEEDED, icmp.ICMP_EXC_TTL, 0);
      return this.#drop(p, DROP.TTL_EXCEEDED);
    }
    const mtu = slab.rtMtu(p);
    if (slab.len(p) > mtu && this.#mustNotFragment(p, at, mtu)) {
      this.icmp.error(p, icmp.ICMP_DEST_UNREACH, icmp.ICMP_FRAG_NEEDED, mtu);
      return this.#drop(p, DROP.PKT_TOO_BIG);
    }
    ip.decrementTtl(dv, at);
    if (dev.ifindex === slab.oif(p)) this.#redirect(p, dev);
    slab.setPriority(p, PRIORITY[(ip.tos(dv, at) & 0x1e) >> 1]);
    if (this.host.hooks.run(NFPROTO_IPV4, NF_INET_FORWARD, p, dev.ifindex, slab.oif(p)) !== NF_ACCEPT) return;
    if (slab.cb(p, CB_OPTIONS) !== 0) finishOptions(this, p);
    this.output(p, dev.ifindex);
  }

  /** True for "do not fragment", unless the packet came in fragments that fit. */
  #mustNotFragment(p: number, at: number, mtu: number): boolean {
    const { slab } = this.host.world;
    if ((ip.fragOff(slab.dv, at) & ip.IP_DF) === 0) return false;
    return (slab.flags(p) & PKT_IGNORE_DF) === 0 || slab.cb(p, CB_LARGEST_FRAGMENT) > mtu;
  }

  /** Tells a neighbour on the same link that it could have gone there itself (RFC 1812 5.2.7.2). */
  #redirect(p: number, dev: NetDevice): void {
    const { slab } = this.host.world;
    if (this.host.sysctls.conf4(dev.ifindex, 'send_redirects') === 0) return;
    const at = slab.network(p);
    const src = ip.srcAddr(slab.dv, at);
    const gateway = slab.dv.getUint32(slab.gatewayAt(p));
    // Only to a sender that shares a subnet with the next hop.
    const onlink = this.host.addresses
      .list(AF_INET, dev.ifindex)
      .some(
        (a) =>
          a.prefixLength > 0 &&
          a.prefixLength < 33 &&
          sameNet(a.local[0], src, a.prefixLength) &&
          sameNet(a.local[0], gateway, a.prefixLength),
      );
    if (onlink && this.icmp.redirectAllowed(src)) this.icmp.error(p, icmp.ICMP_REDIRECT, 1, gateway);
  }

  /** Behind FORWARD or LOCAL_OUT: POST_ROUTING, then fragments, then the neighbour. Owns the packet. */
  output(p: number, iif = 0): void {
    const { slab } = this.host.world;
    this.host.world.probe?.hit({ point: 'ip_output', host: this.host.name, p, ifindex: slab.oif(p) });
    const oif = slab.oif(p);
    if (this.host.hooks.run(NFPROTO_IPV4, NF_INET_POST_ROUTING, p, iif, oif) !== NF_ACCEPT) return;
    const { socketGate } = this.host;
    if (socketGate !== undefined && (slab.flags(p) & PKT_LOCAL) !== 0 && !socketGate(p, true))
      return this.#drop(p, DROP.BPF_CGROUP_EGRESS);
    this.finish(p);
  }

  /** Sends a routed packet out, in pieces when it is too long. Owns the packet. */
  finish(p: number): void {
    const { slab } = this.host.world;
    const dev = this.host.devices.get(slab.oif(p));
    if (dev === undefined) return this.#drop(p, DROP.DEV_READY);
    const mtu = slab.rtMtu(p) || dev.mtu;
    const largest = slab.cb(p, CB_LARGEST_FRAGMENT);
    if (slab.len(p) <= mtu && largest === 0) return this.#toNeighbour(p, dev);
    if (this.#mustNotFragment(p, slab.network(p), mtu)) {
      this.icmp.error(p, icmp.ICMP_DEST_UNREACH, icmp.ICMP_FRAG_NEEDED, mtu);
      return this.#drop(p, DROP.PKT_TOO_BIG);
    }
    // What came in fragments leaves in fragments no larger than those.
    fragment4(slab, p, largest === 0 ? mtu : Math.min(largest, mtu), (piece) => this.#toNeighbour(piece, dev));
    slab.free(p);
  }

  #toNeighbour(p: number, dev: NetDevice): void {
    const { world } = this.host;
    const { slab } = world;
    if (world.traced(p))
      world.trace(p, { kind: 'transmit', host: this.host.name, ifindex: dev.ifindex, dev: dev.name });
    if (dev.adminFlags & IFF_LOOPBACK) {
      this.#loop(p, dev);
      return;
    }
    const at = slab.gatewayAt(p);
    if (slab.gatewayFamily(p) === AF_INET) {
      const gateway = slab.dv.getUint32(at);
      const type = slab.rtType(p);
      if (gateway === 0xffffffff || type === RTN_BROADCAST) return sendEthernet(dev, p, dev.broadcast, ETH_P_IP);
      if (gateway >>> 28 === 14) {
        this.#multicast[3] = (gateway >>> 16) & 0x7f;
        this.#multicast[4] = (gateway >>> 8) & 255;
        this.#multicast[5] = gateway & 255;
        return sendEthernet(dev, p, this.#multicast, ETH_P_IP);
      }
      this.#key[0] = gateway;
      this.#key[1] = this.#key[2] = this.#key[3] = 0;
      this.host.neigh4.output(dev, this.#key, p);
      return;
    }
    for (let i = 0; i < 4; i++) this.#key[i] = slab.dv.getUint32(at + i * 4);
    this.host.neigh6.output(dev, this.#key, p);
    this.#key.fill(0);
  }

  /** Back to this host over lo, behind an empty Ethernet header. */
  #loop(p: number, lo: NetDevice): void {
    const { slab } = this.host.world;
    if (!slab.push(p, 14)) return this.#drop(p, DROP.DEV_HDR);
    const at = slab.head(p);
    slab.u8.fill(0, at, at + 12);
    slab.dv.setUint16(at + 12, ETH_P_IP);
    slab.setMac(p, at);
    slab.setPktType(p, PACKET_LOOPBACK);
    lo.transmit(p);
  }

  /** "Fragmentation needed" about a packet of this host's own to `destination`. */
  learnMtu(destination: number, mtu: number): void {
    this.#key[0] = destination;
    this.#key[1] = this.#key[2] = this.#key[3] = 0;
    this.pathMtu.learn(this.#key, Math.max(mtu, this.host.sysctls.ip4.min_pmtu), 65_535);
  }

  /** The next identification number. */
  nextId(): number {
    this.#id = (this.#id + 1) & 0xffff || 1;
    return this.#id;
  }

  /**
   * Finds the way for a packet of this host's own and notes it in the packet (ip_route_output). `src` 0 in the header lets
   * routing choose the source, which is written there. 0 or an errno (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL).
   */
  routeOutput(p: number, oif = 0): number {
    const { slab } = this.host.world;
    const { dv } = slab;
    const at = slab.network(p);
    const dst = ip.dstAddr(dv, at);
    let src = ip.srcAddr(dv, at);
    const flow = this.#flowOf(p, oif, this.host.lo.ifindex);
    const result = this.#result;
    slab.setRtFlags(p, 0);
    if (oif !== 0 && (dst === 0xffffffff || dst >>> 28 === 14)) {
      // Straight out of the device that was named.
      if (src === 0) src = selectSource4(this.host.addresses, oif, flow.dst, RT_SCOPE_LINK)[0];
      ip.setSrcAddr(dv, at, src);
      slab.setRtMtu(p, this.host.devices.get(oif)?.mtu ?? 1500);
      return this.#setRoute(p, dst === 0xffffffff ? RTN_BROADCAST : RTN_MULTICAST, oif);
    }
    const errno = this.host.fib4.lookup(flow, result);
    if (errno !== 0) {
      const dev = oif !== 0 ? this.host.devices.get(oif) : undefined;
      if (dev === undefined) return errno === EINVAL ? EINVAL : errno;
      // A named device with no route: assume that the destination is on its link.
      if (src === 0) src = selectSource4(this.host.addresses, oif, flow.dst, RT_SCOPE_LINK)[0];
      ip.setSrcAddr(dv, at, src);
      slab.setGatewayFamily(p, AF_INET);
      dv.setUint32(slab.gatewayAt(p), dst);
      slab.setRtMtu(p, dev.mtu);
      return this.#setRoute(p, RTN_UNICAST, oif);
    }
    const type = result.type;
    let out = result.nexthop?.oif ?? 0;
    if (src === 0) {
      src = type === RTN_LOCAL ? (result.route?.prefsrc?.[0] ?? dst) : resultSource4(this.host.addresses, result)[0];
      ip.setSrcAddr(dv, at, src);
    }
    if (type === RTN_LOCAL) out = this.host.lo.ifindex;
    else this.#setGateway(p, result, dst);
    if (type === RTN_LOCAL) slab.setRtMtu(p, this.host.lo.mtu);
    else {
      this.#key[0] = dst;
      this.#key[1] = this.#key[2] = this.#key[3] = 0;
      slab.setRtMtu(p, this.pathMtu.of(this.#key, this.#mtuOf(result, out)));
    }
    return this.#setRoute(p, dst >>> 28 === 14 ? RTN_MULTICAST : type, out);
  }

  /**
   * Sends a packet of this host's own whose header is written but for checksum and identification: LOCAL_OUT, then out.
   * It is routed (see `routeOutput`). Owns the packet.
   */
  send(p: number): void {
    const { slab } = this.host.world;
    ip.fillChecksum(slab.dv, slab.network(p));
    if (this.host.hooks.run(NFPROTO_IPV4, NF_INET_LOCAL_OUT, p, 0, slab.oif(p)) !== NF_ACCEPT) return;
    this.output(p);
  }

  /** ip_route_me_harder: routes again after a rule changed the packet; false when there is no way now. */
  reroute(p: number): boolean {
    return this.routeOutput(p) === 0;
  }

  /** The address this host answers from on a device (inet_select_addr), 0 for none. */
  addressOn(ifindex: number, toward: number, scope: number = RT_SCOPE_UNIVERSE): number {
    this.#key[0] = toward;
    this.#key[1] = this.#key[2] = this.#key[3] = 0;
    return selectSource4(this.host.addresses, ifindex, this.#key, scope)[0];
  }
}

/** Packet priority by TOS (rt_tos2priority). */
const PRIORITY: readonly number[] = [0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4];

function sameNet(a: number, b: number, length: number): boolean {
  return length === 0 || (a ^ b) >>> (32 - length) === 0;
}
