/**
 * Maps as user space reaches them: the commands of bpf(2) on a map, with the checks that all types share (access flags,
 * freezing, flags of the command) before the type's own. Numbers are 0 or -errno.
 */
import { EBUSY, EINVAL, ENOENT, EPERM } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import { ENOTSUPP } from './create.ts';
import type { BpfMap } from './map.ts';

type Entry = readonly [key: Uint8Array, value: Uint8Array];

const mayRead = (map: BpfMap): boolean => (map.flags & b.BPF_F_WRONLY) === 0;
const mayWrite = (map: BpfMap): boolean => (map.flags & b.BPF_F_RDONLY) === 0 && !map.isFrozen();

/** BPF_F_LOCK wants a lock in the value. */
const lockRefused = (map: BpfMap, flags: number): boolean =>
  (flags & b.BPF_F_LOCK) !== 0 && map.record?.spinLock === undefined;

/** A key of the wrong length: user space never hands over fewer bytes than the kernel reads. */
function sizedKey(map: BpfMap, key: Uint8Array): boolean {
  return key.length === (map.type === b.BPF_MAP_TYPE_BLOOM_FILTER ? map.valueSize : map.keySize);
}

/** BPF_MAP_LOOKUP_ELEM. A bloom filter is asked about a value, which stands in the key's place. */
export function mapLookup(map: BpfMap, key: Uint8Array, flags = 0): Uint8Array | number {
  if ((flags & ~b.BPF_F_LOCK) !== 0) return -EINVAL;
  if (!mayRead(map)) return -EPERM;
  if (lockRefused(map, flags) || !sizedKey(map, key)) return -EINVAL;
  return map.userLookup(key, flags);
}

/** BPF_MAP_UPDATE_ELEM; maps without keys push the value. */
export function mapUpdate(map: BpfMap, key: Uint8Array, value: Uint8Array, flags = 0): number {
  if (!mayWrite(map)) return -EPERM;
  if (lockRefused(map, flags) || key.length !== map.keySize || value.length !== map.userValueSize) return -EINVAL;
  return map.userUpdate(key, value, flags);
}

/** BPF_MAP_DELETE_ELEM. */
export function mapDelete(map: BpfMap, key: Uint8Array): number {
  if (!mayWrite(map)) return -EPERM;
  return key.length === map.keySize ? map.userDelete(key) : -EINVAL;
}

/** BPF_MAP_GET_NEXT_KEY: the first key for `undefined`; -ENOENT behind the last. */
export function mapNextKey(map: BpfMap, key: Uint8Array | undefined): Uint8Array | number {
  if (!mayRead(map)) return -EPERM;
  if (key !== undefined && key.length !== map.keySize) return -EINVAL;
  return map.userNextKey(key);
}

/** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
export function mapTake(map: BpfMap, key: Uint8Array, flags = 0): Uint8Array | number {
  if ((flags & ~b.BPF_F_LOCK) !== 0) return -EINVAL;
  if (!mayRead(map) || !mayWrite(map)) return -EPERM;
  const keyless = map.type === b.BPF_MAP_TYPE_QUEUE || map.type === b.BPF_MAP_TYPE_STACK;
  if ((flags !== 0 && keyless) || lockRefused(map, flags) || key.length !== map.keySize) return -EINVAL;
  return map.userTake(key, flags);
}

/** BPF_MAP_FREEZE. */
export function mapFreeze(map: BpfMap): number {
  if (map.type === b.BPF_MAP_TYPE_STRUCT_OPS || map.record !== undefined) return -ENOTSUPP;
  if ((map.flags & b.BPF_F_RDONLY) !== 0) return -EPERM;
  return map.isFrozen() ? -EBUSY : map.freeze();
}

/** What a batch answers: elements, and where to go on (undefined: that was all). */
export type Batch = { readonly entries: readonly Entry[]; readonly next: Uint8Array | undefined };

