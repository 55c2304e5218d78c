/**
 * Devices of a few lines: loopback, dummy, and a port whose other end is a program (tests, `netloom try`, captures).
 */
import type { World } from '../core/world.ts';
import { IFF_BROADCAST, IFF_LOOPBACK, IFF_NOARP } from '../wire/uapi/rtnetlink.ts';
import { ARPHRD_LOOPBACK, type DeviceOptions, NetDevice } from './device.ts';
import { insertVlanTag } from './frame.ts';

/** lo: what it sends it receives. */
export function loopbackDevice(world: World): NetDevice {
  return new NetDevice(
    world,
    { kind: 'loopback', xmit: (dev, p): void => dev.receive(p) },
    { name: 'lo', type: ARPHRD_LOOPBACK, mtu: 65_536, flags: IFF_LOOPBACK, txqlen: 1000 },
  );
}

/** dummy: sends into nothing. */
export function dummyDevice(world: World, options: DeviceOptions): NetDevice {
  return new NetDevice(
    world,
    { kind: 'dummy', xmit: (dev, p): void => dev.world.slab.free(p) },
    { flags: IFF_BROADCAST | IFF_NOARP, ...options },
  );
}

/** A device whose other end is a function: frames the host sends are handed over as bytes. */
export function portDevice(
  world: World,
  options: DeviceOptions,
  output: (frame: Uint8Array, p: number) => void,
): NetDevice {
  return new NetDevice(
    world,
    {
      kind: 'tun',
      xmit(dev, p): void {
        if (insertVlanTag(dev.world.slab, p)) output(dev.world.slab.bytes(p), p);
        dev.world.slab.free(p);
      },
    },
    options,
  );
}

/** Lets a frame arrive at a device; false when the packet memory is full or the frame does not fit. */
export function inject(dev: NetDevice, frame: Uint8Array, flags = 0): boolean {
  const p = dev.world.slab.from(frame);
  if (p < 0) return false;
  dev.world.slab.setFlags(p, flags);
  dev.receive(p);
  return true;
}
