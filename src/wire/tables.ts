/**
 * One table of fields per protocol, in wire order: IEEE 802.3 and 802.1Q, RFC 826, 791, 8200, 792, 4443, 768, 9293, 9260.
 * Offsets are bits from the start of the header, as nft's payload expressions count them.
 */
import type { Field, FieldKind, Table } from './field.ts';

type Extra = Pick<Field, 'initial' | 'computed'>;
type Row = readonly [name: string, tshark: string, bits: number, kind: FieldKind, extra?: Extra];

const COMPUTED: Extra = { computed: true };

/** Rows in wire order, without gaps: the offsets add up. */
function table(name: string, title: string, rows: readonly Row[]): Table {
  const fields: Field[] = [];
  let bit = 0;
  for (const [field, tshark, bits, kind, extra] of rows) {
    fields.push({ name: field, tshark, bit, bits, kind, ...extra });
    bit += bits;
  }
  return { name, title, length: bit >> 3, fields };
}

export const ETHER: Table = table('ether', 'Ethernet II', [
  ['daddr', 'eth.dst', 48, 'mac'],
  ['saddr', 'eth.src', 48, 'mac'],
  ['type', 'eth.type', 16, 'hex', COMPUTED],
]);

/** Behind the type field that says 0x8100 or 0x88a8. */
export const VLAN: Table = table('vlan', '802.1Q virtual LAN', [
  ['pcp', 'vlan.priority', 3, 'dec'],
  ['dei', 'vlan.dei', 1, 'dec'],
  ['id', 'vlan.id', 12, 'dec'],
  ['type', 'vlan.etype', 16, 'hex', COMPUTED],
]);

export const ARP: Table = table('arp', 'Address Resolution Protocol', [
  ['htype', 'arp.hw.type', 16, 'dec', { initial: 1 }],
  ['ptype', 'arp.proto.type', 16, 'hex', { initial: 0x0800 }],
  ['hlen', 'arp.hw.size', 8, 'dec', { initial: 6 }],
  ['plen', 'arp.proto.size', 8, 'dec', { initial: 4 }],
  ['operation', 'arp.opcode', 16, 'dec', { initial: 1 }],
  ['saddr ether', 'arp.src.hw_mac', 48, 'mac'],
  ['saddr ip', 'arp.src.proto_ipv4', 32, 'ipv4'],
  ['daddr ether', 'arp.dst.hw_mac', 48, 'mac'],
  ['daddr ip', 'arp.dst.proto_ipv4', 32, 'ipv4'],
]);

export const IP: Table = table('ip', 'Internet Protocol version 4', [
  ['version', 'ip.version', 4, 'dec', { initial: 4 }],
  ['hdrlength', 'ip.hdr_len', 4, 'dec', COMPUTED],
  ['dscp', 'ip.dsfield.dscp', 6, 'hex'],
  ['ecn', 'ip.dsfield.ecn', 2, 'dec'],
  ['length', 'ip.len', 16, 'dec', COMPUTED],
  ['id', 'ip.id', 16, 'hex'],
  ['frag-off', 'ip.frag_offset', 16, 'hex'],
  ['ttl', 'ip.ttl', 8, 'dec', { initial: 64 }],
  ['protocol', 'ip.proto', 8, 'dec', COMPUTED],
  ['checksum', 'ip.checksum', 16, 'hex', COMPUTED],
  ['saddr', 'ip.src', 32, 'ipv4'],
  ['daddr', 'ip.dst', 32, 'ipv4'],
]);

export const IP6: Table = table('ip6', 'Internet Protocol version 6', [
  ['version', 'ipv6.version', 4, 'dec', { initial: 6 }],
  ['dscp', 'ipv6.tclass.dscp', 6, 'hex'],
  ['ecn', 'ipv6.tclass.ecn', 2, 'dec'],
  ['flowlabel', 'ipv6.flow', 20, 'hex'],
  ['length', 'ipv6.plen', 16, 'dec', COMPUTED],
  ['nexthdr', 'ipv6.nxt', 8, 'dec', COMPUTED],
  ['hoplimit', 'ipv6.hlim', 8, 'dec', { initial: 64 }],
  ['saddr', 'ipv6.src', 128, 'ipv6'],
  ['daddr', 'ipv6.dst', 128, 'ipv6'],
]);

/** Hop-by-hop and destination options (RFC 8200, 4.3, 4.6): the fixed part. */
export const OPTS: Table = table('hbh', 'IPv6 options header', [
  ['nexthdr', 'ipv6.hopopts.nxt', 8, 'dec', COMPUTED],
  ['hdrlength', 'ipv6.hopopts.len', 8, 'dec', COMPUTED],
]);

export const ROUTING: Table = table('rt', 'IPv6 routing header', [
  ['nexthdr', 'ipv6.routing.nxt', 8, 'dec', COMPUTED],
  ['hdrlength', 'ipv6.routing.len', 8, 'dec', COMPUTED],
  ['type', 'ipv6.routing.type', 8, 'dec'],
  ['seg-left', 'ipv6.routing.segleft', 8, 'dec'],
]);

