/**
 * The data types of the nft language (nft(8), "DATA TYPES"): number, size, byte order, symbols, text to value and back.
 * The numbers are those that nft stores in NFTA_SET_KEY_TYPE; a concatenation's number is six bits per member.
 *
 * A value is a bigint, the mathematical value; `exportValue` puts it into bytes in the type's byte order. Strings are
 * their bytes read as a little-endian number.
 */
import { formatAddress, formatMac, parseIpv4, parseIpv6 } from '../../wire/address.ts';
import { protocolByName, protocolByNumber, serviceByName, serviceByPort } from '../../wire/services.ts';
import * as symbols from './symbols.ts';
import { formatDate, formatHour, formatTime, parseDate, parseHour, parseTime } from './time.ts';

export type ByteOrder = 'invalid' | 'host' | 'big';

/** What names mean on the machine: interfaces, users, groups. Absent functions know no names. */
export type Names = {
  readonly ifIndex?: (name: string) => number | undefined;
  readonly ifName?: (index: number) => string | undefined;
  readonly uid?: (name: string) => number | undefined;
  readonly gid?: (name: string) => number | undefined;
  readonly cgroup?: (path: string) => bigint | undefined;
  /** Seconds that local time is ahead of UTC, for dates and hours. */
  readonly zone?: number;
};

/** Releases whose listings differ. */
export type Release = '1.0.6' | '1.1.0';

export type PrintOptions = Names & {
  /** -n: protocols, users and symbols as numbers too (1 = -n, 2 = -nn...). */
  readonly numericProtocol?: boolean;
  readonly numericSymbol?: boolean;
  readonly numericTime?: boolean;
  /** Relative times as one number of seconds, as ends of ranges have it. */
  readonly inSeconds?: boolean;
  /** The release of nftables whose listing this is; 1.0.6 when not said. */
  readonly release?: Release;
  /** -S: ports by name. */
  readonly services?: boolean;
};

/** A value, or why the text is none. */
export type Parsed = { readonly value: bigint; readonly len?: number } | { readonly error: string };

export type Datatype = {
  readonly id: number;
  readonly name: string;
  readonly desc: string;
  /** Bits; 0 = set by the place. */
  readonly size: number;
  readonly byteorder: ByteOrder;
  readonly base?: Datatype;
  readonly symbols?: readonly (readonly [string, bigint])[];
  /** Unnamed values print in decimal. */
  readonly decimal?: boolean;
  /** A /len may follow the value. */
  readonly prefix?: boolean;
  readonly parse?: (text: string, names: Names) => Parsed;
  readonly print?: (value: bigint, len: number, options: PrintOptions) => string;
  /** Members of a concatenation. */
  readonly parts?: readonly Datatype[];
};

/** Bytes of a value: `len` bits rounded up, big-endian or (host, invalid) little-endian. */
export function exportValue(value: bigint, byteorder: ByteOrder, len: number): Uint8Array {
  const size = (len + 7) >> 3;
  const out = new Uint8Array(size);
  if (size <= 4 && value >= 0n) {
    let v = Number(BigInt.asUintN(32, value));
    for (let i = 0; i < size; i++, v = Math.floor(v / 256)) out[byteorder === 'big' ? size - 1 - i : i] = v & 0xff;
    return out;
  }
  let v = BigInt.asUintN(size * 8, value);
  for (let i = 0; i < size; i++, v >>= 8n) out[byteorder === 'big' ? size - 1 - i : i] = Number(v & 0xffn);
  return out;
}

