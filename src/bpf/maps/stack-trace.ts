/**
 * BPF_MAP_TYPE_STACK_TRACE: stacks by the low bits of their hash (bpf_get_stackid in bpf-helpers(7)). What a stack is, is
 * the caller's: netloom's own call chain, as far as it has one.
 */
import { E2BIG, EEXIST, EINVAL, ENOENT } from '../../core/errno.ts';
import { indexKey } from './array.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';

/** Flags of bpf_get_stackid. */
const FAST_STACK_CMP: number = 1 << 9;
const REUSE_STACKID: number = 1 << 10;

type Stack = { readonly hash: number; readonly addresses: BigUint64Array };

export type StackOps = MapOps & { putStack(addresses: BigUint64Array, hash: number, flags: number): number };

export function stackTraceMap(core: MapCore): StackOps {
  const { spec } = core;
  let buckets = 1;
  while (buckets < spec.maxEntries) buckets *= 2;
  const stacks = new Map<number, Stack>();
  const idOf = (key: Uint8Array): number => new DataView(key.buffer, key.byteOffset).getUint32(0, true);
  const same = (a: Stack, addresses: BigUint64Array): boolean =>
    a.addresses.length === addresses.length && a.addresses.every((address, i) => address === addresses[i]);
  const read = (id: number): Uint8Array | number => {
    const stack = stacks.get(id);
    if (stack === undefined) return -ENOENT;
    const bytes = new Uint8Array(spec.valueSize);
    bytes.set(new Uint8Array(stack.addresses.buffer, 0, stack.addresses.length * 8));
    return bytes;
  };

  return {
    ...refusing,
    putStack: (all, hash, flags) => {
      const addresses = all.slice(0, spec.valueSize / 8);
      const id = (hash & (buckets - 1)) >>> 0;
      const old = stacks.get(id);
      if (old !== undefined && old.hash === hash) {
        if ((flags & FAST_STACK_CMP) !== 0 || same(old, addresses)) return id;
      }
      if (old !== undefined && (flags & REUSE_STACKID) === 0) return -EEXIST;
      stacks.set(id, { hash, addresses });
      return id;
    },
    update: () => -EINVAL,
    userLookup: (key) => read(idOf(key)),
    userTake: (key) => {
      const bytes = read(idOf(key));
      stacks.delete(idOf(key));
      return bytes;
    },
    userUpdate: () => -EINVAL,
    userDelete: (key) => {
      if (idOf(key) >= buckets) return -E2BIG;
      return stacks.delete(idOf(key)) ? 0 : -ENOENT;
    },
    userNextKey: (key) => {
      const from = key === undefined || !stacks.has(idOf(key)) ? 0 : idOf(key) + 1;
      const next = [...stacks.keys()].filter((id) => id >= from).sort((a, b) => a - b)[0];
      return next === undefined ? -ENOENT : indexKey(next);
    },
    userValueSize: spec.valueSize,
  };
}
