/** Requests from the command line: tuples to be made or asked for, and what is to be set. */
import type { AttrWriter } from '../../wire/netlink/attr.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import type { Flow } from './flow.ts';
import { ConntrackError, type Options } from './options.ts';
import { hasPorts, stateNumber } from './protocols.ts';

const ICMPV6 = 58;
const INVERSE: Readonly<Record<number, number>> = {
  0: 8,
  8: 0,
  13: 14,
  14: 13,
  15: 16,
  16: 15,
  17: 18,
  18: 17,
  128: 129,
  129: 128,
};

export type Half = { readonly src: Uint8Array; readonly dst: Uint8Array; readonly a: number; readonly b: number };

function icmp(w: AttrWriter, o: Options, reply: boolean): void {
  const six = o.proto === ICMPV6;
  const asked = o.ports.get('type') ?? (six ? 128 : 8);
  w.beU16(six ? C.CTA_PROTO_ICMPV6_ID : C.CTA_PROTO_ICMP_ID, o.ports.get('id') ?? 0);
  w.u8(six ? C.CTA_PROTO_ICMPV6_TYPE : C.CTA_PROTO_ICMP_TYPE, reply ? (INVERSE[asked & 255] ?? asked) : asked);
  w.u8(six ? C.CTA_PROTO_ICMPV6_CODE : C.CTA_PROTO_ICMP_CODE, o.ports.get('code') ?? 0);
}

/** Writes a tuple nest of the options' protocol. */
export function writeHalf(w: AttrWriter, type: number, half: Half, o: Options, reply: boolean, zone?: number): void {
  const four = half.src.length === 4;
  w.nest(type, (t) => {
    t.nest(C.CTA_TUPLE_IP, (ip) => {
      ip.bytes(four ? C.CTA_IP_V4_SRC : C.CTA_IP_V6_SRC, half.src);
      ip.bytes(four ? C.CTA_IP_V4_DST : C.CTA_IP_V6_DST, half.dst);
    });
    t.nest(C.CTA_TUPLE_PROTO, (p) => {
      p.u8(C.CTA_PROTO_NUM, o.proto!);
      if (o.proto === 1 || o.proto === ICMPV6) icmp(p, o, reply);
      else if (hasPorts(o.proto!)) p.beU16(C.CTA_PROTO_SRC_PORT, half.a).beU16(C.CTA_PROTO_DST_PORT, half.b);
    });
    if (zone !== undefined) t.beU16(C.CTA_TUPLE_ZONE, zone);
  });
}

/** The original direction that the options name, from the reply's when that is all there is. */
function original(o: Options): Half {
  const address = (a: 's' | 'd', b: 'q' | 'r'): Uint8Array | undefined =>
    (o.addresses.get(a) ?? o.addresses.get(b))?.address;
  const src = address('s', 'q');
  const dst = address('d', 'r');
  if (src === undefined || dst === undefined) throw new ConntrackError("you have to specify `--src' and `--dst'");
  const a = o.ports.get('os') ?? o.ports.get('rd') ?? 0;
  const b = o.ports.get('od') ?? o.ports.get('rs') ?? 0;
  return { src, dst, a, b };
}

/** Writes the original tuple alone, as expectations name their master. */
export function buildOriginal(w: AttrWriter, type: number, o: Options): void {
  writeHalf(w, type, original(o), o, false);
}

/** Writes the tuples: of a query the direction that was given, of a new connection both. */
export function buildTuples(w: AttrWriter, o: Options, fresh: boolean): void {
  const orig = original(o);
  const reply: Half = {
    src: o.addresses.get('r')?.address ?? orig.dst,
    dst: o.addresses.get('q')?.address ?? orig.src,
    a: o.ports.get('rs') ?? orig.b,
    b: o.ports.get('rd') ?? orig.a,
  };
  if (fresh || o.addresses.has('s')) writeHalf(w, C.CTA_TUPLE_ORIG, orig, o, false, o.origZone);
  if (fresh || !o.addresses.has('s')) writeHalf(w, C.CTA_TUPLE_REPLY, reply, o, true, o.replyZone);
}

