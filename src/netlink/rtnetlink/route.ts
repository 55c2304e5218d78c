/**
 * RTM_{NEW,DEL,GET}ROUTE: routes as messages. RTM_GETROUTE for a destination is in route-get.ts. See rtnetlink(7).
 */
import { EINVAL, ENOENT, EOPNOTSUPP, ESRCH, KernelError } from '../../core/errno.ts';
import { IP6_RT_PRIO_USER } from '../../inet/address-routes.ts';
import type { Fib } from '../../inet/fib.ts';
import { checkRoute } from '../../inet/fib-check.ts';
import { addressSize, makeNexthop, makeRoute, type Nexthop, type Route } from '../../inet/route.ts';
import { bytesOf, isZero, sameWords, wordsOf } from '../../inet/words.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getU8, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitRt, parseRt, RTMSG_LENGTH, type Rt } from '../../wire/netlink/rtnetlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { RtnetlinkHost } from './host.ts';

type Attrs = ReadonlyMap<number, Attr>;
const LOOPBACK = 1;

/** The tables of a family. */
export function fibOf(host: RtnetlinkHost, family: number): Fib {
  if (family === AF_INET) return host.fib4;
  if (family === AF_INET6) return host.fib6;
  throw new KernelError(EOPNOTSUPP);
}

/** Writes RTA_GATEWAY, or RTA_VIA when the gateway is of another family than the route. */
export function putGateway(w: AttrWriter, family: number, hop: Nexthop): void {
  if (hop.gatewayFamily === 0) return;
  const bytes = bytesOf(hop.gateway, addressSize(hop.gatewayFamily));
  if (hop.gatewayFamily === family) w.bytes(u.RTA_GATEWAY, bytes);
  else w.bytes(u.RTA_VIA, Uint8Array.of(hop.gatewayFamily, 0, ...bytes));
}

/** RTA_METRICS, when there are any. */
export function putMetrics(w: AttrWriter, metrics: ReadonlyMap<number, number>): void {
  if (metrics.size === 0) return;
  w.nest(u.RTA_METRICS, (nest) => {
    for (const [key, value] of [...metrics].sort((a, b) => a[0] - b[0])) nest.u32(key, value);
  });
}

/** RTA_CACHEINFO: `expires` in hundredths of a second. */
export function cacheInfo(references: number, expires: number): Uint8Array {
  const out = new Uint8Array(32);
  const dv = new DataView(out.buffer);
  dv.setUint32(0, references, true);
  dv.setInt32(8, expires, true);
  return out;
}

function hopFlags(hop: Nexthop): number {
  return hop.flags & (u.RTNH_F_DEAD | u.RTNH_F_ONLINK | u.RTNH_F_LINKDOWN);
}

/** The payload of RTM_NEWROUTE for a route of the tables. */
export function routePayload(host: RtnetlinkHost, route: Route): Uint8Array {
  const six = route.family === AF_INET6;
  const size = addressSize(route.family);
  const single = route.nexthops.length === 1 ? route.nexthops[0] : undefined;
  const w = new AttrWriter();
  w.raw(
    emitRt({
      family: route.family,
      dstLength: route.dstLength,
      tos: route.tos,
      table: route.table < 256 ? route.table : u.RT_TABLE_COMPAT,
      protocol: route.protocol,
      scope: route.scope,
      type: route.type,
      flags: single === undefined ? 0 : hopFlags(single),
    }),
  );
  w.u32(u.RTA_TABLE, route.table);
  if (route.dstLength > 0) w.bytes(u.RTA_DST, bytesOf(route.dst, size));
  if (!six && route.priority !== 0) w.u32(u.RTA_PRIORITY, route.priority);
  if (six && route.prefsrc !== undefined) w.bytes(u.RTA_PREFSRC, bytesOf(route.prefsrc, size));
  putMetrics(w, route.metrics);
  if (!six && route.prefsrc !== undefined) w.bytes(u.RTA_PREFSRC, bytesOf(route.prefsrc, size));
  if (six) w.u32(u.RTA_PRIORITY, route.priority);
  if (single === undefined) w.bytes(u.RTA_MULTIPATH, multipath(route));
  else {
    putGateway(w, route.family, single);
    if (single.oif !== 0) w.u32(u.RTA_OIF, single.oif);
  }
  if (route.realm !== 0) w.u32(u.RTA_FLOW, route.realm);
  if (six) {
    const left = route.expires === Number.POSITIVE_INFINITY ? 0 : Math.max(0, (route.expires - host.world.now) / 1e7);
    w.bytes(u.RTA_CACHEINFO, cacheInfo(0, Math.trunc(left))).u8(u.RTA_PREF, route.pref);
  }
  return w.finish();
}

function multipath(route: Route): Uint8Array {
  const parts: number[] = [];
  for (const hop of route.nexthops) {
    const attrs = new AttrWriter();
    putGateway(attrs, route.family, hop);
    const body = attrs.finish();
    const head = new Uint8Array(8);
    const dv = new DataView(head.buffer);
    dv.setUint16(0, 8 + body.length, true);
    head[2] = hopFlags(hop);
    head[3] = hop.weight - 1;
    dv.setInt32(4, hop.oif, true);
    parts.push(...head, ...body);
  }
  return Uint8Array.from(parts);
}

