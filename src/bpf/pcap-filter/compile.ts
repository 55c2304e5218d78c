/**
 * Filter expressions, pcap-filter(7), to classic BPF programs: `compileFilter('tcp port 80')`. The program means what
 * libpcap's means; it need not be the same instruction by instruction.
 */

import { type ClassicInsn, SKF_AD_IFINDEX, SKF_AD_OFF, SKF_AD_PKTTYPE } from '../cbpf/classic.ts';
import { BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JSET } from '../insn.ts';
import { relation } from './arith.ts';
import type { At, Expr } from './ast.ts';
import { generate } from './codegen.ts';
import { and, anyBit, atLeast, beyond, type Cond, equal, not, or, TRUE, test, usesWord } from './cond.ts';
import { etherHost, hostOrNet } from './host.ts';
import { FilterError } from './lexer.ts';
import {
  ETHERTYPE_IP,
  ETHERTYPE_IPV6,
  ETHERTYPE_PPPOED,
  hasLinkHeader,
  isLlc,
  isWlan,
  LINKTYPE_ETHERNET,
  LINKTYPE_IEEE802_11_RADIOTAP,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  type Link,
  linkOf,
  network,
  WLAN_FRAME,
  WLAN_PAYLOAD,
  WLAN_WORDS,
} from './link.ts';
import { nest } from './nest.ts';
import { parseFilter } from './parser.ts';
import { portOrRange } from './port.ts';
import { proto, protochain, protocolKeyword, protocolNumber } from './proto.ts';
import { type Resolver, Scope } from './scope.ts';
import { payloadStart, radiotapLength, wlanMulticast } from './wlan.ts';

export type FilterOptions = {
  /** LINKTYPE_ number of the packets (pcap-linktype(7)); Ethernet when left out. */
  readonly linkType?: number;
  readonly resolver?: Resolver;
  /** Mask of the interface's network, for `ip broadcast`. */
  readonly netmask?: number;
  /** Bytes to keep of an accepted packet. */
  readonly snapLength?: number;
  /** The program is attached to a socket, where packet type and interface are known; false: it reads a file. */
  readonly live?: boolean;
};

const PACKET_OUTGOING = 4;
const MAX_SNAP_LENGTH = 262_144;

function cast(scope: Scope, e: Extract<Expr, { kind: 'cast' }>): Cond {
  const { link } = scope;
  const header = network(link);
  const link_ = e.proto === '' || e.proto === 'link';
  if (e.how === 'broadcast') {
    if (link_) {
      if (link.type !== LINKTYPE_ETHERNET && !isWlan(link)) scope.fail('not a broadcast link', e);
      return etherHost(scope, 'dst', [255, 255, 255, 255, 255, 255], e);
    }
    if (e.proto !== 'ip') scope.fail('only link-layer/IP broadcast filters supported', e);
    const hosts = ~scope.netmask >>> 0;
    const to = beyond(header, 16);
    return and(scope.protocol(ETHERTYPE_IP, e), or(equal(to, 4, 0, hosts), equal(to, 4, hosts, hosts)));
  }
  if (link_) {
    if (isWlan(link)) return wlanMulticast(link.header);
    if (link.type !== LINKTYPE_ETHERNET) scope.fail('link-layer multicast filters supported only on ethernet', e);
    const group = anyBit(link.header, 1, 1);
    const present = hasLinkHeader(link);
    return present === undefined ? group : and(present, group);
  }
  if (e.proto === 'ip') return and(scope.protocol(ETHERTYPE_IP, e), atLeast(beyond(header, 16), 1, 224));
  if (e.proto === 'ip6') return and(scope.protocol(ETHERTYPE_IPV6, e), equal(beyond(header, 24), 1, 255));
  return scope.fail('link-layer multicast filters supported only on ethernet', e);
}

function inbound(scope: Scope, out: boolean, where: At): Cond {
  const { link } = scope;
  let outgoing: Cond;
  if (link.type === LINKTYPE_LINUX_SLL) outgoing = equal({ slot: undefined, k: 0 }, 2, PACKET_OUTGOING);
  else if (link.type === LINKTYPE_LINUX_SLL2) outgoing = equal({ slot: undefined, k: 10 }, 1, PACKET_OUTGOING);
  else if (scope.live) outgoing = test([[0x28, SKF_AD_OFF + SKF_AD_PKTTYPE]], BPF_JEQ, PACKET_OUTGOING);
  else return scope.fail(`inbound/outbound not supported on ${link.name} when reading savefiles`, where);
  return out ? outgoing : not(outgoing);
}

function ifindex(scope: Scope, index: number, where: At): Cond {
  if (scope.link.type === LINKTYPE_LINUX_SLL2) return equal({ slot: undefined, k: 4 }, 4, index);
  if (scope.live) return test([[0x20, SKF_AD_OFF + SKF_AD_IFINDEX]], BPF_JEQ, index);
  return scope.fail(`ifindex not supported on ${scope.link.name} when reading savefiles`, where);
}

function byte(scope: Scope, e: Extract<Expr, { kind: 'byte' }>): Cond {
  const at = beyond(scope.link.header, e.index);
  switch (e.op) {
    case '<':
      return not(atLeast(at, 1, e.value));
    case '>':
      return test([[0x30, at.k]], BPF_JGT, e.value);
    case '&':
      return test([[0x30, at.k]], BPF_JSET, e.value);
    case '|':
      return not(
        test(
          [
            [0x30, at.k],
            [0x44, e.value],
          ],
          BPF_JEQ,
          0,
        ),
      );
    default:
      return equal(at, 1, e.value);
  }
}

