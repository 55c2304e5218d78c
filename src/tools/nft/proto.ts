/**
 * Protocol headers of the nft language (nft(8), "PAYLOAD EXPRESSIONS"): fields, and which field or meta key says what
 * comes next. Offsets and lengths in bits from the start of the header.
 */

import {
  NFT_INNER_GENEVE,
  NFT_INNER_LL,
  NFT_INNER_MASK,
  NFT_INNER_NH,
  NFT_INNER_TH,
  NFT_INNER_VXLAN,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_META_PROTOCOL,
} from '../../wire/uapi/nf-tables.ts';
import * as dt from './datatype.ts';

/** Where a header starts. The kernel's payload base is one less (link layer 0, network 1, transport 2, inner 3). */
export const BASE_INVALID = 0;
export const BASE_LL = 1;
export const BASE_NETWORK = 2;
export const BASE_TRANSPORT = 3;
export const BASE_INNER = 4;
/** The header of a tunnel itself, inside `inner`. */
export const BASE_TUNNEL = 5;
export const BASE_NAMES: readonly string[] = [
  'invalid',
  'link layer',
  'network layer',
  'transport layer',
  'payload data',
];

export type Field = {
  readonly name: string;
  readonly type: dt.Datatype;
  readonly offset: number;
  readonly len: number;
  /** ICMP messages that have the field: their types. */
  readonly icmp?: readonly number[];
};

export type ProtoDesc = {
  readonly name: string;
  readonly base: number;
  /** Header length in bits. */
  readonly length: number;
  readonly fields: readonly Field[];
  /** The field that names the next protocol. */
  readonly protocolField?: string;
  /** The meta key that dependencies of upper protocols compare; without it they compare the protocol field. */
  readonly protocolMeta?: number;
  readonly protocolType?: dt.Datatype;
  /** Next protocols by number; in the order in which they are searched. */
  readonly upper?: readonly (readonly [number: number, name: string])[];
  /** Field that holds the checksum, and whether the transport pseudo header covers this header's addresses. */
  readonly checksum?: string;
  /** A tunnel: how the kernel's `inner` expression finds what it carries (NFTA_INNER_*). */
  readonly inner?: { readonly type: number; readonly hdrsize: number; readonly flags: number };
};

const int = dt.integerType;
const f = (name: string, offset: number, len: number, type: dt.Datatype = int, icmp?: readonly number[]): Field => ({
  name,
  offset,
  len,
  type,
  ...(icmp && { icmp }),
});
const ports: readonly Field[] = [f('sport', 0, 16, dt.inetServiceType), f('dport', 16, 16, dt.inetServiceType)];

const transports = [
  [50, 'esp'],
  [51, 'ah'],
  [108, 'comp'],
  [17, 'udp'],
  [136, 'udplite'],
  [6, 'tcp'],
  [33, 'dccp'],
  [132, 'sctp'],
  [47, 'gre'],
  [47, 'gretap'],
] as const;
const etherUpper = [
  [0x0800, 'ip'],
  [0x0806, 'arp'],
  [0x86dd, 'ip6'],
  [0x8100, 'vlan'],
  [0x88a8, 'vlan'],
] as const;

/** Dependencies of ICMP fields on the message type. */
const ECHO4 = [8, 0];
const ECHO6 = [128, 129];

