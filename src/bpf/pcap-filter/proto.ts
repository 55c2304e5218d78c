/** `ip`, `tcp`, `proto 47`, `ip6 protochain 6`, `isis`: protocols by their numbers. */
import { BPF_JEQ } from '../insn.ts';
import type { At } from './ast.ts';
import {
  and,
  beyond,
  type Cond,
  choose,
  equal,
  FALSE,
  ip4HeaderLength,
  load,
  not,
  or,
  type Step,
  TRUE,
  test,
} from './cond.ts';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IP,
  ETHERTYPE_IPV6,
  ETHERTYPE_REVARP,
  LLCSAP_8021D,
  LLCSAP_IPX,
  LLCSAP_ISONS,
  LLCSAP_NETBEUI,
  network,
} from './link.ts';
import type { Scope } from './scope.ts';

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;

/** Keywords that name an Ethernet type or an 802.2 service access point. */
export const ETHER_PROTOS: ReadonlyMap<string, number> = new Map([
  ['ip', ETHERTYPE_IP],
  ['ip6', ETHERTYPE_IPV6],
  ['arp', ETHERTYPE_ARP],
  ['rarp', ETHERTYPE_REVARP],
  ['decnet', 0x6003],
  ['lat', 0x6004],
  ['sca', 0x6007],
  ['moprc', 0x6002],
  ['mopdl', 0x6001],
  ['atalk', 0x809b],
  ['aarp', 0x80f3],
  ['iso', LLCSAP_ISONS],
  ['stp', LLCSAP_8021D],
  ['ipx', LLCSAP_IPX],
  ['netbeui', LLCSAP_NETBEUI],
]);

/** Further names after `ether proto`. */
const ETHER_NAMES: ReadonlyMap<string, number> = new Map([
  ...ETHER_PROTOS,
  ['loopback', 0x9000],
  ['pup', 0x0200],
  ['xns', 0x0600],
  ['sprite', 0x0500],
  ['trail', 0x1000],
  ['8021q', 0x8100],
]);

/** Keywords that name an IP protocol: number, and the versions of IP they mean. */
export const IP_PROTOS: ReadonlyMap<string, readonly [number: number, ip4: boolean, ip6: boolean]> = new Map([
  ['tcp', [IPPROTO_TCP, true, true]],
  ['udp', [IPPROTO_UDP, true, true]],
  ['sctp', [IPPROTO_SCTP, true, true]],
  ['ah', [51, true, true]],
  ['esp', [50, true, true]],
  ['pim', [103, true, true]],
  ['icmp', [IPPROTO_ICMP, true, false]],
  ['igmp', [2, true, false]],
  ['igrp', [9, true, false]],
  ['vrrp', [112, true, false]],
  ['carp', [112, true, false]],
  ['icmp6', [IPPROTO_ICMPV6, false, true]],
]);

const OSI_PROTOS: ReadonlyMap<string, number> = new Map([
  ['clnp', 0x81],
  ['esis', 0x82],
  ['isis', 0x83],
]);
/** IS-IS PDU types. */
const ISIS_TYPES: ReadonlyMap<string, readonly number[]> = new Map([
  ['l1', [0x0f, 0x12, 0x18, 0x1a, 0x11]],
  ['l2', [0x10, 0x14, 0x19, 0x1b, 0x11]],
  ['iih', [0x0f, 0x10, 0x11]],
  ['lsp', [0x12, 0x14]],
  ['snp', [0x1a, 0x1b, 0x18, 0x19]],
  ['csnp', [0x18, 0x19]],
  ['psnp', [0x1a, 0x1b]],
]);

export function ip4Proto(scope: Scope, number: number, where: At): Cond {
  const header = network(scope.link);
  return and(scope.protocol(ETHERTYPE_IP, where), equal(beyond(header, 9), 1, number));
}

/** The next header, or the one behind a fragment header. */
export function ip6Proto(scope: Scope, number: number, where: At): Cond {
  const header = network(scope.link);
  const next = beyond(header, 6);
  const behind = and(equal(next, 1, IPPROTO_FRAGMENT), equal(beyond(header, 40), 1, number));
  return and(scope.protocol(ETHERTYPE_IPV6, where), or(equal(next, 1, number), behind));
}

function osi(scope: Scope, number: number, where: At): Cond {
  const field = beyond(scope.link.payload, 3);
  return and(scope.protocol(LLCSAP_ISONS, where), equal(field, 1, number));
}

function isis(scope: Scope, types: readonly number[], where: At): Cond {
  const field = beyond(scope.link.payload, 3 + 4);
  const pdu = types.map((type) => equal(field, 1, type)).reduce((all, one) => or(all, one));
  return and(osi(scope, 0x83, where), pdu);
}

