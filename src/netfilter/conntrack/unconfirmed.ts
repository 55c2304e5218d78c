/**
 * Connections whose first packet is still on its way. The packet alone holds them; of packets that were dropped nothing tells
 * us, so now and then those whose packet is gone are given up.
 */
import type { Slab } from '../../core/slab.ts';
import type { Conn } from './entry.ts';

/** So many are kept before the lost ones are looked for. */
const KEPT = 32;

export class Unconfirmed {
  readonly #slab: Slab;
  readonly #entries: number[] = [];
  readonly #packets: number[] = [];

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** True when it is time to look for lost ones. */
  get many(): boolean {
    return this.#entries.length >= KEPT;
  }

  /** `p`: the packet that made the entry; -1: none. */
  add(ct: Conn, p: number): void {
    this.#entries.push(ct.index);
    this.#packets.push(p);
  }

  /** Takes one out; false when it is not here. */
  remove(ct: Conn): boolean {
    const i = this.#entries.indexOf(ct.index);
    if (i < 0) return false;
    const last = this.#entries.length - 1;
    this.#entries[i] = this.#entries[last];
    this.#packets[i] = this.#packets[last];
    this.#entries.pop();
    this.#packets.pop();
    return true;
  }

  /** Numbers of all. */
  all(): readonly number[] {
    return this.#entries.slice();
  }

  /** Numbers of those whose packet's slot is free or belongs to another. */
  lost(): number[] {
    return this.#entries.filter((index, i) => {
      const p = this.#packets[i];
      return p < 0 || this.#slab.refs(p) === 0 || this.#slab.nfct(p) !== index + 1;
    });
  }
}
