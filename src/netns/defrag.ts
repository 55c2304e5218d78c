/**
 * Defragmentation in front of connection tracking (nf_defrag_ipv4, nf_defrag_ipv6): while a family is tracked, rules see
 * whole packets. A whole packet starts again at the hook where its last fragment came.
 */
import type { HookEntry } from '../core/hook.ts';
import { FRAGMENT_AS_IT_IS } from '../inet/frag6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { NF_ACCEPT, NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING, NF_STOLEN, NFPROTO_IPV4 } from '../wire/uapi/netfilter.ts';
import type { Host } from './host.ts';

const NF_IP_PRI_CONNTRACK_DEFRAG = -400;

export class DefragHooks {
  readonly #host: Host;
  readonly #entries = new Map<number, HookEntry[]>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** A family starts or stops being tracked. */
  track(pf: number, on: boolean): void {
    if (!on) {
      for (const entry of this.#entries.get(pf) ?? []) this.#host.hooks.unregister(entry);
      this.#entries.delete(pf);
      return;
    }
    const fn = pf === NFPROTO_IPV4 ? this.#defrag4 : this.#defrag6;
    const entries = [NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT].map((hook) => ({
      pf,
      hook,
      priority: NF_IP_PRI_CONNTRACK_DEFRAG,
      fn,
      name: 'defrag',
    }));
    for (const entry of entries) this.#host.hooks.register(entry);
    this.#entries.set(pf, entries);
  }

  readonly #defrag4: HookEntry['fn'] = (p, state) => {
    const { slab } = this.#host.world;
    if (!ipv4.isFragment(slab.dv, slab.network(p))) return NF_ACCEPT;
    const whole = this.#host.ip4.defrag.add(p, state.hook === NF_INET_PRE_ROUTING ? 'conntrack in' : 'conntrack out');
    if (whole >= 0) this.#restart(whole, state.hook, state.iif, true);
    return NF_STOLEN;
  };

  readonly #walk: ipv6.Walk = { protocol: 0, at: 0, fragOffset: 0, fragmentAt: 0 };
  readonly #defrag6: HookEntry['fn'] = (p, state) => {
    const { slab } = this.#host.world;
    const walk = ipv6.walk(slab.dv, slab.network(p), slab.end(p), this.#walk);
    if (walk.fragmentAt === 0) return NF_ACCEPT;
    const user = state.hook === NF_INET_PRE_ROUTING ? 'conntrack in' : 'conntrack out';
    const whole = this.#host.ip6.defrag.add(p, walk.fragmentAt, user);
    if (whole === FRAGMENT_AS_IT_IS) return NF_ACCEPT;
    if (whole >= 0) this.#restart(whole, state.hook, state.iif, false);
    return NF_STOLEN;
  };

  #restart(p: number, hook: number, iif: number, v4: boolean): void {
    const ip = v4 ? this.#host.ip4 : this.#host.ip6;
    if (hook === NF_INET_LOCAL_OUT) {
      ip.send(p);
      return;
    }
    const dev = this.#host.devices.get(iif);
    if (dev) ip.restart(dev, p);
    else this.#host.world.slab.free(p);
  }
}
