/**
 * Programs at the traffic control places of a device: tcx, a plain list, and behind it the bpf filters of the clsact qdisc
 * in direct-action mode (tc-bpf(8); Documentation/networking/filter.rst). The first verdict that is not "next" counts.
 */
import { fillSkb, flushSkb, SKB_SIZE } from '../bpf/runtime/ctx.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import type { Redirect } from '../bpf/runtime/run.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { DROP } from '../core/drop.ts';
import { EEXIST, ENOENT, ENOMEM, KernelError } from '../core/errno.ts';
import { NO_OFFSET } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';

export const TC_ACT_UNSPEC = -1;
export const TC_ACT_OK = 0;
export const TC_ACT_RECLASSIFY = 1;
export const TC_ACT_SHOT = 2;
export const TC_ACT_PIPE = 3;
export const TC_ACT_STOLEN = 4;
export const TC_ACT_QUEUED = 5;
export const TC_ACT_REPEAT = 6;
export const TC_ACT_REDIRECT = 7;
export const TC_ACT_TRAP = 8;

/** A `tc filter ... bpf`. */
export type BpfFilter = {
  readonly prio: number;
  readonly handle: number;
  /** Ethertype the filter looks at, 3 (ETH_P_ALL) for every one. */
  readonly protocol: number;
  readonly directAction: boolean;
  /** As `tc filter show` prints it: "drop.o:[tc]". */
  readonly name: string;
  readonly loaded: LoadedProgram;
};

/** What the host does for redirected packets. */
export type TcHost = {
  /** Owns the packet, whose data begins with the link header. False: there was nowhere to send it (it is dropped). */
  redirect(dev: NetDevice, p: number, redirect: Redirect): boolean;
};

const ETH_P_ALL = 3;

/** One direction of one device. */
export class TcHook {
  readonly #machine: Machine;
  readonly #host: TcHost;
  readonly #egress: boolean;
  readonly #ctx: number;
  #tcx: readonly LoadedProgram[] = [];
  #filters: readonly BpfFilter[] = [];
  #redirect: Redirect | undefined;

  /** Throws KernelError (ENOMEM). */
  constructor(machine: Machine, host: TcHost, egress: boolean) {
    this.#machine = machine;
    this.#host = host;
    this.#egress = egress;
    this.#ctx = machine.heap.alloc(SKB_SIZE);
    if (this.#ctx === 0) throw new KernelError(ENOMEM, 'no memory left for a context');
  }

  get tcx(): readonly LoadedProgram[] {
    return this.#tcx;
  }
  get filters(): readonly BpfFilter[] {
    return this.#filters;
  }
  get empty(): boolean {
    return this.#tcx.length === 0 && this.#filters.length === 0;
  }

  /** Attaches behind the others (BPF_LINK_CREATE with BPF_TCX_*). */
  attach(loaded: LoadedProgram): void {
    if (this.#tcx.some((t) => t.id === loaded.id)) throw new KernelError(EEXIST, 'the program is attached already');
    this.#tcx = [...this.#tcx, loaded];
  }
  detach(id: number): void {
    if (!this.#tcx.some((t) => t.id === id)) throw new KernelError(ENOENT, 'the program is not attached');
    this.#tcx = this.#tcx.filter((t) => t.id !== id);
  }

  /** Adds a filter, or replaces the one with the same preference and handle. */
  addFilter(filter: BpfFilter, replace: boolean): void {
    const same = (f: BpfFilter): boolean => f.prio === filter.prio && f.handle === filter.handle;
    if (!replace && this.#filters.some(same)) throw new KernelError(EEXIST, 'Filter already exists');
    this.#filters = [...this.#filters.filter((f) => !same(f)), filter].sort(
      (a, b) => a.prio - b.prio || a.handle - b.handle,
    );
  }
  /** Removes the filters of a preference (0: all); the number removed. */
  removeFilters(prio: number, handle: number): number {
    const keep = this.#filters.filter((f) => (prio !== 0 && f.prio !== prio) || (handle !== 0 && f.handle !== handle));
    const removed = this.#filters.length - keep.length;
    this.#filters = keep;
    return removed;
  }

  /**
   * Looks at a packet; true: it goes on. On the way in the data begins behind the link header (and does again
   * afterwards), on the way out with it.
   */
  run(dev: NetDevice, p: number): boolean {
    const { slab } = dev.world;
    const pushed = this.#egress ? 0 : this.#showLinkHeader(dev, p);
    if (pushed < 0) return true;
    const verdict = this.#classify(dev, p);
    switch (verdict) {
      case TC_ACT_OK:
      case TC_ACT_RECLASSIFY:
      case TC_ACT_PIPE:
      case TC_ACT_UNSPEC:
        break;
      case TC_ACT_REDIRECT: {
        const redirect = this.#redirect;
        this.#redirect = undefined;
        if (redirect === undefined || !this.#host.redirect(dev, p, redirect))
          dev.world.drop(p, this.#egress ? DROP.TC_EGRESS : DROP.TC_INGRESS);
        return false;
      }
      case TC_ACT_STOLEN:
      case TC_ACT_QUEUED:
      case TC_ACT_TRAP:
        slab.free(p);
        return false;
      default:
        dev.world.drop(p, this.#egress ? DROP.TC_EGRESS : DROP.TC_INGRESS);
        return false;
    }
    if (pushed > 0 && !slab.pull(p, pushed)) {
      dev.world.drop(p, DROP.PKT_TOO_SMALL);
      return false;
    }
    if (pushed > 0) slab.setNetwork(p, slab.head(p));
    return true;
  }

  #showLinkHeader(dev: NetDevice, p: number): number {
    const { slab } = dev.world;
    const mac = slab.mac(p);
    if (mac === NO_OFFSET) return 0;
    const length = slab.head(p) - mac;
    return length >= 0 && slab.push(p, length) ? length : -1;
  }

  #classify(dev: NetDevice, p: number): number {
    for (const loaded of this.#tcx) {
      const verdict = this.#enter(dev, p, loaded);
      if (verdict === TC_ACT_UNSPEC) continue;
      // A number tcx does not know is "next", too.
      if (verdict !== TC_ACT_OK && verdict !== TC_ACT_SHOT && verdict !== TC_ACT_REDIRECT) continue;
      return verdict;
    }
    const protocol = dev.world.slab.protocol(p);
    for (const filter of this.#filters) {
      if (filter.protocol !== ETH_P_ALL && filter.protocol !== protocol) continue;
      const result = this.#enter(dev, p, filter.loaded);
      // Without direct action the result is a class; clsact has no classes, so the packet passes.
      if (!filter.directAction) {
        if (result === 0) continue;
        return TC_ACT_OK;
      }
      if (result === TC_ACT_UNSPEC) continue;
      return result <= TC_ACT_TRAP && result >= 0 ? result : TC_ACT_UNSPEC;
    }
    return TC_ACT_OK;
  }

  #enter(dev: NetDevice, p: number, loaded: LoadedProgram): number {
    const run = this.#machine.acquire();
    try {
      run.ctx = this.#ctx;
      run.packet = p;
      run.progType = loaded.spec.type;
      run.ifindex = dev.ifindex;
      run.egress = this.#egress;
      run.meta = run.slab.head(p);
      fillSkb(run);
      const verdict = loaded.program.enter(run) | 0;
      flushSkb(run);
      this.#redirect = run.redirect;
      return verdict;
    } finally {
      this.#machine.release(run);
    }
  }

  close(): void {
    this.#machine.heap.free(this.#ctx);
  }
}
