/** What rtnetlink sees of a host's attached programs. A host without eBPF answers without making one. */
import { ENODEV, KernelError } from '../../core/errno.ts';
import type { NetDevice } from '../../device/device.ts';
import type { Host } from '../../netns/host.ts';
import type { TcHostView } from './host.ts';

/** Filters get these preferences and handles when none are asked for. */
const FIRST_PREF = 49152;

export function tcView(host: Host): TcHostView {
  const device = (ifindex: number): NetDevice => {
    const dev = host.devices.get(ifindex);
    if (dev === undefined) throw new KernelError(ENODEV, 'Cannot find device');
    return dev;
  };
  return {
    devices: () => [...host.devices].map((d) => d.ifindex),
    hasClsact: (ifindex) => host.hasBpf && host.bpf.hooksOf(ifindex).clsact,
    setClsact(ifindex, on): void {
      host.bpf.setClsact(device(ifindex), on);
    },
    filters(ifindex) {
      if (!host.hasBpf) return [];
      const hooks = host.bpf.hooksOf(ifindex);
      return (['ingress', 'egress'] as const).flatMap((direction) =>
        (hooks[direction]?.filters ?? []).map((f) => ({ ...f, direction, program: f.loaded.id })),
      );
    },
    addFilter(ifindex, filter, replace): void {
      const dev = device(ifindex);
      const loaded = host.bpf.tcProgram(filter.program);
      const hook = host.bpf.tc(dev, filter.direction);
      const prio = filter.prio !== 0 ? filter.prio : (hook.filters[0]?.prio ?? FIRST_PREF + 1) - 1;
      hook.addFilter(
        {
          prio,
          handle: filter.handle !== 0 ? filter.handle : hook.filters.filter((f) => f.prio === prio).length + 1,
          protocol: filter.protocol,
          directAction: filter.directAction,
          name: filter.name,
          loaded,
        },
        replace,
      );
      host.bpf.refresh(dev);
    },
    removeFilters(ifindex, direction, prio, handle): number {
      const dev = device(ifindex);
      const removed = host.bpf.tc(dev, direction).removeFilters(prio, handle);
      host.bpf.refresh(dev);
      return removed;
    },
    xdp: (ifindex) => (host.hasBpf ? (host.bpf.hooksOf(ifindex).xdp?.loaded.id ?? 0) : 0),
    setXdp(ifindex, program, onlyIfNone): void {
      if (program === 0 && !host.hasBpf) return;
      host.bpf.attachXdp(device(ifindex), program, onlyIfNone);
    },
  };
}
