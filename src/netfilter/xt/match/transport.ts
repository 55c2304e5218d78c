/** Matches on the transport header: tcp, udp, icmp, icmp6, multiport, sctp, dccp, esp, ah, tcpmss. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { type Ah, ah as ahCodec } from '../../../wire/xt/ah.ts';
import { type Dccp, dccp as dccpCodec } from '../../../wire/xt/dccp.ts';
import { type Esp, esp as espCodec } from '../../../wire/xt/esp.ts';
import { type Icmp, icmp as icmpCodec } from '../../../wire/xt/icmp.ts';
import { type Ipcomp, ipcomp as ipcompCodec } from '../../../wire/xt/ipcomp.ts';
import { type Multiport, multiport as multiportCodec } from '../../../wire/xt/multiport.ts';
import { type Tcp, tcp as tcpCodec } from '../../../wire/xt/tcp.ts';
import { type Tcpmss, tcpmss as tcpmssCodec } from '../../../wire/xt/tcpmss.ts';
import { type Udp, udp as udpCodec } from '../../../wire/xt/udp.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_HOTDROP, XT_NO, XT_YES, type XtMatch } from '../extension.ts';

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_DCCP = 33;
const IPPROTO_ESP = 50;
const IPPROTO_AH = 51;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_COMP = 108;
const IPPROTO_SCTP = 132;
const IPPROTO_UDPLITE = 136;

/** True when `count` bytes of the transport header are in the packet. */
function has(pkt: PktInfo, count: number): boolean {
  return pkt.hasTransport && pkt.thoff + count <= pkt.end;
}

function inRange(range: readonly number[], port: number, invert: boolean): boolean {
  return (port >= range[0] && port <= range[1]) !== invert;
}

/** True when a TCP option of this kind stands in the header of `length` bytes. */
function tcpOption(pkt: PktInfo, kind: number, length: number): boolean {
  const { u8 } = pkt.slab;
  const end = pkt.thoff + length;
  for (let at = pkt.thoff + 20; at < end; ) {
    if (u8[at] === kind) return true;
    at += u8[at] < 2 ? 1 : u8[at + 1] || 1;
  }
  return false;
}

export const tcp: XtMatch<Tcp> = {
  name: 'tcp',
  revision: 0,
  proto: IPPROTO_TCP,
  codec: tcpCodec,
  make(info) {
    if (info.invert & ~15) throw new KernelError(EINVAL);
    return (pkt) => {
      // A fragment at offset 8 could rewrite the flags of a header already judged (RFC 3128).
      if (pkt.fragoff !== 0) return pkt.fragoff === 8 ? XT_HOTDROP : XT_NO;
      if (!has(pkt, 20)) return XT_HOTDROP;
      const { dv, u8 } = pkt.slab;
      const at = pkt.thoff;
      if (!inRange(info.spts, dv.getUint16(at), (info.invert & 1) !== 0)) return XT_NO;
      if (!inRange(info.dpts, dv.getUint16(at + 2), (info.invert & 2) !== 0)) return XT_NO;
      if (((u8[at + 13] & info.flagMask) === info.flagCmp) === ((info.invert & 4) !== 0)) return XT_NO;
      if (info.option !== 0) {
        const length = (u8[at + 12] >> 4) * 4;
        if (length < 20 || !has(pkt, length)) return XT_HOTDROP;
        if (tcpOption(pkt, info.option, length) === ((info.invert & 8) !== 0)) return XT_NO;
      }
      return XT_YES;
    };
  },
};

export const udp: XtMatch<Udp> = {
  name: 'udp',
  revision: 0,
  proto: IPPROTO_UDP,
  codec: udpCodec,
  make(info) {
    if (info.invert & ~3) throw new KernelError(EINVAL);
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!has(pkt, 8)) return XT_HOTDROP;
      const { dv } = pkt.slab;
      const ok =
        inRange(info.spts, dv.getUint16(pkt.thoff), (info.invert & 1) !== 0) &&
        inRange(info.dpts, dv.getUint16(pkt.thoff + 2), (info.invert & 2) !== 0);
      return ok ? XT_YES : XT_NO;
    };
  },
};

function icmpMatch(name: string, family: number, proto: number, any: number): XtMatch<Icmp> {
  return {
    name,
    revision: 0,
    family,
    proto,
    codec: icmpCodec,
    make(info) {
      if (info.invert & ~1) throw new KernelError(EINVAL);
      const invert = (info.invert & 1) !== 0;
      return (pkt) => {
        if (pkt.fragoff !== 0) return XT_NO;
        if (!has(pkt, 8)) return XT_HOTDROP;
        const type = pkt.slab.u8[pkt.thoff];
        const code = pkt.slab.u8[pkt.thoff + 1];
        const hit = info.type === any || (type === info.type && code >= info.code[0] && code <= info.code[1]);
        return hit !== invert ? XT_YES : XT_NO;
      };
    },
  };
}
export const icmp: XtMatch<Icmp> = icmpMatch('icmp', NFPROTO_IPV4, IPPROTO_ICMP, 255);
export const icmp6: XtMatch<Icmp> = icmpMatch('icmp6', NFPROTO_IPV6, IPPROTO_ICMPV6, -1);

