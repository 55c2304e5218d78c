/**
 * State that rules share and that packets change: limits, quotas, sets filled from the packet path, lists of `recent`... What
 * such a thing answers depends on all packets before; two of them are the same when they have the same settings and
 * the very same packets reach them in the same places. Then, and only then, they share a variable.
 */
import type { Node } from './bdd.ts';
import type { Space } from './space.ts';

type Resource = {
  readonly label: string;
  readonly uses: string[];
  /** Numbers that two sides share are given by `match`. */
  shared: string | undefined;
  readonly own: string;
};

export class Resources {
  readonly #prefix: string;
  readonly #all = new Map<object | string, Resource>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Something is used that no other side shares. */
  get unmatched(): boolean {
    return [...this.#all.values()].some((r) => r.uses.length > 0 && r.shared === undefined);
  }

  /** Forgets who used what; what is shared stays shared. */
  begin(): void {
    for (const resource of this.#all.values()) resource.uses.length = 0;
  }

  /**
   * Uses a resource: `identity` is the object that holds the state, `settings` what it was made with, `use` this use of it,
   * `reach` the packets that come here. Answers a key for a variable.
   */
  use(space: Space, identity: object | string, label: string, settings: string, use: string, reach: Node): string {
    let resource = this.#all.get(identity);
    if (resource === undefined) {
      resource = { label, uses: [], shared: undefined, own: `${this.#prefix} ${this.#all.size}` };
      this.#all.set(identity, resource);
    }
    resource.uses.push(`${space.intern(settings)}|${space.intern(use)}|${reach}`);
    return `${resource.shared ?? resource.own} ${use}`;
  }

  /** Finds resources of two rulesets that are the same; true when new ones were found. */
  static match(space: Space, a: Resources, b: Resources): boolean {
    const bySignature = new Map<string, Resource[]>();
    const signature = (r: Resource): string => r.uses.join(';');
    for (const r of a.#all.values()) {
      if (r.shared !== undefined || r.uses.length === 0) continue;
      const list = bySignature.get(signature(r));
      if (list === undefined) bySignature.set(signature(r), [r]);
      else list.push(r);
    }
    let found = false;
    for (const r of b.#all.values()) {
      if (r.shared !== undefined || r.uses.length === 0) continue;
      const twin = bySignature.get(signature(r))?.shift();
      if (twin === undefined) continue;
      found = true;
      twin.shared = r.shared = `shared ${space.intern(signature(r))} ${space.intern(twin.own)}`;
    }
    return found;
  }
}