/** Supervisory and unnumbered control fields of 802.2 by name. */
const LLC_S: ReadonlyMap<string, number> = new Map([
  ['rr', 0x01],
  ['rnr', 0x05],
  ['rej', 0x09],
]);
const LLC_U: ReadonlyMap<string, number> = new Map([
  ['ui', 0x03],
  ['ua', 0x63],
  ['disc', 0x43],
  ['dm', 0x0f],
  ['sabme', 0x6f],
  ['test', 0xe3],
  ['xid', 0xaf],
  ['frmr', 0x87],
]);

function llc(scope: Scope, type: string, where: At): Cond {
  const frame = isLlc(scope.link) ?? scope.fail(`'llc' not supported for ${scope.link.name}`, where);
  const control = beyond(scope.link.payload, 2);
  const s = LLC_S.get(type);
  const u = LLC_U.get(type);
  if (type === '') return frame;
  if (type === 'i') return and(frame, not(anyBit(control, 1, 1)));
  if (type === 's') return and(frame, equal(control, 1, 0x01, 0x03));
  if (type === 'u') return and(frame, equal(control, 1, 0x03, 0x03));
  if (s !== undefined) return and(frame, equal(control, 1, s, 0x0f));
  if (u !== undefined) return and(frame, equal(control, 1, u, 0xef));
  return scope.fail(`unknown LLC type name "${type}"`, where);
}

function id(scope: Scope, e: Extract<Expr, { kind: 'id' }>): Cond {
  const { q, id: what } = e;
  switch (q.kind) {
    case 'port':
    case 'portrange':
      return portOrRange(scope, q, what);
    case 'proto':
    case 'protochain': {
      let number = 0;
      if (what.kind === 'number') number = what.value;
      else if (what.kind === 'name') number = protocolNumber(scope, q.proto, what.text, what);
      else scope.fail('a protocol is a number or a name', what);
      return q.kind === 'proto' ? proto(scope, q.proto, number, e) : protochain(scope, q.proto, number, e);
    }
    case 'gateway':
      return scope.fail("'gateway' not supported in this configuration", e);
    default:
      return hostOrNet(scope, q, what);
  }
}

function wlan(scope: Scope, e: Extract<Expr, { kind: 'wlan' }>): Cond {
  const { link } = scope;
  if (!isWlan(link))
    scope.fail(
      e.byte === 0
        ? '802.11 link-layer types supported only on 802.11'
        : 'frame direction supported only with 802.11 headers',
      e,
    );
  return equal(beyond(link.header, e.byte), 1, e.value, e.mask);
}

/** On 802.11: finds out where the frame and its payload begin, as far as a condition needs it. */
function withPlaces(cond: Cond, link: Link): Cond {
  const { type, header } = link;
  const radiotap = type === LINKTYPE_IEEE802_11_RADIOTAP;
  const payload = usesWord(cond, WLAN_PAYLOAD);
  const start = payload ? payloadStart(header, WLAN_PAYLOAD, radiotap) : TRUE;
  const frame = radiotap && (payload || usesWord(cond, WLAN_FRAME)) ? radiotapLength(WLAN_FRAME) : TRUE;
  return and(frame, and(start, cond));
}

/** Expressions are looked at in the order in which they are written: `vlan` moves what comes after it. */
function condition(scope: Scope, e: Expr): Cond {
  switch (e.kind) {
    case 'and':
    case 'or': {
      const left = condition(scope, e.left);
      const right = condition(scope, e.right);
      return e.kind === 'and' ? and(left, right) : or(left, right);
    }
    case 'not':
      return not(condition(scope, e.operand));
    case 'id':
      return id(scope, e);
    case 'proto':
      return protocolKeyword(scope, e.name, e);
    case 'relation':
      return relation(scope, e);
    case 'cast':
      return cast(scope, e);
    case 'less':
      return not(test([[0x80, 0]], BPF_JGT, e.value));
    case 'greater':
      return test([[0x80, 0]], BPF_JGE, e.value);
    case 'ifindex':
      return ifindex(scope, e.value, e);
    case 'byte':
      return byte(scope, e);
    case 'inbound':
      return inbound(scope, e.out, e);
    case 'nest':
      return nest(scope, e);
    case 'pppoed':
      return scope.protocol(ETHERTYPE_PPPOED, e);
    case 'llc':
      return llc(scope, e.type, e);
    default:
      return wlan(scope, e);
  }
}

/** Compiles an expression; the empty one takes every packet. Throws a FilterError that says what is wrong and where. */
export function compileFilter(expression: string, options: FilterOptions = {}): ClassicInsn[] {
  const { linkType = LINKTYPE_ETHERNET, resolver = {}, netmask = 0, live = true } = options;
  const link = linkOf(linkType);
  if (link === undefined)
    throw new FilterError(`netloom does not support filters for link type ${linkType}`, expression, 0);
  const scope = new Scope(expression, link, resolver, netmask, live);
  const parsed = parseFilter(expression);
  const wlanWords = isWlan(link) ? WLAN_WORDS : 0;
  scope.kept = wlanWords;
  const found = parsed === undefined ? TRUE : condition(scope, parsed);
  const cond = wlanWords > 0 ? withPlaces(found, link) : found;
  const program = generate(cond, scope.kept, options.snapLength ?? MAX_SNAP_LENGTH);
  if (program === undefined) throw new FilterError('the program has more than 4096 instructions', expression, 0);
  return program;
}
