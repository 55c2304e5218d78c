/**
 * Netfilter's egress hook of the netdev family: sees every frame that a device is about to send, before tc does
 * (linux/netfilter_netdev.h, nf_hook_egress).
 */
import type { Hooks } from '../core/hook.ts';
import { NO_OFFSET, type Slab } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';
import * as ethernet from '../wire/ethernet.ts';
import { NF_ACCEPT, NF_NETDEV_EGRESS, NFPROTO_NETDEV } from '../wire/uapi/netfilter.ts';

/** The function for `NetDevice.netfilterEgress`: false when a chain has taken the packet. */
export function egressHook(hooks: Hooks, slab: Slab): (dev: NetDevice, p: number) => boolean {
  return (dev, p) => {
    if (hooks.list(NFPROTO_NETDEV, NF_NETDEV_EGRESS, dev.ifindex).length === 0) return true;
    const mac = slab.head(p);
    if (!ethernet.check(slab.len(p))) return true;
    // The link header of now, not the one the packet came in with.
    slab.setMac(p, mac);
    if (slab.network(p) === NO_OFFSET) {
      slab.setNetwork(p, mac + ethernet.HEADER_LENGTH);
      slab.setProtocol(p, ethernet.type(slab.dv, mac));
    }
    return hooks.run(NFPROTO_NETDEV, NF_NETDEV_EGRESS, p, 0, dev.ifindex, dev.ifindex) === NF_ACCEPT;
  };
}
