/** A connection as the tool holds it, read from a ctnetlink message and printed as conntrack(8) prints it. */
import { AF_INET, formatAddress } from '../../wire/address.ts';
import { type Attr, attrMap, getBeU16, getBeU32, getBeU64, getString, getU8 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';

export type FlowTuple = {
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly ports: readonly [number, number] | undefined;
  readonly icmp: { readonly id: number; readonly type: number; readonly code: number } | undefined;
  readonly zone: number | undefined;
};

export type Flow = {
  readonly family: number;
  readonly orig: FlowTuple;
  readonly reply: FlowTuple;
  readonly status: number;
  readonly timeout: number;
  readonly mark: number;
  readonly zone: number | undefined;
  readonly use: number;
  readonly id: number;
  readonly state: string | undefined;
  readonly counters: readonly (readonly [bigint, bigint] | undefined)[];
  readonly helper: string | undefined;
  readonly labels: readonly number[];
  /** As they came, to name the connection in a request. */
  readonly attrs: ReadonlyMap<number, Attr>;
};

const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [47, 'gre'],
  [58, 'icmpv6'],
  [132, 'sctp'],
  [136, 'udplite'],
]);
const TCP_STATES: readonly string[] = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];
const SCTP_STATES: readonly string[] = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
  'HEARTBEAT_ACKED',
];

/** Protocol number of a name as conntrack(8) knows it, or of digits. */
export function protocolNumber(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text) && Number(text) < 256) return Number(text);
  if (text === 'ipv6-icmp') return 58;
  for (const [number, name] of NAMES) if (name === text.toLowerCase()) return number;
  return undefined;
}

export function stateNumber(proto: number, name: string): number {
  return (proto === 132 ? SCTP_STATES : TCP_STATES).indexOf(name.toUpperCase());
}

function readTuple(attr: Attr, family: number): FlowTuple {
  const nest = attrMap(attr.payload);
  const ip = attrMap(nest.get(C.CTA_TUPLE_IP)!.payload);
  const four = family === AF_INET;
  const address = (type: number): string => formatAddress(ip.get(type)!.payload);
  const proto = attrMap(nest.get(C.CTA_TUPLE_PROTO)!.payload);
  const u16 = (type: number): number => getBeU16(proto.get(type)!.payload);
  const u8 = (type: number): number => getU8(proto.get(type)!.payload);
  const six = proto.has(C.CTA_PROTO_ICMPV6_ID);
  const zone = nest.get(C.CTA_TUPLE_ZONE);
  return {
    src: address(four ? C.CTA_IP_V4_SRC : C.CTA_IP_V6_SRC),
    dst: address(four ? C.CTA_IP_V4_DST : C.CTA_IP_V6_DST),
    proto: u8(C.CTA_PROTO_NUM),
    ports: proto.has(C.CTA_PROTO_SRC_PORT) ? [u16(C.CTA_PROTO_SRC_PORT), u16(C.CTA_PROTO_DST_PORT)] : undefined,
    icmp: six
      ? { id: u16(C.CTA_PROTO_ICMPV6_ID), type: u8(C.CTA_PROTO_ICMPV6_TYPE), code: u8(C.CTA_PROTO_ICMPV6_CODE) }
      : proto.has(C.CTA_PROTO_ICMP_ID)
        ? { id: u16(C.CTA_PROTO_ICMP_ID), type: u8(C.CTA_PROTO_ICMP_TYPE), code: u8(C.CTA_PROTO_ICMP_CODE) }
        : undefined,
    zone: zone && getBeU16(zone.payload),
  };
}

function stateOf(info: Attr | undefined): string | undefined {
  if (info === undefined) return undefined;
  const nest = attrMap(info.payload);
  const tcp = nest.get(C.CTA_PROTOINFO_TCP);
  const state = tcp && attrMap(tcp.payload).get(C.CTA_PROTOINFO_TCP_STATE);
  if (state) return TCP_STATES[getU8(state.payload)];
  const sctp = nest.get(C.CTA_PROTOINFO_SCTP);
  const other = sctp && attrMap(sctp.payload).get(C.CTA_PROTOINFO_SCTP_STATE);
  return other && SCTP_STATES[getU8(other.payload)];
}

