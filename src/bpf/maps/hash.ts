/**
 * BPF_MAP_TYPE_HASH, PERCPU_HASH, LRU_HASH and LRU_PERCPU_HASH (Documentation/bpf/map_hash.rst).
 *
 * As in the kernel, an update of an existing key puts a new element in the old one's place (per-CPU maps and BPF_F_LOCK
 * write into the element that is there), so that whoever still points to the old value reads what it was.
 */
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import { copyBytes, type MapCore, type MapOps, refusing } from './core.ts';
import { Elements } from './elements.ts';
import { ELEM_KEY, ELEM_REF, round8 } from './layout.ts';
import { LRU_BYTES, Lru } from './lru.ts';

/** EEXIST or ENOENT where BPF_NOEXIST or BPF_EXIST do not hold. */
export function checkExists(exists: boolean, flags: number): number {
  const wanted = flags & ~b.BPF_F_LOCK;
  if (exists && wanted === b.BPF_NOEXIST) return -EEXIST;
  return !exists && wanted === b.BPF_EXIST ? -ENOENT : 0;
}

export function hashMap(core: MapCore): MapOps & { dispose(): void } {
  const { spec, host, u8, u32 } = core;
  const { type, valueSize, maxEntries } = spec;
  const percpu = type === b.BPF_MAP_TYPE_PERCPU_HASH || type === b.BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const isLru = type === b.BPF_MAP_TYPE_LRU_HASH || type === b.BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const prealloc = (spec.flags & b.BPF_F_NO_PREALLOC) === 0;
  const cpus = percpu ? host.cpus : 1;
  const elements = new Elements(core, valueSize, cpus, isLru ? LRU_BYTES : 0);
  const cpuStride = percpu ? round8(valueSize) : 0;
  const { valueOffset } = elements;
  const own = percpu ? (): number => valueOffset + host.cpu() * cpuStride : (): number => valueOffset;
  const lru = isLru
    ? new Lru({
        core,
        stride: elements.stride,
        own: (spec.flags & b.BPF_F_NO_COMMON_LRU) !== 0,
        make: (limit) => elements.take(limit),
        evict: (element) => {
          if (!elements.remove(element)) return false;
          core.dropFields(element + valueOffset);
          return true;
        },
      })
    : undefined;
  /** The element that the last replaced one became, for the next update of an existing key (preallocated maps). */
  let spare = 0;

  const lookup = (keyAt: number): number => {
    const element = elements.find(keyAt);
    if (element === 0) return 0;
    if (isLru) u32[(element + ELEM_REF) >>> 2] = 1;
    return element + own();
  };

  const release = (element: number): void => {
    core.dropFields(element + valueOffset);
    if (lru !== undefined) lru.give(element);
    else elements.give(element);
  };

  /** Puts a filled element in for a key that is not there: 0 or -errno. */
  const add = (element: number, keyAt: number, hash: number): number => {
    if (elements.insert(element, keyAt, hash)) return 0;
    if (lru !== undefined) lru.give(element);
    else elements.give(element);
    return -ENOMEM;
  };

  /** Update with one value for all: hash and LRU hash. */
  const updatePlain = (keyAt: number, valueAt: number, flags: number): number => {
    if (lru !== undefined ? flags >>> 0 > b.BPF_EXIST : (flags & ~b.BPF_F_LOCK) >>> 0 > b.BPF_EXIST) return -EINVAL;
    const locked = (flags & b.BPF_F_LOCK) !== 0;
    if (locked && !core.hasLock) return -EINVAL;
    // An LRU map makes room before it looks whether the key is there.
    const ready = lru?.take(host.cpu()) ?? 0;
    if (lru !== undefined && ready === 0) return -ENOMEM;
    const hash = elements.hash(keyAt);
    const old = elements.findHashed(keyAt, hash);
    const refused = checkExists(old !== 0, flags);
    if (refused !== 0) {
      lru?.give(ready);
      return refused;
    }
    if (locked && old !== 0) {
      core.copyValue(old + valueOffset, valueAt);
      return 0;
    }
    if (old === 0) {
      if (lru === undefined && elements.count >= maxEntries) return -E2BIG;
      const element = ready || elements.take(maxEntries + 1);
      if (element === 0) return -ENOMEM;
      core.initValue(element + valueOffset, valueAt);
      return add(element, keyAt, hash);
    }
    const element = ready || (prealloc && spare) || elements.take(maxEntries + 1);
    if (element === 0) return -ENOMEM;
    if (element === spare) spare = 0;
    core.initValue(element + valueOffset, valueAt);
    elements.replace(old, element);
    if (lru !== undefined || !prealloc || spare !== 0) release(old);
    else {
      core.dropFields(old + valueOffset);
      spare = old;
    }
    return 0;
  };

  /** Update of a per-CPU map, in place: this CPU's value from memory, or all CPUs' from user space. */
  const updatePercpu = (keyAt: number, value: number | Uint8Array, flags: number): number => {
    if (flags >>> 0 > b.BPF_EXIST) return -EINVAL;
    const ready = lru !== undefined && flags !== b.BPF_EXIST ? lru.take(host.cpu()) : 0;
    if (lru !== undefined && flags !== b.BPF_EXIST && ready === 0) return -ENOMEM;
    const hash = elements.hash(keyAt);
    const old = elements.findHashed(keyAt, hash);
    const refused = checkExists(old !== 0, flags);
    if (ready !== 0 && (refused !== 0 || old !== 0)) lru?.give(ready);
    if (refused !== 0) return refused;
    if (old === 0 && lru === undefined && elements.count >= maxEntries) return -E2BIG;
    const element = old || ready || elements.take(maxEntries);
    if (element === 0) return -ENOMEM;
    const at = element + valueOffset;
    if (old === 0) u8.fill(0, at, at + cpus * cpuStride);
    else if (isLru) u32[(old + ELEM_REF) >>> 2] = 1;
    if (typeof value === 'number') copyBytes(core, at + host.cpu() * cpuStride, value, valueSize);
    else core.writePerCpu(at, cpuStride, value);
    return old === 0 ? add(element, keyAt, hash) : 0;
  };

  const remove = (keyAt: number): number => {
    const element = elements.find(keyAt);
    if (element === 0) return -ENOENT;
    elements.remove(element);
    release(element);
    return 0;
  };

  const read = (element: number): Uint8Array =>
    percpu ? core.readPerCpu(element + valueOffset, cpuStride) : core.readValue(element + valueOffset);

  return {
    ...refusing,
    lookup,
    update: percpu ? updatePercpu : updatePlain,
    delete: remove,
    lookupPercpu: (keyAt, cpu) => {
      if (!percpu || cpu >= host.cpus) return 0;
      const element = elements.find(keyAt);
      if (element === 0) return 0;
      if (isLru) u32[(element + ELEM_REF) >>> 2] = 1;
      return element + valueOffset + cpu * cpuStride;
    },
    forEach: (visit) => {
      let seen = 0;
      for (const element of elements.all()) {
        if (!elements.holds(element)) continue;
        seen++;
        if (visit(element + ELEM_KEY, element + own()) !== 0) break;
      }
      return seen;
    },
    userLookup: (key) => {
      const element = elements.find(core.key(key));
      return element === 0 ? -ENOENT : read(element);
    },
    userUpdate: (key, bytes, flags) =>
      percpu
        ? updatePercpu(core.key(key), bytes, flags)
        : core.withBytes(bytes, (valueAt) => updatePlain(core.key(key), valueAt, flags)),
    userDelete: (key) => remove(core.key(key)),
    userNextKey: (key) => elements.nextKey(key === undefined ? 0 : core.key(key)) ?? -ENOENT,
    userTake: (key) => {
      const keyAt = core.key(key);
      const element = elements.find(keyAt);
      if (element === 0) return -ENOENT;
      const value = read(element);
      remove(keyAt);
      return value;
    },
    userValueSize: percpu ? round8(valueSize) * host.cpus : valueSize,
    dispose: () => elements.dispose(),
  };
}
