/**
 * Interval sets (the kernel's rbtree type). Every interval is two elements: its first key, and, flagged INTERVAL_END, the
 * first key behind it; an interval up to the highest key has no end. Kept in key order, an end before a start of the same
 * key, so that a lookup is one binary search: the greatest element not above the key decides.
 */
import { NFT_SET_ELEM_INTERVAL_END } from '../../../wire/uapi/nf-tables.ts';
import type { Element, SetBackend } from './set.ts';

function compareKeys(a: Uint8Array, b: Uint8Array, bAt: number, length: number): number {
  for (let i = 0; i < length; i++) {
    const d = a[i] - b[bAt + i];
    if (d !== 0) return d;
  }
  return 0;
}

const isEnd = (e: Pick<Element, 'flags'>): boolean => (e.flags & NFT_SET_ELEM_INTERVAL_END) !== 0;

export class IntervalBackend implements SetBackend {
  readonly #length: number;
  readonly #anonymous: boolean;
  #sorted: Element[] = [];

  constructor(keyLength: number, anonymous = false) {
    this.#length = keyLength;
    this.#anonymous = anonymous;
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** Number of elements that are not above the key (a start counts as not above its own key). */
  #upper(key: Uint8Array, at: number): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareKeys(this.#sorted[middle].key, key, at, this.#length) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  lookup(u8: Uint8Array, at: number, now: number): Element | undefined {
    let i = this.#upper(u8, at) - 1;
    while (i >= 0) {
      const element = this.#sorted[i];
      // A start whose time is up: an interval before it may still hold the key only if it overlaps, which is refused.
      if (element.expires > now) return isEnd(element) ? undefined : element;
      i--;
      if (!isEnd(element)) return undefined;
    }
    return undefined;
  }

  #sweep(now: number): void {
    if (this.#sorted.some((e) => e.expires <= now)) this.#sorted = this.#sorted.filter((e) => e.expires > now);
  }

  insert(element: Element, now: number): Element | 'overlap' | undefined {
    if (element.expires !== Number.POSITIVE_INFINITY) this.#sweep(now);
    const existing = this.find(element);
    if (existing !== undefined) return existing;
    const end = isEnd(element);
    let at = this.#upper(element.key, 0);
    // An end sorts before a start of the same key.
    if (end && at > 0 && compareKeys(this.#sorted[at - 1].key, element.key, 0, this.#length) === 0) at--;
    const below = this.#sorted[at - 1];
    const above = this.#sorted[at];
    // A start inside an interval overlaps it. Anonymous sets leave out the ends between intervals that touch.
    if (!end && !this.#anonymous && below !== undefined && !isEnd(below)) return 'overlap';
    if (end && below !== undefined && isEnd(below)) return 'overlap';
    if (end && above !== undefined && isEnd(above)) return 'overlap';
    this.#sorted.splice(at, 0, element);
    return undefined;
  }

  restore(element: Element): void {
    let at = this.#upper(element.key, 0);
    if (isEnd(element) && at > 0 && compareKeys(this.#sorted[at - 1].key, element.key, 0, this.#length) === 0) at--;
    this.#sorted.splice(at, 0, element);
  }

  find(element: Pick<Element, 'key' | 'flags'>): Element | undefined {
    const end = isEnd(element);
    for (let i = this.#upper(element.key, 0) - 1; i >= 0; i--) {
      const candidate = this.#sorted[i];
      if (compareKeys(candidate.key, element.key, 0, this.#length) !== 0) return undefined;
      if (isEnd(candidate) === end) return candidate;
    }
    return undefined;
  }

  get(element: Pick<Element, 'key' | 'flags'>, now: number): Element | undefined {
    const exact = this.find(element);
    if (exact !== undefined) return exact;
    if (!isEnd(element)) return this.lookup(element.key, 0, now);
    // Asked for an end: the end of the interval that the key lies in is the next one up.
    const above = this.#sorted[this.#upper(element.key, 0)];
    return above !== undefined && isEnd(above) ? above : undefined;
  }

  remove(element: Element): void {
    const end = isEnd(element);
    for (let i = this.#upper(element.key, 0) - 1; i >= 0; i--) {
      const candidate = this.#sorted[i];
      if (candidate === element) {
        this.#sorted.splice(i, 1);
        return;
      }
      if (compareKeys(candidate.key, element.key, 0, this.#length) !== 0) return;
      if (isEnd(candidate) === end) return;
    }
  }

  /** From the highest key down: the order in which the kernel's dump walks, which `nft` sorts anew. */
  *elements(): Iterable<Element> {
    for (let i = this.#sorted.length - 1; i >= 0; i--) yield this.#sorted[i];
  }
}
