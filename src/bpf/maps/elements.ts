/**
 * The elements of a hash map: keys to values over `core/table`, whose bucket arrays lie in the heap and whose whereabouts
 * the descriptor tells, so that compiled programs look up without a call (layout.ts).
 *
 * Elements come from chunks that are made as the map grows; one that was freed is the next to be used again, as in the
 * kernel, so that a stale pointer in a program still points to an element of this map. They are linked in the order of
 * insertion: iteration does not depend on the table's size.
 */
import { HashTable } from '../../core/table.ts';
import { BPF_F_ZERO_SEED } from '../../wire/uapi/bpf.ts';
import { copyBytes, type MapCore } from './core.ts';
import * as layout from './layout.ts';

const NEXT: number = layout.ELEM_NEXT / 4;
const PREVIOUS: number = layout.ELEM_PREVIOUS / 4;
const HASH: number = layout.ELEM_HASH / 4;
/** Bytes of a chunk, unless one element is larger. */
const CHUNK = 16_384;

export class Elements {
  readonly #core: MapCore;
  readonly #u32: Uint32Array;
  readonly #table: HashTable;
  readonly #keySize: number;
  readonly #seed: number;
  readonly #chunks: number[] = [];
  readonly #free: number[] = [];
  readonly #bucketArrays: Set<number> = new Set();
  /** Unused rest of the newest chunk. */
  #fresh = 0;
  #freshEnd = 0;
  #made = 0;
  #first = 0;
  #last = 0;
  /** Key that `find` looks for. */
  #wanted = 0;
  readonly #isWanted: (entry: number) => boolean;
  /** Bytes of an element. */
  readonly stride: number;
  /** From an element to its value. */
  readonly valueOffset: number;

  /** Values of `valueBytes` for each of `cpus`, and `extraBytes` behind them for the map's own use. */
  constructor(core: MapCore, valueBytes: number, cpus: number, extraBytes: number) {
    this.#core = core;
    this.#u32 = core.u32;
    this.#keySize = core.spec.keySize;
    this.valueOffset = layout.ELEM_KEY + layout.round8(this.#keySize);
    this.stride = this.valueOffset + layout.round8(valueBytes) * cpus + layout.round8(extraBytes);
    this.#seed = (core.spec.flags & BPF_F_ZERO_SEED) !== 0 ? 0 : core.host.random() >>> 0;
    this.#isWanted = (entry): boolean => this.#keyEquals(entry * 8 + layout.ELEM_KEY, this.#wanted);
    core.set(layout.MAP_STRIDE, this.stride);
    core.set(layout.MAP_VALUE_OFFSET, this.valueOffset);
    core.set(layout.MAP_CPU_STRIDE, layout.round8(valueBytes));
    core.set(layout.MAP_HASH_SEED, this.#seed);
    this.#table = new HashTable({
      hashOf: (entry) => this.#u32[entry * 2 + HASH],
      random: () => core.host.random(),
      allocate: (bytes) => {
        const offset = core.heap.alloc(bytes, 64);
        if (offset === 0) return undefined;
        this.#bucketArrays.add(offset);
        return { buffer: core.u8.buffer, offset };
      },
      release: ({ offset }) => {
        this.#bucketArrays.delete(offset);
        core.heap.free(offset);
      },
      changed: (current, future) => {
        core.set(layout.MAP_BUCKETS, current.offset);
        core.set(layout.MAP_MASK, current.mask);
        core.set(layout.MAP_SEED, current.seed);
        core.set(layout.MAP_FUTURE, future?.offset ?? 0);
        core.set(layout.MAP_FUTURE_MASK, future?.mask ?? 0);
        core.set(layout.MAP_FUTURE_SEED, future?.seed ?? 0);
      },
    });
  }

  /** Elements in the map. */
  get count(): number {
    return this.#table.count;
  }

  /** The element of the key at this address; 0 for none. */
  find(keyAt: number): number {
    return this.findHashed(keyAt, this.hash(keyAt));
  }

  /** The same when the key's hash is known. */
  findHashed(keyAt: number, hash: number): number {
    this.#wanted = keyAt;
    const entry = this.#table.find(hash, this.#isWanted);
    return entry < 0 ? 0 : entry * 8;
  }