const HASHES: ReadonlySet<number> = new Set([
  b.BPF_MAP_TYPE_HASH,
  b.BPF_MAP_TYPE_PERCPU_HASH,
  b.BPF_MAP_TYPE_LRU_HASH,
  b.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  b.BPF_MAP_TYPE_HASH_OF_MAPS,
]);
const READABLE: ReadonlySet<number> = new Set([
  ...HASHES,
  b.BPF_MAP_TYPE_ARRAY,
  b.BPF_MAP_TYPE_PERCPU_ARRAY,
  b.BPF_MAP_TYPE_LPM_TRIE,
  b.BPF_MAP_TYPE_ARRAY_OF_MAPS,
  b.BPF_MAP_TYPE_SOCKMAP,
]);
const WRITABLE: ReadonlySet<number> = new Set([...READABLE].filter((type) => type !== b.BPF_MAP_TYPE_SOCKMAP));

function batchRefused(map: BpfMap, types: ReadonlySet<number>, flags: number): number {
  if (!types.has(map.type)) return -ENOTSUPP;
  return (flags & ~b.BPF_F_LOCK) !== 0 || lockRefused(map, flags) ? -EINVAL : 0;
}

/** BPF_MAP_LOOKUP_BATCH: up to `count` elements behind the token `from` of the batch before. */
export function mapLookupBatch(map: BpfMap, from: Uint8Array | undefined, count: number, flags = 0): Batch | number {
  if (!mayRead(map)) return -EPERM;
  return batchRefused(map, READABLE, flags) || readBatch(map, from, count);
}

function readBatch(map: BpfMap, from: Uint8Array | undefined, count: number): Batch {
  const entries: Entry[] = [];
  let key = from;
  while (entries.length < count) {
    const next = map.userNextKey(key);
    if (typeof next === 'number') return { entries, next: undefined };
    key = next;
    const value = map.userLookup(next, 0);
    if (typeof value !== 'number') entries.push([next, value]);
  }
  return { entries, next: key };
}

/** BPF_MAP_LOOKUP_AND_DELETE_BATCH: hash maps only. */
export function mapTakeBatch(map: BpfMap, count: number, flags = 0): Batch | number {
  if (!mayRead(map) || !mayWrite(map)) return -EPERM;
  const refused = batchRefused(map, HASHES, flags);
  if (refused !== 0) return refused;
  const batch = readBatch(map, undefined, count);
  for (const [key] of batch.entries) map.userDelete(key);
  return batch;
}

/** BPF_MAP_UPDATE_BATCH: how many were put in, and 0 or the -errno of the one that was not. */
export function mapUpdateBatch(map: BpfMap, entries: readonly Entry[], flags = 0): { count: number; error: number } {
  if (!mayWrite(map)) return { count: 0, error: -EPERM };
  const refused = batchRefused(map, WRITABLE, flags);
  if (refused !== 0) return { count: 0, error: refused };
  return each(entries, ([key, value]) => mapUpdate(map, key, value, flags));
}

/** BPF_MAP_DELETE_BATCH. */
export function mapDeleteBatch(map: BpfMap, keys: readonly Uint8Array[], flags = 0): { count: number; error: number } {
  if (!mayWrite(map)) return { count: 0, error: -EPERM };
  const types = new Set([...HASHES, b.BPF_MAP_TYPE_LPM_TRIE]);
  const refused = batchRefused(map, types, flags);
  if (refused !== 0) return { count: 0, error: refused };
  return each(keys, (key) => mapDelete(map, key));
}

function each<T>(items: readonly T[], act: (item: T) => number): { count: number; error: number } {
  for (const [count, item] of items.entries()) {
    const error = act(item);
    if (error !== 0) return { count, error };
  }
  return { count: items.length, error: 0 };
}

/** All elements there are, for dumps: keys whose value cannot be read (programs, empty slots) come with the errno. */
export function* mapEntries(map: BpfMap): Generator<readonly [Uint8Array, Uint8Array | number]> {
  let key = mapNextKey(map, undefined);
  while (typeof key !== 'number') {
    yield [key, mapLookup(map, key)];
    key = mapNextKey(map, key);
  }
  if (key !== -ENOENT) yield [new Uint8Array(), key];
}