/** The value in bytes. */
export function importValue(bytes: Uint8Array, byteorder: ByteOrder): bigint {
  let v = 0n;
  if (byteorder === 'big') for (const byte of bytes) v = (v << 8n) | BigInt(byte);
  else for (let i = bytes.length - 1; i >= 0; i--) v = (v << 8n) | BigInt(bytes[i]);
  return v;
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** A string's value: its bytes, first byte lowest. */
export function stringValue(text: string): bigint {
  return importValue(utf8.encode(text), 'host');
}

/** The text of a string's value. */
export function valueString(value: bigint): string {
  const bytes: number[] = [];
  for (let v = value; v > 0n; v >>= 8n) bytes.push(Number(v & 0xffn));
  const nul = bytes.indexOf(0);
  return fromUtf8.decode(Uint8Array.from(nul < 0 ? bytes : bytes.slice(0, nul)));
}

/** Decimal, 0x hexadecimal or 0 octal, as strtoull with base 0; undefined when it is no number. */
export function parseNumber(text: string): bigint | undefined {
  if (/^0x[0-9a-fA-F]+$/i.test(text)) return BigInt(text);
  if (/^0[0-7]+$/.test(text)) return BigInt(`0o${text.slice(1)}`);
  return /^[0-9]+$/.test(text) ? BigInt(text) : undefined;
}

function integerText(value: bigint): string {
  return value.toString();
}

const hex = (value: bigint, len: number): string => `0x${value.toString(16).padStart((len + 3) >> 2, '0')}`;

function parseInteger(text: string): Parsed {
  const value = parseNumber(text);
  return value === undefined ? { error: `Could not parse integer '${text}'` } : { value };
}

/** A number that may not exceed `max`, or a name from a table. */
function numberOr(text: string, max: bigint, lookup: (name: string) => number | undefined, failure: string): Parsed {
  const value = parseNumber(text);
  if (value !== undefined) return value > max ? { error: `Value ${text} exceeds valid range 0-${max}` } : { value };
  const named = lookup(text);
  return named === undefined ? { error: failure } : { value: BigInt(named) };
}

/** An IPv4 address as one number, inet_aton(3). */
function plainIpv4(text: string): Uint8Array | undefined {
  const value = parseNumber(text);
  return value === undefined || value > 0xffffffffn ? undefined : exportValue(value, 'big', 32);
}

export const invalidType: Datatype = { id: 0, name: 'invalid', desc: 'invalid', size: 0, byteorder: 'invalid' };
export const verdictType: Datatype = {
  id: 1,
  name: 'verdict',
  desc: 'netfilter verdict',
  size: 0,
  byteorder: 'invalid',
};
export const integerType: Datatype = {
  id: 4,
  name: 'integer',
  desc: 'integer',
  size: 0,
  byteorder: 'invalid',
  parse: parseInteger,
  print: integerText,
};
/** Bits and an offset in one number: hexadecimal in newer releases. */
export const fragOffType: Datatype = {
  ...integerType,
  base: integerType,
  print: (value, _len, options) => (options.release === '1.1.0' ? `0x${value.toString(16)}` : integerText(value)),
};
export const nfprotoType: Datatype = {
  id: 2,
  name: 'nf_proto',
  desc: 'netfilter protocol',
  size: 8,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.nfproto,
  decimal: true,
};
export const bitmaskType: Datatype = {
  id: 3,
  name: 'bitmask',
  desc: 'bitmask',
  size: 0,
  byteorder: 'invalid',
  base: integerType,
  print: (value) => `0x${value.toString(16)}`,
};
export const stringType: Datatype = {
  id: 5,
  name: 'string',
  desc: 'string',
  size: 0,
  byteorder: 'host',
  parse: (text) => ({ value: stringValue(text), len: utf8.encode(text).length * 8 }),
  print: (value) => `"${valueString(value)}"`,
};
const macText = (value: bigint, len: number): string => {
  const bytes = exportValue(value, 'big', len);
  return formatMac(bytes, 0, bytes.length);
};
const parseLladdr = (text: string): Parsed => {
  if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2})*$/.test(text)) return { error: 'LL address: bad value' };
  const bytes = Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
  return { value: importValue(bytes, 'big'), len: bytes.length * 8 };
};
export const lladdrType: Datatype = {
  id: 6,
  name: 'll_addr',
  desc: 'link layer address',
  size: 0,
  byteorder: 'big',
  base: integerType,
  parse: parseLladdr,
  print: macText,
};
export const ipaddrType: Datatype = {
  id: 7,
  name: 'ipv4_addr',
  desc: 'IPv4 address',
  size: 32,
  byteorder: 'big',
  base: integerType,
  prefix: true,
  parse: (text) => {
    const bytes = parseIpv4(text) ?? plainIpv4(text);
    return bytes === undefined
      ? { error: 'Could not resolve hostname: Name or service not known' }
      : { value: importValue(bytes, 'big') };
  },
  print: (value) => formatAddress(exportValue(value, 'big', 32)),
};
export const ip6addrType: Datatype = {
  id: 8,
  name: 'ipv6_addr',
  desc: 'IPv6 address',
  size: 128,
  byteorder: 'big',
  base: integerType,
  prefix: true,
  parse: (text) => {
    const bytes = parseIpv6(text);
    return bytes === undefined
      ? { error: 'Could not resolve hostname: Name or service not known' }
      : { value: importValue(bytes, 'big') };
  },
  print: (value) => formatAddress(exportValue(value, 'big', 128)),
};
export const etheraddrType: Datatype = {
  id: 9,
  name: 'ether_addr',
  desc: 'Ethernet address',
  size: 48,
  byteorder: 'big',
  base: lladdrType,
};
export const ethertypeType: Datatype = {
  id: 10,
  name: 'ether_type',
  desc: 'Ethernet protocol',
  size: 16,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.ethertype,
};
export const arpopType: Datatype = {
  id: 11,
  name: 'arp_op',
  desc: 'ARP operation',
  size: 16,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.arpop,
};
export const inetProtoType: Datatype = {
  id: 12,
  name: 'inet_proto',
  desc: 'Internet protocol',
  size: 8,
  byteorder: 'big',
  base: integerType,
  parse: (text) => numberOr(text, 255n, (name) => protocolByName.get(name), 'Could not resolve protocol name'),
  print: (value, _len, options) =>
    (options.numericProtocol ? undefined : protocolByNumber.get(Number(value))) ?? integerText(value),
};
export const inetServiceType: Datatype = {
  id: 13,
  name: 'inet_service',
  desc: 'internet network service',
  size: 16,
  byteorder: 'big',
  base: integerType,
  parse: (text) =>
    numberOr(
      text,
      65535n,
      (name) => serviceByName.get(name),
      'Could not resolve service: Servname not supported for ai_socktype',
    ),
  print: (value, _len, options) => {
    const name = options.services ? serviceByPort.get(Number(value)) : undefined;
    return name === undefined ? integerText(value) : `"${name}"`;
  },
};
export const icmpTypeType: Datatype = {
  id: 14,
  name: 'icmp_type',
  desc: 'ICMP type',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.icmpType,
  decimal: true,
};
export const tcpFlagType: Datatype = {
  id: 15,
  name: 'tcp_flag',
  desc: 'TCP flag',
  size: 8,
  byteorder: 'host',
  base: bitmaskType,
  symbols: symbols.tcpFlag,
};
export const dccpPkttypeType: Datatype = {
  id: 16,
  name: 'dccp_pkttype',
  desc: 'DCCP packet type',
  size: 4,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.dccpPkttype,
};
export const mhTypeType: Datatype = {
  id: 17,
  name: 'mh_type',
  desc: 'Mobility Header Type',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.mhType,
  decimal: true,
};
/** Relative time in milliseconds. */
export const timeType: Datatype = {
  id: 18,
  name: 'time',
  desc: 'relative time',
  size: 64,
  byteorder: 'host',
  base: integerType,
  parse: (text) => {
    const ms = parseTime(text);
    return ms === undefined ? { error: 'invalid time specification' } : { value: ms };
  },
  print: (value, _len, options) => (options.inSeconds ? `${value / 1000n}s` : formatTime(value)),
};
export const markType: Datatype = {
  id: 19,
  name: 'mark',
  desc: 'packet mark',
  size: 32,
  byteorder: 'host',
  base: integerType,
  parse: (text) => numberOr(text, 0xffffffffn, () => undefined, `Could not parse packet mark`),
  print: hex,
};
export const ifindexType: Datatype = {
  id: 20,
  name: 'iface_index',
  desc: 'network interface index',
  size: 32,
  byteorder: 'host',
  base: integerType,
  parse: (text, names) => {
    const index = names.ifIndex?.(text);
    if (index !== undefined && index > 0) return { value: BigInt(index) };
    const value = parseNumber(text);
    return value === undefined ? { error: 'Interface does not exist' } : { value };
  },
  print: (value, _len, options) => {
    const name = options.ifName?.(Number(value));
    return name === undefined ? integerText(value) : `"${name}"`;
  },
};
export const arphrdType: Datatype = {
  id: 21,
  name: 'iface_type',
  desc: 'network interface type',
  size: 16,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.arphrd,
};
export const realmType: Datatype = {
  id: 22,
  name: 'realm',
  desc: 'routing realm',
  size: 32,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.realm,
  decimal: true,
};
export const classidType: Datatype = {
  id: 23,
  name: 'classid',
  desc: 'TC classid',
  size: 32,
  byteorder: 'host',
  base: integerType,
  parse: (text) => {
    if (text === 'root') return { value: 0xffffffffn };
    if (text === 'none') return { value: 0n };
    const m = /^(?:0x)?([0-9a-fA-F]{0,4}):(?:0x)?([0-9a-fA-F]{0,4})$/.exec(text);
    if (m !== null) return { value: (BigInt(`0x${m[1] || '0'}`) << 16n) | BigInt(`0x${m[2] || '0'}`) };
    const value = parseNumber(text);
    if (value === undefined || value > 0xffffffffn) return { error: `Could not parse Class ID ${text}` };
    return { value };
  },
  print: (value) => {
    if (value === 0xffffffffn) return 'root';
    if (value === 0n) return 'none';
    const major = value >> 16n;
    const minor = value & 0xffffn;
    return `${major === 0n ? '0' : major.toString(16)}:${minor === 0n ? '0' : minor.toString(16)}`;
  },
};
export const uidType: Datatype = {
  id: 24,
  name: 'uid',
  desc: 'user ID',
  size: 32,
  byteorder: 'host',
  base: integerType,
  parse: (text, names) => numberOr(text, 0xffffffffn, (name) => names.uid?.(name), 'User does not exist'),
  print: integerText,
};
export const gidType: Datatype = {
  id: 25,
  name: 'gid',
  desc: 'group ID',
  size: 32,
  byteorder: 'host',
  base: integerType,
  parse: (text, names) => numberOr(text, 0xffffffffn, (name) => names.gid?.(name), 'Group does not exist'),
  print: integerText,
};
export const ctStateType: Datatype = {
  id: 26,
  name: 'ct_state',
  desc: 'conntrack state',
  size: 32,
  byteorder: 'host',
  base: bitmaskType,
  symbols: symbols.ctState,
};
export const ctDirType: Datatype = {
  id: 27,
  name: 'ct_dir',
  desc: 'conntrack direction',
  size: 8,
  byteorder: 'invalid',
  base: integerType,
  symbols: symbols.ctDir,
  decimal: true,
};
export const ctStatusType: Datatype = {
  id: 28,
  name: 'ct_status',
  desc: 'conntrack status',
  size: 32,
  byteorder: 'host',
  base: bitmaskType,
  symbols: symbols.ctStatus,
};
export const icmp6TypeType: Datatype = {
  id: 29,
  name: 'icmpv6_type',
  desc: 'ICMPv6 type',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.icmpv6Type,
  decimal: true,
};
/** A bit number on input, a bit mask as value. */
export const ctLabelType: Datatype = {
  id: 30,
  name: 'ct_label',
  desc: 'conntrack label',
  size: 128,
  byteorder: 'host',
  base: bitmaskType,
  parse: (text) => {
    const bit = parseNumber(text);
    if (bit === undefined) return { error: 'Could not parse conntrack label' };
    return bit > 127n ? { error: `conntrack label: value too large` } : { value: 1n << bit };
  },
  print: (value) => {
    const bits: number[] = [];
    for (let bit = 0; bit < 128; bit++) if ((value >> BigInt(bit)) & 1n) bits.push(bit);
    return bits.length === 0 ? '0x0' : bits.join(',');
  },
};
export const pkttypeType: Datatype = {
  id: 31,
  name: 'pkt_type',
  desc: 'packet type',
  size: 8,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.pkttype,
  decimal: true,
};
export const icmpCodeType: Datatype = {
  id: 32,
  name: 'icmp_code',
  desc: 'icmp code',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.icmpCode,
  decimal: true,
};
export const icmpv6CodeType: Datatype = {
  id: 33,
  name: 'icmpv6_code',
  desc: 'icmpv6 code',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.icmpv6Code,
  decimal: true,
};
export const icmpxCodeType: Datatype = {
  id: 34,
  name: 'icmpx_code',
  desc: 'icmpx code',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.icmpxCode,
  decimal: true,
};
export const devgroupType: Datatype = {
  id: 35,
  name: 'devgroup',
  desc: 'devgroup name',
  size: 32,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.devgroup,
  decimal: true,
};
export const dscpType: Datatype = {
  id: 36,
  name: 'dscp',
  desc: 'Differentiated Services Code Point',
  size: 6,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.dscp,
};
export const ecnType: Datatype = {
  id: 37,
  name: 'ecn',
  desc: 'Explicit Congestion Notification',
  size: 2,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.ecn,
};
export const fibAddrType: Datatype = {
  id: 38,
  name: 'fib_addrtype',
  desc: 'fib address type',
  size: 32,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.fibAddrtype,
  decimal: true,
};
export const booleanType: Datatype = {
  id: 39,
  name: 'boolean',
  desc: 'boolean type',
  size: 1,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.boolean,
  decimal: true,
};
export const ctEventType: Datatype = {
  id: 40,
  name: 'ct_event',
  desc: 'conntrack event bits',
  size: 32,
  byteorder: 'host',
  base: bitmaskType,
  symbols: symbols.ctEvent,
};
export const ifnameType: Datatype = {
  id: 41,
  name: 'ifname',
  desc: 'network interface name',
  size: 128,
  byteorder: 'host',
  base: stringType,
};
export const igmpTypeType: Datatype = {
  id: 42,
  name: 'igmp_type',
  desc: 'IGMP type',
  size: 8,
  byteorder: 'big',
  base: integerType,
  symbols: symbols.igmpType,
  decimal: true,
};
/** Nanoseconds since 1970. */
export const dateType: Datatype = {
  id: 43,
  name: 'time',
  desc: 'Relative time of packet reception',
  size: 64,
  byteorder: 'host',
  base: integerType,
  parse: (text, names) => {
    const ns = parseDate(text, names.zone);
    return ns === undefined ? { error: `cannot parse date` } : { value: ns };
  },
  print: (value, _len, options) => (options.numericTime ? integerText(value) : `"${formatDate(value, options.zone)}"`),
};
/** Seconds of the day. */
export const hourType: Datatype = {
  id: 44,
  name: 'hour',
  desc: 'Hour of day of packet reception',
  size: 32,
  byteorder: 'host',
  base: integerType,
  parse: (text, names) => {
    const seconds = parseHour(text, names.zone);
    return seconds === undefined ? { error: `Can't parse trailing input: "${text}"` } : { value: seconds };
  },
  print: (value, _len, options) => (options.numericTime ? integerText(value) : `"${formatHour(value, options.zone)}"`),
};
export const dayType: Datatype = {
  id: 45,
  name: 'day',
  desc: 'Day of week of packet reception',
  size: 8,
  byteorder: 'host',
  base: integerType,
  symbols: symbols.day,
  decimal: true,
};
export const cgroupv2Type: Datatype = {
  id: 46,
  name: 'cgroupsv2',
  desc: 'cgroupsv2 path',
  size: 64,
  byteorder: 'invalid',
  base: integerType,
  parse: (text, names) => {
    const id = names.cgroup?.(text);
    return id === undefined ? { error: `cgroupv2 path fails: No such file or directory` } : { value: id };
  },
  print: (value) => `"${value}"`,
};

