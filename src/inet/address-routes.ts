/**
 * The routes an address brings with it, exactly as Linux creates them: a local entry, broadcast entries and the route
 * to its prefix for IPv4; a local entry and the prefix route for IPv6.
 */
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import {
  IFA_F_NOPREFIXROUTE,
  IFA_F_SECONDARY,
  IFF_LOOPBACK,
  IFF_UP,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_UNICAST,
  RTPROT_KERNEL,
} from '../wire/uapi/rtnetlink.ts';
import type { IfAddress } from './address.ts';
import { makeNexthop, makeRoute, type Route } from './route.ts';
import { isZero, maskWord, maskWords, sameWords } from './words.ts';

/** Metric of the kernel's own IPv6 routes (IP6_RT_PRIO_ADDRCONF) and of the user's (IP6_RT_PRIO_USER). */
export const IP6_RT_PRIO_ADDRCONF = 256;
export const IP6_RT_PRIO_USER = 1024;

/** Routes of an IPv4 address; `primary` is the address whose source they name. */
export function routes4(address: IfAddress, primary: IfAddress, flags: number): Route[] {
  const oif = address.ifindex;
  const make = (type: number, dst: Uint32Array, dstLength: number, priority = 0): Route =>
    makeRoute({
      family: AF_INET,
      table: type === RTN_UNICAST ? RT_TABLE_MAIN : RT_TABLE_LOCAL,
      dst,
      dstLength,
      type,
      priority,
      protocol: RTPROT_KERNEL,
      scope: type === RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
      prefsrc: primary.local,
      nexthops: [makeNexthop({ oif, scope: type === RTN_LOCAL ? RT_SCOPE_NOWHERE : RT_SCOPE_HOST })],
    });
  const out = [make(RTN_LOCAL, address.local, 32)];
  if (!(flags & IFF_UP)) return out;
  const length = address.prefixLength;
  const prefix = maskWords(address.peer, length);
  if (address.broadcast !== undefined && address.broadcast[0] !== 0xffffffff)
    out.push(make(RTN_BROADCAST, address.broadcast, 32));
  if (prefix[0] >>> 24 !== 0 && !(address.flags & IFA_F_SECONDARY) && (prefix[0] !== address.local[0] || length < 32)) {
    if (!(address.flags & IFA_F_NOPREFIXROUTE))
      out.push(make(flags & IFF_LOOPBACK ? RTN_LOCAL : RTN_UNICAST, prefix, length, address.metric));
    if (length < 31) {
      const last = Uint32Array.of(prefix[0] | ~maskWord(length, 0), 0, 0, 0);
      if (address.broadcast === undefined || !sameWords(last, address.broadcast))
        out.push(make(RTN_BROADCAST, last, 32));
    }
  }
  return out;
}

function route6(type: number, dst: Uint32Array, dstLength: number, oif: number, priority: number): Route {
  return makeRoute({
    family: AF_INET6,
    table: type === RTN_UNICAST ? RT_TABLE_MAIN : RT_TABLE_LOCAL,
    dst,
    dstLength,
    type,
    priority,
    protocol: RTPROT_KERNEL,
    scope: RT_SCOPE_UNIVERSE,
    nexthops: [makeNexthop({ oif })],
  });
}

/** The entry that makes an IPv6 address this host's own; it comes when duplicate detection is done. */
export function local6(address: IfAddress): Route {
  return route6(RTN_LOCAL, address.local, 128, address.ifindex, 0);
}

/** The route to an IPv6 address's prefix; undefined when it brings none. */
export function prefix6(address: IfAddress, flags: number): Route | undefined {
  if (!(flags & IFF_UP) || flags & IFF_LOOPBACK || address.flags & IFA_F_NOPREFIXROUTE) return undefined;
  const priority = address.metric === 0 ? IP6_RT_PRIO_ADDRCONF : address.metric;
  const far = sameWords(address.peer, address.local) ? address.local : address.peer;
  return route6(RTN_UNICAST, maskWords(far, address.prefixLength), address.prefixLength, address.ifindex, priority);
}

/** ff00::/8 of a device that does multicast. */
export function multicast6(oif: number): Route {
  return route6(RTN_MULTICAST, Uint32Array.of(0xff000000, 0, 0, 0), 8, oif, IP6_RT_PRIO_ADDRCONF);
}

/** fe80::/64 with the interface identifier of a MAC address (RFC 4291, appendix A); undefined without one. */
export function linkLocal(mac: Uint8Array): Uint32Array | undefined {
  if (mac.length !== 6) return undefined;
  const words = Uint32Array.of(
    0xfe800000,
    0,
    ((mac[0] ^ 2) << 24) | (mac[1] << 16) | (mac[2] << 8) | 0xff,
    0xfe000000 | (mac[3] << 16) | (mac[4] << 8) | mac[5],
  );
  return isZero(words) ? undefined : words;
}

/** RT_SCOPE_* of an IPv6 address, as `ip addr` shows it. */
export function scope6(address: Uint32Array): number {
  const top = address[0];
  if (address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] === 1) return RT_SCOPE_HOST;
  if (top >>> 22 === 0x3fa) return RT_SCOPE_LINK;
  if (top >>> 22 === 0x3fb) return 200;
  if (top >>> 24 === 0xff) {
    const scope = (top >>> 16) & 15;
    return scope <= 1 ? RT_SCOPE_HOST : scope === 2 ? RT_SCOPE_LINK : scope === 5 ? 200 : RT_SCOPE_UNIVERSE;
  }
  return RT_SCOPE_UNIVERSE;
}
