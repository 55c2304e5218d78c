/**
 * Where bpf_tail_call goes. PROG_ARRAY values hold program id + 1, 0 for none.
 */
import { type Machine, type MachineProgram, strideOf, valuesOf } from './machine.ts';

/** The program in slot `index` of the PROG_ARRAY at `mapAddress`; undefined for none. */
export function tailCallTarget(machine: Machine, mapAddress: number, index: number): MachineProgram | undefined {
  const map = machine.mapAt(mapAddress);
  if (index >= map.maxEntries) return undefined;
  const word = machine.slab.dv.getUint32(valuesOf(machine, map) + index * strideOf(machine, map), true);
  return word === 0 ? undefined : machine.programs[word - 1];
}