  hash(keyAt: number): number {
    return layout.hashKey(this.#core.dv, keyAt, this.#keySize, this.#seed);
  }

  /** An element to fill: the one freed last, else a new one; 0 when `limit` are made or there is no memory. */
  take(limit: number): number {
    const freed = this.#free.pop();
    if (freed !== undefined) return freed;
    if (this.#made >= limit) return 0;
    if (this.#fresh === this.#freshEnd) {
      const room = Math.max(1, Math.floor(CHUNK / this.stride));
      const bytes = this.stride * Math.min(room, limit - this.#made);
      const at = this.#core.heap.alloc(bytes);
      if (at === 0) return 0;
      this.#chunks.push(at);
      this.#fresh = at;
      this.#freshEnd = at + bytes;
    }
    const element = this.#fresh;
    this.#fresh += this.stride;
    this.#made++;
    return element;
  }

  /** Gives an element back that is not in the map. */
  give(element: number): void {
    this.#free.push(element);
  }

  /** Puts an element with this key in; false when there is no memory for the table. */
  insert(element: number, keyAt: number, hash: number = this.hash(keyAt)): boolean {
    const u32 = this.#u32;
    const w = element >>> 2;
    u32[w + HASH] = hash;
    u32[(element + this.valueOffset - 4) >>> 2] = u32[(element + this.valueOffset - 8) >>> 2] = 0;
    copyBytes(this.#core, element + layout.ELEM_KEY, keyAt, this.#keySize);
    if (!this.#table.insert(hash, element >>> 3)) return false;
    u32[w + NEXT] = 0;
    u32[w + PREVIOUS] = this.#last;
    if (this.#last === 0) this.#first = element;
    else u32[(this.#last >>> 2) + NEXT] = element;
    this.#last = element;
    return true;
  }

  /** Puts an element in the place of another one with the same key, which is then no longer in the map. */
  replace(old: number, element: number): void {
    const u32 = this.#u32;
    const w = element >>> 2;
    const from = old >>> 2;
    u32.copyWithin(w, from, from + this.valueOffset / 4);
    u32[w + layout.ELEM_REF / 4] = 0;
    this.#table.remove(u32[from + HASH], old >>> 3);
    this.#table.insert(u32[w + HASH], element >>> 3);
    const next = u32[w + NEXT];
    const previous = u32[w + PREVIOUS];
    if (next === 0) this.#last = element;
    else u32[(next >>> 2) + PREVIOUS] = element;
    if (previous === 0) this.#first = element;
    else u32[(previous >>> 2) + NEXT] = element;
  }

  /** Takes an element out of the map; it keeps its bytes until it is used again. */
  remove(element: number): boolean {
    const u32 = this.#u32;
    const w = element >>> 2;
    if (!this.#table.remove(u32[w + HASH], element >>> 3)) return false;
    const next = u32[w + NEXT];
    const previous = u32[w + PREVIOUS];
    if (next === 0) this.#last = previous;
    else u32[(next >>> 2) + PREVIOUS] = previous;
    if (previous === 0) this.#first = next;
    else u32[(previous >>> 2) + NEXT] = next;
    return true;
  }

  /** The element inserted after this one (0: the first), 0 for none. */
  after(element: number): number {
    return element === 0 ? this.#first : this.#u32[(element >>> 2) + NEXT];
  }

  /** True while the element is in the map. */
  holds(element: number): boolean {
    return this.#table.find(this.#u32[(element >>> 2) + HASH], (entry) => entry === element >>> 3) >= 0;
  }

  /** The elements that are there now. */
  all(): number[] {
    const found: number[] = [];
    for (let e = this.#first; e !== 0; e = this.#u32[(e >>> 2) + NEXT]) found.push(e);
    return found;
  }

  /** get_next_key: the key after this one, the first for a key that is not there. */
  nextKey(keyAt: number): Uint8Array | undefined {
    const element = this.after(keyAt === 0 ? 0 : this.find(keyAt));
    if (element === 0) return undefined;
    return this.#core.u8.slice(element + layout.ELEM_KEY, element + layout.ELEM_KEY + this.#keySize);
  }

  /** Gives all memory back. */
  dispose(): void {
    for (const at of this.#chunks) this.#core.heap.free(at);
    for (const at of this.#bucketArrays) this.#core.heap.free(at);
  }

  #keyEquals(a: number, b: number): boolean {
    const { dv } = this.#core;
    const end = a + (this.#keySize & ~3);
    for (; a < end; a += 4, b += 4) if (dv.getInt32(a, true) !== dv.getInt32(b, true)) return false;
    for (let i = this.#keySize & 3; i > 0; i--, a++, b++) if (dv.getUint8(a) !== dv.getUint8(b)) return false;
    return true;
  }
}
