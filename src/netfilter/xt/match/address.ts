/** Matches on addresses: addrtype, iprange, rpfilter, policy. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { type Addrtype, addrtype as addrtypeCodec } from '../../../wire/xt/addrtype.ts';
import { type Iprange, iprange as iprangeCodec } from '../../../wire/xt/iprange.ts';
import { type Policy, policy as policyCodec } from '../../../wire/xt/policy.ts';
import { type Rpfilter, rpfilter as rpfilterCodec } from '../../../wire/xt/rpfilter.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';

/** Offset of the source or destination address in the slab. */
function addressAt(pkt: PktInfo, source: boolean): number {
  if (pkt.pf === NFPROTO_IPV4) return pkt.nhoff + (source ? 12 : 16);
  return pkt.nhoff + (source ? 8 : 24);
}

const INVERT_SOURCE = 1;
const INVERT_DEST = 2;
const LIMIT_IN = 4;
const LIMIT_OUT = 8;
const RTN_UNREACHABLE = 7;

export const addrtype: XtMatch<Addrtype> = {
  name: 'addrtype',
  revision: 1,
  codec: addrtypeCodec,
  make(info, ctx) {
    const { host } = ctx.init;
    if (info.flags & LIMIT_IN && info.flags & LIMIT_OUT)
      throw new KernelError(EINVAL, 'both incoming and outgoing interface limitation cannot be selected');
    const typeBit = (pkt: PktInfo, source: boolean): number => {
      const dev = info.flags & LIMIT_IN ? pkt.iif : info.flags & LIMIT_OUT ? pkt.oif : 0;
      const family = pkt.pf === NFPROTO_IPV4 ? 2 : 10;
      const at = addressAt(pkt, source);
      const answer = host.fib(family, at, pkt, 0, dev, 0, source);
      return 1 << (answer.addressType || RTN_UNREACHABLE);
    };
    return (pkt) => {
      if (info.source && ((typeBit(pkt, true) & info.source) !== 0) === ((info.flags & INVERT_SOURCE) !== 0))
        return XT_NO;
      if (info.dest && ((typeBit(pkt, false) & info.dest) !== 0) === ((info.flags & INVERT_DEST) !== 0)) return XT_NO;
      return XT_YES;
    };
  },
  validate(chain, info) {
    const hook = chain.base?.hook ?? 0;
    // There is no outgoing interface before routing, and no incoming one after it.
    if ((hook === 0 || hook === 1) && info.flags & LIMIT_OUT) throw new KernelError(EINVAL);
    if ((hook === 3 || hook === 4) && info.flags & LIMIT_IN) throw new KernelError(EINVAL);
  },
};

export const iprange: XtMatch<Iprange> = {
  name: 'iprange',
  revision: 1,
  codec: iprangeCodec,
  make(info, ctx) {
    const size = ctx.family === NFPROTO_IPV4 ? 4 : 16;
    const within = (pkt: PktInfo, at: number, min: Uint8Array, max: Uint8Array): boolean => {
      const { u8 } = pkt.slab;
      let low = true;
      let high = true;
      for (let i = 0; i < size && (low || high); i++) {
        const byte = u8[at + i];
        if (low && byte < min[i]) return false;
        if (high && byte > max[i]) return false;
        low &&= byte === min[i];
        high &&= byte === max[i];
      }
      return true;
    };
    return (pkt) => {
      if (info.flags & 1 && within(pkt, addressAt(pkt, true), info.srcMin, info.srcMax) === ((info.flags & 16) !== 0))
        return XT_NO;
      if (info.flags & 2 && within(pkt, addressAt(pkt, false), info.dstMin, info.dstMax) === ((info.flags & 32) !== 0))
        return XT_NO;
      return XT_YES;
    };
  },
};

const RP_LOOSE = 1;
const RP_VALID_MARK = 2;
const RP_ACCEPT_LOCAL = 4;
const RP_INVERT = 8;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;

export const rpfilter: XtMatch<Rpfilter> = {
  name: 'rpfilter',
  revision: 0,
  codec: rpfilterCodec,
  make(info, ctx) {
    const { host } = ctx.init;
    if (info.flags & ~15) throw new KernelError(EINVAL);
    if (ctx.table !== 'mangle' && ctx.table !== 'raw')
      throw new KernelError(EINVAL, "only valid in 'raw' or 'mangle' table");
    const invert = (info.flags & RP_INVERT) !== 0;
    return (pkt) => {
      if (host.deviceName(pkt.iif) === 'lo') return invert ? XT_NO : XT_YES;
      const at = addressAt(pkt, true);
      const v4 = pkt.pf === NFPROTO_IPV4;
      const { u8 } = pkt.slab;
      // A multicast source or an unspecified one with a broadcast destination has no way back, and is let through.
      if (v4 && u8[at] === 0 && u8[pkt.nhoff + 16] >= 224) return invert ? XT_NO : XT_YES;
      const mark = info.flags & RP_VALID_MARK ? pkt.slab.mark(pkt.p) : 0;
      const answer = host.fib(v4 ? 2 : 10, at, pkt, 0, 0, mark, true);
      let ok = answer.type === RTN_UNICAST || (answer.type === RTN_LOCAL && (info.flags & RP_ACCEPT_LOCAL) !== 0);
      if (ok && !(info.flags & RP_LOOSE))
        ok = answer.oif === pkt.iif || host.fib(v4 ? 2 : 10, at, pkt, pkt.iif, 0, mark, true).oif === pkt.iif;
      return ok !== invert ? XT_YES : XT_NO;
    };
  },
  validate(chain) {
    if (chain.base?.hook !== 0) throw new KernelError(EINVAL);
  },
};

const POLICY_NONE = 4;

/** netloom has no IPsec: no packet has a policy. */
export const policy: XtMatch<Policy> = {
  name: 'policy',
  revision: 0,
  codec: policyCodec,
  make(info) {
    if (!(info.flags & 3)) throw new KernelError(EINVAL, 'neither incoming nor outgoing policy selected');
    if (info.len > 4) throw new KernelError(EINVAL, 'too many policy elements');
    return () => (info.flags & POLICY_NONE ? XT_YES : XT_NO);
  },
};
