/**
 * Neighbours: which link address an IP address has, and the state machine that keeps this true (RFC 4861 section 7.3,
 * which Linux uses for ARP as well; arp(7), ip-neighbour(8)). One table per host and family; ARP and Neighbour Discovery
 * give it their way to ask (`solicit`).
 *
 *     NONE -> INCOMPLETE -> REACHABLE -> STALE -> DELAY -> PROBE -> REACHABLE or FAILED
 */
import { DROP } from '../core/drop.ts';
import type { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import {
  IFF_LOOPBACK,
  IFF_NOARP,
  NTF_ROUTER,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_NONE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from '../wire/uapi/rtnetlink.ts';

/** States in which the link address is known. */
export const NUD_VALID: number = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
/** States in which it is known and believed. */
export const NUD_CONNECTED: number = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE;

const SECOND = 1e9;

/** The sysctls of net.ipv4.neigh.* and net.ipv6.neigh.*, with Linux's defaults. Times in nanoseconds. */
export type NeighbourParams = {
  mcastSolicit: number;
  ucastSolicit: number;
  retransTime: number;
  baseReachableTime: number;
  delayFirstProbeTime: number;
  gcStaleTime: number;
  /** Packets kept for an address that is being asked for. */
  unresQlen: number;
};

export function defaultNeighbourParams(): NeighbourParams {
  return {
    mcastSolicit: 3,
    ucastSolicit: 3,
    retransTime: SECOND,
    baseReachableTime: 30 * SECOND,
    delayFirstProbeTime: 5 * SECOND,
    gcStaleTime: 60 * SECOND,
    unresQlen: 101,
  };
}

export type Neighbour = {
  readonly dev: NetDevice;
  /** Address words; IPv4 uses the first. */
  readonly address: Uint32Array;
  readonly lladdr: Uint8Array;
  /** NUD_*. */
  state: number;
  /** NTF_*. */
  flags: number;
  /** RTPROT_*. */
  protocol: number;
  /** World times, nanoseconds. */
  confirmed: number;
  used: number;
  updated: number;
  probes: number;
  readonly queue: number[];
  timer: number;
  /** Number in the table, the timer's argument. */
  readonly index: number;
};

export type NeighbourHooks = {
  /** Asks for the entry's link address: by unicast to `to` when given, else by broadcast or multicast. */
  solicit(entry: Neighbour, to: Uint8Array | undefined): void;
  /** The address could not be resolved: what happens to a packet that waited. Owns the packet. */
  failed(entry: Neighbour, p: number): void;
  /** Puts the link header in front and sends. Owns the packet. */
  send(dev: NetDevice, p: number, lladdr: Uint8Array): void;
};

/** Most entries (gc_thresh3). */
const MAX_ENTRIES = 1024;

export class NeighbourTable {
  readonly family: number;
  readonly params: NeighbourParams = defaultNeighbourParams();
  /** Told of every change, for rtnetlink. */
  onChange: ((event: 'new' | 'del', entry: Neighbour) => void) | undefined;
  readonly #world: World;
  readonly #hooks: NeighbourHooks;
  readonly #byHash = new Map<number, Neighbour[]>();
  readonly #entries: (Neighbour | undefined)[] = [];
  readonly #free: number[] = [];
  #count = 0;
  /** Packets that wait in all entries. */
  #waiting = 0;
  readonly #fire = (index: number): void => {
    const entry = this.#entries[index];
    if (entry) this.#timeout(entry);
  };

  constructor(world: World, family: number, hooks: NeighbourHooks) {
    this.#world = world;
    this.family = family;
    this.#hooks = hooks;
  }

  #hash(ifindex: number, a: number, b: number, c: number, d: number): number {
    let h = Math.imul(ifindex ^ a, 0x85ebca6b);
    h = Math.imul(h ^ b, 0xc2b2ae35) ^ (h >>> 15);
    h = Math.imul(h ^ c, 0x27d4eb2f) ^ (h >>> 13);
    return Math.imul(h ^ d, 0x165667b1) ^ (h >>> 16);
  }

  /** The entry of an address on a device, undefined for none. */
  find(ifindex: number, address: Uint32Array): Neighbour | undefined {
    const chain = this.#byHash.get(this.#hash(ifindex, address[0], address[1], address[2], address[3]));
    if (chain === undefined) return undefined;
    for (let i = 0; i < chain.length; i++) {
      const e = chain[i];
      const w = e.address;
      if (
        e.dev.ifindex === ifindex &&
        w[0] === address[0] &&
        w[1] === address[1] &&
        w[2] === address[2] &&
        w[3] === address[3]
      )
        return e;
    }
    return undefined;
  }

  /** The entry of an address, made (state NONE) when there is none; undefined when the table is full. */
  obtain(dev: NetDevice, address: Uint32Array): Neighbour | undefined {
    const found = this.find(dev.ifindex, address);
    if (found) return found;
    if (this.#count >= MAX_ENTRIES && !this.#collect()) return undefined;
    const index = this.#free.pop() ?? this.#entries.length;
    const { now } = this.#world;
    const entry: Neighbour = {
      dev,
      address: address.slice(),
      lladdr: new Uint8Array(6),
      state: NUD_NONE,
      flags: 0,
      protocol: 0,
      confirmed: now,
      used: now,
      updated: now,
      probes: 0,
      queue: [],
      timer: -1,
      index,
    };
    if (dev.flags & (IFF_NOARP | IFF_LOOPBACK)) {
      // Nobody there speaks ARP or ND: frames go to the device's own address.
      entry.state = NUD_NOARP;
      entry.lladdr.set(dev.address);
    }
    this.#entries[index] = entry;
    const hash = this.#hash(dev.ifindex, address[0], address[1], address[2], address[3]);
    const chain = this.#byHash.get(hash);
    if (chain) chain.push(entry);
    else this.#byHash.set(hash, [entry]);
    this.#count++;
    return entry;
  }

  /** Every entry, in the order they were made. */
  *[Symbol.iterator](): Iterator<Neighbour> {
    for (const entry of this.#entries) if (entry) yield entry;
  }

  /** Makes room: the entry used longest ago that is not permanent goes. */
  #collect(): boolean {
    let oldest: Neighbour | undefined;
    for (const e of this) {
      if (e.state & NUD_PERMANENT || e.queue.length > 0) continue;
      if (oldest === undefined || e.used < oldest.used) oldest = e;
    }
    if (oldest === undefined) return false;
    this.remove(oldest);
    return true;
  }

  /** Takes an entry out; packets that waited are dropped. */
  remove(entry: Neighbour): void {
    if (this.#entries[entry.index] !== entry) return;
    this.#stopTimer(entry);
    for (const p of this.#takeQueue(entry)) this.#world.drop(p, DROP.NEIGH_DEAD);
    const a = entry.address;
    const hash = this.#hash(entry.dev.ifindex, a[0], a[1], a[2], a[3]);
    const chain = this.#byHash.get(hash)?.filter((e) => e !== entry) ?? [];
    if (chain.length === 0) this.#byHash.delete(hash);
    else this.#byHash.set(hash, chain);
    this.#entries[entry.index] = undefined;
    this.#free.push(entry.index);
    this.#count--;
    this.onChange?.('del', entry);
  }

  /** The device went down or away: its entries go, permanent ones only with the device. */
  flushDevice(dev: NetDevice, gone: boolean): void {
    for (const entry of [...this]) {
      if (entry.dev === dev && (gone || !(entry.state & NUD_PERMANENT))) this.remove(entry);
    }
  }

  #stopTimer(entry: Neighbour): void {
    if (entry.timer >= 0) this.#world.timers.cancel(entry.timer);
    entry.timer = -1;
  }

  #arm(entry: Neighbour, delay: number): void {
    this.#stopTimer(entry);
    entry.timer = this.#world.timers.arm(this.#world.now + delay, this.#fire, entry.index);
  }

  #set(entry: Neighbour, state: number): void {
    if (entry.state === state) return;
    entry.state = state;
    this.onChange?.('new', entry);
  }

  /** A random reachable time around the base (RFC 4861 6.3.2: half to one and a half). */
  #reachableTime(): number {
    const base = this.params.baseReachableTime;
    return base / 2 + this.#world.random.unit() * base;
  }

  /** Sends a packet to a neighbour: at once when its link address is known, else when it has answered. Owns the packet. */
  output(dev: NetDevice, address: Uint32Array, p: number): void {
    const entry = this.obtain(dev, address);
    if (entry === undefined) {
      this.#world.drop(p, DROP.NEIGH_CREATEFAIL);
      return;
    }
    entry.used = this.#world.now;
    if (entry.state & NUD_VALID) {
      if (entry.state === NUD_STALE) {
        this.#set(entry, NUD_DELAY);
        entry.updated = this.#world.now;
        this.#arm(entry, this.params.delayFirstProbeTime);
      }
      this.#hooks.send(dev, p, entry.lladdr);
      return;
    }
    if (entry.queue.length >= this.params.unresQlen) this.#dropOldest(entry);
    // All that wait may take a quarter of the packet memory: other packets must get through.
    if (this.#waiting >= this.#world.slab.capacity >> 2) {
      if (entry.queue.length === 0) {
        this.#world.drop(p, DROP.NEIGH_QUEUEFULL);
        return;
      }
      this.#dropOldest(entry);
    }
    entry.queue.push(p);
    this.#waiting++;
    if (entry.state !== NUD_INCOMPLETE) {
      entry.probes = 0;
      this.#set(entry, NUD_INCOMPLETE);
      this.#probe(entry);
    }
  }

  #dropOldest(entry: Neighbour): void {
    this.#waiting--;
    this.#world.drop(entry.queue.shift()!, DROP.NEIGH_QUEUEFULL);
  }

  /** The packets that wait for an entry, taken out of it. */
  #takeQueue(entry: Neighbour): number[] {
    this.#waiting -= entry.queue.length;
    return entry.queue.splice(0);
  }

  #probe(entry: Neighbour): void {
    entry.probes++;
    this.#arm(entry, this.params.retransTime);
    this.#hooks.solicit(entry, entry.state === NUD_PROBE ? entry.lladdr : undefined);
  }

  #timeout(entry: Neighbour): void {
    const { now } = this.#world;
    entry.timer = -1;
    switch (entry.state) {
      case NUD_REACHABLE:
        if (now < entry.confirmed + this.params.baseReachableTime) {
          this.#arm(entry, entry.confirmed + this.params.baseReachableTime - now);
        } else if (now < entry.used + this.params.delayFirstProbeTime) {
          entry.updated = now;
          this.#set(entry, NUD_DELAY);
          this.#arm(entry, this.params.delayFirstProbeTime);
        } else {
          entry.updated = now;
          this.#set(entry, NUD_STALE);
        }
        return;
      case NUD_DELAY:
        if (now <= entry.confirmed + this.params.delayFirstProbeTime) {
          entry.updated = now;
          this.#set(entry, NUD_REACHABLE);
          this.#arm(entry, this.#reachableTime());
        } else {
          entry.probes = 0;
          this.#set(entry, NUD_PROBE);
          this.#probe(entry);
        }
        return;
      case NUD_PROBE:
      case NUD_INCOMPLETE: {
        const limit = entry.state === NUD_PROBE ? this.params.ucastSolicit : this.params.mcastSolicit;
        if (entry.probes < limit) {
          this.#probe(entry);
          return;
        }
        entry.updated = now;
        this.#set(entry, NUD_FAILED);
        for (const p of this.#takeQueue(entry)) this.#hooks.failed(entry, p);
        return;
      }
    }
  }

  /** Learns or changes an entry: what an answer, a request or `ip neigh` says. `lladdr` undefined leaves the address. */
  update(entry: Neighbour, lladdr: Uint8Array | undefined, state: number, override: boolean): void {
    const { now } = this.#world;
    let next = state;
    const differs = lladdr !== undefined && !sameBytes(lladdr, entry.lladdr);
    if (lladdr !== undefined && differs && entry.state & NUD_VALID && !override) {
      // Somebody else claims the address without the right to: believe neither fully.
      if (entry.state & NUD_CONNECTED && !(entry.state & NUD_PERMANENT)) {
        entry.updated = now;
        this.#set(entry, NUD_STALE);
      }
      return;
    }
    if (lladdr !== undefined && differs) entry.lladdr.set(lladdr);
    if (!differs && next === NUD_STALE && entry.state & NUD_CONNECTED) next = entry.state;
    if (next & NUD_CONNECTED) entry.confirmed = now;
    entry.updated = now;
    this.#stopTimer(entry);
    const changed = entry.state !== next || differs;
    entry.state = next;
    if (next === NUD_REACHABLE) this.#arm(entry, this.#reachableTime());
    else if (next === NUD_PROBE || next === NUD_INCOMPLETE) {
      entry.probes = 0;
      this.#probe(entry);
    } else if (next === NUD_DELAY) this.#arm(entry, this.params.delayFirstProbeTime);
    if (changed) this.onChange?.('new', entry);
    if (next & NUD_VALID) for (const p of this.#takeQueue(entry)) this.#hooks.send(entry.dev, p, entry.lladdr);
    else if (next === NUD_FAILED) for (const p of this.#takeQueue(entry)) this.#hooks.failed(entry, p);
  }

  /** Upper layers saw an answer from the neighbour: it is reachable (RFC 4861 7.3.1). */
  confirm(entry: Neighbour): void {
    entry.confirmed = this.#world.now;
  }

  setRouter(entry: Neighbour, router: boolean): void {
    entry.flags = router ? entry.flags | NTF_ROUTER : entry.flags & ~NTF_ROUTER;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
