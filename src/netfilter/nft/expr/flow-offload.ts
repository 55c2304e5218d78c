/**
 * `flow_offload` (`flow add @ft`): takes the packet's connection off the slow path (netfilter/flowtable). Only connections that are
 * confirmed and plain can go; for the others the rule does not match.
 */
import { EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { getString } from '../../../wire/netlink/attr.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, need, notFound } from '../expr.ts';

export const flowOffload: ExprKind = {
  name: 'flow_offload',
  init(attrs, ctx): Expr {
    const name = need(attrs, U.NFTA_FLOW_TABLE_NAME);
    const flowtable = ctx.table.flowtables.get(getString(name.payload));
    if (flowtable === undefined) throw notFound(name);
    flowtable.use++;
    return {
      name: 'flow_offload',
      eval(regs, pkt) {
        const ct = ctx.host.conntrack.of(pkt.p);
        if (
          ct === undefined ||
          ct.template ||
          !pkt.hasTransport ||
          !flowtable.path.offload(ct, pkt.p, pkt.pf, pkt.thoff, pkt.end, pkt.iif, pkt.oif)
        )
          regs.verdict = U.NFT_BREAK;
      },
      dump(w) {
        w.string(U.NFTA_FLOW_TABLE_NAME, flowtable.name);
      },
      destroy(undo) {
        flowtable.use--;
        undo(() => flowtable.use++);
      },
      validate(chain) {
        const { family } = chain.table;
        if (![H.NFPROTO_IPV4, H.NFPROTO_IPV6, H.NFPROTO_INET].includes(family)) throw new KernelError(EOPNOTSUPP);
        if (chain.base!.hook !== H.NF_INET_FORWARD) throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
