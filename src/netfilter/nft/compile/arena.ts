/**
 * Words in packet memory that compiled chains work on: states of expressions, and where chains go on. They lie in values of
 * array maps, so that the verifier knows them.
 */
import type { BpfMap } from '../../../bpf/maps/map.ts';
import { valuesOf } from '../../../bpf/runtime/machine.ts';
import type { BpfSystem } from '../../../bpf/system.ts';
import { BPF_MAP_TYPE_ARRAY } from '../../../wire/uapi/bpf.ts';

const CHUNK = 4096;
const SLOT = 16;

/** Sixteen bytes. */
export type Words = { readonly map: BpfMap; readonly offset: number; readonly address: number };

/** A map with one value of so many bytes. */
export function plainMap(system: BpfSystem, name: string, bytes: number): BpfMap {
  return system.createMap({ name, type: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: bytes, maxEntries: 1, flags: 0 });
}

export class Arena {
  readonly #system: BpfSystem;
  readonly #free: Words[] = [];
  readonly #maps: BpfMap[] = [];

  constructor(system: BpfSystem) {
    this.#system = system;
  }

  take(): Words {
    const ready = this.#free.pop();
    if (ready !== undefined) return ready;
    const map = plainMap(this.#system, 'nft_state', CHUNK);
    this.#maps.push(map);
    const base = valuesOf(this.#system.machine, map);
    for (let offset = CHUNK - SLOT; offset >= 0; offset -= SLOT)
      this.#free.push({ map, offset, address: base + offset });
    return this.#free.pop()!;
  }

  /** Gives words back, zeroed. */
  give(words: Words): void {
    const { u8 } = this.#system.machine.slab;
    u8.fill(0, words.address, words.address + SLOT);
    this.#free.push(words);
  }

  dispose(): void {
    for (const map of this.#maps) this.#system.removeMap(map.id);
    this.#maps.length = 0;
    this.#free.length = 0;
  }
}