export const multiport: XtMatch<Multiport> = {
  name: 'multiport',
  revision: 1,
  codec: multiportCodec,
  make(info, ctx) {
    const known = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_SCTP, IPPROTO_DCCP].includes(ctx.proto);
    if (!known || ctx.protoInvert || info.flags > 2 || info.count > 15) throw new KernelError(EINVAL);
    const ranges: [number, number][] = [];
    for (let i = 0; i < info.count; i++) {
      if (info.pflags[i] && i + 1 < info.count) {
        ranges.push([info.ports[i], info.ports[i + 1]]);
        i++;
      } else ranges.push([info.ports[i], info.ports[i]]);
    }
    const source = info.flags !== 1;
    const destination = info.flags !== 0;
    const invert = info.invert !== 0;
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!has(pkt, 4)) return XT_HOTDROP;
      const src = pkt.slab.dv.getUint16(pkt.thoff);
      const dst = pkt.slab.dv.getUint16(pkt.thoff + 2);
      let hit = false;
      for (const [from, to] of ranges) {
        if ((source && src >= from && src <= to) || (destination && dst >= from && dst <= to)) {
          hit = true;
          break;
        }
      }
      return hit !== invert ? XT_YES : XT_NO;
    };
  },
};

const DCCP_TYPES = 4;

export const dccp: XtMatch<Dccp> = {
  name: 'dccp',
  revision: 0,
  proto: IPPROTO_DCCP,
  codec: dccpCodec,
  make(info) {
    if (info.flags & ~15 || info.invert & ~15 || info.invert & ~info.flags) throw new KernelError(EINVAL);
    if (info.flags & 8) throw new KernelError(EINVAL, 'netloom does not support --dccp-option');
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!has(pkt, 12)) return XT_HOTDROP;
      const { dv, u8 } = pkt.slab;
      const at = pkt.thoff;
      if (info.flags & 1 && !inRange(info.spts, dv.getUint16(at), (info.invert & 1) !== 0)) return XT_NO;
      if (info.flags & 2 && !inRange(info.dpts, dv.getUint16(at + 2), (info.invert & 2) !== 0)) return XT_NO;
      if (info.flags & DCCP_TYPES) {
        const hit = (info.typeMask & (1 << ((u8[at + 8] >> 1) & 15))) !== 0;
        if (hit === ((info.invert & DCCP_TYPES) !== 0)) return XT_NO;
      }
      return XT_YES;
    };
  },
};

function spiMatch(name: string, proto: number, codec: typeof espCodec, at: number, length: number): XtMatch<Esp | Ah> {
  return {
    name,
    revision: 0,
    ...(name === 'ah' && { family: NFPROTO_IPV4 }),
    proto,
    codec,
    make(info) {
      if (info.invert & ~1) throw new KernelError(EINVAL);
      return (pkt) => {
        if (pkt.fragoff !== 0) return XT_NO;
        if (!has(pkt, length)) return XT_HOTDROP;
        return inRange(info.spis, pkt.slab.dv.getUint32(pkt.thoff + at), (info.invert & 1) !== 0) ? XT_YES : XT_NO;
      };
    },
  };
}
export const esp: XtMatch<Esp | Ah> = spiMatch('esp', IPPROTO_ESP, espCodec, 0, 8);
export const ah: XtMatch<Esp | Ah> = spiMatch('ah', IPPROTO_AH, ahCodec, 4, 12);

/** IPComp has a 16-bit index at offset 2 (RFC 3173). */
export const ipcomp: XtMatch<Ipcomp> = {
  name: 'ipcomp',
  revision: 0,
  proto: IPPROTO_COMP,
  codec: ipcompCodec,
  make(info) {
    if (info.invert & ~1) throw new KernelError(EINVAL);
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!has(pkt, 4)) return XT_HOTDROP;
      return inRange(info.spis, pkt.slab.dv.getUint16(pkt.thoff + 2), (info.invert & 1) !== 0) ? XT_YES : XT_NO;
    };
  },
};

export const tcpmss: XtMatch<Tcpmss> = {
  name: 'tcpmss',
  revision: 0,
  proto: IPPROTO_TCP,
  codec: tcpmssCodec,
  make(info) {
    const invert = info.invert !== 0;
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!has(pkt, 20)) return XT_HOTDROP;
      const { u8, dv } = pkt.slab;
      const length = (u8[pkt.thoff + 12] >> 4) * 4;
      if (length < 20 || !has(pkt, length)) return XT_HOTDROP;
      const end = pkt.thoff + length;
      for (let at = pkt.thoff + 20; at < end; ) {
        if (u8[at] === 2 && end - at >= 4 && u8[at + 1] === 4) {
          const mss = dv.getUint16(at + 2);
          return (mss >= info.min && mss <= info.max) !== invert ? XT_YES : XT_NO;
        }
        at += u8[at] < 2 || end - at < 2 ? 1 : u8[at + 1] || 1;
      }
      return invert ? XT_YES : XT_NO;
    };
  },
};
