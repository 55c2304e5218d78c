/**
 * `ip rule`: show, add, delete, flush. See ip-rule(8).
 */
import { AF_INET, AF_INET6, AF_UNSPEC, formatAddress, type Prefix, sameBytes } from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getString, getU8, getU16, getU32 } from '../../wire/netlink/attr.ts';
import { emitRuleHeader, FIB_RULE_HDR_LENGTH, parseRuleHeader, type RuleHeader } from '../../wire/netlink/rtnetlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { Args, type Context, IpError, invalidArgument, readPrefix, runCommand, unsupported } from './context.ts';
import { ipProtocols, parseNumber, protocols, routeTypes, tables } from './names.ts';

/** `ip rule ...` */
export function ipRule(ctx: Context, argv: readonly string[]): void {
  runCommand(ctx, 'rule', argv, [
    ['show', (c, rest) => show(c, rest, false)],
    ['list', (c, rest) => show(c, rest, false)],
    ['lst', (c, rest) => show(c, rest, false)],
    ['add', (c, rest) => modify(c, u.RTM_NEWRULE, rest)],
    ['delete', (c, rest) => modify(c, u.RTM_DELRULE, rest)],
    ['flush', (c, rest) => show(c, rest, true)],
    ['save', unsupported('ip rule save')],
    ['restore', unsupported('ip rule restore')],
  ]);
}

type RuleRecord = { readonly header: RuleHeader; readonly attrs: ReadonlyMap<number, Attr> };

function range(payload: Uint8Array): [number, number] {
  return payload.length === 8
    ? [getU32(payload), getU32(payload.subarray(4))]
    : [getU16(payload), getU16(payload.subarray(2))];
}