/** RTM_GETROUTE with NLM_F_DUMP. */
export function dumpRoutes(host: RtnetlinkHost, m: Message): Uint8Array[] {
  const header = parseRt(m.payload);
  const attrs = attrMap(m.payload, RTMSG_LENGTH);
  const tableAttr = attrs.get(u.RTA_TABLE);
  const wanted = tableAttr === undefined ? header.table : getU32(tableAttr.payload);
  const oif = attrs.get(u.RTA_OIF);
  const out: Uint8Array[] = [];
  if (header.flags & u.RTM_F_CLONED) return out;
  for (const family of header.family === AF_UNSPEC ? [AF_INET, AF_INET6] : [header.family]) {
    const fib = fibOf(host, family);
    if (wanted !== 0 && fib.find(wanted) === undefined) {
      if (header.family === AF_UNSPEC) continue;
      throw new KernelError(ENOENT, `${family === AF_INET ? 'ipv4' : 'ipv6'}: FIB table does not exist`);
    }
    for (const table of fib.tables()) {
      if (wanted !== 0 && table.id !== wanted) continue;
      for (const route of table.routes()) {
        if (oif !== undefined && !route.nexthops.some((hop) => hop.oif === getU32(oif.payload))) continue;
        if (header.protocol !== 0 && route.protocol !== header.protocol) continue;
        if (header.type !== 0 && route.type !== header.type) continue;
        out.push(routePayload(host, route));
      }
    }
  }
  return out;
}

type Config = { readonly header: Rt; readonly attrs: Attrs; readonly route: Route };

function readGateway(family: number, attrs: Attrs): Pick<Nexthop, 'gatewayFamily' | 'gateway'> {
  const gateway = attrs.get(u.RTA_GATEWAY);
  const via = attrs.get(u.RTA_VIA);
  if (gateway !== undefined && via !== undefined)
    throw new KernelError(EINVAL, 'Nexthop configuration can not contain both GATEWAY and VIA');
  if (via !== undefined) {
    const other = via.payload[0] | (via.payload[1] << 8);
    if (family === AF_INET6) throw new KernelError(EOPNOTSUPP, 'IPv6 does not support RTA_VIA attribute', via.offset);
    if (other !== AF_INET && other !== AF_INET6) throw new KernelError(EINVAL, 'Invalid address family for nexthop');
    return { gatewayFamily: other, gateway: wordsOf(via.payload.subarray(2)) };
  }
  if (gateway === undefined) return { gatewayFamily: 0, gateway: new Uint32Array(4) };
  const words = wordsOf(gateway.payload);
  return isZero(words) ? { gatewayFamily: 0, gateway: words } : { gatewayFamily: family, gateway: words };
}

function readHops(family: number, attrs: Attrs, flags: number): Nexthop[] {
  const multi = attrs.get(u.RTA_MULTIPATH);
  if (multi === undefined) {
    const oif = attrs.get(u.RTA_OIF);
    const ready = readGateway(family, attrs);
    return [
      makeNexthop({ oif: oif === undefined ? 0 : getU32(oif.payload), ...ready, flags: flags & u.RTNH_F_ONLINK }),
    ];
  }
  const { payload } = multi;
  const dv = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const hops: Nexthop[] = [];
  for (let at = 0; at + 8 <= payload.length; ) {
    const length = dv.getUint16(at, true);
    if (length < 8 || at + length > payload.length)
      throw new KernelError(EINVAL, 'Invalid nexthop configuration - extra data after nexthop');
    const ready = readGateway(family, attrMap(payload.subarray(at + 8, at + length)));
    hops.push(
      makeNexthop({
        oif: dv.getInt32(at + 4, true),
        ...ready,
        weight: payload[at + 3] + 1,
        flags: payload[at + 2] & u.RTNH_F_ONLINK,
      }),
    );
    at += (length + 3) & ~3;
  }
  if (hops.length === 0) throw new KernelError(EINVAL, 'No nexthops specified');
  return hops;
}

