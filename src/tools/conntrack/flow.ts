/** A connection as the tool holds it, read from a ctnetlink message. */
import { AF_INET, formatAddress } from '../../wire/address.ts';
import { type Attr, attrMap, getBeU16, getBeU32, getBeU64, getString, getU8 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { DCCP_STATES, SCTP_STATES, TCP_STATES } from './protocols.ts';

export type FlowTuple = {
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly ports: readonly [number, number] | undefined;
  readonly icmp: { readonly id: number; readonly type: number; readonly code: number } | undefined;
  readonly zone: number | undefined;
};

export type FlowState = { readonly name: string; readonly number: number };

export type Flow = {
  readonly family: number;
  readonly orig: FlowTuple;
  readonly reply: FlowTuple;
  readonly status: number;
  readonly timeout: number | undefined;
  readonly mark: number | undefined;
  readonly secmark: number;
  readonly secctx: string | undefined;
  readonly zone: number | undefined;
  readonly use: number | undefined;
  readonly id: number;
  readonly state: FlowState | undefined;
  readonly vtags: readonly [number, number] | undefined;
  readonly counters: readonly (readonly [bigint, bigint] | undefined)[];
  readonly helper: string | undefined;
  readonly labels: readonly number[] | undefined;
  /** Nanoseconds since 1970. */
  readonly start: bigint | undefined;
  readonly stop: bigint | undefined;
  /** As they came, to name the connection in a request. */
  readonly attrs: ReadonlyMap<number, Attr>;
};

type Attrs = ReadonlyMap<number, Attr>;

/** Reads a tuple nest; what is missing of an expectation's tuple or mask is zero. */
export function readTuple(attr: Attr, family: number): FlowTuple {
  const nest = attrMap(attr.payload);
  const ip: Attrs = attrMap(nest.get(C.CTA_TUPLE_IP)?.payload ?? new Uint8Array());
  const four = family === AF_INET;
  const address = (type: number): string => formatAddress(ip.get(type)?.payload ?? new Uint8Array(four ? 4 : 16));
  const proto: Attrs = attrMap(nest.get(C.CTA_TUPLE_PROTO)?.payload ?? new Uint8Array());
  const u16 = (type: number): number => {
    const a = proto.get(type);
    return a === undefined ? 0 : getBeU16(a.payload);
  };
  const u8 = (type: number): number => {
    const a = proto.get(type);
    return a === undefined ? 0 : getU8(a.payload);
  };
  const zone = nest.get(C.CTA_TUPLE_ZONE);
  return {
    src: address(four ? C.CTA_IP_V4_SRC : C.CTA_IP_V6_SRC),
    dst: address(four ? C.CTA_IP_V4_DST : C.CTA_IP_V6_DST),
    proto: u8(C.CTA_PROTO_NUM),
    ports: proto.has(C.CTA_PROTO_SRC_PORT) ? [u16(C.CTA_PROTO_SRC_PORT), u16(C.CTA_PROTO_DST_PORT)] : undefined,
    icmp: proto.has(C.CTA_PROTO_ICMPV6_ID)
      ? { id: u16(C.CTA_PROTO_ICMPV6_ID), type: u8(C.CTA_PROTO_ICMPV6_TYPE), code: u8(C.CTA_PROTO_ICMPV6_CODE) }
      : proto.has(C.CTA_PROTO_ICMP_ID)
        ? { id: u16(C.CTA_PROTO_ICMP_ID), type: u8(C.CTA_PROTO_ICMP_TYPE), code: u8(C.CTA_PROTO_ICMP_CODE) }
        : undefined,
    zone: zone && getBeU16(zone.payload),
  };
}

function protoinfo(info: Attr | undefined): Attrs {
  return attrMap(info?.payload ?? new Uint8Array());
}

/** State attribute, names of the states, by protocol nest. */
const STATES: readonly (readonly [nest: number, attr: number, names: readonly string[]])[] = [
  [C.CTA_PROTOINFO_TCP, C.CTA_PROTOINFO_TCP_STATE, TCP_STATES],
  [C.CTA_PROTOINFO_DCCP, C.CTA_PROTOINFO_DCCP_STATE, DCCP_STATES],
  [C.CTA_PROTOINFO_SCTP, C.CTA_PROTOINFO_SCTP_STATE, SCTP_STATES],
];

function stateOf(info: Attrs): FlowState | undefined {
  for (const [nest, attr, names] of STATES) {
    const own = info.get(nest);
    const state = own && attrMap(own.payload).get(attr);
    if (state) return { number: getU8(state.payload), name: names[getU8(state.payload)] };
  }
  return undefined;
}

function vtagsOf(info: Attrs): readonly [number, number] | undefined {
  const own = info.get(C.CTA_PROTOINFO_SCTP);
  const sctp = own && attrMap(own.payload);
  const o = sctp?.get(C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL);
  const r = sctp?.get(C.CTA_PROTOINFO_SCTP_VTAG_REPLY);
  return o && r ? [getBeU32(o.payload), getBeU32(r.payload)] : undefined;
}

function labelsOf(attr: Attr | undefined): number[] | undefined {
  if (attr === undefined) return undefined;
  const labels: number[] = [];
  attr.payload.forEach((byte, i) => {
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) labels.push(i * 8 + bit);
  });
  return labels;
}

/** Reads an IPCTNL_MSG_CT_NEW or IPCTNL_MSG_CT_DELETE message. */
export function readFlow(m: Message): Flow {
  const family = m.payload[0];
  const attrs = attrMap(m.payload, 4);
  const u32 = (type: number): number | undefined => {
    const attr = attrs.get(type);
    return attr && getBeU32(attr.payload);
  };
  const inside = (type: number, inner: number): Attr | undefined => {
    const attr = attrs.get(type);
    return attr && attrMap(attr.payload).get(inner);
  };
  const time = (type: number): bigint | undefined => {
    const attr = inside(C.CTA_TIMESTAMP, type);
    return attr && getBeU64(attr.payload);
  };
  const zone = attrs.get(C.CTA_ZONE);
  const name = inside(C.CTA_HELP, C.CTA_HELP_NAME);
  const context = inside(C.CTA_SECCTX, 1);
  const info = protoinfo(attrs.get(C.CTA_PROTOINFO));
  return {
    family,
    orig: readTuple(attrs.get(C.CTA_TUPLE_ORIG)!, family),
    reply: readTuple(attrs.get(C.CTA_TUPLE_REPLY)!, family),
    status: u32(C.CTA_STATUS) ?? 0,
    timeout: u32(C.CTA_TIMEOUT),
    mark: u32(C.CTA_MARK),
    secmark: u32(C.CTA_SECMARK) ?? 0,
    secctx: context && getString(context.payload),
    zone: zone && getBeU16(zone.payload),
    use: u32(C.CTA_USE),
    id: u32(C.CTA_ID) ?? 0,
    state: stateOf(info),
    vtags: vtagsOf(info),
    counters: [C.CTA_COUNTERS_ORIG, C.CTA_COUNTERS_REPLY].map((type) => {
      const attr = attrs.get(type);
      if (attr === undefined) return undefined;
      const nest = attrMap(attr.payload);
      return [getBeU64(nest.get(C.CTA_COUNTERS_PACKETS)!.payload), getBeU64(nest.get(C.CTA_COUNTERS_BYTES)!.payload)];
    }),
    helper: name && getString(name.payload),
    labels: labelsOf(attrs.get(C.CTA_LABELS)),
    start: time(C.CTA_TIMESTAMP_START),
    stop: time(C.CTA_TIMESTAMP_STOP),
    attrs,
  };
}
