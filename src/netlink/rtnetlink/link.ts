/**
 * RTM_{NEW,DEL,GET}LINK: devices. See rtnetlink(7), Documentation/networking/netdevices.rst.
 */
import { EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ERANGE, KernelError } from '../../core/errno.ts';
import { type Attr, AttrWriter, attrMap, getBeU16, getString, getU8, getU16, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitIfInfo, IFINFOMSG_LENGTH, parseIfInfo } from '../../wire/netlink/rtnetlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import { XDP_FLAGS_HW_MODE, XDP_FLAGS_UPDATE_IF_NOEXIST } from '../../wire/uapi/pkt-sched.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { LinkChange, LinkCreate, LinkView, RtnetlinkHost } from './host.ts';

const VETH_INFO_PEER = 1;
const KINDS = new Set(['veth', 'dummy', 'bridge', 'vlan']);
const OTHER_KINDS = new Set([
  'bond',
  'macvlan',
  'macvtap',
  'ipvlan',
  'ipvtap',
  'vxlan',
  'geneve',
  'gre',
  'gretap',
  'ip6gre',
  'ip6gretap',
  'ipip',
  'sit',
  'ip6tnl',
  'vti',
  'vti6',
  'vrf',
  'tun',
  'ifb',
  'team',
  'wireguard',
  'vcan',
  'nlmon',
  'hsr',
  'bareudp',
  'xfrm',
]);
const STATS = 25;

type Attrs = ReadonlyMap<number, Attr>;

/** The payload of RTM_NEWLINK for a device. `full`: with statistics (a request without RTEXT_FILTER_SKIP_STATS). */
export function linkPayload(host: RtnetlinkHost, link: LinkView, full = true): Uint8Array {
  const w = new AttrWriter();
  w.raw(emitIfInfo({ type: link.type, index: link.ifindex, flags: link.flags }));
  w.string(u.IFLA_IFNAME, link.name).u32(u.IFLA_TXQLEN, link.txqlen).u8(u.IFLA_OPERSTATE, link.operstate);
  w.u8(u.IFLA_LINKMODE, 0).u32(u.IFLA_MTU, link.mtu).u32(u.IFLA_MIN_MTU, link.minMtu).u32(u.IFLA_MAX_MTU, link.maxMtu);
  w.u32(u.IFLA_GROUP, link.group).u32(u.IFLA_PROMISCUITY, link.promiscuity).u32(u.IFLA_ALLMULTI, 0);
  const queues = link.kind === 'veth' ? 2 : 1;
  w.u32(u.IFLA_NUM_TX_QUEUES, queues).u32(u.IFLA_GSO_MAX_SEGS, 65535).u32(u.IFLA_GSO_MAX_SIZE, 65536);
  w.u32(u.IFLA_GRO_MAX_SIZE, 65536).u32(u.IFLA_TSO_MAX_SIZE, 524280).u32(u.IFLA_TSO_MAX_SEGS, 65535);
  w.u32(u.IFLA_NUM_RX_QUEUES, queues);
  if (link.master !== 0) w.u32(u.IFLA_MASTER, link.master);
  w.u8(u.IFLA_CARRIER, link.flags & u.IFF_LOWER_UP ? 1 : 0).u32(u.IFLA_CARRIER_CHANGES, link.carrierChanges);
  w.u32(u.IFLA_CARRIER_UP_COUNT, link.carrierChanges >> 1);
  w.u32(u.IFLA_CARRIER_DOWN_COUNT, (link.carrierChanges + 1) >> 1).u8(u.IFLA_PROTO_DOWN, 0);
  if (link.alias !== '') w.bytes(u.IFLA_IFALIAS, new TextEncoder().encode(link.alias));
  w.bytes(u.IFLA_ADDRESS, link.address).bytes(u.IFLA_BROADCAST, link.broadcast);
  if (full) statistics(w, link);
  if (link.kind !== '') linkInfo(w, host, link);
  if (link.link >= 0) w.u32(u.IFLA_LINK, link.link);
  if (link.linkElsewhere) w.u32(u.IFLA_LINK_NETNSID, 0);
  w.string(u.IFLA_QDISC, link.qdisc);
  const xdp = host.tc.xdp(link.ifindex);
  if (xdp !== 0)
    w.nest(u.IFLA_XDP, (x) => {
      // 1: by the driver.
      x.u8(u.IFLA_XDP_ATTACHED, 1).u32(u.IFLA_XDP_PROG_ID, xdp).u32(u.IFLA_XDP_DRV_PROG_ID, xdp);
    });
  w.nest(u.IFLA_AF_SPEC, (spec) => {
    spec.nest(10, (six) => {
      six.u32(u.IFLA_INET6_FLAGS, link.flags & u.IFF_UP ? 0x80000000 : 0);
      six.u8(u.IFLA_INET6_ADDR_GEN_MODE, host.conf(10, link.ifindex, 'addr_gen_mode') ?? 0);
    });
  });
  return w.finish();
}

