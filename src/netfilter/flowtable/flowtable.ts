/**
 * The fast path (`nf_flow_table`, Documentation/networking/nf_flowtable.rst): packets of connections that a rule has offloaded are
 * translated and forwarded from the ingress of the flowtable's devices, past all other hooks. What is not plain goes the slow
 * way: fragments, IP options, expired TTLs, packets too long, and FIN or RST, which end the offload.
 */
import { PACKET_HOST } from '../../core/slab.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as tcp from '../../wire/tcp.ts';
import {
  IP_CT_TCP_FLAG_BE_LIBERAL,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_NAT_MASK,
  IPS_OFFLOAD,
  IPS_SEEN_REPLY,
  IPS_SEQ_ADJUST,
  IPS_SRC_NAT,
  TCP_CONNTRACK_ESTABLISHED,
} from '../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_STOLEN, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { type Conn, IPS_NAT_CLASH } from '../conntrack/entry.ts';
import { addressesFromHeader, locate, newLocated } from '../conntrack/packet.ts';
import { newTuple, PORTS, protonum, ZONE } from '../conntrack/tuple.ts';
import { manipulate } from '../nat/manip.ts';
import { MANIP_DST, MANIP_SRC } from '../nat/range.ts';

const SECOND = 1e9;
/** Seconds without a packet after which a flow goes the slow way again (nf_flowtable_tcp_timeout, _udp_timeout). */
const TIMEOUT = 30;
/** How long the connection lives while its flow is offloaded. */
const DAY = 86_400;

/** A way out: device, next hop and path MTU. */
export type FlowRoute = {
  oif: number;
  mtu: number;
  gatewayFamily: number;
  readonly gateway: Uint32Array;
};

export function newFlowRoute(): FlowRoute {
  return { oif: 0, mtu: 0, gatewayFamily: 0, gateway: new Uint32Array(4) };
}

/** What the fast path needs of its host. */
export type FlowHost = {
  readonly conntrack: Conntrack;
  /** The way to `dst` (four words) for forwarded packets that came in by `iif`; false: there is none. */
  flowRoute?(pf: number, dst: Uint32Array, src: Uint32Array, iif: number, mark: number, out: FlowRoute): boolean;
  /** A number that changes whenever routes do. */
  flowGeneration?(pf: number): number;
  /** Sends an IP packet that way. Takes ownership. */
  flowTransmit?(p: number, pf: number, route: FlowRoute): void;
};

type Flow = {
  readonly id: number;
  readonly routes: readonly [FlowRoute, FlowRoute];
  generation: number;
  expiresNs: number;
};

export class FlowPath {
  readonly #host: FlowHost;
  /** By the connection's number. */
  readonly #flows = new Map<number, Flow>();
  readonly #located = newLocated();
  readonly #key = newTuple();
  readonly #target = newTuple();
  readonly #counting: boolean;
  #timer = -1;

  /** `counting`: packets of the fast path are counted on their connections. */
  constructor(host: FlowHost, counting: boolean) {
    this.#host = host;
    this.#counting = counting;
  }

  get count(): number {
    return this.#flows.size;
  }

