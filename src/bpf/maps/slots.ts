/**
 * Arrays whose elements name something else: programs, maps, perf events, cgroups (kernel/bpf/arraymap.c calls them fd
 * arrays), devices, CPUs, sockets. User space hands over a handle; an element is a word, 0 for none, or a small struct.
 */
import { E2BIG, EBADF, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, EOPNOTSUPP, EOVERFLOW } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import type { MapSpec } from '../program.ts';
import { nextIndex } from './array.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { ENOTSUPP } from './create.ts';
import { MAP_ID, MAP_STRIDE, MAP_VALUES } from './layout.ts';
import type { BpfMap } from './map.ts';

/** Largest queue of a cpumap entry. */
const CPU_QUEUE_MAX = 16_384;

export type Slots = {
  readonly max: number;
  /** Address of a slot, 0 for an index outside. */
  at(index: number): number;
};

/** Zeroed slots of `stride` bytes by number. */
export function makeSlots(core: MapCore, stride: number): Slots {
  const max = core.spec.maxEntries;
  const base = core.alloc(max * stride, 64);
  core.set(MAP_VALUES, base);
  core.set(MAP_STRIDE, stride);
  return { max, at: (index) => (index < max ? base + index * stride : 0) };
}

const readWord = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

const wordBytes = (...words: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);

/** How handles become words and words become what user space sees. */
type Handles = {
  /** The word for a handle, or -errno. */
  take(handle: number): number;
  /** The number that stands for a word; undefined: lookups from user space are not supported. */
  show: ((word: number) => number) | undefined;
};

function handlesOf(core: MapCore): Handles {
  const { host, spec } = core;
  const known = (refused: number | undefined, handle: number): number => refused || handle + 1;
  switch (spec.type) {
    case b.BPF_MAP_TYPE_PROG_ARRAY:
      return { take: (id) => known(host.program?.(id, spec) ?? -EBADF, id), show: (word) => word - 1 };
    case b.BPF_MAP_TYPE_ARRAY_OF_MAPS:
      return innerMaps(core);
    default:
      return { take: (handle) => known(host.handle?.(handle, spec) ?? -EBADF, handle), show: undefined };
  }
}

/** Maps by id, for maps of maps: they must look like the one that the outer map was made with. */
export function innerMaps(core: MapCore): Handles & { show(word: number): number } {
  const { host, spec, u32 } = core;
  return {
    take: (id) => {
      const map = host.map(id);
      if (map === undefined) return -EBADF;
      return spec.inner !== undefined && sameShape(spec.inner, map) ? map.address : -EINVAL;
    },
    show: (word) => u32[(word >>> 2) + MAP_ID],
  };
}

/** bpf_map_meta_equal: what an inner map must have in common with the outer map's template. */
function sameShape(template: MapSpec, map: BpfMap): boolean {
  const same =
    template.type === map.type &&
    template.keySize === map.keySize &&
    template.valueSize === map.valueSize &&
    template.flags === map.flags &&
    JSON.stringify(template.record ?? {}) === JSON.stringify(map.record ?? {});
  // Programs index arrays without asking again, unless they were told that sizes differ.
  const fixed = map.type === b.BPF_MAP_TYPE_ARRAY && (template.flags & b.BPF_F_INNER_MAP) === 0;
  return same && (!fixed || template.maxEntries === map.maxEntries);
}

