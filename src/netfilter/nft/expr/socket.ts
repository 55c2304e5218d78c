/**
 * `socket`: properties of the local socket that the packet belongs to.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { regNumber, storeRegister } from '../regs.ts';

const LENGTHS: ReadonlyMap<number, number> = new Map([
  [U.NFT_SOCKET_TRANSPARENT, 1],
  [U.NFT_SOCKET_MARK, 4],
  [U.NFT_SOCKET_WILDCARD, 1],
  [U.NFT_SOCKET_CGROUPV2, 8],
]);

export const socket: ExprKind = {
  name: 'socket',
  init(attrs, ctx): Expr {
    if (![H.NFPROTO_IPV4, H.NFPROTO_IPV6, H.NFPROTO_INET].includes(ctx.family)) throw new KernelError(EOPNOTSUPP);
    const key = u32Attr(attrs, U.NFTA_SOCKET_KEY);
    const length = LENGTHS.get(key);
    if (length === undefined) throw new KernelError(EOPNOTSUPP);
    const level = key === U.NFT_SOCKET_CGROUPV2 ? u32Attr(attrs, U.NFTA_SOCKET_LEVEL) : 0;
    if (level > 255) throw new KernelError(EOPNOTSUPP);
    if (attrs.get(U.NFTA_SOCKET_DREG) === undefined) throw new KernelError(EINVAL);
    const to = storeRegister(attrs.get(U.NFTA_SOCKET_DREG), length);
    const host = ctx.host;
    return {
      name: 'socket',
      eval(regs, pkt) {
        const found = host.socket?.(pkt);
        // netloom's sockets are in no control group.
        if (found === undefined || key === U.NFT_SOCKET_CGROUPV2) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        regs.u32[to >> 2] =
          key === U.NFT_SOCKET_MARK
            ? found.mark
            : (key === U.NFT_SOCKET_TRANSPARENT ? found.transparent : found.wildcard)
              ? 1
              : 0;
      },
      dump(w) {
        w.beU32(U.NFTA_SOCKET_KEY, key).beU32(U.NFTA_SOCKET_DREG, regNumber(to));
        if (key === U.NFT_SOCKET_CGROUPV2) w.beU32(U.NFTA_SOCKET_LEVEL, level);
      },
      validate(chain) {
        if (![H.NF_INET_PRE_ROUTING, H.NF_INET_LOCAL_IN, H.NF_INET_LOCAL_OUT].includes(chain.base!.hook))
          throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
