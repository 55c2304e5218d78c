/**
 * GRE (RFC 2784, 2890; version 1 for PPTP: RFC 2637). Plain GRE is told apart by addresses alone; PPTP's by its call id.
 * The PPTP helper's key map joins the two call ids of a call.
 */
import { IPPROTO_GRE } from '../../wire/ipv4.ts';
import { IPCT_ASSURED, IPS_ASSURED, IPS_SEEN_REPLY } from '../../wire/uapi/ctnetlink.ts';
import { IPS_NAT_CLASH } from './entry.ts';
import { greKey } from './helper/pptp.ts';
import { CT_ACCEPT, swapPorts, type Tracker } from './tracker.ts';
import { PORTS } from './tuple.ts';

const VERSION = 0x0007;
const VERSION_PPTP = 1;
const PROTOCOL_PPP = 0x880b;

export const gre: Tracker = {
  protocol: IPPROTO_GRE,
  name: 'gre',
  allowClash: true,
  ports(dv, at, end, t, to) {
    t[to] = 0;
    if (at + 4 > end || (dv.getUint16(at) & VERSION) !== VERSION_PPTP) return true;
    if (at + 8 > end) return true;
    if (dv.getUint16(at + 2) !== PROTOCOL_PPP) return false;
    t[to] = dv.getUint16(at + 6);
    return true;
  },
  complete(ctx, t) {
    if (ctx.greKeys.size === 0) return;
    const source = ctx.greKeys.get(greKey(t, 0));
    if (source !== undefined) t[PORTS] = ((source << 16) | (t[PORTS] & 0xffff)) >>> 0;
  },
  invert: swapPorts,
  packet(ctx, ct, p, _at, ctinfo) {
    if (ct.status & IPS_SEEN_REPLY) {
      ctx.refresh(ct, ctinfo, p, ct.timeouts?.[1] ?? ctx.sysctls.gre_timeout_stream);
      if (!(ct.status & (IPS_ASSURED | IPS_NAT_CLASH))) {
        ct.status |= IPS_ASSURED;
        ctx.event(ct, IPCT_ASSURED);
      }
    } else ctx.refresh(ct, ctinfo, p, ct.timeouts?.[0] ?? ctx.sysctls.gre_timeout);
    return CT_ACCEPT;
  },
};
