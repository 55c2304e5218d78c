/**
 * `ip route`: show, add, append, change, replace, delete, get, flush. See ip-route(8).
 */
import { AF_INET, AF_INET6, AF_UNSPEC, maskAddress, type Prefix, sameBytes } from '../../wire/address.ts';
import { AttrWriter, getU32 } from '../../wire/netlink/attr.ts';
import { emitRt, type Rt } from '../../wire/netlink/rtnetlink.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import {
  Args,
  type Command,
  type Context,
  IpError,
  invalidArgument,
  readAddress,
  readPrefix,
  runCommand,
  unsupported,
} from './context.ts';
import { ipProtocols, metricNames, parseNumber, protocols, routeTypes, scopes, tables } from './names.ts';
import { printRoute, type RouteRecord, readRoute } from './route-print.ts';

/** `ip route ...` */
export function ipRoute(ctx: Context, argv: readonly string[]): void {
  const change =
    (type: number, flags: number): Command =>
    (c, rest) =>
      modify(c, type, flags, rest);
  runCommand(ctx, 'route', argv, [
    ['add', change(u.RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)],
    ['append', change(u.RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND)],
    ['prepend', change(u.RTM_NEWROUTE, NLM_F_CREATE)],
    ['change', change(u.RTM_NEWROUTE, NLM_F_REPLACE)],
    ['chg', change(u.RTM_NEWROUTE, NLM_F_REPLACE)],
    ['replace', change(u.RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE)],
    ['test', change(u.RTM_NEWROUTE, NLM_F_EXCL)],
    ['delete', change(u.RTM_DELROUTE, 0)],
    ['get', get],
    ['show', (c, rest) => list(c, rest, false)],
    ['list', (c, rest) => list(c, rest, false)],
    ['lst', (c, rest) => list(c, rest, false)],
    ['flush', (c, rest) => list(c, rest, true)],
    ['save', unsupported('ip route save')],
    ['restore', unsupported('ip route restore')],
    ['showdump', unsupported('ip route showdump')],
  ]);
}

function wrong(text: string, what: string): IpError {
  return invalidArgument(text, `"${what}" value is invalid\n`);
}

function need(text: string, what: string, n: number | undefined): number {
  if (n === undefined) throw wrong(text, what);
  return n;
}

function take(args: Args, what: string): number {
  const text = args.next();
  return need(text, what, parseNumber(text));
}

type Hop = { via: Prefix | undefined; dev: number; weight: number; flags: number };

// "via [inet6] ADDR", of any family.
function readVia(args: Args, family: number): Prefix {
  const word = args.peek();
  if (word === 'inet' || word === 'inet6') {
    args.next();
    return readAddress(args.next(), word === 'inet' ? AF_INET : AF_INET6);
  }
  return readAddress(args.next(), family);
}

function putVia(attrs: AttrWriter, via: Prefix, family: number): void {
  if (via.family === family || family === AF_UNSPEC) attrs.bytes(u.RTA_GATEWAY, via.address);
  else attrs.bytes(u.RTA_VIA, Uint8Array.of(via.family, 0, ...via.address));
}

function readHops(ctx: Context, args: Args, family: number): { hops: Hop[]; family: number } {
  const hops: Hop[] = [];
  while (args.accept('nexthop')) {
    const hop: Hop = { via: undefined, dev: 0, weight: 1, flags: 0 };
    while (!args.done && args.peek() !== 'nexthop') {
      if (args.accept('via')) {
        hop.via = readVia(args, family);
        if (family === AF_UNSPEC) family = hop.via.family;
      } else if (args.accept('dev')) hop.dev = ctx.needLink(args.next());
      else if (args.accept('weight')) {
        const text = args.next();
        const n = parseNumber(text);
        if (n === undefined || n < 1 || n > 256) throw invalidArgument(text, '"weight" is invalid\n');
        hop.weight = n;
      } else if (args.accept('onlink')) hop.flags |= u.RTNH_F_ONLINK;
      else break;
    }
    if (!args.done && args.peek() !== 'nexthop')
      throw new IpError(`Error: "nexthop" or end of line is expected instead of "${args.peek()}"\n`, 255);
    hops.push(hop);
  }
  return { hops, family };
}

