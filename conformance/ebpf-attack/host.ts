/**
 * The hosts that attack programs run on, one for each way of running. A host serves many programs: a memory of its own for
 * each would cost more than the program. Clock and randomness start anew with every program, so that all ways see the same.
 */
import type { BpfMap } from '../../src/bpf/maps/map.ts';
import type { MapSpec, ProgramSpec } from '../../src/bpf/program.ts';
import { Machine } from '../../src/bpf/runtime/machine.ts';
import { BpfSystem, type LoadedProgram, type RunMode } from '../../src/bpf/system.ts';
import { Slab } from '../../src/core/slab.ts';
import { makeMaps } from '../ebpf-case.ts';

/** Enough for the maps of an attack. */
const HEAP: number = 1 << 20;
/** Numbers of maps and programs are not given out twice: a host that has seen so many programs is replaced. */
const LIFETIME = 400;
/** What a host had before it made the first map of a program. */
const START = 1_000_000_000;

export class AttackHost {
  readonly #mode: RunMode;
  #system: BpfSystem;
  #served = 0;
  #ns = START;
  #seed = 1;

  constructor(mode: RunMode = 'compiled') {
    this.#mode = mode;
    this.#system = this.#newSystem();
  }

  #newSystem(): BpfSystem {
    this.#served = 0;
    const env = {
      now: (): number => (this.#ns += 1000),
      random: (): number => {
        this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
        return this.#seed;
      },
    };
    return new BpfSystem(new Machine({ slab: new Slab({ slots: 8, largeSlots: 4, heapBytes: HEAP }), env }));
  }

  #begin(): void {
    if (this.#served >= LIFETIME) this.#system = this.#newSystem();
    this.#served++;
    this.#ns = START;
    this.#seed = 1;
  }

  /** Makes the maps for `use`; undefined when one cannot be made. */
  withMaps<T>(specs: readonly MapSpec[], use: (maps: readonly BpfMap[]) => T): T | undefined {
    this.#begin();
    const maps = makeMaps(this.#system, specs);
    try {
      return typeof maps === 'number' ? undefined : use(maps);
    } finally {
      for (const map of this.#system.machine.maps.slice()) if (map !== undefined) this.#system.removeMap(map.id);
    }
  }

  /** Makes the maps, loads the program for `use`, and takes both away. Throws what `loadProgram` throws. */
  withProgram<T>(spec: ProgramSpec, use: (loaded: LoadedProgram, machine: Machine) => T): T | undefined {
    return this.withMaps(spec.maps, (maps) => {
      const loaded = this.#system.loadProgram(spec, maps, { run: this.#mode });
      try {
        return use(loaded, this.#system.machine);
      } finally {
        this.#system.unloadProgram(loaded.id);
      }
    });
  }
}