/** The translation that a new connection is to have. */
export function buildNat(w: AttrWriter, o: Options): void {
  for (const [kind, type] of [
    ['src', C.CTA_NAT_SRC],
    ['dst', C.CTA_NAT_DST],
  ] as const) {
    const { address, port } = o.nat.get(kind) ?? {};
    if (address === undefined) continue;
    w.nest(type, (n) => {
      const four = address.length === 4;
      n.bytes(four ? C.CTA_NAT_V4_MINIP : C.CTA_NAT_V6_MINIP, address);
      n.bytes(four ? C.CTA_NAT_V4_MAXIP : C.CTA_NAT_V6_MAXIP, address);
      if (port !== undefined)
        n.nest(C.CTA_NAT_PROTO, (p) => p.beU16(C.CTA_PROTONAT_PORT_MIN, port).beU16(C.CTA_PROTONAT_PORT_MAX, port));
    });
  }
}

function labelBytes(bits: readonly number[], into: Uint8Array = new Uint8Array(16)): Uint8Array {
  for (const bit of bits) into[bit >> 3] |= 1 << (bit & 7);
  return into;
}

function labels(w: AttrWriter, o: Options, flow: Flow | undefined): void {
  if (o.labelAdd.length === 0 && o.labelDel === undefined) return;
  if (flow === undefined) {
    if (o.labelAdd.length > 0) w.bytes(C.CTA_LABELS, labelBytes(o.labelAdd));
    return;
  }
  const gone = o.labelDel === undefined ? [] : o.labelDel.length === 0 ? (flow.labels ?? []) : o.labelDel;
  const mask = labelBytes([...o.labelAdd, ...gone]);
  w.bytes(C.CTA_LABELS, labelBytes(o.labelAdd)).bytes(C.CTA_LABELS_MASK, mask);
}

/** What is to be set on a new connection, or on the existing one `flow`. */
export function buildSettings(w: AttrWriter, o: Options, flow?: Flow): void {
  if (o.timeout !== undefined) w.beU32(C.CTA_TIMEOUT, o.timeout);
  if (o.mark !== undefined)
    w.beU32(C.CTA_MARK, flow === undefined ? o.mark.value : (((flow.mark ?? 0) & ~o.mark.mask) ^ o.mark.value) >>> 0);
  if (flow === undefined) w.beU32(C.CTA_STATUS, (o.status ?? 0) | C.IPS_CONFIRMED);
  else if (o.status !== undefined) w.beU32(C.CTA_STATUS, o.status | flow.status);
  const proto = flow?.orig.proto ?? o.proto!;
  if (o.state !== undefined && (proto === 6 || proto === 132)) {
    const state = stateNumber(proto, o.state);
    w.nest(C.CTA_PROTOINFO, (n) => {
      if (proto === 6) {
        n.nest(C.CTA_PROTOINFO_TCP, (t) => {
          t.u8(C.CTA_PROTOINFO_TCP_STATE, state);
          if (flow !== undefined) return;
          // Nothing is known of windows that were not seen: be liberal.
          const flags = C.IP_CT_TCP_FLAG_SACK_PERM | C.IP_CT_TCP_FLAG_BE_LIBERAL;
          t.bytes(C.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, Uint8Array.of(flags, flags));
          t.bytes(C.CTA_PROTOINFO_TCP_FLAGS_REPLY, Uint8Array.of(flags, flags));
        });
        return;
      }
      n.nest(C.CTA_PROTOINFO_SCTP, (s) => {
        s.u8(C.CTA_PROTOINFO_SCTP_STATE, state);
        s.beU32(C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, o.ports.get('ovtag') ?? 0);
        s.beU32(C.CTA_PROTOINFO_SCTP_VTAG_REPLY, o.ports.get('rvtag') ?? 0);
      });
    });
  }
  labels(w, o, flow);
}
