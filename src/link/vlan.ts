/**
 * VLAN devices (IEEE 802.1Q, 802.1ad): one tag of a device below, as a device of its own. Frames sent get the tag, frames
 * with the tag that arrive below come in here without it.
 */
import { DROP } from '../core/drop.ts';
import { type DeviceOptions, type Driver, NetDevice } from '../device/device.ts';
import { insertVlanTag } from '../device/frame.ts';
import type { DeviceRegistry } from '../device/registry.ts';
import * as ether from '../wire/ethernet.ts';

export type VlanTag = { readonly id: number; readonly protocol: number; readonly flags: number };

class VlanDriver implements Driver {
  readonly kind = 'vlan';
  readonly below: NetDevice;
  readonly tag: VlanTag;
  // What the device below did with frames before, and still does with those of other tags.
  readonly #input: NetDevice['input'];

  constructor(below: NetDevice, tag: VlanTag) {
    this.below = below;
    this.tag = tag;
    this.#input = below.input;
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

  /** The input of the device below, with this VLAN's frames taken out. */
  intercept(dev: NetDevice): (below: NetDevice, p: number) => void {
    return (below, p) => {
      const { slab } = below.world;
      const at = slab.head(p);
      const tagged =
        slab.len(p) >= ether.HEADER_LENGTH + ether.VLAN_HEADER_LENGTH &&
        ether.type(slab.dv, at) === this.tag.protocol &&
        (slab.dv.getUint16(at + ether.HEADER_LENGTH) & 0xfff) === this.tag.id;
      if (!tagged) {
        this.#input(below, p);
        return;
      }
      // The addresses move over the tag.
      slab.u8.copyWithin(at + ether.VLAN_HEADER_LENGTH, at, at + 12);
      slab.pull(p, ether.VLAN_HEADER_LENGTH);
      slab.setMac(p, slab.head(p));
      dev.receive(p);
    };
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
  below.input = driver.intercept(dev);
  registry.listen((event, other) => {
    if (other !== below || registry.get(dev.ifindex) !== dev) return;
    if (event === 'unregister') registry.unregister(dev);
    else if (event === 'up' || event === 'down' || event === 'carrier') registry.setCarrier(dev, below.running);
  });
  return dev;
}

/** The tag of a VLAN device; undefined for other devices. */
export function vlanOf(dev: NetDevice): VlanTag | undefined {
  return dev.driver instanceof VlanDriver ? dev.driver.tag : undefined;
}