const list: readonly ProtoDesc[] = [
  {
    name: 'ether',
    base: BASE_LL,
    length: 112,
    fields: [
      f('daddr', 0, 48, dt.etheraddrType),
      f('saddr', 48, 48, dt.etheraddrType),
      f('type', 96, 16, dt.ethertypeType),
    ],
    protocolField: 'type',
    protocolMeta: NFT_META_PROTOCOL,
    protocolType: dt.ethertypeType,
    upper: etherUpper,
  },
  {
    name: 'vlan',
    base: BASE_LL,
    length: 32,
    fields: [f('pcp', 0, 3), f('dei', 3, 1), f('cfi', 3, 1), f('id', 4, 12), f('type', 16, 16, dt.ethertypeType)],
    protocolField: 'type',
    protocolType: dt.ethertypeType,
    upper: etherUpper,
  },
  {
    name: 'arp',
    base: BASE_NETWORK,
    length: 64,
    fields: [
      f('htype', 0, 16),
      f('ptype', 16, 16, dt.ethertypeType),
      f('hlen', 32, 8),
      f('plen', 40, 8),
      f('operation', 48, 16, dt.arpopType),
      f('saddr ether', 64, 48, dt.etheraddrType),
      f('daddr ether', 144, 48, dt.etheraddrType),
      f('saddr ip', 112, 32, dt.ipaddrType),
      f('daddr ip', 192, 32, dt.ipaddrType),
    ],
  },
  {
    name: 'ip',
    base: BASE_NETWORK,
    length: 160,
    checksum: 'checksum',
    fields: [
      f('version', 0, 4),
      f('hdrlength', 4, 4),
      f('dscp', 8, 6, dt.dscpType),
      f('ecn', 14, 2, dt.ecnType),
      f('length', 16, 16),
      f('id', 32, 16),
      f('frag-off', 48, 16, dt.fragOffType),
      f('ttl', 64, 8),
      f('protocol', 72, 8, dt.inetProtoType),
      f('checksum', 80, 16),
      f('saddr', 96, 32, dt.ipaddrType),
      f('daddr', 128, 32, dt.ipaddrType),
    ],
    protocolField: 'protocol',
    protocolMeta: NFT_META_L4PROTO,
    protocolType: dt.inetProtoType,
    upper: [[1, 'icmp'], [2, 'igmp'], ...transports, [58, 'icmpv6']],
  },
  {
    name: 'ip6',
    base: BASE_NETWORK,
    length: 320,
    fields: [
      f('version', 0, 4),
      f('dscp', 4, 6, dt.dscpType),
      f('ecn', 10, 2, dt.ecnType),
      f('flowlabel', 12, 20),
      f('length', 32, 16),
      f('nexthdr', 48, 8, dt.inetProtoType),
      f('hoplimit', 56, 8),
      f('saddr', 64, 128, dt.ip6addrType),
      f('daddr', 192, 128, dt.ip6addrType),
    ],
    protocolField: 'nexthdr',
    protocolMeta: NFT_META_L4PROTO,
    protocolType: dt.inetProtoType,
    upper: [...transports, [58, 'icmpv6'], [1, 'icmp'], [2, 'igmp']],
  },
  {
    name: 'icmp',
    base: BASE_TRANSPORT,
    length: 64,
    checksum: 'checksum',
    fields: [
      f('type', 0, 8, dt.icmpTypeType),
      f('code', 8, 8, dt.icmpCodeType),
      f('checksum', 16, 16),
      f('id', 32, 16, int, ECHO4),
      f('sequence', 48, 16, int, ECHO4),
      f('gateway', 32, 32, int, [5]),
      f('mtu', 48, 16, int, [3]),
    ],
  },
  {
    name: 'icmpv6',
    base: BASE_TRANSPORT,
    length: 64,
    checksum: 'checksum',
    fields: [
      f('type', 0, 8, dt.icmp6TypeType),
      f('code', 8, 8, dt.icmpv6CodeType),
      f('checksum', 16, 16),
      f('parameter-problem', 32, 32, int, [4]),
      f('packet-too-big', 32, 32, int, [2]),
      f('mtu', 32, 32, int, [2]),
      f('id', 32, 16, int, ECHO6),
      f('sequence', 48, 16, int, ECHO6),
      f('max-delay', 32, 16, int, [130]),
      f('taddr', 64, 128, dt.ip6addrType, [130, 131, 132, 135, 136, 137]),
      f('daddr', 192, 128, dt.ip6addrType, [137]),
    ],
  },
  {
    name: 'igmp',
    base: BASE_TRANSPORT,
    length: 64,
    checksum: 'checksum',
    fields: [
      f('type', 0, 8, dt.igmpTypeType),
      f('mrt', 8, 8),
      f('checksum', 16, 16),
      f('group', 32, 32, dt.ipaddrType),
    ],
  },
  {
    name: 'udp',
    base: BASE_TRANSPORT,
    length: 64,
    checksum: 'checksum',
    fields: [...ports, f('length', 32, 16), f('checksum', 48, 16)],
  },
  {
    name: 'udplite',
    base: BASE_TRANSPORT,
    length: 64,
    checksum: 'checksum',
    fields: [...ports, f('csumcov', 32, 16), f('checksum', 48, 16)],
  },
  {
    name: 'tcp',
    base: BASE_TRANSPORT,
    length: 160,
    checksum: 'checksum',
    fields: [
      ...ports,
      f('sequence', 32, 32),
      f('ackseq', 64, 32),
      f('doff', 96, 4),
      f('reserved', 100, 4),
      f('flags', 104, 8, dt.tcpFlagType),
      f('window', 112, 16),
      f('checksum', 128, 16),
      f('urgptr', 144, 16),
    ],
  },
  {
    name: 'dccp',
    base: BASE_TRANSPORT,
    length: 96,
    fields: [...ports, f('type', 67, 4, dt.dccpPkttypeType)],
  },
  {
    name: 'sctp',
    base: BASE_TRANSPORT,
    length: 96,
    checksum: 'checksum',
    fields: [...ports, f('vtag', 32, 32), f('checksum', 64, 32)],
  },
  {
    name: 'ah',
    base: BASE_TRANSPORT,
    length: 96,
    fields: [
      f('nexthdr', 0, 8, dt.inetProtoType),
      f('hdrlength', 8, 8),
      f('reserved', 16, 16),
      f('spi', 32, 32),
      f('sequence', 64, 32),
    ],
    protocolField: 'nexthdr',
    protocolType: dt.inetProtoType,
    upper: [
      [50, 'esp'],
      [51, 'ah'],
      [108, 'comp'],
      [17, 'udp'],
      [136, 'udplite'],
      [6, 'tcp'],
      [33, 'dccp'],
      [132, 'sctp'],
    ],
  },
  { name: 'esp', base: BASE_TRANSPORT, length: 64, fields: [f('spi', 0, 32), f('sequence', 32, 32)] },
  {
    name: 'comp',
    base: BASE_TRANSPORT,
    length: 32,
    fields: [f('nexthdr', 0, 8, dt.inetProtoType), f('flags', 8, 8, dt.bitmaskType), f('cpi', 16, 16)],
    protocolField: 'nexthdr',
    protocolType: dt.inetProtoType,
    upper: [
      [50, 'esp'],
      [51, 'ah'],
      [108, 'comp'],
      [17, 'udp'],
      [136, 'udplite'],
      [6, 'tcp'],
      [33, 'dccp'],
      [132, 'sctp'],
    ],
  },
  // Stand-ins: what a family's packets start with before anything is known, and "some transport header".
  {
    name: 'inet',
    base: BASE_LL,
    length: 0,
    fields: [],
    protocolMeta: NFT_META_NFPROTO,
    protocolType: dt.nfprotoType,
    upper: [
      [2, 'ip'],
      [10, 'ip6'],
    ],
  },
  {
    name: 'netdev',
    base: BASE_LL,
    length: 0,
    fields: [],
    protocolMeta: NFT_META_PROTOCOL,
    protocolType: dt.ethertypeType,
    upper: etherUpper,
  },
  {
    name: 'inet-service',
    base: BASE_TRANSPORT,
    length: 0,
    fields: [],
    protocolMeta: NFT_META_L4PROTO,
    protocolType: dt.inetProtoType,
    upper: [[1, 'icmp'], [2, 'igmp'], ...transports, [58, 'icmpv6']],
  },
  {
    name: 'gre',
    base: BASE_TRANSPORT,
    length: 32,
    fields: [f('flags', 0, 5), f('version', 13, 3), f('protocol', 16, 16, dt.ethertypeType)],
    inner: { type: 3, hdrsize: 4, flags: NFT_INNER_NH | NFT_INNER_TH },
  },
  {
    name: 'gretap',
    base: BASE_TRANSPORT,
    length: 32,
    fields: [],
    inner: { type: 4, hdrsize: 4, flags: NFT_INNER_LL | NFT_INNER_NH | NFT_INNER_TH },
  },
  {
    name: 'vxlan',
    base: BASE_TUNNEL,
    length: 64,
    fields: [f('flags', 0, 8), f('vni', 32, 24)],
    inner: { type: NFT_INNER_VXLAN, hdrsize: 8, flags: NFT_INNER_MASK },
  },
  {
    name: 'geneve',
    base: BASE_TUNNEL,
    length: 64,
    fields: [f('type', 16, 16, dt.ethertypeType), f('vni', 32, 24)],
    inner: { type: NFT_INNER_GENEVE, hdrsize: 8, flags: NFT_INNER_MASK },
  },
  { name: 'th', base: BASE_TRANSPORT, length: 64, fields: ports },
  { name: 'unknown', base: BASE_INVALID, length: 0, fields: [] },
];

