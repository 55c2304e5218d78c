/**
 * From a route to a next hop: which hops are usable, and which one a flow takes over a multipath route.
 * Linux gives every hop a share of a 31-bit hash space by weight (RFC 2992's hash-threshold). The hash's key is the
 * world's, so choices are deterministic but not those of any one Linux machine, whose key is random.
 */
import { EACCES, EAGAIN, EHOSTUNREACH, EINVAL } from '../core/errno.ts';
import {
  RTN_BLACKHOLE,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNREACHABLE,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
} from '../wire/uapi/rtnetlink.ts';
import type { Flow, Nexthop, Route } from './route.ts';

/** What routing needs to know of devices. */
export type FibDevices = {
  /** Interface index of a name, 0 for none. */
  index(name: string): number;
  /** True when a device has this index. */
  exists(ifindex: number): boolean;
  /** IFF_* flags of an index, 0 when there is no such device. */
  flags(ifindex: number): number;
  /** IFLA_GROUP, for `suppress_ifgroup`. */
  group(ifindex: number): number;
  /** The sysctl ignore_routes_with_linkdown of a device. */
  ignoreLinkdown(ifindex: number): boolean;
  /** fib_multipath_hash_policy: 0 addresses, 1 addresses and ports. */
  hashPolicy(family: number): number;
};

/** The error a route of this type means; 0 when packets may follow it. */
export function routeErrno(type: number): number {
  switch (type) {
    case RTN_BLACKHOLE:
      return EINVAL;
    case RTN_UNREACHABLE:
      return EHOSTUNREACH;
    case RTN_PROHIBIT:
      return EACCES;
    case RTN_THROW:
      return EAGAIN;
    default:
      return 0;
  }
}

function usable(hop: Nexthop, flow: Flow, devices: FibDevices): boolean {
  if (hop.flags & RTNH_F_DEAD) return false;
  if (hop.flags & RTNH_F_LINKDOWN && devices.ignoreLinkdown(hop.oif)) return false;
  return flow.oif === 0 || flow.oif === hop.oif;
}

/** The next hop for a flow; undefined when no hop of the route is usable. */
export function selectPath(route: Route, flow: Flow, devices: FibDevices): Nexthop | undefined {
  const hops = route.nexthops;
  if (hops.length === 1) return usable(hops[0], flow, devices) ? hops[0] : undefined;
  let total = 0;
  for (let i = 0; i < hops.length; i++) if (usable(hops[i], flow, devices)) total += hops[i].weight;
  if (total === 0) return undefined;
  const hash = flow.hash >= 0 ? flow.hash : flowHash(flow, devices.hashPolicy(route.family));
  let sum = 0;
  let last: Nexthop | undefined;
  for (let i = 0; i < hops.length; i++) {
    if (!usable(hops[i], flow, devices)) continue;
    last = hops[i];
    sum += hops[i].weight;
    if (hash < (sum / total) * 0x8000_0000) return last;
  }
  return last;
}

function mix(h: number, word: number): number {
  let x = Math.imul(h ^ word, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** 31 bits over the addresses, and with policy 1 over protocol and ports. */
export function flowHash(flow: Flow, policy: number): number {
  let h = 0x9e3779b9 | 0;
  for (let i = 0; i < 4; i++) h = mix(mix(h, flow.src[i]), flow.dst[i]);
  if (policy === 1) h = mix(mix(h, (flow.sport << 16) | flow.dport), flow.protocol);
  return mix(h, 0x27d4eb2f) >>> 1;
}