/** All types by number. */
export const datatypes: readonly (Datatype | undefined)[] = [
  invalidType,
  verdictType,
  nfprotoType,
  bitmaskType,
  integerType,
  stringType,
  lladdrType,
  ipaddrType,
  ip6addrType,
  etheraddrType,
  ethertypeType,
  arpopType,
  inetProtoType,
  inetServiceType,
  icmpTypeType,
  tcpFlagType,
  dccpPkttypeType,
  mhTypeType,
  timeType,
  markType,
  ifindexType,
  arphrdType,
  realmType,
  classidType,
  uidType,
  gidType,
  ctStateType,
  ctDirType,
  ctStatusType,
  icmp6TypeType,
  ctLabelType,
  pkttypeType,
  icmpCodeType,
  icmpv6CodeType,
  icmpxCodeType,
  devgroupType,
  dscpType,
  ecnType,
  fibAddrType,
  booleanType,
  ctEventType,
  ifnameType,
  igmpTypeType,
  dateType,
  hourType,
  dayType,
  cgroupv2Type,
];

const byName: ReadonlyMap<string, Datatype> = new Map(
  // `time` names the relative time; the date type shares its name but is reached by `meta time` only.
  [...datatypes].reverse().flatMap((type) => (type === undefined ? [] : [[type.name, type] as const])),
);

