/**
 * The netlink sockets of a host: every protocol that netloom has, bound to its parts.
 *
 *     const io = { netlink: hostNetlink(host) };
 *     ip(['link', 'set', 'lo', 'up'], io);
 */
import type { Host } from '../netns/host.ts';
import type { Message, NetlinkTransport } from '../wire/netlink/message.ts';
import {
  NFNL_SUBSYS_CTNETLINK,
  NFNL_SUBSYS_CTNETLINK_EXP,
  NFNL_SUBSYS_CTNETLINK_TIMEOUT,
  NFNL_SUBSYS_IPSET,
  NFNLGRP_CONNTRACK_DESTROY,
  NFNLGRP_CONNTRACK_EXP_DESTROY,
  NFNLGRP_CONNTRACK_EXP_NEW,
  NFNLGRP_CONNTRACK_NEW,
  NFNLGRP_CONNTRACK_UPDATE,
} from '../wire/uapi/nfnetlink.ts';
import { ctnetlink, subscribeConntrack } from './ctnetlink/ctnetlink.ts';
import { ctnetlinkExpect, subscribeExpectations } from './ctnetlink/expect.ts';
import { ctnetlinkTimeout } from './ctnetlink/timeout.ts';
import { ipsetSubsystem } from './ipset/ipset.ts';
import { MulticastGroups } from './multicast.ts';
import { Nfnetlink } from './nfnetlink.ts';
import { rtnetlinkHost } from './rtnetlink/inet-host.ts';
import { Rtnetlink } from './rtnetlink/rtnetlink.ts';
import { openNetlink } from './socket.ts';

/** Opens the host to netlink. Call once per host and keep the transport. */
export function hostNetlink(host: Host): NetlinkTransport {
  const { conntrack } = host;
  const groups = new MulticastGroups();
  const tell = (group: number, message: Message): void => groups.publish(group, () => message);
  groups.whenHeard([NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY], () =>
    subscribeConntrack(conntrack, tell),
  );
  groups.whenHeard([NFNLGRP_CONNTRACK_EXP_NEW, NFNLGRP_CONNTRACK_EXP_DESTROY], () =>
    subscribeExpectations(conntrack, tell),
  );
  return openNetlink({
    route: new Rtnetlink(rtnetlinkHost(host)),
    netfilter: new Nfnetlink(
      host.nftables,
      new Map([
        [NFNL_SUBSYS_CTNETLINK, ctnetlink(conntrack, host.nat)],
        [NFNL_SUBSYS_CTNETLINK_EXP, ctnetlinkExpect(conntrack)],
        [NFNL_SUBSYS_CTNETLINK_TIMEOUT, ctnetlinkTimeout(conntrack)],
        [NFNL_SUBSYS_IPSET, ipsetSubsystem(host.ipset, host.world)],
      ]),
      groups,
    ),
  });
}
