/**
 * A ring of packets between one producer and one consumer, after netmap's: slots of (index, length, flags), and two counters
 * that only ever grow. Indices are slab handles; nothing is copied and nothing is allocated.
 *
 *             tail: next slot to read          head: next slot to write
 *               v                                v
 *     | free | filled | filled | filled | filled | free | free |     slots: power of two
 *
 *     slot, 8 B:   | index 4 | length 2 | flags 2 |
 *     header, 128 B:  | head 4 | pad to 64 | tail 4 | pad to 128 |   each counter in a cache line of its own
 *
 * The producer writes `head`, the consumer `tail`, each after the slots it stands for: with a SharedArrayBuffer the two
 * may be threads (the counters are stored and loaded atomically). Give and take in batches: one counter update
 * each.
 */

const HEADER_BYTES = 128;
const TAIL_WORD = 16;
const LENGTH = 4;
const FLAGS = 6;

/** The slot holds a part of a packet; the next slot goes on with it. */
export const RING_MORE_FRAGMENTS: number = 1 << 0;
/** The producer wants to be told when this slot has been taken. */
export const RING_REPORT: number = 1 << 1;

export class Ring {
  readonly slots: number;
  readonly #counters: Int32Array;
  readonly #dv: DataView;
  // Each side's view of its own counter: what it has written or read but not yet told.
  #head = 0;
  #tail = 0;

  /** `slots` is a power of two. `memory` (128 + 8 * slots bytes, zeroed) may be a SharedArrayBuffer that another Ring sees too. */
  constructor(slots: number, memory: ArrayBufferLike = new ArrayBuffer(Ring.bytes(slots))) {
    if (slots < 1 || (slots & (slots - 1)) !== 0) throw new RangeError(`a ring of ${slots} slots: not a power of two`);
    if (memory.byteLength < Ring.bytes(slots)) throw new RangeError('memory too small for the ring');
    this.slots = slots;
    this.#counters = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.#dv = new DataView(memory, HEADER_BYTES, slots * 8);
    this.#head = Atomics.load(this.#counters, 0);
    this.#tail = Atomics.load(this.#counters, TAIL_WORD);
  }

  /** Bytes of memory that a ring needs. */
  static bytes(slots: number): number {
    return HEADER_BYTES + slots * 8;
  }

  /** Slots that the producer may still fill. */
  get space(): number {
    return this.slots - ((this.#head - Atomics.load(this.#counters, TAIL_WORD)) | 0);
  }

  /** Filled slots that the consumer has not taken. */
  get available(): number {
    return (Atomics.load(this.#counters, 0) - this.#tail) | 0;
  }

  /** Producer: fills the next slot; false when the ring is full. The consumer sees it after `publish`. */
  put(index: number, length: number, flags = 0): boolean {
    if (this.space === 0) return false;
    const at = (this.#head & (this.slots - 1)) * 8;
    this.#dv.setUint32(at, index, true);
    this.#dv.setUint16(at + LENGTH, length, true);
    this.#dv.setUint16(at + FLAGS, flags, true);
    this.#head = (this.#head + 1) | 0;
    return true;
  }

  /** Producer: shows the consumer everything put so far. */
  publish(): void {
    Atomics.store(this.#counters, 0, this.#head);
  }

  /** Consumer: index, length and flags of the `n`th filled slot (0: the next); valid while `n < available`. */
  index(n: number): number {
    return this.#dv.getUint32(this.#at(n), true);
  }
  length(n: number): number {
    return this.#dv.getUint16(this.#at(n) + LENGTH, true);
  }
  flags(n: number): number {
    return this.#dv.getUint16(this.#at(n) + FLAGS, true);
  }

  /** Consumer: gives `n` slots back to the producer. */
  take(n: number): void {
    this.#tail = (this.#tail + n) | 0;
    Atomics.store(this.#counters, TAIL_WORD, this.#tail);
  }

  #at(n: number): number {
    return ((this.#tail + n) & (this.slots - 1)) * 8;
  }
}
