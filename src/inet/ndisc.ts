/**
 * Neighbour Discovery of one host (RFC 4861, 4862): solicitations and advertisements, duplicate address detection.
 */
import { DROP } from '../core/drop.ts';
import type { NetDevice } from '../device/device.ts';
import { type Neighbour, NUD_VALID } from '../link/neighbour.ts';
import { AF_INET6 } from '../wire/address.ts';
import { ETH_P_IPV6 } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv6.ts';
import { IPPROTO_ICMPV6 } from '../wire/ipv4.ts';
import * as ip from '../wire/ipv6.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_TENTATIVE,
  IFF_NOARP,
  NUD_PERMANENT,
  NUD_REACHABLE,
  NUD_STALE,
} from '../wire/uapi/rtnetlink.ts';
import type { IfAddress } from './address.ts';
import type { Ip6 } from './ip6.ts';
import { IcmpRateLimit } from './rate-limit.ts';
import { selectSource6 } from './source.ts';
import type { InetHost } from './stack.ts';
import { loadWords, storeWords } from './words.ts';

const HOP_LIMIT = 255;
const LENGTH = 24;
const OPTION = 8;
const REDIRECT = 40;
const ND_OPT_REDIRECT_HDR = 4;
const SECOND = 1e9;
const ALL_NODES: Uint32Array = Uint32Array.of(0xff020000, 0, 0, 1);
const UNSPECIFIED: Uint32Array = new Uint32Array(4);

/** ff02::1:ffXX:XXXX of an address (RFC 4291 2.7.1). */
function solicitedNode(address: Uint32Array): Uint32Array {
  return Uint32Array.of(0xff020000, 0, 1, 0xff000000 | (address[3] & 0xffffff));
}

export class Ndisc {
  readonly #host: InetHost;
  readonly #ip: Ip6;
  readonly #limit: IcmpRateLimit;
  readonly #target = new Uint32Array(4);
  readonly #source = new Uint32Array(4);

  constructor(host: InetHost, ip6: Ip6) {
    this.#host = host;
    this.#ip = ip6;
    this.#limit = new IcmpRateLimit(host.world);
  }

