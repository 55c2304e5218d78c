/**
 * The table of confirmed connections: both tuples of each, in `core/table`, found by address, protocol, ports and zone.
 * Tuples are numbered: the connection's number times two, plus one for the reply.
 */
import { HashTable, type TableCursor } from '../../core/table.ts';
import type { Conn } from './entry.ts';
import type { ConnStore } from './store.ts';
import { equal, HASH, hashTuple, type Words, ZONE } from './tuple.ts';

/** Longest chain of equal-looking tuples that an insert takes, and what chance adds (MIN_CHAINLEN, MAX_CHAINLEN). */
const CHAIN_MIN = 50;
const CHAIN_RANDOM = 30;

export class ConnTable {
  readonly store: ConnStore;
  readonly seed: number;
  readonly #table: HashTable;
  #wanted: Words;
  #chain = 0;

  constructor(store: ConnStore, random: () => number) {
    this.store = store;
    this.seed = random();
    this.#wanted = new Uint32Array(12);
    this.#table = new HashTable({ hashOf: (n): number => store.hash(n), random });
  }

  /** Connections. */
  get count(): number {
    return this.#table.count / 2;
  }

  hashOf(t: Words, at: number): number {
    return hashTuple(t, at, this.seed);
  }

  readonly #equals = (n: number): boolean => {
    this.#chain++;
    const words = this.store.page(n);
    const at = this.store.at(n);
    return words[at + ZONE] === this.#wanted[ZONE] && equal(words, at, this.#wanted, 0);
  };

  /** The number of the tuple that equals `t`, zone included; -1: none. The connection may have expired. */
  find(t: Words): number {
    this.#wanted = t;
    this.#chain = 0;
    return this.#table.find(hashTuple(t, 0, this.seed), this.#equals);
  }

  /** True when the last `find` met more look-alikes than chance explains: somebody knows the hash. */
  chainTooLong(random: number): boolean {
    return this.#chain > CHAIN_MIN + (random % CHAIN_RANDOM);
  }

  insert(ct: Conn): void {
    for (let dir = 0; dir < 2; dir++) {
      const at = ct.at(dir);
      const hash = hashTuple(ct.words, at, this.seed);
      ct.words[at + HASH] = hash;
      this.#table.insert(hash, ct.index * 2 + dir);
    }
  }

  remove(ct: Conn): void {
    for (let dir = 0; dir < 2; dir++) this.#table.remove(ct.words[ct.at(dir) + HASH], ct.index * 2 + dir);
  }

  /** Visits tuples in `buckets` buckets from the one of `hash`; `visit` may remove. */
  near(hash: number, buckets: number, visit: (n: number) => void): void {
    this.#table.near(hash, buckets, visit);
  }

  scan(cursor: TableCursor, visit: (n: number) => void): void {
    this.#table.scan(cursor, visit);
  }

  /** Numbers of all connections, ascending. */
  all(): Uint32Array {
    const out = new Uint32Array(this.#table.count / 2);
    let i = 0;
    this.#table.forEach((n) => {
      if ((n & 1) === 0 && i < out.length) out[i++] = n >> 1;
    });
    return out.sort();
  }
}
