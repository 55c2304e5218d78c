/**
 * An object with its global variables by name, as libbpf's skeletons give it to C:
 *
 *     const object = openObject(bytes);
 *     object.globals.set('limit', 100);            // .rodata: until it is loaded
 *     const host = ...load(object.programs, object.maps)...
 *     object.globals.bind((map) => host.valueOf(map)); // from now on the live values
 *     object.globals.get('packets');               // .bss
 */
import * as F from '../btf/format.ts';
import { type BtfValue, readValue, writeValue } from '../btf/value.ts';
import { loadObject } from './object.ts';
import type { BpfObject, LoadOptions, ObjectMap } from './types.ts';
import { variablesOf } from './variables.ts';

/** A global variable: the map it lies in and where. */
export type Global = {
  readonly name: string;
  /** Number of its map in the object. */
  readonly map: number;
  readonly offset: number;
  readonly size: number;
  /** Type number in the object's BTF. */
  readonly type: number;
  readonly readOnly: boolean;
};

/** The bytes of the only value of a global data map, live: writes reach the program. */
export type LiveValue = (map: ObjectMap, index: number) => Uint8Array;

export class Globals {
  readonly #object: BpfObject;
  readonly #byName: Map<string, Global> = new Map();
  /** Initial values, until the object is loaded. */
  readonly #initial: ReadonlyMap<number, Uint8Array>;
  #live: LiveValue | undefined;

  constructor(object: BpfObject, initial: ReadonlyMap<number, Uint8Array>) {
    this.#object = object;
    this.#initial = initial;
    const { btf } = object;
    if (btf === undefined) return;
    object.maps.forEach((m, map) => {
      const datasec = m.btfValueType ?? 0;
      if (!initial.has(map) || datasec === 0 || btf.kind(datasec) !== F.BTF_KIND_DATASEC) return;
      for (const { name, type, offset, size } of variablesOf(btf, datasec)) {
        if (offset + size <= m.valueSize)
          this.#byName.set(name, { name, map, offset, size, type, readOnly: m.frozen === true });
      }
    });
  }

  /** Variables in the order of their sections. */
  list(): readonly Global[] {
    return [...this.#byName.values()];
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** From here on values are read and written where the program sees them. */
  bind(live: LiveValue): void {
    this.#live = live;
  }

  get(name: string): BtfValue {
    const global = this.#find(name);
    return readValue(this.#object.btf!, global.type, this.#bytes(global), global.offset);
  }

  /** Sets a variable, or the members of a struct that are given. */
  set(name: string, value: BtfValue): void {
    const global = this.#find(name);
    if (global.readOnly && this.#live !== undefined)
      throw new Error(`global variable '${name}' is read only once the object is loaded`);
    // Unfit values must not leave half of themselves behind.
    const bytes = this.#bytes(global);
    const copy = bytes.slice(global.offset, global.offset + global.size);
    writeValue(this.#object.btf!, global.type, copy, 0, value);
    bytes.set(copy, global.offset);
  }

  #find(name: string): Global {
    const global = this.#byName.get(name);
    if (global !== undefined) return global;
    const known = [...this.#byName.keys()].join(', ');
    throw new Error(`there is no global variable '${name}'${known === '' ? '' : `; there are: ${known}`}`);
  }

  #bytes({ map }: Global): Uint8Array {
    return this.#live === undefined ? this.#initial.get(map)! : this.#live(this.#object.maps[map], map);
  }
}

export type OpenObject = BpfObject & { readonly globals: Globals };

/** Data maps up to this size get their bytes when the object is opened, also when they begin as zeros. */
const MAX_ZEROS = 64 << 20;

/** Reads an object and gives its global variables by name; throws LoadError. */
export function openObject(bytes: Uint8Array, options: LoadOptions = {}): OpenObject {
  const object = loadObject(bytes, options);
  const initial = new Map<number, Uint8Array>();
  const maps = object.maps.map((m, i): ObjectMap => {
    if (!isData(m)) return m;
    const value = m.initial?.[0]?.[1];
    if (value !== undefined) {
      initial.set(i, value);
      return m;
    }
    if (m.valueSize > MAX_ZEROS) return m;
    const zeros = new Uint8Array(m.valueSize);
    initial.set(i, zeros);
    return { ...m, initial: [[new Uint8Array(m.keySize), zeros]] };
  });
  const opened = { ...object, maps, programs: object.programs.map((p) => ({ ...p, maps })) };
  return { ...opened, globals: new Globals(opened, initial) };
}

const isData = (map: ObjectMap): boolean => /^\.(data|rodata|bss)(\.|$)/.test(map.section);
