/**
 * The devices of one host, by index and by name, and who wants to hear of them.
 */
import { EBUSY, EEXIST, EINVAL, KernelError } from '../core/errno.ts';
import { IFF_UP } from '../wire/uapi/rtnetlink.ts';
import type { NetDevice } from './device.ts';

/** What happened to a device (the kernel's NETDEV_* events). */
export type DeviceEvent =
  | 'register'
  | 'unregister'
  | 'up'
  | 'down'
  | 'change'
  | 'rename'
  | 'address'
  | 'mtu'
  | 'carrier'
  | 'master';
export type DeviceListener = (event: DeviceEvent, dev: NetDevice) => void;

const IFNAMSIZ = 16;

/** True for a name that Linux takes: 1 to 15 characters without slash, colon and white space, not "." or "..". */
export function validDeviceName(name: string): boolean {
  return name.length > 0 && name.length < IFNAMSIZ && name !== '.' && name !== '..' && !/[/:\s]/.test(name);
}

export class DeviceRegistry {
  readonly #byIndex: (NetDevice | undefined)[] = [];
  readonly #byName = new Map<string, NetDevice>();
  readonly #listeners: DeviceListener[] = [];
  #next = 1;

  /** Devices in the order of their indices. */
  *[Symbol.iterator](): Iterator<NetDevice> {
    for (const dev of this.#byIndex) if (dev) yield dev;
  }

  get(ifindex: number): NetDevice | undefined {
    return this.#byIndex[ifindex];
  }
  byName(name: string): NetDevice | undefined {
    return this.#byName.get(name);
  }

  /** Calls `fn` for every later event. Listeners are told in the order they came. */
  listen(fn: DeviceListener): void {
    this.#listeners.push(fn);
  }

  notify(event: DeviceEvent, dev: NetDevice): void {
    for (const listener of this.#listeners) listener(event, dev);
  }

  /** The first free name of a pattern like "veth%d". */
  freeName(pattern: string): string {
    if (!pattern.includes('%d')) return pattern;
    for (let n = 0; ; n++) {
      const name = pattern.replace('%d', String(n));
      if (!this.#byName.has(name)) return name;
    }
  }

  /** Adds a device; it gets the next index, or `ifindex`. EINVAL for a bad name, EEXIST for a taken one. */
  register(dev: NetDevice, ifindex = 0): NetDevice {
    if (!validDeviceName(dev.name)) throw new KernelError(EINVAL, 'invalid device name');
    if (this.#byName.has(dev.name)) throw new KernelError(EEXIST);
    if (ifindex !== 0 && this.#byIndex[ifindex]) throw new KernelError(EBUSY);
    dev.ifindex = ifindex || this.#next;
    this.#next = Math.max(this.#next, dev.ifindex + 1);
    this.#byIndex[dev.ifindex] = dev;
    this.#byName.set(dev.name, dev);
    dev.onCarrier = (): void => this.notify('carrier', dev);
    this.notify('register', dev);
    return dev;
  }

  /** Takes a device out: it goes down first. */
  unregister(dev: NetDevice): void {
    if (this.#byIndex[dev.ifindex] !== dev) return;
    this.setUp(dev, false);
    this.notify('unregister', dev);
    this.#byIndex[dev.ifindex] = undefined;
    this.#byName.delete(dev.name);
    dev.driver.remove?.(dev);
  }

  rename(dev: NetDevice, name: string): void {
    if (name === dev.name) return;
    if (!validDeviceName(name)) throw new KernelError(EINVAL);
    if (this.#byName.has(name)) throw new KernelError(EEXIST);
    this.#byName.delete(dev.name);
    dev.name = name;
    this.#byName.set(name, dev);
    this.notify('rename', dev);
  }

  setUp(dev: NetDevice, up: boolean): void {
    if (dev.up === up) return;
    if (up) {
      dev.adminFlags |= IFF_UP;
      dev.driver.open?.(dev);
      this.notify('up', dev);
    } else {
      dev.adminFlags &= ~IFF_UP;
      dev.driver.stop?.(dev);
      this.notify('down', dev);
    }
  }

  setAddress(dev: NetDevice, address: Uint8Array): void {
    if (address.length !== dev.address.length) throw new KernelError(EINVAL);
    dev.address.set(address);
    this.notify('address', dev);
  }

  setMtu(dev: NetDevice, mtu: number): void {
    if (mtu < 68 || mtu > 65_535)
      throw new KernelError(EINVAL, mtu < 68 ? 'mtu less than device minimum' : 'mtu greater than device maximum');
    dev.mtu = mtu;
    this.notify('mtu', dev);
  }
}
