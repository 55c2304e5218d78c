/**
 * The addresses of a host's devices, and what follows from them: local, broadcast and prefix routes, secondary
 * addresses, lifetimes, link-local addresses as devices come up. See ip-address(8), RFC 4862 (IPv6).
 *
 * The host tells this of its devices (`deviceUp`, `deviceDown`, `carrier`, `deviceGone`); duplicate address detection
 * is whoever sets `onTentative`: it calls `dadDone` or `dadFailed` later. Without one, addresses are valid at once.
 */
import { EADDRNOTAVAIL, EEXIST, KernelError } from '../core/errno.ts';
import type { World } from '../core/world.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../wire/uapi/netlink.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_NODAD,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_UP,
  RT_SCOPE_HOST,
  RT_TABLE_LOCAL,
} from '../wire/uapi/rtnetlink.ts';
import { linkLocal, local6, multicast6, prefix6, routes4, scope6 } from './address-routes.ts';
import type { Fib } from './fib.ts';
import type { Route } from './route.ts';
import { samePrefix, sameWords } from './words.ts';

const SECOND = 1e9;
const FOREVER = 0xffffffff;

export type IfAddress = {
  readonly family: number;
  readonly ifindex: number;
  readonly local: Uint32Array;
  /** The other end of a point-to-point address; the same as `local` otherwise. The prefix is taken of this one. */
  readonly peer: Uint32Array;
  readonly prefixLength: number;
  readonly broadcast: Uint32Array | undefined;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** IPv4 only. */
  readonly label: string;
  /** IFA_F_*. */
  flags: number;
  /** IFA_RT_PRIORITY: metric of the prefix route, 0 for the default. */
  metric: number;
  /** IFAPROT_*, 0 for none. */
  protocol: number;
  /** Lifetimes in seconds from `updated`; 0xffffffff is for ever. */
  valid: number;
  preferred: number;
  /** World times in nanoseconds. */
  created: number;
  updated: number;
};

/** What addresses need to know of a device. */
export type AddressDevice = {
  readonly ifindex: number;
  readonly name: string;
  /** IFF_*. */
  readonly flags: number;
  /** MAC address. */
  readonly address: Uint8Array;
};

export type AddressHost = {
  readonly world: World;
  device(ifindex: number): AddressDevice | undefined;
  /** A sysctl of net.ipv4.conf.DEV or net.ipv6.conf.DEV as a number, undefined when unknown. */
  conf(family: number, ifindex: number, name: string): number | undefined;
};

export class Addresses {
  readonly fib4: Fib;
  readonly fib6: Fib;
  /** Told of every address that comes, changes or goes (rtnetlink's notifications). */
  onAddress: ((event: 'new' | 'del', address: IfAddress) => void) | undefined;
  /** Duplicate address detection: see the head of this file. */
  onTentative: ((address: IfAddress) => void) | undefined;
  readonly #host: AddressHost;
  readonly #lists = new Map<number, IfAddress[]>(); // key: ifindex * 2 + (IPv6 ? 1 : 0)
  readonly #ready = new Set<number>(); // devices on which IPv6 runs: up and with carrier

  constructor(host: AddressHost, fib4: Fib, fib6: Fib) {
    this.#host = host;
    this.fib4 = fib4;
    this.fib6 = fib6;
  }

