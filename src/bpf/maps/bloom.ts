/**
 * BPF_MAP_TYPE_BLOOM_FILTER (Documentation/bpf/map_bloom_filter.rst): push adds a value, peek says whether it may have been
 * added. `map_extra` is the number of hash functions, 5 by default; the bits are a power of two, sized as the kernel does.
 */
import { EINVAL, ENOENT, EOPNOTSUPP } from '../../core/errno.ts';
import { jhash } from '../../core/jhash.ts';
import { BPF_ANY, BPF_F_ZERO_SEED } from '../../wire/uapi/bpf.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { MAP_VALUES } from './layout.ts';

const HASHES = 5;
/** Without a power of two above the bits wanted the kernel takes all of 32 bits; netloom stops at what a heap can hold. */
const MAX_BITS = 2 ** 31;

export function bloomMap(core: MapCore): MapOps {
  const { spec, u8, host } = core;
  const hashes = Number((spec.mapExtra ?? 0n) & 15n) || HASHES;
  // Fewest false answers: bits = entries * hashes / ln 2, of which the kernel takes 7/5.
  const wanted = Math.floor((spec.maxEntries * hashes * 7) / 5);
  let bits = 64;
  while (bits < wanted && bits < MAX_BITS) bits *= 2;
  const base = core.alloc(bits / 8, 64);
  core.set(MAP_VALUES, base);
  const seed = (spec.flags & BPF_F_ZERO_SEED) !== 0 ? 0 : host.random();
  const bit = (valueAt: number, n: number): number =>
    (jhash(u8, valueAt, spec.valueSize, (seed + n) | 0) & (bits - 1)) >>> 0;

  const push = (valueAt: number, flags: number): number => {
    if (flags !== BPF_ANY) return -EINVAL;
    for (let n = 0; n < hashes; n++) {
      const i = bit(valueAt, n);
      u8[base + (i >>> 3)] |= 1 << (i & 7);
    }
    return 0;
  };
  const peek = (valueAt: number): number => {
    for (let n = 0; n < hashes; n++) {
      const i = bit(valueAt, n);
      if ((u8[base + (i >>> 3)] & (1 << (i & 7))) === 0) return -ENOENT;
    }
    return 0;
  };

  return {
    ...refusing,
    update: () => -EINVAL,
    delete: () => -EOPNOTSUPP,
    push,
    peekElem: peek,
    pop: () => -EOPNOTSUPP,
    // User space asks about the value that it hands over.
    userLookup: (asked) => {
      const answer = core.withBytes(asked, peek);
      return answer < 0 ? answer : asked.slice();
    },
    userUpdate: (_key, bytes, flags) => core.withBytes(bytes, (at) => push(at, flags)),
    userDelete: () => -EOPNOTSUPP,
    userNextKey: () => -EOPNOTSUPP,
    userValueSize: spec.valueSize,
  };
}