function print(ctx: Context, record: RuleRecord): void {
  const { out, options } = ctx;
  const { header, attrs } = record;
  const full = header.family === AF_INET6 ? 128 : 32;
  const u32 = (type: number): number | undefined => {
    const attr = attrs.get(type);
    return attr === undefined ? undefined : getU32(attr.payload);
  };
  out.open('object');
  const priority = u32(u.FRA_PRIORITY) ?? 0;
  out.field('priority', priority, `${priority}:\t`);
  if (header.flags & u.FIB_RULE_INVERT) out.field('not', null, 'not ');
  const side = (label: string, key: string, attr: Attr | undefined, length: number): void => {
    if (attr !== undefined) {
      const text = formatAddress(attr.payload);
      out.field(key, text, length === full ? `${label} ${text}` : `${label} ${text}/${length}`);
      if (length !== full) out.value(`${key}len`, length);
    } else if (length > 0) {
      out.field(key, '0', `${label} 0/${length}`);
      out.value(`${key}len`, length);
    }
  };
  const src = attrs.get(u.FRA_SRC);
  if (src === undefined && header.srcLength === 0) out.field('src', 'all', 'from all');
  else side('from', 'src', src, header.srcLength);
  const dst = attrs.get(u.FRA_DST);
  if (dst !== undefined || header.dstLength > 0) {
    out.raw(' ');
    side('to', 'dst', dst, header.dstLength);
  }
  if (header.tos !== 0) {
    const tos = `0x${header.tos.toString(16).padStart(2, '0')}`;
    out.field('tos', tos, ` tos ${tos}`);
  }
  const mark = u32(u.FRA_FWMARK);
  const mask = u32(u.FRA_FWMASK);
  if (mark !== undefined || (mask !== undefined && mask !== 0)) {
    const m = `0x${(mark ?? 0).toString(16)}`;
    if (mask !== undefined && mask !== 0xffffffff) {
      const k = `0x${mask.toString(16)}`;
      out.field('fwmark', m, ` fwmark ${m}/${k}`);
      out.value('fwmask', k);
    } else out.field('fwmark', m, ` fwmark ${m}`);
  }
  for (const [type, key, detached] of [
    [u.FRA_IIFNAME, 'iif', u.FIB_RULE_IIF_DETACHED],
    [u.FRA_OIFNAME, 'oif', u.FIB_RULE_OIF_DETACHED],
  ] as const) {
    const attr = attrs.get(type);
    if (attr === undefined) continue;
    out.field(key, getString(attr.payload), ` ${key} ${getString(attr.payload)}`);
    if (header.flags & detached) out.field(`${key}_detached`, null, ' [detached]');
  }
  const uids = attrs.get(u.FRA_UID_RANGE);
  if (uids !== undefined) {
    const [start, end] = range(uids.payload);
    out.field('uid_start', start, ` uidrange ${start}-${end}`);
    out.value('uid_end', end);
  }
  const proto = attrs.get(u.FRA_IP_PROTO);
  if (proto !== undefined) {
    const name = ipProtocols.name(getU8(proto.payload));
    out.field('ipproto', name, ` ipproto ${name}`);
  }
  for (const [type, key] of [
    [u.FRA_SPORT_RANGE, 'sport'],
    [u.FRA_DPORT_RANGE, 'dport'],
  ] as const) {
    const attr = attrs.get(type);
    if (attr === undefined) continue;
    const [start, end] = range(attr.payload);
    if (start === end) out.field(key, start, ` ${key} ${start}`);
    else {
      out.field(`${key}_start`, start, ` ${key} ${start}-${end}`);
      out.value(`${key}_end`, end);
    }
  }
  const table = u32(u.FRA_TABLE) ?? header.table;
  if (table !== 0) {
    out.field('table', tables.name(table), ` lookup ${tables.name(table)}`);
    const prefix = u32(u.FRA_SUPPRESS_PREFIXLEN);
    if (prefix !== undefined && (prefix | 0) !== -1)
      out.field('suppress_prefixlen', prefix, ` suppress_prefixlength ${prefix}`);
    const group = u32(u.FRA_SUPPRESS_IFGROUP);
    if (group !== undefined && (group | 0) !== -1)
      out.field('suppress_ifgroup', String(group), ` suppress_ifgroup ${group}`);
  }
  if (header.action === u.FR_ACT_GOTO) {
    const target = u32(u.FRA_GOTO) ?? 0;
    out.field('goto', target, ` goto ${target}`);
    if (header.flags & u.FIB_RULE_UNRESOLVED) out.field('unresolved', null, ' [unresolved]');
  } else if (header.action === u.FR_ACT_NOP) out.field('nop', null, ' nop');
  else if (header.action !== u.FR_ACT_TO_TBL) {
    const name = routeTypes.name(header.action);
    out.field('action', name, ` ${name}`);
  }
  const by = attrs.get(u.FRA_PROTOCOL);
  if (by !== undefined && (getU8(by.payload) > u.RTPROT_STATIC || options.details > 0)) {
    const name = protocols.name(getU8(by.payload));
    out.field('protocol', name, ` proto ${name}`);
  }
  out.end();
  out.close();
}

type Filter = {
  pref: number | undefined;
  table: number;
  iif: string;
  oif: string;
  mark: number | undefined;
  from: Prefix | undefined;
  to: Prefix | undefined;
  protocol: number | undefined;
};

