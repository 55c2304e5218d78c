/** Options behind a set type or an element, as attributes and back. */

import { formatAddress } from '../../wire/address.ts';
import {
  type Attr,
  type AttrWriter,
  attrMap,
  getBeU16,
  getBeU32,
  getBeU64,
  getString,
} from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/ipset.ts';
import { type SetType, setType } from '../../wire/uapi/ipset-types.ts';
import { NLA_F_NET_BYTEORDER } from '../../wire/uapi/netlink.ts';
import { parseIp, parseNumber, writeAddress } from './element.ts';
import { IpsetError, syntax } from './errors.ts';

const be = (type: number): number => type | NLA_F_NET_BYTEORDER;
const U32 = 0xffffffff;

/** A command used wrongly: exit code 2. */
export const usage = (message: string): IpsetError =>
  new IpsetError(`${message}\nTry \`ipset help' for more information.`, 2);

/** The type of a name; throws when there is none. */
export function needType(name: string): SetType {
  const type = setType(name);
  if (type === undefined) throw syntax(`typename '${name}' is unknown`);
  return type;
}

/** Reads words one after another. */
export class Words {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#at++];
  }

  /** The argument of an option. */
  value(option: string): string {
    const word = this.next();
    if (word === undefined) throw syntax(`Missing mandatory argument of option \`${option}'`);
    return word;
  }
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  counters: U.IPSET_FLAG_WITH_COUNTERS,
  comment: U.IPSET_FLAG_WITH_COMMENT,
  skbinfo: U.IPSET_FLAG_WITH_SKBINFO,
  forceadd: U.IPSET_FLAG_WITH_FORCEADD,
};

/** The family that the words of a create command ask for. */
export function familyOf(type: SetType, words: readonly string[]): number {
  if (type.families[0] === 0) return 0;
  const at = words.findIndex((word) => word === 'family' || word === '-6' || word === '-4');
  if (at < 0) return 2;
  if (words[at] !== 'family') return words[at] === '-6' ? 10 : 2;
  const name = words[at + 1] ?? '';
  if (/^(?:inet6|ipv6|-6)$/.test(name)) return type.families.includes(10) ? 10 : 2;
  if (/^(?:inet|ipv4|-4)$/.test(name)) return 2;
  throw syntax(`unknown INET family ${name}`);
}

/** Types whose addresses can be cut to a netmask. */
const NETMASK_TYPES: readonly string[] = ['hash:ip', 'hash:ip,port', 'hash:net,net', 'bitmap:ip'];

/** Writes IPSET_ATTR_DATA of a create command. */
export function writeCreate(w: AttrWriter, type: SetType, family: number, args: readonly string[]): void {
  const words = new Words(args);
  const hash = type.method === 'hash';
  let flags = 0;
  w.nest(U.IPSET_ATTR_DATA, (d) => {
    for (let word = words.next(); word !== undefined; word = words.next()) {
      if (word === 'timeout') d.beU32(be(U.CADT_TIMEOUT), parseNumber(words.value(word), 0, 2_147_483));
      else if (word in FLAG_WORDS && (word !== 'forceadd' || hash)) flags |= FLAG_WORDS[word];
      else if (word === 'family' && hash && type.families[0] !== 0) words.value(word);
      else if ((word === '-4' || word === '-6') && hash) continue;
      else if (word === 'hashsize' && hash) d.beU32(be(U.CADT_HASHSIZE), parseNumber(words.value(word), 0, U32));
      else if (word === 'maxelem' && hash) d.beU32(be(U.CADT_MAXELEM), parseNumber(words.value(word), 0, U32));
      else if (word === 'bucketsize' && hash) d.u8(U.CADT_BUCKETSIZE, parseNumber(words.value(word), 1, 255));
      else if (word === 'initval' && hash) d.beU32(be(U.CADT_INITVAL), parseNumber(words.value(word), 0, U32));
      else if (word === 'netmask' && NETMASK_TYPES.includes(type.name))
        d.u8(U.CADT_NETMASK, parseNumber(words.value(word), 1, family === 10 ? 128 : 32));
      else if (word === 'bitmask' && hash && NETMASK_TYPES.includes(type.name))
        writeAddress(d, U.CADT_BITMASK, parseIp(words.value(word), family));
      else if (word === 'markmask' && type.dimensions.includes('mark'))
        d.beU32(be(U.CADT_MARKMASK), parseNumber(words.value(word), 0, U32));
      else if (word === 'range' && type.method === 'bitmap') writeBitmapRange(d, type, words.value(word));
      else if (word === 'size' && type.method === 'list')
        d.beU32(be(U.CADT_SIZE), parseNumber(words.value(word), 0, U32));
      else throw usage(`Unknown argument: \`${word}'`);
    }
    if (flags !== 0) d.beU32(be(U.CADT_FLAGS), flags);
  });
}

