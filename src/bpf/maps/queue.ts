/**
 * BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK (Documentation/bpf/map_queue_stack.rst): values without keys, in a ring.
 */
import { E2BIG, EINVAL, ENOENT } from '../../core/errno.ts';
import { BPF_EXIST, BPF_MAP_TYPE_STACK, BPF_NOEXIST } from '../../wire/uapi/bpf.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { MAP_STRIDE, MAP_VALUES, round8 } from './layout.ts';

export function queueMap(core: MapCore): MapOps {
  const { spec, u8 } = core;
  const stride = round8(spec.valueSize);
  const max = spec.maxEntries;
  const lifo = spec.type === BPF_MAP_TYPE_STACK;
  const base = core.alloc(max * stride, 64);
  core.set(MAP_VALUES, base);
  core.set(MAP_STRIDE, stride);
  let first = 0;
  let count = 0;

  const slot = (n: number): number => base + ((first + n) % max) * stride;
  const end = (): number => (lifo ? slot(count - 1) : slot(0));
  const drop = (): void => {
    count--;
    if (!lifo) first = (first + 1) % max;
  };
  /** Makes room for one more; an address, or -errno. BPF_EXIST: a full one loses its oldest. */
  const room = (flags: number): number => {
    if ((flags & BPF_NOEXIST) !== 0 || flags >>> 0 > BPF_EXIST) return -EINVAL;
    if (count === max) {
      if ((flags & BPF_EXIST) === 0) return -E2BIG;
      count--;
      first = (first + 1) % max;
    }
    return slot(count++);
  };
  const out = (valueAt: number, remove: boolean): number => {
    if (count === 0) {
      u8.fill(0, valueAt, valueAt + spec.valueSize);
      return -ENOENT;
    }
    u8.copyWithin(valueAt, end(), end() + spec.valueSize);
    if (remove) drop();
    return 0;
  };
  const userOut = (remove: boolean): Uint8Array | number => {
    if (count === 0) return -ENOENT;
    const bytes = u8.slice(end(), end() + spec.valueSize);
    if (remove) drop();
    return bytes;
  };

  return {
    ...refusing,
    update: () => -EINVAL,
    delete: () => -EINVAL,
    push: (valueAt, flags) => {
      const at = room(flags);
      if (at > 0) u8.copyWithin(at, valueAt, valueAt + spec.valueSize);
      return Math.min(at, 0);
    },
    pop: (valueAt) => out(valueAt, true),
    peekElem: (valueAt) => out(valueAt, false),
    userLookup: () => userOut(false),
    userUpdate: (_key, bytes, flags) => {
      const at = room(flags);
      if (at > 0) u8.set(bytes.subarray(0, spec.valueSize), at);
      return Math.min(at, 0);
    },
    userDelete: () => -EINVAL,
    userNextKey: () => -EINVAL,
    userTake: (_key, flags) => (flags === 0 ? userOut(true) : -EINVAL),
    userValueSize: spec.valueSize,
  };
}
