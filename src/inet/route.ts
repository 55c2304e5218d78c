/**
 * What a route is, what is asked of the routing tables (`Flow`), and what they answer (`FibResult`).
 * See Documentation/networking/ip-sysctl.rst, ip-route(8), rtnetlink(7).
 */
import { AF_INET6 } from '../wire/address.ts';
import { RT_SCOPE_NOWHERE, RT_SCOPE_UNIVERSE, RTN_UNICAST } from '../wire/uapi/rtnetlink.ts';
import { newWords } from './words.ts';

export type Nexthop = {
  /** Interface index, 0 for none (blackhole and its kin). */
  readonly oif: number;
  /** Family of `gateway`: 0 when the destination is on the link itself. AF_INET6 under an IPv4 route: RFC 5549. */
  readonly gatewayFamily: number;
  readonly gateway: Uint32Array;
  /** 1 to 256. */
  readonly weight: number;
  /** RTNH_F_*: ONLINK as asked; DEAD and LINKDOWN as devices come and go. */
  flags: number;
  /** Scope of the next hop itself (RT_SCOPE_*), one step nearer than the route's. */
  readonly scope: number;
};

export type Route = {
  readonly family: number;
  readonly table: number;
  readonly dst: Uint32Array;
  readonly dstLength: number;
  /** IPv6 source-dependent routing is not supported; IPv4 routes match a TOS (0: any). */
  readonly tos: number;
  /** RTN_*. */
  readonly type: number;
  /** RTPROT_*. */
  readonly protocol: number;
  readonly scope: number;
  /** Metric: lower is better. */
  readonly priority: number;
  readonly prefsrc: Uint32Array | undefined;
  /** RTAX_* number to value: 2 is the MTU. Bit n of entry 1 locks n. */
  readonly metrics: ReadonlyMap<number, number>;
  nexthops: readonly Nexthop[];
  /** IPv6: RFC 4191 preference (0 medium, 1 high, 3 low). */
  readonly pref: number;
  /** World time at which an IPv6 route goes, in nanoseconds; Infinity for never. */
  readonly expires: number;
  /** RTA_FLOW realm (`rt classid`), 0 for none. */
  readonly realm: number;
};

/** The routing question. Made once by whoever asks, filled for each packet. */
export type Flow = {
  readonly dst: Uint32Array;
  readonly src: Uint32Array;
  /** Wanted output interface, 0 for any. */
  oif: number;
  /** Interface the packet came in on; 1 (lo) for packets of this host, as in the kernel. */
  iif: number;
  mark: number;
  /** DSCP and the old TOS bits (0x1c of the TOS byte for IPv4). */
  tos: number;
  /** Scope the destination must lie in, RT_SCOPE_UNIVERSE for any. */
  scope: number;
  protocol: number;
  sport: number;
  dport: number;
  uid: number;
  /** Multipath hash, 31 bits, when the caller knows better (ICMP errors); -1: computed from the flow. */
  hash: number;
};

/** The answer, valid until the next look-up that uses the same object. */
export type FibResult = {
  route: Route | undefined;
  nexthop: Nexthop | undefined;
  /** RTN_* of the route; RTN_UNSPEC when none was found. */
  type: number;
  table: number;
};

/** A flow with nothing asked yet. */
export function newFlow(): Flow {
  return {
    dst: newWords(),
    src: newWords(),
    oif: 0,
    iif: 0,
    mark: 0,
    tos: 0,
    scope: RT_SCOPE_UNIVERSE,
    protocol: 0,
    sport: 0,
    dport: 0,
    uid: 0,
    hash: -1,
  };
}

/** Back to "nothing asked". */
export function clearFlow(flow: Flow): void {
  flow.dst.fill(0);
  flow.src.fill(0);
  flow.oif = flow.iif = flow.mark = flow.tos = flow.protocol = flow.sport = flow.dport = flow.uid = 0;
  flow.scope = RT_SCOPE_UNIVERSE;
  flow.hash = -1;
}

export function newFibResult(): FibResult {
  return { route: undefined, nexthop: undefined, type: 0, table: 0 };
}

/** A next hop on `oif`, reached directly or by `gateway`. */
export function makeNexthop(fields: Partial<Nexthop> & { readonly oif: number }): Nexthop {
  return { gatewayFamily: 0, gateway: newWords(), weight: 1, flags: 0, scope: RT_SCOPE_NOWHERE, ...fields };
}

/** A route, with the defaults of rtnetlink for what is left out. */
export function makeRoute(
  fields: Partial<Route> & Pick<Route, 'family' | 'table' | 'dst' | 'dstLength' | 'nexthops'>,
): Route {
  return {
    tos: 0,
    type: RTN_UNICAST,
    protocol: 0,
    scope: RT_SCOPE_UNIVERSE,
    priority: 0,
    prefsrc: undefined,
    metrics: NO_METRICS,
    pref: 0,
    expires: Number.POSITIVE_INFINITY,
    realm: 0,
    ...fields,
  };
}

const NO_METRICS: ReadonlyMap<number, number> = new Map();

/** Address bytes of a family. */
export function addressSize(family: number): number {
  return family === AF_INET6 ? 16 : 4;
}
