/**
 * Makes maps. `createMap` refuses what the kernel refuses (create.ts), with its errno, and with ENOMEM what does not fit in the
 * heap; it puts in the initial contents and freezes.
 */
import { EBUSY, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import type { MapSpec } from '../program.ts';
import { arrayMap } from './array.ts';
import { bloomMap } from './bloom.ts';
import { MapCore, type MapOps, refusing } from './core.ts';
import { type CreateMode, checkMapCreate } from './create.ts';
import { hashMap } from './hash.ts';
import { keyedMap } from './keyed.ts';
import { MAP_VALUES } from './layout.ts';
import { lpmTrie } from './lpm.ts';
import type { BpfMap, MapHost, Ring, Storage } from './map.ts';
import { queueMap } from './queue.ts';
import { ringBuffer } from './ring.ts';
import { fdArrayMap, numberMap, socketArray } from './slots.ts';
import { stackTraceMap } from './stack-trace.ts';
import { storageMap } from './storage.ts';

/** What a type brings along; `dispose` gives back what is not the values at MAP_VALUES. */
type Made = MapOps & {
  readonly ring?: Ring;
  readonly storage?: Storage;
  readonly setSocket?: BpfMap['setSocket'];
  readonly forgetSocket?: BpfMap['forgetSocket'];
  readonly putStack?: BpfMap['putStack'];
  readonly forget?: BpfMap['forget'];
  readonly dispose?: () => void;
};

/** What `refusing` lets a ring buffer do: nothing, in other words than the default. */
const ringMap = (core: MapCore): Made => ({ ...refusing, ring: ringBuffer(core) });

const TYPES: ReadonlyMap<number, (core: MapCore) => Made> = new Map<number, (core: MapCore) => Made>([
  [b.BPF_MAP_TYPE_HASH, hashMap],
  [b.BPF_MAP_TYPE_ARRAY, arrayMap],
  [b.BPF_MAP_TYPE_PROG_ARRAY, fdArrayMap],
  [b.BPF_MAP_TYPE_PERF_EVENT_ARRAY, fdArrayMap],
  [b.BPF_MAP_TYPE_PERCPU_HASH, hashMap],
  [b.BPF_MAP_TYPE_PERCPU_ARRAY, arrayMap],
  [b.BPF_MAP_TYPE_STACK_TRACE, stackTraceMap],
  [b.BPF_MAP_TYPE_CGROUP_ARRAY, fdArrayMap],
  [b.BPF_MAP_TYPE_LRU_HASH, hashMap],
  [b.BPF_MAP_TYPE_LRU_PERCPU_HASH, hashMap],
  [b.BPF_MAP_TYPE_LPM_TRIE, lpmTrie],
  [b.BPF_MAP_TYPE_ARRAY_OF_MAPS, fdArrayMap],
  [b.BPF_MAP_TYPE_HASH_OF_MAPS, keyedMap],
  [b.BPF_MAP_TYPE_DEVMAP, numberMap],
  [b.BPF_MAP_TYPE_SOCKMAP, socketArray],
  [b.BPF_MAP_TYPE_CPUMAP, numberMap],
  [b.BPF_MAP_TYPE_XSKMAP, socketArray],
  [b.BPF_MAP_TYPE_SOCKHASH, keyedMap],
  [b.BPF_MAP_TYPE_CGROUP_STORAGE, storageMap],
  [b.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, socketArray],
  [b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, storageMap],
  [b.BPF_MAP_TYPE_QUEUE, queueMap],
  [b.BPF_MAP_TYPE_STACK, queueMap],
  [b.BPF_MAP_TYPE_SK_STORAGE, storageMap],
  [b.BPF_MAP_TYPE_DEVMAP_HASH, keyedMap],
  [b.BPF_MAP_TYPE_RINGBUF, ringMap],
  [b.BPF_MAP_TYPE_INODE_STORAGE, storageMap],
  [b.BPF_MAP_TYPE_TASK_STORAGE, storageMap],
  [b.BPF_MAP_TYPE_BLOOM_FILTER, bloomMap],
  [b.BPF_MAP_TYPE_USER_RINGBUF, ringMap],
  [b.BPF_MAP_TYPE_CGRP_STORAGE, storageMap],
]);

/** Types whose program lookups must not write: the kernel adds the flag itself. */
const READ_ONLY: ReadonlySet<number> = new Set([b.BPF_MAP_TYPE_DEVMAP, b.BPF_MAP_TYPE_DEVMAP_HASH]);

/** Makes the map with this number; `KernelError` with the errno when it is refused. */
export function createMap(spec: MapSpec, host: MapHost, id: number, mode: CreateMode = 'root'): BpfMap {
  const refused = checkMapCreate(spec, mode);
  if (refused !== 0) throw new KernelError(refused, `map '${spec.name}' is refused`);
  const make = TYPES.get(spec.type);
  if (make === undefined)
    throw new KernelError(EOPNOTSUPP, `netloom does not support ${b.MAP_TYPE_NAMES[spec.type]} maps`);
  const seen = READ_ONLY.has(spec.type) ? { ...spec, flags: spec.flags | b.BPF_F_RDONLY_PROG } : spec;
  const core = new MapCore(seen, host, id);
  let made: Made;
  try {
    made = make(core);
  } catch (error) {
    core.dispose();
    throw error;
  }
  let frozen = false;
  const map: BpfMap = {
    ...seen,
    ...made,
    id,
    address: core.address,
    isFrozen: () => frozen,
    freeze: () => {
      if (spec.type === b.BPF_MAP_TYPE_STRUCT_OPS) return -EOPNOTSUPP;
      if (frozen) return -EBUSY;
      frozen = true;
      return 0;
    },
    peek: (offset, size) => peek(core, frozen, offset, size),
    destroy: () => {
      made.dispose?.();
      core.dispose();
    },
  };
  for (const [key, value] of spec.initial ?? []) {
    const result = made.userUpdate(key, value, b.BPF_ANY);
    if (result < 0) {
      map.destroy();
      throw new KernelError(-result, `the initial contents of map '${spec.name}' are refused`);
    }
  }
  if (spec.frozen === true) frozen = true;
  return map;
}

/** Bytes of the first value of a frozen, read-only array: constants to the verifier. */
function peek(core: MapCore, frozen: boolean, offset: number, size: number): bigint | undefined {
  const { spec, dv, u32, address } = core;
  const constant = frozen && (spec.flags & b.BPF_F_RDONLY_PROG) !== 0 && spec.type === b.BPF_MAP_TYPE_ARRAY;
  if (!constant || offset < 0 || offset + size > spec.valueSize) return undefined;
  const at = u32[(address >>> 2) + MAP_VALUES] + offset;
  if (size === 1) return BigInt(dv.getUint8(at));
  if (size === 2) return BigInt(dv.getUint16(at, true));
  if (size === 4) return BigInt(dv.getUint32(at, true));
  return size === 8 ? dv.getBigUint64(at, true) : undefined;
}