/** The type of a word such as `ipv4_addr`. */
export function datatypeByName(name: string): Datatype | undefined {
  return byName.get(name);
}

/** The type of a kernel key type number; concatenations are taken apart. */
export function datatypeById(id: number): Datatype | undefined {
  if (id < 64) return datatypes[id];
  const parts: Datatype[] = [];
  for (let rest = id; rest > 0; rest = Math.floor(rest / 64)) {
    const part = datatypes[rest % 64];
    if (part === undefined) return undefined;
    parts.unshift(part);
  }
  return concatType(parts);
}

/** The type of a concatenation. */
export function concatType(parts: readonly Datatype[]): Datatype {
  return {
    id: parts.reduce((id, part) => (id * 64 + part.id) % 2 ** 32, 0),
    name: parts.map((part) => part.name).join(' . '),
    desc: `concatenation of (${parts.map((part) => part.desc).join(', ')})`,
    size: parts.reduce((size, part) => size + ((part.size + 31) & ~31), 0),
    byteorder: 'invalid',
    parts,
  };
}

/** True when `type` is `base` or stands on it. */
export function isA(type: Datatype | undefined, base: Datatype): boolean {
  for (let t = type; t !== undefined; t = t.base) if (t.id === base.id) return true;
  return false;
}

/** True when both are one type, concatenations member by member. */
export function sameType(a: Datatype, b: Datatype): boolean {
  if (a.parts === undefined || b.parts === undefined) return a.id === b.id && a.parts === b.parts;
  const other = b.parts;
  return a.parts.length === other.length && a.parts.every((part, i) => sameType(part, other[i]));
}

