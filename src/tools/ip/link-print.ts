/**
 * One device as `ip link` and `ip addr` print it, from an RTM_NEWLINK message. See ip-link(8).
 */
import { formatIpv4, formatMac } from '../../wire/address.ts';
import { type Attr, attrMap, getString, getU8, getU16, getU32, getU64 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { IFINFOMSG_LENGTH, type IfInfo, parseIfInfo } from '../../wire/netlink/rtnetlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { Context } from './context.ts';
import { linkFlags, linkTypes, operStates } from './names.ts';

export type LinkRecord = { readonly header: IfInfo; readonly attrs: ReadonlyMap<number, Attr> };

/** Reads an RTM_NEWLINK message. */
export function readLink(m: Message): LinkRecord {
  return { header: parseIfInfo(m.payload), attrs: attrMap(m.payload, IFINFOMSG_LENGTH) };
}

const str = (attr: Attr | undefined): string => (attr === undefined ? '' : getString(attr.payload));
const num = (attr: Attr | undefined): number => (attr === undefined ? 0 : getU32(attr.payload));

/** A link-layer address by its length: MAC, IPv4 (tunnels), or nothing. */
export function linkAddress(payload: Uint8Array, type: number): string {
  return payload.length === 4 && (type === 768 || type === 778 || type === 776)
    ? formatIpv4(payload)
    : formatMac(payload, 0, payload.length);
}

/** Kind of a link ("veth", "bridge"...), "" when it has none. */
export function linkKind(record: LinkRecord): string {
  const info = record.attrs.get(u.IFLA_LINKINFO);
  return info === undefined ? '' : str(attrMap(info.payload).get(u.IFLA_INFO_KIND));
}

function flagNames(flags: number, peerDown: boolean): string[] {
  const out: string[] = [];
  if (flags & u.IFF_UP && !(flags & u.IFF_RUNNING)) out.push('NO-CARRIER');
  let rest = flags & ~u.IFF_RUNNING;
  for (const [bit, name] of linkFlags)
    if (rest & bit) {
      out.push(name);
      rest &= ~bit;
    }
  if (rest !== 0) out.push((rest >>> 0).toString(16));
  if (peerDown) out.push('M-DOWN');
  return out;
}

// Name, the device below it or beyond it, and the flags as text.
function naming(
  ctx: Context,
  record: LinkRecord,
): { name: string; below: string; elsewhere: boolean; flags: string[] } {
  const { header, attrs } = record;
  const name = str(attrs.get(u.IFLA_IFNAME));
  const link = attrs.get(u.IFLA_LINK);
  let below = '';
  let peerDown = false;
  const elsewhere = attrs.has(u.IFLA_LINK_NETNSID);
  if (link !== undefined) {
    const index = num(link);
    if (index === 0) below = 'NONE';
    else if (elsewhere) below = `if${index}`;
    else {
      below = ctx.linkName(index);
      peerDown = ((ctx.links().get(index)?.flags ?? u.IFF_UP) & u.IFF_UP) === 0;
    }
  }
  return { name, below, elsewhere, flags: flagNames(header.flags, peerDown) };
}

/** `-br`: name and state, and for `ip link` address and flags. */
export function printBrief(ctx: Context, record: LinkRecord, isLink: boolean): void {
  const { out } = ctx;
  const { name, below, elsewhere, flags } = naming(ctx, record);
  if (below !== '')
    out.value(elsewhere ? 'link_index' : 'link', elsewhere ? num(record.attrs.get(u.IFLA_LINK)) : below);
  out.field('ifname', name, (below === '' ? name : `${name}@${below}`).padEnd(16).concat(' '));
  const state = operStates[operState(record)] ?? 'UNKNOWN';
  out.field('operstate', state, `${state.padEnd(14)} `);
  if (!isLink) return;
  const address = record.attrs.get(u.IFLA_ADDRESS);
  if (address !== undefined) {
    const text = linkAddress(address.payload, record.header.type);
    out.field('address', text, `${text} `);
  }
  out.field('flags', flags, `<${flags.join(',')}> `);
  out.end();
}

function operState(record: LinkRecord): number {
  const attr = record.attrs.get(u.IFLA_OPERSTATE);
  return attr === undefined ? 0 : getU8(attr.payload);
}

/** The first line: index, name, flags, mtu and so on. `isLink`: for `ip link`, which also shows the mode. */
export function printLink(ctx: Context, record: LinkRecord, isLink: boolean, showAddress: boolean): void {
  const { out, options } = ctx;
  const { header, attrs } = record;
  const { name, below, elsewhere, flags } = naming(ctx, record);
  out.field('ifindex', header.index, `${header.index}: `);
  if (below !== '') {
    if (elsewhere) out.value('link_index', num(attrs.get(u.IFLA_LINK)));
    else out.value('link', below === 'NONE' ? null : below);
  }
  out.field('ifname', name, `${below === '' ? name : `${name}@${below}`}: `);
  out.field('flags', flags, `<${flags.join(',')}> `);
  const put = (key: string, label: string, value: string | number): void => out.field(key, value, `${label} ${value} `);
  if (attrs.has(u.IFLA_MTU)) put('mtu', 'mtu', num(attrs.get(u.IFLA_MTU)));
  if (attrs.has(u.IFLA_XDP)) out.field('xdp', 'xdp', 'xdp ');
  if (attrs.has(u.IFLA_QDISC)) put('qdisc', 'qdisc', str(attrs.get(u.IFLA_QDISC)));
  if (attrs.has(u.IFLA_MASTER)) put('master', 'master', ctx.linkName(num(attrs.get(u.IFLA_MASTER))));
  if (attrs.has(u.IFLA_OPERSTATE))
    put('operstate', 'state', operStates[operState(record)] ?? String(operState(record)));
  if (isLink && attrs.has(u.IFLA_LINKMODE)) {
    const mode = getU8(attrs.get(u.IFLA_LINKMODE)!.payload);
    put('linkmode', 'mode', ['DEFAULT', 'DORMANT'][mode] ?? String(mode));
  }
  if (attrs.has(u.IFLA_GROUP)) {
    const group = num(attrs.get(u.IFLA_GROUP));
    put('group', 'group', group === 0 ? 'default' : String(group));
  }
  const qlen = num(attrs.get(u.IFLA_TXQLEN));
  if (qlen !== 0) out.field('txqlen', qlen, `qlen ${qlen}`);
  if (showAddress) {
    out.newline();
    const type = linkTypes.get(header.type) ?? String(header.type);
    out.field('link_type', type, `    link/${type} `);
    const address = attrs.get(u.IFLA_ADDRESS);
    if (address !== undefined) {
      const text = linkAddress(address.payload, header.type);
      out.field('address', text, text);
    }
    const broadcast = attrs.get(u.IFLA_BROADCAST);
    if (broadcast !== undefined) {
      const far = (header.flags & u.IFF_POINTOPOINT) !== 0;
      const text = linkAddress(broadcast.payload, header.type);
      if (far) out.value('link_pointtopoint', true);
      out.field('broadcast', text, ` ${far ? 'peer' : 'brd'} ${text}`);
    }
  }
  if (elsewhere) {
    const id = attrs.get(u.IFLA_LINK_NETNSID)!;
    const n = new DataView(id.payload.buffer, id.payload.byteOffset).getInt32(0, true);
    out.field('link_netnsid', n, ` link-netnsid ${n}`);
  }
  if (options.details > 0) printDetails(ctx, record, isLink);
  const xdp = attrs.get(u.IFLA_XDP);
  const program = xdp === undefined ? undefined : attrMap(xdp.payload).get(u.IFLA_XDP_PROG_ID);
  if (program !== undefined) {
    out.newline();
    out.field('xdp_prog', num(program), `    prog/xdp id ${num(program)} `);
  }
  const alias = attrs.get(u.IFLA_IFALIAS);
  if (alias !== undefined) {
    out.newline();
    out.field('ifalias', str(alias), `    alias ${str(alias)}`);
  }
}

function printDetails(ctx: Context, record: LinkRecord, isLink: boolean): void {
  const { out } = ctx;
  const { attrs } = record;
  const put = (attr: number, key: string, text: string): void => {
    if (attrs.has(attr)) out.field(key, num(attrs.get(attr)), text.replace('%', String(num(attrs.get(attr)))));
  };
  put(u.IFLA_PROMISCUITY, 'promiscuity', ' promiscuity % ');
  put(u.IFLA_ALLMULTI, 'allmulti', ' allmulti % ');
  put(u.IFLA_MIN_MTU, 'min_mtu', 'minmtu % ');
  put(u.IFLA_MAX_MTU, 'max_mtu', 'maxmtu % ');
  const info = attrs.get(u.IFLA_LINKINFO);
  if (info !== undefined) {
    const nest = attrMap(info.payload);
    const kind = str(nest.get(u.IFLA_INFO_KIND));
    out.open('object', 'linkinfo');
    if (kind !== '') {
      out.newline();
      out.field('info_kind', kind, `    ${kind} `);
      const data = nest.get(u.IFLA_INFO_DATA);
      if (data !== undefined && kind === 'vlan') printVlan(ctx, data.payload);
      if (data !== undefined && kind === 'bridge') printBridge(ctx, data.payload);
    }
    const slave = str(nest.get(u.IFLA_INFO_SLAVE_KIND));
    if (slave !== '') {
      out.newline();
      out.field('info_slave_kind', slave, `    ${slave}_slave `);
    }
    out.close();
  }
  const spec = isLink ? attrs.get(u.IFLA_AF_SPEC) : undefined;
  const six = spec === undefined ? undefined : attrMap(spec.payload).get(10);
  const mode = six === undefined ? undefined : attrMap(six.payload).get(u.IFLA_INET6_ADDR_GEN_MODE);
  if (mode !== undefined) {
    const name = ['eui64', 'none', 'stable_secret', 'random'][getU8(mode.payload)] ?? '';
    out.field('inet6_addr_gen_mode', name, `addrgenmode ${name} `);
  }
  put(u.IFLA_NUM_TX_QUEUES, 'num_tx_queues', 'numtxqueues % ');
  put(u.IFLA_NUM_RX_QUEUES, 'num_rx_queues', 'numrxqueues % ');
  put(u.IFLA_GSO_MAX_SIZE, 'gso_max_size', 'gso_max_size % ');
  put(u.IFLA_GSO_MAX_SEGS, 'gso_max_segs', 'gso_max_segs % ');
  put(u.IFLA_TSO_MAX_SIZE, 'tso_max_size', 'tso_max_size % ');
  put(u.IFLA_TSO_MAX_SEGS, 'tso_max_segs', 'tso_max_segs % ');
  put(u.IFLA_GRO_MAX_SIZE, 'gro_max_size', 'gro_max_size % ');
}

function printVlan(ctx: Context, data: Uint8Array): void {
  const { out } = ctx;
  const nest = attrMap(data);
  out.open('object', 'info_data');
  const protocol = nest.get(u.IFLA_VLAN_PROTOCOL);
  if (protocol !== undefined) {
    const name = protocol.payload[0] === 0x88 ? '802.1ad' : '802.1Q';
    out.field('protocol', name, `protocol ${name} `);
  }
  const id = nest.get(u.IFLA_VLAN_ID);
  if (id !== undefined) out.field('id', getU16(id.payload), `id ${getU16(id.payload)} `);
  const flags = nest.get(u.IFLA_VLAN_FLAGS);
  if (flags !== undefined) {
    const value = getU32(flags.payload);
    const names = ['REORDER_HDR', 'GVRP', 'LOOSE_BINDING', 'MVRP', 'BRIDGE_BINDING'].filter((_, i) => value & (1 << i));
    out.field('flags', names, `<${names.join(',')}> `);
  }
  out.close();
}

// What netloom's bridge tells of itself; Linux tells much more.
function printBridge(ctx: Context, data: Uint8Array): void {
  const { out } = ctx;
  const nest = attrMap(data);
  out.open('object', 'info_data');
  const fields: readonly (readonly [number, string, string, number])[] = [
    [u.IFLA_BR_FORWARD_DELAY, 'forward_delay', 'forward_delay', 4],
    [u.IFLA_BR_HELLO_TIME, 'hello_time', 'hello_time', 4],
    [u.IFLA_BR_MAX_AGE, 'max_age', 'max_age', 4],
    [u.IFLA_BR_AGEING_TIME, 'ageing_time', 'ageing_time', 4],
    [u.IFLA_BR_STP_STATE, 'stp_state', 'stp_state', 4],
    [u.IFLA_BR_PRIORITY, 'priority', 'priority', 2],
    [u.IFLA_BR_VLAN_FILTERING, 'vlan_filtering', 'vlan_filtering', 1],
  ];
  for (const [type, key, label, size] of fields) {
    const attr = nest.get(type);
    if (attr === undefined || attr.payload.length < size) continue;
    const value = size === 4 ? getU32(attr.payload) : size === 2 ? getU16(attr.payload) : getU8(attr.payload);
    out.field(key, value, `${label} ${value} `);
  }
  out.close();
}

type Counters = readonly bigint[];

/** `-s`: packet and byte counters; twice `-s`: also the errors in detail. */
export function printStats(ctx: Context, record: LinkRecord): void {
  const attr = record.attrs.get(u.IFLA_STATS64);
  if (attr === undefined) return;
  const n: Counters = Array.from({ length: Math.floor(attr.payload.length / 8) }, (_, i) =>
    getU64(attr.payload.subarray(i * 8)),
  );
  const { out, options } = ctx;
  const at = (i: number): bigint => n[i] ?? 0n;
  if (out.json) {
    const obj = (names: readonly string[], indices: readonly number[]): void =>
      names.forEach((name, i) => {
        out.value(name, Number(at(indices[i])));
      });
    out.open('object', 'stats64');
    out.open('object', 'rx');
    obj(['bytes', 'packets', 'errors', 'dropped', 'over_errors', 'multicast'], [2, 0, 4, 6, 11, 8]);
    out.close();
    out.open('object', 'tx');
    obj(['bytes', 'packets', 'errors', 'dropped', 'carrier_errors', 'collisions'], [3, 1, 5, 7, 17, 9]);
    out.close();
    out.close();
    return;
  }
  const widths = [10, 7, 6, 7, 7, 7, 10];
  const rx = [2, 0, 4, 6, 15, 8];
  const tx = [3, 1, 5, 7, 17, 9];
  for (const list of [rx, tx])
    list.forEach((index, i) => {
      widths[i] = Math.max(widths[i], String(at(index)).length);
    });
  const head = (label: string, names: readonly string[]): void => {
    out.newline();
    // Error rows have five columns and no room for "compressed".
    const list = names.length === 6 ? [...names, ''] : names;
    const cells = list.map((name, i) => name.padStart(i === 0 ? widths[0] - label.length : widths[i]));
    out.raw(`    ${label}${cells.join(' ')}`);
  };
  const row = (indices: readonly number[]): void => {
    out.newline();
    out.raw(`    ${indices.map((index, i) => `${String(at(index)).padStart(widths[i])} `).join('')}`);
  };
  head('RX: ', ['bytes', 'packets', 'errors', 'dropped', 'missed', 'mcast']);
  row(rx);
  if (options.stats > 1) {
    head('RX errors:', [' length', 'crc', 'frame', 'fifo', 'overrun']);
    row([10, 12, 13, 14, 11]);
  }
  head('TX: ', ['bytes', 'packets', 'errors', 'dropped', 'carrier', 'collsns']);
  row(tx);
  if (options.stats > 1) {
    head('TX errors:', [' aborted', 'fifo', 'window', 'heartbt', 'transns']);
    const changes = String(num(record.attrs.get(u.IFLA_CARRIER_CHANGES)));
    out.newline();
    const cells = [16, 18, 20, 19].map((index, i) => `${String(at(index)).padStart(widths[i])} `).join('');
    out.raw(`    ${cells}${changes.padStart(widths[4])} `);
  }
}
