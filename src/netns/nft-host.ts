/**
 * The host as the nftables machine and NAT see it.
 */
import { DROP } from '../core/drop.ts';
import type { HookEntry, Hooks } from '../core/hook.ts';
import { NO_OFFSET, PKT_TRACE } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import { clearFlow, newFibResult, newFlow } from '../inet/route.ts';
import { selectSource6 } from '../inet/source.ts';
import { bytesOf, loadWords } from '../inet/words.ts';
import type { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import { IP_CT_UNTRACKED } from '../netfilter/conntrack/entry.ts';
import { newLocated } from '../netfilter/conntrack/packet.ts';
import type { FlowRoute } from '../netfilter/flowtable/flowtable.ts';
import type { Nat, NatHost } from '../netfilter/nat/nat.ts';
import type { FibAnswer, LogOptions, NetfilterHost, SocketAnswer } from '../netfilter/nft/host.ts';
import type { PktInfo } from '../netfilter/nft/pkt.ts';
import { isAny, load } from '../transport/endpoint/address.ts';
import { newQuery, type Query } from '../transport/endpoint/demux.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { update16 } from '../wire/checksum.ts';
import { IPPROTO_UDP } from '../wire/ipv4.ts';
import { IP_CT_IS_REPLY, IP_CT_RELATED } from '../wire/uapi/ctnetlink.ts';
import { NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/uapi/netfilter.ts';
import {
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RTN_ANYCAST,
  RTN_LOCAL,
  RTN_UNICAST,
  RTN_UNREACHABLE,
} from '../wire/uapi/rtnetlink.ts';
import type { Host } from './host.ts';
import { logLine } from './log-line.ts';
import { mayAnswer } from './reject-checksum.ts';

/** fe80::/10, as the upper ten bits of an address. */
const LINK_LOCAL_PREFIX = 0xfe80 >> 6;

export class NftHost implements NetfilterHost, NatHost {
  readonly #host: Host;
  readonly #flow = newFlow();
  readonly #result = newFibResult();
  readonly #answer: FibAnswer = { oif: 0, type: 0, addressType: 0 };
  readonly #located = newLocated();
  readonly #query: Query = newQuery();
  #duplicating = false;

  constructor(host: Host) {
    this.#host = host;
  }

  get name(): string {
    return this.#host.name;
  }
  get world(): World {
    return this.#host.world;
  }
  get hooks(): Hooks {
    return this.#host.hooks;
  }
  get conntrack(): Conntrack {
    return this.#host.conntrack;
  }
  get nat(): Nat {
    return this.#host.nat;
  }

  deviceIndex(name: string): number {
    return this.#host.devices.byName(name)?.ifindex ?? 0;
  }
  deviceName(ifindex: number): string {
    return ifindex === 0 ? '' : (this.#host.devices.get(ifindex)?.name ?? '');
  }
  deviceType(ifindex: number): number {
    return this.#host.devices.get(ifindex)?.type ?? 0;
  }
  deviceGroup(ifindex: number): number {
    return this.#host.devices.get(ifindex)?.group ?? 0;
  }
  deviceKind(ifindex: number): string {
    return this.#host.devices.get(ifindex)?.kind ?? '';
  }
  bridgeOf(ifindex: number): number {
    return this.#host.devices.get(ifindex)?.master ?? 0;
  }

  fib(
    family: number,
    address: number,
    pkt: PktInfo,
    iif: number,
    oif: number,
    mark: number,
    source: boolean,
  ): FibAnswer {
    const { dv } = this.world.slab;
    const v4 = family === AF_INET;
    const size = v4 ? 4 : 16;
    const flow = this.#flow;
    const answer = this.#answer;
    clearFlow(flow);
    loadWords(flow.dst, dv, address, size);
    // The other address of the packet, for rules that look at sources.
    const other = v4 ? (source ? 16 : 12) : source ? 24 : 8;
    loadWords(flow.src, dv, pkt.nhoff + other, size);
    flow.iif = this.#host.lo.ifindex;
    flow.mark = mark;
    const restrict = iif || oif;
    const fib = v4 ? this.#host.fib4 : this.#host.fib6;
    const result = this.#result;
    answer.oif = 0;
    answer.type = 0;
    if (v4) {
      // An address's type is what the local table says of it, on the device asked for.
      const local = fib.find(RT_TABLE_LOCAL)?.lookup(flow, result, fib.devices) === 0 ? result.type : 0;
      const there = local !== 0 && (restrict === 0 || result.nexthop?.oif === restrict);
      answer.addressType = there ? local : RTN_UNICAST;
    } else if (flow.dst[0] >>> 22 === LINK_LOCAL_PREFIX) {
      // Link-local addresses mean something on one link only.
      flow.oif = restrict || this.world.slab.iif(pkt.p);
    }
    const local6 = !v4 && restrict !== 0 && this.#host.addresses.find(AF_INET6, restrict, flow.dst) !== undefined;
    if (fib.lookup(flow, result) !== 0) {
      if (!v4) answer.addressType = result.type || RTN_UNREACHABLE;
      return answer;
    }
    answer.type = result.type;
    const out = result.nexthop?.oif ?? 0;
    if (!v4) {
      // Of a route only "local" and "anycast" show in the type of an address; on a device its own addresses do.
      const anycast = result.type === RTN_ANYCAST;
      const local = restrict === 0 ? result.type === RTN_LOCAL : local6;
      answer.addressType = anycast ? RTN_ANYCAST : local ? RTN_LOCAL : RTN_UNICAST;
      if (anycast || (restrict !== 0 && out !== restrict)) answer.type = 0;
      else answer.oif = out;
      return answer;
    }
    if (restrict === 0) answer.oif = out;
    else if (result.route?.nexthops.some((hop) => hop.oif === restrict)) answer.oif = restrict;
    else if (result.type !== RTN_LOCAL) answer.type = 0;
    return answer;
  }

  /** The reply belongs to the connection of the packet it answers, in the other direction (nf_ct_attach). */
  #attach(p: number, reply: number): void {
    const { slab } = this.world;
    const ct = slab.nfct(p);
    if (ct === 0) return;
    slab.setNfct(reply, ct, slab.nfctinfo(p) >= IP_CT_IS_REPLY ? IP_CT_RELATED : IP_CT_RELATED + IP_CT_IS_REPLY);
  }

  sendReply(_family: number, p: number, reply: number, _hook: number): void {
    const { slab } = this.world;
    slab.setFlags(reply, slab.flags(reply) | (slab.flags(p) & PKT_TRACE));
    this.#attach(p, reply);
    const v4 = slab.dv.getUint8(slab.network(reply)) >> 4 === 4;
    if (this.world.traced(p)) this.world.trace(p, { kind: 'reply', host: this.name, text: 'tcp reset' });
    const errno = v4 ? this.#host.ip4.routeOutput(reply) : this.#host.ip6.routeOutput(reply);
    if (errno !== 0) {
      this.world.drop(reply, DROP.IP_OUTNOROUTES, this.name);
      return;
    }
    if (v4) this.#host.ip4.send(reply);
    else this.#host.ip6.send(reply);
  }

  sendIcmpError(_family: number, p: number, type: number, code: number, _hook: number): void {
    const { slab } = this.world;
    const at = slab.network(p);
    const v4 = slab.dv.getUint8(at) >> 4 === 4;
    const pf = v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    if (!mayAnswer(slab, p, pf, this.#located)) return;
    if (v4) this.#host.ip4.icmp.error(p, type, code, 0);
    else this.#host.ip6.icmp.error(p, type, code, 0);
  }

  duplicate(family: number, p: number, gateway: Uint8Array, oif: number, hook: number): void {
    const { slab } = this.world;
    // A copy of a copy would go on for ever.
    if (this.#duplicating) return;
    const copy = slab.copy(p);
    if (copy < 0) return;
    slab.setNfct(copy, 0, IP_CT_UNTRACKED);
    const v4 = family === NFPROTO_IPV4;
    const at = slab.network(copy);
    const { dv, u8 } = slab;
    const size = v4 ? 4 : 16;
    const destination = at + (v4 ? 16 : 24);
    // The route is the gateway's; the packet keeps its address.
    const kept = u8.slice(destination, destination + size);
    u8.set(gateway.subarray(0, size), destination);
    const errno = v4 ? this.#host.ip4.routeOutput(copy, oif) : this.#host.ip6.routeOutput(copy, oif);
    u8.set(kept, destination);
    if (errno !== 0) return this.world.drop(copy, DROP.IP_OUTNOROUTES, this.name);
    if (hook === NF_INET_PRE_ROUTING || hook === NF_INET_LOCAL_IN) {
      if (v4) {
        const ttl = dv.getUint8(at + 8);
        dv.setUint8(at + 8, ttl - 1);
        dv.setUint16(
          at + 10,
          update16(dv.getUint16(at + 10), (ttl << 8) | dv.getUint8(at + 9), ((ttl - 1) << 8) | dv.getUint8(at + 9)),
        );
      } else dv.setUint8(at + 7, dv.getUint8(at + 7) - 1);
    }
    this.#duplicating = true;
    if (v4) this.#host.ip4.send(copy);
    else this.#host.ip6.send(copy);
    this.#duplicating = false;
  }

  routeMss(p: number): number {
    const { slab } = this.world;
    const mtu = slab.rtMtu(p);
    if (mtu === 0) return 0;
    return mtu - (slab.gatewayFamily(p) === AF_INET6 ? 60 : 40);
  }

  registerNat(entry: HookEntry): void {
    this.#host.nat.register(entry);
  }
  unregisterNat(entry: HookEntry): void {
    this.#host.nat.unregister(entry);
  }

  reroute(p: number, pf: number): boolean {
    return pf === NFPROTO_IPV4 ? this.#host.ip4.reroute(p) : this.#host.ip6.reroute(p);
  }

  transmit(p: number, ifindex: number): void {
    const { slab } = this.world;
    const dev = this.#host.devices.get(ifindex);
    const mac = slab.mac(p);
    if (dev === undefined || mac === NO_OFFSET) return this.world.drop(p, DROP.DEV_READY, this.name);
    slab.push(p, slab.head(p) - mac);
    dev.transmit(p);
  }

  flowRoute(pf: number, dst: Uint32Array, src: Uint32Array, iif: number, mark: number, out: FlowRoute): boolean {
    const v4 = pf === NFPROTO_IPV4;
    const flow = this.#flow;
    clearFlow(flow);
    flow.dst.set(dst);
    flow.src.set(src);
    flow.iif = iif;
    flow.mark = mark;
    const result = this.#result;
    const fib = v4 ? this.#host.fib4 : this.#host.fib6;
    if (fib.lookup(flow, result) !== 0 || result.type !== RTN_UNICAST || result.nexthop === undefined) return false;
    const hop = result.nexthop;
    out.oif = hop.oif;
    out.gatewayFamily = hop.gatewayFamily || (v4 ? AF_INET : AF_INET6);
    out.gateway.set(hop.gatewayFamily === 0 ? dst : hop.gateway);
    out.mtu = this.#host.devices.get(hop.oif)?.mtu ?? 1500;
    return true;
  }

  flowGeneration(pf: number): number {
    return (pf === NFPROTO_IPV4 ? this.#host.fib4 : this.#host.fib6).generation;
  }

  flowTransmit(p: number, pf: number, route: FlowRoute): void {
    const { slab } = this.world;
    slab.setOif(p, route.oif);
    slab.setRtType(p, RTN_UNICAST);
    slab.setRtMtu(p, route.mtu);
    slab.setRtFlags(p, 0);
    slab.setGatewayFamily(p, route.gatewayFamily);
    const at = slab.gatewayAt(p);
    const words = route.gatewayFamily === AF_INET ? 1 : 4;
    for (let k = 0; k < words; k++) slab.dv.setUint32(at + k * 4, route.gateway[k]);
    if (pf === NFPROTO_IPV4) this.#host.ip4.finish(p);
    else this.#host.ip6.finish(p);
  }

  socket(pkt: PktInfo): SocketAnswer | undefined {
    if (!pkt.hasTransport || pkt.tprot !== IPPROTO_UDP || pkt.fragoff !== 0 || pkt.thoff + 8 > pkt.end)
      return undefined;
    const { dv } = this.world.slab;
    const v4 = pkt.pf === NFPROTO_IPV4;
    const q = this.#query;
    q.family = v4 ? AF_INET : AF_INET6;
    load(q.remote, dv, pkt.nhoff + (v4 ? 12 : 8), q.family);
    load(q.local, dv, pkt.nhoff + (v4 ? 16 : 24), q.family);
    q.rport = dv.getUint16(pkt.thoff);
    q.lport = dv.getUint16(pkt.thoff + 2);
    q.ifindex = pkt.iif;
    const found = this.#host.sockets.demux.lookup(this.#host.udp.proto, q);
    if (found === undefined || found === 'drop') return undefined;
    return { transparent: found.transparent, mark: found.mark, wildcard: isAny(found.rcvSaddr) };
  }

  log(p: number, pkt: PktInfo, options: LogOptions): void {
    // Groups go to nflog listeners, of which a netloom host has none; the line is kept all the same, marked as such.
    this.#host.printk(logLine(this, p, pkt, options));
  }

  masqueradeAddress(p: number, pf: number, oif: number): Uint8Array | undefined {
    const { slab } = this.world;
    if (pf === NFPROTO_IPV4) {
      const gateway = slab.gatewayFamily(p) === AF_INET ? slab.dv.getUint32(slab.gatewayAt(p)) : 0;
      const address = this.#host.ip4.addressOn(oif, gateway, RT_SCOPE_UNIVERSE);
      return address === 0 ? undefined : bytesOf(Uint32Array.of(address, 0, 0, 0), 4);
    }
    const dst = new Uint32Array(4);
    loadWords(dst, slab.dv, slab.network(p) + 24, 16);
    const source = selectSource6(this.#host.addresses, oif, dst);
    return source && bytesOf(source, 16);
  }

  deviceAddress(pf: number, ifindex: number): Uint8Array | undefined {
    const family = pf === NFPROTO_IPV4 ? AF_INET : AF_INET6;
    const first = this.#host.addresses.list(family, ifindex)[0];
    return first && bytesOf(first.local, pf === NFPROTO_IPV4 ? 4 : 16);
  }
}
