/**
 * UDP (RFC 768) and UDP-Lite (RFC 3828): unreplied, replied, and, when traffic goes on both ways for more than two seconds, a
 * stream that is assured and lives longer.
 */
import type { HookState } from '../../core/hook.ts';
import { IPPROTO_UDP, IPPROTO_UDPLITE } from '../../wire/ipv4.ts';
import { IPCT_ASSURED, IPS_ASSURED, IPS_SEEN_REPLY } from '../../wire/uapi/ctnetlink.ts';
import { NF_INET_PRE_ROUTING } from '../../wire/uapi/netfilter.ts';
import * as udp from '../../wire/udp.ts';
import { type Conn, IPS_NAT_CLASH } from './entry.ts';
import { packetEnd, transportChecksumOk } from './packet.ts';
import { CT_ACCEPT, CT_INVALID, portsFromHeader, swapPorts, type Tracker, type TrackerContext } from './tracker.ts';

const STREAM_NS = 2e9;

function udpOk(ctx: TrackerContext, p: number, at: number, state: HookState): boolean {
  const { slab } = ctx.world;
  const end = packetEnd(slab, p, state.pf);
  if (!udp.check(slab.dv, at, end - at)) return false;
  // No checksum: fine.
  if (udp.checksum(slab.dv, at) === 0 || state.hook !== NF_INET_PRE_ROUTING || !ctx.sysctls.checksum) return true;
  return transportChecksumOk(slab, p, state.pf, IPPROTO_UDP, at, end);
}

function udpLiteOk(ctx: TrackerContext, p: number, at: number, state: HookState): boolean {
  const { slab } = ctx.world;
  const end = packetEnd(slab, p, state.pf);
  if (at + udp.HEADER_LENGTH > end) return false;
  const coverage = udp.length(slab.dv, at) || end - at;
  if (coverage < udp.HEADER_LENGTH || coverage > end - at) return false;
  // The checksum is not optional here; a partial coverage cannot be checked with the whole length, so only full ones are.
  if (udp.checksum(slab.dv, at) === 0) return false;
  if (coverage !== end - at || state.hook !== NF_INET_PRE_ROUTING || !ctx.sysctls.checksum) return true;
  return transportChecksumOk(slab, p, state.pf, IPPROTO_UDPLITE, at, end);
}

function flow(ctx: TrackerContext, ct: Conn, p: number, ctinfo: number): number {
  const unreplied = ct.timeouts?.[0] ?? ctx.sysctls.udp_timeout;
  if (!ct.confirmed) ct.streamNs = ctx.world.now + STREAM_NS;
  if (!(ct.status & IPS_SEEN_REPLY)) {
    ctx.refresh(ct, ctinfo, p, unreplied);
    return CT_ACCEPT;
  }
  const stream = ctx.world.now > ct.streamNs;
  ctx.refresh(ct, ctinfo, p, stream ? (ct.timeouts?.[1] ?? ctx.sysctls.udp_timeout_stream) : unreplied);
  if (stream && !(ct.status & (IPS_ASSURED | IPS_NAT_CLASH))) {
    ct.status |= IPS_ASSURED;
    ctx.event(ct, IPCT_ASSURED);
  }
  return CT_ACCEPT;
}

export const udpTracker: Tracker = {
  protocol: IPPROTO_UDP,
  name: 'udp',
  allowClash: true,
  ports: portsFromHeader,
  invert: swapPorts,
  packet(ctx, ct, p, at, ctinfo, state) {
    return udpOk(ctx, p, at, state) ? flow(ctx, ct, p, ctinfo) : CT_INVALID;
  },
};

export const udplite: Tracker = {
  protocol: IPPROTO_UDPLITE,
  name: 'udplite',
  allowClash: true,
  ports: portsFromHeader,
  invert: swapPorts,
  packet(ctx, ct, p, at, ctinfo, state) {
    return udpLiteOk(ctx, p, at, state) ? flow(ctx, ct, p, ctinfo) : CT_INVALID;
  },
};
