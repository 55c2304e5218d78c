/**
 * rtnetlink: the NETLINK_ROUTE protocol of one host. One datagram in, the answers out, and notifications to whoever
 * listens to a group. See rtnetlink(7), RFC 3549.
 *
 *     const rtnetlink = new Rtnetlink(host);
 *     rtnetlink.handle(datagram); // Message[]: replies, then NLMSG_ERROR or NLMSG_DONE
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import { AF_INET6 } from '../../wire/address.ts';
import { type Message, parseMessages } from '../../wire/netlink/message.ts';
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST, NLMSG_MIN_TYPE } from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { ackMessage, doneMessage } from '../ack.ts';
import { MulticastGroups } from '../multicast.ts';
import { addressPayload, deleteAddress, getAddresses, newAddress } from './addr.ts';
import type { LinkView, NeighbourView, RtnetlinkHost } from './host.ts';
import { deleteLink, getLinks, linkPayload, newLink } from './link.ts';
import { deleteNeighbour, getNeighbours, neighbourPayload, newNeighbour } from './neigh.ts';
import { deleteRoute, dumpRoutes, newRoute, routePayload } from './route.ts';
import { getRoute } from './route-get.ts';
import { deleteRule, getRules, newRule, rulePayload } from './rule.ts';
import { deleteFilter, deleteQdisc, getFilters, getQdiscs, newFilter, newQdisc } from './tc.ts';

export class Rtnetlink {
  readonly #host: RtnetlinkHost;
  /** RTNLGRP_*. */
  readonly groups: MulticastGroups = new MulticastGroups();

  constructor(host: RtnetlinkHost) {
    this.#host = host;
    const { addresses, fib4, fib6 } = host;
    addresses.onAddress = (event, a) => {
      const group = a.family === AF_INET6 ? u.RTNLGRP_IPV6_IFADDR : u.RTNLGRP_IPV4_IFADDR;
      this.#notify(group, event === 'new' ? u.RTM_NEWADDR : u.RTM_DELADDR, () => addressPayload(host, a));
    };
    host.watch(
      (event, link) => this.#linkEvent(event, link),
      (event, entry) => this.#neighbourEvent(event, entry),
    );
    for (const fib of [fib4, fib6])
      fib.onRoute = (event, route) => {
        const group = route.family === AF_INET6 ? u.RTNLGRP_IPV6_ROUTE : u.RTNLGRP_IPV4_ROUTE;
        this.#notify(group, event === 'new' ? u.RTM_NEWROUTE : u.RTM_DELROUTE, () => routePayload(host, route));
      };
  }

  #linkEvent(event: 'new' | 'del', link: LinkView): void {
    this.#notify(u.RTNLGRP_LINK, event === 'new' ? u.RTM_NEWLINK : u.RTM_DELLINK, () => linkPayload(this.#host, link));
  }

  #neighbourEvent(event: 'new' | 'del', entry: NeighbourView): void {
    const type = event === 'new' ? u.RTM_NEWNEIGH : u.RTM_DELNEIGH;
    this.#notify(u.RTNLGRP_NEIGH, type, () => neighbourPayload(this.#host, entry));
  }

  #notify(group: number, type: number, payload: () => Uint8Array): void {
    this.groups.publish(group, () => ({ type, flags: 0, seq: 0, port: 0, payload: payload() }));
  }

  /** Takes one datagram; the answers, in order. Never throws. */
  handle(datagram: Uint8Array): Message[] {
    const out: Message[] = [];
    for (const m of parseMessages(datagram)) {
      // Control messages (below NLMSG_MIN_TYPE) and what is no request are passed over.
      if (!(m.flags & NLM_F_REQUEST)) continue;
      if (m.type < NLMSG_MIN_TYPE) {
        if (m.flags & NLM_F_ACK) out.push(ackMessage(m, undefined));
        continue;
      }
      try {
        const replies = this.#one(m);
        const dump = isGet(m.type) && (m.flags & NLM_F_DUMP) === NLM_F_DUMP;
        for (const payload of replies)
          out.push({ type: m.type - 2, flags: dump ? NLM_F_MULTI : 0, seq: m.seq, port: m.port, payload });
        if (dump) out.push(doneMessage(m));
        else if (m.flags & NLM_F_ACK) out.push(ackMessage(m, undefined));
      } catch (error) {
        // A payload too short for its attribute is the sender's fault.
        out.push(ackMessage(m, error instanceof RangeError ? new KernelError(EINVAL) : error));
      }
    }
    return out;
  }

  // Answers to RTM_GET*; nothing for changes. RTM_GETx is RTM_NEWx plus two.
  #one(m: Message): Uint8Array[] {
    const host = this.#host;
    const dump = (m.flags & NLM_F_DUMP) === NLM_F_DUMP;
    switch (m.type) {
      case u.RTM_GETLINK:
        return getLinks(host, m, dump);
      case u.RTM_NEWLINK:
        newLink(host, m);
        return [];
      case u.RTM_DELLINK:
        deleteLink(host, m);
        return [];
      case u.RTM_GETADDR:
        return getAddresses(host, m);
      case u.RTM_NEWADDR:
        newAddress(host, m);
        return [];
      case u.RTM_DELADDR:
        deleteAddress(host, m);
        return [];
      case u.RTM_GETROUTE:
        return dump ? dumpRoutes(host, m) : [getRoute(host, m)];
      case u.RTM_NEWROUTE:
        newRoute(host, m);
        return [];
      case u.RTM_DELROUTE:
        deleteRoute(host, m);
        return [];
      case u.RTM_GETNEIGH:
        return getNeighbours(host, m, dump);
      case u.RTM_NEWNEIGH:
        newNeighbour(host, m);
        return [];
      case u.RTM_DELNEIGH:
        deleteNeighbour(host, m);
        return [];
      case u.RTM_GETQDISC:
        return getQdiscs(host.tc, m);
      case u.RTM_NEWQDISC:
        newQdisc(host.tc, m);
        return [];
      case u.RTM_DELQDISC:
        deleteQdisc(host.tc, m);
        return [];
      case u.RTM_GETTFILTER:
        return getFilters(host.tc, m);
      case u.RTM_NEWTFILTER:
        newFilter(host.tc, m);
        return [];
      case u.RTM_DELTFILTER:
        deleteFilter(host.tc, m);
        return [];
      case u.RTM_GETRULE:
        return getRules(host, m);
      case u.RTM_NEWRULE: {
        const { fib, rule } = newRule(host, m);
        this.#ruleEvent(u.RTM_NEWRULE, rule.family, () => rulePayload(fib, rule));
        return [];
      }
      case u.RTM_DELRULE: {
        const { fib, rule } = deleteRule(host, m);
        this.#ruleEvent(u.RTM_DELRULE, rule.family, () => rulePayload(fib, rule));
        return [];
      }
      default:
        throw new KernelError(EOPNOTSUPP, `netloom does not support rtnetlink message ${m.type}`);
    }
  }

  #ruleEvent(type: number, family: number, payload: () => Uint8Array): void {
    this.#notify(family === AF_INET6 ? u.RTNLGRP_IPV6_RULE : u.RTNLGRP_IPV4_RULE, type, payload);
  }
}

function isGet(type: number): boolean {
  return (type & 3) === 2;
}
