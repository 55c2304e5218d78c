/**
 * ELF64 relocatable objects for machine BPF (System V ABI, "Object Files"; Documentation/bpf/llvm_reloc.rst), of either
 * byte order: sections, symbols and relocations, every offset checked before it is used.
 */
import { LoadError } from '../load-error.ts';

export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_RELA = 4;
export const SHT_NOBITS = 8;
export const SHT_REL = 9;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;

export const STB_LOCAL = 0;
export const STB_WEAK = 2;
export const STT_NOTYPE = 0;
export const STT_OBJECT = 1;
export const STT_FUNC = 2;
export const STT_SECTION = 3;
export const STV_HIDDEN = 2;
export const STV_INTERNAL = 1;

export const R_BPF_64_64 = 1;
export const R_BPF_64_ABS64 = 2;
export const R_BPF_64_ABS32 = 3;
export const R_BPF_64_NODYLD32 = 4;
export const R_BPF_64_32 = 10;

const EM_BPF = 247;
const ET_REL = 1;
const SHN_LORESERVE = 0xff00;

export type ElfSection = {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly entrySize: number;
  /** Its bytes; none for SHT_NOBITS. */
  readonly bytes: Uint8Array;
};

export type ElfSymbol = {
  readonly name: string;
  readonly bind: number;
  readonly type: number;
  readonly visibility: number;
  /** Section number, 0 if undefined. */
  readonly section: number;
  readonly value: number;
  readonly size: number;
};

export type ElfRelocation = {
  /** Offset in the section that is relocated. */
  readonly offset: number;
  readonly type: number;
  readonly symbol: ElfSymbol;
  readonly addend: number;
  /** Where the entry itself stands, for errors. */
  readonly from: string;
  readonly at: number;
};

export type Elf = {
  readonly littleEndian: boolean;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** Symbols by section. */
  readonly symbolsOf: ReadonlyMap<number, readonly ElfSymbol[]>;
  /** Relocations by number of the section they change, sorted by offset. */
  readonly relocations: ReadonlyMap<number, readonly ElfRelocation[]>;
};

const FILE = 'ELF';
const utf8 = new TextDecoder();

