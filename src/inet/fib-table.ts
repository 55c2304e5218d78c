/**
 * One routing table of one family: routes by prefix, and among equal prefixes by TOS and metric. What may stand beside
 * what (`ip route add`, `append`, `replace`, `change`) follows Linux, whose two families differ. See ip-route(8).
 */
import { EAGAIN, EEXIST, ENOENT, ESRCH, KernelError } from '../core/errno.ts';
import { AF_INET6 } from '../wire/address.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../wire/uapi/netlink.ts';
import { RTN_UNICAST, RTNH_F_DEAD, RTNH_F_LINKDOWN } from '../wire/uapi/rtnetlink.ts';
import { type FibDevices, routeErrno, selectPath } from './fib-path.ts';
import { PrefixTree } from './prefix-tree.ts';
import type { FibResult, Flow, Nexthop, Route } from './route.ts';
import { sameWords } from './words.ts';

/** What a change did, for notifications: the routes that went and the one that came. */
export type FibChange = {
  readonly removed: readonly Route[];
  readonly added: readonly Route[];
};

function sameNexthop(a: Nexthop, b: Nexthop): boolean {
  return a.oif === b.oif && a.gatewayFamily === b.gatewayFamily && sameWords(a.gateway, b.gateway);
}

/** True when two routes say the same about where packets go (the kernel's shared `fib_info`). */
function sameInfo(a: Route, b: Route): boolean {
  return (
    a.type === b.type &&
    a.protocol === b.protocol &&
    a.scope === b.scope &&
    (a.prefsrc === undefined ? b.prefsrc === undefined : b.prefsrc !== undefined && sameWords(a.prefsrc, b.prefsrc)) &&
    a.metrics.size === b.metrics.size &&
    [...a.metrics].every(([key, value]) => b.metrics.get(key) === value) &&
    a.nexthops.length === b.nexthops.length &&
    a.nexthops.every((hop, i) => sameNexthop(hop, b.nexthops[i]) && hop.weight === b.nexthops[i].weight)
  );
}

export class FibTable {
  readonly id: number;
  readonly family: number;
  readonly #tree = new PrefixTree<Route[]>();

  constructor(family: number, id: number) {
    this.family = family;
    this.id = id;
  }

  /** True when the table holds no route. */
  get empty(): boolean {
    return this.#tree.size === 0;
  }

  /** All routes in the order Linux dumps them. */
  *routes(): Generator<Route> {
    if (this.family === AF_INET6) for (const list of this.#tree.values()) yield* list;
    else {
      // IPv4's trie keeps one leaf per address: equal addresses come by descending length, all addresses ascending.
      const all = this.#tree.values();
      all.sort((a, b) => a[0].dst[0] - b[0].dst[0] || b[0].dstLength - a[0].dstLength);
      for (const list of all) yield* list;
    }
  }

  /**
   * Longest match. Answers 0 with `out` filled, EAGAIN when this table has no answer (the next rule's turn), or the
   * error of a blackhole, unreachable or prohibit route.
   */
  lookup(flow: Flow, out: FibResult, devices: FibDevices): number {
    for (let i = this.#tree.covering(flow.dst) - 1; i >= 0; i--) {
      const list = this.#tree.covered(i);
      for (let k = 0; k < list.length; k++) {
        const route = list[k];
        if (route.tos !== 0 && route.tos !== flow.tos) continue;
        if (route.scope < flow.scope) continue;
        const errno = routeErrno(route.type);
        if (errno !== 0) {
          if (errno === EAGAIN) return EAGAIN;
          out.route = route;
          out.nexthop = undefined;
          out.type = route.type;
          out.table = this.id;
          return errno;
        }
        const hop = selectPath(route, flow, devices);
        if (hop === undefined) continue;
        out.route = route;
        out.nexthop = hop;
        out.type = route.type;
        out.table = this.id;
        return 0;
      }
    }
    return EAGAIN;
  }

  /** Adds a route under NLM_F_* flags. Throws EEXIST or ENOENT as Linux. */
  add(route: Route, flags: number): FibChange {
    const list = this.#tree.get(route.dst, route.dstLength) ?? [];
    const change = this.family === AF_INET6 ? this.#add6(list, route, flags) : this.#add4(list, route, flags);
    this.#tree.set(route.dst, route.dstLength, change.list);
    return change;
  }

  #add4(list: readonly Route[], route: Route, flags: number): FibChange & { readonly list: Route[] } {
    const first = list.findIndex((r) => r.tos === route.tos && r.priority === route.priority);
    if (first < 0) {
      if (!(flags & NLM_F_CREATE)) throw new KernelError(ENOENT);
      const at = list.findIndex((r) => r.tos < route.tos || (r.tos === route.tos && r.priority > route.priority));
      return { list: insertAt(list, at < 0 ? list.length : at, route), removed: [], added: [route] };
    }
    if (flags & NLM_F_EXCL) throw new KernelError(EEXIST);
    const alike = (r: Route): boolean => r.tos === route.tos && r.priority === route.priority;
    const twin = list.findIndex((r) => alike(r) && r.type === route.type && sameInfo(r, route));
    if (flags & NLM_F_REPLACE) {
      if (twin === first) return { list: [...list], removed: [], added: [list[first]] };
      if (twin >= 0) throw new KernelError(EEXIST);
      const next = [...list];
      next[first] = route;
      return { list: next, removed: [list[first]], added: [route] };
    }
    if (twin >= 0) throw new KernelError(EEXIST);
    if (!(flags & NLM_F_CREATE)) throw new KernelError(ENOENT);
    let at = first;
    if (flags & NLM_F_APPEND) while (at < list.length && alike(list[at])) at++;
    return { list: insertAt(list, at, route), removed: [], added: [route] };
  }

