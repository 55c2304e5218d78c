/**
 * Hash tables whose elements name something else: BPF_MAP_TYPE_HASH_OF_MAPS, DEVMAP_HASH, SOCKHASH.
 */
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { Elements } from './elements.ts';
import { checkExists } from './hash.ts';
import { ELEM_KEY, MAP_ID } from './layout.ts';
import { checkProgram, cookieOf, innerMaps, numberAndProgram, socketOf } from './slots.ts';

/** What a type of these does with values. */
type Kind = {
  /** The two words for a value from user space, or -errno. */
  take(value: Uint8Array): readonly [number, number] | number;
  /** A value as user space sees it, or -errno. */
  show(valueAt: number): Uint8Array | number;
  /** What a program's lookup answers. */
  result(valueAt: number): number;
  /** -errno where the flags do not allow this. */
  check(exists: boolean, flags: number): number;
};

function mapsKind(core: MapCore): Kind {
  const maps = innerMaps(core);
  return {
    take: (value) => {
      const word = maps.take(new DataView(value.buffer, value.byteOffset).getUint32(0, true));
      return word < 0 ? word : [word, 0];
    },
    show: (at) => new Uint8Array(Uint32Array.of(maps.show(core.u32[at >>> 2])).buffer),
    result: (at) => core.u32[at >>> 2],
    check: checkExists,
  };
}

function devicesKind(core: MapCore): Kind {
  return {
    take: (value) => {
      const { number, program } = numberAndProgram(core, value);
      if (core.host.device?.(number) !== true) return -EINVAL;
      return checkProgram(core, program | 0) || [number, Math.max(0, program | 0)];
    },
    show: (at) => core.readValue(at),
    result: (at) => at,
    check: (exists, flags) => (exists && (flags & b.BPF_NOEXIST) !== 0 ? -EEXIST : 0),
  };
}

function socketsKind(core: MapCore): Kind {
  return {
    take: (value) => {
      const sk = socketOf(core, value);
      return sk < 0 ? sk : [sk, 0];
    },
    show: (at) => cookieOf(core, core.u32[at >>> 2]),
    result: (at) => core.u32[at >>> 2],
    check: checkExists,
  };
}

export type KeyedOps = MapOps & {
  setSocket(keyAt: number, sk: number, flags: number): number;
  forget(id: number): void;
  forgetSocket(sk: number): void;
  dispose(): void;
};

export function keyedMap(core: MapCore): KeyedOps {
  const { spec, u32 } = core;
  const elements = new Elements(core, 8, 1, 0);
  const { valueOffset } = elements;
  const isDevices = spec.type === b.BPF_MAP_TYPE_DEVMAP_HASH;
  const isSockets = spec.type === b.BPF_MAP_TYPE_SOCKHASH;
  const kind = isDevices ? devicesKind(core) : isSockets ? socketsKind(core) : mapsKind(core);

  const put = (keyAt: number, words: readonly [number, number], flags: number): number => {
    if (flags >>> 0 > b.BPF_EXIST) return -EINVAL;
    const old = elements.find(keyAt);
    const refused = kind.check(old !== 0, flags);
    if (refused !== 0) return refused;
    let element = old;
    if (old === 0) {
      if (elements.count >= spec.maxEntries) return -E2BIG;
      element = elements.take(spec.maxEntries);
      if (element === 0) return -ENOMEM;
      if (!elements.insert(element, keyAt)) {
        elements.give(element);
        return -ENOMEM;
      }
    }
    u32.set(words, (element + valueOffset) >>> 2);
    return 0;
  };
  const remove = (keyAt: number): number => {
    const element = elements.find(keyAt);
    if (element === 0) return -ENOENT;
    elements.remove(element);
    elements.give(element);
    return 0;
  };

  return {
    ...refusing,
    lookup: (keyAt) => {
      const element = elements.find(keyAt);
      return element === 0 ? 0 : kind.result(element + valueOffset);
    },
    delete: remove,
    forget: (id) => {
      for (const element of elements.all()) {
        const at = (element + valueOffset) >>> 2;
        if (isDevices) {
          if (u32[at + 1] === id) u32[at + 1] = 0;
        } else if (!isSockets && u32[(u32[at] >>> 2) + MAP_ID] === id) remove(element + ELEM_KEY);
      }
    },
    setSocket: (keyAt, sk, flags) => put(keyAt, [sk, 0], flags),
    forgetSocket: (sk) => {
      if (!isSockets) return;
      for (const element of [...elements.all()])
        if (u32[(element + valueOffset) >>> 2] === sk) remove(element + ELEM_KEY);
    },
    userLookup: (key) => {
      if (isSockets && spec.valueSize !== 8) return cookieOf(core, 0);
      const element = elements.find(core.key(key));
      return element === 0 ? -ENOENT : kind.show(element + valueOffset);
    },
    userUpdate: (key, value, flags) => {
      if (isDevices && flags >>> 0 > b.BPF_EXIST) return -EINVAL;
      const keyAt = core.key(key);
      if (isDevices) {
        const refused = kind.check(elements.find(keyAt) !== 0, flags);
        if (refused !== 0 && numberAndProgram(core, value).number !== 0) return refused;
      }
      const words = kind.take(value);
      return typeof words === 'number' ? words : put(keyAt, words, flags);
    },
    userDelete: (key) => remove(core.key(key)),
    userNextKey: (key) => elements.nextKey(key === undefined ? 0 : core.key(key)) ?? -ENOENT,
    userValueSize: spec.valueSize,
    dispose: () => elements.dispose(),
  };
}
