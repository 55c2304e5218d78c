/**
 * Reads a BPF object as libbpf does (docs.kernel.org/bpf/libbpf): sections to programs and maps, relocations, CO-RE,
 * subprograms, global data. What libbpf 1.x dropped or refuses is taken too: legacy `maps`, static programs, sections
 * of any name.
 */
import { Btf } from '../btf/btf.ts';
import { type BtfExt, parseBtfExt } from '../btf/ext.ts';
import { LoadError } from '../load-error.ts';
import { type SectionType, sectionNames, sectionToType } from '../progtype/index.ts';
import { btfMaps } from './btf-maps.ts';
import { type CodeFunction, type CodeSection, functionsOf, isCode, type MapFinder, readCode } from './code.ts';
import { couldBeData, dataMap, isDataSection } from './data-maps.ts';
import { type Elf, readElf } from './elf.ts';
import { readExterns } from './externs.ts';
import { legacyMaps } from './legacy-maps.ts';
import { Linker } from './link.ts';
import { structOpsMaps } from './struct-ops.ts';
import type { BpfObject, LoadOptions, MapSlot, ObjectMap, ObjectProgram } from './types.ts';
import { completeBtf } from './variables.ts';

/** Bytes of a name that libbpf keeps of the file's. */
const NAME_LEN = 15;

/** Reads an object; throws LoadError. */
export function loadObject(bytes: Uint8Array, options: LoadOptions = {}): BpfObject {
  const elf = readElf(bytes);
  const warnings: string[] = [];
  if (!elf.littleEndian) warnings.push('a big-endian object: its global data stays in that order');
  const name = objectName(options.name ?? 'object');
  const section = (wanted: string) => elf.sections.find((s) => s.name === wanted && s.bytes.length > 0);
  const btfSection = section('.BTF');
  let btf: Btf | undefined;
  let ext: BtfExt | undefined;
  if (btfSection !== undefined) {
    // A copy: what clang leaves to the loader is written into it.
    btf = Btf.parse(btfSection.bytes.slice());
    completeBtf(btf, elf);
    const extSection = section('.BTF.ext');
    if (extSection !== undefined) ext = parseBtfExt(extSection.bytes, btf);
  }
  const externs = readExterns(elf, btf, name, options);
  const { maps: declared, find, ids } = collectMaps(elf, btf, name, options, externs.kconfig);

  const context = {
    elf,
    externs,
    findMap: find,
    btf,
    ext,
    target: options.target,
    core: { keepUnknown: options.keepUnknown },
  };
  const codes = new Map<number, CodeSection>();
  const functions: CodeFunction[] = [];
  for (const s of elf.sections) {
    if (!isCode(s)) continue;
    const code = readCode(s, context);
    codes.set(s.index, code);
    for (const f of functionsOf(elf, code)) functions.push(f);
  }
  const license = text(section('license')?.bytes);
  const linker = new Linker(codes, functions, btf, ext);
  const maps = withTails(declared, ids, functions);
  const programs: ObjectProgram[] = [];
  for (const f of functions) {
    // Functions in .text are there to be called, unless it is all there is.
    if (f.anonymous || (f.code.section.name === '.text' && functions.length > 1)) continue;
    const full = f.code.section.name;
    const autoload = !full.startsWith('?');
    const kind = typeOf(autoload ? full : full.slice(1));
    const base = {
      name: f.name,
      section: full.replace(/^\?/, ''),
      type: kind?.type ?? options.defaultType ?? 0,
      expectedAttachType: kind?.expectedAttachType ?? 0,
      flags: kind?.flags ?? 0,
      license,
      maps,
      btf,
      kfuncs: externs.kfuncs,
      autoload,
      target: kind?.target ?? '',
    };
    try {
      programs.push({ ...base, ...linker.link(f) });
    } catch (error) {
      if (!(error instanceof LoadError) || !(options.lenient || !autoload)) throw error;
      programs.push({ ...base, insns: [], problem: error });
    }
  }
  return {
    name,
    license,
    version: word(section('version')?.bytes, elf.littleEndian),
    littleEndian: elf.littleEndian,
    btf,
    programs,
    maps,
    warnings,
  };
}

function objectName(file: string): string {
  const base = file.split('/').at(-1)!.slice(0, NAME_LEN);
  const dot = base.indexOf('.');
  return dot < 0 ? base : base.slice(0, dot);
}

