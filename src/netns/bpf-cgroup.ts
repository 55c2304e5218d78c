/**
 * cgroup_skb programs: a host is one cgroup, the root. They see the packets of its sockets from the IP header on: what a
 * socket is about to get, and what it sends. All attached programs run, and all must let the packet pass.
 */
import { SOCK_SIZE } from '../bpf/progtype/sock.ts';
import { fillSkb, flushSkb, SKB, SKB_SIZE } from '../bpf/runtime/ctx.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import { Regions } from '../bpf/runtime/regions.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { EEXIST, EINVAL, ENOENT, ENOMEM, KernelError } from '../core/errno.ts';
import { BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_INGRESS, BPF_PROG_TYPE_CGROUP_SKB } from '../wire/uapi/bpf.ts';

/** Words of `slab.cb` that a program sees as its own; the network layer keeps notes there. */
const CB_WORDS = 8;

export class CgroupHook {
  readonly #machine: Machine;
  readonly #ctx: number;
  readonly #regions = new Regions();
  readonly #saved = new Uint32Array(CB_WORDS);
  #ingress: readonly LoadedProgram[] = [];
  #egress: readonly LoadedProgram[] = [];

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#ctx = machine.heap.alloc(SKB_SIZE);
    if (this.#ctx === 0) throw new KernelError(ENOMEM, 'no memory left for a context');
  }

  /** Programs of BPF_CGROUP_INET_INGRESS or BPF_CGROUP_INET_EGRESS, in order. */
  programs(attachType: number): readonly LoadedProgram[] {
    return attachType === BPF_CGROUP_INET_EGRESS ? this.#egress : this.#ingress;
  }
  get empty(): boolean {
    return this.#ingress.length === 0 && this.#egress.length === 0;
  }

  attach(loaded: LoadedProgram, attachType: number): void {
    if (loaded.spec.type !== BPF_PROG_TYPE_CGROUP_SKB) throw new KernelError(EINVAL, 'not a cgroup_skb program');
    if (attachType !== BPF_CGROUP_INET_INGRESS && attachType !== BPF_CGROUP_INET_EGRESS)
      throw new KernelError(EINVAL, 'not a place of cgroup_skb programs');
    // A program that answers with two bits was verified for the way out only.
    if (loaded.spec.expectedAttachType !== attachType)
      throw new KernelError(EINVAL, 'the program was loaded for the other direction');
    const list = this.programs(attachType);
    if (list.some((p) => p.id === loaded.id)) throw new KernelError(EEXIST, 'the program is attached already');
    this.#set(attachType, [...list, loaded]);
  }

  detach(id: number, attachType: number): void {
    const list = this.programs(attachType);
    if (!list.some((p) => p.id === id)) throw new KernelError(ENOENT, 'the program is not attached');
    this.#set(
      attachType,
      list.filter((p) => p.id !== id),
    );
  }

  #set(attachType: number, list: readonly LoadedProgram[]): void {
    if (attachType === BPF_CGROUP_INET_EGRESS) this.#egress = list;
    else this.#ingress = list;
  }

  /**
   * Looks at a packet whose data begins with the IP header; true: it may pass. The packet is only lent. `sk`: the
   * `struct bpf_sock` of the socket it is for or from, 0 for none.
   */
  allows(p: number, egress: boolean, sk: number): boolean {
    const list = egress ? this.#egress : this.#ingress;
    if (list.length === 0) return true;
    const { slab } = this.#machine;
    for (let i = 0; i < CB_WORDS; i++) {
      this.#saved[i] = slab.cb(p, i);
      slab.setCb(p, i, 0);
    }
    let pass = true;
    for (const loaded of list) if ((this.#enter(loaded, p, egress, sk) & 1) === 0) pass = false;
    for (let i = 0; i < CB_WORDS; i++) slab.setCb(p, i, this.#saved[i]);
    return pass;
  }

  #enter(loaded: LoadedProgram, p: number, egress: boolean, sk: number): number {
    const run = this.#machine.acquire();
    try {
      run.ctx = this.#ctx;
      run.packet = p;
      run.progType = loaded.spec.type;
      run.egress = egress;
      run.ifindex = egress ? run.slab.oif(p) : run.slab.iif(p);
      run.meta = run.slab.head(p);
      fillSkb(run);
      this.#regions.reset();
      run.regions = this.#regions;
      run.dv.setUint32(run.ctx + SKB.sk, sk, true);
      if (sk !== 0) run.grant(sk, SOCK_SIZE);
      const verdict = loaded.program.enter(run);
      flushSkb(run);
      return verdict;
    } finally {
      this.#machine.release(run);
    }
  }
}
