/**
 * `ip link`: show, add, set, delete. See ip-link(8).
 */
import { AF_UNSPEC, parseMac } from '../../wire/address.ts';
import { AttrWriter, getString, getU32 } from '../../wire/netlink/attr.ts';
import { emitIfInfo } from '../../wire/netlink/rtnetlink.ts';
import { BPF_PROG_TYPE_XDP } from '../../wire/uapi/bpf.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import { XDP_FLAGS_SKB_MODE } from '../../wire/uapi/pkt-sched.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { BpfToolError, loadOne } from '../bpf-object.ts';
import {
  Args,
  type Context,
  checkDeviceName,
  IpError,
  invalidArgument,
  missing,
  runCommand,
  unsupported,
} from './context.ts';
import { type LinkRecord, linkKind, printBrief, printLink, printStats, readLink } from './link-print.ts';
import { parseNumber } from './names.ts';

const VETH_INFO_PEER = 1;
const SHOW_WITH_STATS = 1; // RTEXT_FILTER_VF
const KINDS = ['veth', 'dummy', 'bridge', 'vlan'];

/** `ip link ...` */
export function ipLink(ctx: Context, argv: readonly string[]): void {
  runCommand(ctx, 'link', argv, [
    ['add', add],
    ['set', set],
    ['change', set],
    ['replace', unsupported('ip link replace')],
    ['delete', remove],
    ['show', show],
    ['list', show],
    ['lst', show],
  ]);
}

/** All devices as the kernel dumps them. */
export function dumpLinks(ctx: Context): LinkRecord[] {
  const payload = new AttrWriter().raw(emitIfInfo({})).u32(u.IFLA_EXT_MASK, SHOW_WITH_STATS).finish();
  const messages = ctx.netlink.dump(u.RTM_GETLINK, payload);
  return messages.filter((m) => m.type === u.RTM_NEWLINK).map(readLink);
}

function show(ctx: Context, argv: readonly string[]): void {
  const args = new Args(argv);
  let dev = '';
  let master = -1;
  let kind = '';
  let group = -1;
  let up = false;
  while (!args.done) {
    if (args.accept('up')) up = true;
    else if (args.accept('master')) {
      const name = args.next();
      const index = ctx.linkIndex(name);
      if (index === undefined) throw invalidArgument(name, 'Device does not exist\n');
      master = index;
    } else if (args.accept('nomaster')) master = 0;
    else if (args.accept('type')) kind = args.next();
    else if (args.accept('group')) group = readGroup(args.next());
    else {
      args.accept('dev');
      dev = args.next();
    }
  }
  const records = dumpLinks(ctx).filter((record) => {
    const { header, attrs } = record;
    const own = attrs.get(u.IFLA_MASTER);
    return (
      (dev === '' || name(record) === dev) &&
      (!up || header.flags & u.IFF_UP) &&
      (master < 0 || (own === undefined ? 0 : getU32(own.payload)) === master) &&
      (kind === '' || linkKind(record) === kind) &&
      (group < 0 || (attrs.has(u.IFLA_GROUP) && getU32(attrs.get(u.IFLA_GROUP)!.payload) === group))
    );
  });
  if (dev !== '' && ctx.linkIndex(dev) === undefined) throw new IpError(`Device "${dev}" does not exist.\n`, 1);
  for (const record of records) {
    ctx.out.open('object');
    if (ctx.options.brief) printBrief(ctx, record, true);
    else {
      printLink(ctx, record, true, true);
      if (ctx.options.stats > 0) printStats(ctx, record);
      ctx.out.end();
    }
    ctx.out.close();
  }
}

/** IFLA_IFNAME of a record. */
export function name(record: LinkRecord): string {
  const attr = record.attrs.get(u.IFLA_IFNAME);
  return attr === undefined ? '' : getString(attr.payload);
}

function readGroup(text: string): number {
  if (text === 'default') return 0;
  const n = parseNumber(text);
  if (n === undefined) throw invalidArgument(text, 'Invalid "group" value\n');
  return n;
}

function number(args: Args, what: string): number {
  const text = args.next();
  const n = parseNumber(text);
  if (n === undefined) throw invalidArgument(text, `Invalid "${what}" value\n`);
  return n;
}

