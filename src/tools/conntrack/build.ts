/** Tuples of a connection to be created or asked for, from the command line. What is not given of the reply is the inverse. */
import { parseAddress } from '../../wire/address.ts';
import type { AttrWriter } from '../../wire/netlink/attr.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { ConntrackError, type Options } from './options.ts';

/** Bytes of an address that the tool printed itself. */
export function addressBytesOf(text: string): Uint8Array {
  return parseAddress(text) ?? new Uint8Array(16);
}

const ICMP = 1;
const ICMPV6 = 58;
const INVERSE: Readonly<Record<number, number>> = { 8: 0, 0: 8, 13: 14, 14: 13, 17: 18, 18: 17, 128: 129, 129: 128 };

type Half = { src: Uint8Array; dst: Uint8Array; a: number; b: number };

function write(w: AttrWriter, type: number, half: Half, o: Options, reply: boolean): void {
  const four = half.src.length === 4;
  w.nest(type, (t) => {
    t.nest(C.CTA_TUPLE_IP, (ip) => {
      ip.bytes(four ? C.CTA_IP_V4_SRC : C.CTA_IP_V6_SRC, half.src);
      ip.bytes(four ? C.CTA_IP_V4_DST : C.CTA_IP_V6_DST, half.dst);
    });
    t.nest(C.CTA_TUPLE_PROTO, (p) => {
      p.u8(C.CTA_PROTO_NUM, o.proto!);
      if (o.proto === ICMP || o.proto === ICMPV6) {
        const asked = o.ports.get('type') ?? (o.proto === ICMP ? 8 : 128);
        const six = o.proto === ICMPV6;
        p.beU16(six ? C.CTA_PROTO_ICMPV6_ID : C.CTA_PROTO_ICMP_ID, o.ports.get('id') ?? 0);
        p.u8(six ? C.CTA_PROTO_ICMPV6_TYPE : C.CTA_PROTO_ICMP_TYPE, reply ? (INVERSE[asked] ?? asked) : asked);
        p.u8(six ? C.CTA_PROTO_ICMPV6_CODE : C.CTA_PROTO_ICMP_CODE, o.ports.get('code') ?? 0);
      } else if ([6, 17, 33, 47, 132, 136].includes(o.proto!)) {
        p.beU16(C.CTA_PROTO_SRC_PORT, half.a).beU16(C.CTA_PROTO_DST_PORT, half.b);
      }
    });
  });
}

/** Writes the original tuple, and the reply tuple unless only the original is wanted. */
export function buildTuple(w: AttrWriter, o: Options, which: 'both' | 'orig' = 'both'): void {
  if (o.proto === undefined) throw new ConntrackError('Missing option `-p`');
  const src = (o.addresses.get('s') ?? o.addresses.get('q'))?.address;
  const dst = (o.addresses.get('d') ?? o.addresses.get('r'))?.address;
  if (src === undefined || dst === undefined) throw new ConntrackError('You have to supply source and destination');
  const a = o.ports.get('os') ?? o.ports.get('rd') ?? 0;
  const b = o.ports.get('od') ?? o.ports.get('rs') ?? 0;
  write(w, C.CTA_TUPLE_ORIG, { src, dst, a, b }, o, false);
  if (which === 'orig') return;
  const reply = {
    src: o.addresses.get('r')?.address ?? dst,
    dst: o.addresses.get('q')?.address ?? src,
    a: o.ports.get('rs') ?? b,
    b: o.ports.get('rd') ?? a,
  };
  write(w, C.CTA_TUPLE_REPLY, reply, o, true);
}