/** A protocol keyword on its own. */
export function protocolKeyword(scope: Scope, name: string, where: At): Cond {
  const type = ETHER_PROTOS.get(name);
  if (type !== undefined) return scope.protocol(type, where);
  const ip = IP_PROTOS.get(name);
  if (ip !== undefined) {
    const [number, ip4, ip6] = ip;
    if (!ip6) return ip4Proto(scope, number, where);
    return ip4 ? or(ip4Proto(scope, number, where), ip6Proto(scope, number, where)) : ip6Proto(scope, number, where);
  }
  const number = OSI_PROTOS.get(name);
  if (number !== undefined) return osi(scope, number, where);
  const types = ISIS_TYPES.get(name);
  return types === undefined ? scope.fail(`unknown protocol "${name}"`, where) : isis(scope, types, where);
}

/** Number behind `proto`. */
export function protocolNumber(scope: Scope, qualifier: string, name: string, where: At): number {
  const osiNumber = qualifier === 'iso' ? OSI_PROTOS.get(name) : undefined;
  const number = osiNumber ?? (qualifier === 'link' ? ETHER_NAMES.get(name) : scope.protocolNumber(name));
  if (number !== undefined) return number;
  const what = qualifier === 'link' ? 'ether' : qualifier === 'iso' ? 'osi' : 'ip';
  return scope.fail(`unknown ${what} proto '${name}'`, where);
}

/** `ip proto 6`, `ether proto 0x88cc`, `proto 47`. */
export function proto(scope: Scope, qualifier: string, number: number, where: At): Cond {
  switch (qualifier) {
    case '':
      return or(ip4Proto(scope, number, where), ip6Proto(scope, number, where));
    case 'link':
      return scope.protocol(number, where);
    case 'ip':
      return ip4Proto(scope, number, where);
    case 'ip6':
      return ip6Proto(scope, number, where);
    case 'iso':
      return osi(scope, number, where);
    case 'isis':
      return isis(scope, [number], where);
    case 'arp':
    case 'rarp':
    case 'atalk':
    case 'decnet':
    case 'lat':
    case 'sca':
    case 'moprc':
    case 'mopdl':
      return scope.fail(`${qualifier} does not encapsulate another protocol`, where);
    default:
      return scope.fail(`'${qualifier} proto' is bogus`, where);
  }
}

/** Headers that a chain is followed over. libpcap's loop has no end, but Linux takes no backward jump. */
const CHAIN = 8;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const AUTHENTICATION = 51;
const DESTINATION = 60;

/** `next` holds the number of the header at `payload` + `at`. */
function chain(next: number, at: number, payload: number, number: number, ip6: boolean): Cond {
  const is = (value: number): Cond => test([[0x60, next]], BPF_JEQ, value);
  /** A = length field, made bytes; then on to the next header. */
  const advance = (steps: readonly Step[]): Cond => ({
    kind: 'effect',
    steps: [[0x61, at], [0x50, payload], [0x02, next], [0x50, payload + 1], ...steps, [0x0c, 0], [0x02, at]],
  });
  const lengthInEights = advance([
    [0x04, 1],
    [0x24, 8],
  ]);
  const lengthInFours = advance([
    [0x04, 2],
    [0x24, 4],
  ]);
  let rest: Cond = is(number);
  for (let i = 0; i < CHAIN; i++) {
    const options = [HOP_BY_HOP, DESTINATION, ROUTING, IPPROTO_FRAGMENT].map(is).reduce((all, one) => or(all, one));
    const authentication = choose(is(AUTHENTICATION), and(lengthInFours, rest), FALSE);
    const on = ip6 ? choose(options, and(lengthInEights, rest), authentication) : authentication;
    rest = choose(is(number), TRUE, on);
  }
  return rest;
}

/** `ip6 protochain 6`: the protocol is somewhere in the chain of headers. */
export function protochain(scope: Scope, qualifier: string, number: number, where: At): Cond {
  if (qualifier === '') {
    const ip4 = protochain(scope, 'ip', number, where);
    return or(ip4, protochain(scope, 'ip6', number, where));
  }
  if (qualifier !== 'ip' && qualifier !== 'ip6') scope.fail("bad protocol applied for 'protochain'", where);
  const header = network(scope.link);
  if (header.slot !== undefined) scope.fail("'protochain' not supported with variable length headers", where);
  const ip6 = qualifier === 'ip6';
  const next = scope.keepWord(where);
  const at = scope.keepWord(where);
  const start: Step[] = [
    ...load(beyond(header, ip6 ? 6 : 9), 1),
    [0x02, next],
    ...(ip6 ? ([[0x01, 40]] as const) : ip4HeaderLength(header)),
    [0x03, at],
  ];
  const follow = chain(next, at, header.k, number, ip6);
  return and(scope.protocol(ip6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP, where), and({ kind: 'effect', steps: start }, follow));
}

/** Not a fragment, or the first one. */
export const firstFragment = (scope: Scope): Cond => not(test(load(beyond(network(scope.link), 6), 2), 0x40, 0x1fff));
