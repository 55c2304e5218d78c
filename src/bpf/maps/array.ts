/**
 * BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY (Documentation/bpf/map_array.rst): all elements exist from the start and
 * cannot be deleted.
 */
import { E2BIG, EEXIST, EINVAL, ENOENT } from '../../core/errno.ts';
import { BPF_EXIST, BPF_F_LOCK, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_NOEXIST } from '../../wire/uapi/bpf.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { MAP_CPU_STRIDE, MAP_STRIDE, MAP_VALUES, round8 } from './layout.ts';

/** get_next_key of everything that counts from 0: the index after `key`, 0 for none or an index outside. */
export function nextIndex(key: Uint8Array | undefined, max: number): Uint8Array | number {
  const index = key === undefined ? 0xffff_ffff : new DataView(key.buffer, key.byteOffset).getUint32(0, true);
  if (index === max - 1) return -ENOENT;
  return indexKey(index >= max ? 0 : index + 1);
}

export function indexKey(index: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(index).buffer);
}

export function arrayMap(core: MapCore): MapOps {
  const { spec, dv, host } = core;
  const max = spec.maxEntries;
  const stride = round8(spec.valueSize);
  const percpu = spec.type === BPF_MAP_TYPE_PERCPU_ARRAY;
  const cpuStride = percpu ? max * stride : 0;
  const base = core.alloc(max * stride * (percpu ? host.cpus : 1), 64);
  core.set(MAP_VALUES, base);
  core.set(MAP_STRIDE, stride);
  core.set(MAP_CPU_STRIDE, cpuStride);
  const own = percpu ? (): number => host.cpu() * cpuStride : (): number => 0;

  const check = (index: number, flags: number): number => {
    if ((flags & ~BPF_F_LOCK) >>> 0 > BPF_EXIST) return -EINVAL;
    if (index >= max) return -E2BIG;
    if ((flags & BPF_NOEXIST) !== 0) return -EEXIST;
    if ((flags & BPF_F_LOCK) !== 0 && !core.hasLock) return -EINVAL;
    return 0;
  };
  const at = (keyAt: number): number => {
    const index = dv.getUint32(keyAt, true);
    return index < max ? base + index * stride : 0;
  };

  return {
    ...refusing,
    lookup: (keyAt) => {
      const value = at(keyAt);
      return value === 0 ? 0 : value + own();
    },
    update: (keyAt, valueAt, flags) => {
      const refused = check(dv.getUint32(keyAt, true), flags);
      if (refused === 0) core.copyValue(at(keyAt) + own(), valueAt);
      return refused;
    },
    delete: () => -EINVAL,
    lookupPercpu: (keyAt, cpu) => {
      const value = at(keyAt);
      return value === 0 || !percpu || cpu >= host.cpus ? 0 : value + cpu * cpuStride;
    },
    forEach: (visit) => {
      for (let index = 0; index < max; index++) {
        dv.setUint32(core.keyAt, index, true);
        if (visit(core.keyAt, base + own() + index * stride) !== 0) return index + 1;
      }
      return max;
    },
    userLookup: (key) => {
      const value = at(core.key(key));
      if (value === 0) return -ENOENT;
      return percpu ? core.readPerCpu(value, cpuStride) : core.readValue(value);
    },
    userUpdate: (key, bytes, flags) => {
      const keyAt = core.key(key);
      const refused = check(dv.getUint32(keyAt, true), percpu && flags > BPF_EXIST ? -1 : flags);
      if (refused !== 0) return refused;
      if (percpu) core.writePerCpu(at(keyAt), cpuStride, bytes);
      else core.writeValue(at(keyAt), bytes);
      return 0;
    },
    userDelete: () => -EINVAL,
    userNextKey: (key) => nextIndex(key, max),
    userValueSize: percpu ? stride * host.cpus : spec.valueSize,
  };
}