function writeBitmapRange(d: AttrWriter, type: SetType, text: string): void {
  const dash = text.indexOf('-');
  if (type.dimensions[0] === 'bare-port') {
    if (dash < 0) throw syntax(`range must be in the form FROM-TO, not '${text}'`);
    d.beU16(be(U.CADT_PORT), parseNumber(text.slice(0, dash), 0, 65_535));
    d.beU16(be(U.CADT_PORT_TO), parseNumber(text.slice(dash + 1), 0, 65_535));
    return;
  }
  const slash = text.indexOf('/');
  if (slash >= 0) {
    writeAddress(d, U.CADT_IP, parseIp(text.slice(0, slash), 2));
    d.u8(U.CADT_CIDR, parseNumber(text.slice(slash + 1), 0, 32));
    return;
  }
  if (dash < 0) throw syntax(`range must be in the form FROM-TO or NETWORK/PREFIX, not '${text}'`);
  writeAddress(d, U.CADT_IP, parseIp(text.slice(0, dash), 2));
  writeAddress(d, U.CADT_IP_TO, parseIp(text.slice(dash + 1), 2));
}

/** Writes what stands behind an element: its extensions and its place in a list. Answers flags. */
export function writeExtensions(d: AttrWriter, type: SetType, args: readonly string[]): number {
  const words = new Words(args);
  let flags = 0;
  for (let word = words.next(); word !== undefined; word = words.next())
    switch (word) {
      case 'timeout':
        d.beU32(be(U.CADT_TIMEOUT), parseNumber(words.value(word), 0, 2_147_483));
        break;
      case 'packets':
        d.beU64(be(U.CADT_PACKETS), big(words.value(word)));
        break;
      case 'bytes':
        d.beU64(be(U.CADT_BYTES), big(words.value(word)));
        break;
      case 'comment': {
        const text = words.value(word);
        if (text.includes('"')) throw syntax('" character is not permitted in comments');
        if (text.length > 255) throw syntax('Comment is longer than the maximum allowed 255 characters');
        d.string(U.CADT_COMMENT, text);
        break;
      }
      case 'skbmark': {
        const m = /^0[xX]([0-9a-fA-F]{1,8})(?:\/0[xX]([0-9a-fA-F]{1,8}))?$/.exec(words.value(word));
        if (m === null) throw syntax('Invalid skbmark format, it should be:  MARK/MASK or MARK (see manpage)');
        d.beU64(be(U.CADT_SKBMARK), (BigInt(`0x${m[1]}`) << 32n) | BigInt(`0x${m[2] ?? 'ffffffff'}`));
        break;
      }
      case 'skbprio': {
        const m = /^([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})$/.exec(words.value(word));
        if (m === null) throw syntax('Invalid skbprio format, it should be: MAJOR:MINOR (see manpage)');
        d.beU32(be(U.CADT_SKBPRIO), ((Number.parseInt(m[1], 16) << 16) | Number.parseInt(m[2], 16)) >>> 0);
        break;
      }
      case 'skbqueue':
        d.beU16(be(U.CADT_SKBQUEUE), parseNumber(words.value(word), 0, 65_535));
        break;
      case 'nomatch':
        if (!type.dimensions.includes('net')) throw usage(`Unknown argument: \`${word}'`);
        flags |= U.IPSET_FLAG_NOMATCH;
        break;
      case 'wildcard':
        if (!type.dimensions.includes('iface')) throw usage(`Unknown argument: \`${word}'`);
        flags |= U.IPSET_FLAG_IFACE_WILDCARD;
        break;
      case 'before':
      case 'after':
        if (type.method !== 'list') throw usage(`Unknown argument: \`${word}'`);
        d.string(U.CADT_NAMEREF, words.value(word));
        if (word === 'before') flags |= U.IPSET_FLAG_BEFORE;
        break;
      default:
        throw usage(`Unknown argument: \`${word}'`);
    }
  return flags;
}

function big(text: string): bigint {
  if (!/^(?:0[xX][0-9a-fA-F]+|\d+)$/.test(text)) throw syntax(`'${text}' is invalid as number`);
  return BigInt(text);
}

