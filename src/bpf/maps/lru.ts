/**
 * Which element of an LRU map makes room for a new one (Documentation/bpf/map_hash.rst, "LRU"; map_lru_hash_update.dot): the
 * kernel's approximation, with its lists and batch sizes, so that the same element goes.
 *
 * Elements in use are on an active list (looked up since) or an inactive one; each CPU has a few free ones of its own and
 * the pending ones that it handed out since its last refill. A refill first files the pending ones, lets a number of elements
 * change between active and inactive by their reference mark, then takes free ones, and evicts from the inactive end
 * when there are too few. With BPF_F_NO_COMMON_LRU every CPU has lists and elements of its own and no pending ones.
 *
 * The lists are links in the elements' last words:  | next | previous | list | CPU |
 */
import type { MapCore } from './core.ts';
import { ELEM_REF } from './layout.ts';

/** Bytes behind an element's values. */
export const LRU_BYTES = 16;
const NODE_REF: number = ELEM_REF / 4;
/** Most elements that a refill takes or looks at. */
const BATCH = 128;
const OWN_BATCH = 4;

/** A ring of elements around a head of its own; kinds tell what an element's list is for. */
type List = { readonly head: number; readonly kind: number; count: number };
const ACTIVE = 1;
const INACTIVE = 2;
const FREE = 3;
const PENDING = 4;
const LOCAL_FREE = 5;

type Group = { readonly active: List; readonly inactive: List; readonly free: List; hand: number };
type Local = { readonly free: List; readonly pending: List };

export type LruOptions = {
  readonly core: MapCore;
  /** Bytes of an element; the last LRU_BYTES are the links. */
  readonly stride: number;
  /** Each CPU on its own (BPF_F_NO_COMMON_LRU). */
  readonly own: boolean;
  /** Makes a new element; 0 when as many as the map may have are made. */
  readonly make: (limit: number) => number;
  /** Takes an element out of the map; false when it is not in it. */
  readonly evict: (element: number) => boolean;
};

export class Lru {
  readonly #options: LruOptions;
  readonly #u32: Uint32Array;
  /** Words from an element to its links. */
  readonly #links: number;
  readonly #groups: readonly Group[];
  readonly #locals: readonly Local[];
  readonly #batch: number;
  readonly #limit: number;
  readonly #made: number[];

  constructor(options: LruOptions) {
    const { core, own } = options;
    const { cpus } = core.host;
    this.#options = options;
    this.#u32 = core.u32;
    this.#links = (options.stride - LRU_BYTES) / 4;
    const list = (kind: number): List => {
      const head = core.alloc(options.stride);
      this.#u32[this.#next(head)] = this.#u32[this.#next(head) + 1] = head;
      return { head, kind, count: 0 };
    };
    const group = (): Group => {
      const inactive = list(INACTIVE);
      return { active: list(ACTIVE), inactive, free: list(FREE), hand: inactive.head };
    };
    this.#groups = Array.from({ length: own ? cpus : 1 }, group);
    this.#locals = own ? [] : Array.from({ length: cpus }, () => ({ free: list(LOCAL_FREE), pending: list(PENDING) }));
    const { maxEntries } = core.spec;
    this.#batch = own ? OWN_BATCH : Math.min(BATCH, Math.max(1, Math.floor(Math.floor(maxEntries / cpus) / 2)));
    // Each CPU's own share, rounded up.
    this.#limit = own ? Math.ceil(maxEntries / cpus) : maxEntries;
    this.#made = this.#groups.map(() => 0);
  }

  /** An element for a new key, evicting another one if need be; 0 when there is none to be had. */
  take(cpu: number): number {
    return this.#locals.length === 0 ? this.#takeOwn(cpu) : this.#takeCommon(cpu);
  }

  /** Gives an element back that is not in the map any more. */
  give(element: number): void {
    const u32 = this.#u32;
    const cpu = u32[this.#next(element) + 3];
    if (u32[this.#next(element) + 2] === PENDING) {
      u32[(element >>> 2) + NODE_REF] = 0;
      this.#move(element, this.#locals[cpu].free);
    } else this.#toFree(this.#groups[this.#locals.length === 0 ? cpu : 0], element);
  }

  #takeCommon(cpu: number): number {
    const local = this.#locals[cpu];
    let element = this.#shift(local.free);
    if (element === 0) {
      this.#refill(cpu);
      element = this.#shift(local.free);
    }
    for (let n = 1; element === 0 && n < this.#locals.length; n++)
      element = this.#steal((cpu + n) % this.#locals.length);
    if (element === 0) element = this.#steal(cpu);
    if (element === 0) return 0;
    this.#use(element, cpu);
    this.#move(element, local.pending);
    return element;
  }

  #refill(cpu: number): void {
    const group = this.#groups[0];
    const local = this.#locals[cpu];
    for (let e = this.#last(local.pending); e !== 0; e = this.#last(local.pending))
      this.#file(group, e, this.#referenced(e) ? group.active : group.inactive);
    this.#rotate(group, BATCH);
    let taken = 0;
    while (taken < this.#batch) {
      const element = this.#shift(group.free) || this.#make(0);
      if (element === 0) break;
      this.#put(element, local.free);
      taken++;
    }
    if (taken < this.#batch) this.#shrink(group, this.#batch - taken, BATCH, local.free);
  }

  /** From another CPU: a free element, else a pending one that can be evicted, marked ones last. */
  #steal(cpu: number): number {
    const { free, pending } = this.#locals[cpu];
    const element = this.#shift(free);
    if (element !== 0) return element;
    for (const force of [false, true])
      for (let e = this.#last(pending); e !== 0; e = this.#before(pending, e))
        if ((force || !this.#referenced(e)) && this.#options.evict(e)) {
          this.#unlink(e);
          return e;
        }
    return 0;
  }

  #takeOwn(cpu: number): number {
    const group = this.#groups[cpu];
    this.#rotate(group, OWN_BATCH);
    let element = this.#shift(group.free) || this.#make(cpu);
    if (element === 0) {
      this.#shrink(group, OWN_BATCH, OWN_BATCH, group.free);
      element = this.#shift(group.free);
    }
    if (element === 0) return 0;
    this.#use(element, cpu);
    this.#put(element, group.inactive);
    return element;
  }

  #make(group: number): number {
    if (this.#made[group] >= this.#limit) return 0;
    const element = this.#options.make(this.#limit * this.#groups.length);
    if (element !== 0) this.#made[group]++;
    return element;
  }

  #use(element: number, cpu: number): void {
    this.#u32[(element >>> 2) + NODE_REF] = 0;
    this.#u32[this.#next(element) + 3] = cpu;
  }

  #rotate(group: Group, scans: number): void {
    if (group.inactive.count < group.active.count) this.#ageActive(group, scans);
    this.#refreshInactive(group, scans);
  }

  /** The oldest active elements stay active when they were looked up, else become inactive. */
  #ageActive(group: Group, scans: number): void {
    const first = this.#firstOf(group.active);
    let element = this.#last(group.active);
    for (let n = 0; n < scans && element !== 0; n++) {
      const before = this.#before(group.active, element);
      this.#file(group, element, this.#referenced(element) ? group.active : group.inactive);
      if (element === first) return;
      element = before;
    }
  }

