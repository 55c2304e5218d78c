/**
 * The netlink sockets of a host: every protocol that netloom has, bound to its parts.
 *
 *     const io = { netlink: hostNetlink(host) };
 *     ip(['link', 'set', 'lo', 'up'], io);
 */
import type { Host } from '../netns/host.ts';
import type { NetlinkTransport } from '../wire/netlink/message.ts';
import { NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_CTNETLINK_EXP } from '../wire/uapi/nfnetlink.ts';
import { ctnetlink } from './ctnetlink/ctnetlink.ts';
import { ctnetlinkExpect } from './ctnetlink/expect.ts';
import { Nfnetlink } from './nfnetlink.ts';
import { rtnetlinkHost } from './rtnetlink/inet-host.ts';
import { Rtnetlink } from './rtnetlink/rtnetlink.ts';
import { openNetlink } from './socket.ts';

/** Opens the host to netlink. Call once per host and keep the transport. */
export function hostNetlink(host: Host): NetlinkTransport {
  return openNetlink({
    route: new Rtnetlink(rtnetlinkHost(host)),
    netfilter: new Nfnetlink(
      host.nftables,
      new Map([
        [NFNL_SUBSYS_CTNETLINK, ctnetlink(host.conntrack, host.nat)],
        [NFNL_SUBSYS_CTNETLINK_EXP, ctnetlinkExpect(host.conntrack)],
      ]),
    ),
  });
}
