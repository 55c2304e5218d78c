/** A machine for map tests: two CPUs, a device 1, programs, sockets and handles that a test may add to. */
import { EBADF } from '../../core/errno.ts';
import { Random } from '../../core/random.ts';
import { Slab } from '../../core/slab.ts';
import type { MapSpec } from '../program.ts';
import { createMap } from './create-map.ts';
import { Grace } from './grace.ts';
import type { BpfMap, MapHost } from './map.ts';

export class TestHost implements MapHost {
  readonly slab: Slab;
  readonly grace: Grace;
  readonly maps: BpfMap[] = [];
  readonly programs: Set<number> = new Set();
  readonly cpus: number;
  current = 0;
  readonly #random = new Random(1);

  constructor(cpus = 2, heapBytes: number = 8 << 20) {
    this.slab = new Slab({ slots: 1, largeSlots: 0, heapBytes });
    this.grace = new Grace(this.slab.heap);
    this.cpus = cpus;
  }

  cpu(): number {
    return this.current;
  }

  random(): number {
    return this.#random.u32();
  }

  map(id: number): BpfMap | undefined {
    return this.maps[id];
  }

  program(id: number): number {
    return this.programs.has(id) ? 0 : -EBADF;
  }

  device(ifindex: number): boolean {
    return ifindex === 1;
  }

  /** Sockets are the handles 1000 to 1999, perf events and cgroups those below. */
  socket(handle: number): number {
    return handle >= 1000 && handle < 2000 ? handle : -EBADF;
  }

  handle(handle: number): number {
    return handle < 1000 ? 0 : -EBADF;
  }

  make(spec: Partial<MapSpec> & { readonly type: number }): BpfMap {
    const map = createMap(
      { name: '', keySize: 4, valueSize: 8, maxEntries: 4, flags: 0, ...spec },
      this,
      this.maps.length,
    );
    this.maps.push(map);
    return map;
  }
}

/** A u32, or several, as a key or value. */
export const u32s = (...words: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);

/** A u64 value. */
export const u64 = (value: number): Uint8Array => u32s(value, 0);
