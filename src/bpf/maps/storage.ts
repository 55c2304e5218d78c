/**
 * Storage that belongs to something else: BPF_MAP_TYPE_SK_STORAGE and CGRP_STORAGE (a value for each socket or cgroup that
 * programs ask about; also INODE_STORAGE and TASK_STORAGE, whose owners netloom's hosts do not have), CGROUP_STORAGE and
 * PERCPU_CGROUP_STORAGE (a value for each cgroup that a program is attached to). Documentation/bpf/map_sk_storage.rst,
 * map_cgrp_storage.rst, map_cgroup_storage.rst.
 */
import { EBADF, EINVAL, ENOENT, ENOMEM } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { checkExists } from './hash.ts';
import { MAP_CPU_STRIDE, round8 } from './layout.ts';
import type { Storage } from './map.ts';

export type StorageOps = MapOps & { readonly storage: Storage; dispose(): void };

export function storageMap(core: MapCore): StorageOps {
  const { spec, host, heap } = core;
  const isCgroupStorage =
    spec.type === b.BPF_MAP_TYPE_CGROUP_STORAGE || spec.type === b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  const percpu = spec.type === b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  const stride = percpu ? round8(spec.valueSize) : 0;
  core.set(MAP_CPU_STRIDE, stride);
  const values = new Map<number, number>();

  const create = (owner: number): number => {
    const at = heap.alloc(percpu ? stride * host.cpus : spec.valueSize);
    if (at !== 0) values.set(owner, at);
    return at;
  };
  const remove = (owner: number): number => {
    const at = values.get(owner);
    if (at === undefined) return -ENOENT;
    values.delete(owner);
    core.dropFields(at);
    host.grace.free(at);
    return 0;
  };
  const storage: Storage = {
    get: (owner, make, initialAt) => {
      const found = values.get(owner);
      const at = found ?? (make ? create(owner) : 0);
      if (found === undefined && at !== 0 && initialAt !== 0) core.initValue(at, initialAt);
      return at === 0 || !percpu ? at : at + host.cpu() * stride;
    },
    delete: remove,
    forget: (owner) => {
      remove(owner);
    },
  };

  /** The owner that a key from user space names, or -errno. */
  const ownerOf = (key: Uint8Array): number => {
    const handle = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
    if (isCgroupStorage) return handle;
    if (spec.type === b.BPF_MAP_TYPE_SK_STORAGE) return host.socket?.(handle, spec) || -EBADF;
    const refused = host.handle?.(handle, spec) ?? -EBADF;
    return refused < 0 ? refused : handle;
  };

  const write = (at: number, bytes: Uint8Array): void =>
    percpu ? core.writePerCpu(at, stride, bytes) : core.writeValue(at, bytes);

  const update = (key: Uint8Array, bytes: Uint8Array, flags: number): number => {
    const owner = ownerOf(key);
    if (owner < 0) return owner;
    if ((flags & ~b.BPF_F_LOCK) >>> 0 > b.BPF_EXIST || ((flags & b.BPF_F_LOCK) !== 0 && !core.hasLock)) return -EINVAL;
    if (isCgroupStorage && (flags & b.BPF_NOEXIST) !== 0) return -EINVAL;
    const old = values.get(owner);
    if (isCgroupStorage && old === undefined) return -ENOENT;
    const refused = isCgroupStorage ? 0 : checkExists(old !== undefined, flags);
    if (refused !== 0) return refused;
    const at = old ?? create(owner);
    if (at === 0) return -ENOMEM;
    write(at, bytes);
    return 0;
  };

  return {
    ...refusing,
    storage,
    userLookup: (key) => {
      const owner = ownerOf(key);
      if (owner < 0) return owner;
      const at = values.get(owner);
      if (at === undefined) return -ENOENT;
      return percpu ? core.readPerCpu(at, stride) : core.readValue(at);
    },
    userUpdate: update,
    userDelete: (key) => {
      if (isCgroupStorage) return -EINVAL;
      const owner = ownerOf(key);
      return owner < 0 ? owner : remove(owner);
    },
    userNextKey: (key) => {
      if (!isCgroupStorage) return refusing.userNextKey(key);
      const owners = [...values.keys()];
      const place = key === undefined ? -1 : owners.indexOf(ownerOf(key));
      const next = owners[place + 1];
      if (next === undefined) return -ENOENT;
      const bytes = new Uint8Array(spec.keySize);
      new DataView(bytes.buffer).setUint32(0, next, true);
      return bytes;
    },
    userValueSize: percpu ? stride * host.cpus : spec.valueSize,
    dispose: () => {
      for (const at of values.values()) heap.free(at);
      values.clear();
    },
  };
}
