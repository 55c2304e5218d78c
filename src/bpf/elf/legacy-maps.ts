/**
 * Maps declared in section `maps` as plain structs: libbpf's `struct bpf_map_def` (before 1.0), its longer form in the
 * kernel's samples, and iproute2's `struct bpf_elf_map`, told apart by their size.
 */
import * as U from '../../wire/uapi/bpf.ts';
import { LoadError } from '../load-error.ts';
import { adjusted } from './btf-maps.ts';
import { type Elf, type ElfSection, STT_SECTION } from './elf.ts';
import type { LoadOptions, MapSlot, ObjectMap } from './types.ts';

const BPF_MAP_DEF = 20;
const LOAD_MAP_DEF = 28;
const BPF_ELF_MAP = 36;

type Row = {
  readonly name: string;
  readonly offset: number;
  readonly words: readonly number[];
};

/** iproute2's fields behind the five that all forms share. */
const [ID, PINNING, INNER_ID, INNER_IDX] = [5, 6, 7, 8];

/** A map's iproute2 number, by which sections "ID/SLOT" name a program array. */
export type LegacyMaps = { readonly maps: readonly ObjectMap[]; readonly ids: ReadonlyMap<number, number> };

export function legacyMaps(elf: Elf, section: ElfSection, options: LoadOptions): LegacyMaps {
  const symbols = elf.symbols
    .filter((s) => s.section === section.index && s.type !== STT_SECTION && s.name !== '')
    .sort((a, b) => a.value - b.value)
    .filter((s, i, all) => i === 0 || s.value !== all[i - 1].value);
  if (symbols.length === 0) return { maps: [], ids: new Map() };
  const size = section.size / symbols.length;
  if (!Number.isInteger(size) || size < BPF_MAP_DEF || size % 4 !== 0)
    throw new LoadError(
      section.name,
      0,
      `${section.size} bytes for ${symbols.length} maps are no known map definitions`,
    );
  const dv = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
  const rows = symbols.map((symbol, i): Row => {
    if (symbol.value !== i * size || symbol.value + size > section.bytes.length)
      throw new LoadError(section.name, symbol.value, `map '${symbol.name}' does not lie at a multiple of ${size}`);
    const words = Array.from({ length: size / 4 }, (_, j) => dv.getUint32(symbol.value + j * 4, elf.littleEndian));
    return { name: symbol.name, offset: symbol.value, words };
  });
  const iproute = size === BPF_ELF_MAP;
  const ids = new Map<number, number>();
  if (iproute) {
    rows.forEach(({ words }, i) => {
      if (words[ID] !== 0) ids.set(words[ID], i);
    });
  }
  const spec = (row: Row, inner: number | undefined): ObjectMap => {
    const [type, keySize, valueSize, maxEntries, flags] = row.words;
    if (!iproute && row.words.slice(size === LOAD_MAP_DEF ? 7 : 5).some((w) => w !== 0))
      throw new LoadError(
        section.name,
        row.offset,
        `map '${row.name}' has ${size} bytes with fields that netloom does not know`,
      );
    return {
      ...adjusted({ name: row.name, type, keySize, valueSize, maxEntries, flags }, options),
      section: section.name,
      offset: row.offset,
      ...(iproute && row.words[PINNING] !== 0 && { pinned: true }),
      ...(inner !== undefined && { inner: spec(rows[inner], undefined) }),
    };
  };
  const maps = rows.map((row): ObjectMap => {
    const nests = row.words[0] === U.BPF_MAP_TYPE_ARRAY_OF_MAPS || row.words[0] === U.BPF_MAP_TYPE_HASH_OF_MAPS;
    if (!nests || size < LOAD_MAP_DEF) return spec(row, undefined);
    const inner = iproute ? ids.get(row.words[INNER_ID]) : row.words[5];
    if (inner === undefined || rows[inner] === undefined)
      throw new LoadError(section.name, row.offset, `map '${row.name}' names an inner map that is not there`);
    const slots: MapSlot[] = [];
    // -1: this map only gives the shape.
    rows.forEach(({ words }, map) => {
      if (iproute && words[ID] === row.words[INNER_ID] && words[ID] !== 0 && words[INNER_IDX] !== 0xffffffff)
        slots.push({ index: words[INNER_IDX], map });
    });
    return { ...spec(row, inner), ...(slots.length > 0 && { slots }) };
  });
  return { maps, ids };
}
