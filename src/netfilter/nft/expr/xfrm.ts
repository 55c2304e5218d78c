/**
 * `xfrm` (nft's `ipsec`): what IPsec did to the packet. netloom's hosts have no IPsec, so no packet carries such state and
 * the expression never matches, as on a Linux host without policies.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { getU8 } from '../../../wire/netlink/attr.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import { regNumber, storeRegister } from '../regs.ts';

const XFRM_MAX_DEPTH = 6;
const XFRM_POLICY_OUT = 1;

const LENGTHS: ReadonlyMap<number, number> = new Map([
  [U.NFT_XFRM_KEY_DADDR_IP4, 4],
  [U.NFT_XFRM_KEY_SADDR_IP4, 4],
  [U.NFT_XFRM_KEY_DADDR_IP6, 16],
  [U.NFT_XFRM_KEY_SADDR_IP6, 16],
  [U.NFT_XFRM_KEY_REQID, 4],
  [U.NFT_XFRM_KEY_SPI, 4],
]);

export const xfrm: ExprKind = {
  name: 'xfrm',
  init(attrs, ctx): Expr {
    if (![H.NFPROTO_IPV4, H.NFPROTO_IPV6, H.NFPROTO_INET].includes(ctx.family)) throw new KernelError(EOPNOTSUPP);
    const key = u32Attr(attrs, U.NFTA_XFRM_KEY);
    const length = LENGTHS.get(key);
    if (length === undefined) throw new KernelError(EINVAL);
    const direction = getU8(need(attrs, U.NFTA_XFRM_DIR).payload);
    if (direction > XFRM_POLICY_OUT) throw new KernelError(EINVAL);
    const depth = u32Attr(attrs, U.NFTA_XFRM_SPNUM, 0);
    if (depth >= XFRM_MAX_DEPTH) throw new KernelError(EINVAL);
    const to = storeRegister(attrs.get(U.NFTA_XFRM_DREG), length);
    return {
      name: 'xfrm',
      eval(regs) {
        regs.verdict = U.NFT_BREAK;
      },
      dump(w) {
        w.beU32(U.NFTA_XFRM_DREG, regNumber(to)).beU32(U.NFTA_XFRM_KEY, key);
        w.u8(U.NFTA_XFRM_DIR, direction).beU32(U.NFTA_XFRM_SPNUM, depth);
      },
      validate(chain) {
        const { hook } = chain.base!;
        const allowed =
          direction === XFRM_POLICY_OUT
            ? [H.NF_INET_FORWARD, H.NF_INET_LOCAL_OUT, H.NF_INET_POST_ROUTING]
            : [H.NF_INET_FORWARD, H.NF_INET_LOCAL_IN, H.NF_INET_PRE_ROUTING];
        if (!allowed.includes(hook)) throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
