/**
 * `ip address`: show, add, change, replace, delete, flush. See ip-address(8).
 */
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  formatAddress,
  maskAddress,
  netmask,
  type Prefix,
  sameBytes,
} from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getString, getU32 } from '../../wire/netlink/attr.ts';
import { emitIfAddr, IFADDRMSG_LENGTH, type IfAddr, parseIfAddr } from '../../wire/netlink/rtnetlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import {
  Args,
  type Command,
  type Context,
  IpError,
  invalidArgument,
  missing,
  readPrefix,
  runCommand,
  unsupported,
} from './context.ts';
import { dumpLinks, name } from './link.ts';
import { linkKind, printBrief, printLink, printStats } from './link-print.ts';
import { addressFlags, parseNumber, scopes } from './names.ts';

const FOREVER = 0xffffffff;

type AddrRecord = { readonly header: IfAddr; readonly attrs: ReadonlyMap<number, Attr>; readonly flags: number };

/** `ip address ...` */
export function ipAddr(ctx: Context, argv: readonly string[]): void {
  const change =
    (type: number, flags: number): Command =>
    (c, rest) =>
      modify(c, type, flags, rest);
  runCommand(ctx, 'address', argv, [
    ['add', change(u.RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)],
    ['change', change(u.RTM_NEWADDR, NLM_F_REPLACE)],
    ['chg', change(u.RTM_NEWADDR, NLM_F_REPLACE)],
    ['replace', change(u.RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE)],
    ['delete', change(u.RTM_DELADDR, 0)],
    ['show', show],
    ['list', show],
    ['lst', show],
    ['flush', flush],
    ['save', unsupported('ip address save')],
    ['restore', unsupported('ip address restore')],
  ]);
}

function dumpAddresses(ctx: Context, family: number): AddrRecord[] {
  return ctx.netlink
    .dump(u.RTM_GETADDR, emitIfAddr({ family }))
    .filter((m) => m.type === u.RTM_NEWADDR)
    .map((m) => {
      const header = parseIfAddr(m.payload);
      const attrs = attrMap(m.payload, IFADDRMSG_LENGTH);
      const flags = attrs.get(u.IFA_FLAGS);
      return { header, attrs, flags: flags === undefined ? header.flags : getU32(flags.payload) };
    });
}

type Filter = {
  family: number;
  dev: string;
  up: boolean;
  kind: string;
  master: number;
  scope: number;
  label: string;
  flags: number;
  flagMask: number;
  to: Prefix | undefined;
};

function readFilter(ctx: Context, argv: readonly string[]): Filter {
  const args = new Args(argv);
  const f: Filter = {
    family: ctx.options.family,
    dev: '',
    up: false,
    kind: '',
    master: -1,
    scope: -1,
    label: '',
    flags: 0,
    flagMask: 0,
    to: undefined,
  };
  const flag = (text: string): boolean => {
    const off = text.startsWith('-');
    const word = off ? text.slice(1) : text;
    if (word === 'primary' || word === 'secondary' || word === 'temporary' || word === 'dynamic') {
      const bit = word === 'dynamic' ? u.IFA_F_PERMANENT : u.IFA_F_SECONDARY;
      const on = (word === 'secondary' || word === 'temporary') !== off;
      f.flagMask |= bit;
      f.flags = on ? f.flags | bit : f.flags & ~bit;
      return true;
    }
    const found = addressFlags.find(([, n]) => n === word);
    if (found === undefined) return false;
    f.flagMask |= found[0];
    f.flags = off ? f.flags & ~found[0] : f.flags | found[0];
    return true;
  };
  while (!args.done) {
    if (args.accept('to')) {
      f.to = readPrefix(args.next(), f.family);
      if (f.family === AF_UNSPEC) f.family = f.to.family;
    } else if (args.accept('scope')) {
      const text = args.next();
      const n = text === 'all' ? -1 : scopes.number(text);
      if (n === undefined) throw invalidArgument(text, 'invalid "scope"\n');
      f.scope = n;
    } else if (args.accept('up')) f.up = true;
    else if (args.accept('label')) f.label = args.next();
    else if (args.accept('type')) f.kind = args.next();
    else if (args.accept('master')) {
      const text = args.next();
      const index = ctx.linkIndex(text);
      if (index === undefined) throw invalidArgument(text, 'Device does not exist\n');
      f.master = index;
    } else if (flag(args.peek())) args.next();
    else {
      args.accept('dev');
      f.dev = args.next();
    }
  }
  if (f.dev !== '' && ctx.linkIndex(f.dev) === undefined) throw new IpError(`Device "${f.dev}" does not exist.\n`, 1);
  return f;
}

