/**
 * Netlink sockets of one host: the only way in for configuration. A datagram goes to its protocol's handler, and the
 * answers come back at once.
 *
 *     const transport = openNetlink({ route: new Rtnetlink(...), netfilter: new Nfnetlink(...) });
 *     transport.open(NETLINK_ROUTE).send(datagram);
 *     transport.open(NETLINK_ROUTE).join([RTNLGRP_LINK], (m) => ...);
 */
import { EPROTONOSUPPORT, KernelError } from '../core/errno.ts';
import type { Message, NetlinkSocket, NetlinkTransport } from '../wire/netlink/message.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../wire/uapi/netlink.ts';
import type { MulticastGroups } from './multicast.ts';

/** Takes a datagram and answers it; tells its multicast groups of what changes. */
export type NetlinkProtocol = { handle(datagram: Uint8Array): Message[]; readonly groups: MulticastGroups };

export type NetlinkProtocols = {
  readonly route: NetlinkProtocol;
  readonly netfilter?: NetlinkProtocol;
};

/** Sockets over these protocols. Opening another one throws EPROTONOSUPPORT with its number. */
export function openNetlink(protocols: NetlinkProtocols): NetlinkTransport {
  return {
    open(protocol: number): NetlinkSocket {
      const handler =
        protocol === NETLINK_ROUTE ? protocols.route : protocol === NETLINK_NETFILTER ? protocols.netfilter : undefined;
      if (handler === undefined)
        throw new KernelError(EPROTONOSUPPORT, `netloom does not support netlink protocol ${protocol}`);
      return {
        send: (datagram) => handler.handle(datagram),
        join: (groups, receive) => handler.groups.join(groups, receive),
      };
    },
  };
}
