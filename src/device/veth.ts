/**
 * veth: two devices, back to back; what one sends the other receives. The ends may lie in different hosts.
 */
import { DROP } from '../core/drop.ts';
import { PKT_TRACE } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import { type DeviceOptions, type Driver, NetDevice } from './device.ts';
import { insertVlanTag, scrub } from './frame.ts';

/** Told of each frame on its way from one end to the other; true when it has taken the packet (delay, loss). */
export type LinkFilter = (p: number, deliver: (p: number) => void) => boolean;

class VethDriver implements Driver {
  readonly kind = 'veth';
  peer: NetDevice | undefined;
  /** Impairments of this direction, if any. */
  filter: LinkFilter | undefined;
  readonly #deliver = (p: number): void => {
    const peer = this.peer;
    if (peer) peer.receive(p);
  };

  // A link is there while both ends are up.
  open(dev: NetDevice): void {
    const peer = this.peer;
    if (!peer?.up) return;
    dev.setCarrier(true);
    peer.setCarrier(true);
  }
  stop(dev: NetDevice): void {
    dev.setCarrier(false);
    this.peer?.setCarrier(false);
  }

  xmit(dev: NetDevice, p: number): void {
    const { slab } = dev.world;
    if (this.peer === undefined || !this.peer.up) {
      dev.stats.txDropped++;
      dev.world.drop(p, DROP.DEV_READY);
      return;
    }
    if (!insertVlanTag(slab, p)) {
      dev.world.drop(p, DROP.DEV_HDR);
      return;
    }
    scrub(slab, p);
    slab.setFlags(p, slab.flags(p) & PKT_TRACE);
    if (this.filter?.(p, this.#deliver)) return;
    this.#deliver(p);
  }
}

export type VethPair = {
  readonly a: NetDevice;
  readonly b: NetDevice;
  /** Sets what happens to frames from a to b and from b to a. */
  impair(aToB: LinkFilter | undefined, bToA: LinkFilter | undefined): void;
};

/** Two devices that are each other's peer. Register each in its host. */
export function vethPair(world: World, a: DeviceOptions, b: DeviceOptions): VethPair {
  const da = new VethDriver();
  const db = new VethDriver();
  const deviceA = new NetDevice(world, da, a);
  const deviceB = new NetDevice(world, db, b);
  da.peer = deviceB;
  db.peer = deviceA;
  // Carrier: the other end is up.
  deviceA.carrier = false;
  deviceB.carrier = false;
  return {
    a: deviceA,
    b: deviceB,
    impair(aToB, bToA): void {
      da.filter = aToB;
      db.filter = bToA;
    },
  };
}

/** The other end of a veth device; undefined for other devices. */
export function vethPeer(dev: NetDevice): NetDevice | undefined {
  return dev.driver instanceof VethDriver ? dev.driver.peer : undefined;
}
