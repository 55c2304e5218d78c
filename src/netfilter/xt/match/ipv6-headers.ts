/** Matches on IPv6 extension headers (RFC 8200): frag, hbh, dst, ipv6header, rt, mh. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { extensionLength, isExtensionHeader } from '../../../wire/ipv6.ts';
import { NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { type Ah6, ah6 as ah6Codec } from '../../../wire/xt/ah6.ts';
import { type Frag, frag as fragCodec } from '../../../wire/xt/frag.ts';
import { type Ipv6header, ipv6header as ipv6headerCodec } from '../../../wire/xt/ipv6header.ts';
import { type Mh, mh as mhCodec } from '../../../wire/xt/mh.ts';
import { type Opts, opts as optsCodec } from '../../../wire/xt/opts.ts';
import { type Rt, rt as rtCodec } from '../../../wire/xt/rt.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_HOTDROP, XT_NO, XT_YES, type XtMatch } from '../extension.ts';

const HOPOPTS = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTH = 51;
const DSTOPTS = 60;
const MOBILITY = 135;

/** Offset of the first extension header of a kind; -1 when there is none, -2 when the chain is not whole. */
export function findHeader(pkt: PktInfo, wanted: number): number {
  const { dv, u8 } = pkt.slab;
  let next = u8[pkt.nhoff + 6];
  let at = pkt.nhoff + 40;
  const { end } = pkt;
  while (next !== wanted) {
    if (!isExtensionHeader(next)) return -1;
    if (at + 8 > end) return -2;
    if (next === FRAGMENT && dv.getUint16(at + 2) & 0xfff8) return -1;
    const length = extensionLength(dv, next, at);
    next = u8[at];
    at += length;
  }
  return at;
}

const range = (from: number, to: number, value: number, invert: boolean): boolean =>
  (value >= from && value <= to) !== invert;

export const frag: XtMatch<Frag> = {
  name: 'frag',
  revision: 0,
  family: NFPROTO_IPV6,
  codec: fragCodec,
  make(info) {
    if (info.invert & ~3) throw new KernelError(EINVAL);
    return (pkt) => {
      const at = findHeader(pkt, FRAGMENT);
      if (at < 0) return at === -2 ? XT_HOTDROP : XT_NO;
      if (at + 8 > pkt.end) return XT_HOTDROP;
      const { dv } = pkt.slab;
      const offset = dv.getUint16(at + 2);
      const ok =
        range(info.ids[0], info.ids[1], dv.getUint32(at + 4), (info.invert & 1) !== 0) &&
        !(info.flags & 4 && (pkt.slab.u8[at + 1] !== 0 || offset & 6)) &&
        !(info.flags & 8 && offset & 0xfff8) &&
        !(info.flags & 16 && !(offset & 1)) &&
        !(info.flags & 32 && offset & 1);
      return ok ? XT_YES : XT_NO;
    };
  },
};

function options(name: string, header: number): XtMatch<Opts> {
  return {
    name,
    revision: 0,
    family: NFPROTO_IPV6,
    codec: optsCodec,
    make(info) {
      if (info.invert & ~1 || info.flags & 4) throw new KernelError(EINVAL);
      return (pkt) => {
        const at = findHeader(pkt, header);
        if (at < 0) return at === -2 ? XT_HOTDROP : XT_NO;
        if (at + 2 > pkt.end) return XT_HOTDROP;
        const { u8 } = pkt.slab;
        const length = (u8[at + 1] + 1) * 8;
        if (at + length > pkt.end) return XT_NO;
        if (info.flags & 1 && (info.headerLength === length) === ((info.invert & 1) !== 0)) return XT_NO;
        if (!(info.flags & 2)) return XT_YES;
        // The options must stand in the header in this order, with nothing between.
        let from = at + 2;
        for (let i = 0; i < info.count; i++) {
          if (from >= at + length) return XT_NO;
          const type = info.opts[i] >> 8;
          const size = info.opts[i] & 0xff;
          if (u8[from] !== type) return XT_NO;
          if (type === 0) {
            from++;
            continue;
          }
          if (size !== 0xff && u8[from + 1] !== size) return XT_NO;
          from += u8[from + 1] + 2;
        }
        return XT_YES;
      };
    },
  };
}
export const hbh: XtMatch<Opts> = options('hbh', HOPOPTS);
export const dst: XtMatch<Opts> = options('dst', DSTOPTS);

const BITS: ReadonlyMap<number, number> = new Map([
  [0, 128],
  [60, 64],
  [43, 32],
  [44, 16],
  [51, 8],
  [50, 4],
  [59, 2],
]);

