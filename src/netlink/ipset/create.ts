/** IPSET_CMD_CREATE: a set's options from its attributes (`struct nla_policy` of each type's create). */
import { EINVAL, KernelError } from '../../core/errno.ts';
import type { SetOptions } from '../../netfilter/ipset/set.ts';
import { type Attr, attrMap, getBeU16, getBeU32 } from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/ipset.ts';
import type { SetType } from '../../wire/uapi/ipset-types.ts';

export type Attrs = ReadonlyMap<number, Attr>;

const MAX_BITMAP = 65_536;
const DEFAULT_HASHSIZE = 1024;
const MIN_HASHSIZE = 64;
const DEFAULT_MAXELEM = 65_536;
const DEFAULT_BUCKETSIZE = 12;
const MIN_BUCKETSIZE = 2;
const DEFAULT_LIST_SIZE = 8;
const MIN_LIST_SIZE = 4;

export const u32 = (attrs: Attrs, type: number): number | undefined => {
  const attr = attrs.get(type);
  if (attr === undefined) return undefined;
  if (attr.payload.length < 4) throw new KernelError(U.IPSET_ERR_PROTOCOL, undefined, attr.offset);
  return getBeU32(attr.payload);
};
export const u16 = (attrs: Attrs, type: number): number | undefined => {
  const attr = attrs.get(type);
  if (attr === undefined) return undefined;
  if (attr.payload.length < 2) throw new KernelError(U.IPSET_ERR_PROTOCOL, undefined, attr.offset);
  return getBeU16(attr.payload);
};
export const u8 = (attrs: Attrs, type: number): number | undefined => attrs.get(type)?.payload[0];

/** An address nested in an attribute; undefined when it is absent. */
export function address(attrs: Attrs, type: number, family: number): Uint8Array | undefined {
  const attr = attrs.get(type);
  if (attr === undefined) return undefined;
  const inner = attrMap(attr.payload);
  const six = family === 10;
  const found = inner.get(six ? U.IPSET_ATTR_IPADDR_IPV6 : U.IPSET_ATTR_IPADDR_IPV4)?.payload;
  if (found?.length !== (six ? 16 : 4))
    throw new KernelError(six ? U.IPSET_ERR_IPADDR_IPV6 : U.IPSET_ERR_IPADDR_IPV4, undefined, attr.offset);
  return found;
}

/** The next power of two. */
function power(n: number): number {
  let out = MIN_HASHSIZE;
  while (out < n && out < 2 ** 31) out *= 2;
  return out;
}

/** Reads the options. Throws KernelError. */
export function setOptions(type: SetType, family: number, revision: number, data: Attrs, seed: number): SetOptions {
  const flags = u32(data, U.CADT_FLAGS) ?? 0;
  const hash = type.method === 'hash';
  const netmask = u8(data, U.CADT_NETMASK);
  const bitmask = data.has(U.CADT_BITMASK) ? address(data, U.CADT_BITMASK, family) : undefined;
  const bits = family === 10 ? 128 : 32;
  if (netmask !== undefined && (netmask === 0 || netmask > bits || family === 0))
    throw new KernelError(U.IPSET_ERR_INVALID_NETMASK);
  if (netmask !== undefined && bitmask !== undefined) throw new KernelError(U.IPSET_ERR_BITMASK_NETMASK_EXCL);
  const markmask = u32(data, U.CADT_MARKMASK);
  if (markmask === 0) throw new KernelError(U.IPSET_ERR_INVALID_MARKMASK);
  const bucketsize = u8(data, U.CADT_BUCKETSIZE) ?? DEFAULT_BUCKETSIZE;
  return {
    family,
    revision,
    timeout: u32(data, U.CADT_TIMEOUT),
    counters: (flags & U.IPSET_FLAG_WITH_COUNTERS) !== 0,
    comment: (flags & U.IPSET_FLAG_WITH_COMMENT) !== 0,
    skbinfo: (flags & U.IPSET_FLAG_WITH_SKBINFO) !== 0,
    forceadd: (flags & U.IPSET_FLAG_WITH_FORCEADD) !== 0,
    hashsize: hash ? power(u32(data, U.CADT_HASHSIZE) ?? DEFAULT_HASHSIZE) : 0,
    maxelem: hash ? (u32(data, U.CADT_MAXELEM) ?? DEFAULT_MAXELEM) : 0,
    bucketsize: Math.min(DEFAULT_BUCKETSIZE, Math.max(MIN_BUCKETSIZE, bucketsize & ~1)),
    initval: u32(data, U.CADT_INITVAL) ?? seed,
    netmask: type.dimensions.includes('ip') || type.dimensions.includes('net') ? netmask : undefined,
    bitmask,
    markmask: markmask ?? 0xffffffff,
    range: type.method === 'bitmap' ? bitmapRange(type, data, netmask) : undefined,
    size: Math.max(MIN_LIST_SIZE, u32(data, U.CADT_SIZE) ?? DEFAULT_LIST_SIZE),
  };
}

const toNumber = (bytes: Uint8Array): number => bytes.reduce((n, byte) => n * 256 + byte, 0);
export function toBytes(value: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.floor(value / 256 ** (length - 1 - i)) & 0xff);
}

function bitmapRange(type: SetType, data: Attrs, netmask: number | undefined): NonNullable<SetOptions['range']> {
  if (type.dimensions[0] === 'bare-port') {
    const [from, to] = [u16(data, U.CADT_PORT), u16(data, U.CADT_PORT_TO)];
    if (from === undefined || to === undefined) throw new KernelError(U.IPSET_ERR_PROTOCOL);
    return { from: toBytes(Math.min(from, to), 2), to: toBytes(Math.max(from, to), 2) };
  }
  const start = address(data, U.CADT_IP, 2);
  const end = address(data, U.CADT_IP_TO, 2);
  const cidr = u8(data, U.CADT_CIDR);
  if (start === undefined) throw new KernelError(U.IPSET_ERR_PROTOCOL);
  let [from, to] = [toNumber(start), 0];
  if (end !== undefined) {
    to = toNumber(end);
    if (from > to) [from, to] = [to, from];
  } else if (cidr !== undefined) {
    if (cidr >= 32) throw new KernelError(U.IPSET_ERR_INVALID_CIDR);
    const size = 2 ** (32 - cidr);
    from = Math.floor(from / size) * size;
    to = from + size - 1;
  } else throw new KernelError(U.IPSET_ERR_PROTOCOL);
  const step = netmask === undefined ? 1 : 2 ** (32 - netmask);
  if ((to - from + 1) / step > MAX_BITMAP) throw new KernelError(U.IPSET_ERR_BITMAP_RANGE_SIZE);
  if (netmask !== undefined && (from % step !== 0 || (to + 1) % step !== 0))
    throw new KernelError(EINVAL, 'the range is no multiple of the netmask');
  return { from: toBytes(from, 4), to: toBytes(to, 4) };
}
