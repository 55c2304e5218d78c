/** Writes small ELF objects for tests, in either byte order. */
import { encodeInsns, type Insn } from '../insn.ts';
import * as E from './elf.ts';

export type FixtureSection = {
  readonly name: string;
  readonly type?: number;
  readonly flags?: number;
  readonly bytes?: Uint8Array;
  /** Size of a section without bytes (.bss). */
  readonly size?: number;
  readonly relocations?: readonly { readonly offset: number; readonly type: number; readonly symbol: string }[];
};

export type FixtureSymbol = {
  readonly name: string;
  /** Name of its section, '' if undefined. */
  readonly section: string;
  readonly value?: number;
  readonly size?: number;
  readonly type?: number;
  readonly bind?: number;
  readonly visibility?: number;
};

export const CODE: Pick<FixtureSection, 'type' | 'flags'> = {
  type: E.SHT_PROGBITS,
  flags: E.SHF_ALLOC | E.SHF_EXECINSTR,
};
export const DATA: Pick<FixtureSection, 'type' | 'flags'> = { type: E.SHT_PROGBITS, flags: E.SHF_ALLOC | E.SHF_WRITE };

/** Instructions as section bytes, in the object's byte order. */
export function code(insns: readonly Insn[], littleEndian = true): Uint8Array {
  const bytes = encodeInsns(insns);
  if (littleEndian) return bytes;
  for (let at = 0; at < bytes.length; at += 8) {
    bytes[at + 1] = (bytes[at + 1] << 4) | (bytes[at + 1] >> 4);
    bytes.subarray(at + 2, at + 4).reverse();
    bytes.subarray(at + 4, at + 8).reverse();
  }
  return bytes;
}

/** 32-bit words as bytes. */
export function words(list: readonly number[], littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(list.length * 4);
  const dv = new DataView(bytes.buffer);
  list.forEach((w, i) => {
    dv.setUint32(i * 4, w, littleEndian);
  });
  return bytes;
}

export function buildElf(
  sections: readonly FixtureSection[],
  symbols: readonly FixtureSymbol[],
  littleEndian = true,
): Uint8Array {
  const names: number[] = [0];
  const string = (text: string): number => {
    if (text === '') return 0;
    const at = names.length;
    names.push(...new TextEncoder().encode(text), 0);
    return at;
  };
  type Out = {
    name: string;
    type: number;
    flags: number;
    link: number;
    info: number;
    entry: number;
    bytes: Uint8Array;
    size: number;
  };
  const plain = (s: FixtureSection): Out => ({
    name: s.name,
    type: s.type ?? E.SHT_PROGBITS,
    flags: s.flags ?? 0,
    link: 0,
    info: 0,
    entry: 0,
    bytes: s.bytes ?? new Uint8Array(0),
    size: s.size ?? s.bytes?.length ?? 0,
  });
  const out: Out[] = sections.map(plain);
  // Section numbers start behind the null section.
  const numberOf = (name: string): number => sections.findIndex((s) => s.name === name) + 1;
  const symtab = sections.length + 1;
  const strtab = symtab + 1;

  const table = new Uint8Array((symbols.length + 1) * 24);
  const tv = new DataView(table.buffer);
  symbols.forEach((s, i) => {
    const at = (i + 1) * 24;
    tv.setUint32(at, string(s.name), littleEndian);
    table[at + 4] = ((s.bind ?? 1) << 4) | (s.type ?? E.STT_NOTYPE);
    table[at + 5] = s.visibility ?? 0;
    tv.setUint16(at + 6, s.section === '' ? 0 : numberOf(s.section), littleEndian);
    tv.setBigUint64(at + 8, BigInt(s.value ?? 0), littleEndian);
    tv.setBigUint64(at + 16, BigInt(s.size ?? 0), littleEndian);
  });
  out.push({ ...plain({ name: '.symtab', type: E.SHT_SYMTAB, bytes: table }), link: strtab, info: 1, entry: 24 });
  const strings = plain({ name: '.strtab', type: 3 });
  out.push(strings);
  for (const s of sections) {
    if (s.relocations === undefined) continue;
    const bytes = new Uint8Array(s.relocations.length * 16);
    const rv = new DataView(bytes.buffer);
    s.relocations.forEach((r, i) => {
      const symbol = symbols.findIndex((x) => x.name === r.symbol) + 1;
      rv.setBigUint64(i * 16, BigInt(r.offset), littleEndian);
      rv.setBigUint64(i * 16 + 8, (BigInt(symbol) << 32n) | BigInt(r.type), littleEndian);
    });
    out.push({
      ...plain({ name: `.rel${s.name}`, type: E.SHT_REL, bytes }),
      link: symtab,
      info: numberOf(s.name),
      entry: 16,
    });
  }
  const nameAt = out.map((s) => string(s.name));
  strings.bytes = Uint8Array.from(names);
  strings.size = names.length;

  const placed = out.map((s) => ({ ...s, offset: 0 }));
  let at = 64;
  for (const s of placed) {
    at = (at + 7) & ~7;
    s.offset = at;
    at += s.bytes.length;
  }
  const headers = (at + 7) & ~7;
  const file = new Uint8Array(headers + (placed.length + 1) * 64);
  const dv = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, littleEndian ? 1 : 2, 1]);
  dv.setUint16(16, 1, littleEndian);
  dv.setUint16(18, 247, littleEndian);
  dv.setUint32(20, 1, littleEndian);
  dv.setBigUint64(40, BigInt(headers), littleEndian);
  dv.setUint16(52, 64, littleEndian);
  dv.setUint16(58, 64, littleEndian);
  dv.setUint16(60, placed.length + 1, littleEndian);
  dv.setUint16(62, strtab, littleEndian);
  placed.forEach((s, i) => {
    file.set(s.bytes, s.offset);
    const h = headers + (i + 1) * 64;
    dv.setUint32(h, nameAt[i], littleEndian);
    dv.setUint32(h + 4, s.type, littleEndian);
    dv.setBigUint64(h + 8, BigInt(s.flags), littleEndian);
    dv.setBigUint64(h + 24, BigInt(s.offset), littleEndian);
    dv.setBigUint64(h + 32, BigInt(s.size), littleEndian);
    dv.setUint32(h + 40, s.link, littleEndian);
    dv.setUint32(h + 44, s.info, littleEndian);
    dv.setBigUint64(h + 48, 8n, littleEndian);
    dv.setBigUint64(h + 56, BigInt(s.entry), littleEndian);
  });
  return file;
}
