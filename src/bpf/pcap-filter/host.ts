/** `host`, `net` and Ethernet addresses. */
import type { At, Direction, Id, Qualifiers } from './ast.ts';
import { and, beyond, type Cond, equal, or, TRUE } from './cond.ts';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IP,
  ETHERTYPE_IPV6,
  ETHERTYPE_REVARP,
  hasLinkHeader,
  isWlan,
  LINKTYPE_ETHERNET,
  network,
} from './link.ts';
import type { Scope } from './scope.ts';
import { wlanAddress } from './wlan.ts';

/** The condition for a direction out of those for the two ends. */
export function directed(scope: Scope, dir: Direction, src: () => Cond, dst: () => Cond, where: At): Cond {
  switch (dir) {
    case 'src':
      return src();
    case 'dst':
      return dst();
    case 'and':
      return and(src(), dst());
    case '':
    case 'or':
      return or(src(), dst());
    default:
      return scope.fail(`'${dir}' is not a valid qualifier for addresses other than 802.11 MAC addresses`, where);
  }
}

function ip4In(
  scope: Scope,
  type: number,
  src: number,
  dst: number,
  dir: Direction,
  value: number,
  mask: number,
  where: At,
): Cond {
  const at = (off: number) => (): Cond =>
    and(scope.protocol(type, where), equal(beyond(network(scope.link), off), 4, value, mask));
  return directed(scope, dir, at(src), at(dst), where);
}

/** An IPv4 address in IP, ARP and RARP packets. */
export function ip4Host(scope: Scope, q: Qualifiers, value: number, mask: number, where: At): Cond {
  const { proto, dir } = q;
  const ip = (): Cond => ip4In(scope, ETHERTYPE_IP, 12, 16, dir, value, mask, where);
  const arp = (type: number): Cond => ip4In(scope, type, 14, 24, dir, value, mask, where);
  switch (proto) {
    case '':
      return scope.link.labels > 0 ? ip() : or(ip(), or(arp(ETHERTYPE_ARP), arp(ETHERTYPE_REVARP)));
    case 'ip':
      return ip();
    case 'arp':
      return arp(ETHERTYPE_ARP);
    case 'rarp':
      return arp(ETHERTYPE_REVARP);
    case 'link':
      return scope.fail('illegal link layer address', where);
    default:
      return scope.fail(`'${proto}' modifier applied to ${q.kind}`, where);
  }
}

export function ip6Host(
  scope: Scope,
  q: Qualifiers,
  words: readonly number[],
  masks: readonly number[],
  where: At,
): Cond {
  if (q.proto === 'link') scope.fail('illegal link layer address', where);
  if (q.proto !== '' && q.proto !== 'ip6') scope.fail(`'${q.proto}' modifier applied to ip6 ${q.kind}`, where);
  const at = (off: number) => (): Cond => {
    const same = words
      .map((word, i) => ({ word, mask: masks[i], at: beyond(network(scope.link), off + i * 4) }))
      .filter(({ mask }) => mask !== 0)
      .map(({ word, mask, at: field }) => equal(field, 4, word, mask))
      .reduceRight<Cond | undefined>((rest, one) => (rest === undefined ? one : and(one, rest)), undefined);
    return and(scope.protocol(ETHERTYPE_IPV6, where), same ?? TRUE);
  };
  return directed(scope, q.dir, at(8), at(24), where);
}

/** An Ethernet address. */
export function etherHost(scope: Scope, dir: Direction, bytes: readonly number[], where: At): Cond {
  const { link } = scope;
  if (link.type !== LINKTYPE_ETHERNET && !isWlan(link))
    scope.fail('ethernet addresses supported only on ethernet and 802.11', where);
  const high = (bytes[0] << 8) | bytes[1];
  const low = ((bytes[2] << 24) | (bytes[3] << 16) | (bytes[4] << 8) | bytes[5]) >>> 0;
  const field = (off: number): Cond =>
    and(equal(beyond(link.header, off + 2), 4, low), equal(beyond(link.header, off), 2, high));
  if (isWlan(link)) {
    const found = wlanAddress(link.header, dir, field);
    if (found !== undefined) return found;
  } else if (dir.startsWith('addr') || dir === 'ra' || dir === 'ta') {
    scope.fail(`'${dir}' is only supported on 802.11 with 802.11 headers`, where);
  }
  const at = (off: number) => (): Cond => field(off);
  const address = directed(scope, dir, at(6), at(0), where);
  const present = hasLinkHeader(link);
  return present === undefined ? address : and(present, address);
}

/** A DECnet address in the forms of its headers: long and short, padded or not. */
function decnetHost(scope: Scope, dir: Direction, address: number, where: At): Cond {
  const swapped = ((address & 0xff) << 8) | (address >> 8);
  const base = network(scope.link);
  const at = (short: number, long: number) => (): Cond => {
    const form = (flags: Cond, off: number): Cond => and(flags, equal(beyond(base, off), 2, swapped));
    const field = (mask: number, value: number, size: number): Cond => equal(beyond(base, 2), size, value, mask);
    const forms = [
      form(field(0x07, 0x02, 1), short),
      form(field(0xff07, 0x8102, 2), short + 1),
      form(field(0x07, 0x06, 1), long),
      form(field(0xff07, 0x8106, 2), long + 1),
    ];
    return and(
      scope.protocol(0x6003, where),
      forms.reduce((all, one) => or(all, one)),
    );
  };
  return directed(scope, dir, at(5, 17), at(3, 9), where);
}