function statistics(w: AttrWriter, link: LinkView): void {
  const wide = new Uint8Array(STATS * 8);
  const narrow = new Uint8Array((STATS - 1) * 4);
  const a = new DataView(wide.buffer);
  const b = new DataView(narrow.buffer);
  for (let i = 0; i < STATS && i < link.stats.length; i++) {
    a.setBigUint64(i * 8, BigInt(link.stats[i]), true);
    if (i < STATS - 1) b.setUint32(i * 4, link.stats[i] >>> 0, true);
  }
  w.bytes(u.IFLA_STATS64, wide).bytes(u.IFLA_STATS, narrow);
}

function linkInfo(w: AttrWriter, host: RtnetlinkHost, link: LinkView): void {
  const master = link.master === 0 ? undefined : host.links().find((l) => l.ifindex === link.master);
  w.nest(u.IFLA_LINKINFO, (info) => {
    info.string(u.IFLA_INFO_KIND, link.kind);
    const { vlan, bridge } = link;
    if (vlan !== undefined)
      info.nest(u.IFLA_INFO_DATA, (data) => {
        data.beU16(u.IFLA_VLAN_PROTOCOL, vlan.protocol).u16(u.IFLA_VLAN_ID, vlan.id);
        const flags = new Uint8Array(8);
        new DataView(flags.buffer).setUint32(0, vlan.flags, true);
        new DataView(flags.buffer).setUint32(4, 0xffffffff, true);
        data.bytes(u.IFLA_VLAN_FLAGS, flags);
      });
    if (bridge !== undefined)
      info.nest(u.IFLA_INFO_DATA, (data) => {
        for (const [type, value] of bridge) bridgeOption(data, type, value);
      });
    if (master !== undefined) info.string(u.IFLA_INFO_SLAVE_KIND, master.kind);
  });
}

const BRIDGE_U8 = new Set<number>([u.IFLA_BR_VLAN_FILTERING, u.IFLA_BR_MCAST_SNOOPING]);

function bridgeOption(w: AttrWriter, type: number, value: number): void {
  if (BRIDGE_U8.has(type)) w.u8(type, value);
  else if (type === u.IFLA_BR_PRIORITY) w.u16(type, value);
  else w.u32(type, value);
}

/** The device a request means: by index, or by IFLA_IFNAME. */
function target(host: RtnetlinkHost, index: number, attrs: Attrs): LinkView | undefined {
  if (index > 0) return host.links().find((link) => link.ifindex === index);
  const name = attrs.get(u.IFLA_IFNAME);
  return name === undefined ? undefined : host.links().find((link) => link.name === getString(name.payload));
}

/** RTM_GETLINK. */
export function getLinks(host: RtnetlinkHost, m: Message, dump: boolean): Uint8Array[] {
  const header = parseIfInfo(m.payload);
  const attrs = attrMap(m.payload, IFINFOMSG_LENGTH);
  const mask = attrs.get(u.IFLA_EXT_MASK);
  const full = mask === undefined || !(getU32(mask.payload) & u.RTEXT_FILTER_SKIP_STATS);
  if (!dump) {
    const link = target(host, header.index, attrs);
    if (link === undefined) throw new KernelError(ENODEV);
    return [linkPayload(host, link, full)];
  }
  const master = attrs.get(u.IFLA_MASTER);
  const info = attrs.get(u.IFLA_LINKINFO);
  const kind = info === undefined ? undefined : attrMap(info.payload).get(u.IFLA_INFO_KIND);
  return host
    .links()
    .filter((link) => master === undefined || link.master === getU32(master.payload))
    .filter((link) => kind === undefined || link.kind === getString(kind.payload))
    .map((link) => linkPayload(host, link, full));
}

/** RTM_NEWLINK: a new device, or a change of one. */
export function newLink(host: RtnetlinkHost, m: Message): void {
  const header = parseIfInfo(m.payload);
  const attrs = attrMap(m.payload, IFINFOMSG_LENGTH);
  const link = target(host, header.index, attrs);
  if (link !== undefined) {
    if (m.flags & NLM_F_EXCL) throw new KernelError(EEXIST);
    const change = readChange(host, attrs, header.flags, header.change || (header.flags ? header.flags : 0));
    host.changeLink(link.ifindex, change);
    changeXdp(host, link.ifindex, attrs);
    return;
  }
  if (!(m.flags & NLM_F_CREATE)) throw new KernelError(ENODEV);
  const create = readCreate(host, attrs, header.index, header.flags, header.change);
  host.createLink(create);
}

