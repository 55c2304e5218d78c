/** Tuples and zones as ctnetlink attributes (nfnetlink_conntrack.h, `enum ctattr_tuple`). */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import { ZONE_DIR_BOTH, ZONE_DIR_ORIG, ZONE_DIR_REPL } from '../../netfilter/conntrack/entry.ts';
import {
  addressBytes,
  DST,
  dstPort,
  l3num,
  newTuple,
  PORTS,
  PROTO,
  protonum,
  setAddress,
  srcPort,
  type Words,
} from '../../netfilter/conntrack/tuple.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../wire/ipv4.ts';
import { type Attr, type AttrWriter, attrMap, getBeU16, getU8 } from '../../wire/netlink/attr.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';

/** Attribute numbers of the ICMP half: id, type, code. */
const ICMP_ATTRS: ReadonlyMap<number, readonly [number, number, number]> = new Map([
  [IPPROTO_ICMP, [C.CTA_PROTO_ICMP_ID, C.CTA_PROTO_ICMP_TYPE, C.CTA_PROTO_ICMP_CODE]],
  [IPPROTO_ICMPV6, [C.CTA_PROTO_ICMPV6_ID, C.CTA_PROTO_ICMPV6_TYPE, C.CTA_PROTO_ICMPV6_CODE]],
]);
/** Protocols whose tuples carry ports: TCP, UDP, DCCP, GRE, SCTP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 47, 132, 136]);

/** Writes the IP and protocol nests of a tuple. */
export function writeTuple(w: AttrWriter, t: Words, at: number): void {
  const family = l3num(t, at);
  const four = family === NFPROTO_IPV4;
  w.nest(C.CTA_TUPLE_IP, (ip) => {
    ip.bytes(four ? C.CTA_IP_V4_SRC : C.CTA_IP_V6_SRC, addressBytes(t, at, family));
    ip.bytes(four ? C.CTA_IP_V4_DST : C.CTA_IP_V6_DST, addressBytes(t, at + DST, family));
  });
  w.nest(C.CTA_TUPLE_PROTO, (proto) => {
    const number = protonum(t, at);
    proto.u8(C.CTA_PROTO_NUM, number);
    const icmp = ICMP_ATTRS.get(number);
    if (icmp !== undefined) {
      proto.beU16(icmp[0], srcPort(t, at));
      proto.u8(icmp[1], dstPort(t, at) >> 8).u8(icmp[2], dstPort(t, at) & 255);
    } else if (WITH_PORTS.has(number)) {
      proto.beU16(C.CTA_PROTO_SRC_PORT, srcPort(t, at)).beU16(C.CTA_PROTO_DST_PORT, dstPort(t, at));
    }
  });
}

/** Writes a zone where it belongs: at the top when it holds for both directions, else in its direction's tuple. */
export function writeZone(w: AttrWriter, type: number, zone: number, zoneDir: number, wanted: number): void {
  if (zone !== 0 && zoneDir === wanted) w.beU16(type, zone);
}

/** A tuple read; `zone` is the one inside its nest, if any. */
export type ReadTuple = { readonly words: Words; readonly zone: number | undefined };

function need(attrs: ReadonlyMap<number, Attr>, type: number, size: number): Uint8Array {
  const attr = attrs.get(type);
  if (attr === undefined || attr.payload.length < size) throw new KernelError(EINVAL, undefined, attr?.offset);
  return attr.payload;
}

/** Reads a tuple nest; EINVAL when something is missing. */
export function readTuple(attr: Attr, family: number): ReadTuple {
  const nest = attrMap(attr.payload);
  const ip = attrMap(need(nest, C.CTA_TUPLE_IP, 0));
  if (family !== NFPROTO_IPV4 && family !== NFPROTO_IPV6) throw new KernelError(EOPNOTSUPP);
  const four = family === NFPROTO_IPV4;
  const t = newTuple();
  const size = four ? 4 : 16;
  setAddress(t, 0, need(ip, four ? C.CTA_IP_V4_SRC : C.CTA_IP_V6_SRC, size).subarray(0, size));
  setAddress(t, DST, need(ip, four ? C.CTA_IP_V4_DST : C.CTA_IP_V6_DST, size).subarray(0, size));
  const proto = attrMap(need(nest, C.CTA_TUPLE_PROTO, 0));
  const number = getU8(need(proto, C.CTA_PROTO_NUM, 1));
  t[PROTO] = (family << 8) | number;
  const icmp = ICMP_ATTRS.get(number);
  if (icmp !== undefined)
    t[PORTS] =
      (getBeU16(need(proto, icmp[0], 2)) << 16) |
      (getU8(need(proto, icmp[1], 1)) << 8) |
      getU8(need(proto, icmp[2], 1));
  else if (WITH_PORTS.has(number))
    t[PORTS] = (getBeU16(need(proto, C.CTA_PROTO_SRC_PORT, 2)) << 16) | getBeU16(need(proto, C.CTA_PROTO_DST_PORT, 2));
  const zone = nest.get(C.CTA_TUPLE_ZONE);
  return { words: t, zone: zone === undefined ? undefined : getBeU16(zone.payload) };
}

/** The zone a request names: for both directions (CTA_ZONE), or in one of the tuples. */
export function readZone(
  attrs: ReadonlyMap<number, Attr>,
  orig: ReadTuple | undefined,
  reply: ReadTuple | undefined,
): { readonly id: number; readonly dir: number } {
  const both = attrs.get(C.CTA_ZONE);
  if (both !== undefined) return { id: getBeU16(need(attrs, C.CTA_ZONE, 2)), dir: ZONE_DIR_BOTH };
  if (orig?.zone !== undefined) return { id: orig.zone, dir: ZONE_DIR_ORIG };
  if (reply?.zone !== undefined) return { id: reply.zone, dir: ZONE_DIR_REPL };
  return { id: 0, dir: ZONE_DIR_BOTH };
}