function mac(args: Args): Uint8Array {
  const text = args.next();
  const bytes = parseMac(text);
  if (bytes === undefined) throw new IpError(`"${text}" is invalid lladdr.\n`, 1);
  return bytes;
}

// What `add` and `set` share. True when the next words were such an option.
type Changes = { flags: number; change: number };

function common(ctx: Context, args: Args, attrs: AttrWriter, changes: Changes): boolean {
  const flag = (bit: number, on: boolean): void => {
    changes.change |= bit;
    changes.flags = on ? changes.flags | bit : changes.flags & ~bit;
  };
  const onOff = (what: string, bit: number, inverted = false): void => {
    const text = args.next();
    if (text !== 'on' && text !== 'off')
      throw new IpError(`Error: argument of "${what}" must be one of "on" or "off", not "${text}"\n`, 255);
    flag(bit, (text === 'on') !== inverted);
  };
  if (args.accept('up')) flag(u.IFF_UP, true);
  else if (args.accept('down')) flag(u.IFF_UP, false);
  else if (args.accept('mtu')) attrs.u32(u.IFLA_MTU, number(args, 'mtu'));
  else if (args.accept('address')) attrs.bytes(u.IFLA_ADDRESS, mac(args));
  else if (args.accept('broadcast', 'brd')) attrs.bytes(u.IFLA_BROADCAST, mac(args));
  else if (args.accept('txqueuelen', 'qlen', 'txqlen')) attrs.u32(u.IFLA_TXQLEN, number(args, 'txqueuelen'));
  else if (args.accept('alias')) attrs.string(u.IFLA_IFALIAS, args.next());
  else if (args.accept('group')) attrs.u32(u.IFLA_GROUP, readGroup(args.next()));
  else if (args.accept('master', 'vrf')) {
    const text = args.next();
    const index = ctx.linkIndex(text);
    if (index === undefined) throw invalidArgument(text, 'Device does not exist\n');
    attrs.u32(u.IFLA_MASTER, index);
  } else if (args.accept('nomaster')) attrs.u32(u.IFLA_MASTER, 0);
  else if (args.accept('arp')) onOff('arp', u.IFF_NOARP, true);
  else if (args.accept('multicast')) onOff('multicast', u.IFF_MULTICAST);
  else if (args.accept('allmulticast')) onOff('allmulticast', u.IFF_ALLMULTI);
  else if (args.accept('promisc')) onOff('promisc', u.IFF_PROMISC);
  else if (args.accept('dynamic')) onOff('dynamic', u.IFF_DYNAMIC);
  else if (args.accept('numtxqueues')) attrs.u32(u.IFLA_NUM_TX_QUEUES, number(args, 'numtxqueues'));
  else if (args.accept('numrxqueues')) attrs.u32(u.IFLA_NUM_RX_QUEUES, number(args, 'numrxqueues'));
  else if (args.accept('addrgenmode')) {
    const text = args.next();
    const mode = ['eui64', 'none', 'stable_secret', 'random'].indexOf(text);
    if (mode < 0) throw invalidArgument(text, 'Invalid address generation mode\n');
    attrs.nest(u.IFLA_AF_SPEC, (w) => w.nest(10, (six) => six.u8(u.IFLA_INET6_ADDR_GEN_MODE, mode)));
  } else if (args.accept('xdp', 'xdpdrv')) xdp(ctx, args, attrs, 0);
  else if (args.accept('xdpgeneric')) xdp(ctx, args, attrs, XDP_FLAGS_SKB_MODE);
  else if (['netns', 'vf', 'xdpoffload', 'carrier', 'protodown'].includes(args.peek()))
    throw new IpError(`netloom does not support "ip link set ${args.peek()}".\n`, 255);
  else return false;
  return true;
}

