/** Protocols without a tracker of their own: only addresses and the protocol number tell connections apart. */
import { CT_ACCEPT, type Tracker } from './tracker.ts';

export const generic: Tracker = {
  // Stands for every protocol without its own; the tuple carries the real number.
  protocol: 0,
  name: 'unknown',
  allowClash: true,
  ports(_dv, _at, _end, t, to) {
    t[to] = 0;
    return true;
  },
  invert(_t, _from, to, toAt) {
    to[toAt] = 0;
    return true;
  },
  packet(ctx, ct, p, _at, ctinfo) {
    ctx.refresh(ct, ctinfo, p, ct.timeouts?.[0] ?? ctx.sysctls.generic_timeout);
    return CT_ACCEPT;
  },
};
