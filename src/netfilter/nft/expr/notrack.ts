/** `notrack`: takes a packet out of connection tracking before it is looked at. */
import type { ExprKind } from '../expr.ts';

export const notrack: ExprKind = {
  name: 'notrack',
  init(_attrs, ctx) {
    const { conntrack } = ctx.host;
    return {
      name: 'notrack',
      aloof: true,
      eval(_regs, pkt) {
        conntrack.notrack(pkt.p);
      },
    };
  },
};
