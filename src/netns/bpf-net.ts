/** What helpers ask of the network around a program (bpf/runtime/net.ts), answered by a host. */
import { type NetDevice as BpfDevice, type NetHooks, NO_NET } from '../bpf/runtime/net.ts';
import { ENODEV } from '../core/errno.ts';
import { ARPHRD_ETHER, ARPHRD_LOOPBACK } from '../device/device.ts';
import { hostConntrack } from './bpf-ct.ts';
import { BpfFib } from './bpf-fib.ts';
import type { BpfSocks } from './bpf-sock.ts';
import { hostSocketHooks } from './bpf-sock-net.ts';
import type { Host } from './host.ts';

const BPF_F_INGRESS = 1;

/** Routes, neighbours, devices and sockets are the host's. */
export function hostNet(host: Host, socks: () => BpfSocks): NetHooks {
  const fib = new BpfFib(host);
  return {
    ...NO_NET,
    ...hostSocketHooks(host, socks),
    conntrack: hostConntrack(host.conntrack, host.nat),
    device(ifindex): BpfDevice | undefined {
      const dev = host.devices.get(ifindex);
      if (dev === undefined) return undefined;
      const ethernet = dev.type === ARPHRD_ETHER || dev.type === ARPHRD_LOOPBACK;
      return { index: ifindex, mtu: dev.mtu, up: dev.up, hardHeaderLen: ethernet ? 14 : 0 };
    },
    fibLookup: (run, params, flags) => fib.lookup(params, flags, run.packet < 0 ? 0 : host.world.slab.mark(run.packet)),
    clone(packet, ifindex, flags): number {
      const dev = host.devices.get(ifindex);
      if (dev === undefined) {
        host.world.slab.free(packet);
        return -ENODEV;
      }
      if ((flags & BPF_F_INGRESS) !== 0) dev.deliver(packet);
      else dev.transmit(packet);
      return 0;
    },
  };
}
