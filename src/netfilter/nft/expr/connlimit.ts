/**
 * `connlimit` (`ct count`): how many connections a rule (or a set element) has seen that still live (nf_conncount).
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { ConnCount } from '../../conntrack/conncount.ts';
import { type Expr, type ExprKind, type InitContext, u32Attr } from '../expr.ts';

function make(ctx: InitContext, limit: number, flags: number): Expr {
  const { conntrack } = ctx.host;
  const list = new ConnCount(conntrack);
  const inverted = (flags & U.NFT_CONNLIMIT_F_INV) !== 0;
  conntrack.get(ctx.family);
  return {
    name: 'connlimit',
    eval(regs, pkt) {
      const count = list.add(pkt.p, pkt.pf);
      if (count < 0) regs.verdict = H.NF_DROP;
      else if (count > limit === inverted) return;
      else regs.verdict = U.NFT_BREAK;
    },
    dump(w) {
      w.beU32(U.NFTA_CONNLIMIT_COUNT, limit);
      if (flags !== 0) w.beU32(U.NFTA_CONNLIMIT_FLAGS, flags);
    },
    clone: () => make(ctx, limit, flags),
    destroy(undo) {
      conntrack.put(ctx.family);
      undo(() => conntrack.get(ctx.family));
    },
  };
}

export const connlimit: ExprKind = {
  name: 'connlimit',
  init(attrs, ctx): Expr {
    const limit = u32Attr(attrs, U.NFTA_CONNLIMIT_COUNT);
    const flags = u32Attr(attrs, U.NFTA_CONNLIMIT_FLAGS, 0);
    if (flags & ~U.NFT_CONNLIMIT_F_INV) throw new KernelError(EINVAL);
    return make(ctx, limit, flags);
  },
};
