/** Matches on the packet as a whole: comment, mark, mac, pkttype, length, ttl, hl, dscp, tos, ecn, cpu, realm, physdev, devgroup. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NO_OFFSET } from '../../../core/slab.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { type Comment, comment as commentCodec } from '../../../wire/xt/comment.ts';
import { type Cpu, cpu as cpuCodec } from '../../../wire/xt/cpu.ts';
import { type Devgroup, devgroup as devgroupCodec } from '../../../wire/xt/devgroup.ts';
import { type Dscp, dscp as dscpCodec } from '../../../wire/xt/dscp.ts';
import { type Ecn, ecn as ecnCodec } from '../../../wire/xt/ecn.ts';
import { type Length, length as lengthCodec } from '../../../wire/xt/length.ts';
import { type Mac, mac as macCodec } from '../../../wire/xt/mac.ts';
import { type Mark, mark as markCodec } from '../../../wire/xt/mark.ts';
import { type Physdev, physdev as physdevCodec } from '../../../wire/xt/physdev.ts';
import { type Pkttype, pkttype as pkttypeCodec } from '../../../wire/xt/pkttype.ts';
import { type Realm, realm as realmCodec } from '../../../wire/xt/realm.ts';
import { type Tos, tos as tosCodec } from '../../../wire/xt/tos.ts';
import { type Ttl, ttl as ttlCodec } from '../../../wire/xt/ttl.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';

const yes = (hit: boolean): number => (hit ? XT_YES : XT_NO);

/** The type of service octet or traffic class. */
export function tosOctet(pkt: PktInfo): number {
  const { u8 } = pkt.slab;
  if (pkt.pf === NFPROTO_IPV4) return u8[pkt.nhoff + 1];
  return ((u8[pkt.nhoff] & 15) << 4) | (u8[pkt.nhoff + 1] >> 4);
}

export const comment: XtMatch<Comment> = {
  name: 'comment',
  revision: 0,
  codec: commentCodec,
  make: () => () => XT_YES,
};

export const mark: XtMatch<Mark> = {
  name: 'mark',
  revision: 1,
  codec: markCodec,
  make: (info) => (pkt) => yes(((pkt.slab.mark(pkt.p) & info.mask) >>> 0 === info.mark) !== (info.invert !== 0)),
};

const ARPHRD_ETHER = 1;

export const mac: XtMatch<Mac> = {
  name: 'mac',
  revision: 0,
  codec: macCodec,
  make(info, ctx) {
    const { host } = ctx.init;
    return (pkt) => {
      const { slab } = pkt;
      const at = slab.mac(pkt.p);
      if (at === NO_OFFSET || pkt.iif === 0 || host.deviceType(pkt.iif) !== ARPHRD_ETHER) return XT_NO;
      let same = true;
      for (let i = 0; i < 6; i++) same &&= slab.u8[at + 6 + i] === info.address[i];
      return yes(same !== (info.invert !== 0));
    };
  },
  validate(chain) {
    const hook = chain.base?.hook ?? 0;
    if (hook > 2) throw new KernelError(EINVAL);
  },
};

const PACKET_LOOPBACK = 5;

export const pkttype: XtMatch<Pkttype> = {
  name: 'pkttype',
  revision: 0,
  codec: pkttypeCodec,
  make: (info) => (pkt) => {
    let type = pkt.slab.pktType(pkt.p);
    // A looped-back packet is what its destination address says (the kernel looks at the address too).
    if (type === PACKET_LOOPBACK) type = pkt.pf === NFPROTO_IPV4 ? loopType4(pkt) : loopType6(pkt);
    return yes((type === info.type) !== (info.invert !== 0));
  },
};
function loopType4(pkt: PktInfo): number {
  return pkt.slab.u8[pkt.nhoff + 16] >> 4 === 14 ? 2 : 1;
}
function loopType6(pkt: PktInfo): number {
  return pkt.slab.u8[pkt.nhoff + 24] === 0xff ? 2 : 1;
}

export const length: XtMatch<Length> = {
  name: 'length',
  revision: 0,
  codec: lengthCodec,
  make: (info) => (pkt) => {
    const { dv } = pkt.slab;
    const size = pkt.pf === NFPROTO_IPV4 ? dv.getUint16(pkt.nhoff + 2) : dv.getUint16(pkt.nhoff + 4) + 40;
    return yes((size >= info.min && size <= info.max) !== (info.invert !== 0));
  },
};

function hopLimit(name: string, family: number, offset: number): XtMatch<Ttl> {
  return {
    name,
    revision: 0,
    family,
    codec: ttlCodec,
    make: (info) => (pkt) => {
      const ttl = pkt.slab.u8[pkt.nhoff + offset];
      switch (info.mode) {
        case 0:
          return yes(ttl === info.ttl);
        case 1:
          return yes(ttl !== info.ttl);
        case 2:
          return yes(ttl < info.ttl);
        case 3:
          return yes(ttl > info.ttl);
        default:
          return XT_NO;
      }
    },
  };
}
export const ttl: XtMatch<Ttl> = hopLimit('ttl', NFPROTO_IPV4, 8);
export const hl: XtMatch<Ttl> = hopLimit('hl', NFPROTO_IPV6, 7);