  /** Takes the connection of a forwarded packet (`at` its transport header) off the slow path; false: it must stay. */
  offload(ct: Conn, p: number, pf: number, at: number, end: number, iif: number, oif: number): boolean {
    const { conntrack } = this.#host;
    const { slab } = conntrack;
    const protocol = protonum(ct.words, ct.base);
    if (pf === NFPROTO_IPV4 && ipv4.headerLength(slab.dv, slab.network(p)) !== ipv4.HEADER_LENGTH) return false;
    if (protocol === ipv4.IPPROTO_TCP) {
      if (at + tcp.HEADER_LENGTH > end || tcp.flags(slab.dv, at) & (tcp.FIN | tcp.RST)) return false;
      if (ct.tcp?.state !== TCP_CONNTRACK_ESTABLISHED) return false;
    } else if (protocol === ipv4.IPPROTO_GRE) {
      if (ct.status & IPS_NAT_MASK) return false;
    } else if (protocol !== ipv4.IPPROTO_UDP) return false;
    if (ct.helper !== undefined || ct.status & (IPS_SEQ_ADJUST | IPS_NAT_CLASH)) return false;
    if (!(ct.status & IPS_CONFIRMED) || ct.status & IPS_OFFLOAD) return false;
    const dir = slab.nfctinfo(p) >= 3 ? 1 : 0;
    const routes: [FlowRoute, FlowRoute] = [newFlowRoute(), newFlowRoute()];
    const mark = slab.mark(p);
    // A direction's packets go to where the other direction's come from.
    const way = (d: number, from: number): boolean => {
      const to = ct.at(1 - d);
      const dst = ct.words.slice(to, to + 4);
      const src = ct.words.slice(ct.at(d), ct.at(d) + 4);
      return this.#host.flowRoute?.(pf, dst, src, from, mark, routes[d]) === true;
    };
    if (!way(dir, iif) || !way(1 - dir, oif)) return false;
    ct.status |= IPS_OFFLOAD;
    if (ct.tcp !== undefined) for (const side of ct.tcp.seen) side.flags |= IP_CT_TCP_FLAG_BE_LIBERAL;
    this.#flows.set(ct.index, {
      id: ct.id,
      routes,
      generation: this.#host.flowGeneration?.(pf) ?? 0,
      expiresNs: conntrack.world.now + TIMEOUT * SECOND,
    });
    conntrack.setTimeout(ct, DAY);
    this.#arm();
    return true;
  }

  /** The ingress hook: NF_STOLEN when the packet was forwarded. */
  receive(p: number, iif: number): number {
    if (this.#flows.size === 0) return NF_ACCEPT;
    const { conntrack } = this.#host;
    const { slab, world } = conntrack;
    const { dv } = slab;
    if (slab.pktType(p) !== PACKET_HOST || slab.vlanProto(p) !== 0) return NF_ACCEPT;
    const ip = slab.network(p);
    const pf = slab.protocol(p) === 0x0800 ? NFPROTO_IPV4 : slab.protocol(p) === 0x86dd ? NFPROTO_IPV6 : 0;
    if (pf === 0 || !plain(dv, ip, slab.end(p), pf)) return NF_ACCEPT;
    const found = this.#located;
    if (!locate(dv, pf, ip, slab.end(p), found)) return NF_ACCEPT;
    const { at, end, protocol } = found;
    const key = this.#key;
    addressesFromHeader(dv, pf, ip, protocol, key);
    if (protocol === ipv4.IPPROTO_TCP || protocol === ipv4.IPPROTO_UDP) {
      if (at + (protocol === ipv4.IPPROTO_TCP ? tcp.HEADER_LENGTH : 8) > end) return NF_ACCEPT;
      key[PORTS] = dv.getUint32(at);
    } else if (protocol !== ipv4.IPPROTO_GRE) return NF_ACCEPT;
    key[ZONE] = 0;
    const n = conntrack.find(key);
    if (n < 0) return NF_ACCEPT;
    const ct = conntrack.entry(n);
    const flow = this.#flows.get(ct.index);
    if (flow === undefined || flow.id !== ct.id || !(ct.status & IPS_OFFLOAD)) return NF_ACCEPT;
    const dir = n & 1;
    const route = flow.routes[dir];
    if (flow.routes[1 - dir].oif !== iif) return NF_ACCEPT;
    if (end - ip > route.mtu) return NF_ACCEPT;
    if (protocol === ipv4.IPPROTO_TCP && tcp.flags(dv, at) & (tcp.FIN | tcp.RST)) {
      this.teardown(ct);
      return NF_ACCEPT;
    }
    if (flow.generation !== (this.#host.flowGeneration?.(pf) ?? 0)) {
      this.teardown(ct);
      return NF_ACCEPT;
    }
    flow.expiresNs = world.now + TIMEOUT * SECOND;
    slab.setLen(p, end - slab.head(p));
    if (ct.status & IPS_NAT_MASK && !this.#translate(p, ct, dir, pf, ip, end)) return NF_ACCEPT;
    if (pf === NFPROTO_IPV4) ipv4.decrementTtl(dv, ip);
    else ipv6.setHopLimit(dv, ip, ipv6.hopLimit(dv, ip) - 1);
    if (this.#counting && conntrack.sysctls.acct) ct.count(dir, 1, slab.len(p));
    this.#host.flowTransmit?.(p, pf, route);
    return NF_STOLEN;
  }

  /** Source and destination as the connection's other direction says. */
  #translate(p: number, ct: Conn, dir: number, pf: number, ip: number, end: number): boolean {
    const { conntrack } = this.#host;
    const target = this.#target;
    conntrack.invert(ct.words, ct.at(1 - dir), target, 0);
    const bits = dir === 0 ? [IPS_DST_NAT, IPS_SRC_NAT] : [IPS_SRC_NAT, IPS_DST_NAT];
    if (ct.status & bits[0] && !manipulate(conntrack.slab, p, pf, ip, end, target, 0, MANIP_DST, false)) return false;
    return !(ct.status & bits[1]) || manipulate(conntrack.slab, p, pf, ip, end, target, 0, MANIP_SRC, false);
  }

  /** The connection goes the slow way again; its time is what its state gives, less what the flow has waited. */
  teardown(ct: Conn): void {
    if (!this.#flows.delete(ct.index)) return;
    const { conntrack } = this.#host;
    ct.status &= ~IPS_OFFLOAD;
    const t = ct.tcp;
    let seconds: number;
    if (t !== undefined) {
      // The windows were not followed: they are picked up anew.
      for (const side of t.seen) side.maxwin = 0;
      seconds = conntrack.sysctls.tcp_timeout_established;
    } else seconds = ct.status & IPS_SEEN_REPLY ? conntrack.sysctls.udp_timeout_stream : conntrack.sysctls.udp_timeout;
    seconds = Math.max(0, seconds - TIMEOUT);
    if (conntrack.expires(ct) > seconds) conntrack.setTimeout(ct, seconds);
  }

  /** Ends all offloads: the flowtable goes. */
  flush(): void {
    for (const index of [...this.#flows.keys()]) this.#end(index);
  }

  #end(index: number): void {
    const ct = this.#host.conntrack.entry(index * 2);
    if (ct.id === this.#flows.get(index)?.id && ct.live) this.teardown(ct);
    this.#flows.delete(index);
  }

  #arm(): void {
    const { world } = this.#host.conntrack;
    if (this.#timer < 0) this.#timer = world.timers.arm(world.now + SECOND, this.#collect);
  }

  readonly #collect = (): void => {
    this.#timer = -1;
    const { now } = this.#host.conntrack.world;
    for (const [index, flow] of this.#flows) {
      const ct = this.#host.conntrack.entry(index * 2);
      if (flow.expiresNs <= now || ct.id !== flow.id || !ct.live || ct.dying) this.#end(index);
    }
    if (this.#flows.size > 0) this.#arm();
  };
}

/** An IP header that the fast path understands: whole, no options, no fragment, time to live left. */
function plain(dv: DataView, ip: number, limit: number, pf: number): boolean {
  if (pf === NFPROTO_IPV4) {
    if (ip + ipv4.HEADER_LENGTH > limit || dv.getUint8(ip) !== 0x45) return false;
    if (ipv4.fragOff(dv, ip) & (ipv4.IP_MF | ipv4.IP_OFFSET)) return false;
    return ipv4.ttl(dv, ip) > 1 && ip + ipv4.totalLength(dv, ip) <= limit;
  }
  if (ip + ipv6.HEADER_LENGTH > limit || dv.getUint8(ip) >> 4 !== 6) return false;
  const next = dv.getUint8(ip + 6);
  if (next !== ipv4.IPPROTO_TCP && next !== ipv4.IPPROTO_UDP && next !== ipv4.IPPROTO_GRE) return false;
  return ipv6.hopLimit(dv, ip) > 1 && ip + ipv6.HEADER_LENGTH + ipv6.payloadLength(dv, ip) <= limit;
}
