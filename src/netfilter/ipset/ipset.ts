/** All ipset sets of a host. */
import { EEXIST, ENOENT, KernelError } from '../../core/errno.ts';
import type { World } from '../../core/world.ts';
import {
  IPSET_ERR_BUSY,
  IPSET_ERR_EXIST_SETNAME2,
  IPSET_ERR_MAX_SETS,
  IPSET_ERR_REFERENCED,
  IPSET_ERR_TYPE_MISMATCH,
} from '../../wire/uapi/ipset.ts';
import type { SetType } from '../../wire/uapi/ipset-types.ts';
import type { IpsetRegistry } from '../xt/ipset.ts';
import type { IpsetHost } from './from-packet.ts';
import { ListSet } from './list.ts';
import { type AnySet, IpSet, type SetOptions } from './set.ts';

const MAX_SETS = 65_534;

export class Ipset implements IpsetRegistry {
  readonly #world: World;
  readonly #host: IpsetHost;
  readonly #sets: (AnySet | undefined)[] = [];
  readonly #byName = new Map<string, AnySet>();

  constructor(world: World, host: IpsetHost) {
    this.#world = world;
    this.#host = host;
  }

  byIndex(index: number): AnySet | undefined {
    return this.#sets[index];
  }

  byName(name: string): AnySet | undefined {
    return this.#byName.get(name);
  }

  /** The set of a name; ENOENT when there is none. */
  need(name: string): AnySet {
    const set = this.#byName.get(name);
    if (set === undefined) throw new KernelError(ENOENT);
    return set;
  }

  /** Sets in the order of their indices. */
  *[Symbol.iterator](): Iterator<AnySet> {
    for (const set of this.#sets) if (set !== undefined) yield set;
  }

  /** A new set. EEXIST when the name is taken. */
  create(name: string, type: SetType, options: SetOptions): AnySet {
    if (this.#byName.has(name)) throw new KernelError(EEXIST);
    let index = this.#sets.indexOf(undefined);
    if (index < 0) index = this.#sets.length;
    if (index >= MAX_SETS) throw new KernelError(IPSET_ERR_MAX_SETS);
    const set =
      type.method === 'list'
        ? new ListSet(name, index, type, options, this.#world)
        : new IpSet(name, index, type, options, this.#world, this.#host);
    this.#sets[index] = set;
    this.#byName.set(name, set);
    return set;
  }

  /** Random number for a hash set that does not bring one. */
  seed(): number {
    return this.#world.random.u32();
  }

  destroy(name: string): void {
    const set = this.need(name);
    if (set.references > 0) throw new KernelError(IPSET_ERR_BUSY);
    this.#forget(set);
  }

  /** All of them, or none when a rule or a list holds one. */
  destroyAll(): void {
    const all = [...this];
    if (all.some((set) => set.references > 0)) throw new KernelError(IPSET_ERR_BUSY);
    for (const set of all) this.#forget(set);
  }

  #forget(set: AnySet): void {
    set.flush();
    this.#byName.delete(set.name);
    this.#sets[set.index] = undefined;
  }

  rename(from: string, to: string): void {
    const set = this.need(from);
    if (set.references > 0) throw new KernelError(IPSET_ERR_REFERENCED);
    if (this.#byName.has(to)) throw new KernelError(IPSET_ERR_EXIST_SETNAME2);
    this.#byName.delete(from);
    set.name = to;
    this.#byName.set(to, set);
  }

  /** Exchanges what two names stand for. */
  swap(from: string, to: string): void {
    const a = this.need(from);
    const b = this.#byName.get(to);
    if (b === undefined) throw new KernelError(IPSET_ERR_EXIST_SETNAME2);
    if (a.type !== b.type || a.options.family !== b.options.family) throw new KernelError(IPSET_ERR_TYPE_MISMATCH);
    [a.name, b.name] = [b.name, a.name];
    [a.index, b.index] = [b.index, a.index];
    [a.references, b.references] = [b.references, a.references];
    this.#byName.set(a.name, a).set(b.name, b);
    this.#sets[a.index] = a;
    this.#sets[b.index] = b;
    // Lists name their members by index, as rules do.
    for (const list of this) if (list instanceof ListSet) list.exchange(a, b);
  }
}
