/**
 * The resizable hash table: hash values to entry numbers (sockets, connections, forwarding entries). Modelled on the
 * kernel's rhashtable (Documentation/core-api/rhashtable.rst): grows above 75 % load, shrinks below 30 %, the move to the
 * new size spread over the following operations, so that no insert pays for it alone.
 *
 * The entries lie apart, in whatever memory their owner keeps; the table holds numbers only, in buckets of one cache line:
 *
 *     bucket, 64 B:  | 8 tags of 16 bits | 8 entry numbers plus one, 32 bits | passed | sequence | 2 spare words |
 *
 * A tag is a part of the hash (0: free slot), so that a lookup touches an entry only when it is very likely the one. A full
 * bucket sends the entry to the next one; `passed` counts how many entries did that, and tells a lookup whether to go on.
 * No tombstones. Only one thread may write. Readers in other threads are prepared for: buckets hold no pointers,
 * an entry that moves is in its new place before it leaves the old one, and `sequence` is odd while a bucket is changed.
 */
import { ENOMEM, KernelError } from './errno.ts';

const SLOTS = 8;
const WORDS = 16;
const INDEX = 4; // word of the first entry number
const PASSED = 12;
const SEQUENCE = 13;
/** Old buckets moved by each insert or remove while resizing. Four outrun every growth that a shrink can call for. */
const MOVES = 4;
/** An insert that passes more full buckets than this asks for a new seed (rhashtable's elasticity). */
const ELASTICITY = 16;
const MAX_SLOTS = 2 ** 30;

/** A bucket array: what a reader outside this class (compiled code) needs to look into it. */
export type Buckets = {
  readonly tags: Uint16Array;
  readonly words: Uint32Array;
  /** Where it begins in its buffer. */
  readonly offset: number;
  /** Number of buckets minus one. */
  readonly mask: number;
  readonly seed: number;
};

export type TableOptions = {
  /** The hash an entry was inserted with; asked when the entry moves. */
  readonly hashOf: (entry: number) => number;
  /** Fewest slots, a power of two from 8; default 8. */
  readonly minSize?: number;
  /** Most entries; an insert beyond is refused. Default: no limit but memory. */
  readonly maxEntries?: number;
  /** Drawn at construction and when a bucket chain grows too long. */
  readonly random?: () => number;
  /**
   * Memory for buckets (zeroed, the offset a multiple of four): a SharedArrayBuffer for readers in other threads, a part of
   * a larger memory. Default: an ArrayBuffer. `undefined` when there is none: the table then stays at its size, and is full
   * when that is.
   */
  readonly allocate?: (bytes: number) => TableMemory | undefined;
  /** Takes back what `allocate` gave. */
  readonly release?: (memory: TableMemory) => void;
  /** Called whenever the bucket arrays are others: the present one, and the one being moved to, if any. */
  readonly changed?: (current: Buckets, future: Buckets | undefined) => void;
};

export type TableMemory = { readonly buffer: ArrayBufferLike; readonly offset: number };

/** Where an iteration stands. Start with `{ cursor: 0, seed: 0, done: false }`, hand it to `scan` until it is done. */
export type TableCursor = { cursor: number; seed: number; done: boolean };

function reverse(v: number): number {
  v = ((v >>> 1) & 0x55555555) | ((v & 0x55555555) << 1);
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  v = ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
  return ((v >>> 16) | (v << 16)) >>> 0;
}

function mixed(hash: number, seed: number): number {
  const h = Math.imul(hash ^ seed, 0x9e3779b1);
  return (h ^ (h >>> 15)) >>> 0;
}

export class HashTable {
  readonly #hashOf: (entry: number) => number;
  readonly #minSize: number;
  readonly #maxEntries: number;
  readonly #random: () => number;
  readonly #allocate: (bytes: number) => TableMemory | undefined;
  readonly #release: (memory: TableMemory) => void;
  readonly #changed: (current: Buckets, future: Buckets | undefined) => void;
  #current: Buckets;
  /** The table being moved to, while resizing. */
  #future: Buckets | undefined;
  #moved = 0;
  #count = 0;
  readonly #found: number[] = [];

  constructor(options: TableOptions) {
    this.#hashOf = options.hashOf;
    this.#minSize = Math.max(SLOTS, options.minSize ?? SLOTS);
    this.#maxEntries = options.maxEntries ?? MAX_SLOTS;
    this.#random = options.random ?? ((): number => 0);
    this.#allocate = options.allocate ?? ((bytes): TableMemory => ({ buffer: new ArrayBuffer(bytes), offset: 0 }));
    this.#release = options.release ?? ((): void => {});
    this.#changed = options.changed ?? ((): void => {});
    const first = this.#buckets(this.#minSize, this.#random() >>> 0);
    if (first === undefined) throw new KernelError(ENOMEM);
    this.#current = first;
    this.#changed(first, undefined);
  }