export const FRAG: Table = table('frag', 'IPv6 fragment header', [
  ['nexthdr', 'ipv6.fraghdr.nxt', 8, 'dec', COMPUTED],
  ['reserved', 'ipv6.fraghdr.reserved_octet', 8, 'dec'],
  ['frag-off', 'ipv6.fraghdr.offset', 13, 'dec'],
  ['reserved2', 'ipv6.fraghdr.reserved_bits', 2, 'dec'],
  ['more-fragments', 'ipv6.fraghdr.more', 1, 'dec'],
  ['id', 'ipv6.fraghdr.ident', 32, 'hex'],
]);

export const AH: Table = table('ah', 'Authentication Header', [
  ['nexthdr', 'ah.next_header', 8, 'dec', COMPUTED],
  ['hdrlength', 'ah.length', 8, 'dec', COMPUTED],
  ['reserved', 'ah.reserved', 16, 'dec'],
  ['spi', 'ah.spi', 32, 'hex'],
  ['sequence', 'ah.sequence', 32, 'dec'],
]);

export const ICMP: Table = table('icmp', 'Internet Control Message Protocol', [
  ['type', 'icmp.type', 8, 'dec'],
  ['code', 'icmp.code', 8, 'dec'],
  ['checksum', 'icmp.checksum', 16, 'hex', COMPUTED],
  ['id', 'icmp.ident', 16, 'dec'],
  ['sequence', 'icmp.seq', 16, 'dec'],
]);

export const ICMPV6: Table = table('icmpv6', 'Internet Control Message Protocol v6', [
  ['type', 'icmpv6.type', 8, 'dec'],
  ['code', 'icmpv6.code', 8, 'dec'],
  ['checksum', 'icmpv6.checksum', 16, 'hex', COMPUTED],
  ['id', 'icmpv6.echo.identifier', 16, 'dec'],
  ['sequence', 'icmpv6.echo.sequence_number', 16, 'dec'],
]);

export const UDP: Table = table('udp', 'User Datagram Protocol', [
  ['sport', 'udp.srcport', 16, 'dec'],
  ['dport', 'udp.dstport', 16, 'dec'],
  ['length', 'udp.length', 16, 'dec', COMPUTED],
  ['checksum', 'udp.checksum', 16, 'hex', COMPUTED],
]);

export const TCP: Table = table('tcp', 'Transmission Control Protocol', [
  ['sport', 'tcp.srcport', 16, 'dec'],
  ['dport', 'tcp.dstport', 16, 'dec'],
  ['sequence', 'tcp.seq_raw', 32, 'dec'],
  ['ackseq', 'tcp.ack_raw', 32, 'dec'],
  ['doff', 'tcp.hdr_len', 4, 'dec', COMPUTED],
  ['reserved', 'tcp.flags.res', 4, 'dec'],
  ['flags', 'tcp.flags', 8, 'hex'],
  ['window', 'tcp.window_size_value', 16, 'dec', { initial: 64240 }],
  ['checksum', 'tcp.checksum', 16, 'hex', COMPUTED],
  ['urgptr', 'tcp.urgent_pointer', 16, 'dec'],
]);

export const SCTP: Table = table('sctp', 'Stream Control Transmission Protocol', [
  ['sport', 'sctp.srcport', 16, 'dec'],
  ['dport', 'sctp.dstport', 16, 'dec'],
  ['vtag', 'sctp.verification_tag', 32, 'hex'],
  ['checksum', 'sctp.checksum', 32, 'hex', COMPUTED],
]);

// Bodies of Neighbour Discovery messages, behind the eight bytes of `icmpv6` (RFC 4861, 4.1 to 4.5).
const NEIGHBOUR: Table = table('neighbour', 'Neighbour Discovery', [
  ['target', 'icmpv6.nd.ns.target_address', 128, 'ipv6'],
]);
const ROUTER_SOLICIT: Table = table('router-solicit', 'Router Solicitation', []);
const ROUTER_ADVERT: Table = table('router-advert', 'Router Advertisement', [
  ['reachable-time', 'icmpv6.nd.ra.reachable_time', 32, 'dec'],
  ['retrans-timer', 'icmpv6.nd.ra.retrans_timer', 32, 'dec'],
]);
const REDIRECT: Table = table('redirect', 'Redirect', [
  ['target', 'icmpv6.rd.na.target_address', 128, 'ipv6'],
  ['destination', 'icmpv6.rd.na.destination_address', 128, 'ipv6'],
]);

/** All tables by the name of the protocol; `dst` has the layout of `hbh`. */
export const TABLES: Readonly<Record<string, Table>> = {
  ether: ETHER,
  vlan: VLAN,
  arp: ARP,
  ip: IP,
  ip6: IP6,
  hbh: OPTS,
  dst: { ...OPTS, name: 'dst' },
  rt: ROUTING,
  frag: FRAG,
  ah: AH,
  icmp: ICMP,
  icmpv6: ICMPV6,
  udp: UDP,
  tcp: TCP,
  sctp: SCTP,
  neighbour: NEIGHBOUR,
  'router-solicit': ROUTER_SOLICIT,
  'router-advert': ROUTER_ADVERT,
  redirect: REDIRECT,
};

/** The table of a layer; undefined for layers of bytes without structure. */
export function bodyTable(kind: string): Table | undefined {
  return TABLES[kind];
}
