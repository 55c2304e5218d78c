/** ICMPv6 queries (RFC 4443 echo, RFC 4620 node information), as icmp.ts. */
import * as icmpv6 from '../../wire/icmpv6.ts';
import { IPPROTO_ICMPV6 } from '../../wire/ipv4.ts';
import { NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import { icmpPorts, invertIcmp } from './icmp.ts';
import { CT_ACCEPT, CT_INVALID, type Tracker } from './tracker.ts';

const ICMPV6_NI_QUERY = 139;
const ICMPV6_NI_REPLY = 140;

const INVERSE: ReadonlyMap<number, number> = new Map([
  [icmpv6.ICMPV6_ECHO_REQUEST, icmpv6.ICMPV6_ECHO_REPLY],
  [icmpv6.ICMPV6_ECHO_REPLY, icmpv6.ICMPV6_ECHO_REQUEST],
  [ICMPV6_NI_QUERY, ICMPV6_NI_REPLY],
  [ICMPV6_NI_REPLY, ICMPV6_NI_QUERY],
]);

export const icmpv6Tracker: Tracker = {
  protocol: IPPROTO_ICMPV6,
  name: 'icmpv6',
  allowClash: false,
  ports: icmpPorts,
  invert: (t, from, to, toAt) => invertIcmp(INVERSE, t, from, to, toAt),
  packet(ctx, ct, p, at, ctinfo, state) {
    if (state.pf !== NFPROTO_IPV6) return CT_INVALID;
    const type = icmpv6.type(ctx.world.slab.dv, at);
    if (!ct.confirmed && type !== icmpv6.ICMPV6_ECHO_REQUEST && type !== ICMPV6_NI_QUERY) return CT_INVALID;
    ctx.refresh(ct, ctinfo, p, ct.timeouts?.[0] ?? ctx.sysctls.icmpv6_timeout);
    return CT_ACCEPT;
  },
};
