/**
 * `last`: remembers when a packet was seen last.
 */
import { NFTA_LAST_MSECS, NFTA_LAST_SET } from '../../../wire/uapi/nf-tables.ts';
import type { Expr, ExprKind } from '../expr.ts';

function newLast(now: () => number): Expr {
  let seen = -1;
  return {
    name: 'last',
    aloof: true,
    eval(_regs, pkt) {
      seen = pkt.world.now;
    },
    dump(w) {
      w.beU32(NFTA_LAST_SET, seen < 0 ? 0 : 1);
      w.beU64(NFTA_LAST_MSECS, seen < 0 ? 0n : BigInt(Math.floor((now() - seen) / 1e6)));
    },
    clone() {
      return newLast(now);
    },
  };
}

export const last: ExprKind = {
  name: 'last',
  init(_attrs, ctx): Expr {
    return newLast(() => ctx.host.world.now);
  },
};
