/**
 * The Ethernet bridge: learns where addresses are, forwards to one port or floods, passes up what is for the host, and
 * takes every frame through the bridge family's hooks. See Documentation/networking/bridge.rst, IEEE 802.1D.
 *
 *     port -> PREROUTING -> learn -> FORWARD -> POSTROUTING -> other port
 *                              \-> LOCAL_IN -> the bridge device's own input
 *
 * Spanning tree, VLAN filtering and multicast snooping are not here: frames for groups are flooded.
 */
import { DROP } from '../core/drop.ts';
import { EBUSY, EINVAL, KernelError } from '../core/errno.ts';
import type { Hooks } from '../core/hook.ts';
import { NO_OFFSET, PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import { type DeviceOptions, type Driver, NetDevice } from '../device/device.ts';
import type { DeviceRegistry } from '../device/registry.ts';
import * as ether from '../wire/ethernet.ts';
import {
  NF_ACCEPT,
  NF_BR_FORWARD,
  NF_BR_LOCAL_IN,
  NF_BR_LOCAL_OUT,
  NF_BR_POST_ROUTING,
  NF_BR_PRE_ROUTING,
  NFPROTO_BRIDGE,
} from '../wire/uapi/netfilter.ts';
import {
  IFF_LOOPBACK,
  IFLA_BR_AGEING_TIME,
  IFLA_BR_FORWARD_DELAY,
  IFLA_BR_HELLO_TIME,
  IFLA_BR_MAX_AGE,
  IFLA_BR_PRIORITY,
  IFLA_BR_STP_STATE,
  IFLA_BR_VLAN_FILTERING,
} from '../wire/uapi/rtnetlink.ts';

type Learned = { port: NetDevice; seen: number };

// USER_HZ ticks, as IFLA_BR_* carries times.
const TICK_NS = 1e7;
const FDB_MAX = 16_384;

export class Bridge implements Driver {
  readonly kind = 'bridge';
  readonly dev: NetDevice;
  /** IFLA_BR_* options; times in hundredths of a second. */
  readonly options: Map<number, number> = new Map([
    [IFLA_BR_FORWARD_DELAY, 1500],
    [IFLA_BR_HELLO_TIME, 200],
    [IFLA_BR_MAX_AGE, 2000],
    [IFLA_BR_AGEING_TIME, 30000],
    [IFLA_BR_STP_STATE, 0],
    [IFLA_BR_PRIORITY, 32768],
    [IFLA_BR_VLAN_FILTERING, 0],
  ]);
  readonly #world: World;
  readonly #hooks: Hooks;
  readonly #registry: DeviceRegistry;
  #ports: NetDevice[] = [];
  readonly #fdb = new Map<number, Learned>();
  // The address was set by hand: it no longer follows the ports'.
  #fixedAddress: boolean;

  constructor(world: World, hooks: Hooks, registry: DeviceRegistry, options: DeviceOptions, fixedAddress: boolean) {
    this.#world = world;
    this.#hooks = hooks;
    this.#registry = registry;
    this.#fixedAddress = fixedAddress;
    this.dev = new NetDevice(world, this, options);
    this.dev.carrier = false;
    registry.listen((event, dev) => {
      if (dev === this.dev && event === 'address') this.#fixedAddress = true;
      if (!this.#ports.includes(dev)) return;
      if (event === 'unregister') this.removePort(dev);
      else if (event === 'down') this.#forget(dev);
      if (event === 'up' || event === 'down' || event === 'carrier') this.#updateCarrier();
    });
  }

  /** Ports in the order they were added. */
  get ports(): readonly NetDevice[] {
    return this.#ports;
  }

  /** Makes a device a port: the host hands its frames to `receive`. */
  addPort(dev: NetDevice): void {
    if (dev === this.dev || dev.kind === 'bridge')
      throw new KernelError(EINVAL, 'Can not enslave a bridge to a bridge');
    if (dev.adminFlags & IFF_LOOPBACK) throw new KernelError(EINVAL);
    if (dev.master !== 0) throw new KernelError(EBUSY);
    this.#ports.push(dev);
    dev.master = this.dev.ifindex;
    dev.promiscuity++;
    this.#followAddress();
    this.dev.mtu = Math.min(...this.#ports.map((port) => port.mtu));
    this.#updateCarrier();
    this.#registry.notify('master', dev);
  }

  /** Takes a port out again. */
  removePort(dev: NetDevice): void {
    if (!this.#ports.includes(dev)) return;
    this.#ports = this.#ports.filter((port) => port !== dev);
    dev.master = 0;
    dev.promiscuity--;
    this.#forget(dev);
    this.#followAddress();
    this.#updateCarrier();
    this.#registry.notify('master', dev);
  }

  // A bridge without an address of its own has the lowest of its ports.
  #followAddress(): void {
    if (this.#fixedAddress || this.#ports.length === 0) return;
    const lowest = this.#ports.map((port) => port.address).sort(compareBytes)[0];
    this.dev.address.set(lowest);
  }

  #updateCarrier(): void {
    this.dev.setCarrier(this.#ports.some((port) => port.running));
  }

  #forget(dev: NetDevice): void {
    for (const [address, entry] of this.#fdb) if (entry.port === dev) this.#fdb.delete(address);
  }

  /** Addresses learned, with their ports (`bridge fdb`). */
  *learned(): Generator<{ readonly address: number; readonly port: NetDevice }> {
    for (const [address, entry] of this.#fdb) yield { address, port: entry.port };
  }

  remove(): void {
    for (const port of this.#ports) this.removePort(port);
  }

  /** The host sends by the bridge device. */
  xmit(dev: NetDevice, p: number): void {
    this.#locate(p, dev);
    if (this.#hooks.run(NFPROTO_BRIDGE, NF_BR_LOCAL_OUT, p, 0, this.#outOf(p)?.ifindex ?? 0) !== NF_ACCEPT) return;
    const at = this.#world.slab.head(p);
    const port = this.#outOf(p);
    if (port === undefined || ether.isMulticast(this.#world.slab.dv, at)) this.#flood(p, undefined, false);
    else this.#send(p, port);
  }

  // Where the headers are: hooks of the bridge family see the network header, the frame stays whole.
  #locate(p: number, dev: NetDevice): void {
    const { slab } = this.#world;
    const at = slab.head(p);
    slab.setMac(p, at);
    slab.setIif(p, dev.ifindex);
    const type = ether.type(slab.dv, at);
    slab.setProtocol(p, type);
    slab.setNetwork(p, at + ether.HEADER_LENGTH);
    slab.setTransport(p, NO_OFFSET);
    const own = sameAs(slab.u8, at, this.dev.address);
    slab.setPktType(
      p,
      ether.isBroadcast(slab.dv, at)
        ? PACKET_BROADCAST
        : ether.isMulticast(slab.dv, at)
          ? PACKET_MULTICAST
          : own
            ? PACKET_HOST
            : PACKET_OTHERHOST,
    );
  }

  #outOf(p: number): NetDevice | undefined {
    const { slab } = this.#world;
    const entry = this.#fdb.get(macKey(slab.u8, slab.head(p)));
    if (entry === undefined) return undefined;
    if (this.#world.now - entry.seen > (this.options.get(IFLA_BR_AGEING_TIME) ?? 0) * TICK_NS) return undefined;
    return entry.port;
  }

  /** A frame has come in by a port; its data begin behind the Ethernet header. Owns the packet. */
  receive(port: NetDevice, p: number): void {
    const world = this.#world;
    const { slab } = world;
    if (!this.dev.up || !slab.push(p, slab.head(p) - slab.mac(p))) {
      world.drop(p, DROP.DEV_READY);
      return;
    }
    const at = slab.head(p);
    // A source that is a group is never right; 01:80:c2:00:00:0x are for the bridge itself and go no further.
    if (slab.u8[at + ether.SRC] & 1) {
      world.drop(p, DROP.BRIDGE_INGRESS_STP_STATE);
      return;
    }
    this.#locate(p, port);
    slab.setPhysin(p, port.ifindex);
    if (isReserved(slab.u8, at)) {
      this.#passUp(p);
      return;
    }
    if (this.#hooks.run(NFPROTO_BRIDGE, NF_BR_PRE_ROUTING, p, port.ifindex, 0) !== NF_ACCEPT) return;
    this.#learn(port, macKey(slab.u8, slab.head(p) + ether.SRC));
    const to = slab.head(p);
    if (slab.u8[to] & 1) {
      // For everyone: a copy for the host, the frame itself for the other ports.
      const copy = slab.copy(p);
      if (copy >= 0) this.#passUp(copy);
      this.#flood(p, port, true);
      return;
    }
    if (sameAs(slab.u8, to, this.dev.address) || this.#ports.some((own) => sameAs(slab.u8, to, own.address))) {
      slab.setPktType(p, PACKET_HOST);
      this.#passUp(p);
      return;
    }
    const out = this.#outOf(p);
    if (out === undefined) this.#flood(p, port, true);
    else if (out === port) world.drop(p, DROP.BRIDGE_NO_EGRESS_PORT);
    else this.#forward(p, port, out);
  }

  #learn(port: NetDevice, address: number): void {
    const entry = this.#fdb.get(address);
    if (entry !== undefined) {
      entry.port = port;
      entry.seen = this.#world.now;
      return;
    }
    if (this.#fdb.size >= FDB_MAX) this.#age();
    if (this.#fdb.size < FDB_MAX) this.#fdb.set(address, { port, seen: this.#world.now });
  }

  #age(): void {
    const limit = this.#world.now - (this.options.get(IFLA_BR_AGEING_TIME) ?? 0) * TICK_NS;
    for (const [address, entry] of this.#fdb) if (entry.seen < limit) this.#fdb.delete(address);
  }

  #passUp(p: number): void {
    const { slab } = this.#world;
    const physin = slab.physin(p);
    if (this.#hooks.run(NFPROTO_BRIDGE, NF_BR_LOCAL_IN, p, physin, 0) !== NF_ACCEPT) return;
    slab.setIif(p, this.dev.ifindex);
    this.dev.receive(p);
  }

  #forward(p: number, from: NetDevice, to: NetDevice): void {
    this.#world.slab.setPhysout(p, to.ifindex);
    if (this.#hooks.run(NFPROTO_BRIDGE, NF_BR_FORWARD, p, from.ifindex, to.ifindex) !== NF_ACCEPT) return;
    this.#send(p, to);
  }

  #send(p: number, to: NetDevice): void {
    const { slab } = this.#world;
    slab.setPhysout(p, to.ifindex);
    if (this.#hooks.run(NFPROTO_BRIDGE, NF_BR_POST_ROUTING, p, 0, to.ifindex) !== NF_ACCEPT) return;
    if (slab.len(p) > to.mtu + ether.HEADER_LENGTH + ether.VLAN_HEADER_LENGTH) this.#world.drop(p, DROP.PKT_TOO_BIG);
    else to.transmit(p);
  }

  #flood(p: number, from: NetDevice | undefined, forwarding: boolean): void {
    const { slab } = this.#world;
    let sent = false;
    for (const dev of this.#ports) {
      if (dev === from || !dev.running) continue;
      const copy = slab.copy(p);
      if (copy < 0) break;
      sent = true;
      if (forwarding && from !== undefined) this.#forward(copy, from, dev);
      else this.#send(copy, dev);
    }
    if (sent) slab.free(p);
    else this.#world.drop(p, DROP.BRIDGE_NO_EGRESS_PORT);
  }
}

/** The bridge behind a device, if it is one. */
export function bridgeOf(dev: NetDevice): Bridge | undefined {
  return dev.driver instanceof Bridge ? dev.driver : undefined;
}

// Six address bytes as one number.
function macKey(u8: Uint8Array, at: number): number {
  return (
    (u8[at] * 256 + u8[at + 1]) * 0x1_0000_0000 +
    ((u8[at + 2] << 24) >>> 0) +
    ((u8[at + 3] << 16) | (u8[at + 4] << 8) | u8[at + 5])
  );
}

function sameAs(u8: Uint8Array, at: number, address: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (u8[at + i] !== address[i]) return false;
  return true;
}

function isReserved(u8: Uint8Array, at: number): boolean {
  return (
    u8[at] === 1 &&
    u8[at + 1] === 0x80 &&
    u8[at + 2] === 0xc2 &&
    u8[at + 3] === 0 &&
    u8[at + 4] === 0 &&
    u8[at + 5] < 16
  );
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
