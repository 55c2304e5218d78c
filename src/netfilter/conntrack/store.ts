/**
 * The memory of connections: records of 256 bytes in pages that never move, so that a table that grows copies nothing, and no
 * object per connection: views (entry.ts) are made when somebody looks, and a small cache keeps those in use.
 *
 * A freed number waits before its next use, for packets on their way that still name it.
 */
import { Conn, type Extras, RECORD_WORDS, type Records } from './entry.ts';
import { HASH, TUPLE_WORDS, type Words } from './tuple.ts';

/** Records of a page: 32 KiB. */
const PAGE_SHIFT = 7;
const PAGE = 1 << PAGE_SHIFT;
/** Views kept, by the low bits of the number. */
const VIEWS = 4096;
/** Freed entries that wait before the first of them is used again. */
const QUARANTINE = 256;

/** Memory for a page: `bytes` zeroed bytes. */
export type AllocatePage = (bytes: number) => ArrayBufferLike;

export class ConnStore implements Records {
  readonly extras: Map<number, Extras> = new Map();
  readonly #allocate: AllocatePage;
  readonly #pages: Words[] = [];
  readonly #doubles: Float64Array[] = [];
  readonly #views: (Conn | undefined)[] = new Array<Conn | undefined>(VIEWS).fill(undefined);
  #used = 0;
  /** Numbers to be used again: a ring. */
  #free = new Uint32Array(1024);
  #head = 0;
  #waiting = 0;

  constructor(allocate: AllocatePage = (bytes) => new ArrayBuffer(bytes)) {
    this.#allocate = allocate;
  }

  /** A view of connection `index`. */
  view(index: number): Conn {
    const slot = index & (VIEWS - 1);
    const known = this.#views[slot];
    if (known !== undefined && known.index === index) return known;
    const page = index >> PAGE_SHIFT;
    const base = (index & (PAGE - 1)) * RECORD_WORDS;
    const made = new Conn(this, index, this.#pages[page], this.#doubles[page], base);
    this.#views[slot] = made;
    return made;
  }

  /** The page that tuple `n` (number times two plus direction) lies in, and where: for lookups, which need no view. */
  page(n: number): Words {
    return this.#pages[n >> (PAGE_SHIFT + 1)];
  }
  at(n: number): number {
    return ((n >> 1) & (PAGE - 1)) * RECORD_WORDS + (n & 1) * TUPLE_WORDS;
  }
  hash(n: number): number {
    return this.page(n)[this.at(n) + HASH];
  }

  /** A record as new. */
  take(): Conn {
    let index: number;
    if (this.#waiting > QUARANTINE) {
      index = this.#free[this.#head];
      this.#head = (this.#head + 1) & (this.#free.length - 1);
      this.#waiting--;
    } else {
      index = this.#used++;
      if (index >> PAGE_SHIFT === this.#pages.length) {
        const memory = this.#allocate(PAGE * RECORD_WORDS * 4);
        this.#pages.push(new Uint32Array(memory));
        this.#doubles.push(new Float64Array(memory));
      }
    }
    const ct = this.view(index);
    ct.reset();
    return ct;
  }

  /** Gives a record back. */
  release(ct: Conn): void {
    ct.release();
    if (this.#waiting === this.#free.length) this.#grow();
    this.#free[(this.#head + this.#waiting++) & (this.#free.length - 1)] = ct.index;
  }

  #grow(): void {
    const wider = new Uint32Array(this.#free.length * 2);
    for (let i = 0; i < this.#waiting; i++) wider[i] = this.#free[(this.#head + i) & (this.#free.length - 1)];
    this.#free = wider;
    this.#head = 0;
  }
}
