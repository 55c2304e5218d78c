/**
 * `fwd` and `dup` of the netdev family: the frame, or a copy of it, leaves by another device as it is.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { NF_STOLEN, NFPROTO_NETDEV } from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Expr, ExprKind } from '../expr.ts';
import { loadRegister, regNumber } from '../regs.ts';

export const fwd: ExprKind = {
  name: 'fwd',
  init(attrs, ctx): Expr {
    if (ctx.family !== NFPROTO_NETDEV) throw new KernelError(EOPNOTSUPP);
    if (attrs.has(U.NFTA_FWD_SREG_ADDR)) {
      throw new KernelError(EOPNOTSUPP, 'netloom does not support forwarding to a neighbour yet (expression "fwd")');
    }
    const device = loadRegister(attrs.get(U.NFTA_FWD_SREG_DEV), 4);
    const host = ctx.host;
    return {
      name: 'fwd',
      eval(regs, pkt) {
        regs.verdict = NF_STOLEN;
        host.transmit(pkt.p, regs.u32[device >> 2]);
      },
      dump(w) {
        w.beU32(U.NFTA_FWD_SREG_DEV, regNumber(device));
      },
    };
  },
};

export const dup: ExprKind = {
  name: 'dup',
  init(attrs, ctx): Expr {
    if (ctx.family !== NFPROTO_NETDEV) {
      throw new KernelError(
        EOPNOTSUPP,
        'netloom does not support packet duplication to a gateway yet (expression "dup")',
      );
    }
    if (!attrs.has(U.NFTA_DUP_SREG_DEV)) throw new KernelError(EINVAL);
    const device = loadRegister(attrs.get(U.NFTA_DUP_SREG_DEV), 4);
    const host = ctx.host;
    return {
      name: 'dup',
      eval(regs, pkt) {
        const copy = pkt.slab.copy(pkt.p);
        if (copy >= 0) host.transmit(copy, regs.u32[device >> 2]);
      },
      dump(w) {
        w.beU32(U.NFTA_DUP_SREG_DEV, regNumber(device));
      },
    };
  },
};