/** BPF_MAP_TYPE_PROG_ARRAY, PERF_EVENT_ARRAY, CGROUP_ARRAY and ARRAY_OF_MAPS. */
export function fdArrayMap(core: MapCore): MapOps & { forget(id: number): void } {
  const { spec, dv, u32 } = core;
  const slots = makeSlots(core, 4);
  const handles = handlesOf(core);
  const set = (index: number, handle: number, flags: number): number => {
    if (flags !== b.BPF_ANY) return -EINVAL;
    const at = slots.at(index);
    if (at === 0) return -E2BIG;
    const word = handles.take(handle);
    if (word < 0) return word;
    u32[at >>> 2] = word;
    return 0;
  };
  const clear = (index: number): number => {
    const at = slots.at(index);
    if (at === 0) return -E2BIG;
    if (u32[at >>> 2] === 0) return -ENOENT;
    u32[at >>> 2] = 0;
    return 0;
  };
  const isMaps = spec.type === b.BPF_MAP_TYPE_ARRAY_OF_MAPS;
  return {
    ...refusing,
    lookup: (keyAt) => {
      const at = isMaps ? slots.at(dv.getUint32(keyAt, true)) : 0;
      return at === 0 ? 0 : u32[at >>> 2];
    },
    delete: (keyAt) => clear(dv.getUint32(keyAt, true)),
    forget: (id) => {
      if (handles.show === undefined) return;
      for (let index = 0; index < slots.max; index++) {
        const at = slots.at(index) >>> 2;
        if (u32[at] !== 0 && handles.show(u32[at]) === id) u32[at] = 0;
      }
    },
    userLookup: (key) => {
      if (handles.show === undefined) return -ENOTSUPP;
      const at = slots.at(readWord(key, 0));
      const word = at === 0 ? 0 : u32[at >>> 2];
      return word === 0 ? -ENOENT : wordBytes(handles.show(word));
    },
    userUpdate: (key, value, flags) => set(readWord(key, 0), readWord(value, 0), flags),
    userDelete: (key) => clear(readWord(key, 0)),
    userNextKey: (key) => nextIndex(key, slots.max),
    userValueSize: 4,
  };
}

/** What a `struct bpf_devmap_val` or `bpf_cpumap_val` says: a number and a program. */
export function numberAndProgram(core: MapCore, value: Uint8Array): { number: number; program: number } {
  return { number: readWord(value, 0), program: core.spec.valueSize === 8 ? readWord(value, 4) : 0 };
}

/** -errno unless the program (0: none) may sit in this map. */
export function checkProgram(core: MapCore, program: number): number {
  return program > 0 ? (core.host.program?.(program, core.spec) ?? -EBADF) : 0;
}

/** BPF_MAP_TYPE_DEVMAP and CPUMAP: | ifindex or queue size | program id |. */
export function numberMap(core: MapCore): MapOps & { forget(id: number): void } {
  const { spec, dv, u32, host } = core;
  const slots = makeSlots(core, 8);
  const isCpu = spec.type === b.BPF_MAP_TYPE_CPUMAP;
  const lookup = (index: number): number => {
    const at = slots.at(index);
    return at !== 0 && u32[at >>> 2] !== 0 ? at : 0;
  };
  const checkNumber = (index: number, number: number): number => {
    if (!isCpu) return number !== 0 && host.device?.(number) !== true ? -EINVAL : 0;
    if (number > CPU_QUEUE_MAX) return -EOVERFLOW;
    return index >= host.cpus ? -ENODEV : 0;
  };
  const set = (index: number, value: Uint8Array, flags: number): number => {
    if (flags >>> 0 > b.BPF_EXIST) return -EINVAL;
    const at = slots.at(index);
    if (at === 0) return -E2BIG;
    if (flags === b.BPF_NOEXIST) return -EEXIST;
    const { number, program } = numberAndProgram(core, value);
    if (!isCpu && number === 0 && program > 0) return -EINVAL;
    const refused = checkNumber(index, number) || (number === 0 ? 0 : checkProgram(core, program | 0));
    if (refused !== 0) return refused;
    u32[at >>> 2] = number;
    u32[(at >>> 2) + 1] = number === 0 ? 0 : Math.max(0, program | 0);
    return 0;
  };
  const clear = (index: number): number => {
    const at = slots.at(index);
    if (at === 0) return -EINVAL;
    u32[at >>> 2] = u32[(at >>> 2) + 1] = 0;
    return 0;
  };
  return {
    ...refusing,
    lookup: (keyAt) => lookup(dv.getUint32(keyAt, true)),
    delete: (keyAt) => clear(dv.getUint32(keyAt, true)),
    forget: (id) => {
      for (let index = 0; index < slots.max; index++) {
        const at = (slots.at(index) >>> 2) + 1;
        if (u32[at] === id) u32[at] = 0;
      }
    },
    userLookup: (key) => {
      const at = lookup(readWord(key, 0));
      return at === 0 ? -ENOENT : core.readValue(at);
    },
    userUpdate: (key, value, flags) => set(readWord(key, 0), value, flags),
    userDelete: (key) => clear(readWord(key, 0)),
    userNextKey: (key) => nextIndex(key, slots.max),
    userValueSize: spec.valueSize,
  };
}

