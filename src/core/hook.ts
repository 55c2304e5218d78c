/**
 * Netfilter hooks: ordered lists of functions that see a packet at a fixed place of its way. The packet path calls
 * `run`; whoever wants to know registers (defragmentation, connection tracking, NAT, nftables chains). Order is Linux's:
 * ascending priority, and among equals the one registered first. See Documentation/networking/netfilter*.
 */
import {
  NF_ACCEPT,
  NF_DROP,
  NF_QUEUE,
  NF_REPEAT,
  NF_STOLEN,
  NF_VERDICT_FLAG_QUEUE_BYPASS,
  NFPROTO_ARP,
  NFPROTO_BRIDGE,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_NETDEV,
} from '../wire/uapi/netfilter.ts';
import { DROP } from './drop.ts';
import type { World } from './world.ts';

/** What a hook function is told beside the packet. Valid during the call only: the object is reused. */
export type HookState = {
  /** NFPROTO_* of the packet's path: IPV4, IPV6, ARP, BRIDGE, NETDEV. */
  pf: number;
  /** NF_INET_*, NF_ARP_*, NF_BR_* or NF_NETDEV_* number. */
  hook: number;
  /** Interface indices, 0 where the hook has none. */
  iif: number;
  oif: number;
};

/**
 * A hook function answers NF_ACCEPT (go on), NF_DROP (the caller frees the packet; the function may have said why with
 * `slab.setDropReason`), NF_STOLEN (the function owns the packet now), NF_QUEUE or NF_REPEAT.
 */
export type HookFn = (p: number, state: HookState) => number;

export type HookEntry = {
  readonly pf: number;
  readonly hook: number;
  readonly priority: number;
  readonly fn: HookFn;
  /** For NETDEV hooks: the device. */
  readonly ifindex?: number;
  /** For listings and traces: "conntrack", "nft inet filter input". */
  readonly name: string;
};

const DEPTH = 16;

const INET_HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'];
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [NFPROTO_IPV4, 'ip'],
  [NFPROTO_IPV6, 'ip6'],
  [NFPROTO_ARP, 'arp'],
  [NFPROTO_BRIDGE, 'bridge'],
  [NFPROTO_NETDEV, 'netdev'],
]);

/** nft's words for a place. */
function place(pf: number, hook: number): { family: string; hook: string } {
  const names = pf === NFPROTO_ARP ? ['input', 'output'] : pf === NFPROTO_NETDEV ? ['ingress', 'egress'] : INET_HOOKS;
  return { family: FAMILIES.get(pf) ?? '', hook: names[hook] ?? '' };
}

/** The hooks of one host (network namespace). */
export class Hooks {
  readonly #world: World;
  readonly #lists = new Map<number, readonly HookEntry[]>();
  // A hook may send packets that meet hooks themselves (reject, redirect): one state per depth.
  readonly #states: HookState[] = Array.from({ length: DEPTH }, () => ({ pf: 0, hook: 0, iif: 0, oif: 0 }));
  #depth = 0;

  /** Name of the host, for traces. */
  readonly #host: string;

  constructor(world: World, host = '') {
    this.#world = world;
    this.#host = host;
  }

  #key(pf: number, hook: number, ifindex: number): number {
    return ifindex * 256 + pf * 8 + hook;
  }

  /** Adds an entry behind those of equal priority. Lists are replaced, never changed: a packet in flight keeps its own. */
  register(entry: HookEntry): void {
    const key = this.#key(entry.pf, entry.hook, entry.ifindex ?? 0);
    const list = this.#lists.get(key) ?? [];
    const at = list.findIndex((e) => e.priority > entry.priority);
    this.#lists.set(key, at < 0 ? [...list, entry] : [...list.slice(0, at), entry, ...list.slice(at)]);
  }

  /** Removes an entry; unknown entries are ignored. */
  unregister(entry: HookEntry): void {
    const key = this.#key(entry.pf, entry.hook, entry.ifindex ?? 0);
    const list = this.#lists.get(key)?.filter((e) => e !== entry) ?? [];
    if (list.length === 0) this.#lists.delete(key);
    else this.#lists.set(key, list);
  }

  /** The entries of a place, in order. */
  list(pf: number, hook: number, ifindex = 0): readonly HookEntry[] {
    return this.#lists.get(this.#key(pf, hook, ifindex)) ?? [];
  }

  /**
   * Takes the packet through a place's hooks. NF_ACCEPT: go on with it. Anything else: it is gone (dropped and freed with
   * its reason, or stolen). `ifindex` selects a device's own list (NETDEV).
   */
  run(pf: number, hook: number, p: number, iif: number, oif: number, ifindex = 0): number {
    const list = this.#lists.get(this.#key(pf, hook, ifindex));
    if (list === undefined) return NF_ACCEPT;
    if (this.#depth === DEPTH) {
      this.#world.drop(p, DROP.NF_JUMP_STACK, this.#host);
      return NF_DROP;
    }
    if (this.#world.traced(p)) this.#world.trace(p, { kind: 'hook', host: this.#host, ...place(pf, hook) });
    const state = this.#states[this.#depth++];
    state.pf = pf;
    state.hook = hook;
    state.iif = iif;
    state.oif = oif;
    let verdict = NF_ACCEPT;
    let repeats = 0;
    for (let i = 0; i < list.length; i++) {
      verdict = list[i].fn(p, state);
      const code = verdict & 0xff;
      if (code === NF_ACCEPT) continue;
      if (code === NF_REPEAT && repeats++ < 8) {
        i--;
        continue;
      }
      break;
    }
    this.#depth--;
    const code = verdict & 0xff;
    if (this.#world.probe !== undefined && code !== NF_STOLEN) {
      const args = { pf, hook, iif, oif, verdict: code };
      this.#world.probe.hit({ point: 'nf_hook', host: this.#host, p, ifindex: iif, args });
    }
    if (code === NF_ACCEPT || code === NF_STOLEN) return code;
    if (code === NF_QUEUE) {
      // No queue listener exists in netloom's hosts: as on Linux, the packet passes with the bypass flag, else it is gone.
      if (verdict & NF_VERDICT_FLAG_QUEUE_BYPASS) return NF_ACCEPT;
      this.#world.drop(p, DROP.NF_QUEUE_NO_LISTENER, this.#host);
      return NF_DROP;
    }
    this.#world.drop(p, this.#world.slab.dropReason(p) || DROP.NETFILTER_DROP, this.#host);
    return NF_DROP;
  }
}