function read(host: RtnetlinkHost, m: Message): Config {
  const header = parseRt(m.payload);
  const attrs = attrMap(m.payload, RTMSG_LENGTH);
  const { family } = header;
  fibOf(host, family);
  const full = addressSize(family) * 8;
  if (header.dstLength > full) throw new KernelError(EINVAL, 'Invalid prefix length');
  if (header.srcLength > 0) throw new KernelError(EOPNOTSUPP, 'netloom does not support source-dependent routes');
  for (const type of [u.RTA_ENCAP, u.RTA_NH_ID])
    if (attrs.has(type))
      throw new KernelError(
        EOPNOTSUPP,
        'netloom does not support nexthop objects and encapsulation',
        attrs.get(type)?.offset,
      );
  const num = (type: number): number | undefined => {
    const attr = attrs.get(type);
    return attr === undefined ? undefined : getU32(attr.payload);
  };
  const dst = attrs.get(u.RTA_DST);
  const prefsrc = attrs.get(u.RTA_PREFSRC);
  const pref = attrs.get(u.RTA_PREF);
  const expires = num(u.RTA_EXPIRES);
  const metrics = new Map<number, number>();
  const nest = attrs.get(u.RTA_METRICS);
  if (nest !== undefined)
    for (const [key, { payload }] of attrMap(nest.payload)) if (payload.length === 4) metrics.set(key, getU32(payload));
  const route = makeRoute({
    family,
    table: (num(u.RTA_TABLE) ?? header.table) || u.RT_TABLE_MAIN,
    dst: dst === undefined ? new Uint32Array(4) : wordsOf(dst.payload),
    dstLength: header.dstLength,
    tos: header.tos,
    type: header.type,
    protocol: header.protocol,
    scope: header.scope,
    priority: num(u.RTA_PRIORITY) ?? 0,
    prefsrc: prefsrc === undefined ? undefined : wordsOf(prefsrc.payload),
    metrics,
    nexthops: readHops(family, attrs, header.flags),
    pref: pref === undefined ? 0 : getU8(pref.payload),
    expires: expires === undefined || expires === 0 ? Number.POSITIVE_INFINITY : host.world.now + expires * 1e9,
    realm: num(u.RTA_FLOW) ?? 0,
  });
  return { header, attrs, route };
}

/** RTM_NEWROUTE. */
export function newRoute(host: RtnetlinkHost, m: Message): void {
  const { header, route } = read(host, m);
  const six = header.family === AF_INET6;
  const asked: Route = {
    ...route,
    type: route.type === u.RTN_UNSPEC ? u.RTN_UNICAST : route.type,
    // Linux gives IPv6 routes without a protocol "boot".
    protocol: six && route.protocol === 0 ? u.RTPROT_BOOT : route.protocol,
    scope: six ? u.RT_SCOPE_UNIVERSE : route.scope,
    priority: six && route.priority === 0 ? IP6_RT_PRIO_USER : route.priority,
    nexthops: route.nexthops.length === 1 && isNowhere(route.nexthops[0]) && six ? [] : route.nexthops,
  };
  const ready = checkRoute(host, asked, LOOPBACK);
  const fib = fibOf(host, header.family);
  fib.insert(ready, m.flags);
  if (ready.expires !== Number.POSITIVE_INFINITY)
    host.world.timers.arm(ready.expires, () => {
      fib.remove(ready);
    });
}

function isNowhere(hop: Nexthop): boolean {
  return hop.oif === 0 && hop.gatewayFamily === 0;
}

/** RTM_DELROUTE: the first route that is not contradicted by what the request says. */
export function deleteRoute(host: RtnetlinkHost, m: Message): void {
  const { header, attrs, route } = read(host, m);
  const fib = fibOf(host, header.family);
  if (fib.find(route.table) === undefined) {
    throw new KernelError(ESRCH, 'FIB table does not exist');
  }
  const wanted = route.nexthops.filter((hop) => !isNowhere(hop));
  const hopMatches = (hop: Nexthop, want: Nexthop): boolean =>
    (want.oif === 0 || hop.oif === want.oif) &&
    (want.gatewayFamily === 0 || (hop.gatewayFamily === want.gatewayFamily && sameWords(hop.gateway, want.gateway)));
  const matches = (r: Route): boolean => {
    if (header.family === AF_INET) {
      if (r.tos !== route.tos) return false;
      if (header.type !== 0 && r.type !== header.type) return false;
      if (header.scope !== u.RT_SCOPE_NOWHERE && r.scope !== header.scope) return false;
      if (route.prefsrc !== undefined && (r.prefsrc === undefined || !sameWords(r.prefsrc, route.prefsrc)))
        return false;
      for (const [key, value] of route.metrics) if (r.metrics.get(key) !== value) return false;
      if (wanted.length > 0) {
        if (attrs.has(u.RTA_MULTIPATH) && wanted.length !== r.nexthops.length) return false;
        if (!wanted.every((want, i) => hopMatches(r.nexthops[i] ?? makeNexthop({ oif: -1 }), want))) return false;
      }
    } else if (wanted.length > 0 && !wanted.some((want) => r.nexthops.some((hop) => hopMatches(hop, want))))
      return false;
    if (header.protocol !== 0 && r.protocol !== header.protocol) return false;
    return route.priority === 0 || r.priority === route.priority;
  };
  if (header.family === AF_INET6 && wanted.some((want) => want.gatewayFamily !== 0)) {
    // One hop of an IPv6 multipath route can be taken out alone.
    const found = fib.find(route.table)?.exact(route.dst, route.dstLength).find(matches);
    const rest = found?.nexthops.filter((hop) => !wanted.some((want) => hopMatches(hop, want))) ?? [];
    if (found !== undefined && rest.length > 0) {
      fib.swap(found, { ...found, nexthops: rest });
      return;
    }
  }
  fib.delete(route.table, route.dst, route.dstLength, matches);
}