const prefixMask = (length: number): number =>
  length <= 0 ? 0 : length >= 32 ? 0xffff_ffff : (0xffff_ffff << (32 - length)) >>> 0;

function maskedHost(scope: Scope, q: Qualifiers, id: Extract<Id, { kind: 'masked' }>): Cond {
  const { net, length } = id;
  const text = 'text' in net ? net.text : '';
  const outside = (): never => scope.fail(`non-network bits set in "${text}/${length}"`, net);
  if (net.kind === 'ip6') {
    if (q.kind !== 'net' && length !== 128) scope.fail('Mask syntax for networks only', net);
    const masks = [0, 1, 2, 3].map((i) => prefixMask(length - i * 32));
    if (net.words.some((word, i) => (word & ~masks[i]) !== 0)) outside();
    return ip6Host(scope, q, net.words, masks, net);
  }
  if (q.kind !== 'net') scope.fail('Mask syntax for networks only', net);
  const value = net.kind === 'ip4' ? net.value : net.kind === 'number' ? (net.value << 24) >>> 0 : 0;
  if ((value & ~prefixMask(length)) !== 0) outside();
  return ip4Host(scope, q, value, prefixMask(length), net);
}

/** `host`, `net`, or an address with no keyword but a direction. */
export function hostOrNet(scope: Scope, q: Qualifiers, id: Id): Cond {
  const { proto, kind, dir } = q;
  switch (id.kind) {
    case 'masked':
      return maskedHost(scope, q, id);
    case 'mask': {
      const { net, mask } = id;
      if (net.kind !== 'ip4' || mask.kind !== 'ip4') return scope.fail('a mask is written like an IPv4 address', mask);
      if (kind !== 'net') scope.fail('Mask syntax for networks only', net);
      if ((net.value & ~mask.value) !== 0) scope.fail(`non-network bits set in "${net.text} mask ${mask.text}"`, net);
      return ip4Host(scope, q, net.value, mask.value, net);
    }
    case 'ip4':
      if (proto === 'decnet') {
        const [area, node] = id.text.split('.').map(Number);
        if (id.bits !== 16) scope.fail('a DECnet address has two parts', id);
        return decnetHost(scope, dir, (area << 10) | (node & 0x3ff), id);
      }
      return ip4Host(scope, q, id.value, prefixMask(id.bits), id);
    case 'number': {
      if (proto === 'decnet') return decnetHost(scope, dir, id.value, id);
      let { value } = id;
      let mask = 0xffff_ffff;
      // "net 10" is "net 10.0.0.0/8".
      while (kind === 'net' && value !== 0 && value < 0x100_0000) {
        value = (value << 8) >>> 0;
        mask = (mask << 8) >>> 0;
      }
      return ip4Host(scope, q, value, mask, id);
    }
    case 'ip6': {
      const full = [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff];
      return ip6Host(scope, q, id.words, full, id);
    }
    case 'mac':
      if (proto !== 'link') scope.fail('ethernet address used in non-ether expression', id);
      return etherHost(scope, dir, id.bytes, id);
    default:
      return named(scope, q, id);
  }
}

function named(scope: Scope, q: Qualifiers, id: Extract<Id, { kind: 'name' }>): Cond {
  const { text } = id;
  if (q.kind === 'net') {
    const net = scope.resolver.net?.(text);
    const found = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(net ?? '');
    if (found === null) return scope.fail(`unknown network '${text}'`, id);
    const value = found.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
    return ip4Host(scope, q, value, prefixMask(Number(found[5])), id);
  }
  if (q.proto === 'link') {
    const mac = scope.resolver.ether?.(text);
    if (mac === undefined) return scope.fail(`unknown ether host '${text}'`, id);
    return etherHost(
      scope,
      q.dir,
      mac.split(':').map((part) => Number.parseInt(part, 16)),
      id,
    );
  }
  const addresses = scope.addresses(text);
  const none = scope.resolver.host === undefined ? ': host names are not resolved here' : '';
  if (addresses === undefined || addresses.length === 0) return scope.fail(`unknown host '${text}'${none}`, id);
  const wanted = addresses.filter((a) => (q.proto === 'ip6' ? a.length === 16 : q.proto === '' || a.length === 4));
  if (wanted.length === 0) scope.fail(`unknown host '${text}' for the specified address family`, id);
  return wanted
    .map((bytes) => {
      const dv = new DataView(bytes.buffer, bytes.byteOffset);
      if (bytes.length === 4) return ip4Host(scope, q, dv.getUint32(0), 0xffff_ffff, id);
      const words = [0, 4, 8, 12].map((i) => dv.getUint32(i));
      return ip6Host(scope, q, words, [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff], id);
    })
    .reduce((all, one) => or(all, one));
}