export const dscp: XtMatch<Dscp> = {
  name: 'dscp',
  revision: 0,
  codec: dscpCodec,
  make(info) {
    if (info.dscp > 63) throw new KernelError(EINVAL);
    return (pkt) => yes((tosOctet(pkt) >> 2 === info.dscp) !== (info.invert !== 0));
  },
};

export const tos: XtMatch<Tos> = {
  name: 'tos',
  revision: 1,
  codec: tosCodec,
  make: (info) => (pkt) => yes(((tosOctet(pkt) & info.mask) === info.value) !== (info.invert !== 0)),
};

const ECN_IP = 0x01;
const ECN_ECE = 0x10;
const ECN_CWR = 0x20;

export const ecn: XtMatch<Ecn> = {
  name: 'ecn',
  revision: 0,
  codec: ecnCodec,
  make(info, ctx) {
    if (info.operation & 0xce || info.invert & 0xce) throw new KernelError(EINVAL);
    const tcp = info.operation & (ECN_ECE | ECN_CWR);
    if (tcp && (ctx.proto !== 6 || ctx.protoInvert)) throw new KernelError(EINVAL);
    return (pkt) => {
      if (info.operation & ECN_IP && ((tosOctet(pkt) & 3) === info.ipEct) === ((info.invert & ECN_IP) !== 0))
        return XT_NO;
      if (!tcp) return XT_YES;
      if (pkt.fragoff !== 0 || pkt.thoff + 20 > pkt.end) return XT_NO;
      const flags = pkt.slab.u8[pkt.thoff + 13];
      if (tcp & ECN_ECE && ((flags & 0x40) !== 0) === ((info.invert & ECN_ECE) !== 0)) return XT_NO;
      if (tcp & ECN_CWR && ((flags & 0x80) !== 0) === ((info.invert & ECN_CWR) !== 0)) return XT_NO;
      return XT_YES;
    };
  },
};

/** netloom's hosts have one processor. */
export const cpu: XtMatch<Cpu> = {
  name: 'cpu',
  revision: 0,
  codec: cpuCodec,
  make(info) {
    if (info.invert & ~1) throw new KernelError(EINVAL);
    return () => yes((info.cpu === 0) !== (info.invert !== 0));
  },
};

/** Routes carry no realm here: every packet has realm 0. */
export const realm: XtMatch<Realm> = {
  name: 'realm',
  revision: 0,
  family: NFPROTO_IPV4,
  codec: realmCodec,
  make: (info) => () => yes((info.id === 0) !== (info.invert !== 0)),
};

const PHYS_IN = 1;
const PHYS_OUT = 2;
const PHYS_BRIDGED = 4;
const PHYS_ISIN = 8;
const PHYS_ISOUT = 16;

function nameMatches(name: string, wanted: string, mask: Uint8Array): boolean {
  for (let i = 0; i < 16; i++) {
    if (mask[i] === 0) continue;
    if ((i < name.length ? name.charCodeAt(i) : 0) !== (i < wanted.length ? wanted.charCodeAt(i) : 0)) return false;
  }
  return true;
}

export const physdev: XtMatch<Physdev> = {
  name: 'physdev',
  revision: 0,
  codec: physdevCodec,
  make(info, ctx) {
    if (!(info.bitmask & 31) || info.bitmask & ~31) throw new KernelError(EINVAL);
    const { host } = ctx.init;
    const bad = (bit: number, is: boolean): boolean => (info.bitmask & bit) !== 0 && is === ((info.invert & bit) !== 0);
    return (pkt) => {
      const inDev = pkt.slab.physin(pkt.p);
      const outDev = pkt.slab.physout(pkt.p);
      if (inDev === 0 && outDev === 0) {
        // Not a bridged packet: only negated questions can be true.
        return yes((info.bitmask & ~info.invert & 31) === 0);
      }
      if (bad(PHYS_BRIDGED, inDev !== 0 && outDev !== 0)) return XT_NO;
      if (bad(PHYS_ISIN, inDev !== 0) || bad(PHYS_ISOUT, outDev !== 0)) return XT_NO;
      if (bad(PHYS_IN, inDev !== 0 && nameMatches(host.deviceName(inDev), info.inDev, info.inMask))) return XT_NO;
      if (bad(PHYS_OUT, outDev !== 0 && nameMatches(host.deviceName(outDev), info.outDev, info.outMask))) return XT_NO;
      return XT_YES;
    };
  },
};

export const devgroup: XtMatch<Devgroup> = {
  name: 'devgroup',
  revision: 0,
  codec: devgroupCodec,
  make(info, ctx) {
    const { host } = ctx.init;
    if (info.flags & ~15) throw new KernelError(EINVAL);
    return (pkt) => {
      if (info.flags & 1) {
        const hit = (host.deviceGroup(pkt.iif) & info.srcMask) >>> 0 === info.srcGroup;
        if (hit === ((info.flags & 2) !== 0)) return XT_NO;
      }
      if (info.flags & 4) {
        const hit = (host.deviceGroup(pkt.oif) & info.dstMask) >>> 0 === info.dstGroup;
        if (hit === ((info.flags & 8) !== 0)) return XT_NO;
      }
      return XT_YES;
    };
  },
};
