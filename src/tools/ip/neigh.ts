/**
 * `ip neighbour`: show, add, change, replace, delete, flush, get. See ip-neighbour(8).
 */
import {
  AF_UNSPEC,
  formatAddress,
  formatMac,
  maskAddress,
  type Prefix,
  parseMac,
  sameBytes,
} from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitNd, NDMSG_LENGTH, type Nd, parseNd } from '../../wire/netlink/rtnetlink.ts';
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
} from './context.ts';
import { neighbourStates, parseNumber } from './names.ts';

type NeighRecord = { readonly header: Nd; readonly attrs: ReadonlyMap<number, Attr> };

/** `ip neighbour ...` */
export function ipNeigh(ctx: Context, argv: readonly string[]): void {
  const change =
    (type: number, flags: number): Command =>
    (c, rest) =>
      modify(c, type, flags, rest);
  runCommand(ctx, 'neighbour', argv, [
    ['add', change(u.RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL)],
    ['change', change(u.RTM_NEWNEIGH, NLM_F_REPLACE)],
    ['chg', change(u.RTM_NEWNEIGH, NLM_F_REPLACE)],
    ['replace', change(u.RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)],
    ['append', change(u.RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND)],
    ['delete', change(u.RTM_DELNEIGH, 0)],
    ['get', get],
    ['show', (c, rest) => list(c, rest, false)],
    ['list', (c, rest) => list(c, rest, false)],
    ['lst', (c, rest) => list(c, rest, false)],
    ['flush', (c, rest) => list(c, rest, true)],
  ]);
}

function readRecord(m: Message): NeighRecord {
  return { header: parseNd(m.payload), attrs: attrMap(m.payload, NDMSG_LENGTH) };
}

function readState(text: string): number {
  const named = neighbourStates.find(([, name]) => name.toLowerCase() === text);
  const n = text === 'none' ? 0 : text === 'all' ? 0xff : (named?.[0] ?? parseNumber(text));
  if (n === undefined) throw invalidArgument(text, 'nud state is bad');
  return n;
}

function print(ctx: Context, { header, attrs }: NeighRecord, showDevice: boolean): void {
  const { out, options } = ctx;
  out.open('object');
  const dst = attrs.get(u.NDA_DST);
  if (dst !== undefined) out.field('dst', formatAddress(dst.payload), `${formatAddress(dst.payload)} `);
  if (showDevice && header.index !== 0) {
    const name = ctx.linkName(header.index);
    out.field('dev', name, `dev ${name} `);
  }
  const lladdr = attrs.get(u.NDA_LLADDR);
  if (lladdr !== undefined) {
    const text = formatMac(lladdr.payload, 0, lladdr.payload.length);
    out.field('lladdr', text, `lladdr ${text} `);
  }
  for (const [bit, word] of [
    [u.NTF_ROUTER, 'router'],
    [u.NTF_PROXY, 'proxy'],
    [u.NTF_EXT_LEARNED, 'extern_learn'],
    [u.NTF_OFFLOADED, 'offload'],
  ] as const)
    if (header.flags & bit) out.field(word, null, `${word} `);
  const info = attrs.get(u.NDA_CACHEINFO);
  if (options.stats > 0) {
    const probes = attrs.get(u.NDA_PROBES);
    if (info !== undefined) {
      // confirmed, used, updated: clock ticks ago, 100 a second.
      const [confirmed, used, updated, refs] = [0, 4, 8, 12].map((at) => getU32(info.payload.subarray(at)));
      const secs = (ticks: number): number => Math.trunc(ticks / 100);
      if (refs !== 0) out.field('refcnt', refs, ` ref ${refs}`);
      out.field('used', secs(used), ` used ${secs(used)}/`);
      out.field('confirmed', secs(confirmed), `${secs(confirmed)}/`);
      out.field('updated', secs(updated), `${secs(updated)}`);
    }
    if (probes !== undefined) out.field('probes', getU32(probes.payload), `probes ${getU32(probes.payload)} `);
  }
  const states = neighbourStates.filter(([bit]) => header.state & bit).map(([, name]) => name);
  if (header.state !== 0) out.field('state', states, states.map((name) => `${name} `).join(''));
  out.end();
  out.close();
}

