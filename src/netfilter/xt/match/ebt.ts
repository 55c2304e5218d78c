/** Matches of ebtables in the kernel (linux/netfilter_bridge): `mark_m` and `pkttype`. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NFPROTO_BRIDGE } from '../../../wire/uapi/netfilter.ts';
import { EBT_MARK_AND, EBT_MARK_OR, type EbtMark, ebtMark as markCodec } from '../../../wire/xt/ebt-mark.ts';
import { type EbtPkttype, ebtPkttype as pkttypeCodec } from '../../../wire/xt/ebt-pkttype.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';

export const ebtMark: XtMatch<EbtMark> = {
  name: 'mark_m',
  revision: 0,
  family: NFPROTO_BRIDGE,
  codec: markCodec,
  make(info) {
    if (info.bitmask !== EBT_MARK_AND && info.bitmask !== EBT_MARK_OR) throw new KernelError(EINVAL);
    if (info.invert > 1) throw new KernelError(EINVAL);
    // A packet's mark has 32 bits, the structure's words 64: a mark with higher bits is equal to none.
    const mask = Number(BigInt.asUintN(32, info.mask));
    const mark = Number(info.mark);
    const invert = info.invert !== 0;
    if (info.bitmask === EBT_MARK_OR)
      return (pkt) => (((pkt.slab.mark(pkt.p) & mask) !== 0) !== invert ? XT_YES : XT_NO);
    return (pkt) => (((pkt.slab.mark(pkt.p) & mask) >>> 0 === mark) !== invert ? XT_YES : XT_NO);
  },
};

export const ebtPkttype: XtMatch<EbtPkttype> = {
  name: 'pkttype',
  revision: 0,
  family: NFPROTO_BRIDGE,
  codec: pkttypeCodec,
  make(info) {
    if (info.invert > 1) throw new KernelError(EINVAL);
    return (pkt) => ((pkt.slab.pktType(pkt.p) === info.type) !== (info.invert !== 0) ? XT_YES : XT_NO);
  },
};
