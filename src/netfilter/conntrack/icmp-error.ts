/**
 * ICMP and ICMPv6 messages before tracking (`nf_conntrack_icmpv4_error`, `nf_conntrack_icmpv6_error`): broken ones are invalid,
 * neighbour discovery is left alone, and errors belong to the connection of the packet they complain about (RELATED).
 * RFC 792, RFC 4443, RFC 5508 REQ-3 to REQ-5.
 */
import type { HookState } from '../../core/hook.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { IP_CT_IS_REPLY, IP_CT_RELATED } from '../../wire/uapi/ctnetlink.ts';
import { NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import type { Conntrack } from './conntrack.ts';
import { IP_CT_UNTRACKED, zoneId } from './entry.ts';
import { addressesFromHeader, locate, newLocated, packetEnd, plainChecksumOk, transportChecksumOk } from './packet.ts';
import { trackerFor } from './protocols.ts';
import { CT_ACCEPT, CT_INVALID } from './tracker.ts';
import { DST, newTuple, PORTS, sameAddress, ZONE } from './tuple.ts';

/** Highest ICMP type that Linux knows (NR_ICMP_TYPES). */
const NR_ICMP_TYPES = 18;

/** Messages of neighbour discovery and multicast listeners: not tracked. */
const UNTRACKED_ICMPV6: ReadonlySet<number> = new Set([
  icmpv6.ICMPV6_MGM_QUERY,
  icmpv6.ICMPV6_MGM_REPORT,
  icmpv6.ICMPV6_MGM_REDUCTION,
  icmpv6.NDISC_ROUTER_SOLICITATION,
  icmpv6.NDISC_ROUTER_ADVERTISEMENT,
  icmpv6.NDISC_NEIGHBOUR_SOLICITATION,
  icmpv6.NDISC_NEIGHBOUR_ADVERTISEMENT,
  icmpv6.ICMPV6_MLD2_REPORT,
]);
const ND_OPT_REDIRECT_HDR = 4;

export function isIcmp(protocol: number): boolean {
  return protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
}

/** CT_ACCEPT: go on with the message (its entry may be set already); CT_INVALID: it is broken or nobody's. */
export function trackIcmpError(
  ct: Conntrack,
  p: number,
  state: HookState,
  protocol: number,
  at: number,
  zone: { readonly zone: number; readonly zoneDir: number },
): number {
  if (state.pf === NFPROTO_IPV4 && protocol === IPPROTO_ICMP) return error4(ct, p, state, at, zone);
  if (state.pf === NFPROTO_IPV6 && protocol === IPPROTO_ICMPV6) return error6(ct, p, state, at, zone);
  return CT_ACCEPT;
}

type ZoneOf = { readonly zone: number; readonly zoneDir: number };

function error4(ct: Conntrack, p: number, state: HookState, at: number, zone: ZoneOf): number {
  const { slab } = ct;
  const end = packetEnd(slab, p, state.pf);
  if (at + icmp.HEADER_LENGTH > end) return CT_INVALID;
  if (state.hook === NF_INET_PRE_ROUTING && ct.sysctls.checksum && !plainChecksumOk(slab, p, at, end))
    return CT_INVALID;
  const type = icmp.type(slab.dv, at);
  if (type > NR_ICMP_TYPES) return CT_INVALID;
  if (!icmp.isError(type)) return CT_ACCEPT;
  return inner(ct, p, state.pf, at + icmp.HEADER_LENGTH, end, zone);
}

function error6(ct: Conntrack, p: number, state: HookState, at: number, zone: ZoneOf): number {
  const { slab } = ct;
  const end = packetEnd(slab, p, state.pf);
  if (at + icmpv6.HEADER_LENGTH > end) return CT_INVALID;
  const checked = state.hook === NF_INET_PRE_ROUTING && ct.sysctls.checksum;
  if (checked && !transportChecksumOk(slab, p, state.pf, IPPROTO_ICMPV6, at, end)) return CT_INVALID;
  const type = icmpv6.type(slab.dv, at);
  if (UNTRACKED_ICMPV6.has(type)) {
    slab.setNfct(p, 0, IP_CT_UNTRACKED);
    return CT_ACCEPT;
  }
  if (type === icmpv6.NDISC_REDIRECT) return redirect(ct, p, state.pf, at, end, zone);
  if (!icmpv6.isError(type)) return CT_ACCEPT;
  return inner(ct, p, state.pf, at + icmpv6.HEADER_LENGTH, end, zone);
}

/** A redirect belongs to the packet in its Redirected Header option (RFC 4861, 4.6.3), when there is one. */
function redirect(ct: Conntrack, p: number, pf: number, at: number, end: number, zone: ZoneOf): number {
  const { dv } = ct.slab;
  const ip = ct.slab.network(p);
  if (ipv6.hopLimit(dv, ip) !== 255 || !ipv6.isLinkLocal(dv, ip + ipv6.SRC)) return CT_INVALID;
  const option = icmpv6.findNdOption(dv, at + icmpv6.ND_OPTIONS + 16, end, ND_OPT_REDIRECT_HDR);
  if (option < 0) return CT_ACCEPT;
  return inner(ct, p, pf, option + 8, Math.min(end, option + (dv.getUint8(option + 1) << 3)), zone);
}

/** The connection of the packet inside the error. */
function inner(ct: Conntrack, p: number, pf: number, at: number, end: number, zone: ZoneOf): number {
  const { slab } = ct;
  const found = newLocated();
  if (!locate(slab.dv, pf, at, end, found)) return CT_INVALID;
  const tracker = trackerFor(found.protocol);
  const orig = newTuple();
  addressesFromHeader(slab.dv, pf, at, found.protocol, orig);
  if (!tracker.ports(slab.dv, found.at, end, orig, PORTS)) return CT_INVALID;
  tracker.complete?.(ct, orig);
  // The inner packet went the other way: its inverse is the direction that the error goes.
  const t = newTuple();
  if (!ct.invert(orig, 0, t, 0)) return CT_INVALID;
  t[ZONE] = zoneId(zone.zone, zone.zoneDir, 0);
  const n = ct.find(t);
  if (n < 0) return CT_INVALID;
  const entry = ct.entry(n);
  // An error must be addressed to the sender of what it complains about, or it is forged (or a router's NAT is broken).
  const outer = newTuple();
  addressesFromHeader(slab.dv, pf, slab.network(p), 0, outer);
  if (!sameAddress(outer, DST, entry.words, entry.at(n & 1) + DST)) return CT_INVALID;
  slab.setNfct(p, entry.index + 1, IP_CT_RELATED + (n & 1 ? IP_CT_IS_REPLY : 0));
  return CT_ACCEPT;
}