function list(ctx: Context, argv: readonly string[], flushing: boolean): void {
  const args = new Args(argv);
  let family = ctx.options.family;
  let dev = '';
  let state: number = flushing ? 0xff & ~(u.NUD_PERMANENT | u.NUD_NOARP) : 0xff & ~u.NUD_NOARP;
  let to: Prefix | undefined;
  let proxy = false;
  let asked = false;
  if (flushing && argv.length === 0) throw new IpError('Flush requires arguments.\n', 255);
  while (!args.done) {
    if (args.accept('dev')) dev = args.next();
    else if (args.accept('unused')) throw new IpError('netloom does not support "unused" here.\n', 255);
    else if (args.accept('nud')) {
      const bits = readState(args.next());
      state = asked ? state | bits : bits;
      asked = true;
    } else if (args.accept('proxy')) proxy = true;
    else {
      args.accept('to');
      to = readPrefix(args.next(), family);
      if (family === AF_UNSPEC && to.address.length > 0) family = to.family;
    }
  }
  const index = dev === '' ? 0 : ctx.needLink(dev);
  const message = new AttrWriter().raw(emitNd({ family, flags: proxy ? u.NTF_PROXY : 0 }));
  if (index !== 0) message.u32(u.NDA_IFINDEX, index);
  const records = ctx.netlink
    .dump(u.RTM_GETNEIGH, message.finish())
    .filter((m) => m.type === u.RTM_NEWNEIGH)
    .map(readRecord)
    .filter(({ header, attrs }) => {
      const dst = attrs.get(u.NDA_DST)?.payload;
      if (index !== 0 && header.index !== index) return false;
      if (family !== AF_UNSPEC && header.family !== family) return false;
      if (!proxy && !(header.state & state) && (header.state !== 0 || state !== 0xff)) return false;
      return to === undefined || to.length === 0 || (dst !== undefined && covered(to, dst));
    });
  for (const record of records) {
    if (!flushing) print(ctx, record, index === 0);
    else {
      const request = new AttrWriter().raw(emitNd({ ...record.header, state: u.NUD_NONE }));
      const dst = record.attrs.get(u.NDA_DST);
      if (dst !== undefined) request.bytes(u.NDA_DST, dst.payload);
      ctx.netlink.request(u.RTM_DELNEIGH, 0, request.finish());
    }
  }
}

function covered(prefix: Prefix, bytes: Uint8Array): boolean {
  return (
    prefix.address.length === bytes.length &&
    sameBytes(maskAddress(bytes, prefix.length), maskAddress(prefix.address, prefix.length))
  );
}

function modify(ctx: Context, type: number, nlflags: number, argv: readonly string[]): void {
  const args = new Args(argv);
  let address: Uint8Array | undefined;
  let family = ctx.options.family;
  let dev = '';
  let lladdr: Uint8Array | undefined;
  let state: number = type === u.RTM_NEWNEIGH ? u.NUD_PERMANENT : 0;
  let flags = 0;
  while (!args.done) {
    if (args.accept('lladdr')) {
      const text = args.next();
      lladdr = parseMac(text);
      if (lladdr === undefined) throw new IpError(`"${text}" is invalid lladdr.\n`, 1);
    } else if (args.accept('nud')) state = readState(args.next());
    else if (args.accept('proxy')) {
      address = readAddress(args.next(), family).address;
      flags |= u.NTF_PROXY;
    } else if (args.accept('router')) flags |= u.NTF_ROUTER;
    else if (args.accept('use')) flags |= u.NTF_USE;
    else if (args.accept('extern_learn')) flags |= u.NTF_EXT_LEARNED;
    else if (args.accept('dev')) dev = args.next();
    else {
      args.accept('to');
      const text = args.next();
      if (address !== undefined)
        throw new IpError(`Error: either "to" is duplicate, or "${text}" is a garbage.\n`, 255);
      const prefix = readAddress(text, family);
      address = prefix.address;
      family = prefix.family;
    }
  }
  if (dev === '' || address === undefined) throw new IpError('Device and destination are required arguments.\n', 255);
  const header = emitNd({ family: address.length === 4 ? 2 : 10, index: ctx.needLink(dev), state, flags });
  const message = new AttrWriter().raw(header).bytes(u.NDA_DST, address);
  if (lladdr !== undefined) message.bytes(u.NDA_LLADDR, lladdr);
  ctx.netlink.request(type, nlflags, message.finish());
}

function get(ctx: Context, argv: readonly string[]): void {
  const args = new Args(argv);
  let address: Prefix | undefined;
  let dev = '';
  let flags = 0;
  while (!args.done) {
    if (args.accept('dev')) dev = args.next();
    else if (args.accept('proxy')) {
      address = readAddress(args.next(), ctx.options.family);
      flags |= u.NTF_PROXY;
    } else {
      args.accept('to');
      address = readAddress(args.next(), ctx.options.family);
    }
  }
  if (dev === '' || address === undefined) throw new IpError('Device and address are required arguments.\n', 255);
  const header = emitNd({ family: address.family, index: ctx.needLink(dev), flags });
  const reply = ctx.netlink.get(
    u.RTM_GETNEIGH,
    new AttrWriter().raw(header).bytes(u.NDA_DST, address.address).finish(),
  );
  if (reply !== undefined) print(ctx, readRecord(reply), true);
}
