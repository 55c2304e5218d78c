/**
 * Map helpers (bpf-helpers(7): map_lookup_elem and its family, for_each_map_elem). The maps themselves are in `maps/`.
 */
import { EINVAL } from '../../../core/errno.ts';
import { BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS } from '../../../wire/uapi/bpf.ts';
import { BPF_MAP_STRUCT_BYTES } from '../../maps/layout.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';

const mapOf = (run: Run, at: number) => run.machine.mapAt(at >>> 0);

/** Tells the checking mode that the program got a value. */
function value(run: Run, map: ReturnType<typeof mapOf>, at: number): number {
  const ofMaps = map.type === BPF_MAP_TYPE_ARRAY_OF_MAPS || map.type === BPF_MAP_TYPE_HASH_OF_MAPS;
  if (at !== 0 && ofMaps) run.grant(at, BPF_MAP_STRUCT_BYTES, false);
  else if (at !== 0) run.grant(at, map.valueSize);
  return at;
}

function lookup(run: Run, mapAt: number, keyAt: number): number {
  const map = mapOf(run, mapAt);
  return value(run, map, map.lookup(keyAt >>> 0));
}

function lookupPercpu(run: Run, mapAt: number, keyAt: number, cpu: number): number {
  const map = mapOf(run, mapAt);
  return value(run, map, map.lookupPercpu(keyAt >>> 0, cpu >>> 0));
}

/** Flags with a bit above 31 are never valid. */
const narrow = (run: Run, argument: number): boolean => run.hi(argument) === 0;

function update(run: Run, mapAt: number, keyAt: number, valueAt: number, flags: number): number {
  if (!narrow(run, 4)) return -EINVAL;
  return mapOf(run, mapAt).update(keyAt >>> 0, valueAt >>> 0, flags >>> 0);
}

function push(run: Run, mapAt: number, valueAt: number, flags: number): number {
  return narrow(run, 3) ? mapOf(run, mapAt).push(valueAt >>> 0, flags >>> 0) : -EINVAL;
}

function forEach(run: Run, mapAt: number, fn: number, ctx: number, flags: number): number {
  if (flags !== 0 || !narrow(run, 4)) return -EINVAL;
  const map = mapOf(run, mapAt);
  const visit = (keyAt: number, valueAt: number): number => {
    run.grant(keyAt, map.keySize, false);
    run.grant(valueAt, map.valueSize);
    return run.callback(fn, mapAt, keyAt, valueAt, ctx);
  };
  return map.forEach(visit);
}

export const mapHelpers: HelperTable = new Map<number, HelperImpl>([
  [1, { call: lookup, ret: 'u32' }],
  [2, { call: update, ret: 'int', wide: wide(4) }],
  [3, { call: (run, map, key) => mapOf(run, map).delete(key >>> 0), ret: 'int' }],
  [87, { call: push, ret: 'int', wide: wide(3) }],
  [88, { call: (run, map, at) => mapOf(run, map).pop(at >>> 0), ret: 'int' }],
  [89, { call: (run, map, at) => mapOf(run, map).peekElem(at >>> 0), ret: 'int' }],
  [164, { call: forEach, ret: 'int', wide: wide(4) }],
  [195, { call: lookupPercpu, ret: 'u32' }],
]);
