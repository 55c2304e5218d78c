/**
 * VLAN devices (IEEE 802.1Q, 802.1ad): one tag of a device below, as a device of its own. Frames sent get the tag, frames
 * with the tag that arrive below come in here without it (the host finds the device, `vlanOn`).
 */
import { DROP } from '../core/drop.ts';
import { type DeviceOptions, type Driver, NetDevice } from '../device/device.ts';
import { insertVlanTag } from '../device/frame.ts';
import type { DeviceRegistry } from '../device/registry.ts';

export type VlanTag = { readonly id: number; readonly protocol: number; readonly flags: number };

class VlanDriver implements Driver {
  readonly kind = 'vlan';
  readonly below: NetDevice;
  readonly tag: VlanTag;

  constructor(below: NetDevice, tag: VlanTag) {
    this.below = below;
    this.tag = tag;
  }

  xmit(dev: NetDevice, p: number): void {
    const { slab } = dev.world;
    if (!insertVlanTag(slab, p)) {
      dev.world.drop(p, DROP.DEV_HDR);
      return;
    }
    slab.setVlan(p, this.tag.protocol, this.tag.id);
    this.below.transmit(p);
  }
}

/** A VLAN of `below`. Its carrier follows that of the device below. */
export function vlanDevice(
  registry: DeviceRegistry,
  options: DeviceOptions,
  below: NetDevice,
  tag: VlanTag,
): NetDevice {
  const driver = new VlanDriver(below, tag);
  const dev = new NetDevice(below.world, driver, options);
  dev.link = below.ifindex;
  dev.carrier = below.running;
  registry.listen((event, other) => {
    if (other !== below || registry.get(dev.ifindex) !== dev) return;
    if (event === 'unregister') registry.unregister(dev);
    else if (event === 'up' || event === 'down' || event === 'carrier') dev.setCarrier(below.running);
  });
  return dev;
}

/** The tag of a VLAN device; undefined for other devices. */
export function vlanOf(dev: NetDevice): VlanTag | undefined {
  return dev.driver instanceof VlanDriver ? dev.driver.tag : undefined;
}

/** The VLAN device of a tag on `below`, if there is one. */
export function vlanOn(
  registry: DeviceRegistry,
  below: NetDevice,
  protocol: number,
  id: number,
): NetDevice | undefined {
  for (const dev of registry) {
    const driver = dev.driver;
    if (
      driver instanceof VlanDriver &&
      driver.below === below &&
      driver.tag.id === id &&
      driver.tag.protocol === protocol
    )
      return dev;
  }
  return undefined;
}
