/** The trackers by protocol number. */
import { generic } from './generic.ts';
import { gre } from './gre.ts';
import { icmpTracker } from './icmp.ts';
import { icmpv6Tracker } from './icmpv6.ts';
import { sctpTracker } from './sctp.ts';
import { tcpTracker } from './tcp.ts';
import type { Tracker } from './tracker.ts';
import { udplite, udpTracker } from './udp.ts';

const TRACKERS: readonly Tracker[] = (() => {
  const all = new Array<Tracker>(256).fill(generic);
  for (const t of [tcpTracker, udpTracker, udplite, icmpTracker, icmpv6Tracker, sctpTracker, gre]) all[t.protocol] = t;
  return all;
})();

/** The tracker of a transport protocol; `generic` where there is none of its own. */
export function trackerFor(protocol: number): Tracker {
  return TRACKERS[protocol];
}
