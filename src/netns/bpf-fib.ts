/** bpf_fib_lookup(): the forwarding decision for a packet that a program describes (bpf-helpers(7), struct bpf_fib_lookup). */
import { EAFNOSUPPORT, EINVAL, ENODEV } from '../core/errno.ts';
import { clearFlow, type FibResult, type Flow, newFibResult, newFlow } from '../inet/route.ts';
import { selectSource6 } from '../inet/source.ts';
import { loadWords, storeWords } from '../inet/words.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import {
  NUD_DELAY,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  RTN_BLACKHOLE,
  RTN_PROHIBIT,
  RTN_UNICAST,
  RTN_UNREACHABLE,
} from '../wire/uapi/rtnetlink.ts';
import type { Host } from './host.ts';

// Results.
const SUCCESS = 0;
const BLACKHOLE = 1;
const UNREACHABLE = 2;
const PROHIBIT = 3;
const NOT_FWDED = 4;
const FWD_DISABLED = 5;
const NO_NEIGH = 7;
const FRAG_NEEDED = 8;

// Flags.
const DIRECT = 1;
const OUTPUT = 2;
const SKIP_NEIGH = 4;
const TBID = 8;
const SRC = 16;
const MARK = 32;

// Offsets in struct bpf_fib_lookup.
const FAMILY = 0;
const L4_PROTOCOL = 1;
const SPORT = 2;
const DPORT = 4;
const TOT_LEN = 6;
const IFINDEX = 8;
const TOS_OR_METRIC = 12;
const SADDR = 16;
const DADDR = 32;
const VLAN = 48;
const SMAC = 52;
const DMAC = 58;

const RTAX_MTU = 2;
const VALID: number = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;

/** Where a packet goes next on the link. */
export type NextHop = { readonly family: number; readonly address: Uint32Array };

export class BpfFib {
  readonly #host: Host;
  readonly #flow: Flow = newFlow();
  readonly #result: FibResult = newFibResult();

  constructor(host: Host) {
    this.#host = host;
  }

  /** BPF_FIB_LKUP_RET_* or -errno; the struct at `at` is filled in. `mark`: of the packet. */
  lookup(at: number, flags: number, mark: number): number {
    if ((flags & ~(DIRECT | OUTPUT | SKIP_NEIGH | TBID | SRC | MARK)) !== 0) return -EINVAL;
    const host = this.#host;
    const { dv } = host.world.slab;
    const family = dv.getUint8(at + FAMILY);
    const ifindex = dv.getUint32(at + IFINDEX, true);
    if (host.devices.get(ifindex) === undefined) return -ENODEV;
    if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT;
    const v4 = family === AF_INET;
    const forwards = v4
      ? host.sysctls.conf4(ifindex, 'forwarding') !== 0
      : host.sysctls.conf6(ifindex, 'forwarding') !== 0;
    if ((flags & OUTPUT) === 0 && !forwards) return FWD_DISABLED;
    const errno = this.#route(at, v4, ifindex, flags, mark);
    const { route, nexthop, type } = this.#result;
    if (type === RTN_BLACKHOLE) return BLACKHOLE;
    if (type === RTN_UNREACHABLE) return UNREACHABLE;
    if (type === RTN_PROHIBIT) return PROHIBIT;
    if (errno !== 0 || route === undefined || nexthop === undefined || type !== RTN_UNICAST) return NOT_FWDED;
    const out = host.devices.get(nexthop.oif);
    if (out === undefined) return NOT_FWDED;
    const mtu = route.metrics.get(RTAX_MTU) || out.mtu;
    const length = dv.getUint16(at + TOT_LEN, true);
    if (length !== 0 && length > mtu) {
      dv.setUint16(at + TOT_LEN, mtu, true);
      return FRAG_NEEDED;
    }
    dv.setUint16(at + TOT_LEN, mtu, true);
    dv.setUint32(at + IFINDEX, out.ifindex, true);
    dv.setUint32(at + TOS_OR_METRIC, route.priority, true);
    if ((flags & SRC) !== 0) this.#source(at, v4, out.ifindex);
    // The next hop is the gateway, or the destination itself.
    if (nexthop.gatewayFamily !== 0) {
      dv.setUint8(at + FAMILY, nexthop.gatewayFamily);
      storeWords(nexthop.gateway, dv, at + DADDR, nexthop.gatewayFamily === AF_INET ? 4 : 16);
    }
    dv.setUint32(at + VLAN, 0, true);
    if ((flags & SKIP_NEIGH) !== 0) return SUCCESS;
    const hop = nexthop.gatewayFamily === 0 ? this.#flow.dst : nexthop.gateway;
    const table = (nexthop.gatewayFamily || family) === AF_INET ? host.neigh4 : host.neigh6;
    const neighbour = table.find(out.ifindex, hop);
    if (neighbour === undefined || (neighbour.state & VALID) === 0) return NO_NEIGH;
    host.world.slab.u8.set(out.address, at + SMAC);
    host.world.slab.u8.set(neighbour.lladdr, at + DMAC);
    return SUCCESS;
  }

  #route(at: number, v4: boolean, ifindex: number, flags: number, mark: number): number {
    const { dv } = this.#host.world.slab;
    const flow = this.#flow;
    const size = v4 ? 4 : 16;
    clearFlow(flow);
    loadWords(flow.src, dv, at + SADDR, size);
    loadWords(flow.dst, dv, at + DADDR, size);
    if ((flags & OUTPUT) !== 0) {
      flow.iif = 1;
      flow.oif = ifindex;
    } else flow.iif = ifindex;
    if (v4) flow.tos = dv.getUint8(at + TOS_OR_METRIC) & 0x1c;
    flow.protocol = dv.getUint8(at + L4_PROTOCOL);
    flow.sport = dv.getUint16(at + SPORT);
    flow.dport = dv.getUint16(at + DPORT);
    flow.mark = (flags & MARK) !== 0 ? mark : 0;
    return (v4 ? this.#host.fib4 : this.#host.fib6).lookup(flow, this.#result);
  }

  /** The next hop of a packet, whose data begins with its network header, out of this device; undefined: no route. */
  nextHop(p: number, oif: number): NextHop | undefined {
    const { slab } = this.#host.world;
    const at = slab.head(p);
    const v4 = slab.dv.getUint8(at) >> 4 === 4;
    if (slab.len(p) < (v4 ? 20 : 40)) return undefined;
    const flow = this.#flow;
    clearFlow(flow);
    loadWords(flow.dst, slab.dv, at + (v4 ? 16 : 24), v4 ? 4 : 16);
    flow.oif = oif;
    flow.iif = 1;
    if ((v4 ? this.#host.fib4 : this.#host.fib6).lookup(flow, this.#result) !== 0) return undefined;
    const { nexthop } = this.#result;
    if (nexthop === undefined) return undefined;
    if (nexthop.gatewayFamily !== 0) return { family: nexthop.gatewayFamily, address: nexthop.gateway };
    return { family: v4 ? AF_INET : AF_INET6, address: flow.dst.slice() };
  }

  #source(at: number, v4: boolean, oif: number): void {
    const { dv } = this.#host.world.slab;
    if (v4) dv.setUint32(at + SADDR, this.#host.ip4.addressOn(oif, this.#flow.dst[0], 0));
    else {
      const source = selectSource6(this.#host.addresses, oif, this.#flow.dst);
      if (source !== undefined) storeWords(source, dv, at + SADDR, 16);
    }
  }
}
