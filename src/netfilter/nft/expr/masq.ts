/** `masq`: the source becomes an address of the output device. */
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { newRange } from '../../nat/range.ts';
import type { Expr, ExprKind } from '../expr.ts';
import { regNumber } from '../regs.ts';
import { fillPorts, holdConntrack, natFlags, portRegisters, validateNat } from './nat-common.ts';

export const masq: ExprKind = {
  name: 'masq',
  init(attrs, ctx): Expr {
    const flags = natFlags(attrs, U.NFTA_MASQ_FLAGS);
    const ports = portRegisters(attrs, U.NFTA_MASQ_REG_PROTO_MIN, U.NFTA_MASQ_REG_PROTO_MAX);
    const range = newRange();
    const engine = ctx.host.nat;
    const release = holdConntrack(ctx);
    return {
      name: 'masq',
      eval(regs, pkt) {
        fillPorts(range, flags, ports, regs);
        regs.verdict = engine.masquerade(pkt.p, pkt.pf, pkt.oif, range);
      },
      dump(w) {
        if (flags !== 0) w.beU32(U.NFTA_MASQ_FLAGS, flags);
        if (ports.min >= 0)
          w.beU32(U.NFTA_MASQ_REG_PROTO_MIN, regNumber(ports.min)).beU32(
            U.NFTA_MASQ_REG_PROTO_MAX,
            regNumber(ports.max),
          );
      },
      validate(chain) {
        validateNat(chain, [H.NF_INET_POST_ROUTING]);
      },
      destroy: release,
    };
  },
};
