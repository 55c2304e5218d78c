/** Ties the global variables of an opened object to the maps of a machine that it was loaded into. */
import type { OpenObject } from './elf/index.ts';
import type { BpfMap } from './maps/map.ts';
import { type Machine, valuesOf } from './runtime/machine.ts';

/** From here on `object.globals` reads and writes what the programs see; `maps` are the object's, in its order. */
export function bindGlobals(object: OpenObject, machine: Machine, maps: readonly BpfMap[]): void {
  object.globals.bind((spec, index) => {
    const at = valuesOf(machine, maps[index]);
    return machine.slab.u8.subarray(at, at + spec.valueSize);
  });
}