  #add6(list: readonly Route[], route: Route, flags: number): FibChange & { readonly list: Route[] } {
    const ecmp = (r: Route): boolean => r.type === RTN_UNICAST && r.nexthops.every((hop) => hop.gatewayFamily !== 0);
    const peers = list.filter((r) => r.priority === route.priority);
    if (peers.length > 0 && flags & NLM_F_EXCL) throw new KernelError(EEXIST);
    if (flags & NLM_F_REPLACE) {
      const old = peers.find((r) => ecmp(r) === ecmp(route)) ?? peers[0];
      if (old !== undefined) return { list: list.map((r) => (r === old ? route : r)), removed: [old], added: [route] };
      if (!(flags & NLM_F_CREATE)) throw new KernelError(ENOENT, 'Can not replace route - no match found');
    } else if (!(flags & NLM_F_CREATE) && list.length === 0) {
      throw new KernelError(ENOENT, 'Can not add route - NLM_F_CREATE flag must be set');
    }
    for (const peer of peers)
      for (const hop of peer.nexthops)
        if (route.nexthops.some((h) => sameNexthop(h, hop))) throw new KernelError(EEXIST);
    const sibling = ecmp(route) ? peers.find(ecmp) : undefined;
    if (sibling !== undefined) {
      // Same metric, both by gateways: one multipath route.
      const joined: Route = { ...sibling, nexthops: [...sibling.nexthops, ...route.nexthops] };
      return { list: list.map((r) => (r === sibling ? joined : r)), removed: [], added: [joined] };
    }
    const at = list.findIndex((r) => r.priority > route.priority);
    return { list: insertAt(list, at < 0 ? list.length : at, route), removed: [], added: [route] };
  }

  /** Removes the first route of this prefix that `matches`; throws ESRCH when there is none. */
  delete(dst: Uint32Array, dstLength: number, matches: (route: Route) => boolean): Route {
    const found = this.#tree.get(dst, dstLength)?.find(matches);
    if (found === undefined) throw new KernelError(ESRCH);
    this.remove(found);
    return found;
  }

  /** Removes this very route; false when it is not here. */
  remove(route: Route): boolean {
    const list = this.#tree.get(route.dst, route.dstLength);
    if (list === undefined || !list.includes(route)) return false;
    const rest = list.filter((r) => r !== route);
    if (rest.length === 0) this.#tree.delete(route.dst, route.dstLength);
    else this.#tree.set(route.dst, route.dstLength, rest);
    return true;
  }

  /** Puts `next` where `route` stands (an IPv6 multipath route that lost a hop). */
  swap(route: Route, next: Route): void {
    const list = this.#tree.get(route.dst, route.dstLength);
    if (list !== undefined)
      this.#tree.set(
        route.dst,
        route.dstLength,
        list.map((r) => (r === route ? next : r)),
      );
  }

  /** Routes of exactly this prefix. */
  exact(dst: Uint32Array, dstLength: number): readonly Route[] {
    return this.#tree.get(dst, dstLength) ?? [];
  }
}

function insertAt(list: readonly Route[], at: number, route: Route): Route[] {
  return [...list.slice(0, at), route, ...list.slice(at)];
}

/** True when a next hop may carry packets; `ignoreLinkdown` is the device's sysctl ignore_routes_with_linkdown. */
export function hopAlive(hop: Nexthop, ignoreLinkdown: boolean): boolean {
  return (hop.flags & RTNH_F_DEAD) === 0 && !(ignoreLinkdown && (hop.flags & RTNH_F_LINKDOWN) !== 0);
}
