/**
 * rtnetlink's view of a network namespace: device registry, neighbour tables and sysctls as an `RtnetlinkHost`.
 */
import { EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import { bytesOf, wordsOf } from '../../inet/words.ts';
import type { Neighbour, NeighbourTable } from '../../link/neighbour.ts';
import type { Host } from '../../netns/host.ts';
import { AF_INET, AF_INET6 } from '../../wire/address.ts';
import { NTF_PROXY, NUD_NONE, RTN_MULTICAST, RTN_UNICAST } from '../../wire/uapi/rtnetlink.ts';
import { tcView } from './bpf-view.ts';
import { DeviceLinks, type LinkKinds } from './device-links.ts';
import type { NeighbourView, RtnetlinkHost } from './host.ts';
import { linkKinds } from './kinds.ts';

/** The host for `new Rtnetlink(...)`. `kinds`: the devices that need more than the registry. */
export function rtnetlinkHost(
  inet: Host,
  kinds: LinkKinds = linkKinds(inet),
): RtnetlinkHost & { readonly deviceLinks: DeviceLinks } {
  const deviceLinks = new DeviceLinks(inet.world, inet.devices, kinds);
  const tableOf = (family: number): NeighbourTable => (family === AF_INET6 ? inet.neigh6 : inet.neigh4);
  const view = (family: number, entry: Neighbour): NeighbourView => {
    const multicast = family === AF_INET ? entry.address[0] >>> 28 === 14 : entry.address[0] >>> 24 === 255;
    return {
      family,
      ifindex: entry.dev.ifindex,
      address: bytesOf(entry.address, family === AF_INET6 ? 16 : 4),
      lladdr: entry.lladdr,
      state: entry.state,
      flags: entry.flags,
      probes: entry.probes,
      confirmed: entry.confirmed,
      used: entry.used,
      updated: entry.updated,
      type: multicast ? RTN_MULTICAST : RTN_UNICAST,
    };
  };
  return {
    world: inet.world,
    addresses: inet.addresses,
    fib4: inet.fib4,
    fib6: inet.fib6,
    deviceLinks,
    tc: tcView(inet),
    links: () => deviceLinks.links(),
    createLink: (link) => deviceLinks.createLink(link),
    changeLink: (ifindex, change) => deviceLinks.changeLink(ifindex, change),
    deleteLink: (ifindex) => deviceLinks.deleteLink(ifindex),
    neighbours(family, proxy): readonly NeighbourView[] {
      if (proxy) return [];
      const views: NeighbourView[] = [];
      for (const entry of tableOf(family)) views.push(view(family, entry));
      // The newest entry stands first, as in the kernel's hash chains.
      return views.reverse();
    },
    setNeighbour({ family, ifindex, address, lladdr, state, flags }): void {
      if (flags & NTF_PROXY) throw new KernelError(EOPNOTSUPP, 'netloom does not support proxy neighbour entries');
      const dev = inet.devices.get(ifindex);
      if (dev === undefined) return;
      const table = tableOf(family);
      const entry = table.obtain(dev, wordsOf(address));
      if (entry === undefined) return;
      entry.flags = flags;
      table.update(entry, lladdr, state, true);
    },
    deleteNeighbour(family, ifindex, address, proxy): boolean {
      const table = tableOf(family);
      const entry = proxy ? undefined : table.find(ifindex, wordsOf(address));
      if (entry === undefined || entry.state === NUD_NONE) return false;
      table.remove(entry);
      return true;
    },
    watch(link, neighbour): void {
      inet.devices.listen((event, dev) => {
        link(event === 'unregister' ? 'del' : 'new', deviceLinks.view(dev));
      });
      for (const family of [AF_INET, AF_INET6])
        tableOf(family).onChange = (event, entry): void => neighbour(event, view(family, entry));
    },
    conf: (family, ifindex, name) =>
      family === AF_INET6 ? inet.sysctls.conf6(ifindex, name) : inet.sysctls.conf4(ifindex, name),
  };
}
