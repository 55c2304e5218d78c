/**
 * Global variables: each of `.data*`, `.rodata*` and `.bss*` becomes an array map of one value, named as libbpf does it:
 * the first eight characters of the object's name and the section; `.data.x` keeps its own name.
 */
import * as U from '../../wire/uapi/bpf.ts';
import type { Btf } from '../btf/btf.ts';
import * as F from '../btf/format.ts';
import { mapRecord } from '../btf/record.ts';
import { LoadError } from '../load-error.ts';
import { type ElfSection, SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_PROGBITS } from './elf.ts';
import type { ObjectMap } from './types.ts';

/** Bytes a kernel name has room for, with the NUL behind it. */
const BPF_OBJ_NAME_LEN = 16;
/** Map values beyond this cannot be made anywhere. */
const MAX_DATA = 0x7fffffff;

const isOf = (name: string, base: string): boolean => name === base || name.startsWith(`${base}.`);

export const isRodata = (section: ElfSection): boolean => isOf(section.name, '.rodata');

/** Sections that libbpf makes maps of. */
export function isDataSection(section: ElfSection): boolean {
  if (section.type === SHT_NOBITS) return isOf(section.name, '.bss');
  return section.type === SHT_PROGBITS && (isOf(section.name, '.data') || isRodata(section));
}

/** Sections of an object's own making (SEC("counters")) that a program refers to count as data too. */
export const couldBeData = (section: ElfSection): boolean =>
  (section.type === SHT_PROGBITS || section.type === SHT_NOBITS) &&
  (section.flags & (SHF_ALLOC | SHF_EXECINSTR)) === SHF_ALLOC;

/** The name of an object's internal map. */
export function dataMapName(object: string, section: string): string {
  if (section.indexOf('.', 1) > 0) return section;
  const suffix = section.slice(0, BPF_OBJ_NAME_LEN - 1);
  const room = Math.min(BPF_OBJ_NAME_LEN - 1 - Math.max(7, suffix.length), object.length);
  return (object.slice(0, Math.max(room, 0)) + suffix).replace(/[^A-Za-z0-9_.]/g, '_');
}

export function dataMap(section: ElfSection, object: string, btf: Btf | undefined): ObjectMap {
  if (section.size === 0 || section.size > MAX_DATA)
    throw new LoadError(section.name, 0, `${section.size} bytes of data; a map's value has 1 to ${MAX_DATA}`);
  const rodata = isRodata(section);
  const type = btf?.find(section.name, F.BTF_KIND_DATASEC) ?? 0;
  const shared =
    btf !== undefined && type !== 0 && btf.vars(type).some((v) => btf.linkage(v.type) !== F.BTF_VAR_STATIC);
  const record = btf !== undefined && type !== 0 ? mapRecord(btf, type) : undefined;
  // A copy: read-only values may be changed until the object is loaded.
  const value = section.bytes.slice();
  return {
    name: dataMapName(object, section.name),
    type: U.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: section.size,
    maxEntries: 1,
    flags: (rodata ? U.BPF_F_RDONLY_PROG : 0) | (shared ? U.BPF_F_MMAPABLE : 0),
    ...(record !== undefined && { record }),
    ...(section.type !== SHT_NOBITS && { initial: [[new Uint8Array(4), value] as const] }),
    ...(rodata && { frozen: true, peek: (offset: number, size: number) => peekAt(value, offset, size) }),
    ...(type !== 0 && { btfValueType: type }),
    section: section.name,
    offset: 0,
  };
}

/** A little-endian number inside a value; undefined outside of it. */
export function peekAt(value: Uint8Array, offset: number, size: number): bigint | undefined {
  if (offset < 0 || offset + size > value.length) return undefined;
  let number = 0n;
  for (let i = size - 1; i >= 0; i--) number = (number << 8n) | BigInt(value[offset + i]);
  return number;
}