/** `xdp { off | none | obj FILE [ sec SECTION | program NAME ] | id N }` */
function xdp(ctx: Context, args: Args, attrs: AttrWriter, flags: number): void {
  let id = -1;
  if (!args.accept('off', 'none')) {
    if (args.accept('id')) id = number(args, 'id');
    else if (args.accept('obj', 'object', 'object-file')) {
      const file = args.next();
      const section = args.accept('sec', 'section') ? args.next() : undefined;
      const program = args.accept('program', 'prog') ? args.next() : undefined;
      args.accept('verbose', 'verb');
      try {
        id = loadOne(ctx.io, file, { section, program, defaultType: BPF_PROG_TYPE_XDP }).id;
      } catch (error) {
        if (error instanceof BpfToolError) throw new IpError(`Error: ${error.message}\n`, 1);
        throw error;
      }
    } else throw new IpError(`Error: "xdp" needs "obj FILE", "id N" or "off", not "${args.peek()}"\n`, 255);
  }
  attrs.nest(u.IFLA_XDP, (x) => x.u32(u.IFLA_XDP_FD, id >>> 0).u32(u.IFLA_XDP_FLAGS, flags));
}

function set(ctx: Context, argv: readonly string[]): void {
  const args = new Args(argv);
  const attrs = new AttrWriter();
  const changes: Changes = { flags: 0, change: 0 };
  let dev = '';
  let group: number | undefined;
  while (!args.done) {
    if (args.accept('name')) {
      const text = args.next();
      checkDeviceName(text, 'name');
      attrs.string(u.IFLA_IFNAME, text);
      continue;
    }
    if (args.accept('type')) {
      linkInfo(ctx, args, attrs, args.next());
      continue;
    }
    if (args.peek() === 'group' && dev === '') {
      args.next();
      group = readGroup(args.next());
      continue;
    }
    if (common(ctx, args, attrs, changes)) continue;
    args.accept('dev');
    const text = args.next();
    if (dev !== '') throw new IpError(`Error: either "dev" is duplicate, or "${text}" is a garbage.\n`, 255);
    checkDeviceName(text, 'dev');
    dev = text;
  }
  const send = (index: number): void => {
    const payload = new AttrWriter().raw(emitIfInfo({ family: AF_UNSPEC, index, ...changes })).raw(attrs.finish());
    ctx.netlink.request(u.RTM_NEWLINK, 0, payload.finish());
  };
  if (dev === '') {
    if (group === undefined) throw missing('dev');
    const wanted = group;
    for (const record of dumpLinks(ctx))
      if (getU32(record.attrs.get(u.IFLA_GROUP)!.payload) === wanted) send(record.header.index);
  } else {
    if (group !== undefined) attrs.u32(u.IFLA_GROUP, group);
    send(ctx.needLink(dev));
  }
  ctx.forgetLinks();
}

function add(ctx: Context, argv: readonly string[]): void {
  const args = new Args(argv);
  const attrs = new AttrWriter();
  const changes: Changes = { flags: 0, change: 0 };
  let dev = '';
  let kind = '';
  let index = 0;
  while (!args.done) {
    if (args.accept('name')) dev = args.next();
    else if (args.accept('link')) attrs.u32(u.IFLA_LINK, ctx.needLink(args.next()));
    else if (args.accept('index')) index = number(args, 'index');
    else if (args.accept('type')) {
      kind = args.next();
      linkInfo(ctx, args, attrs, kind);
    } else if (!common(ctx, args, attrs, changes)) {
      args.accept('dev');
      const text = args.next();
      if (dev !== '') throw new IpError(`Error: either "dev" is duplicate, or "${text}" is a garbage.\n`, 255);
      dev = text;
    }
  }
  if (dev !== '') {
    checkDeviceName(dev, 'name');
    attrs.string(u.IFLA_IFNAME, dev);
  }
  if (kind === '') throw new IpError('Not enough information: "type" argument is required\n', 1);
  const payload = new AttrWriter().raw(emitIfInfo({ index, ...changes })).raw(attrs.finish());
  ctx.netlink.request(u.RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload.finish());
  ctx.forgetLinks();
}

