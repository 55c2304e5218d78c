/**
 * eBPF on one host: its bpf(2), and what is attached where. Made when first asked for, so that a host without programs
 * pays one look at a field per packet.
 */

import { Machine } from '../bpf/runtime/machine.ts';
import type { Redirect } from '../bpf/runtime/run.ts';
import { BpfSystem, type LoadedProgram } from '../bpf/system.ts';
import { DROP } from '../core/drop.ts';
import { EBUSY, EINVAL, ENOENT, KernelError } from '../core/errno.ts';
import { PKT_TRACE } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';
import { scrub } from '../device/frame.ts';
import { vethPeer } from '../device/veth.ts';
import { XdpHook } from '../device/xdp.ts';
import { wordsOf } from '../inet/words.ts';
import { TcHook } from '../sched/tc-hook.ts';
import type { FilterMaker } from '../transport/endpoint/sockets.ts';
import { AF_INET } from '../wire/address.ts';
import {
  BPF_CGROUP_INET_EGRESS,
  BPF_CGROUP_INET_INGRESS,
  BPF_MAP_TYPE_CPUMAP,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_XDP,
  BPF_SK_LOOKUP,
} from '../wire/uapi/bpf.ts';
import { CgroupHook } from './bpf-cgroup.ts';
import { BpfFib, type NextHop } from './bpf-fib.ts';
import { SocketFilters } from './bpf-filter.ts';
import { hostNet } from './bpf-net.ts';
import { SkLookup } from './bpf-sk-lookup.ts';
import { BpfSocks } from './bpf-sock.ts';
import { CGROUP_SOCKET_ATTACH, SocketCgroup } from './bpf-sock-cgroup.ts';
import type { Host } from './host.ts';

const BPF_F_INGRESS = 1;
const BPF_F_BROADCAST = 8;
const BPF_F_EXCLUDE_INGRESS = 16;

export type TcDirection = 'ingress' | 'egress';

/** What is attached to a device. */
export type DeviceHooks = {
  xdp: XdpHook | undefined;
  /** A clsact qdisc is there; filters need it, tcx does not. */
  clsact: boolean;
  ingress: TcHook | undefined;
  egress: TcHook | undefined;
};

const NONE: DeviceHooks = { xdp: undefined, clsact: false, ingress: undefined, egress: undefined };

export class BpfHost {
  readonly system: BpfSystem;
  readonly #host: Host;
  readonly #hooks = new Map<number, DeviceHooks>();
  readonly #fib: BpfFib;
  #cgroup: CgroupHook | undefined;
  readonly socks: BpfSocks;
  readonly #filters: SocketFilters;

  constructor(host: Host) {
    this.#host = host;
    this.#fib = new BpfFib(host);
    const { world } = host;
    this.system = new BpfSystem(
      new Machine({
        slab: world.slab,
        env: {
          now: () => world.now,
          random: () => world.random.u32(),
          printk: (text) => host.printk(`bpf_trace_printk: ${text}`),
          timer: (ns, fire) => {
            const timer = world.timers.arm(world.now + ns, fire);
            return () => world.timers.cancel(timer);
          },
        },
        net: hostNet(host, () => this.socks),
      }),
    );
    const { machine, links } = this.system;
    const { sockets } = host;
    this.socks = new BpfSocks(machine, sockets);
    this.#filters = new SocketFilters(this.system, this.socks, sockets);
    const sockCgroup = new SocketCgroup(machine, this.socks, sockets.programs);
    links.register(CGROUP_SOCKET_ATTACH, (loaded, to) => sockCgroup.attach(loaded, to.attachType));
    links.register([BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS], (loaded, to) => {
      this.attachCgroup(loaded.id, to.attachType);
      return () => this.detachCgroup(loaded.id, to.attachType);
    });
    const lookup = new SkLookup(machine, this.socks, sockets.demux);
    links.register([BPF_SK_LOOKUP], (loaded) => lookup.attach(loaded));
    host.devices.listen((event, dev) => {
      if (event === 'unregister') this.#deviceGone(dev);
    });
  }

  /** What SO_ATTACH_FILTER and its kin call. */
  get filters(): FilterMaker {
    return this.#filters;
  }

  hooksOf(ifindex: number): DeviceHooks {
    return this.#hooks.get(ifindex) ?? NONE;
  }

