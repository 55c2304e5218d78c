/** Target HMARK: a mark from a hash over addresses, ports and protocol; of the packet or of its connection. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { jhash2 } from '../../../core/jhash.ts';
import { NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import * as H from '../../../wire/xt/hmark-target.ts';
import { PORTS, protonum } from '../../conntrack/tuple.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

const ICMP = 1;
const ICMPV6 = 58;
const AH = 51;
/** Protocols with two ports (or an SPI) at the start of their header. */
const PORTED: ReadonlySet<number> = new Set([6, 17, 33, 50, 51, 132, 136]);

/** An address under a mask, folded to one word. */
function fold(word: (i: number) => number, mask: Uint32Array, count: number): number {
  let out = 0;
  for (let i = 0; i < count; i++) out ^= word(i) & mask[i];
  return out >>> 0;
}

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Uint32Array.from({ length: 4 }, (_, i) => view.getUint32(i * 4));
}
const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

export const HMARK: XtTarget<H.HmarkTarget> = {
  name: 'HMARK',
  revision: 0,
  codec: H.hmarkTarget,
  make(info, ctx) {
    const { flags } = info;
    if (info.modulus === 0) throw new KernelError(EINVAL, "HMARK: hash modulus can't be zero");
    if (flags & H.HMARK_SPI_MASK && flags & (H.HMARK_SPORT_MASK | H.HMARK_DPORT_MASK)) throw new KernelError(EINVAL);
    if (flags & H.HMARK_SPI && flags & (H.HMARK_SPORT | H.HMARK_DPORT)) throw new KernelError(EINVAL);
    const count = ctx.family === NFPROTO_IPV4 ? 1 : 4;
    const srcMask = words(info.srcMask);
    const dstMask = words(info.dstMask);
    // The tool writes masks and values of ports in host order over what are network order fields.
    const sportMask = swap16(info.sportMask);
    const dportMask = swap16(info.dportMask);
    const sportSet = swap16(info.sport);
    const dportSet = swap16(info.dport);
    const { conntrack } = ctx.init.host;
    const apply = (pkt: PktInfo, src: number, dst: number, proto: number, sport: number, dport: number): void => {
      const ports = dport > sport ? ((dport << 16) | sport) >>> 0 : ((sport << 16) | dport) >>> 0;
      const [low, high] = dst < src ? [dst, src] : [src, dst];
      const hash = (jhash2([low, high, ports], info.seed) ^ (proto & info.protoMask)) >>> 0;
      pkt.slab.setMark(pkt.p, Math.floor((hash * info.modulus) / 2 ** 32) + info.offset);
    };
    const portsOf = (raw: number, mask: number, set: number): number => (raw & mask) | set;
    return (pkt) => {
      const { dv, u8 } = pkt.slab;
      if (flags & H.HMARK_CT) {
        const ct = conntrack.of(pkt.p);
        if (ct === undefined) return XT_CONTINUE;
        const orig = conntrack.at(ct, 0);
        const reply = conntrack.at(ct, 1);
        const tuples = ct.words;
        apply(
          pkt,
          fold((i) => tuples[orig + i], srcMask, count),
          fold((i) => tuples[reply + i], dstMask, count),
          protonum(tuples, orig),
          portsOf(tuples[orig + PORTS] >>> 16, sportMask, sportSet),
          portsOf(tuples[reply + PORTS] >>> 16, dportMask, dportSet),
        );
        return XT_CONTINUE;
      }
      let at = pkt.nhoff;
      let thoff = pkt.thoff;
      let proto = count === 1 ? u8[at + 9] : pkt.tprot;
      // An ICMP error belongs to the flow that it is about.
      if (proto === ICMP && count === 1 && pkt.fragoff === 0 && isError4(u8[thoff]) && thoff + 28 <= pkt.end) {
        at = thoff + 8;
        proto = u8[at + 9];
        thoff = at + (u8[at] & 15) * 4;
      } else if (proto === ICMPV6 && count === 4 && u8[thoff] < 128 && thoff + 48 <= pkt.end) {
        at = thoff + 8;
        proto = u8[at + 6];
        thoff = at + 40;
      }
      const source = at + (count === 1 ? 12 : 8);
      const src = fold((i) => dv.getUint32(source + i * 4), srcMask, count);
      const dst = fold((i) => dv.getUint32(source + count * 4 + i * 4), dstMask, count);
      let sport = 0;
      let dport = 0;
      const fragment = count === 1 ? (dv.getUint16(at + 6) & 0x3fff) !== 0 : pkt.fragoff !== 0;
      const from = thoff + (proto === AH ? 4 : 0);
      if (proto !== ICMP && proto !== ICMPV6 && !fragment && PORTED.has(proto) && from + 4 <= pkt.end) {
        sport = portsOf(dv.getUint16(from), sportMask, sportSet);
        dport = portsOf(dv.getUint16(from + 2), dportMask, dportSet);
      }
      apply(pkt, src, dst, proto, sport, dport);
      return XT_CONTINUE;
    };
  },
};

function isError4(type: number): boolean {
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
}
