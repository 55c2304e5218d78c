/** A set of sets (list:set): a packet is in it when it is in one of its members. */
import { KernelError } from '../../core/errno.ts';
import type { World } from '../../core/world.ts';
import {
  IPSET_ERR_EXIST,
  IPSET_ERR_LIST_FULL,
  IPSET_ERR_LOOP,
  IPSET_ERR_NAMEREF,
  IPSET_ERR_REF_EXIST,
} from '../../wire/uapi/ipset.ts';
import type { SetType } from '../../wire/uapi/ipset-types.ts';
import { IPSET_FLAG_SKIP_COUNTER_UPDATE, IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE } from '../../wire/xt/set.ts';
import type { PktInfo } from '../nft/pkt.ts';
import type { IpsetElement, IpsetOptions } from '../xt/ipset.ts';
import { Entry, type Extensions } from './entry.ts';
import type { AnySet, SetOptions } from './set.ts';

type Member = { readonly set: AnySet; readonly entry: Entry };

/** A member, and where another one is to stand. */
export type Place = { readonly ref: AnySet; readonly before: boolean };

export class ListSet implements AnySet {
  name: string;
  index: number;
  references = 0;
  readonly type: SetType;
  readonly options: SetOptions;
  readonly #world: World;
  #members: Member[] = [];

  constructor(name: string, index: number, type: SetType, options: SetOptions, world: World) {
    this.name = name;
    this.index = index;
    this.type = type;
    this.options = options;
    this.#world = world;
  }

  get count(): number {
    this.#expire();
    return this.#members.length;
  }

  get memory(): number {
    return 100 + this.#members.length * 40;
  }

  /** Members in order. */
  members(): readonly Member[] {
    this.#expire();
    return this.#members;
  }

  #expire(): void {
    if (this.options.timeout === undefined) return;
    for (const member of [...this.#members]) if (member.entry.expires <= this.#world.now) this.#drop(member);
  }

  #drop(member: Member): void {
    this.#members = this.#members.filter((m) => m !== member);
    member.set.references--;
  }

  flush(): void {
    for (const member of this.#members) this.#drop(member);
  }

  /** Adds a set. Throws KernelError. */
  put(set: AnySet, place: Place | undefined, x: Extensions, exist: boolean): void {
    if (set instanceof ListSet) throw new KernelError(IPSET_ERR_LOOP);
    this.#expire();
    const old = this.#members.find((m) => m.set === set);
    if (old !== undefined && !exist) throw new KernelError(IPSET_ERR_EXIST);
    if (old === undefined && this.#members.length >= this.options.size) throw new KernelError(IPSET_ERR_LIST_FULL);
    const entry = old?.entry ?? new Entry(new Uint8Array());
    entry.extend(x, this.options.timeout, this.#world.now);
    if (old !== undefined) return;
    const member = { set, entry };
    let at = this.#members.length;
    if (place !== undefined) {
      const ref = this.#members.findIndex((m) => m.set === place.ref);
      if (ref < 0) throw new KernelError(IPSET_ERR_REF_EXIST);
      at = place.before ? ref : ref + 1;
    }
    this.#members = [...this.#members.slice(0, at), member, ...this.#members.slice(at)];
    set.references++;
  }

  #at(set: AnySet, place: Place | undefined): Member | undefined {
    const i = this.#members.findIndex((m) => m.set === set);
    if (i < 0 || place === undefined) return this.#members[i];
    const ref = this.#members.findIndex((m) => m.set === place.ref);
    if (ref < 0) throw new KernelError(IPSET_ERR_REF_EXIST);
    return ref === (place.before ? i + 1 : i - 1) ? this.#members[i] : undefined;
  }

  take(set: AnySet, place: Place | undefined): boolean {
    this.#expire();
    const member = this.#at(set, place);
    if (member === undefined && place !== undefined && this.#at(set, undefined) !== undefined)
      throw new KernelError(IPSET_ERR_REF_EXIST);
    if (member === undefined) return false;
    this.#drop(member);
    return true;
  }

  has(set: AnySet, place: Place | undefined): boolean {
    this.#expire();
    return this.#at(set, place) !== undefined;
  }

  /** Two sets were swapped: members are known by their index. */
  exchange(a: AnySet, b: AnySet): void {
    this.#members = this.#members.map((m) => {
      if (m.set === a) return { ...m, set: b };
      return m.set === b ? { ...m, set: a } : m;
    });
  }

  #alive(member: Member): boolean {
    return member.entry.expires > this.#world.now;
  }

  test(pkt: PktInfo, options: IpsetOptions): IpsetElement | undefined {
    const skip = options.command & IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE ? IPSET_FLAG_SKIP_COUNTER_UPDATE : 0;
    const command = (options.command & ~IPSET_FLAG_SKIP_COUNTER_UPDATE) | skip;
    const inner = command === options.command ? options : { ...options, command };
    for (const member of this.#members) {
      if (!this.#alive(member)) continue;
      const found = member.set.test(pkt, inner);
      if (found === undefined) continue;
      const { entry } = member;
      if (this.options.counters && !(options.command & IPSET_FLAG_SKIP_COUNTER_UPDATE)) {
        entry.packetCount++;
        entry.byteCount += pkt.slab.len(pkt.p);
      }
      return this.options.counters || this.options.skbinfo ? entry : found;
    }
    return undefined;
  }

  add(pkt: PktInfo, options: IpsetOptions): boolean {
    for (const member of this.#members) if (this.#alive(member) && member.set.add(pkt, options)) return true;
    return false;
  }

  del(pkt: PktInfo, options: IpsetOptions): boolean {
    for (const member of this.#members) if (this.#alive(member) && member.set.del(pkt, options)) return true;
    return false;
  }
}

/** A reference that is not there. */
export const noReference = (): KernelError => new KernelError(IPSET_ERR_NAMEREF);