function show(ctx: Context, argv: readonly string[], flushing: boolean): void {
  const args = new Args(argv);
  const f: Filter = {
    pref: undefined,
    table: 0,
    iif: '',
    oif: '',
    mark: undefined,
    from: undefined,
    to: undefined,
    protocol: undefined,
  };
  const family = ctx.options.family === AF_UNSPEC ? AF_INET : ctx.options.family;
  while (!args.done) {
    if (args.accept('preference', 'order', 'priority', 'pref')) f.pref = number(args.next(), 'preference');
    else if (args.accept('table', 'lookup')) f.table = readTable(args.next());
    else if (args.accept('iif', 'dev')) f.iif = args.next();
    else if (args.accept('oif')) f.oif = args.next();
    else if (args.accept('fwmark')) f.mark = number(args.next(), 'fwmark');
    else if (args.accept('from')) f.from = readPrefix(args.next(), family);
    else if (args.accept('to')) f.to = readPrefix(args.next(), family);
    else if (args.accept('protocol', 'proto')) f.protocol = number(args.next(), 'protocol');
    else throw new IpError(`Error: argument "${args.next()}" is wrong: Failed to parse rule type\n`, 255);
  }
  const records = ctx.netlink
    .dump(u.RTM_GETRULE, emitRuleHeader({ family }))
    .filter((m) => m.type === u.RTM_NEWRULE)
    .map((m): RuleRecord => ({ header: parseRuleHeader(m.payload), attrs: attrMap(m.payload, FIB_RULE_HDR_LENGTH) }))
    .filter((record) => matches(f, record));
  for (const record of records) {
    if (!flushing) print(ctx, record);
    else if (record.attrs.has(u.FRA_PRIORITY)) {
      const message = new AttrWriter().raw(emitRuleHeader(record.header));
      for (const attr of record.attrs.values()) message.bytes(attr.type, attr.payload);
      ctx.netlink.request(u.RTM_DELRULE, 0, message.finish());
    }
  }
}

function matches(f: Filter, { header, attrs }: RuleRecord): boolean {
  const num = (type: number): number => (attrs.has(type) ? getU32(attrs.get(type)!.payload) : 0);
  const text = (type: number): string => (attrs.has(type) ? getString(attrs.get(type)!.payload) : '');
  const prefix = (p: Prefix | undefined, type: number, length: number): boolean => {
    if (p === undefined) return true;
    const attr = attrs.get(type);
    return length === p.length && (attr === undefined ? p.length === 0 : sameBytes(attr.payload, p.address));
  };
  return (
    (f.pref === undefined || num(u.FRA_PRIORITY) === f.pref) &&
    (f.table === 0 || (attrs.has(u.FRA_TABLE) ? num(u.FRA_TABLE) : header.table) === f.table) &&
    (f.iif === '' || text(u.FRA_IIFNAME) === f.iif) &&
    (f.oif === '' || text(u.FRA_OIFNAME) === f.oif) &&
    (f.mark === undefined || num(u.FRA_FWMARK) === f.mark) &&
    prefix(f.from, u.FRA_SRC, header.srcLength) &&
    prefix(f.to, u.FRA_DST, header.dstLength)
  );
}

function number(text: string, what: string): number {
  const n = parseNumber(text);
  if (n === undefined) throw invalidArgument(text, `${what} value is invalid\n`);
  return n;
}

function readTable(text: string): number {
  const n = tables.number(text);
  if (n === undefined) throw invalidArgument(text, 'invalid table ID\n');
  return n;
}

// "80" or "80-90" as two big numbers of `size` bytes each.
function readRange(text: string, size: 2 | 4, what: string): Uint8Array {
  const m = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (m === null) throw invalidArgument(text, `invalid ${what}\n`);
  const out = new Uint8Array(size * 2);
  const dv = new DataView(out.buffer);
  const put = (at: number, n: number): void => (size === 2 ? dv.setUint16(at, n, true) : dv.setUint32(at, n, true));
  put(0, Number(m[1]));
  put(size, Number(m[2] ?? m[1]));
  return out;
}

