/**
 * `tproxy`: hands the packet to a transparent local socket. netloom's sockets cannot be transparent (IP_TRANSPARENT), so
 * none is ever found and the rule does not match, as on Linux while the proxy is not running.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { loadRegister, regNumber } from '../regs.ts';

export const tproxy: ExprKind = {
  name: 'tproxy',
  init(attrs, ctx): Expr {
    const family = u32Attr(attrs, U.NFTA_TPROXY_FAMILY);
    const address = attrs.get(U.NFTA_TPROXY_REG_ADDR);
    const port = attrs.get(U.NFTA_TPROXY_REG_PORT);
    if (address === undefined && port === undefined) throw new KernelError(EINVAL);
    const known = [H.NFPROTO_IPV4, H.NFPROTO_IPV6, H.NFPROTO_UNSPEC];
    if (!known.includes(family)) throw new KernelError(EOPNOTSUPP);
    if (ctx.family !== H.NFPROTO_INET && family !== ctx.family) throw new KernelError(EINVAL);
    // An address belongs to one family.
    if (address !== undefined && family === H.NFPROTO_UNSPEC) throw new KernelError(EINVAL);
    const addressAt = address && loadRegister(address, family === H.NFPROTO_IPV4 ? 4 : 16);
    const portAt = port && loadRegister(port, 2);
    return {
      name: 'tproxy',
      eval(regs) {
        regs.verdict = U.NFT_BREAK;
      },
      dump(w) {
        w.beU32(U.NFTA_TPROXY_FAMILY, family);
        if (addressAt !== undefined) w.beU32(U.NFTA_TPROXY_REG_ADDR, regNumber(addressAt));
        if (portAt !== undefined) w.beU32(U.NFTA_TPROXY_REG_PORT, regNumber(portAt));
      },
      validate(chain) {
        if (chain.base!.hook !== H.NF_INET_PRE_ROUTING) throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