/** The type without its specialisations: integer, string, verdict... */
export function rootType(type: Datatype): Datatype {
  let t = type;
  while (t.base !== undefined) t = t.base;
  return t;
}

/** The value of a word in a type. */
export function parseSymbol(type: Datatype, text: string, names: Names): Parsed {
  for (let t: Datatype | undefined = type; t !== undefined; t = t.base) {
    if (t.symbols !== undefined) {
      const found = t.symbols.find(([name]) => name === text);
      if (found !== undefined) return { value: found[1] };
      if (t === dayType && (parseNumber(text) ?? 0n) > 6n) return { error: `Value ${text} exceeds valid range 0-6` };
      if (!/^[0-9]/.test(text)) {
        return { error: `Could not parse ${type.desc} expression` };
      }
      continue;
    }
    if (t.parse !== undefined) return t.parse(text, names);
  }
  return { error: `cannot parse values of type ${type.name}` };
}

/** The text of a value in a type. */
export function printValue(type: Datatype, value: bigint, len: number, options: PrintOptions): string {
  for (let t: Datatype | undefined = type; t !== undefined; t = t.base) {
    if (options.release === '1.1.0' && (t === icmpCodeType || t === icmpv6CodeType)) return integerText(value);
    if (t.symbols !== undefined && !options.numericSymbol) {
      const found = t.symbols.find(([, number]) => number === value);
      if (found !== undefined)
        return t === devgroupType || t === dayType || t === realmType ? `"${found[0]}"` : found[0];
      if (isA(t, bitmaskType)) {
        const names = t.symbols.filter(([, bit]) => bit !== 0n && (value & bit) === bit);
        const covered = names.reduce((all, [, bit]) => all | bit, 0n);
        if (names.length > 0 && covered === value) return names.map(([name]) => name).join(',');
      }
      return t.decimal ? integerText(value) : hex(value, len);
    }
    if (t.print !== undefined) return t.print(value, len, options);
  }
  return integerText(value);
}