export const protos: ReadonlyMap<string, ProtoDesc> = new Map(list.map((proto) => [proto.name, proto]));

/** Protocols that carry packets. */
export const tunnels: readonly ProtoDesc[] = list.filter((desc) => desc.inner !== undefined);

/** The protocol of a name that is known to exist. */
export function proto(name: string): ProtoDesc {
  return protos.get(name)!;
}

/** The protocol that number `number` means behind `desc`. */
export function upperProto(desc: ProtoDesc, number: number): ProtoDesc | undefined {
  const found = desc.upper?.find(([n]) => n === number);
  return found === undefined ? undefined : protos.get(found[1]);
}

/** The number of `upper` behind `desc`, -1 when it cannot follow. */
export function upperNumber(desc: ProtoDesc, upper: ProtoDesc): number {
  return desc.upper?.find(([, name]) => name === upper.name)?.[0] ?? -1;
}

/** Index of a field by name, -1 when there is none. */
export function fieldIndex(desc: ProtoDesc, name: string): number {
  return desc.fields.findIndex((field) => field.name === name);
}

/** The first header of a family's packets. */
export const familyProto: Readonly<Record<string, { readonly base: number; readonly desc: ProtoDesc }>> = {
  ip: { base: BASE_NETWORK, desc: proto('ip') },
  ip6: { base: BASE_NETWORK, desc: proto('ip6') },
  inet: { base: BASE_LL, desc: proto('inet') },
  arp: { base: BASE_NETWORK, desc: proto('arp') },
  bridge: { base: BASE_LL, desc: proto('ether') },
  netdev: { base: BASE_LL, desc: proto('netdev') },
};
