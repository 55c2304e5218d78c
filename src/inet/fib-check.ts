/**
 * The checks of `ip route add`: is the gateway on a link, is the device up, may the source be used. Fills in what the
 * user left out (the device of a gateway, scopes). Error texts are the kernel's.
 */
import { EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, KernelError } from '../core/errno.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import {
  IFF_UP,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTNH_F_ONLINK,
} from '../wire/uapi/rtnetlink.ts';
import type { Fib } from './fib.ts';
import { makeNexthop, type Nexthop, newFibResult, newFlow, type Route } from './route.ts';
import { isZero, maskWords, sameWords } from './words.ts';

/** A host's two route tables: an IPv4 route may have an IPv6 gateway. */
export type Fibs = { readonly fib4: Fib; readonly fib6: Fib };

function isError(type: number): boolean {
  return type === RTN_BLACKHOLE || type === RTN_UNREACHABLE || type === RTN_PROHIBIT || type === RTN_THROW;
}

/** Checks a route as a user asks for it and returns it complete. Throws the kernel's errors. */
export function checkRoute(fibs: Fibs, route: Route, loopback: number): Route {
  const six = route.family === AF_INET6;
  if (!sameWords(maskWords(route.dst, route.dstLength), route.dst)) {
    if (!six) throw new KernelError(EINVAL, 'Invalid prefix for given prefix length');
    return checkRoute(fibs, { ...route, dst: maskWords(route.dst, route.dstLength) }, loopback);
  }
  return six ? check6(fibs, route, loopback) : check4(fibs, route);
}

function check4(fibs: Fibs, route: Route): Route {
  const floor = route.type === RTN_LOCAL ? RT_SCOPE_HOST : route.type === 3 || route.type === 4 ? RT_SCOPE_LINK : 0;
  if (floor > route.scope) throw new KernelError(EINVAL, 'Invalid scope');
  const hops = route.nexthops;
  if (isError(route.type)) {
    if (hops.some((hop) => hop.oif !== 0 || hop.gatewayFamily !== 0))
      throw new KernelError(EINVAL, 'Gateway, device and multipath can not be specified for this route type');
    return { ...route, nexthops: [makeNexthop({ oif: 0 })] };
  }
  if (route.scope > RT_SCOPE_HOST) throw new KernelError(EINVAL, 'Invalid scope');
  let nexthops: Nexthop[];
  if (route.scope === RT_SCOPE_HOST) {
    // A local address: one next hop, no gateway.
    if (hops.length !== 1 || hops[0].gatewayFamily !== 0)
      throw new KernelError(EINVAL, 'Route with host scope can not have multiple nexthops');
    if (fibs.fib4.devices.flags(hops[0].oif) === 0) throw new KernelError(ENODEV);
    nexthops = [{ ...hops[0], scope: RT_SCOPE_NOWHERE }];
  } else nexthops = hops.map((hop) => checkHop4(fibs, route, hop));
  if (route.prefsrc !== undefined && !validSource4(fibs.fib4, route))
    throw new KernelError(EINVAL, 'Invalid prefsrc address');
  return { ...route, nexthops };
}

function validSource4(fib: Fib, route: Route): boolean {
  const source = route.prefsrc;
  if (source === undefined || isZero(source)) return true;
  if (route.type === RTN_LOCAL && sameWords(route.dst, source)) return true;
  return (fib.find(RT_TABLE_LOCAL)?.exact(source, 32) ?? []).some((r) => r.type === RTN_LOCAL);
}