function modify(ctx: Context, type: number, argv: readonly string[]): void {
  const adding = type === u.RTM_NEWRULE;
  if (argv.length === 0)
    throw new IpError(adding ? '"ip rule add" requires arguments.\n' : '"ip rule del" requires arguments.\n', 1);
  const args = new Args(argv);
  const attrs = new AttrWriter();
  let family = ctx.options.family;
  let table = 0;
  let action: number = adding ? u.FR_ACT_TO_TBL : 0;
  let flags = 0;
  let tos = 0;
  let srcLength = 0;
  let dstLength = 0;
  const prefix = (attr: number): number => {
    const p = readPrefix(args.next(), family);
    if (family === AF_UNSPEC && p.address.length > 0) family = p.family;
    if (p.length > 0) attrs.bytes(attr, p.address);
    return p.length;
  };
  while (!args.done) {
    if (args.accept('not')) flags |= u.FIB_RULE_INVERT;
    else if (args.accept('from')) srcLength = prefix(u.FRA_SRC);
    else if (args.accept('to')) dstLength = prefix(u.FRA_DST);
    else if (args.accept('preference', 'order', 'priority', 'pref'))
      attrs.u32(u.FRA_PRIORITY, number(args.next(), 'preference'));
    else if (args.accept('tos', 'dsfield')) tos = number(args.next(), 'TOS');
    else if (args.accept('fwmark')) {
      const [mark, mask] = args.next().split('/');
      attrs.u32(u.FRA_FWMARK, number(mark, 'fwmark'));
      if (mask !== undefined) attrs.u32(u.FRA_FWMASK, number(mask, 'fwmask'));
    } else if (args.accept('table', 'lookup')) {
      table = readTable(args.next());
      if (table >= 256) attrs.u32(u.FRA_TABLE, table);
    } else if (args.accept('suppress_prefixlength', 'sup_pl'))
      attrs.u32(u.FRA_SUPPRESS_PREFIXLEN, number(args.next(), 'suppress_prefixlength'));
    else if (args.accept('suppress_ifgroup', 'sup_group'))
      attrs.u32(u.FRA_SUPPRESS_IFGROUP, number(args.next(), 'suppress_ifgroup'));
    else if (args.accept('dev', 'iif')) attrs.string(u.FRA_IIFNAME, args.next());
    else if (args.accept('oif')) attrs.string(u.FRA_OIFNAME, args.next());
    else if (args.accept('uidrange')) attrs.bytes(u.FRA_UID_RANGE, readRange(args.next(), 4, 'UID range'));
    else if (args.accept('ipproto')) {
      const text = args.next();
      const n = ipProtocols.number(text);
      if (n === undefined) throw invalidArgument(text, 'Invalid "ipproto" value\n');
      attrs.u8(u.FRA_IP_PROTO, n);
    } else if (args.accept('sport')) attrs.bytes(u.FRA_SPORT_RANGE, readRange(args.next(), 2, 'port range'));
    else if (args.accept('dport')) attrs.bytes(u.FRA_DPORT_RANGE, readRange(args.next(), 2, 'port range'));
    else if (args.accept('protocol', 'proto')) {
      const text = args.next();
      const n = protocols.number(text);
      if (n === undefined) throw invalidArgument(text, '"protocol" value is invalid\n');
      attrs.u8(u.FRA_PROTOCOL, n);
    } else if (args.accept('goto')) {
      attrs.u32(u.FRA_GOTO, number(args.next(), 'target'));
      action = u.FR_ACT_GOTO;
    } else if (['l3mdev', 'realms', 'nat', 'map-to', 'tun_id'].includes(args.peek()))
      throw new IpError(`netloom does not support "${args.peek()}" in rules.\n`, 255);
    else {
      args.accept('type');
      const text = args.next();
      if (text === 'nop') action = u.FR_ACT_NOP;
      else {
        const n = /^[a-z]/.test(text) ? routeTypes.number(text) : undefined;
        if (n === undefined) throw invalidArgument(text, 'Failed to parse rule type');
        action = n;
      }
    }
  }
  if (family === AF_UNSPEC) family = AF_INET;
  if (table === 0 && adding && action === u.FR_ACT_TO_TBL) table = u.RT_TABLE_MAIN;
  const header = emitRuleHeader({ family, srcLength, dstLength, tos, table: table < 256 ? table : 0, action, flags });
  const message = new AttrWriter().raw(header).raw(attrs.finish()).finish();
  ctx.netlink.request(type, adding ? NLM_F_CREATE | NLM_F_EXCL : 0, message);
}
