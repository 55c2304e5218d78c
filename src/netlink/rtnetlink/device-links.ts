/**
 * The device half of rtnetlink over a host's device registry: shows net devices as links and carries out what
 * RTM_NEWLINK and RTM_DELLINK ask.
 */
import { EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import type { World } from '../../core/world.ts';
import { type DeviceOptions, ETH_ALEN, type NetDevice } from '../../device/device.ts';
import type { DeviceRegistry } from '../../device/registry.ts';
import { dummyDevice } from '../../device/simple.ts';
import { vethPair, vethPeer } from '../../device/veth.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { LinkChange, LinkCreate, LinkView } from './host.ts';

/** Kinds of devices that need more of the host than the registry; what is missing is "not supported". */
export type LinkKinds = {
  /** `fixedAddress`: the user gave the address, it does not follow the ports. */
  bridge?(options: DeviceOptions, fixedAddress: boolean): NetDevice;
  vlan?(options: DeviceOptions, below: NetDevice, vlan: NonNullable<LinkCreate['vlan']>): NetDevice;
  vlanOf?(dev: NetDevice): LinkCreate['vlan'];
  bridgeOptions?(dev: NetDevice): ReadonlyMap<number, number> | undefined;
  setBridgeOptions?(dev: NetDevice, options: ReadonlyMap<number, number>): void;
  addPort?(bridge: NetDevice, port: NetDevice): void;
  removePort?(bridge: NetDevice, port: NetDevice): void;
  setAddrGenMode?(dev: NetDevice, mode: number): void;
};

// Flags a user may set and clear.
const SETTABLE = u.IFF_NOARP | u.IFF_MULTICAST | u.IFF_ALLMULTI | u.IFF_PROMISC | u.IFF_DYNAMIC | u.IFF_DEBUG;

export class DeviceLinks {
  readonly #world: World;
  readonly #registry: DeviceRegistry;
  readonly #kinds: LinkKinds;
  // Devices that were up once: they have a queueing discipline from then on.
  readonly #opened = new WeakSet<NetDevice>();

  constructor(world: World, registry: DeviceRegistry, kinds: LinkKinds = {}) {
    this.#world = world;
    this.#registry = registry;
    this.#kinds = kinds;
    registry.listen((event, dev) => {
      if (event === 'up') this.#opened.add(dev);
    });
  }

  /** All devices as links, ascending by index. */
  links(): LinkView[] {
    return [...this.#registry].map((dev) => this.view(dev));
  }

  /** One device as a link. */
  view(dev: NetDevice): LinkView {
    const peer = vethPeer(dev);
    const elsewhere = peer !== undefined && this.#registry.get(peer.ifindex) !== peer;
    const { stats } = dev;
    const counters = new Array<number>(25).fill(0);
    counters[0] = stats.rxPackets;
    counters[1] = stats.txPackets;
    counters[2] = stats.rxBytes;
    counters[3] = stats.txBytes;
    counters[6] = stats.rxDropped;
    counters[7] = stats.txDropped;
    counters[8] = stats.multicast;
    const loopback = dev.kind === 'loopback';
    return {
      ifindex: dev.ifindex,
      name: dev.name,
      kind: loopback ? '' : dev.kind,
      type: dev.type,
      flags: dev.flags,
      mtu: dev.mtu,
      minMtu: loopback ? 0 : 68,
      maxMtu: loopback ? 0 : 65535,
      address: dev.address,
      broadcast: dev.broadcast,
      txqlen: dev.txqlen,
      group: dev.group,
      alias: dev.alias,
      operstate: operstate(dev),
      master: dev.master,
      link: peer !== undefined ? peer.ifindex : dev.link !== 0 ? dev.link : -1,
      linkElsewhere: elsewhere,
      qdisc: dev.up || this.#opened.has(dev) ? 'noqueue' : 'noop',
      promiscuity: dev.promiscuity,
      carrierChanges: dev.carrier ? 2 : 1,
      stats: counters,
      vlan: this.#kinds.vlanOf?.(dev),
      bridge: dev.kind === 'bridge' ? this.#kinds.bridgeOptions?.(dev) : undefined,
    };
  }

  /** RTM_NEWLINK for a new device. */
  createLink(link: LinkCreate): void {
    const options = this.#options(link);
    switch (link.kind) {
      case 'veth': {
        const far = link.peer ?? { kind: 'veth', name: this.#registry.freeName('veth%d'), ifindex: 0 };
        const pair = vethPair(this.#world, options, this.#options(far));
        // The peer is registered first, as in Linux.
        this.#registry.register(pair.b, far.ifindex);
        this.#registry.register(pair.a, link.ifindex);
        this.changeLink(pair.b.ifindex, later(far));
        this.changeLink(pair.a.ifindex, later(link));
        return;
      }
      case 'dummy':
        this.#finish(dummyDevice(this.#world, options), link);
        return;
      case 'bridge':
        if (this.#kinds.bridge !== undefined) {
          this.#finish(this.#kinds.bridge(options, link.address !== undefined), link);
          return;
        }
        break;
      case 'vlan': {
        const below = this.#registry.get(link.link ?? 0);
        if (this.#kinds.vlan !== undefined && below !== undefined && link.vlan !== undefined) {
          // A VLAN has its device's address and MTU unless it is given its own.
          const own = {
            ...options,
            address: link.address ?? Uint8Array.from(below.address),
            mtu: link.mtu ?? below.mtu,
          };
          this.#finish(this.#kinds.vlan(own, below, link.vlan), link);
          return;
        }
        break;
      }
    }
    throw new KernelError(EOPNOTSUPP, `netloom does not support device type ${link.kind}`);
  }

  #finish(dev: NetDevice, link: LinkCreate): void {
    this.#registry.register(dev, link.ifindex);
    this.changeLink(dev.ifindex, later(link));
  }

  // A device's own random address is locally administered; drawn from the world, so runs repeat.
  #options(link: LinkCreate): DeviceOptions {
    const { random } = this.#world;
    const address = link.address ?? Uint8Array.from({ length: ETH_ALEN }, () => random.below(256));
    if (link.address === undefined) address[0] = (address[0] & 0xfe) | 2;
    return { name: link.name, address, mtu: link.mtu, txqlen: link.txqlen };
  }

  /** RTM_NEWLINK for an existing device: everything asked, in Linux's order. */
  changeLink(ifindex: number, change: LinkChange): void {
    const registry = this.#registry;
    const dev = registry.get(ifindex);
    if (dev === undefined) return;
    if (change.address !== undefined) registry.setAddress(dev, change.address);
    if (change.mtu !== undefined && change.mtu !== dev.mtu) registry.setMtu(dev, change.mtu);
    if (change.group !== undefined) dev.group = change.group;
    if (change.name !== undefined) registry.rename(dev, change.name);
    if (change.alias !== undefined) dev.alias = change.alias;
    if (change.broadcast !== undefined) dev.broadcast.set(change.broadcast);
    if (change.master !== undefined) this.#setMaster(dev, change.master);
    if (change.addrGenMode !== undefined) this.#kinds.setAddrGenMode?.(dev, change.addrGenMode);
    if (change.bridge !== undefined) {
      if (this.#kinds.setBridgeOptions === undefined)
        throw new KernelError(EOPNOTSUPP, 'netloom does not support these bridge options');
      this.#kinds.setBridgeOptions(dev, change.bridge);
    }
    if (change.txqlen !== undefined) dev.txqlen = change.txqlen;
    const mask = change.mask ?? 0;
    if (mask !== 0) {
      const flags = change.flags ?? 0;
      const settable = mask & SETTABLE;
      dev.adminFlags = (dev.adminFlags & ~settable) | (flags & settable);
      if (mask & u.IFF_UP) registry.setUp(dev, (flags & u.IFF_UP) !== 0);
    }
    registry.notify('change', dev);
  }

  #setMaster(dev: NetDevice, master: number): void {
    if (dev.master === master) return;
    const old = this.#registry.get(dev.master);
    if (old !== undefined) this.#kinds.removePort?.(old, dev);
    if (master === 0) return;
    const bridge = this.#registry.get(master);
    if (bridge === undefined || this.#kinds.addPort === undefined)
      throw new KernelError(EOPNOTSUPP, 'Device does not allow enslaving to a bridge');
    this.#kinds.addPort(bridge, dev);
  }

  /** RTM_DELLINK: a veth takes its other end along. */
  deleteLink(ifindex: number): void {
    const dev = this.#registry.get(ifindex);
    if (dev === undefined) return;
    const peer = vethPeer(dev);
    if (peer !== undefined && this.#registry.get(peer.ifindex) === peer) this.#registry.unregister(peer);
    this.#registry.unregister(dev);
  }
}

// What a new device gets after it is registered: name, address and MTU it has already.
function later(link: LinkCreate): LinkChange {
  const { group, alias, master, flags, mask, bridge, addrGenMode } = link;
  return { group, alias, master, flags, mask, bridge, addrGenMode };
}

function operstate(dev: NetDevice): number {
  if (dev.kind === 'loopback' || dev.kind === 'dummy') return dev.up ? u.IF_OPER_UNKNOWN : u.IF_OPER_DOWN;
  if (dev.up && dev.carrier) return u.IF_OPER_UP;
  // A veth or VLAN that is up waits for the other end.
  return dev.up && (dev.kind === 'veth' || dev.kind === 'vlan') ? u.IF_OPER_LOWERLAYERDOWN : u.IF_OPER_DOWN;
}