export const ipv6header: XtMatch<Ipv6header> = {
  name: 'ipv6header',
  revision: 0,
  family: NFPROTO_IPV6,
  codec: ipv6headerCodec,
  make(info) {
    if (info.soft === 0 && info.invert !== 0 && info.invert !== 0xff) throw new KernelError(EINVAL);
    return (pkt) => {
      const { u8, dv } = pkt.slab;
      let mask = 0;
      let next = u8[pkt.nhoff + 6];
      let at = pkt.nhoff + 40;
      for (;;) {
        const bit = BITS.get(next);
        if (bit === undefined) {
          mask |= 1;
          break;
        }
        mask |= bit;
        if (next === 59 || next === 50) break;
        if (at + 8 > pkt.end) return XT_NO;
        const length = next === 51 ? (u8[at + 1] + 2) * 4 : extensionLength(dv, next, at);
        const fragment = next === FRAGMENT && dv.getUint16(at + 2) & 0xfff8;
        next = u8[at];
        at += length;
        if (fragment) break;
      }
      if (info.soft) return (((mask ^ info.match) & info.match) === 0) === (info.invert === 0) ? XT_YES : XT_NO;
      return (mask === info.match) === (info.invert === 0) ? XT_YES : XT_NO;
    };
  },
};

export const rt: XtMatch<Rt> = {
  name: 'rt',
  revision: 0,
  family: NFPROTO_IPV6,
  codec: rtCodec,
  make(info) {
    if (info.invert & ~7) throw new KernelError(EINVAL);
    if (info.flags & 0x38 && (!(info.flags & 1) || info.type !== 0 || info.invert & 1)) throw new KernelError(EINVAL);
    return (pkt) => {
      const at = findHeader(pkt, ROUTING);
      if (at < 0) return at === -2 ? XT_HOTDROP : XT_NO;
      if (at + 4 > pkt.end) return XT_HOTDROP;
      const { u8, dv } = pkt.slab;
      const length = (u8[at + 1] + 1) * 8;
      if (at + length > pkt.end) return XT_NO;
      if (!range(info.segsLeft[0], info.segsLeft[1], u8[at + 3], (info.invert & 2) !== 0)) return XT_NO;
      if (info.flags & 4 && (info.headerLength === length) === ((info.invert & 4) !== 0)) return XT_NO;
      if (info.flags & 1 && (info.type === u8[at + 2]) === ((info.invert & 1) !== 0)) return XT_NO;
      if (info.flags & 8 && dv.getUint32(at + 4) !== 0) return XT_NO;
      if (!(info.flags & 16)) return XT_YES;
      const count = Math.min((length - 8) >> 4, info.count);
      if (!(info.flags & 32) && info.count !== (length - 8) >> 4) return XT_NO;
      if (count < info.count) return XT_NO;
      for (let i = 0; i < count; i++)
        for (let k = 0; k < 16; k++) if (u8[at + 8 + i * 16 + k] !== info.addrs[i][k]) return XT_NO;
      return XT_YES;
    };
  },
};

export const mh: XtMatch<Mh> = {
  name: 'mh',
  revision: 0,
  family: NFPROTO_IPV6,
  proto: MOBILITY,
  codec: mhCodec,
  make(info) {
    if (info.invert & ~1) throw new KernelError(EINVAL);
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!pkt.hasTransport || pkt.thoff + 6 > pkt.end) return XT_HOTDROP;
      const { u8 } = pkt.slab;
      if (u8[pkt.thoff] !== 59) return XT_HOTDROP;
      return range(info.types[0], info.types[1], u8[pkt.thoff + 2], (info.invert & 1) !== 0) ? XT_YES : XT_NO;
    };
  },
};

/** `ah` of IPv6: the header may stand behind others, and has a length and reserved bits to look at. */
export const ah6: XtMatch<Ah6> = {
  name: 'ah',
  revision: 0,
  family: NFPROTO_IPV6,
  codec: ah6Codec,
  make(info) {
    if (info.invert & ~3) throw new KernelError(EINVAL);
    return (pkt) => {
      const at = findHeader(pkt, AUTH);
      if (at < 0) return at === -2 ? XT_HOTDROP : XT_NO;
      if (at + 12 > pkt.end) return XT_HOTDROP;
      const { dv, u8 } = pkt.slab;
      const length = (u8[at + 1] + 2) * 4;
      if (!range(info.spis[0], info.spis[1], dv.getUint32(at + 4), (info.invert & 1) !== 0)) return XT_NO;
      if (info.headerLength !== 0 && (info.headerLength === length) === ((info.invert & 2) !== 0)) return XT_NO;
      return info.reserved !== 0 && dv.getUint16(at + 2) !== 0 ? XT_NO : XT_YES;
    };
  },
};