  #list(family: number, ifindex: number): IfAddress[] {
    const key = ifindex * 2 + (family === AF_INET6 ? 1 : 0);
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = [];
      this.#lists.set(key, list);
    }
    return list;
  }

  /** Addresses of a device in the order Linux lists them. */
  list(family: number, ifindex: number): readonly IfAddress[] {
    return this.#list(family, ifindex);
  }

  /** Every address of a family, device by device. */
  all(family: number): IfAddress[] {
    const keys = [...this.#lists.keys()].filter((key) => (key & 1) === (family === AF_INET6 ? 1 : 0));
    return keys.sort((a, b) => a - b).flatMap((key) => this.#lists.get(key) ?? []);
  }

  /** The address of a device with these words, if it has it. */
  find(family: number, ifindex: number, local: Uint32Array): IfAddress | undefined {
    return this.#list(family, ifindex).find((a) => sameWords(a.local, local));
  }

  /** True when any device has this address and it is no longer tentative. */
  isLocal(family: number, local: Uint32Array): boolean {
    return this.all(family).some(
      (a) => sameWords(a.local, local) && !(family === AF_INET6 && a.flags & IFA_F_TENTATIVE),
    );
  }

  #flags(ifindex: number): number {
    return this.#host.device(ifindex)?.flags ?? 0;
  }

  /** An address with the defaults that Linux fills in. */
  make(fields: Partial<IfAddress> & Pick<IfAddress, 'family' | 'ifindex' | 'local' | 'prefixLength'>): IfAddress {
    const now = this.#host.world.now;
    return {
      peer: fields.local,
      broadcast: undefined,
      scope: fields.family === AF_INET6 ? scope6(fields.local) : 0,
      label: this.#host.device(fields.ifindex)?.name ?? '',
      metric: 0,
      protocol: 0,
      valid: FOREVER,
      preferred: FOREVER,
      created: now,
      updated: now,
      ...fields,
      flags:
        (fields.flags ?? 0) |
        ((fields.valid ?? FOREVER) === FOREVER ? IFA_F_PERMANENT : 0) |
        (fields.preferred === 0 ? IFA_F_DEPRECATED : 0),
    };
  }

  /** Adds an address; with NLM_F_REPLACE an existing one gets the new lifetimes, flags and metric. */
  add(address: IfAddress, flags: number = NLM_F_CREATE | NLM_F_EXCL): void {
    const list = this.#list(address.family, address.ifindex);
    const old = list.find((a) =>
      address.family === AF_INET6
        ? sameWords(a.local, address.local)
        : sameWords(a.local, address.local) &&
          a.prefixLength === address.prefixLength &&
          samePrefix(a.peer, address.peer, a.prefixLength),
    );
    if (old !== undefined) {
      if (flags & NLM_F_EXCL || !(flags & NLM_F_REPLACE))
        throw new KernelError(
          EEXIST,
          address.family === AF_INET6 ? 'ipv6: address already assigned' : 'ipv4: Address already assigned',
        );
      this.#replace(old, address);
      return;
    }
    if (address.family === AF_INET6) this.#add6(list, address);
    else this.#add4(list, address);
    this.#armLifetimes(address);
  }

  #replace(old: IfAddress, next: IfAddress): void {
    const keep = IFA_F_SECONDARY | IFA_F_TENTATIVE | IFA_F_DADFAILED;
    const routes = this.#routes(old);
    old.flags = (old.flags & keep) | (next.flags & ~keep);
    old.metric = next.metric;
    old.protocol = next.protocol;
    old.valid = next.valid;
    old.preferred = next.preferred;
    old.updated = this.#host.world.now;
    for (const route of routes) this.#unroute(route);
    for (const route of this.#routes(old)) this.#route(route);
    this.#armLifetimes(old);
    this.onAddress?.('new', old);
  }

  #add4(list: IfAddress[], address: IfAddress): void {
    address.flags &= ~IFA_F_SECONDARY;
    if (list.some((a) => a.prefixLength === address.prefixLength && samePrefix(a.peer, address.peer, a.prefixLength)))
      address.flags |= IFA_F_SECONDARY;
    if (address.flags & IFA_F_SECONDARY) list.push(address);
    else {
      // Primaries stand before secondaries, the wider scope behind.
      let at = 0;
      for (let i = 0; i < list.length; i++)
        if (!(list[i].flags & IFA_F_SECONDARY) && address.scope <= list[i].scope) at = i + 1;
      list.splice(at, 0, address);
    }
    this.onAddress?.('new', address);
    for (const route of this.#routes(address)) this.#route(route);
  }

  #add6(list: IfAddress[], address: IfAddress): void {
    if (!(address.flags & IFA_F_NODAD)) address.flags |= IFA_F_TENTATIVE;
    // The wider scope first, the newest first among equals.
    const at = list.findIndex((a) => scopeRank(address) >= scopeRank(a));
    list.splice(at < 0 ? list.length : at, 0, address);
    const prefix = prefix6(address, this.#flags(address.ifindex));
    if (prefix !== undefined) this.#route(prefix);
    if (this.#flags(address.ifindex) & IFF_UP) this.#startDad(address);
    else this.onAddress?.('new', address);
  }

  #startDad(address: IfAddress): void {
    const ready = this.#ready.has(address.ifindex) || this.#flags(address.ifindex) & IFF_LOOPBACK;
    if (address.flags & IFA_F_TENTATIVE && !ready) {
      this.onAddress?.('new', address);
      return;
    }
    const skip =
      !(address.flags & IFA_F_TENTATIVE) ||
      this.onTentative === undefined ||
      this.#flags(address.ifindex) & (IFF_NOARP | IFF_LOOPBACK) ||
      this.#host.conf(AF_INET6, address.ifindex, 'accept_dad') === 0;
    if (skip) this.dadDone(address);
    else this.onTentative?.(address);
  }

  /** Nobody else has the address: it is valid from now on. */
  dadDone(address: IfAddress): void {
    address.flags &= ~IFA_F_TENTATIVE;
    if (!this.#list(AF_INET6, address.ifindex).includes(address)) return;
    this.#route(local6(address));
    this.onAddress?.('new', address);
  }

  /** Somebody else has the address: it stays, marked, and is not used. */
  dadFailed(address: IfAddress): void {
    address.flags |= IFA_F_DADFAILED | IFA_F_TENTATIVE;
    this.onAddress?.('new', address);
  }

  /** Removes an address. Throws EADDRNOTAVAIL when the device has none that `matches`. */
  delete(family: number, ifindex: number, matches: (address: IfAddress) => boolean): void {
    const address = this.#list(family, ifindex).find(matches);
    if (address === undefined)
      throw new KernelError(EADDRNOTAVAIL, family === AF_INET6 ? 'ipv6: address not found' : 'ipv4: Address not found');
    this.remove(address);
  }

  /** Removes this very address, and with a primary IPv4 one its secondaries (or promotes the first of them). */
  remove(address: IfAddress): void {
    const list = this.#list(address.family, address.ifindex);
    const at = list.indexOf(address);
    if (at < 0) return;
    const before = this.#implied(address.family, address.ifindex);
    if (address.family === AF_INET && !(address.flags & IFA_F_SECONDARY)) {
      const dependents = list.filter(
        (a) =>
          a.flags & IFA_F_SECONDARY &&
          a.prefixLength === address.prefixLength &&
          samePrefix(a.peer, address.peer, a.prefixLength),
      );
      if (this.#host.conf(AF_INET, address.ifindex, 'promote_secondaries')) {
        const next = dependents[0];
        if (next !== undefined) {
          next.flags &= ~IFA_F_SECONDARY;
          list.splice(list.indexOf(next), 1);
          list.splice(list.indexOf(address) + 1, 0, next);
        }
      } else {
        for (const dependent of dependents) this.remove(dependent);
      }
    }
    list.splice(list.indexOf(address), 1);
    const after = this.#implied(address.family, address.ifindex);
    for (const [key, route] of before) if (after.get(key) === undefined) this.#unroute(route);
    for (const [key, route] of after) if (before.get(key) === undefined) this.#route(route);
    if (address.family === AF_INET && !this.isLocal(AF_INET, address.local)) this.fib4.sourceGone(address.local);
    this.onAddress?.('del', address);
  }

  // Routes of one address as things stand.
  #routes(address: IfAddress): Route[] {
    const flags = this.#flags(address.ifindex);
    if (address.family === AF_INET) {
      const list = this.#list(AF_INET, address.ifindex);
      const primary =
        address.flags & IFA_F_SECONDARY
          ? list.find(
              (a) => a.prefixLength === address.prefixLength && samePrefix(a.peer, address.peer, a.prefixLength),
            )
          : address;
      return routes4(address, primary ?? address, flags);
    }
    const out: Route[] = [];
    const prefix = prefix6(address, flags);
    if (prefix !== undefined) out.push(prefix);
    if (flags & IFF_UP && !(address.flags & IFA_F_TENTATIVE)) out.push(local6(address));
    return out;
  }

  // All routes that the addresses of a device imply, each once.
  #implied(family: number, ifindex: number): Map<string, Route> {
    const out = new Map<string, Route>();
    for (const address of this.#list(family, ifindex))
      for (const route of this.#routes(address)) {
        // IPv4's name a source, so the same prefix under another source is another route.
        const key = `${route.type} ${route.dst}/${route.dstLength} ${route.priority} ${route.prefsrc?.[0]}`;
        if (!out.has(key)) out.set(key, route);
      }
    return out;
  }

  #route(route: Route): void {
    const fib = route.family === AF_INET6 ? this.fib6 : this.fib4;
    try {
      fib.insert(route, NLM_F_CREATE | (route.family === AF_INET ? 2048 : 0));
    } catch (error) {
      // The same route exists already (two addresses of one prefix): one of it is enough.
      if (!(error instanceof KernelError && error.errno === EEXIST)) throw error;
    }
  }

  #unroute(route: Route): void {
    const fib = route.family === AF_INET6 ? this.fib6 : this.fib4;
    const table = fib.find(route.table);
    const found = table
      ?.exact(route.dst, route.dstLength)
      .find(
        (r) =>
          r.type === route.type &&
          r.protocol === route.protocol &&
          r.priority === route.priority &&
          r.nexthops[0]?.oif === route.nexthops[0].oif &&
          (route.prefsrc === undefined || (r.prefsrc !== undefined && sameWords(r.prefsrc, route.prefsrc))),
      );
    if (found !== undefined) fib.remove(found);
  }

  /** A device came up (its flags say IFF_UP); `carrier`: its link is there. */
  deviceUp(ifindex: number, carrier = true): void {
    const device = this.#host.device(ifindex);
    if (device === undefined) return;
    this.fib4.deviceUp(ifindex);
    this.fib6.deviceUp(ifindex);
    const loopback = (device.flags & IFF_LOOPBACK) !== 0;
    if (loopback && this.#list(AF_INET, ifindex).length === 0)
      this.add(
        this.make({
          family: AF_INET,
          ifindex,
          local: Uint32Array.of(0x7f000001, 0, 0, 0),
          prefixLength: 8,
          scope: RT_SCOPE_HOST,
        }),
      );
    else
      for (const address of this.#list(AF_INET, ifindex)) for (const route of this.#routes(address)) this.#route(route);
    if (this.#host.conf(AF_INET6, ifindex, 'disable_ipv6')) return;
    if (carrier || loopback) this.#ready6(device);
    else
      for (const address of this.#list(AF_INET6, ifindex)) {
        const prefix = prefix6(address, device.flags);
        if (prefix !== undefined) this.#route(prefix);
      }
  }

  #ready6(device: AddressDevice): void {
    const { ifindex } = device;
    if (this.#ready.has(ifindex)) return;
    this.#ready.add(ifindex);
    if (device.flags & IFF_LOOPBACK) {
      const local = Uint32Array.of(0, 0, 0, 1);
      if (this.find(AF_INET6, ifindex, local) === undefined)
        this.add(
          this.make({ family: AF_INET6, ifindex, local, prefixLength: 128, flags: IFA_F_PERMANENT | IFA_F_NODAD }),
        );
      const one = this.find(AF_INET6, ifindex, local);
      if (one !== undefined) one.flags &= ~IFA_F_NODAD;
      return;
    }
    if (device.flags & IFF_MULTICAST) this.#route(multicast6(ifindex));
    for (const address of [...this.#list(AF_INET6, ifindex)]) {
      const prefix = prefix6(address, device.flags);
      if (prefix !== undefined) this.#route(prefix);
      this.#startDad(address);
    }
    const mode = this.#host.conf(AF_INET6, ifindex, 'addr_gen_mode') ?? 0;
    const local = mode === 1 || device.flags & IFF_NOARP ? undefined : linkLocal(device.address);
    if (local !== undefined && this.find(AF_INET6, ifindex, local) === undefined)
      this.add(this.make({ family: AF_INET6, ifindex, local, prefixLength: 64, protocol: 3 }));
  }

  /** A device went down: IPv4 addresses stay without their routes, IPv6 addresses go. */
  deviceDown(ifindex: number): void {
    this.fib4.deviceDown(ifindex);
    this.fib6.deviceDown(ifindex);
    this.#ready.delete(ifindex);
    const keep = (this.#host.conf(AF_INET6, ifindex, 'keep_addr_on_down') ?? 0) > 0;
    for (const address of [...this.#list(AF_INET6, ifindex)]) {
      if (keep && address.flags & IFA_F_PERMANENT && scopeRank(address) > scopeRank({ scope: 253 })) {
        if (!(address.flags & IFA_F_NODAD)) address.flags |= IFA_F_TENTATIVE;
      } else {
        const list = this.#list(AF_INET6, ifindex);
        list.splice(list.indexOf(address), 1);
        this.onAddress?.('del', address);
      }
    }
  }

  /** net.ipv6.conf.DEV.disable_ipv6 was written: IPv6 leaves the device, or comes back as it came up. */
  setDisabled6(ifindex: number, disabled: boolean, carrier: boolean): void {
    const device = this.#host.device(ifindex);
    if (device === undefined) return;
    if (disabled) {
      this.fib6.deviceDown(ifindex);
      this.#ready.delete(ifindex);
      for (const address of [...this.#list(AF_INET6, ifindex)]) this.remove(address);
    } else if (device.flags & IFF_UP && (carrier || device.flags & IFF_LOOPBACK)) this.#ready6(device);
  }

  /** Carrier came or went while the device is up. */
  carrier(ifindex: number, on: boolean): void {
    this.fib4.carrier(ifindex, on);
    this.fib6.carrier(ifindex, on);
    const device = this.#host.device(ifindex);
    if (on && device !== undefined && device.flags & IFF_UP && !this.#host.conf(AF_INET6, ifindex, 'disable_ipv6'))
      this.#ready6(device);
  }

  /** A device is gone: so are its addresses and routes. */
  deviceGone(ifindex: number): void {
    for (const family of [AF_INET6, AF_INET])
      for (const address of [...this.#list(family, ifindex)]) this.remove(address);
    this.fib4.deviceDown(ifindex, true);
    this.fib6.deviceDown(ifindex, true);
    this.#ready.delete(ifindex);
    this.#lists.delete(ifindex * 2);
    this.#lists.delete(ifindex * 2 + 1);
  }

  #armLifetimes(address: IfAddress): void {
    const { updated } = address;
    const at = (seconds: number, fn: () => void): void => {
      if (seconds === FOREVER || seconds === 0) return;
      this.#host.world.timers.arm(updated + seconds * SECOND, () => {
        // A later change of the address has its own timers.
        if (address.updated === updated && this.#list(address.family, address.ifindex).includes(address)) fn();
      });
    };
    at(address.preferred, () => {
      address.flags |= IFA_F_DEPRECATED;
      this.onAddress?.('new', address);
    });
    at(address.valid, () => this.remove(address));
  }

  /** True when the local table holds an entry for this address: the kernel's `inet_addr_type` is RTN_LOCAL. */
  inLocalTable(family: number, address: Uint32Array): boolean {
    const fib = family === AF_INET6 ? this.fib6 : this.fib4;
    const full = family === AF_INET6 ? 128 : 32;
    return (fib.find(RT_TABLE_LOCAL)?.exact(address, full).length ?? 0) > 0;
  }
}

/** IPv6 lists addresses by reach: global, site, link, host. */
function scopeRank(address: Pick<IfAddress, 'scope'>): number {
  return 255 - address.scope;
}
