/** An element as people write it (ipset(8)): "10.0.0.0/24,tcp:80-82,192.168.1.1", to attributes and back. */

import { formatAddress, formatMac, parseAddress, parseMac } from '../../wire/address.ts';
import { type Attr, type AttrWriter, attrMap, getBeU16, getBeU32, getString } from '../../wire/netlink/attr.ts';
import { protocolByName, protocolByNumber, serviceByName } from '../../wire/services.ts';
import * as U from '../../wire/uapi/ipset.ts';
import type { Dimension, SetType } from '../../wire/uapi/ipset-types.ts';
import { NLA_F_NET_BYTEORDER } from '../../wire/uapi/netlink.ts';
import { syntax } from './errors.ts';
import { icmpName, icmpNumber } from './icmp.ts';

type Attrs = ReadonlyMap<number, Attr>;

const be = (type: number): number => type | NLA_F_NET_BYTEORDER;

/** Writes an address. */
export function writeAddress(w: AttrWriter, type: number, bytes: Uint8Array): void {
  w.nest(type, (n) => n.bytes(be(bytes.length === 16 ? U.IPSET_ATTR_IPADDR_IPV6 : U.IPSET_ATTR_IPADDR_IPV4), bytes));
}

/** Reads an address of a family. */
export function parseIp(text: string, family: number): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes?.length !== (family === 10 ? 16 : 4))
    throw syntax(`cannot parse ${text}: resolving to IPv${family === 10 ? 6 : 4} address failed`);
  return bytes;
}

/** Reads a number in a range. */
export function parseNumber(text: string, min: number, max: number): number {
  if (!/^(?:0[xX][0-9a-fA-F]+|-?\d+)$/.test(text)) throw syntax(`'${text}' is invalid as number`);
  const value = Number(text);
  if (value < min || value > max) throw syntax(`'${text}' is out of range ${min}-${max}`);
  return value;
}

const ORDINAL = ['First', 'Second', 'Third'];

/** What is said of more parts than a type has, by their number. */
const TOO_MANY: readonly (readonly [string, string])[] = [
  ['Elem separator', 'none'],
  ['Two elem separators', 'one'],
  ['Three elem separators', 'two'],
];

/** Writes an element's attributes. Flags that belong to the element are answered. Throws IpsetError. */
export function writeElement(w: AttrWriter, type: SetType, family: number, text: string): number {
  const words = text.split(',');
  const dimensions = type.dimensions;
  if (words.length > dimensions.length)
    throw syntax(
      `${TOO_MANY[dimensions.length - 1][0]} in ${text}, but settype ${type.name} supports ${TOO_MANY[dimensions.length - 1][1]}.`,
    );
  let flags = 0;
  let addresses = 0;
  dimensions.forEach((dimension, i) => {
    const word = words[i];
    if (word === undefined) {
      // The MAC address of bitmap:ip,mac may be learned.
      if (dimension === 'mac' && type.learnsMac === true) return;
      throw syntax(`${ORDINAL[i]} element is missing from ${text}.`);
    }
    const second = (dimension === 'ip' || dimension === 'net') && addresses++ > 0;
    flags |= writePart(w, dimension, second, family, word);
  });
  return flags;
}

function writePart(w: AttrWriter, dimension: Dimension, second: boolean, family: number, word: string): number {
  switch (dimension) {
    case 'ip':
      if (family === 10 && /[/-]/.test(word)) throw syntax(`plain IP address must be supplied: ${word}`);
      writeRange(w, second, family, word);
      return 0;
    case 'net':
      writeRange(w, second, family, word);
      return 0;
    case 'port':
      writePort(w, word);
      return 0;
    case 'bare-port':
      // The protocol only says which service names are meant.
      writePorts(w, word.replace(/^(?:tcp|udp):/, ''), 6);
      return 0;
    case 'mac': {
      const mac = parseMac(word);
      if (mac === undefined) throw syntax(`cannot parse ${word} as ethernet address`);
      w.bytes(U.CADT_ETHER, mac);
      return 0;
    }
    case 'mark':
      w.beU32(be(U.CADT_MARK), parseNumber(word, 0, 0xffffffff));
      return 0;
    default: {
      const physdev = word.startsWith('physdev:');
      const name = physdev ? word.slice(8) : word;
      if (name.length > 15) throw syntax(`interface name '${name}' is longer than 15 characters`);
      w.string(U.CADT_IFACE, name);
      return physdev ? U.IPSET_FLAG_PHYSDEV : 0;
    }
  }
}