/** The socket that a handle in a value names: its address, or -errno. */
export function socketOf(core: MapCore, value: Uint8Array): number {
  if (core.spec.valueSize === 8 && (readWord(value, 4) !== 0 || readWord(value, 0) > 0x7fff_ffff)) return -EINVAL;
  return core.host.socket?.(readWord(value, 0), core.spec) || -EBADF;
}

/** What user space sees of a socket: its cookie, when the values have room for one. */
export function cookieOf(core: MapCore, sk: number): Uint8Array | number {
  if (core.spec.valueSize !== 8) return -ENOSPC;
  if (sk === 0) return -ENOENT;
  return new Uint8Array(BigUint64Array.of(core.host.socketCookie?.(sk) ?? BigInt(sk)).buffer);
}

type SocketOps = MapOps & {
  setSocket(keyAt: number, sk: number, flags: number): number;
  forgetSocket(sk: number): void;
};

/** BPF_MAP_TYPE_SOCKMAP, XSKMAP and REUSEPORT_SOCKARRAY: the address of a socket each. */
export function socketArray(core: MapCore): SocketOps {
  const { spec, dv, u32 } = core;
  const slots = makeSlots(core, 4);
  const isXsk = spec.type === b.BPF_MAP_TYPE_XSKMAP;
  const isReuseport = spec.type === b.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY;
  const lookup = (index: number): number => {
    const at = slots.at(index);
    return at === 0 ? 0 : u32[at >>> 2];
  };
  const set = (index: number, flags: number, take: () => number): number => {
    if (flags >>> 0 > b.BPF_EXIST) return -EINVAL;
    const at = slots.at(index);
    if (at === 0) return -E2BIG;
    const sk = take();
    if (sk < 0) return sk;
    const old = u32[at >>> 2] !== 0;
    if (old && flags === b.BPF_NOEXIST) return -EEXIST;
    if (!old && flags === b.BPF_EXIST) return -ENOENT;
    u32[at >>> 2] = sk;
    return 0;
  };
  const clear = (index: number): number => {
    const at = slots.at(index);
    if (at === 0) return isReuseport ? -E2BIG : -EINVAL;
    if (u32[at >>> 2] === 0 && !isXsk) return isReuseport ? -ENOENT : -EINVAL;
    u32[at >>> 2] = 0;
    return 0;
  };
  return {
    ...refusing,
    lookup: (keyAt) => lookup(dv.getUint32(keyAt, true)),
    delete: (keyAt) => clear(dv.getUint32(keyAt, true)),
    setSocket: (keyAt, sk, flags) => set(dv.getUint32(keyAt, true), flags, () => sk),
    forgetSocket: (sk) => {
      for (let index = 0; index < slots.max; index++) {
        const at = slots.at(index) >>> 2;
        if (u32[at] === sk) u32[at] = 0;
      }
    },
    userLookup: (key) => (isXsk ? -EOPNOTSUPP : cookieOf(core, lookup(readWord(key, 0)))),
    userUpdate: (key, value, flags) => {
      // The others look at the flags first.
      const first = isXsk || isReuseport ? 0 : Math.min(0, socketOf(core, value));
      return first || set(readWord(key, 0), flags, () => socketOf(core, value));
    },
    userDelete: (key) => clear(readWord(key, 0)),
    userNextKey: (key) => nextIndex(key, slots.max),
    userValueSize: spec.valueSize,
  };
}