/** IFLA_XDP: a program's number where Linux has a file descriptor; -1 takes the program off. */
function changeXdp(host: RtnetlinkHost, ifindex: number, attrs: Attrs): void {
  const xdp = attrs.get(u.IFLA_XDP);
  if (xdp === undefined) return;
  const own = attrMap(xdp.payload);
  const fd = own.get(u.IFLA_XDP_FD);
  if (fd === undefined) throw new KernelError(EINVAL);
  const flags = own.get(u.IFLA_XDP_FLAGS);
  const bits = flags === undefined ? 0 : getU32(flags.payload);
  if ((bits & XDP_FLAGS_HW_MODE) !== 0) throw new KernelError(EOPNOTSUPP, 'the device has no XDP offload');
  const id = getU32(fd.payload) | 0;
  host.tc.setXdp(ifindex, Math.max(id, 0), (bits & XDP_FLAGS_UPDATE_IF_NOEXIST) !== 0);
}

/** RTM_DELLINK. */
export function deleteLink(host: RtnetlinkHost, m: Message): void {
  const header = parseIfInfo(m.payload);
  const link = target(host, header.index, attrMap(m.payload, IFINFOMSG_LENGTH));
  if (link === undefined) throw new KernelError(ENODEV);
  if (link.kind === '') throw new KernelError(EOPNOTSUPP);
  host.deleteLink(link.ifindex);
}

function checkName(host: RtnetlinkHost, name: string): void {
  if (name.length > 15) throw new KernelError(ERANGE);
  if (name === '' || name === '.' || name === '..' || /[/:\s]/.test(name)) throw new KernelError(EINVAL);
  if (host.links().some((link) => link.name === name)) throw new KernelError(EEXIST);
}

function readChange(host: RtnetlinkHost, attrs: Attrs, flags: number, mask: number): LinkChange {
  const out: { -readonly [K in keyof LinkChange]: LinkChange[K] } = {};
  const num = (type: number): number | undefined => {
    const attr = attrs.get(type);
    return attr === undefined ? undefined : getU32(attr.payload);
  };
  out.mtu = num(u.IFLA_MTU);
  out.txqlen = num(u.IFLA_TXQLEN);
  out.group = num(u.IFLA_GROUP);
  out.master = num(u.IFLA_MASTER);
  if (out.master !== undefined && out.master !== 0) {
    const master = host.links().find((link) => link.ifindex === out.master);
    if (master === undefined) throw new KernelError(EINVAL);
    if (master.kind !== 'bridge') throw new KernelError(EOPNOTSUPP, 'Device does not allow enslaving to a bridge');
  }
  const address = attrs.get(u.IFLA_ADDRESS)?.payload;
  if (address !== undefined) {
    if (address.length !== 6) throw new KernelError(EINVAL);
    if (address[0] & 1 || address.every((byte) => byte === 0)) throw new KernelError(EADDRNOTAVAIL);
    out.address = Uint8Array.from(address);
  }
  const broadcast = attrs.get(u.IFLA_BROADCAST)?.payload;
  if (broadcast !== undefined) out.broadcast = Uint8Array.from(broadcast);
  const alias = attrs.get(u.IFLA_IFALIAS);
  if (alias !== undefined) out.alias = getString(alias.payload);
  const name = attrs.get(u.IFLA_IFNAME);
  if (name !== undefined) out.name = getString(name.payload);
  if (mask !== 0) {
    out.flags = flags;
    out.mask = mask;
  }
  const spec = attrs.get(u.IFLA_AF_SPEC);
  const six = spec === undefined ? undefined : attrMap(spec.payload).get(10);
  const mode = six === undefined ? undefined : attrMap(six.payload).get(u.IFLA_INET6_ADDR_GEN_MODE);
  if (mode !== undefined) out.addrGenMode = getU8(mode.payload);
  const data = infoData(attrs);
  if (data !== undefined && kindOf(attrs) === 'bridge') out.bridge = readBridge(data);
  for (const type of [u.IFLA_NET_NS_PID, u.IFLA_NET_NS_FD, u.IFLA_VFINFO_LIST])
    if (attrs.has(type))
      throw new KernelError(EOPNOTSUPP, 'netloom does not support this link attribute', attrs.get(type)?.offset);
  return out;
}

