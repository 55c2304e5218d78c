/**
 * A set's elements as a hash map that programs look up without a call. The set itself stays what the interpreter, dynamic
 * elements and dumps work on; it tells of every change. Elements with a time, an expression or an object, and sets with a
 * catch-all element, are left to the set: the map says so.
 */
import type { BpfMap } from '../../../bpf/maps/map.ts';
import type { BpfSystem } from '../../../bpf/system.ts';
import { BPF_F_NO_PREALLOC, BPF_MAP_TYPE_HASH } from '../../../wire/uapi/bpf.ts';
import { NFT_SET_TIMEOUT } from '../../../wire/uapi/nf-tables.ts';
import type { Chain } from '../model.ts';
import { HashBackend } from '../set/hash.ts';
import type { Element, NftSet, SetListener } from '../set/set.ts';
import type { Arena, Words } from './arena.ts';
import { ELEMENT_CHAIN, ELEMENT_DATA, ELEMENT_FLAGS, ELEMENT_VERDICT } from './rule-writer.ts';

const MOST = 1 << 24;

export class SetMirror implements SetListener {
  readonly set: NftSet;
  readonly map: BpfMap;
  /** Not 0: the set has to be asked. */
  readonly slow: Words;
  users = 0;
  #full = false;
  readonly #system: BpfSystem;
  readonly #arena: Arena;
  readonly #backend: HashBackend;
  readonly #numberOf: (chain: Chain) => number;

  /** Whether there is such a map for the set. */
  static fits(set: NftSet): boolean {
    return set.backend instanceof HashBackend;
  }

  constructor(system: BpfSystem, arena: Arena, set: NftSet, numberOf: (chain: Chain) => number) {
    this.set = set;
    this.#system = system;
    this.#arena = arena;
    this.#numberOf = numberOf;
    this.#backend = set.backend as HashBackend;
    this.map = system.createMap({
      name: set.name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, 15),
      type: BPF_MAP_TYPE_HASH,
      keySize: set.keyLength,
      valueSize: ELEMENT_DATA + ((set.dataLength + 7) & ~7),
      maxEntries: MOST,
      flags: BPF_F_NO_PREALLOC,
    });
    this.slow = arena.take();
    for (const element of this.#backend.elements()) this.inserted(element);
    this.#backend.listener = this;
    this.refresh();
  }

  inserted(element: Element): void {
    const value = new Uint8Array(this.map.valueSize);
    const dv = new DataView(value.buffer);
    const { verdict, data } = element;
    const plain =
      element.exprs.length === 0 && element.object === undefined && (this.set.flags & NFT_SET_TIMEOUT) === 0;
    dv.setUint32(ELEMENT_FLAGS, plain ? 0 : 1, true);
    dv.setInt32(ELEMENT_VERDICT, verdict?.code ?? 0, true);
    dv.setUint32(ELEMENT_CHAIN, verdict?.chain === undefined ? 0 : this.#numberOf(verdict.chain), true);
    if (data !== undefined) value.set(data, ELEMENT_DATA);
    // Without memory for it the map no longer tells all.
    if (this.map.userUpdate(element.key, value, 0) !== 0) {
      this.#full = true;
      this.refresh();
    }
  }

  removed(element: Element): void {
    this.map.userDelete(element.key);
  }

  /** After a transaction, which may have changed what no element says. */
  refresh(): void {
    const slow = this.#full || this.set.catchall !== undefined;
    this.#system.machine.slab.dv.setUint32(this.slow.address, slow ? 1 : 0, true);
  }

  dispose(): void {
    if (this.#backend.listener === this) this.#backend.listener = undefined;
    this.#arena.give(this.slow);
    this.#system.removeMap(this.map.id);
  }
}
