/**
 * One route as `ip route` prints it, from an RTM_NEWROUTE message. See ip-route(8).
 */
import { AF_INET, AF_INET6, formatAddress } from '../../wire/address.ts';
import { type Attr, attrMap, getU8, getU32, readAttrs } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { parseRt, RTMSG_LENGTH, type Rt } from '../../wire/netlink/rtnetlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { Context } from './context.ts';
import { metricNames, protocols, routeTypes, scopes, tables } from './names.ts';

export type RouteRecord = { readonly header: Rt; readonly attrs: ReadonlyMap<number, Attr>; readonly table: number };

/** Which parts the question already said, so that they are not printed. */
export type RouteFilter = {
  readonly table: number;
  readonly dev: boolean;
  readonly protocol: boolean;
  readonly scope: boolean;
  readonly via: boolean;
};

/** Reads an RTM_NEWROUTE message. */
export function readRoute(m: Message): RouteRecord {
  const header = parseRt(m.payload);
  const attrs = attrMap(m.payload, RTMSG_LENGTH);
  const table = attrs.get(u.RTA_TABLE);
  return { header, attrs, table: table === undefined ? header.table : getU32(table.payload) };
}

function destination(payload: Uint8Array | undefined, length: number, full: number): string {
  if (payload !== undefined) return length === full ? formatAddress(payload) : `${formatAddress(payload)}/${length}`;
  return length === 0 ? 'default' : `0/${length}`;
}

/** Prints a route; the caller ends the line. */
export function printRoute(ctx: Context, record: RouteRecord, filter: RouteFilter): void {
  const { out, options } = ctx;
  const { header, attrs, table } = record;
  const full = header.family === AF_INET6 ? 128 : 32;
  const detailed = options.details > 0;
  const put = (key: string, value: string | number, label = key): void => out.field(key, value, `${label} ${value} `);
  out.open('object');
  if (header.type !== u.RTN_UNICAST || detailed)
    out.field('type', routeTypes.name(header.type), `${routeTypes.name(header.type)} `);
  const dst = destination(attrs.get(u.RTA_DST)?.payload, header.dstLength, full);
  out.field('dst', dst, `${dst} `);
  const src = attrs.get(u.RTA_SRC);
  if (src !== undefined) put('from', destination(src.payload, header.srcLength, full));
  else if (header.srcLength > 0) put('from', `0/${header.srcLength}`);
  if (header.tos !== 0) put('tos', `0x${header.tos.toString(16)}`);
  if (!filter.via) printVia(ctx, header.family, attrs);
  const oif = attrs.get(u.RTA_OIF);
  if (oif !== undefined && !filter.dev) put('dev', ctx.linkName(getU32(oif.payload)));
  if ((table !== u.RT_TABLE_MAIN || detailed) && filter.table === 0) put('table', tables.name(table));
  if (!(header.flags & u.RTM_F_CLONED)) {
    if ((header.protocol !== u.RTPROT_BOOT || detailed) && !filter.protocol)
      out.field('protocol', protocols.name(header.protocol), `proto ${protocols.name(header.protocol)} `);
    if ((header.scope !== u.RT_SCOPE_UNIVERSE || detailed) && !filter.scope) put('scope', scopes.name(header.scope));
  }
  const prefsrc = attrs.get(u.RTA_PREFSRC);
  if (prefsrc !== undefined)
    out.field('prefsrc', formatAddress(prefsrc.payload), `src ${formatAddress(prefsrc.payload)} `);
  const metric = attrs.get(u.RTA_PRIORITY);
  if (metric !== undefined) put('metric', getU32(metric.payload));
  printFlags(ctx, header.flags);
  const mark = attrs.get(u.RTA_MARK);
  if (mark !== undefined) {
    const n = getU32(mark.payload);
    if (n !== 0) out.field('mark', n, n >= 16 ? `mark 0x${n.toString(16)} ` : `mark ${n} `);
  }
  const realm = attrs.get(u.RTA_FLOW);
  if (realm !== undefined) {
    const n = getU32(realm.payload);
    if (n >>> 16) put('from', n >>> 16, 'realms');
    put('to', n & 0xffff, n >>> 16 ? '' : 'realm');
  }
  const uid = attrs.get(u.RTA_UID);
  if (uid !== undefined) put('uid', getU32(uid.payload));
  if (header.flags & u.RTM_F_CLONED && header.family === AF_INET) printCache(ctx, header.flags);
  if (header.family === AF_INET6 && attrs.has(u.RTA_CACHEINFO)) {
    const info = attrs.get(u.RTA_CACHEINFO)!.payload;
    const expires = new DataView(info.buffer, info.byteOffset).getInt32(8, true);
    if (expires !== 0) out.field('expires', Math.trunc(expires / 100), `expires ${Math.trunc(expires / 100)}sec `);
  }
  const metrics = attrs.get(u.RTA_METRICS);
  if (metrics !== undefined) printMetrics(ctx, metrics.payload);
  const iif = attrs.get(u.RTA_IIF);
  if (iif !== undefined) put('iif', ctx.linkName(getU32(iif.payload)));
  const pref = attrs.get(u.RTA_PREF);
  if (pref !== undefined) {
    const word = ['medium', 'high', '', 'low'][getU8(pref.payload)] ?? '';
    out.field('pref', word, `pref ${word}`);
  }
  const hops = attrs.get(u.RTA_MULTIPATH);
  if (hops !== undefined) printHops(ctx, header.family, hops.payload);
  out.close();
}