function multipath(hops: readonly Hop[], family: number): Uint8Array {
  const parts = hops.map((hop) => {
    const attrs = new AttrWriter();
    if (hop.via !== undefined) putVia(attrs, hop.via, family);
    const body = attrs.finish();
    const out = new Uint8Array(8 + body.length);
    const dv = new DataView(out.buffer);
    dv.setUint16(0, out.length, true);
    out[2] = hop.flags;
    out[3] = hop.weight - 1;
    dv.setInt32(4, hop.dev, true);
    out.set(body, 8);
    return out;
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const METRIC_WORDS = [
  'mtu',
  'advmss',
  'hoplimit',
  'window',
  'reordering',
  'cwnd',
  'initcwnd',
  'initrwnd',
  'ssthresh',
  'quickack',
];

function modify(ctx: Context, type: number, nlflags: number, argv: readonly string[]): void {
  if (argv.length === 0) throw new IpError('Usage: ip route { add | del | ... } ROUTE (see ip-route(8))\n', 255);
  const args = new Args(argv);
  const attrs = new AttrWriter();
  const metrics = new Map<number, number>();
  let family = ctx.options.family;
  let dst: Prefix | undefined;
  let rtType: number | undefined;
  let scope: number | undefined;
  let protocol: number | undefined;
  let table: number | undefined;
  let tos = 0;
  let via: Prefix | undefined;
  let dev = '';
  let flags = 0;
  let hops: Hop[] = [];
  while (!args.done) {
    if (args.accept('src')) {
      const address = readAddress(args.next(), family);
      if (family === AF_UNSPEC) family = address.family;
      attrs.bytes(u.RTA_PREFSRC, address.address);
    } else if (args.accept('via')) {
      via = readVia(args, dst === undefined ? AF_UNSPEC : family);
      if (family === AF_UNSPEC) family = via.family;
    } else if (args.accept('from')) {
      const prefix = readPrefix(args.next(), family);
      if (prefix.length > 0) throw new IpError('netloom does not support source-dependent routes ("from").\n', 255);
    } else if (args.accept('tos', 'dsfield')) tos = take(args, 'tos');
    else if (args.accept('metric', 'priority', 'preference')) attrs.u32(u.RTA_PRIORITY, take(args, 'metric'));
    else if (args.accept('scope')) {
      const text = args.next();
      scope = need(text, 'scope', scopes.number(text));
    } else if (METRIC_WORDS.includes(args.peek())) {
      const word = args.next();
      const index = metricNames.indexOf(word);
      if (args.accept('lock')) metrics.set(u.RTAX_LOCK, (metrics.get(u.RTAX_LOCK) ?? 0) | (1 << index));
      metrics.set(index, take(args, word));
    } else if (args.accept('realms', 'realm')) {
      const [from, to] = args.next().split('/').map(Number);
      attrs.u32(u.RTA_FLOW, to === undefined ? from : ((from << 16) | to) >>> 0);
    } else if (args.accept('onlink')) flags |= u.RTNH_F_ONLINK;
    else if (args.peek() === 'nexthop') {
      const read = readHops(ctx, args, family);
      hops = read.hops;
      family = read.family;
    } else if (args.accept('proto', 'protocol')) {
      const text = args.next();
      const n = protocols.number(text);
      if (n === undefined) throw wrong(text, 'protocol');
      protocol = n;
    } else if (args.accept('table')) {
      const text = args.next();
      table = need(text, 'table', tables.number(text));
    } else if (args.accept('dev', 'oif')) dev = args.next();
    else if (args.accept('pref')) {
      const text = args.next();
      const n = ({ low: 3, medium: 0, high: 1 } as Record<string, number | undefined>)[text] ?? parseNumber(text);
      attrs.u8(u.RTA_PREF, need(text, 'pref', n));
    } else if (args.accept('expires')) attrs.u32(u.RTA_EXPIRES, take(args, 'expires'));
    else if (
      [
        'encap',
        'nhid',
        'congctl',
        'as',
        'features',
        'rtt',
        'rttvar',
        'rto_min',
        'ttl-propagate',
        'fastopen_no_cookie',
      ].includes(args.peek())
    )
      throw new IpError(`netloom does not support "${args.peek()}" in routes.\n`, 255);
    else {
      args.accept('to');
      const word = args.peek();
      const named = /^[a-z]/.test(word) ? routeTypes.number(word) : undefined;
      if (named !== undefined && word !== 'none') {
        args.next();
        rtType = named;
        if (args.done) break;
      }
      const text = args.next();
      if (dst !== undefined) throw new IpError(`Error: either "to" is duplicate, or "${text}" is a garbage.\n`, 255);
      dst = readPrefix(text, family);
      if (family === AF_UNSPEC) family = dst.family;
    }
  }
  if (family === AF_UNSPEC) family = AF_INET;
  const adding = type === u.RTM_NEWROUTE;
  const header: { -readonly [K in keyof Rt]?: Rt[K] } = {
    family,
    tos,
    dstLength: dst?.length ?? 0,
    type: rtType ?? (adding ? u.RTN_UNICAST : 0),
    protocol: protocol ?? (adding ? u.RTPROT_BOOT : 0),
    scope: scope ?? (adding ? defaultScope(family, rtType, via !== undefined || hops.length > 0) : u.RT_SCOPE_NOWHERE),
    flags,
  };
  const number = table ?? (rtType !== undefined && [2, 3, 4, 10].includes(rtType) ? u.RT_TABLE_LOCAL : u.RT_TABLE_MAIN);
  header.table = number < 256 ? number : u.RT_TABLE_UNSPEC;
  if (!adding && scope === undefined && (rtType === u.RTN_LOCAL || rtType === 10)) header.scope = u.RT_SCOPE_HOST;
  const message = new AttrWriter().raw(emitRt(header));
  if (dst !== undefined && dst.address.length > 0) message.bytes(u.RTA_DST, dst.address);
  message.raw(attrs.finish());
  if (via !== undefined) putVia(message, via, family);
  if (dev !== '') message.u32(u.RTA_OIF, ctx.needLink(dev));
  if (number >= 256) message.u32(u.RTA_TABLE, number);
  if (metrics.size > 0)
    message.nest(u.RTA_METRICS, (w) => {
      for (const [key, value] of metrics) w.u32(key, value);
    });
  if (hops.length > 0) message.bytes(u.RTA_MULTIPATH, multipath(hops, family));
  ctx.netlink.request(type, nlflags, message.finish());
}

function defaultScope(family: number, type: number | undefined, gateway: boolean): number {
  if (family === AF_INET6) return u.RT_SCOPE_UNIVERSE;
  if (type === u.RTN_LOCAL || type === 10) return u.RT_SCOPE_HOST;
  if (type === u.RTN_BROADCAST || type === u.RTN_MULTICAST || type === u.RTN_ANYCAST) return u.RT_SCOPE_LINK;
  if (type === undefined || type === u.RTN_UNICAST) return gateway ? u.RT_SCOPE_UNIVERSE : u.RT_SCOPE_LINK;
  return u.RT_SCOPE_UNIVERSE;
}

type ListFilter = {
  family: number;
  /** 0: all tables. */
  table: number;
  dev: number;
  protocol: number | undefined;
  scope: number | undefined;
  type: number | undefined;
  via: Prefix | undefined;
  src: Prefix | undefined;
  metric: number | undefined;
  cached: boolean;
  root: Prefix | undefined;
  match: Prefix | undefined;
  exact: Prefix | undefined;
};

function readFilter(ctx: Context, argv: readonly string[]): ListFilter {
  const args = new Args(argv);
  const f: ListFilter = {
    family: ctx.options.family,
    table: u.RT_TABLE_MAIN,
    dev: 0,
    protocol: undefined,
    scope: undefined,
    type: undefined,
    via: undefined,
    src: undefined,
    metric: undefined,
    cached: false,
    root: undefined,
    match: undefined,
    exact: undefined,
  };
  const prefix = (text: string): Prefix => {
    const p = readPrefix(text, f.family);
    if (f.family === AF_UNSPEC && p.address.length > 0) f.family = p.family;
    return p;
  };
  while (!args.done) {
    if (args.accept('table')) {
      const text = args.next();
      if (text === 'all') f.table = 0;
      else if (text === 'cache') f.cached = true;
      else {
        const n = tables.number(text);
        if (n === undefined) throw invalidArgument(text, 'table id value is invalid\n');
        f.table = n;
      }
    } else if (args.accept('cached', 'cloned')) f.cached = true;
    else if (args.accept('dev', 'oif', 'iif')) f.dev = ctx.needLink(args.next());
    else if (args.accept('via')) f.via = readVia(args, f.family);
    else if (args.accept('src')) f.src = prefix(args.next());
    else if (args.accept('metric', 'priority', 'preference')) f.metric = take(args, 'metric');
    else if (args.accept('proto', 'protocol')) {
      const text = args.next();
      f.protocol = text === 'all' ? undefined : need(text, 'protocol', protocols.number(text));
    } else if (args.accept('scope')) {
      const text = args.next();
      f.scope = text === 'all' ? undefined : need(text, 'scope', scopes.number(text));
    } else if (args.accept('type')) {
      const text = args.next();
      const n = routeTypes.number(text);
      if (n === undefined) throw invalidArgument(text, 'node type value is invalid\n');
      f.type = n;
    } else if (args.accept('root')) f.root = prefix(args.next());
    else if (args.accept('match')) f.match = prefix(args.next());
    else {
      args.accept('exact', 'to');
      if (args.accept('root')) f.root = prefix(args.next());
      else if (args.accept('match')) f.match = prefix(args.next());
      else f.exact = prefix(args.next());
    }
  }
  return f;
}

function covers(outer: Prefix, bytes: Uint8Array, length: number): boolean {
  if (outer.length === 0) return true;
  if (outer.length > length || outer.address.length !== bytes.length) return false;
  return sameBytes(maskAddress(bytes, outer.length), maskAddress(outer.address, outer.length));
}

function matches(f: ListFilter, record: RouteRecord): boolean {
  const { header, attrs, table } = record;
  if (f.family !== AF_UNSPEC && header.family !== f.family) return false;
  if (f.cached !== ((header.flags & u.RTM_F_CLONED) !== 0)) return false;
  if (f.table !== 0 && table !== f.table) return false;
  if (f.protocol !== undefined && header.protocol !== f.protocol) return false;
  if (f.scope !== undefined && header.scope !== f.scope) return false;
  if (f.type !== undefined && header.type !== f.type) return false;
  const metric = attrs.get(u.RTA_PRIORITY);
  if (f.metric !== undefined && (metric === undefined ? 0 : getU32(metric.payload)) !== f.metric) return false;
  if (f.dev !== 0) {
    const oif = attrs.get(u.RTA_OIF);
    if (oif === undefined || getU32(oif.payload) !== f.dev) return false;
  }
  if (f.via !== undefined) {
    const gateway = attrs.get(u.RTA_GATEWAY)?.payload ?? attrs.get(u.RTA_VIA)?.payload.subarray(2);
    if (gateway === undefined || !sameBytes(gateway, f.via.address)) return false;
  }
  if (f.src !== undefined) {
    const src = attrs.get(u.RTA_PREFSRC);
    if (src === undefined || !covers(f.src, src.payload, src.payload.length * 8)) return false;
  }
  const size = header.family === AF_INET6 ? 16 : 4;
  const dst = attrs.get(u.RTA_DST)?.payload ?? new Uint8Array(size);
  if (f.root !== undefined && !covers(f.root, dst, header.dstLength)) return false;
  if (f.match !== undefined) {
    const outer = { family: header.family, address: dst, length: header.dstLength };
    if (!covers(outer, f.match.address, f.match.length)) return false;
  }
  if (f.exact !== undefined) {
    if (f.exact.length !== header.dstLength) return false;
    if (f.exact.length > 0 && !covers(f.exact, dst, header.dstLength)) return false;
  }
  return true;
}

function dump(ctx: Context, f: ListFilter): RouteRecord[] {
  const message = new AttrWriter().raw(emitRt({ family: f.family === AF_UNSPEC ? 0 : f.family }));
  // The kernel filters by table itself, and complains about one that does not exist.
  if (f.table !== 0 && f.table !== u.RT_TABLE_MAIN) message.u32(u.RTA_TABLE, f.table);
  if (f.dev !== 0) message.u32(u.RTA_OIF, f.dev);
  return ctx.netlink
    .dump(u.RTM_GETROUTE, message.finish())
    .filter((m) => m.type === u.RTM_NEWROUTE)
    .map(readRoute);
}

function list(ctx: Context, argv: readonly string[], flushing: boolean): void {
  if (flushing && argv.length === 0) throw new IpError('"ip route flush" requires arguments.\n', 255);
  const f = readFilter(ctx, argv);
  if (f.family === AF_UNSPEC && f.table !== 0) f.family = AF_INET;
  if (f.cached) return;
  const records = dump(ctx, f).filter((record) => matches(f, record));
  if (flushing) {
    flushAll(ctx, records);
    return;
  }
  for (const record of records) {
    printRoute(ctx, record, {
      table: f.table,
      dev: f.dev !== 0,
      protocol: f.protocol !== undefined,
      scope: f.scope !== undefined,
      via: f.via !== undefined,
    });
    ctx.out.end();
  }
}

function flushAll(ctx: Context, records: readonly RouteRecord[]): void {
  for (const { header, attrs } of records) {
    const message = new AttrWriter().raw(emitRt(header));
    for (const attr of attrs.values())
      if (attr.type !== u.RTA_CACHEINFO && attr.type !== u.RTA_PREF) message.bytes(attr.type, attr.payload);
    ctx.netlink.request(u.RTM_DELROUTE, 0, message.finish());
  }
  if (ctx.options.stats > 0) {
    if (records.length === 0) ctx.out.raw('Nothing to flush.\n');
    else
      ctx.out.raw(`\n*** Round 1, deleting ${records.length} entries ***\n*** Flush is complete after 1 round ***\n`);
  }
}

function get(ctx: Context, argv: readonly string[]): void {
  const args = new Args(argv);
  const attrs = new AttrWriter();
  let family = ctx.options.family;
  let dst: Prefix | undefined;
  let from: Prefix | undefined;
  let iif = 0;
  let oif = 0;
  let tos = 0;
  let mark = 0;
  let flags: number = u.RTM_F_LOOKUP_TABLE;
  while (!args.done) {
    if (args.accept('from')) {
      from = readPrefix(args.next(), family);
      if (family === AF_UNSPEC) family = from.family;
    } else if (args.accept('tos', 'dsfield')) tos = take(args, 'tos');
    else if (args.accept('mark')) mark = take(args, 'mark');
    else if (args.accept('iif')) iif = ctx.needLink(args.next());
    else if (args.accept('oif', 'dev')) oif = ctx.needLink(args.next());
    else if (args.accept('uid')) attrs.u32(u.RTA_UID, take(args, 'uid'));
    else if (args.accept('fibmatch')) flags |= u.RTM_F_FIB_MATCH;
    else if (args.accept('ipproto')) {
      const text = args.next();
      attrs.u8(u.RTA_IP_PROTO, need(text, 'ipproto', ipProtocols.number(text)));
    } else if (args.accept('sport')) attrs.beU16(u.RTA_SPORT, take(args, 'sport'));
    else if (args.accept('dport')) attrs.beU16(u.RTA_DPORT, take(args, 'dport'));
    else if (args.accept('notify', 'connected', 'vrf'))
      throw new IpError('netloom does not support this in "ip route get".\n', 255);
    else {
      args.accept('to');
      const prefix = readPrefix(args.next(), family);
      dst = prefix;
      if (family === AF_UNSPEC) family = prefix.family;
    }
  }
  if (dst === undefined) throw new IpError('need at least a destination address\n', 1);
  const header = {
    family,
    tos,
    dstLength: dst.length,
    srcLength: from?.length ?? 0,
    flags,
  };
  const message = new AttrWriter().raw(emitRt(header));
  if (dst.address.length > 0) message.bytes(u.RTA_DST, dst.address);
  if (from !== undefined) message.bytes(u.RTA_SRC, from.address);
  if (iif !== 0) message.u32(u.RTA_IIF, iif);
  if (oif !== 0) message.u32(u.RTA_OIF, oif);
  if (mark !== 0) message.u32(u.RTA_MARK, mark);
  const reply = ctx.netlink.get(u.RTM_GETROUTE, message.raw(attrs.finish()).finish());
  if (reply === undefined) throw new IpError('An error :-)\n', 255);
  const none = { table: 0, dev: false, protocol: false, scope: false, via: false };
  printRoute(ctx, readRoute(reply), none);
  ctx.out.end();
}