type Attrs = ReadonlyMap<number, Attr>;
const u32 = (attrs: Attrs, type: number): number | undefined => {
  const attr = attrs.get(type);
  return attr === undefined ? undefined : getBeU32(attr.payload);
};

const innerAddress = (attr: Attr): string => {
  const inner = attrMap(attr.payload);
  return formatAddress(inner.get(1)?.payload ?? inner.get(2)?.payload ?? new Uint8Array(4));
};

/** The header line of a set: what its create command would say. */
export function headerText(type: SetType, family: number, d: Attrs): string {
  const out: string[] = [];
  const number = (word: string, attr: number): void => {
    const value = u32(d, attr);
    if (value !== undefined) out.push(`${word} ${value}`);
  };
  const byte = (word: string, attr: number): void => {
    const value = d.get(attr)?.payload[0];
    if (value !== undefined) out.push(`${word} ${value}`);
  };
  if (type.method === 'bitmap') out.push(`range ${rangeText(type, d)}`);
  if (type.method === 'list') number('size', U.CADT_SIZE);
  if (type.method === 'hash') {
    if (family !== 0) out.push(`family ${family === 10 ? 'inet6' : 'inet'}`);
    const mark = u32(d, U.CADT_MARKMASK);
    if (mark !== undefined) out.push(`markmask 0x${mark.toString(16).padStart(8, '0')}`);
    number('hashsize', U.CADT_HASHSIZE);
    number('maxelem', U.CADT_MAXELEM);
  }
  byte('netmask', U.CADT_NETMASK);
  const bitmask = d.get(U.CADT_BITMASK);
  if (bitmask !== undefined) out.push(`bitmask ${innerAddress(bitmask)}`);
  number('timeout', U.CADT_TIMEOUT);
  const flags = u32(d, U.CADT_FLAGS) ?? 0;
  for (const [word, bit] of Object.entries(FLAG_WORDS)) if (flags & bit) out.push(word);
  if (type.method === 'hash') {
    byte('bucketsize', U.CADT_BUCKETSIZE);
    const initval = u32(d, U.CADT_INITVAL);
    if (initval !== undefined) out.push(`initval 0x${initval.toString(16).padStart(8, '0')}`);
  }
  return out.join(' ');
}

function rangeText(type: SetType, d: Attrs): string {
  if (type.dimensions[0] === 'bare-port') {
    const [from, to] = [d.get(U.CADT_PORT), d.get(U.CADT_PORT_TO)];
    return `${from ? getBeU16(from.payload) : 0}-${to ? getBeU16(to.payload) : 0}`;
  }
  const [from, to] = [d.get(U.CADT_IP), d.get(U.CADT_IP_TO)];
  return `${from ? innerAddress(from) : ''}-${to ? innerAddress(to) : ''}`;
}

/** The extensions of an element, each with a blank before it. */
export function extensionsText(attrs: Attrs): string {
  let out = '';
  const flags = u32(attrs, U.CADT_FLAGS) ?? 0;
  if (flags & U.IPSET_FLAG_NOMATCH) out += ' nomatch';
  if (flags & U.IPSET_FLAG_IFACE_WILDCARD) out += ' wildcard';
  const timeout = u32(attrs, U.CADT_TIMEOUT);
  if (timeout !== undefined) out += ` timeout ${timeout}`;
  const [packets, bytes] = [attrs.get(U.CADT_PACKETS), attrs.get(U.CADT_BYTES)];
  if (packets !== undefined) out += ` packets ${getBeU64(packets.payload)}`;
  if (bytes !== undefined) out += ` bytes ${getBeU64(bytes.payload)}`;
  const comment = attrs.get(U.CADT_COMMENT);
  if (comment !== undefined) out += ` comment "${getString(comment.payload)}"`;
  const mark = attrs.get(U.CADT_SKBMARK);
  if (mark !== undefined) {
    const [value, mask] = [getBeU32(mark.payload), getBeU32(mark.payload.subarray(4))];
    out += ` skbmark 0x${value.toString(16)}${mask === U32 ? '' : `/0x${mask.toString(16)}`}`;
  }
  const priority = u32(attrs, U.CADT_SKBPRIO);
  if (priority !== undefined) out += ` skbprio ${(priority >>> 16).toString(16)}:${(priority & 0xffff).toString(16)}`;
  const queue = attrs.get(U.CADT_SKBQUEUE);
  if (queue !== undefined) out += ` skbqueue ${getBeU16(queue.payload)}`;
  return out;
}