/** libbpf before 1.0 compared beginnings: "xdp_router", "classifier/ingress", "socket1". */
function typeOf(section: string): SectionType | undefined {
  const exact = sectionToType(section);
  if (exact !== undefined) return exact;
  let best = '';
  for (const known of sectionNames()) if (section.startsWith(known) && known.length > best.length) best = known;
  const kind = sectionToType(best);
  return kind && { ...kind, target: section.slice(best.length).replace(/^\//, '') };
}

function text(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return '';
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, 128)));
}

const word = (bytes: Uint8Array | undefined, littleEndian: boolean): number =>
  bytes === undefined || bytes.length < 4
    ? 0
    : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, littleEndian);

type Maps = { readonly maps: ObjectMap[]; readonly find: MapFinder; readonly ids: ReadonlyMap<number, number> };

/** All maps in libbpf's order: declared ones, global data by section, kconfig, struct_ops. */
function collectMaps(elf: Elf, btf: Btf | undefined, name: string, options: LoadOptions, kconfig?: ObjectMap): Maps {
  const maps: ObjectMap[] = [];
  let ids: ReadonlyMap<number, number> = new Map();
  const add = (list: readonly ObjectMap[]): void => {
    const from = maps.length;
    for (const m of list)
      maps.push(
        m.slots === undefined
          ? m
          : { ...m, slots: m.slots.map((s) => (s.map === undefined ? s : { ...s, map: s.map + from })) },
      );
  };
  for (const s of elf.sections) {
    if (s.name === '.maps' && s.size > 0) add(btfMaps(elf, s, btf, options));
    if (s.name === 'maps' && s.bytes.length > 0) {
      const legacy = legacyMaps(elf, s, options);
      ids = new Map([...legacy.ids].map(([id, index]) => [id, index + maps.length]));
      add(legacy.maps);
    }
  }
  const data = new Map<number, number>();
  const addData = (index: number): void => {
    data.set(index, maps.length);
    maps.push(dataMap(elf.sections[index], name, btf));
  };
  for (const s of elf.sections) if (isDataSection(s) && s.size > 0) addData(s.index);
  // Other sections with data count when code refers to them.
  for (const [of, relocations] of elf.relocations) {
    if (!isCode(elf.sections[of])) continue;
    for (const { symbol } of relocations) {
      const s = elf.sections[symbol.section];
      if (s === undefined || data.has(s.index) || !couldBeData(s) || s.size === 0) continue;
      if (s.name !== '.maps' && s.name !== 'maps' && !s.name.startsWith('.struct_ops')) addData(s.index);
    }
  }
  let kconfigAt = -1;
  if (kconfig !== undefined) {
    kconfigAt = maps.length;
    add([kconfig]);
  }
  add(structOpsMaps(elf, btf));

  const places = new Map<string, number>();
  for (const [i, m] of maps.entries()) if (/^\.?maps$/.test(m.section)) places.set(`${m.section} ${m.offset}`, i);
  const find: MapFinder = (symbol, offset) => {
    if (symbol.section === 0) return { kind: 'value', map: kconfigAt, offset };
    const s = elf.sections[symbol.section];
    const at = data.get(symbol.section);
    if (at !== undefined) {
      if (offset < -0x80000000 || offset > 0x7fffffff)
        return `'${symbol.name}'+${offset} is far outside of '${s.name}'`;
      return { kind: 'value', map: at, offset };
    }
    const map = places.get(`${s.name} ${offset}`);
    if (map !== undefined) return { kind: 'map', map };
    return `'${symbol.name}'+${offset} of section '${s.name}' is neither a map nor data`;
  };
  return { maps, find, ids };
}

/** iproute2's tail calls: section "ID/SLOT" puts its program into the program array with that number. */
function withTails(
  maps: readonly ObjectMap[],
  ids: ReadonlyMap<number, number>,
  functions: readonly CodeFunction[],
): readonly ObjectMap[] {
  if (ids.size === 0) return maps;
  const slots = new Map<number, MapSlot[]>();
  for (const { name, code } of functions) {
    const tail = /^(0x[0-9a-f]+|\d+)\/(\d+)$/i.exec(code.section.name);
    const map = tail === null ? undefined : ids.get(Number(tail[1]));
    if (tail !== null && map !== undefined)
      slots.set(map, [...(slots.get(map) ?? []), { index: Number(tail[2]), program: name }]);
  }
  return maps.map((m, i) => (slots.has(i) ? { ...m, slots: [...(m.slots ?? []), ...slots.get(i)!] } : m));
}
