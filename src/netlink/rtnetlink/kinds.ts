/**
 * Bridge and VLAN devices for rtnetlink: how a host makes them and what it tells of them.
 */
import { Bridge, bridgeOf } from '../../link/bridge.ts';
import { vlanDevice, vlanOf, vlanOn } from '../../link/vlan.ts';
import type { Host } from '../../netns/host.ts';
import type { LinkKinds } from './device-links.ts';

/** The kinds a network namespace has beside veth and dummy; tells the host where their frames go. */
export function linkKinds(inet: Host): LinkKinds {
  inet.bridgeInput = (dev, p): boolean => {
    const master = inet.devices.get(dev.master);
    const bridge = master === undefined ? undefined : bridgeOf(master);
    bridge?.receive(dev, p);
    return bridge !== undefined;
  };
  inet.vlanDevice = (dev, proto, id) => vlanOn(inet.devices, dev, proto, id);
  return {
    bridge: (options, fixedAddress) => new Bridge(inet.world, inet.hooks, inet.devices, options, fixedAddress).dev,
    vlan: (options, below, tag) => vlanDevice(inet.devices, options, below, tag),
    vlanOf,
    bridgeOptions: (dev) => bridgeOf(dev)?.options,
    setBridgeOptions(dev, options): void {
      for (const [type, value] of options) bridgeOf(dev)?.options.set(type, value);
    },
    addPort: (bridge, port) => bridgeOf(bridge)?.addPort(port),
    removePort: (bridge, port) => bridgeOf(bridge)?.removePort(port),
    setAddrGenMode(dev, mode): void {
      inet.sysctls.write(`net.ipv6.conf.${dev.name.replaceAll('.', '/')}.addr_gen_mode`, String(mode));
    },
  };
}
