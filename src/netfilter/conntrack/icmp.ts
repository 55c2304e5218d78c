/**
 * ICMP queries (RFC 792): a request and its answers are a connection, told apart by the identifier. The tuple's ports word is
 * id << 16 | type << 8 | code. Errors are icmp-error.ts's.
 */
import * as icmp from '../../wire/icmp.ts';
import { IPPROTO_ICMP } from '../../wire/ipv4.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { CT_ACCEPT, CT_INVALID, type Tracker } from './tracker.ts';
import type { Words } from './tuple.ts';

/** Each query's answer, both ways. */
const INVERSE: ReadonlyMap<number, number> = new Map([
  [icmp.ICMP_ECHO, icmp.ICMP_ECHOREPLY],
  [icmp.ICMP_ECHOREPLY, icmp.ICMP_ECHO],
  [icmp.ICMP_TIMESTAMP, icmp.ICMP_TIMESTAMPREPLY],
  [icmp.ICMP_TIMESTAMPREPLY, icmp.ICMP_TIMESTAMP],
  [icmp.ICMP_INFO_REQUEST, icmp.ICMP_INFO_REPLY],
  [icmp.ICMP_INFO_REPLY, icmp.ICMP_INFO_REQUEST],
  [icmp.ICMP_ADDRESS, icmp.ICMP_ADDRESSREPLY],
  [icmp.ICMP_ADDRESSREPLY, icmp.ICMP_ADDRESS],
]);

const OPENS: ReadonlySet<number> = new Set([
  icmp.ICMP_ECHO,
  icmp.ICMP_TIMESTAMP,
  icmp.ICMP_INFO_REQUEST,
  icmp.ICMP_ADDRESS,
]);

/** Ports word of ICMP and ICMPv6: id, type, code. */
export function icmpPorts(dv: DataView, at: number, end: number, t: Words, to: number): boolean {
  if (at + icmp.HEADER_LENGTH > end) return false;
  t[to] = (dv.getUint16(at + 4) << 16) | dv.getUint16(at);
  return true;
}

/** Keeps id and code, puts the inverse type in; false when the type has none. */
export function invertIcmp(
  inverse: ReadonlyMap<number, number>,
  t: Words,
  from: number,
  to: Words,
  toAt: number,
): boolean {
  const type = inverse.get((t[from] >>> 8) & 0xff);
  if (type === undefined) return false;
  to[toAt] = (t[from] & 0xffff00ff) | (type << 8);
  return true;
}

export const icmpTracker: Tracker = {
  protocol: IPPROTO_ICMP,
  name: 'icmp',
  allowClash: false,
  ports: icmpPorts,
  invert: (t, from, to, toAt) => invertIcmp(INVERSE, t, from, to, toAt),
  packet(ctx, ct, p, at, ctinfo, state) {
    if (state.pf !== NFPROTO_IPV4) return CT_INVALID;
    if (!ct.confirmed && !OPENS.has(icmp.type(ctx.world.slab.dv, at))) return CT_INVALID;
    ctx.refresh(ct, ctinfo, p, ct.timeouts?.[0] ?? ctx.sysctls.icmp_timeout);
    return CT_ACCEPT;
  },
};
