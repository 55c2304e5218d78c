/** What a NAT attribute asks for (nfnetlink_conntrack.h, `enum ctattr_nat`): addresses and ports of a new connection. */
import { EINVAL, KernelError } from '../../core/errno.ts';
import { setAddress } from '../../netfilter/conntrack/tuple.ts';
import { type NatRange, newRange } from '../../netfilter/nat/range.ts';
import { type Attr, attrMap, getBeU16 } from '../../wire/netlink/attr.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';

/** Reads CTA_NAT_SRC or CTA_NAT_DST; a last address or port that is not given is the first. */
export function readRange(attr: Attr, family: number): NatRange {
  const nest = attrMap(attr.payload);
  const range = newRange();
  const four = family === NFPROTO_IPV4;
  const min = nest.get(four ? C.CTA_NAT_V4_MINIP : C.CTA_NAT_V6_MINIP);
  const max = nest.get(four ? C.CTA_NAT_V4_MAXIP : C.CTA_NAT_V6_MAXIP) ?? min;
  const size = four ? 4 : 16;
  if (min !== undefined && max !== undefined) {
    if (min.payload.length < size || max.payload.length < size) throw new KernelError(EINVAL, undefined, min.offset);
    setAddress(range.minAddress, 0, min.payload.subarray(0, size));
    setAddress(range.maxAddress, 0, max.payload.subarray(0, size));
    range.flags |= C.NF_NAT_RANGE_MAP_IPS;
  }
  const proto = nest.get(C.CTA_NAT_PROTO);
  if (proto === undefined) return range;
  const ports = attrMap(proto.payload);
  const first = ports.get(C.CTA_PROTONAT_PORT_MIN);
  const last = ports.get(C.CTA_PROTONAT_PORT_MAX) ?? first;
  if (first === undefined || last === undefined) return range;
  if (first.payload.length < 2 || last.payload.length < 2) throw new KernelError(EINVAL, undefined, first.offset);
  range.minPort = getBeU16(first.payload);
  range.maxPort = getBeU16(last.payload);
  range.flags |= C.NF_NAT_RANGE_PROTO_SPECIFIED;
  return range;
}
