/** Sets and elements as attributes: the answers to IPSET_CMD_LIST and IPSET_CMD_SAVE. */
import type { Entry } from '../../netfilter/ipset/entry.ts';
import { ListSet } from '../../netfilter/ipset/list.ts';
import { type AnySet, IpSet } from '../../netfilter/ipset/set.ts';
import type { AttrWriter } from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/ipset.ts';
import { dimensionLength, IFACE_LENGTH } from '../../wire/uapi/ipset-types.ts';
import { NLA_F_NET_BYTEORDER } from '../../wire/uapi/netlink.ts';

function ip(w: AttrWriter, type: number, bytes: Uint8Array): void {
  w.nest(type, (n) => n.bytes(bytes.length === 16 ? U.IPSET_ATTR_IPADDR_IPV6 : U.IPSET_ATTR_IPADDR_IPV4, bytes));
}

/** A big-endian number whose attribute says so. */
const be32 = (w: AttrWriter, type: number, value: number): AttrWriter => w.beU32(type | NLA_F_NET_BYTEORDER, value);
const be16 = (w: AttrWriter, type: number, value: number): AttrWriter => w.beU16(type | NLA_F_NET_BYTEORDER, value);

/** IPSET_ATTR_DATA of a set: its options and how it stands. */
export function writeHeader(w: AttrWriter, set: AnySet): void {
  const o = set.options;
  w.nest(U.IPSET_ATTR_DATA, (d) => {
    if (set.type.method === 'hash') {
      be32(d, U.CADT_HASHSIZE, o.hashsize);
      be32(d, U.CADT_MAXELEM, o.maxelem);
    }
    if (o.netmask !== undefined) d.u8(U.CADT_NETMASK, o.netmask);
    if (o.bitmask !== undefined) ip(d, U.CADT_BITMASK, o.bitmask);
    if (o.markmask !== 0xffffffff) be32(d, U.CADT_MARKMASK, o.markmask);
    if (set.type.method === 'hash') {
      d.u8(U.CADT_BUCKETSIZE, o.bucketsize);
      be32(d, U.CADT_INITVAL, o.initval);
    }
    if (o.range?.from.length === 4) {
      ip(d, U.CADT_IP, o.range.from);
      ip(d, U.CADT_IP_TO, o.range.to);
    } else if (o.range !== undefined) {
      be16(d, U.CADT_PORT, (o.range.from[0] << 8) | o.range.from[1]);
      be16(d, U.CADT_PORT_TO, (o.range.to[0] << 8) | o.range.to[1]);
    }
    if (set.type.method === 'list') be32(d, U.CADT_SIZE, o.size);
    be32(d, U.CADT_REFERENCES, set.references);
    be32(d, U.CADT_MEMSIZE, set.memory);
    be32(d, U.CADT_ELEMENTS, set.count);
    if (o.timeout !== undefined) be32(d, U.CADT_TIMEOUT, o.timeout);
    const flags =
      (o.counters ? U.IPSET_FLAG_WITH_COUNTERS : 0) |
      (o.comment ? U.IPSET_FLAG_WITH_COMMENT : 0) |
      (o.skbinfo ? U.IPSET_FLAG_WITH_SKBINFO : 0) |
      (o.forceadd ? U.IPSET_FLAG_WITH_FORCEADD : 0);
    if (flags !== 0) be32(d, U.CADT_FLAGS, flags);
  });
}

/** All elements, each written by one of the functions, which messages share out as they fill. */
export function entryWriters(set: AnySet, now: number): ((w: AttrWriter) => void)[] {
  if (set instanceof ListSet)
    return set.members().map(({ set: member, entry }) => (w) => {
      w.nest(U.IPSET_ATTR_DATA, (d) => {
        d.string(U.CADT_NAME, member.name);
        writeExtensions(d, set, entry, now, 0);
      });
    });
  if (!(set instanceof IpSet)) return [];
  return [...set.entries()].map((entry) => (w) => {
    w.nest(U.IPSET_ATTR_DATA, (d) => writeEntry(d, set, entry, now));
  });
}

function writeEntry(d: AttrWriter, set: IpSet, entry: Entry, now: number): void {
  const { key } = entry;
  let at = 0;
  let addresses = 0;
  let flags = entry.nomatch ? U.IPSET_FLAG_NOMATCH : 0;
  for (const dimension of set.type.dimensions) {
    const size = dimensionLength(dimension, set.options.family);
    const bytes = key.subarray(at, at + size);
    at += size;
    switch (dimension) {
      case 'ip':
        ip(d, addresses++ === 0 ? U.CADT_IP : U.CADT_IP2, bytes);
        break;
      case 'net':
        ip(d, addresses === 0 ? U.CADT_IP : U.CADT_IP2, bytes.subarray(0, size - 1));
        d.u8(addresses++ === 0 ? U.CADT_CIDR : U.CADT_CIDR2, bytes[size - 1]);
        break;
      case 'port':
        be16(d, U.CADT_PORT, (bytes[1] << 8) | bytes[2]);
        d.u8(U.CADT_PROTO, bytes[0]);
        break;
      case 'bare-port':
        be16(d, U.CADT_PORT, (bytes[0] << 8) | bytes[1]);
        break;
      case 'mac':
        if (bytes.some((byte) => byte !== 0)) d.bytes(U.CADT_ETHER, bytes);
        break;
      case 'mark':
        be32(d, U.CADT_MARK, ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0);
        break;
      default: {
        const end = bytes.indexOf(0);
        d.string(U.CADT_IFACE, String.fromCharCode(...bytes.subarray(0, end < 0 ? IFACE_LENGTH : end)));
        if (bytes[IFACE_LENGTH]) flags |= U.IPSET_FLAG_PHYSDEV;
        if (entry.wildcard) flags |= U.IPSET_FLAG_IFACE_WILDCARD;
      }
    }
  }
  writeExtensions(d, set, entry, now, flags);
}

function writeExtensions(d: AttrWriter, set: AnySet, entry: Entry, now: number, flags: number): void {
  const o = set.options;
  if (flags !== 0) be32(d, U.CADT_FLAGS, flags);
  if (o.timeout !== undefined) be32(d, U.CADT_TIMEOUT, entry.left(now));
  if (o.counters) {
    d.beU64(U.CADT_BYTES | NLA_F_NET_BYTEORDER, entry.bytes);
    d.beU64(U.CADT_PACKETS | NLA_F_NET_BYTEORDER, entry.packets);
  }
  if (o.comment && entry.comment !== '') d.string(U.CADT_COMMENT, entry.comment);
  if (o.skbinfo) {
    if (entry.mark || entry.markMask)
      d.beU64(U.CADT_SKBMARK | NLA_F_NET_BYTEORDER, (BigInt(entry.mark >>> 0) << 32n) | BigInt(entry.markMask >>> 0));
    if (entry.priority) be32(d, U.CADT_SKBPRIO, entry.priority);
    if (entry.queue) be16(d, U.CADT_SKBQUEUE, entry.queue);
  }
}
