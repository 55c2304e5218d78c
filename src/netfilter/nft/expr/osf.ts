/**
 * `osf`: passive OS fingerprinting of TCP SYNs. netloom loads no fingerprints, and then, as on a Linux host on which
 * nobody has run `nfnl_osf`, every SYN comes from the system "unknown".
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import { getU8 } from '../../../wire/netlink/attr.ts';
import * as tcp from '../../../wire/tcp.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { regNumber, storeRegister } from '../regs.ts';

const UNKNOWN = Uint8Array.from('unknown', (c) => c.charCodeAt(0));
const MAX_TTL_MODE = 2;

export const osf: ExprKind = {
  name: 'osf',
  init(attrs, ctx): Expr {
    if (ctx.family !== H.NFPROTO_IPV4 && ctx.family !== H.NFPROTO_INET) throw new KernelError(EOPNOTSUPP);
    const ttlAttr = attrs.get(U.NFTA_OSF_TTL);
    const ttl = ttlAttr ? getU8(ttlAttr.payload) : 0;
    if (ttl > MAX_TTL_MODE) throw new KernelError(EINVAL);
    const flags = u32Attr(attrs, U.NFTA_OSF_FLAGS, 0);
    if (flags & ~U.NFT_OSF_F_VERSION) throw new KernelError(EINVAL);
    const to = storeRegister(attrs.get(U.NFTA_OSF_DREG), U.NFT_OSF_MAXGENRELEN);
    return {
      name: 'osf',
      eval(regs, pkt) {
        const { dv } = pkt.slab;
        const syn =
          pkt.pf === H.NFPROTO_IPV4 &&
          pkt.hasTransport &&
          pkt.tprot === IPPROTO_TCP &&
          pkt.thoff + tcp.HEADER_LENGTH <= pkt.end &&
          (tcp.flags(dv, pkt.thoff) & tcp.SYN) !== 0;
        if (!syn) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        for (let i = 0; i < U.NFT_OSF_MAXGENRELEN; i++) regs.u8[to + i] = i < UNKNOWN.length ? UNKNOWN[i] : 0;
      },
      dump(w) {
        w.u8(U.NFTA_OSF_TTL, ttl).beU32(U.NFTA_OSF_FLAGS, flags).beU32(U.NFTA_OSF_DREG, regNumber(to));
      },
      validate(chain) {
        if (![H.NF_INET_LOCAL_IN, H.NF_INET_PRE_ROUTING, H.NF_INET_FORWARD].includes(chain.base!.hook))
          throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
