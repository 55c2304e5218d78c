/** The elements of a bitmap or hash set: exact keys, and networks of any prefix length. */

import { dimensionLength, IFACE_LENGTH, keyLength, type SetType } from '../../wire/uapi/ipset-types.ts';
import { KeyIndex } from '../nft/set/key-index.ts';
import type { Entry } from './entry.ts';

/** Where the prefix of a network dimension lies in a key, and which prefix lengths are in use. */
type NetPlace = {
  readonly at: number;
  readonly length: number;
  /** Elements per prefix length. */
  readonly counts: Int32Array;
  /** Lengths in use, the longest first. */
  lengths: number[];
};

export class Elements {
  readonly #index: KeyIndex;
  readonly #entries: (Entry | undefined)[] = [];
  readonly #nets: NetPlace[] = [];
  readonly #ifaceAt: number;
  /** Elements with a wildcard interface name: few, looked at one by one. */
  readonly #wildcards = new Set<Entry>();
  readonly #probe: Uint8Array;

  constructor(type: SetType, family: number) {
    const length = keyLength(type, family);
    this.#index = new KeyIndex(length);
    this.#probe = new Uint8Array(length);
    let at = 0;
    let ifaceAt = -1;
    for (const dimension of type.dimensions) {
      const size = dimensionLength(dimension, family);
      if (dimension === 'net') this.#nets.push({ at, length: size - 1, counts: new Int32Array(size * 8), lengths: [] });
      if (dimension === 'iface') ifaceAt = at;
      at += size;
    }
    this.#ifaceAt = ifaceAt;
  }

  get size(): number {
    return this.#index.size;
  }

  /** The element with exactly this key, ended or not. */
  get(key: Uint8Array): Entry | undefined {
    const n = this.#index.find(key);
    return n < 0 ? undefined : this.#entries[n];
  }

  add(entry: Entry): void {
    this.#entries[this.#index.add(entry.key)] = entry;
    for (const net of this.#nets) this.#count(net, entry.key[net.at + net.length], 1);
    if (entry.wildcard) this.#wildcards.add(entry);
  }

  remove(entry: Entry): void {
    const n = this.#index.remove(entry.key);
    if (n < 0) return;
    this.#entries[n] = undefined;
    for (const net of this.#nets) this.#count(net, entry.key[net.at + net.length], -1);
    this.#wildcards.delete(entry);
  }

  #count(net: NetPlace, length: number, by: number): void {
    net.counts[length] += by;
    net.lengths = Array.from(net.counts.keys())
      .filter((bits) => net.counts[bits] > 0)
      .reverse();
  }

  /**
   * The element that a full key falls into: networks by their longest prefix, the first dimension before the second. The
   * prefix bytes of `key` are ignored. Ended elements are not found.
   */
  match(key: Uint8Array, now: number): Entry | undefined {
    const [first, second] = this.#nets;
    if (first === undefined) return this.#alive(key, now);
    const probe = this.#probe;
    for (const bits of first.lengths) {
      probe.set(key);
      cut(probe, first, bits);
      if (second === undefined) {
        const found = this.#alive(probe, now);
        if (found !== undefined) return found;
        continue;
      }
      for (const inner of second.lengths) {
        for (let i = 0; i < second.length; i++) probe[second.at + i] = key[second.at + i];
        cut(probe, second, inner);
        const found = this.#alive(probe, now);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  #alive(key: Uint8Array, now: number): Entry | undefined {
    const n = this.#index.find(key);
    const found = n < 0 ? undefined : this.#entries[n];
    if (found !== undefined && found.expires > now) return found;
    return this.#wildcards.size === 0 ? undefined : this.#wild(key, now);
  }

  #wild(key: Uint8Array, now: number): Entry | undefined {
    for (const entry of this.#wildcards) {
      if (entry.expires <= now) continue;
      let same = true;
      for (let i = 0; i < key.length && same; i++) {
        const inName = i >= this.#ifaceAt && i < this.#ifaceAt + IFACE_LENGTH;
        // Behind the end of the wildcard's name everything matches.
        if (inName && entry.key[i] === 0) continue;
        same = entry.key[i] === key[i];
      }
      if (same) return entry;
    }
    return undefined;
  }

  *[Symbol.iterator](): Iterator<Entry> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry;
  }

  clear(): void {
    for (const entry of [...this]) this.remove(entry);
  }
}

/** Masks the address of a network dimension and writes the prefix length behind it. */
function cut(key: Uint8Array, { at, length }: NetPlace, bits: number): void {
  maskBits(key, at, length, bits);
  key[at + length] = bits;
}

/** Clears the bits of an address behind its prefix. */
export function maskBits(key: Uint8Array, at: number, length: number, bits: number): void {
  for (let i = 0; i < length; i++) {
    const keep = bits - i * 8;
    if (keep >= 8) continue;
    key[at + i] &= keep <= 0 ? 0 : 0xff00 >> keep;
  }
}
