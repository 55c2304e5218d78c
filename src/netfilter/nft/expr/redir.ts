/** `redir`: the destination becomes this host. */
import { NF_NAT_RANGE_PROTO_SPECIFIED } from '../../../wire/uapi/ctnetlink.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { newRange } from '../../nat/range.ts';
import type { Expr, ExprKind } from '../expr.ts';
import { regNumber } from '../regs.ts';
import { fillPorts, holdConntrack, natFlags, portRegisters, validateNat } from './nat-common.ts';

export const redir: ExprKind = {
  name: 'redir',
  init(attrs, ctx): Expr {
    const ports = portRegisters(attrs, U.NFTA_REDIR_REG_PROTO_MIN, U.NFTA_REDIR_REG_PROTO_MAX);
    const flags = natFlags(attrs, U.NFTA_REDIR_FLAGS) | (ports.min >= 0 ? NF_NAT_RANGE_PROTO_SPECIFIED : 0);
    const range = newRange();
    const engine = ctx.host.nat;
    const release = holdConntrack(ctx);
    return {
      name: 'redir',
      eval(regs, pkt) {
        fillPorts(range, flags, ports, regs);
        regs.verdict = engine.redirect(pkt.p, pkt.pf, pkt.hook, pkt.iif, range);
      },
      dump(w) {
        if (ports.min >= 0)
          w.beU32(U.NFTA_REDIR_REG_PROTO_MIN, regNumber(ports.min)).beU32(
            U.NFTA_REDIR_REG_PROTO_MAX,
            regNumber(ports.max),
          );
        if (flags !== 0) w.beU32(U.NFTA_REDIR_FLAGS, flags);
      },
      validate(chain) {
        validateNat(chain, [H.NF_INET_PRE_ROUTING, H.NF_INET_LOCAL_OUT]);
      },
      destroy: release,
    };
  },
};