/** Reads an object; throws LoadError. */
export function readElf(bytes: Uint8Array): Elf {
  const fail = (offset: number, problem: string): never => {
    throw new LoadError(FILE, offset, problem);
  };
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64) fail(bytes.length, 'the file ends inside the ELF header');
  if (dv.getUint32(0) !== 0x7f454c46) fail(0, 'no ELF file');
  if (bytes[4] !== 2) fail(4, 'a 32-bit ELF file; BPF objects have 64 bits');
  if (bytes[5] !== 1 && bytes[5] !== 2) fail(5, `byte order ${bytes[5]} is unknown`);
  const littleEndian = bytes[5] === 1;
  const half = (at: number): number => dv.getUint16(at, littleEndian);
  const word = (at: number): number => dv.getUint32(at, littleEndian);
  /** Sizes beyond 2^53 lose bits, but stay too large. */
  const xword = (at: number): number => Number(dv.getBigUint64(at, littleEndian));
  if (half(16) !== ET_REL) fail(16, `ELF type ${half(16)}; a BPF object is relocatable (clang -c)`);
  if (half(18) !== EM_BPF && half(18) !== 0)
    fail(18, `ELF machine ${half(18)}; 247 (BPF) is wanted (clang -target bpf)`);
  const table = xword(40);
  const count = half(60);
  if (count > 0 && half(58) !== 64) fail(58, `section headers of ${half(58)} bytes; 64 are wanted`);
  if (table + count * 64 > bytes.length) fail(40, `${count} section headers at ${table} reach beyond the file`);

  const raw = Array.from({ length: count }, (_, index) => {
    const at = table + index * 64;
    const section = {
      index,
      nameAt: word(at),
      type: word(at + 4),
      flags: xword(at + 8),
      offset: xword(at + 24),
      size: xword(at + 32),
      link: word(at + 40),
      info: word(at + 44),
      entrySize: xword(at + 56),
    };
    if (section.type !== SHT_NOBITS && section.type !== 0 && section.offset + section.size > bytes.length)
      fail(at, `section ${index} (${section.size} bytes at ${section.offset}) reaches beyond the file`);
    return section;
  });
  const content = (s: { type: number; offset: number; size: number }): Uint8Array =>
    s.type === SHT_NOBITS || s.type === 0 ? new Uint8Array(0) : bytes.subarray(s.offset, s.offset + s.size);

  /** Where the last string of a table ends. */
  const ends: number[] = [];
  /** The string at an offset of a string table. */
  const stringIn = (index: number, offset: number, from: number): string => {
    const strings = raw[index] === undefined ? new Uint8Array(0) : content(raw[index]);
    if (ends[index] === undefined) ends[index] = strings.lastIndexOf(0);
    if (offset > ends[index]) {
      if (offset === 0) return '';
      fail(from, `a name at ${offset} of string table ${index}, which has ${strings.length} bytes`);
    }
    let end = offset;
    while (strings[end] !== 0 && end - offset < 1024) end++;
    // Longer names are cut: overlapping ones could otherwise make a small file expensive.
    return utf8.decode(strings.subarray(offset, end));
  };

  const names = half(62);
  const sections = raw.map(({ nameAt, ...s }) => ({
    ...s,
    name: stringIn(names, nameAt, table + s.index * 64),
    bytes: content(s),
  }));

  const symbols: ElfSymbol[] = [];
  const symtab = sections.find((s) => s.type === SHT_SYMTAB);
  if (symtab !== undefined) {
    if (symtab.entrySize !== 24)
      throw new LoadError(symtab.name, 0, `symbols of ${symtab.entrySize} bytes; 24 are wanted`);
    for (let at = symtab.offset; at + 24 <= symtab.offset + symtab.size; at += 24) {
      const section = half(at + 6);
      const type = bytes[at + 4] & 15;
      // A section's symbol goes by the section's name.
      const name = type === STT_SECTION ? (sections[section]?.name ?? '') : stringIn(symtab.link, word(at), at);
      if (section >= count && section < SHN_LORESERVE)
        fail(at + 6, `symbol ${name} is in section ${section} of ${count}`);
      symbols.push({
        name,
        bind: bytes[at + 4] >> 4,
        type,
        visibility: bytes[at + 5] & 3,
        section,
        value: xword(at + 8),
        size: xword(at + 16),
      });
    }
  }

  const relocations = new Map<number, ElfRelocation[]>();
  for (const s of sections) {
    if (s.type !== SHT_REL && s.type !== SHT_RELA) continue;
    const size = s.type === SHT_REL ? 16 : 24;
    const of = sections[s.info];
    if (of === undefined || s.info === 0) throw new LoadError(s.name, 0, `relocates section ${s.info} of ${count}`);
    if (s.entrySize !== size) throw new LoadError(s.name, 0, `relocations of ${s.entrySize} bytes; ${size} are wanted`);
    const list = relocations.get(s.info) ?? [];
    for (let at = 0; at + size <= s.size; at += size) {
      const info = dv.getBigUint64(s.offset + at + 8, littleEndian);
      const index = Number(info >> 32n);
      const symbol = symbols[index];
      if (symbol === undefined)
        throw new LoadError(s.name, at, `relocation against symbol ${index} of ${symbols.length}`);
      list.push({
        offset: xword(s.offset + at),
        type: Number(info & 0xffffffffn),
        symbol,
        addend: size === 24 ? Number(dv.getBigInt64(s.offset + at + 16, littleEndian)) : 0,
        from: s.name,
        at,
      });
    }
    relocations.set(s.info, list);
  }
  for (const list of relocations.values()) list.sort((a, b) => a.offset - b.offset);
  const symbolsOf = new Map<number, ElfSymbol[]>();
  for (const symbol of symbols) {
    const list = symbolsOf.get(symbol.section);
    if (list === undefined) symbolsOf.set(symbol.section, [symbol]);
    else list.push(symbol);
  }
  return { littleEndian, sections, symbols, symbolsOf, relocations };
}