  /** A hand goes round the inactive list: elements that were looked up become active. */
  #refreshInactive(group: Group, scans: number): void {
    const { inactive } = group;
    if (inactive.count === 0) return;
    const u32 = this.#u32;
    let stop = u32[this.#next(group.hand)];
    if (stop === inactive.head) stop = u32[this.#next(stop)];
    let at = group.hand;
    let next = at;
    for (let n = 0; n < scans; ) {
      if (at === inactive.head) {
        at = u32[this.#next(at) + 1];
        continue;
      }
      next = u32[this.#next(at) + 1];
      if (this.#referenced(at)) this.#file(group, at, group.active);
      if (at === stop) break;
      at = next;
      n++;
    }
    group.hand = next;
  }

  /** Evicts up to `wanted` inactive elements into `target`; one by force when all were looked up. */
  #shrink(group: Group, wanted: number, scans: number, target: List): void {
    let got = 0;
    let element = this.#last(group.inactive);
    for (let n = 0; n < scans && element !== 0 && got < wanted; n++) {
      const before = this.#before(group.inactive, element);
      if (this.#referenced(element)) this.#file(group, element, group.active);
      else if (this.#options.evict(element)) {
        this.#takeAway(group, element);
        this.#put(element, target);
        got++;
      }
      element = before;
    }
    if (got > 0) return;
    const list = group.inactive.count > 0 ? group.inactive : group.active;
    for (let e = this.#last(list); e !== 0; e = this.#before(list, e))
      if (this.#options.evict(e)) {
        this.#takeAway(group, e);
        this.#put(e, target);
        return;
      }
  }

  #toFree(group: Group, element: number): void {
    this.#takeAway(group, element);
    this.#u32[(element >>> 2) + NODE_REF] = 0;
    this.#put(element, group.free);
  }

  /** To the head of one of the group's lists, with its mark cleared. */
  #file(group: Group, element: number, list: List): void {
    this.#takeAway(group, element);
    this.#u32[(element >>> 2) + NODE_REF] = 0;
    this.#put(element, list);
  }

  #takeAway(group: Group, element: number): void {
    if (group.hand === element) group.hand = this.#u32[this.#next(element) + 1];
    this.#unlink(element);
  }

  #referenced(element: number): boolean {
    return this.#u32[(element >>> 2) + NODE_REF] !== 0;
  }

  // The lists themselves. Word numbers of an element's links: next, previous, list, CPU.
  #next(element: number): number {
    return (element >>> 2) + this.#links;
  }

  #firstOf(list: List): number {
    const e = this.#u32[this.#next(list.head)];
    return e === list.head ? 0 : e;
  }

  #last(list: List): number {
    const e = this.#u32[this.#next(list.head) + 1];
    return e === list.head ? 0 : e;
  }

  #before(list: List, element: number): number {
    const e = this.#u32[this.#next(element) + 1];
    return e === list.head ? 0 : e;
  }

  #shift(list: List): number {
    const element = this.#firstOf(list);
    if (element !== 0) this.#unlink(element);
    return element;
  }

  #move(element: number, list: List): void {
    this.#unlink(element);
    this.#put(element, list);
  }

  #put(element: number, list: List): void {
    const u32 = this.#u32;
    const w = this.#next(element);
    const next = u32[this.#next(list.head)];
    u32[w] = next;
    u32[w + 1] = list.head;
    u32[w + 2] = list.kind;
    u32[this.#next(next) + 1] = element;
    u32[this.#next(list.head)] = element;
    list.count++;
  }

  #unlink(element: number): void {
    const u32 = this.#u32;
    const w = this.#next(element);
    if (u32[w + 2] === 0) return;
    const list = this.#listOf(u32[w + 2], u32[w + 3]);
    u32[this.#next(u32[w + 1])] = u32[w];
    u32[this.#next(u32[w]) + 1] = u32[w + 1];
    u32[w + 2] = 0;
    if (list !== undefined) list.count--;
  }

  /** Only the lengths of active and inactive lists matter. */
  #listOf(kind: number, cpu: number): List | undefined {
    const group = this.#groups[this.#locals.length === 0 ? cpu : 0];
    if (kind === ACTIVE) return group.active;
    return kind === INACTIVE ? group.inactive : undefined;
  }
}
