/**
 * Sets and maps of the kernel's half: what every kind shares, and the contract of the structures behind them. The kernel
 * picks the structure from the flags; so does `newBackend`:
 *
 * | flags | structure | file |
 * |---|---|---|
 * | none, timeout, dynamic | exact match | `hash.ts` |
 * | interval | ordered ends | `interval.ts` |
 * | interval and concatenation | ranges per field | `concat-interval.ts` |
 */
import type { Verdict } from '../data.ts';
import type { Expr } from '../expr.ts';
import type { NftObject, Table } from '../model.ts';

/** An element. Identity matters: a transaction adds and removes this very object. */
export type Element = {
  readonly key: Uint8Array;
  /** Upper end of the key, in concatenated interval sets. */
  readonly keyEnd: Uint8Array | undefined;
  /** NFT_SET_ELEM_INTERVAL_END, NFT_SET_ELEM_CATCHALL. */
  readonly flags: number;
  readonly data: Uint8Array | undefined;
  readonly verdict: Verdict | undefined;
  readonly object: NftObject | undefined;
  /** Time to live in milliseconds, 0 for none. */
  timeoutMs: number;
  /** World time in nanoseconds when the element ends, Infinity for never. */
  expires: number;
  readonly userdata: Uint8Array | undefined;
  readonly exprs: readonly Expr[];
};

/** Keeps a second structure like a set's own. */
export type SetListener = {
  /** An element came in, perhaps in the place of one whose time was up. */
  inserted(element: Element): void;
  removed(element: Element): void;
};

/** A structure that finds elements. `now` is world time in ns: elements whose time is up are not found. */
export type SetBackend = {
  /** The element for the key at `u8[at...]`. */
  lookup(u8: Uint8Array, at: number, now: number): Element | undefined;
  /**
   * Adds an element. Answers undefined when it is in, the element that is already there when it is the same key
   * (EEXIST), or 'overlap' when it overlaps others in part.
   */
  insert(element: Element, now: number): Element | 'overlap' | undefined;
  /**
   * Puts an element back that a refused batch had taken out. Without it `insert` does so; structures that judge an element
   * by its neighbours need it, for these may not be back yet.
   */
  restore?(element: Element): void;
  /** The element that `key` (and `keyEnd`, `flags`) names exactly. */
  find(element: Pick<Element, 'key' | 'keyEnd' | 'flags'>): Element | undefined;
  /** The element that a question for one key means: the exact one, or the interval that holds the key. */
  get(element: Pick<Element, 'key' | 'keyEnd' | 'flags'>, now: number): Element | undefined;
  /** Takes an element out. */
  remove(element: Element): void;
  /** All elements, expired ones included, in the order dumps show. */
  elements(): Iterable<Element>;
  readonly size: number;
};

export type NftSet = {
  readonly table: Table;
  readonly name: string;
  readonly handle: number;
  /** Batch id (NFTA_SET_ID). */
  readonly id: number;
  /** NFT_SET_* flags. */
  readonly flags: number;
  readonly keyType: number;
  readonly keyLength: number;
  readonly dataType: number;
  readonly dataLength: number;
  readonly objectType: number;
  readonly policy: number;
  /** Most elements, 0 for no limit. */
  maxSize: number;
  /** Lengths of the fields of a concatenation, [] otherwise. */
  readonly fields: readonly number[];
  /** Default time to live of elements, milliseconds. */
  timeoutMs: number;
  gcIntervalMs: number;
  readonly userdata: Uint8Array | undefined;
  /** Templates of the expressions each new element gets. */
  readonly exprs: readonly Expr[];
  backend: SetBackend;
  catchall: Element | undefined;
  /** Rules and objects that refer to the set. */
  use: number;
  /** Elements that count against `maxSize`. */
  count: number;
};

/** The element for a key, the catch-all element when there is no other; undefined for none. */
export function lookup(set: NftSet, u8: Uint8Array, at: number, now: number): Element | undefined {
  const found = set.backend.lookup(u8, at, now);
  if (found !== undefined) return found;
  const all = set.catchall;
  return all !== undefined && all.expires > now ? all : undefined;
}
