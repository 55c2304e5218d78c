/**
 * Headers that are found by walking: IPv6 extension headers (RFC 8200), TCP options (RFC 9293), IPv4 options (RFC 791),
 * SCTP chunks (RFC 9260). Offsets and lengths in bits from the start of the header, option or chunk.
 */
import * as dt from './datatype.ts';

export type ExthdrField = {
  readonly name: string;
  readonly type: dt.Datatype;
  readonly offset: number;
  readonly len: number;
};

/** In the kernel's order, NFT_EXTHDR_OP_*. */
export const EXTHDR_OPS: readonly ExthdrOp[] = ['ipv6', 'tcpopt', 'ipv4', 'sctp', 'dccp'];
export type ExthdrOp = 'ipv6' | 'tcpopt' | 'ipv4' | 'sctp' | 'dccp';

export type ExthdrDesc = {
  readonly op: ExthdrOp;
  readonly name: string;
  /** Next header number, option kind, chunk type. */
  readonly type: number;
  readonly fields: readonly ExthdrField[];
};

const int = dt.integerType;
const f = (name: string, offset: number, len: number, type: dt.Datatype = int): ExthdrField => ({
  name,
  offset,
  len,
  type,
});
const next = [f('nexthdr', 0, 8, dt.inetProtoType), f('hdrlength', 8, 8)];
const ipv6 = (name: string, type: number, fields: readonly ExthdrField[]): ExthdrDesc => ({
  op: 'ipv6',
  name,
  type,
  fields,
});

/** IPv6 extension headers. `rt` has three types of body; their fields have names of their own. */
export const ipv6Headers: readonly ExthdrDesc[] = [
  ipv6('hbh', 0, next),
  ipv6('rt', 43, [...next, f('type', 16, 8), f('seg-left', 24, 8)]),
  // Of two names for the same bits the first is the one that is written.
  ipv6('srh', 43, [f('last-entry', 32, 8), f('flags', 40, 8), f('tag', 48, 16), f('sid[1]', 64, 128, dt.ip6addrType)]),
  ipv6('rt0', 43, [f('addr[1]', 64, 128, dt.ip6addrType)]),
  ipv6('rt2', 43, [f('addr', 64, 128, dt.ip6addrType)]),
  ipv6('frag', 44, [
    f('nexthdr', 0, 8, dt.inetProtoType),
    f('reserved', 8, 8),
    f('frag-off', 16, 13),
    f('reserved2', 29, 2),
    f('more-fragments', 31, 1),
    f('id', 32, 32),
  ]),
  ipv6('dst', 60, next),
  ipv6('mh', 135, [...next, f('type', 16, 8, dt.mhTypeType), f('reserved', 24, 8), f('checksum', 32, 16)]),
];

const kl = [f('kind', 0, 8), f('length', 8, 8)];
const tcp = (name: string, type: number, fields: readonly ExthdrField[]): ExthdrDesc => ({
  op: 'tcpopt',
  name,
  type,
  fields,
});
const sack = (n: number): ExthdrField[] => [f('left', 16 + n * 64, 32), f('right', 48 + n * 64, 32)];

export const tcpOptions: readonly ExthdrDesc[] = [
  tcp('eol', 0, [f('kind', 0, 8)]),
  tcp('nop', 1, [f('kind', 0, 8)]),
  tcp('maxseg', 2, [...kl, f('size', 16, 16)]),
  tcp('window', 3, [...kl, f('count', 16, 8)]),
  tcp('sack-perm', 4, kl),
  tcp('sack', 5, [...kl, ...sack(0)]),
  tcp('sack0', 5, [...kl, ...sack(0)]),
  tcp('sack1', 5, [...kl, ...sack(1)]),
  tcp('sack2', 5, [...kl, ...sack(2)]),
  tcp('sack3', 5, [...kl, ...sack(3)]),
  tcp('timestamp', 8, [...kl, f('tsval', 16, 32), f('tsecr', 48, 32)]),
  tcp('echo', 8, [...kl, f('tsval', 16, 32), f('tsecr', 48, 32)]),
  tcp('md5sig', 19, kl),
  tcp('mptcp', 30, [...kl, f('subtype', 16, 4)]),
  tcp('fastopen', 34, kl),
];

const ipv4 = (name: string, type: number, fields: readonly ExthdrField[]): ExthdrDesc => ({
  op: 'ipv4',
  name,
  type,
  fields,
});
const route = [f('type', 0, 8), f('length', 8, 8), f('ptr', 16, 8), f('addr', 24, 32)];

export const ipOptions: readonly ExthdrDesc[] = [
  ipv4('rr', 7, route),
  ipv4('lsrr', 131, route),
  ipv4('ssrr', 137, route),
  ipv4('ra', 148, [f('type', 0, 8), f('length', 8, 8), f('value', 16, 16)]),
];

const common = [f('type', 0, 8), f('flags', 8, 8), f('length', 16, 16)];
const sctp = (name: string, type: number, ...own: ExthdrField[]): ExthdrDesc => ({
  op: 'sctp',
  name,
  type,
  fields: [...common, ...own],
});
const init = [
  f('init-tag', 32, 32),
  f('a-rwnd', 64, 32),
  f('num-outbound-streams', 96, 16),
  f('num-inbound-streams', 112, 16),
  f('initial-tsn', 128, 32),
];

export const sctpChunks: readonly ExthdrDesc[] = [
  sctp('data', 0, f('tsn', 32, 32), f('stream', 64, 16), f('ssn', 80, 16), f('ppid', 96, 32)),
  sctp('init', 1, ...init),
  sctp('init-ack', 2, ...init),
  sctp(
    'sack',
    3,
    f('cum-tsn-ack', 32, 32),
    f('a-rwnd', 64, 32),
    f('num-gap-ack-blocks', 96, 16),
    f('num-dup-tsns', 112, 16),
  ),
  sctp('heartbeat', 4),
  sctp('heartbeat-ack', 5),
  sctp('abort', 6),
  sctp('shutdown', 7, f('cum-tsn-ack', 32, 32)),
  sctp('shutdown-ack', 8),
  sctp('error', 9),
  sctp('cookie-echo', 10),
  sctp('cookie-ack', 11),
  sctp('ecne', 12, f('lowest-tsn', 32, 32)),
  sctp('cwr', 13, f('lowest-tsn', 32, 32)),
  sctp('shutdown-complete', 14),
  sctp('forward-tsn', 192, f('new-cum-tsn', 32, 32)),
  sctp('asconf', 193, f('seqno', 32, 32)),
  sctp('asconf-ack', 128, f('seqno', 32, 32)),
];

/** DCCP options have numbers only, and nothing but their presence is looked at. */
export function dccpOptionDesc(type: number): ExthdrDesc {
  return { op: 'dccp', name: String(type), type, fields: [] };
}