function infoData(attrs: Attrs): Attrs | undefined {
  const info = attrs.get(u.IFLA_LINKINFO);
  const data = info === undefined ? undefined : attrMap(info.payload).get(u.IFLA_INFO_DATA);
  return data === undefined ? undefined : attrMap(data.payload);
}

function kindOf(attrs: Attrs): string {
  const info = attrs.get(u.IFLA_LINKINFO);
  const kind = info === undefined ? undefined : attrMap(info.payload).get(u.IFLA_INFO_KIND);
  return kind === undefined ? '' : getString(kind.payload);
}

function readBridge(data: Attrs): Map<number, number> {
  const out = new Map<number, number>();
  for (const [type, { payload }] of data) {
    if (payload.length === 4) out.set(type, getU32(payload));
    else if (payload.length === 2) out.set(type, getU16(payload));
    else if (payload.length === 1) out.set(type, getU8(payload));
  }
  return out;
}

function freeName(host: RtnetlinkHost, kind: string, taken: readonly string[]): string {
  for (let i = 0; ; i++) {
    const name = `${kind}${i}`;
    if (!taken.includes(name) && !host.links().some((link) => link.name === name)) return name;
  }
}

function readCreate(host: RtnetlinkHost, attrs: Attrs, ifindex: number, flags: number, mask: number): LinkCreate {
  const kind = kindOf(attrs);
  if (!KINDS.has(kind)) {
    const known = OTHER_KINDS.has(kind);
    throw new KernelError(EOPNOTSUPP, known ? `netloom does not support device type ${kind}` : 'Unknown device type');
  }
  if (ifindex > 0 && host.links().some((link) => link.ifindex === ifindex)) throw new KernelError(EEXIST);
  const change = readChange(host, attrs, flags, mask);
  const data = infoData(attrs);
  const name = change.name ?? freeName(host, kind, []);
  if (change.name !== undefined) checkName(host, name);
  const link = attrs.get(u.IFLA_LINK);
  const base: LinkCreate = {
    ...change,
    kind,
    name,
    ifindex,
    link: link === undefined ? undefined : getU32(link.payload),
  };
  if (kind === 'vlan') return { ...base, ...readVlan(host, base, data) };
  if (kind === 'veth') return { ...base, peer: readPeer(host, name, data) };
  return base;
}

function readVlan(host: RtnetlinkHost, base: LinkCreate, data: Attrs | undefined): Pick<LinkCreate, 'vlan' | 'name'> {
  const id = data?.get(u.IFLA_VLAN_ID);
  if (id === undefined) throw new KernelError(EINVAL, 'VLAN id not specified');
  if (base.link === undefined) throw new KernelError(EINVAL, 'link not specified');
  if (!host.links().some((link) => link.ifindex === base.link)) throw new KernelError(ENODEV, 'link does not exist');
  const number = getU16(id.payload);
  if (number >= 4096) throw new KernelError(ERANGE, 'Invalid VLAN id');
  const protocol = data?.get(u.IFLA_VLAN_PROTOCOL);
  const flags = data?.get(u.IFLA_VLAN_FLAGS);
  const type = protocol === undefined ? 0x8100 : getBeU16(protocol.payload);
  if (type !== 0x8100 && type !== 0x88a8) throw new KernelError(EOPNOTSUPP, 'Invalid VLAN protocol');
  if (
    host
      .links()
      .some((l) => l.kind === 'vlan' && l.link === base.link && l.vlan?.id === number && l.vlan.protocol === type)
  )
    throw new KernelError(EEXIST);
  return {
    name: base.name,
    vlan: {
      id: number,
      protocol: type,
      flags: flags === undefined ? 1 : (1 & ~getU32(flags.payload.subarray(4))) | getU32(flags.payload),
    },
  };
}

function readPeer(host: RtnetlinkHost, name: string, data: Attrs | undefined): LinkCreate {
  const peer = data?.get(VETH_INFO_PEER);
  if (peer === undefined) return { kind: 'veth', name: freeName(host, 'veth', [name]), ifindex: 0 };
  const header = parseIfInfo(peer.payload);
  const change = readChange(host, attrMap(peer.payload, IFINFOMSG_LENGTH), header.flags, header.change);
  const own = change.name ?? freeName(host, 'veth', [name]);
  if (change.name !== undefined) checkName(host, own);
  if (own === name) throw new KernelError(EEXIST);
  return { ...change, kind: 'veth', name: own, ifindex: header.index };
}