// IFLA_LINKINFO: the kind and its own options, to the end of the arguments.
function linkInfo(ctx: Context, args: Args, attrs: AttrWriter, kind: string): void {
  attrs.nest(u.IFLA_LINKINFO, (w) => {
    w.string(u.IFLA_INFO_KIND, kind);
    if (args.done) return;
    if (!KINDS.includes(kind)) throw new IpError(`netloom does not support options of link type "${kind}".\n`, 255);
    w.nest(u.IFLA_INFO_DATA, (data) => {
      if (kind === 'veth') vethPeer(ctx, args, data);
      else if (kind === 'vlan') vlanOptions(args, data);
      else if (kind === 'bridge') bridgeOptions(args, data);
      else throw new IpError(`${kind}: unknown command "${args.peek()}"?\n`, 255);
    });
  });
}

function vethPeer(ctx: Context, args: Args, data: AttrWriter): void {
  if (!args.accept('peer')) throw new IpError(`veth: unknown command "${args.peek()}"?\n`, 255);
  const peer = new AttrWriter();
  const changes: Changes = { flags: 0, change: 0 };
  while (!args.done) {
    if (args.accept('name')) {
      const text = args.next();
      checkDeviceName(text, 'name');
      peer.string(u.IFLA_IFNAME, text);
    } else if (!common(ctx, args, peer, changes)) {
      args.accept('dev');
      const text = args.next();
      checkDeviceName(text, 'name');
      peer.string(u.IFLA_IFNAME, text);
    }
  }
  data.bytes(VETH_INFO_PEER, new AttrWriter().raw(emitIfInfo(changes)).raw(peer.finish()).finish());
}

function vlanOptions(args: Args, data: AttrWriter): void {
  let flags = 0;
  let mask = 0;
  while (!args.done) {
    if (args.accept('id')) data.u16(u.IFLA_VLAN_ID, number(args, 'id'));
    else if (args.accept('protocol')) {
      const text = args.next().toLowerCase();
      if (text !== '802.1q' && text !== '802.1ad') throw invalidArgument(text, 'protocol is invalid\n');
      data.beU16(u.IFLA_VLAN_PROTOCOL, text === '802.1q' ? 0x8100 : 0x88a8);
    } else if (args.accept('reorder_hdr')) {
      mask |= 1;
      if (args.next() === 'on') flags |= 1;
    } else throw new IpError(`netloom does not support vlan option "${args.peek()}".\n`, 255);
  }
  if (mask !== 0) {
    const value = new Uint8Array(8);
    new DataView(value.buffer).setUint32(0, flags, true);
    new DataView(value.buffer).setUint32(4, mask, true);
    data.bytes(u.IFLA_VLAN_FLAGS, value);
  }
}

function bridgeOptions(args: Args, data: AttrWriter): void {
  const options: ReadonlyMap<string, readonly [number, 1 | 2 | 4]> = new Map([
    ['forward_delay', [u.IFLA_BR_FORWARD_DELAY, 4]],
    ['hello_time', [u.IFLA_BR_HELLO_TIME, 4]],
    ['max_age', [u.IFLA_BR_MAX_AGE, 4]],
    ['ageing_time', [u.IFLA_BR_AGEING_TIME, 4]],
    ['stp_state', [u.IFLA_BR_STP_STATE, 4]],
    ['priority', [u.IFLA_BR_PRIORITY, 2]],
    ['vlan_filtering', [u.IFLA_BR_VLAN_FILTERING, 1]],
    ['mcast_snooping', [u.IFLA_BR_MCAST_SNOOPING, 1]],
  ]);
  while (!args.done) {
    const word = args.next();
    const option = options.get(word);
    if (option === undefined) throw new IpError(`netloom does not support bridge option "${word}".\n`, 255);
    const value = number(args, word);
    if (option[1] === 4) data.u32(option[0], value);
    else if (option[1] === 2) data.u16(option[0], value);
    else data.u8(option[0], value);
  }
}

function remove(ctx: Context, argv: readonly string[]): void {
  const args = new Args(argv);
  let dev = '';
  while (!args.done) {
    if (args.accept('type')) args.next();
    else {
      args.accept('dev', 'name');
      dev = args.next();
    }
  }
  if (dev === '') throw missing('dev');
  const payload = emitIfInfo({ index: ctx.needLink(dev) });
  ctx.netlink.request(u.RTM_DELLINK, 0, payload);
  ctx.forgetLinks();
}
