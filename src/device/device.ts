/**
 * A net device: what sends and receives frames. The driver part is one function (`xmit`); everything else (names, flags,
 * counters, queues) is the same for all. See Documentation/networking/netdevices.rst, netlink(7) for flags.
 */
import type { World } from '../core/world.ts';
import { IFF_BROADCAST, IFF_LOWER_UP, IFF_MULTICAST, IFF_RUNNING, IFF_UP } from '../wire/uapi/rtnetlink.ts';

export const ARPHRD_ETHER = 1;
export const ARPHRD_LOOPBACK = 772;
export const ETH_ALEN = 6;

/** Counters of `ip -s link`. */
export type DeviceStats = {
  rxPackets: number;
  rxBytes: number;
  rxDropped: number;
  txPackets: number;
  txBytes: number;
  txDropped: number;
  multicast: number;
};

/** What a kind of device does. */
export type Driver = {
  /** Link kind as IFLA_INFO_KIND ("veth", "bridge", ...); "loopback" for lo. */
  readonly kind: string;
  /** Sends a frame, whose first byte is the destination address. Owns the packet from here on. */
  xmit(dev: NetDevice, p: number): void;
  /** The device was brought up or down. */
  open?(dev: NetDevice): void;
  stop?(dev: NetDevice): void;
  /** The device is being removed. */
  remove?(dev: NetDevice): void;
};

export type DeviceOptions = {
  readonly name: string;
  readonly address?: Uint8Array;
  readonly mtu?: number;
  /** ARPHRD_*. */
  readonly type?: number;
  readonly flags?: number;
  readonly txqlen?: number;
};

export class NetDevice {
  readonly world: World;
  readonly driver: Driver;
  /** Set by the registry. */
  ifindex = 0;
  name: string;
  readonly type: number;
  readonly address: Uint8Array;
  readonly broadcast: Uint8Array;
  mtu: number;
  /** IFF_* as set; `flags` adds what follows from the state. */
  adminFlags: number;
  carrier = true;
  group = 0;
  txqlen: number;
  alias = '';
  /** Interface index of the bridge this is a port of, 0 for none. */
  master = 0;
  /** Interface index of the device below (VLAN) or at the other end (veth in the same host), 0 for none. */
  link = 0;
  promiscuity = 0;
  readonly stats: DeviceStats = {
    rxPackets: 0,
    rxBytes: 0,
    rxDropped: 0,
    txPackets: 0,
    txBytes: 0,
    txDropped: 0,
    multicast: 0,
  };
  /** Where frames go when they arrive; set by the host that has the device. Owns the packet. */
  input: (dev: NetDevice, p: number) => void;
  /** Takes every frame that arrives, before anything else sees it (XDP); what it lets through comes to `deliver`. */
  xdp: { push(p: number): void } | undefined;
  /** Looks at every frame about to be sent (netfilter's netdev egress). False: it has taken the packet. */
  netfilterEgress: ((dev: NetDevice, p: number) => boolean) | undefined;
  /** The same, after that (clsact, tcx). */
  egress: ((dev: NetDevice, p: number) => boolean) | undefined;
  /** Looks at every packet that has arrived, behind its link header (tcx, clsact). False: it has taken the packet. */
  ingress: ((dev: NetDevice, p: number) => boolean) | undefined;
  /** Told when carrier came or went; set by the registry that has the device. */
  onCarrier: (() => void) | undefined;
  /** Told of every frame that comes in or goes out, for captures; the packet is only lent. */
  readonly taps: Set<(p: number, outgoing: boolean) => void> = new Set();

  constructor(world: World, driver: Driver, options: DeviceOptions) {
    this.world = world;
    this.driver = driver;
    this.name = options.name;
    this.type = options.type ?? ARPHRD_ETHER;
    this.address = options.address ?? new Uint8Array(ETH_ALEN);
    this.broadcast = new Uint8Array(ETH_ALEN).fill(this.type === ARPHRD_LOOPBACK ? 0 : 0xff);
    this.mtu = options.mtu ?? 1500;
    this.adminFlags = options.flags ?? IFF_BROADCAST | IFF_MULTICAST;
    this.txqlen = options.txqlen ?? 1000;
    this.input = (dev, p): void => dev.world.slab.free(p);
  }

  get kind(): string {
    return this.driver.kind;
  }
  get up(): boolean {
    return (this.adminFlags & IFF_UP) !== 0;
  }
  /** True when frames can pass: up, and something is at the other end. */
  get running(): boolean {
    return this.up && this.carrier;
  }
  /** IFF_* as `ip link` shows them. */
  get flags(): number {
    return this.adminFlags | (this.running ? IFF_RUNNING | IFF_LOWER_UP : 0);
  }

  /** Something is at the other end of the link, or no longer. */
  setCarrier(on: boolean): void {
    if (this.carrier === on) return;
    this.carrier = on;
    this.onCarrier?.();
  }

  /** Sends a frame (first byte: destination address). Owns the packet. */
  transmit(p: number): void {
    const { slab } = this.world;
    if (!this.running) {
      this.stats.txDropped++;
      slab.free(p);
      return;
    }
    this.world.probe?.hit({ point: 'net_dev_queue', host: '', p, device: this });
    if (this.netfilterEgress !== undefined && !this.netfilterEgress(this, p)) return;
    if (this.egress !== undefined && !this.egress(this, p)) return;
    this.#send(p);
  }

  /** Sends a frame past everything that looks at what leaves: XDP_TX and XDP_REDIRECT. Owns the packet. */
  transmitDirect(p: number): void {
    if (this.running) return this.#send(p);
    this.stats.txDropped++;
    this.world.slab.free(p);
  }

  #send(p: number): void {
    this.stats.txPackets++;
    this.stats.txBytes += this.world.slab.len(p);
    if (this.taps.size > 0) for (const tap of this.taps) tap(p, true);
    this.world.probe?.hit({ point: 'net_dev_start_xmit', host: '', p, device: this });
    this.driver.xmit(this, p);
  }

  /** A frame has arrived (first byte: destination address). Owns the packet. */
  receive(p: number): void {
    const { slab } = this.world;
    if (!this.up) {
      this.stats.rxDropped++;
      slab.free(p);
      return;
    }
    if (this.xdp !== undefined) return this.xdp.push(p);
    this.deliver(p);
  }

  /** A received frame goes on to captures and the host. Owns the packet. */
  deliver(p: number): void {
    this.stats.rxPackets++;
    this.stats.rxBytes += this.world.slab.len(p);
    if (this.taps.size > 0) for (const tap of this.taps) tap(p, false);
    this.input(this, p);
  }
}