function local(record: AddrRecord): Uint8Array {
  return (record.attrs.get(u.IFA_LOCAL) ?? record.attrs.get(u.IFA_ADDRESS))?.payload ?? new Uint8Array(0);
}

function matches(f: Filter, record: AddrRecord): boolean {
  if (f.family !== AF_UNSPEC && record.header.family !== f.family) return false;
  if (f.scope >= 0 && record.header.scope !== f.scope) return false;
  if ((record.flags ^ f.flags) & f.flagMask) return false;
  if (f.label !== '') {
    const label = record.attrs.get(u.IFA_LABEL);
    const pattern = new RegExp(
      `^${f.label
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
    );
    if (label === undefined || !pattern.test(getString(label.payload))) return false;
  }
  if (f.to !== undefined && f.to.length > 0) {
    const bytes = local(record);
    if (bytes.length !== f.to.address.length) return false;
    if (!sameBytes(maskAddress(bytes, f.to.length), maskAddress(f.to.address, f.to.length))) return false;
  }
  return true;
}

function show(ctx: Context, argv: readonly string[]): void {
  const { out, options } = ctx;
  const f = readFilter(ctx, argv);
  const addresses = dumpAddresses(ctx, f.family);
  const filtering = f.family !== AF_UNSPEC || f.scope >= 0 || f.flagMask !== 0 || f.label !== '' || f.to !== undefined;
  for (const record of dumpLinks(ctx)) {
    const { header, attrs } = record;
    const master = attrs.get(u.IFLA_MASTER);
    if (f.dev !== '' && name(record) !== f.dev) continue;
    if (f.up && !(header.flags & u.IFF_UP)) continue;
    if (f.kind !== '' && linkKind(record) !== f.kind) continue;
    if (f.master >= 0 && (master === undefined || getU32(master.payload) !== f.master)) continue;
    const all = addresses.filter((a) => a.header.index === header.index);
    const own = all.filter((a) => matches(f, a));
    // A device without any address is shown, whatever was asked of addresses, unless a family was named.
    if (filtering && own.length === 0 && (f.family !== AF_UNSPEC || all.length > 0)) continue;
    out.open('object');
    if (options.brief) {
      printBrief(ctx, record, false);
      out.open('array', 'addr_info');
      for (const a of own) printBriefAddress(ctx, a);
      out.close();
      out.end();
    } else {
      if (!options.oneline || out.json) {
        printLink(ctx, record, false, f.family === AF_UNSPEC || options.details > 0);
        out.end();
      }
      out.open('array', 'addr_info');
      for (const a of own) printAddress(ctx, a, name(record));
      out.close();
      if (options.stats > 0 && !options.oneline) {
        const before = out.text.length;
        printStats(ctx, record);
        // Statistics follow the addresses here, so the break stands behind them, not before.
        if (!out.json && out.text.length > before)
          out.text = `${out.text.slice(0, before)}${out.text.slice(before + 1)}\n`;
      }
    }
    out.close();
  }
}

function printBriefAddress(ctx: Context, record: AddrRecord): void {
  const { out } = ctx;
  const text = formatAddress(local(record));
  const far = record.attrs.get(u.IFA_ADDRESS);
  out.open('object');
  if (far !== undefined && !sameBytes(far.payload, local(record))) {
    out.field('local', text, `${text} `);
    out.field('peer', formatAddress(far.payload), `peer ${formatAddress(far.payload)}`);
  } else out.field('local', text, text);
  out.field('prefixlen', record.header.prefixLength, `/${record.header.prefixLength} `);
  if (record.attrs.has(u.IFA_RT_PRIORITY)) {
    const metric = getU32(record.attrs.get(u.IFA_RT_PRIORITY)!.payload);
    out.field('metric', metric, `metric ${metric} `);
  }
  out.close();
}

/** One address, as `ip addr` prints it below its device. */
function printAddress(ctx: Context, record: AddrRecord, dev: string): void {
  const { out, options } = ctx;
  const { header, attrs, flags } = record;
  const family = header.family === AF_INET ? 'inet' : 'inet6';
  out.open('object');
  if (options.oneline) out.raw(`${header.index}: ${dev}    ${family} `);
  else out.raw(`    ${family} `);
  out.value('family', family);
  const text = formatAddress(local(record));
  const far = attrs.get(u.IFA_ADDRESS);
  out.field('local', text, text);
  if (far !== undefined && !sameBytes(far.payload, local(record))) {
    const peer = formatAddress(far.payload);
    out.field('address', peer, ` peer ${peer}`);
  }
  out.field('prefixlen', header.prefixLength, `/${header.prefixLength} `);
  const metric = attrs.get(u.IFA_RT_PRIORITY);
  if (metric !== undefined) out.field('metric', getU32(metric.payload), `metric ${getU32(metric.payload)} `);
  const broadcast = attrs.get(u.IFA_BROADCAST);
  if (broadcast !== undefined) {
    const b = formatAddress(broadcast.payload);
    out.field('broadcast', b, `brd ${b} `);
  }
  const scope = options.numeric ? String(header.scope) : scopes.name(header.scope);
  out.field('scope', scope, `scope ${scope} `);
  for (const [bit, word] of addressFlags) {
    const on = (flags & bit) !== 0;
    const shown = bit === u.IFA_F_PERMANENT ? 'dynamic' : bit === 1 && header.family === AF_INET6 ? 'temporary' : word;
    if (on !== (bit === u.IFA_F_PERMANENT)) out.field(shown, true, `${shown} `);
  }
  const label = attrs.get(u.IFA_LABEL);
  if (label !== undefined) out.field('label', getString(label.payload), getString(label.payload));
  const info = attrs.get(u.IFA_CACHEINFO);
  if (info !== undefined) {
    const preferred = getU32(info.payload);
    const valid = getU32(info.payload.subarray(4));
    const life = (n: number): string => (n === FOREVER ? 'forever' : `${n}sec`);
    out.newline();
    out.raw('       ');
    out.field('valid_life_time', valid, `valid_lft ${life(valid)} `);
    out.field('preferred_life_time', preferred, `preferred_lft ${life(preferred)}`);
  }
  out.close();
  out.end();
}

function lifetime(args: Args, what: string): number {
  const text = args.next();
  if (text === 'forever') return FOREVER;
  const n = parseNumber(text);
  if (n === undefined) throw invalidArgument(text, `${what} value\n`);
  return n;
}

function modify(ctx: Context, type: number, nlflags: number, argv: readonly string[]): void {
  const args = new Args(argv);
  let family = ctx.options.family;
  let address: Prefix | undefined;
  let peer: Prefix | undefined;
  let broadcast: Uint8Array | '+' | '-' | undefined;
  let dev = '';
  let label = '';
  let scope: number | undefined;
  let flags = 0;
  let valid: number | undefined;
  let preferred: number | undefined;
  let metric: number | undefined;
  const settings = ['nodad', 'home', 'mngtmpaddr', 'noprefixroute', 'autojoin'];
  while (!args.done) {
    if (args.accept('peer', 'remote')) {
      peer = readPrefix(args.next(), family);
      family = peer.family;
    } else if (args.accept('broadcast', 'brd')) {
      const text = args.next();
      broadcast = text === '+' || text === '-' ? text : readPrefix(text, family).address;
    } else if (args.accept('dev')) dev = args.next();
    else if (args.accept('label')) label = args.next();
    else if (args.accept('scope')) {
      const text = args.next();
      scope = scopes.number(text);
      if (scope === undefined) throw invalidArgument(text, 'invalid scope value.');
    } else if (args.accept('valid_lft')) valid = lifetime(args, 'valid_lft');
    else if (args.accept('preferred_lft')) preferred = lifetime(args, 'preferred_lft');
    else if (args.accept('metric', 'priority', 'preference')) {
      const text = args.next();
      metric = parseNumber(text);
      if (metric === undefined) throw invalidArgument(text, '"metric" value is invalid\n');
    } else if (args.accept('anycast', 'proto'))
      throw new IpError('netloom does not support this address option.\n', 255);
    else if (settings.includes(args.peek())) {
      const word = args.next();
      flags |= addressFlags.find(([, n]) => n === word)?.[0] ?? 0;
    } else {
      args.accept('local');
      const text = args.next();
      if (address !== undefined)
        throw new IpError(`Error: either "local" is duplicate, or "${text}" is a garbage.\n`, 255);
      address = readPrefix(text, family);
      family = address.family;
    }
  }
  if (dev === '') throw missing('dev', 1);
  if (label !== '' && !label.startsWith(dev)) {
    throw new IpError(`"label" (${label}) must match "dev" (${dev}).\n`, 1);
  }
  const index = ctx.needLink(dev);
  const attrs = new AttrWriter();
  const far = peer ?? address;
  if (address !== undefined) {
    attrs.bytes(u.IFA_LOCAL, address.address);
    if (type === u.RTM_NEWADDR || peer !== undefined) attrs.bytes(u.IFA_ADDRESS, (far ?? address).address);
    else attrs.bytes(u.IFA_ADDRESS, address.address);
  }
  if (label !== '') attrs.string(u.IFA_LABEL, label);
  const length = far?.length ?? 0;
  if (broadcast === '+' || broadcast === '-') {
    if (address !== undefined && address.family === AF_INET && length <= 30) {
      const mask = netmask(length, 4);
      attrs.bytes(
        u.IFA_BROADCAST,
        (far ?? address).address.map((byte, i) => (broadcast === '+' ? byte | (~mask[i] & 255) : byte & mask[i])),
      );
    }
  } else if (broadcast !== undefined) attrs.bytes(u.IFA_BROADCAST, broadcast);
  if (scope === undefined && type === u.RTM_NEWADDR && address !== undefined)
    scope = family === AF_INET && address.address[0] === 127 ? 254 : 0;
  if (flags > 255) attrs.u32(u.IFA_FLAGS, flags);
  if (metric !== undefined) attrs.u32(u.IFA_RT_PRIORITY, metric);
  if (valid !== undefined || preferred !== undefined) {
    if (valid === 0) throw new IpError('valid_lft is zero\n', 1);
    const info = new Uint8Array(16);
    const dv = new DataView(info.buffer);
    const v = valid ?? FOREVER;
    const p = preferred ?? FOREVER;
    if (v < p && preferred !== undefined) throw new IpError('preferred_lft is greater than valid_lft\n', 1);
    dv.setUint32(0, Math.min(v, p), true);
    dv.setUint32(4, v, true);
    attrs.bytes(u.IFA_CACHEINFO, info);
  }
  const header = emitIfAddr({ family, prefixLength: length, flags: flags & 255, scope: scope ?? 0, index });
  ctx.netlink.request(type, nlflags, new AttrWriter().raw(header).raw(attrs.finish()).finish());
}

function flush(ctx: Context, argv: readonly string[]): void {
  if (argv.length === 0) throw new IpError('Flush requires arguments.\n', 1);
  const f = readFilter(ctx, argv);
  const index = f.dev === '' ? 0 : ctx.linkIndex(f.dev);
  // Again and again, as deleting a primary address takes its secondaries along.
  for (let round = 0; round < 10; round++) {
    const records = dumpAddresses(ctx, f.family).filter(
      (a) => (index === 0 || a.header.index === index) && matches(f, a),
    );
    if (records.length === 0) return;
    const gone = records.filter((record) => !(record.flags & u.IFA_F_SECONDARY) || record.header.family === AF_INET6);
    for (const record of gone.length > 0 ? gone : records) {
      const attrs = new AttrWriter().raw(emitIfAddr(record.header));
      attrs.bytes(u.IFA_LOCAL, local(record));
      const far = record.attrs.get(u.IFA_ADDRESS);
      if (far !== undefined) attrs.bytes(u.IFA_ADDRESS, far.payload);
      ctx.netlink.request(u.RTM_DELADDR, 0, attrs.finish());
    }
  }
}