  /** Entries in the table. */
  get count(): number {
    return this.#count;
  }

  /** Slots of the newest bucket array: what the thresholds are measured against. */
  get size(): number {
    return ((this.#future ?? this.#current).mask + 1) * SLOTS;
  }

  /** True while entries move to a new bucket array. */
  get resizing(): boolean {
    return this.#future !== undefined;
  }

  /** The entry of this hash that `equals` accepts, or -1. */
  find(hash: number, equals: (entry: number) => boolean): number {
    const found = this.#search(this.#current, hash, equals);
    if (found >= 0 || this.#future === undefined) return found;
    return this.#search(this.#future, hash, equals);
  }

  /** Adds an entry (equal ones are the caller's concern). False when the table is full. */
  insert(hash: number, entry: number): boolean {
    if (this.#count >= this.#maxEntries || this.#count >= this.size) return false;
    this.#step();
    const passed = this.#place(this.#future ?? this.#current, hash, entry);
    this.#count++;
    if (this.#future === undefined) {
      const size = this.size;
      if (this.#count > (size >>> 2) * 3 && size < MAX_SLOTS) this.#resize(size * 2, this.#current.seed);
      else if (passed > ELASTICITY) this.#resize(size, (this.#random() ^ mixed(size, this.#current.seed)) >>> 0);
    }
    return true;
  }

  /** Takes an entry out; false when it is not there. */
  remove(hash: number, entry: number): boolean {
    this.#step();
    if (!this.#take(this.#current, hash, entry) && !(this.#future && this.#take(this.#future, hash, entry)))
      return false;
    this.#count--;
    const size = this.size;
    if (this.#future === undefined && this.#count < Math.floor((size * 3) / 10) && size > this.#minSize) {
      let target = this.#minSize;
      while (target < Math.floor((this.#count * 3) / 2)) target *= 2;
      if (target < size) this.#resize(target, this.#current.seed);
    }
    return true;
  }

  /**
   * Visits the entries of one bucket (of the smaller table while resizing) and moves the cursor on. An entry that is in the
   * table during the whole iteration is visited at least once, however often the table is resized meanwhile; one may
   * be seen twice. `visit` may remove and insert. The cursor counts with its bits reversed: a bucket's two halves after
   * a doubling, and the two that a halving joins, are neighbours in that order.
   */
  scan(at: TableCursor, visit: (entry: number) => void): void {
    // With two seeds at once an entry could move from the part not yet seen to the part already seen.
    while (this.#future !== undefined && this.#future.seed !== this.#current.seed) this.#step();
    if (at.seed !== this.#current.seed) {
      at.cursor = 0;
      at.seed = this.#current.seed;
    }
    this.#found.length = 0;
    let v = at.cursor;
    const next = (mask: number): void => {
      v = reverse((reverse((v | ~mask) >>> 0) + 1) >>> 0);
    };
    const future = this.#future;
    if (future === undefined) {
      this.#collect(this.#current, v & this.#current.mask);
      next(this.#current.mask);
    } else {
      const [small, large] = future.mask < this.#current.mask ? [future, this.#current] : [this.#current, future];
      this.#collect(small, v & small.mask);
      do {
        this.#collect(large, v & large.mask);
        next(large.mask);
      } while (v & (small.mask ^ large.mask));
    }
    at.cursor = v;
    at.done = v === 0;
    for (const entry of this.#found.splice(0)) visit(entry);
  }

  /** Visits every entry once; the table must not be changed meanwhile. */
  forEach(visit: (entry: number) => void): void {
    for (const b of this.#future === undefined ? [this.#current] : [this.#current, this.#future])
      for (let i = 0; i < b.words.length; i += WORDS)
        for (let s = 0; s < SLOTS; s++) if (b.words[i + INDEX + s] !== 0) visit(b.words[i + INDEX + s] - 1);
  }

  /** Gives the bucket arrays back; the table is not to be used any more. */
  dispose(): void {
    for (const b of this.#future === undefined ? [this.#current] : [this.#current, this.#future])
      this.#release({ buffer: b.words.buffer, offset: b.offset });
  }

  /** Visits the entries in `count` buckets from the one that `hash` belongs to: for evictions. `visit` may remove. */
  near(hash: number, count: number, visit: (entry: number) => void): void {
    const b = this.#future ?? this.#current;
    this.#found.length = 0;
    for (let k = 0; k < count && k <= b.mask; k++) {
      const w = ((mixed(hash, b.seed) + k) & b.mask) * WORDS;
      for (let s = 0; s < SLOTS; s++) if (b.words[w + INDEX + s] !== 0) this.#found.push(b.words[w + INDEX + s] - 1);
    }
    for (const entry of this.#found.splice(0)) visit(entry);
  }

  #buckets(slots: number, seed: number): Buckets | undefined {
    const count = slots / SLOTS;
    const memory = this.#allocate(count * 64);
    if (memory === undefined) return undefined;
    const { buffer, offset } = memory;
    const tags = new Uint16Array(buffer, offset, count * WORDS * 2);
    return { tags, words: new Uint32Array(buffer, offset, count * WORDS), offset, mask: count - 1, seed };
  }

  #resize(slots: number, seed: number): void {
    this.#future = this.#buckets(slots, seed);
    this.#moved = 0;
    if (this.#future !== undefined) this.#changed(this.#current, this.#future);
  }

  #search(b: Buckets, hash: number, equals: (entry: number) => boolean): number {
    const m = mixed(hash, b.seed);
    const tag = m >>> 16 || 1;
    for (let i = m & b.mask, seen = 0; seen <= b.mask; i = (i + 1) & b.mask, seen++) {
      const t = i * (WORDS * 2);
      const w = i * WORDS;
      for (let s = 0; s < SLOTS; s++) {
        if (b.tags[t + s] !== tag) continue;
        const entry = b.words[w + INDEX + s] - 1;
        if (equals(entry)) return entry;
      }
      if (b.words[w + PASSED] === 0) return -1;
    }
    return -1;
  }

  #place(b: Buckets, hash: number, entry: number): number {
    const m = mixed(hash, b.seed);
    // Load stays under 100 %, so a free slot is always found.
    for (let i = m & b.mask, passed = 0; ; i = (i + 1) & b.mask, passed++) {
      const t = i * (WORDS * 2);
      const w = i * WORDS;
      for (let s = 0; s < SLOTS; s++) {
        if (b.tags[t + s] !== 0) continue;
        b.words[w + SEQUENCE]++;
        b.words[w + INDEX + s] = entry + 1;
        b.tags[t + s] = m >>> 16 || 1;
        b.words[w + SEQUENCE]++;
        return passed;
      }
      b.words[w + PASSED]++;
    }
  }

  #take(b: Buckets, hash: number, entry: number): boolean {
    const m = mixed(hash, b.seed);
    const tag = m >>> 16 || 1;
    const home = m & b.mask;
    for (let i = home, seen = 0; seen <= b.mask; i = (i + 1) & b.mask, seen++) {
      const t = i * (WORDS * 2);
      const w = i * WORDS;
      for (let s = 0; s < SLOTS; s++) {
        if (b.tags[t + s] !== tag || b.words[w + INDEX + s] !== entry + 1) continue;
        this.#clear(b, home, i, s);
        return true;
      }
      if (b.words[w + PASSED] === 0) return false;
    }
    return false;
  }

  /** Empties a slot of bucket `i`, whose entry belongs to bucket `home`. */
  #clear(b: Buckets, home: number, i: number, slot: number): void {
    const w = i * WORDS;
    b.words[w + SEQUENCE]++;
    b.tags[i * (WORDS * 2) + slot] = 0;
    b.words[w + INDEX + slot] = 0;
    b.words[w + SEQUENCE]++;
    for (let j = home; j !== i; j = (j + 1) & b.mask) b.words[j * WORDS + PASSED]--;
  }

  #step(): void {
    for (let n = 0; n < MOVES && this.#future !== undefined; n++) {
      const old = this.#current;
      const w = this.#moved * WORDS;
      for (let s = 0; s < SLOTS; s++) {
        const entry = old.words[w + INDEX + s] - 1;
        if (entry < 0) continue;
        const hash = this.#hashOf(entry);
        this.#place(this.#future, hash, entry);
        this.#clear(old, mixed(hash, old.seed) & old.mask, this.#moved, s);
      }
      if (this.#moved++ === old.mask) {
        this.#current = this.#future;
        this.#future = undefined;
        this.#changed(this.#current, undefined);
        this.#release({ buffer: old.words.buffer, offset: old.offset });
      }
    }
  }

  #collect(b: Buckets, home: number): void {
    for (let i = home, seen = 0; seen <= b.mask; i = (i + 1) & b.mask, seen++) {
      const w = i * WORDS;
      for (let s = 0; s < SLOTS; s++) {
        const entry = b.words[w + INDEX + s] - 1;
        if (entry >= 0 && (mixed(this.#hashOf(entry), b.seed) & b.mask) === home) this.#found.push(entry);
      }
      if (b.words[w + PASSED] === 0) return;
    }
  }
}
