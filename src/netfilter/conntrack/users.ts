/** Who needs connection tracking, by family: the hooks are there while anybody does. */
import type { HookEntry, HookFn, Hooks } from '../../core/hook.ts';
import {
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_CONNTRACK,
  NF_IP_PRI_CONNTRACK_CONFIRM,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from '../../wire/uapi/netfilter.ts';

export class Users {
  readonly #hooks: Hooks;
  readonly #in: HookFn;
  readonly #confirm: HookFn;
  readonly #onTrack: ((pf: number, on: boolean) => void) | undefined;
  readonly #users = new Map<number, { count: number; entries: HookEntry[] }>();

  constructor(hooks: Hooks, first: HookFn, last: HookFn, onTrack?: (pf: number, on: boolean) => void) {
    this.#hooks = hooks;
    this.#in = first;
    this.#confirm = last;
    this.#onTrack = onTrack;
  }

  /** One more user of a family; INET is both. */
  get(pf: number): void {
    for (const family of families(pf)) {
      const user = this.#users.get(family);
      if (user !== undefined) {
        user.count++;
        continue;
      }
      this.#onTrack?.(family, true);
      const entry = (hook: number, priority: number, fn: HookFn, name: string): HookEntry => {
        const e: HookEntry = { pf: family, hook, priority, fn, name };
        this.#hooks.register(e);
        return e;
      };
      this.#users.set(family, {
        count: 1,
        entries: [
          entry(NF_INET_PRE_ROUTING, NF_IP_PRI_CONNTRACK, this.#in, 'conntrack'),
          entry(NF_INET_LOCAL_OUT, NF_IP_PRI_CONNTRACK, this.#in, 'conntrack'),
          entry(NF_INET_LOCAL_IN, NF_IP_PRI_CONNTRACK_CONFIRM, this.#confirm, 'conntrack confirm'),
          entry(NF_INET_POST_ROUTING, NF_IP_PRI_CONNTRACK_CONFIRM, this.#confirm, 'conntrack confirm'),
        ],
      });
    }
  }

  /** Ends one `get`. */
  put(pf: number): void {
    for (const family of families(pf)) {
      const user = this.#users.get(family);
      if (user === undefined || --user.count > 0) continue;
      for (const e of user.entries) this.#hooks.unregister(e);
      this.#users.delete(family);
      this.#onTrack?.(family, false);
    }
  }
}

function families(pf: number): number[] {
  return pf === NFPROTO_IPV4 || pf === NFPROTO_IPV6 ? [pf] : [NFPROTO_IPV4, NFPROTO_IPV6];
}