function checkHop4(fibs: Fibs, route: Route, hop: Nexthop): Nexthop {
  const devices = fibs.fib4.devices;
  if (hop.gatewayFamily === 0) {
    if (hop.flags & RTNH_F_ONLINK)
      throw new KernelError(EINVAL, 'Invalid flags for nexthop - PERVASIVE and ONLINK can not be set');
    const flags = devices.flags(hop.oif);
    if (flags === 0 && !known(devices, hop.oif)) throw new KernelError(ENODEV);
    if (!(flags & IFF_UP)) throw new KernelError(ENETDOWN, 'Device for nexthop is not up');
    return { ...hop, scope: RT_SCOPE_HOST };
  }
  if (hop.gatewayFamily === AF_INET6) {
    return { ...checkHop6(fibs.fib6, hop), scope: RT_SCOPE_LINK };
  }
  if (hop.flags & RTNH_F_ONLINK) {
    if (route.scope >= RT_SCOPE_LINK) throw new KernelError(EINVAL, 'Nexthop has invalid scope');
    if (!known(devices, hop.oif)) throw new KernelError(ENODEV, 'Nexthop device required for onlink');
    if (!(devices.flags(hop.oif) & IFF_UP)) throw new KernelError(ENETDOWN, 'Nexthop device is not up');
    return { ...hop, scope: RT_SCOPE_LINK };
  }
  const flow = newFlow();
  const out = newFibResult();
  flow.dst.set(hop.gateway);
  flow.oif = hop.oif;
  flow.iif = 1;
  flow.scope = Math.max(route.scope + 1, RT_SCOPE_LINK);
  // Another table than main is asked first by itself.
  const table = route.table === RT_TABLE_MAIN ? undefined : fibs.fib4.find(route.table);
  let errno = table === undefined ? ENETUNREACH : table.lookup(flow, out, devices);
  if (errno !== 0) errno = fibs.fib4.lookup(flow, out);
  if (errno !== 0) throw new KernelError(errno, 'Nexthop has invalid gateway');
  if (out.type !== RTN_UNICAST && out.type !== RTN_LOCAL) throw new KernelError(EINVAL, 'Nexthop has invalid gateway');
  const oif = out.nexthop?.oif ?? 0;
  if (oif === 0) throw new KernelError(ENODEV, 'No egress device for nexthop');
  if (!(devices.flags(oif) & IFF_UP)) throw new KernelError(ENETDOWN, 'Nexthop device is not up');
  return { ...hop, oif, scope: out.route?.scope ?? RT_SCOPE_LINK };
}

function known(devices: Fib['devices'], ifindex: number): boolean {
  return ifindex !== 0 && devices.exists(ifindex);
}

function check6(fibs: Fibs, route: Route, loopback: number): Route {
  if (isError(route.type)) return { ...route, nexthops: [makeNexthop({ oif: loopback })] };
  if (route.nexthops.length === 0) throw new KernelError(ENODEV);
  const nexthops = route.nexthops.map((hop) => checkHop6(fibs.fib6, hop));
  if (nexthops.some((hop, i) => nexthops.findIndex((h) => h.oif === hop.oif && sameWords(h.gateway, hop.gateway)) < i))
    throw new KernelError(EEXIST, 'IPv6: Nexthop exists');
  if (route.prefsrc !== undefined && !isZero(route.prefsrc)) {
    const own = fibs.fib6.find(RT_TABLE_LOCAL)?.exact(route.prefsrc, 128) ?? [];
    if (!own.some((r) => r.type === RTN_LOCAL)) throw new KernelError(EINVAL, 'Invalid source address');
  }
  return { ...route, nexthops };
}

function checkHop6(fib: Fib, hop: Nexthop): Nexthop {
  const devices = fib.devices;
  if (hop.oif !== 0 && !known(devices, hop.oif)) throw new KernelError(ENODEV);
  let oif = hop.oif;
  if (hop.flags & RTNH_F_ONLINK) {
    if (oif === 0) throw new KernelError(ENODEV, 'Nexthop device required for onlink');
    if (!(devices.flags(oif) & IFF_UP)) throw new KernelError(ENETDOWN, 'Nexthop device is not up');
  }
  if (hop.gatewayFamily !== 0) {
    const gateway = hop.gateway;
    const multicast = gateway[0] >>> 24 === 0xff;
    const link = gateway[0] >>> 22 === 0x3fa;
    if (multicast || isZero(gateway)) throw new KernelError(EINVAL, 'Invalid gateway address');
    const own = fib.find(RT_TABLE_LOCAL)?.exact(gateway, 128) ?? [];
    if (own.some((r) => r.type === RTN_LOCAL && (oif === 0 || r.nexthops[0].oif === oif || !link)))
      throw new KernelError(EINVAL, 'Gateway can not be a local address');
    if (link) {
      if (oif === 0) throw new KernelError(EINVAL, 'Egress device not specified');
    } else if (!(hop.flags & RTNH_F_ONLINK)) {
      const flow = newFlow();
      const out = newFibResult();
      flow.dst.set(gateway);
      flow.oif = oif;
      if (fib.lookup(flow, out) !== 0 || out.nexthop === undefined || out.nexthop.gatewayFamily !== 0)
        throw new KernelError(EHOSTUNREACH);
      oif = out.nexthop.oif;
    }
  }
  if (oif === 0) throw new KernelError(ENODEV);
  if (!(devices.flags(oif) & IFF_UP)) throw new KernelError(ENETDOWN, 'Nexthop device is not up');
  return { ...hop, oif, scope: RT_SCOPE_UNIVERSE };
}

/** Family of a route's own addresses: used where an attribute's length decides. */
export function fullLength(family: number): number {
  return family === AF_INET ? 32 : 128;
}
