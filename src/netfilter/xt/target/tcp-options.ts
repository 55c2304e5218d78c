/** Targets TCPOPTSTRIP and ECN: bits and options taken out of TCP headers. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { update16 } from '../../../wire/checksum.ts';
import { NF_DROP, NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { type EcnTarget, ecnTarget } from '../../../wire/xt/ecn-target.ts';
import { type TcpoptstripTarget, tcpoptstripTarget } from '../../../wire/xt/tcpoptstrip-target.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';
import { setTos } from './header.ts';

/** Writes a byte of the TCP header and mends the checksum. */
function setByte(pkt: PktInfo, at: number, value: number): void {
  const { dv, u8 } = pkt.slab;
  const even = at - ((at - pkt.thoff) & 1);
  const before = dv.getUint16(even);
  u8[at] = value;
  const sum = pkt.thoff + 16;
  dv.setUint16(sum, update16(dv.getUint16(sum), before, dv.getUint16(even)));
}

export const TCPOPTSTRIP: XtTarget<TcpoptstripTarget> = {
  name: 'TCPOPTSTRIP',
  revision: 0,
  proto: 6,
  codec: tcpoptstripTarget,
  make(info, ctx) {
    if (ctx.table !== 'mangle') throw new KernelError(EINVAL);
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_CONTINUE;
      const { u8 } = pkt.slab;
      const at = pkt.thoff;
      const header = at + 20 <= pkt.end ? (u8[at + 12] >> 4) * 4 : 0;
      if (header < 20 || at + header > pkt.end) return NF_DROP;
      for (let i = at + 20; i < at + header - 1; ) {
        const length = u8[i] < 2 ? 1 : u8[i + 1] || 1;
        if (i + length > at + header) break;
        if (u8[i] > 1 && info.bitmap[u8[i] >> 5] & (1 << (u8[i] & 31)))
          for (let k = 0; k < length; k++) setByte(pkt, i + k, 1);
        i += length;
      }
      return XT_CONTINUE;
    };
  },
};

export const ECN: XtTarget<EcnTarget> = {
  name: 'ECN',
  revision: 0,
  family: NFPROTO_IPV4,
  codec: ecnTarget,
  make(info, ctx) {
    if (info.operation & 0xce || info.ipEct & ~3 || ctx.table !== 'mangle') throw new KernelError(EINVAL);
    if (info.operation & 0x30 && (ctx.proto !== 6 || ctx.protoInvert)) throw new KernelError(EINVAL);
    return (pkt) => {
      const { u8 } = pkt.slab;
      const octet = u8[pkt.nhoff + 1];
      if (info.operation & 1 && (octet & 3) !== info.ipEct) setTos(pkt, (octet & 0xfc) | info.ipEct);
      if (!(info.operation & 0x30) || pkt.fragoff !== 0) return XT_CONTINUE;
      if (pkt.thoff + 20 > pkt.end) return NF_DROP;
      let flags = u8[pkt.thoff + 13];
      if (info.operation & 0x10) flags = (flags & ~0x40) | (info.tcp & 1 ? 0x40 : 0);
      if (info.operation & 0x20) flags = (flags & ~0x80) | (info.tcp & 2 ? 0x80 : 0);
      if (flags !== u8[pkt.thoff + 13]) setByte(pkt, pkt.thoff + 13, flags);
      return XT_CONTINUE;
    };
  },
};