function writeRange(w: AttrWriter, second: boolean, family: number, word: string): void {
  const [ip, to, cidr] = second ? [U.CADT_IP2, U.CADT_IP2_TO, U.CADT_CIDR2] : [U.CADT_IP, U.CADT_IP_TO, U.CADT_CIDR];
  const slash = word.indexOf('/');
  const dash = word.indexOf('-');
  if (slash >= 0) {
    writeAddress(w, ip, parseIp(word.slice(0, slash), family));
    w.u8(cidr, parseNumber(word.slice(slash + 1), 0, family === 10 ? 128 : 32));
  } else if (dash >= 0) {
    writeAddress(w, ip, parseIp(word.slice(0, dash), family));
    writeAddress(w, to, parseIp(word.slice(dash + 1), family));
  } else writeAddress(w, ip, parseIp(word, family));
}

/** "[protocol:]port[-port]"; TCP when nothing is said. */
function writePort(w: AttrWriter, word: string): void {
  const colon = word.indexOf(':');
  const name = colon < 0 ? 'tcp' : word.slice(0, colon);
  const rest = colon < 0 ? word : word.slice(colon + 1);
  const protocol = /^\d+$/.test(name) ? Number(name) : protocolByName.get(name === 'icmpv6' ? 'ipv6-icmp' : name);
  if (protocol === undefined || protocol > 255) throw syntax(`cannot parse '${name}' as a protocol`);
  if (protocol === 1 || protocol === 58) {
    const number = icmpNumber(rest, protocol === 58);
    if (number === undefined) throw syntax(`cannot parse ${rest} as an ${protocol === 58 ? 'ICMPv6' : 'ICMP'} type`);
    w.beU16(be(U.CADT_PORT), number);
  } else writePorts(w, rest, protocol);
  w.u8(U.CADT_PROTO, protocol);
}

function writePorts(w: AttrWriter, word: string, protocol: number): void {
  const dash = /^\d+-\d+$/.test(word) ? word.indexOf('-') : -1;
  const one = (text: string): number => {
    const named = serviceByName.get(text);
    if (named !== undefined) return named;
    if (!/^\d+$/.test(text))
      throw syntax(`cannot parse '${text}' as a ${protocolByNumber.get(protocol)?.toUpperCase() ?? protocol} port`);
    return parseNumber(text, 0, 65_535);
  };
  w.beU16(be(U.CADT_PORT), one(dash < 0 ? word : word.slice(0, dash)));
  if (dash >= 0) w.beU16(be(U.CADT_PORT_TO), one(word.slice(dash + 1)));
}

const inner = (attr: Attr | undefined): Uint8Array => {
  const found = attr && attrMap(attr.payload);
  return found?.get(1)?.payload ?? found?.get(2)?.payload ?? new Uint8Array(4);
};

/** An element as listings show it, without its extensions. */
export function elementText(type: SetType, attrs: Attrs): string {
  if (type.method === 'list') return getString(attrs.get(U.CADT_NAME)?.payload ?? new Uint8Array());
  let addresses = 0;
  const words: string[] = [];
  for (const dimension of type.dimensions) {
    const second = (dimension === 'ip' || dimension === 'net') && addresses++ > 0;
    const word = partText(dimension, second, attrs);
    if (word !== undefined) words.push(word);
  }
  return words.join(',');
}

function partText(dimension: Dimension, second: boolean, attrs: Attrs): string | undefined {
  const port = attrs.get(U.CADT_PORT);
  const number = port === undefined ? 0 : getBeU16(port.payload);
  switch (dimension) {
    case 'ip':
      return formatAddress(inner(attrs.get(second ? U.CADT_IP2 : U.CADT_IP)));
    case 'net': {
      const bytes = inner(attrs.get(second ? U.CADT_IP2 : U.CADT_IP));
      const cidr = attrs.get(second ? U.CADT_CIDR2 : U.CADT_CIDR)?.payload[0] ?? bytes.length * 8;
      return formatAddress(bytes) + (cidr === bytes.length * 8 ? '' : `/${cidr}`);
    }
    case 'port': {
      const protocol = attrs.get(U.CADT_PROTO)?.payload[0] ?? 0;
      if (protocol === 1 || protocol === 58)
        return `${protocol === 1 ? 'icmp' : 'icmpv6'}:${icmpName(number, protocol === 58)}`;
      return `${protocolByNumber.get(protocol) ?? protocol}:${number}`;
    }
    case 'bare-port':
      return `${number}`;
    case 'mac': {
      const mac = attrs.get(U.CADT_ETHER)?.payload;
      return mac === undefined ? undefined : formatMac(mac).toUpperCase();
    }
    case 'mark': {
      const mark = attrs.get(U.CADT_MARK);
      return `0x${(mark === undefined ? 0 : getBeU32(mark.payload)).toString(16).padStart(8, '0')}`;
    }
    default: {
      const flags = attrs.get(U.CADT_FLAGS);
      const physdev = flags !== undefined && getBeU32(flags.payload) & U.IPSET_FLAG_PHYSDEV;
      return (physdev ? 'physdev:' : '') + getString(attrs.get(U.CADT_IFACE)?.payload ?? new Uint8Array());
    }
  }
}
