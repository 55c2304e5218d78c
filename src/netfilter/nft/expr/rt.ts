/**
 * `rt`: what routing decided for the packet: realm, next hop, MSS.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import {
  NF_INET_FORWARD,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { regNumber, storeRegister } from '../regs.ts';

const LENGTHS: ReadonlyMap<number, number> = new Map([
  [U.NFT_RT_CLASSID, 4],
  [U.NFT_RT_NEXTHOP4, 4],
  [U.NFT_RT_NEXTHOP6, 16],
  [U.NFT_RT_TCPMSS, 2],
  [U.NFT_RT_XFRM, 1],
]);

export const rt: ExprKind = {
  name: 'rt',
  init(attrs, ctx): Expr {
    const key = u32Attr(attrs, U.NFTA_RT_KEY);
    const length = LENGTHS.get(key);
    if (length === undefined) throw new KernelError(EOPNOTSUPP);
    const to = storeRegister(attrs.get(U.NFTA_RT_DREG), length);
    const host = ctx.host;
    return {
      name: 'rt',
      eval(regs, pkt) {
        const { slab, p } = pkt;
        const family = slab.gatewayFamily(p);
        if (family === 0) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        switch (key) {
          case U.NFT_RT_CLASSID: {
            const realm = slab.classid(p);
            if (realm === 0) regs.verdict = U.NFT_BREAK;
            else regs.u32[to >> 2] = realm;
            return;
          }
          case U.NFT_RT_NEXTHOP4:
            if (pkt.pf !== NFPROTO_IPV4) break;
            for (let i = 0; i < 4; i++) regs.u8[to + i] = slab.u8[slab.gatewayAt(p) + i];
            return;
          case U.NFT_RT_NEXTHOP6:
            if (pkt.pf !== NFPROTO_IPV6) break;
            for (let i = 0; i < 16; i++) regs.u8[to + i] = slab.u8[slab.gatewayAt(p) + i];
            return;
          case U.NFT_RT_TCPMSS:
            regs.u32[to >> 2] = host.routeMss(p);
            return;
          default:
            regs.u32[to >> 2] = 0;
            return;
        }
        regs.verdict = U.NFT_BREAK;
      },
      dump(w) {
        w.beU32(U.NFTA_RT_KEY, key).beU32(U.NFTA_RT_DREG, regNumber(to));
      },
      validate(chain) {
        const hook = chain.base!.hook;
        if (key === U.NFT_RT_TCPMSS && ![NF_INET_FORWARD, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING].includes(hook)) {
          throw new KernelError(EINVAL);
        }
      },
    };
  },
};