/** Reads an IPCTNL_MSG_CT_NEW message. */
export function readFlow(m: Message): Flow {
  const family = m.payload[0];
  const attrs = attrMap(m.payload, 4);
  const u32 = (type: number): number => {
    const attr = attrs.get(type);
    return attr === undefined ? 0 : getBeU32(attr.payload);
  };
  const zone = attrs.get(C.CTA_ZONE);
  const help = attrs.get(C.CTA_HELP);
  const name = help && attrMap(help.payload).get(C.CTA_HELP_NAME);
  const labels: number[] = [];
  attrs.get(C.CTA_LABELS)?.payload.forEach((byte, i) => {
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) labels.push(i * 8 + bit);
  });
  return {
    family,
    orig: readTuple(attrs.get(C.CTA_TUPLE_ORIG)!, family),
    reply: readTuple(attrs.get(C.CTA_TUPLE_REPLY)!, family),
    status: u32(C.CTA_STATUS),
    timeout: u32(C.CTA_TIMEOUT),
    mark: u32(C.CTA_MARK),
    zone: zone && getBeU16(zone.payload),
    use: u32(C.CTA_USE),
    id: u32(C.CTA_ID),
    state: stateOf(attrs.get(C.CTA_PROTOINFO)),
    counters: [C.CTA_COUNTERS_ORIG, C.CTA_COUNTERS_REPLY].map((type) => {
      const attr = attrs.get(type);
      if (attr === undefined) return undefined;
      const nest = attrMap(attr.payload);
      return [getBeU64(nest.get(C.CTA_COUNTERS_PACKETS)!.payload), getBeU64(nest.get(C.CTA_COUNTERS_BYTES)!.payload)];
    }),
    helper: name && getString(name.payload),
    labels,
    attrs,
  };
}

function printTuple(t: FlowTuple): string {
  let out = `src=${t.src} dst=${t.dst} `;
  if (t.icmp) out += `type=${t.icmp.type} code=${t.icmp.code} id=${t.icmp.id} `;
  else if (t.ports && t.proto === 47) out += `srckey=0x${t.ports[0].toString(16)} dstkey=0x${t.ports[1].toString(16)} `;
  else if (t.ports) out += `sport=${t.ports[0]} dport=${t.ports[1]} `;
  return out;
}

function printCounters(pair: readonly [bigint, bigint] | undefined): string {
  return pair === undefined ? '' : `packets=${pair[0]} bytes=${pair[1]} `;
}

/** One line, without the newline, as `conntrack -L` prints it. */
export function printFlow(flow: Flow, options: { readonly id?: boolean; readonly labels?: boolean } = {}): string {
  const { orig, reply, status } = flow;
  let out = `${(NAMES.get(orig.proto) ?? 'unknown').padEnd(8)} ${orig.proto} ${flow.timeout} `;
  if (flow.state !== undefined) out += `${flow.state} `;
  out += printTuple(orig);
  if (orig.zone !== undefined) out += `zone-orig=${orig.zone} `;
  out += printCounters(flow.counters[0]);
  if (!(status & C.IPS_SEEN_REPLY)) out += '[UNREPLIED] ';
  out += printTuple(reply);
  if (reply.zone !== undefined) out += `zone-reply=${reply.zone} `;
  out += printCounters(flow.counters[1]);
  if (status & C.IPS_HW_OFFLOAD) out += '[HW_OFFLOAD] ';
  else if (status & C.IPS_OFFLOAD) out += '[OFFLOAD] ';
  else if (status & C.IPS_ASSURED) out += '[ASSURED] ';
  out += `mark=${flow.mark} `;
  if (flow.zone !== undefined) out += `zone=${flow.zone} `;
  if (flow.helper !== undefined) out += `helper=${flow.helper} `;
  out += `use=${flow.use} `;
  if (options.id) out += `id=${flow.id} `;
  if (options.labels) out += `labels=${flow.labels.join(',')} `;
  return out.trimEnd();
}