function printVia(ctx: Context, family: number, attrs: ReadonlyMap<number, Attr>): void {
  const { out } = ctx;
  const gateway = attrs.get(u.RTA_GATEWAY);
  if (gateway !== undefined) {
    const text = formatAddress(gateway.payload);
    out.field('gateway', text, `via ${text} `);
  }
  const via = attrs.get(u.RTA_VIA);
  if (via !== undefined) {
    const other = via.payload[0] | (via.payload[1] << 8);
    const name = other === AF_INET6 ? 'inet6' : 'inet';
    const host = formatAddress(via.payload.subarray(2));
    out.field('via', { family: name, host }, `via ${other === family ? '' : `${name} `}${host} `);
  }
}

function printFlags(ctx: Context, flags: number): void {
  const { out } = ctx;
  const names: string[] = [];
  const list: readonly (readonly [number, string])[] = [
    [u.RTNH_F_DEAD, 'dead'],
    [u.RTNH_F_ONLINK, 'onlink'],
    [u.RTNH_F_PERVASIVE, 'pervasive'],
    [u.RTNH_F_LINKDOWN, 'linkdown'],
    [u.RTNH_F_UNRESOLVED, 'unresolved'],
    [u.RTM_F_OFFLOAD_FAILED, 'rt_offload_failed'],
  ];
  for (const [bit, name] of list) if (flags & bit) names.push(name);
  out.field('flags', names, names.map((name) => `${name} `).join(''));
}

// RTCF_* of a looked-up route.
const CACHE_FLAGS: readonly (readonly [number, string])[] = [
  [0x80000000, 'local'],
  [0x00400000, 'reject'],
  [0x20000000, 'mc'],
  [0x10000000, 'brd'],
  [0x04000000, 'src-direct'],
  [0x00040000, 'redirected'],
  [0x00020000, 'redirect'],
];

function printCache(ctx: Context, flags: number): void {
  const { out } = ctx;
  const order = ['local', 'reject', 'mc', 'brd', 'src-direct', 'redirected', 'redirect'];
  const names = order.filter((name) => CACHE_FLAGS.some(([bit, n]) => n === name && (flags & bit) !== 0));
  out.newline();
  out.raw('    cache ');
  out.field('cache', names, names.length > 0 ? `<${names.join(',')}> ` : '');
}

function printMetrics(ctx: Context, payload: Uint8Array): void {
  const { out } = ctx;
  const attrs = attrMap(payload);
  const lock = attrs.get(u.RTAX_LOCK);
  const locked = lock === undefined ? 0 : getU32(lock.payload);
  out.open('array', 'metrics');
  out.open('object');
  for (const attr of readAttrs(payload)) {
    if (attr.type === u.RTAX_LOCK || attr.payload.length < 4) continue;
    const name = metricNames[attr.type] ?? `metric ${attr.type}`;
    const value = getU32(attr.payload);
    const held = (locked & (1 << attr.type)) !== 0;
    if (attr.type === u.RTAX_HOPLIMIT && (value | 0) === -1) continue;
    const shown = attr.type === u.RTAX_RTT ? value / 8 : attr.type === u.RTAX_RTTVAR ? value / 4 : value;
    const time = attr.type === u.RTAX_RTT || attr.type === u.RTAX_RTTVAR || attr.type === u.RTAX_RTO_MIN;
    const text = time ? (shown >= 1000 ? `${shown / 1000}s` : `${shown}ms`) : String(shown);
    out.field(name, value, `${name} ${held ? 'lock ' : ''}${text} `);
  }
  out.close();
  out.close();
}

function printHops(ctx: Context, family: number, payload: Uint8Array): void {
  const { out } = ctx;
  const dv = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  out.open('array', 'nexthops');
  for (let at = 0; at + 8 <= payload.length; ) {
    const length = dv.getUint16(at, true);
    if (length < 8 || at + length > payload.length) break;
    out.open('object');
    out.newline();
    out.raw('\tnexthop ');
    printVia(ctx, family, attrMap(payload.subarray(at + 8, at + length)));
    const dev = ctx.linkName(dv.getInt32(at + 4, true));
    out.field('dev', dev, `dev ${dev} `);
    const weight = payload[at + 3] + 1;
    out.field('weight', weight, `weight ${weight} `);
    printFlags(ctx, payload[at + 2]);
    out.close();
    at += (length + 3) & ~3;
  }
  out.close();
}