  #hooksFor(dev: NetDevice): DeviceHooks {
    let hooks = this.#hooks.get(dev.ifindex);
    if (hooks === undefined) {
      hooks = { ...NONE };
      this.#hooks.set(dev.ifindex, hooks);
    }
    return hooks;
  }

  /** A loaded program by number; throws KernelError. */
  program(id: number): LoadedProgram {
    const loaded = this.system.programs.get(id);
    if (loaded === undefined) throw new KernelError(ENOENT, `there is no BPF program with id ${id}`);
    return loaded;
  }

  /** Puts an XDP program on a device, or (id 0) takes it off. `onlyIfNone`: XDP_FLAGS_UPDATE_IF_NOEXIST. */
  attachXdp(dev: NetDevice, id: number, onlyIfNone = false): void {
    const hooks = this.#hooksFor(dev);
    if (id === 0) {
      hooks.xdp?.close();
      hooks.xdp = dev.xdp = undefined;
      return;
    }
    const loaded = this.program(id);
    if (loaded.spec.type !== BPF_PROG_TYPE_XDP) throw new KernelError(EINVAL, 'not an XDP program');
    if (onlyIfNone && hooks.xdp !== undefined) throw new KernelError(EBUSY, 'XDP program already attached');
    const hook = new XdpHook(dev, this.system.machine, loaded, {
      redirect: (from, p, to) => this.#xdpRedirect(from, p, to),
      exception: (from, program, verdict) =>
        this.#host.printk(`xdp_exception: ${from.name}: program ${program.name} returned ${verdict}`),
    });
    hooks.xdp?.close();
    hooks.xdp = dev.xdp = hook;
  }

  /** The tc place of a device, made when it is not there. */
  tc(dev: NetDevice, direction: TcDirection): TcHook {
    const hooks = this.#hooksFor(dev);
    let hook = hooks[direction];
    if (hook === undefined) {
      hook = new TcHook(
        this.system.machine,
        { redirect: (_from, p, to) => this.#tcRedirect(p, to) },
        direction === 'egress',
      );
      hooks[direction] = hook;
    }
    return hook;
  }

  /** A program that tc may run; throws KernelError. */
  tcProgram(id: number): LoadedProgram {
    const loaded = this.program(id);
    const { type } = loaded.spec;
    if (type !== BPF_PROG_TYPE_SCHED_CLS && type !== BPF_PROG_TYPE_SCHED_ACT)
      throw new KernelError(EINVAL, 'not a tc program');
    return loaded;
  }

  /** Tells the device's paths what is attached; after every change. */
  refresh(dev: NetDevice): void {
    const { ingress, egress } = this.hooksOf(dev.ifindex);
    dev.ingress = ingress === undefined || ingress.empty ? undefined : (d, p): boolean => ingress.run(d, p);
    dev.egress = egress === undefined || egress.empty ? undefined : (d, p): boolean => egress.run(d, p);
  }

  setClsact(dev: NetDevice, on: boolean): void {
    const hooks = this.#hooksFor(dev);
    if (on && hooks.clsact) throw new KernelError(EINVAL, 'Exclusivity flag on, cannot modify');
    if (!on && !hooks.clsact) throw new KernelError(EINVAL, 'Cannot find specified qdisc on specified device');
    hooks.clsact = on;
    if (on) return;
    hooks.ingress?.removeFilters(0, 0);
    hooks.egress?.removeFilters(0, 0);
    this.refresh(dev);
  }

  /** Puts a cgroup_skb program on the host's cgroup (BPF_CGROUP_INET_INGRESS or _EGRESS). */
  attachCgroup(id: number, attachType: number): void {
    this.#cgroup ??= new CgroupHook(this.system.machine);
    const cgroup = this.#cgroup;
    cgroup.attach(this.program(id), attachType);
    this.#host.socketGate = (p, egress) => cgroup.allows(p, egress, this.system.machine.net.socketOf(p));
    this.#host.sockets.programs.ingress = (sk, p) => cgroup.allows(p, false, this.socks.address(sk));
  }
  detachCgroup(id: number, attachType: number): void {
    if (this.#cgroup === undefined) throw new KernelError(ENOENT, 'the program is not attached');
    this.#cgroup.detach(id, attachType);
    if (!this.#cgroup.empty) return;
    this.#host.socketGate = undefined;
    this.#host.sockets.programs.ingress = undefined;
  }
  /** What is attached to the host's cgroup. */
  cgroupPrograms(attachType: number): readonly LoadedProgram[] {
    return this.#cgroup?.programs(attachType) ?? [];
  }

  /** Takes a program away, unless something runs it. */
  unload(id: number): void {
    this.program(id);
    for (const [ifindex, hooks] of this.#hooks) {
      const used =
        hooks.xdp?.loaded.id === id ||
        [hooks.ingress, hooks.egress].some(
          (h) => h?.tcx.some((t) => t.id === id) || h?.filters.some((f) => f.loaded.id === id),
        );
      if (used) throw new KernelError(EBUSY, `the program is attached to ${this.#host.devices.get(ifindex)?.name}`);
    }
    if ([BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS].some((t) => this.cgroupPrograms(t).some((p) => p.id === id)))
      throw new KernelError(EBUSY, 'the program is attached to the cgroup');
    if (this.#filters.uses(id)) throw new KernelError(EBUSY, 'the program is attached to a socket');
    if (this.system.links.holds(id)) throw new KernelError(EBUSY, 'a link holds the program');
    this.system.unloadProgram(id);
  }

  #deviceGone(dev: NetDevice): void {
    const hooks = this.#hooks.get(dev.ifindex);
    if (hooks === undefined) return;
    hooks.xdp?.close();
    hooks.ingress?.close();
    hooks.egress?.close();
    dev.xdp = dev.ingress = dev.egress = undefined;
    this.#hooks.delete(dev.ifindex);
  }

  #xdpRedirect(from: NetDevice, p: number, to: Redirect): boolean {
    if (to.kind === 'device') return this.#send(to.ifindex, p, DROP.XDP);
    const map = this.system.machine.maps[to.map];
    if (to.kind !== 'map' || map === undefined) return this.#lost(p, DROP.XDP);
    if (map.type === BPF_MAP_TYPE_CPUMAP) {
      // There is one processor: the frame goes up the stack on it.
      from.deliver(p);
      return true;
    }
    if (map.type !== BPF_MAP_TYPE_DEVMAP && map.type !== BPF_MAP_TYPE_DEVMAP_HASH) return this.#lost(p, DROP.XDP);
    if ((to.flags & BPF_F_BROADCAST) !== 0) return this.#broadcast(from, p, to);
    const value = map.userLookup(word(to.key), 0);
    return typeof value === 'number' ? this.#lost(p, DROP.XDP) : this.#send(readWord(value), p, DROP.XDP);
  }

  #broadcast(from: NetDevice, p: number, to: Redirect): boolean {
    const map = this.system.machine.maps[to.map]!;
    const { slab } = this.#host.world;
    const targets: number[] = [];
    for (let key = map.userNextKey(undefined); typeof key !== 'number'; key = map.userNextKey(key)) {
      const value = map.userLookup(key, 0);
      if (typeof value === 'number') continue;
      const ifindex = readWord(value);
      if (ifindex === 0 || ((to.flags & BPF_F_EXCLUDE_INGRESS) !== 0 && ifindex === from.ifindex)) continue;
      targets.push(ifindex);
    }
    if (targets.length === 0) return this.#lost(p, DROP.XDP);
    targets.forEach((ifindex, i) => {
      const copy = i === targets.length - 1 ? p : slab.copy(p);
      if (copy >= 0) this.#send(ifindex, copy, DROP.XDP);
    });
    return true;
  }

  #tcRedirect(p: number, to: Redirect): boolean {
    const { world, devices } = this.#host;
    const dev = devices.get(to.ifindex);
    if (dev === undefined) return false;
    if (to.kind === 'peer') {
      const peer = vethPeer(dev);
      if (peer === undefined || !peer.up) return false;
      const flags = world.slab.flags(p) & PKT_TRACE;
      scrub(world.slab, p);
      world.slab.setFlags(p, flags);
      peer.deliver(p);
      return true;
    }
    if (to.kind === 'neigh') return this.#toNeighbour(dev, p, to);
    if (!dev.up) return false;
    if ((to.flags & BPF_F_INGRESS) !== 0) dev.deliver(p);
    else dev.transmit(p);
    return true;
  }

  /** bpf_redirect_neigh: the kernel finds the link-layer address. */
  #toNeighbour(dev: NetDevice, p: number, to: Redirect): boolean {
    const { slab } = this.#host.world;
    const header = slab.network(p) - slab.head(p);
    if (header < 0 || !slab.pull(p, header)) return false;
    const { neigh4, neigh6 } = this.#host;
    const hop = to.neighbour.length === 0 ? this.#fib.nextHop(p, dev.ifindex) : neighbourOf(to.neighbour);
    if (hop === undefined) return false;
    (hop.family === AF_INET ? neigh4 : neigh6).output(dev, hop.address, p);
    return true;
  }

  #send(ifindex: number, p: number, reason: number): boolean {
    const dev = this.#host.devices.get(ifindex);
    if (dev === undefined || !dev.running) return this.#lost(p, reason);
    dev.transmitDirect(p);
    return true;
  }

  #lost(p: number, reason: number): boolean {
    this.#host.world.drop(p, reason, this.#host.name);
    return false;
  }
}

/** struct bpf_redir_neigh: family, then 4 or 16 address bytes. */
function neighbourOf(bytes: Uint8Array): NextHop {
  const family = readWord(bytes);
  return { family, address: wordsOf(bytes.subarray(4, family === AF_INET ? 8 : 20)) };
}

function word(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n, true);
  return bytes;
}

const readWord = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