  /** Sends a message with a target address and a link-layer address option. */
  #send(
    dev: NetDevice,
    type: number,
    flags: number,
    src: Uint32Array,
    dst: Uint32Array,
    target: Uint32Array,
    option: number,
  ): void {
    const { slab } = this.#host.world;
    const { dv, u8 } = slab;
    if (dev.flags & IFF_NOARP) return;
    const length = LENGTH + (option ? OPTION : 0);
    const p = slab.alloc(ip.HEADER_LENGTH + length);
    if (p < 0) return;
    const at = slab.head(p);
    slab.setLen(p, ip.HEADER_LENGTH + length);
    slab.setNetwork(p, at);
    slab.setProtocol(p, ETH_P_IPV6);
    ip.init(dv, at, IPPROTO_ICMPV6, length, HOP_LIMIT);
    storeWords(src, dv, at + ip.SRC, 16);
    storeWords(dst, dv, at + ip.DST, 16);
    const message = at + ip.HEADER_LENGTH;
    slab.setTransport(p, message);
    dv.setUint8(message, type);
    dv.setUint8(message + 1, 0);
    dv.setUint32(message + 4, flags << 24);
    storeWords(target, dv, message + icmp.ND_TARGET, 16);
    if (option) {
      dv.setUint8(message + LENGTH, option);
      dv.setUint8(message + LENGTH + 1, 1);
      u8.set(dev.address, message + LENGTH + 2);
    }
    if (this.#ip.routeOutput(p, dev.ifindex) !== 0) {
      // A link without routes (yet): the neighbour is on it all the same.
      slab.setGatewayFamily(p, AF_INET6);
      storeWords(dst, dv, slab.gatewayAt(p), 16);
      slab.setOif(p, dev.ifindex);
      slab.setRtMtu(p, dev.mtu);
    }
    this.#ip.icmp.fill(p);
    this.#ip.send(p);
  }

  /** Asks who has the entry's address. */
  solicit(entry: Neighbour, to: Uint8Array | undefined): void {
    const target = entry.address;
    const src = selectSource6(this.#host.addresses, entry.dev.ifindex, target) ?? UNSPECIFIED;
    const dst = to ? target : solicitedNode(target);
    this.#send(entry.dev, icmp.NDISC_NEIGHBOUR_SOLICITATION, 0, src, dst, target, icmp.ND_OPT_SOURCE_LL_ADDR);
  }

  #advertise(dev: NetDevice, target: Uint32Array, to: Uint32Array, solicited: boolean, override: boolean): void {
    const router = this.#host.sysctls.conf6(dev.ifindex, 'forwarding') !== 0 ? icmp.NA_ROUTER : 0;
    const flags = router | (solicited ? icmp.NA_SOLICITED : 0) | (override ? icmp.NA_OVERRIDE : 0);
    this.#send(dev, icmp.NDISC_NEIGHBOUR_ADVERTISEMENT, flags, target, to, target, icmp.ND_OPT_TARGET_LL_ADDR);
  }

  /** Duplicate address detection (RFC 4862 5.4) of an address that has just been added. */
  detect(address: IfAddress): void {
    const { addresses, devices, sysctls, world } = this.#host;
    const dev = devices.get(address.ifindex);
    const probes = sysctls.conf6(address.ifindex, 'dad_transmits');
    if (
      dev === undefined ||
      probes <= 0 ||
      sysctls.conf6(address.ifindex, 'accept_dad') <= 0 ||
      dev.flags & IFF_NOARP
    ) {
      addresses.dadDone(address);
      return;
    }
    let left = probes;
    const step = (): void => {
      if (!addresses.list(AF_INET6, address.ifindex).includes(address)) return;
      if (!(address.flags & IFA_F_TENTATIVE) || address.flags & IFA_F_DADFAILED) return;
      if (left-- <= 0) {
        addresses.dadDone(address);
        return;
      }
      this.#send(
        dev,
        icmp.NDISC_NEIGHBOUR_SOLICITATION,
        0,
        UNSPECIFIED,
        solicitedNode(address.local),
        address.local,
        0,
      );
      world.timers.arm(world.now + SECOND, step);
    };
    // The first probe waits up to a second, so that hosts started together do not speak at once.
    world.timers.arm(world.now + world.random.unit() * SECOND, step);
  }

  /** A Neighbour Discovery message. 0, or the reason to drop it. The packet is only lent. */
  receive(p: number, dev: NetDevice): number {
    const { slab } = this.#host.world;
    const { dv } = slab;
    const network = slab.network(p);
    const at = slab.transport(p);
    const end = slab.end(p);
    if (ip.hopLimit(dv, network) !== HOP_LIMIT) return DROP.IPV6_NDISC_HOP_LIMIT;
    if (icmp.code(dv, at) !== 0) return DROP.IPV6_NDISC_BAD_CODE;
    const type = icmp.type(dv, at);
    if (type !== icmp.NDISC_NEIGHBOUR_SOLICITATION && type !== icmp.NDISC_NEIGHBOUR_ADVERTISEMENT) return 0;
    if (end - at < LENGTH) return DROP.PKT_TOO_SMALL;
    loadWords(this.#target, dv, at + icmp.ND_TARGET, 16);
    loadWords(this.#source, dv, network + ip.SRC, 16);
    if (this.#target[0] >>> 24 === 0xff) return DROP.IPV6_NDISC_BAD_OPTIONS;
    return type === icmp.NDISC_NEIGHBOUR_SOLICITATION
      ? this.#solicited(p, dev, at, end)
      : this.#advertised(dev, network, at, end);
  }

  #lladdr(at: number, end: number, kind: number): Uint8Array | undefined | null {
    const { dv, u8 } = this.#host.world.slab;
    const option = icmp.findNdOption(dv, at + icmp.ND_OPTIONS, end, kind);
    if (option === -2) return null;
    return option < 0 ? undefined : u8.slice(option + 2, option + 8);
  }

  #solicited(p: number, dev: NetDevice, at: number, end: number): number {
    const { addresses, neigh6, world } = this.#host;
    const { slab } = world;
    const { dv } = slab;
    const network = slab.network(p);
    const dad = ip.isUnspecified(dv, network + ip.SRC);
    const lladdr = this.#lladdr(at, end, icmp.ND_OPT_SOURCE_LL_ADDR);
    if (lladdr === null) return DROP.IPV6_NDISC_BAD_OPTIONS;
    if (dad && lladdr !== undefined) return DROP.IPV6_NDISC_BAD_OPTIONS;
    const multicast = ip.isMulticast(dv, network + ip.DST);
    if (dad && !multicast) return DROP.IPV6_NDISC_BAD_OPTIONS;
    const own = addresses.find(AF_INET6, dev.ifindex, this.#target);
    if (own === undefined) return DROP.IPV6_NDISC_NS_OTHERHOST;
    if (own.flags & IFA_F_TENTATIVE) {
      // Somebody else is trying the same address; asking about it is no collision.
      if (dad) addresses.dadFailed(own);
      return 0;
    }
    if (dad) {
      this.#advertise(dev, this.#target.slice(), ALL_NODES, false, true);
      return 0;
    }
    const sender = lladdr ? neigh6.obtain(dev, this.#source) : neigh6.find(dev.ifindex, this.#source);
    if (sender && lladdr && !(sender.state & NUD_PERMANENT)) neigh6.update(sender, lladdr, NUD_STALE, true);
    if (sender || lladdr === undefined)
      this.#advertise(dev, this.#target.slice(), this.#source.slice(), true, lladdr !== undefined || multicast);
    return 0;
  }

  #advertised(dev: NetDevice, network: number, at: number, end: number): number {
    const { addresses, neigh6, world } = this.#host;
    const { dv } = world.slab;
    const flags = dv.getUint8(at + 4);
    const multicast = ip.isMulticast(dv, network + ip.DST);
    if (multicast && flags & icmp.NA_SOLICITED) return DROP.IPV6_NDISC_BAD_OPTIONS;
    const lladdr = this.#lladdr(at, end, icmp.ND_OPT_TARGET_LL_ADDR);
    if (lladdr === null) return DROP.IPV6_NDISC_BAD_OPTIONS;
    const own = addresses.find(AF_INET6, dev.ifindex, this.#target);
    if (own !== undefined) {
      if (own.flags & IFA_F_TENTATIVE) addresses.dadFailed(own);
      return 0;
    }
    const entry = neigh6.find(dev.ifindex, this.#target);
    if (entry === undefined || entry.state & NUD_PERMANENT) return 0;
    const known = (entry.state & NUD_VALID) !== 0;
    if (!known && lladdr === undefined) return 0;
    const solicited = (flags & icmp.NA_SOLICITED) !== 0;
    neigh6.update(entry, lladdr, solicited ? NUD_REACHABLE : NUD_STALE, (flags & icmp.NA_OVERRIDE) !== 0);
    neigh6.setRouter(entry, (flags & icmp.NA_ROUTER) !== 0);
    return 0;
  }

  /** Tells a neighbour on the same link that it could have gone there itself (RFC 4861 8.2). The packet is only lent. */
  redirect(p: number, dev: NetDevice): void {
    const { slab } = this.#host.world;
    const { dv, u8 } = slab;
    const at = slab.network(p);
    const source = new Uint32Array(4);
    loadWords(source, dv, at + ip.SRC, 16);
    const sender = this.#host.neigh6.find(dev.ifindex, source);
    // Only to a sender on this link, and only from a link-local address of ours.
    if (sender === undefined || ip.isMulticast(dv, at + ip.DST)) return;
    const own = this.#host.addresses.list(AF_INET6, dev.ifindex).find((a) => a.local[0] >>> 16 === 0xfe80);
    if (own === undefined || !this.#limit.peer(source[0] ^ source[1] ^ source[2] ^ source[3], 1000)) return;
    const target = slab.gatewayAt(p);
    if (!ip.isLinkLocal(dv, target) && !ip.sameAddress(dv, target, at + ip.DST)) return;
    const head = ip.HEADER_LENGTH + REDIRECT;
    const quoted = Math.min(slab.end(p) - at, (1280 - head - OPTION) & ~7) & ~7;
    const q = slab.alloc(head + OPTION + quoted);
    if (q < 0) return;
    const to = slab.head(q);
    slab.setLen(q, head + OPTION + quoted);
    slab.setNetwork(q, to);
    slab.setProtocol(q, ETH_P_IPV6);
    ip.init(dv, to, IPPROTO_ICMPV6, REDIRECT + OPTION + quoted, HOP_LIMIT);
    storeWords(own.local, dv, to + ip.SRC, 16);
    ip.copyAddress(dv, at + ip.SRC, to + ip.DST);
    const message = to + ip.HEADER_LENGTH;
    slab.setTransport(q, message);
    dv.setUint8(message, icmp.NDISC_REDIRECT);
    dv.setUint8(message + 1, 0);
    dv.setUint32(message + 4, 0);
    ip.copyAddress(dv, target, message + icmp.ND_TARGET);
    ip.copyAddress(dv, at + ip.DST, message + icmp.ND_TARGET + 16);
    const option = message + REDIRECT;
    dv.setUint8(option, ND_OPT_REDIRECT_HDR);
    dv.setUint8(option + 1, (OPTION + quoted) >> 3);
    u8.fill(0, option + 2, option + 8);
    u8.copyWithin(option + OPTION, at, at + quoted);
    if (this.#ip.routeOutput(q, dev.ifindex) !== 0) {
      slab.free(q);
      return;
    }
    this.#ip.icmp.fill(q);
    this.#ip.send(q);
  }
}
