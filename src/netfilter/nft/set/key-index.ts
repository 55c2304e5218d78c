/**
 * An exact-match index over byte keys of one length: open addressing in typed arrays, so that a lookup from the register
 * file neither allocates nor makes a string.
 */
export class KeyIndex {
  readonly #length: number;
  #keys: Uint8Array;
  // Slot: 0 free, -1 deleted, otherwise entry number plus one.
  #slots: Int32Array;
  #hashes: Uint32Array;
  readonly #free: number[] = [];
  #entries = 0;
  #count = 0;
  #filled = 0;

  /** @param length bytes per key */
  constructor(length: number) {
    this.#length = length;
    this.#keys = new Uint8Array(length * 8);
    this.#slots = new Int32Array(16);
    this.#hashes = new Uint32Array(8);
  }

  get size(): number {
    return this.#count;
  }

  #hash(u8: Uint8Array, at: number): number {
    let h = 0x811c9dc5;
    const end = at + this.#length;
    for (let i = at; i < end; i++) h = Math.imul(h ^ u8[i], 0x01000193);
    h ^= h >>> 15;
    return Math.imul(h, 0x85ebca6b) >>> 0;
  }

  #same(entry: number, u8: Uint8Array, at: number): boolean {
    const base = entry * this.#length;
    for (let i = 0; i < this.#length; i++) if (this.#keys[base + i] !== u8[at + i]) return false;
    return true;
  }

  /** Entry number of the key at `u8[at...]`, or -1. */
  find(u8: Uint8Array, at = 0): number {
    const mask = this.#slots.length - 1;
    const hash = this.#hash(u8, at);
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const slot = this.#slots[i];
      if (slot === 0) return -1;
      if (slot > 0 && this.#hashes[slot - 1] === hash && this.#same(slot - 1, u8, at)) return slot - 1;
    }
  }

  /** Adds a key that is not in the index; returns its entry number (small and reused, for arrays beside the index). */
  add(u8: Uint8Array, at = 0): number {
    if ((this.#filled + 1) * 4 > this.#slots.length * 3) this.#resize();
    const entry = this.#free.pop() ?? this.#entries++;
    if (entry >= this.#hashes.length) {
      const hashes = new Uint32Array(this.#hashes.length * 2);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
      const keys = new Uint8Array(hashes.length * this.#length);
      keys.set(this.#keys);
      this.#keys = keys;
    }
    const hash = this.#hash(u8, at);
    this.#hashes[entry] = hash;
    this.#keys.set(u8.subarray(at, at + this.#length), entry * this.#length);
    this.#place(entry, hash);
    this.#count++;
    return entry;
  }

  #place(entry: number, hash: number): void {
    const mask = this.#slots.length - 1;
    let i = hash & mask;
    while (this.#slots[i] > 0) i = (i + 1) & mask;
    if (this.#slots[i] === 0) this.#filled++;
    this.#slots[i] = entry + 1;
  }

  #resize(): void {
    const live = this.#slots.filter((s) => s > 0);
    let size = 16;
    while (size < live.length * 3) size *= 2;
    this.#slots = new Int32Array(size);
    this.#filled = 0;
    for (const slot of live) this.#place(slot - 1, this.#hashes[slot - 1]);
  }

  /** Takes a key out; its entry number, or -1 when it was not there. */
  remove(u8: Uint8Array, at = 0): number {
    const mask = this.#slots.length - 1;
    const hash = this.#hash(u8, at);
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const slot = this.#slots[i];
      if (slot === 0) return -1;
      if (slot > 0 && this.#hashes[slot - 1] === hash && this.#same(slot - 1, u8, at)) {
        this.#slots[i] = -1;
        this.#free.push(slot - 1);
        this.#count--;
        return slot - 1;
      }
    }
  }
}
