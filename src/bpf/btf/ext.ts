/**
 * `.BTF.ext` (Documentation/bpf/btf.rst): for every code section which function starts where, which source line an
 * instruction came from, and which instructions want a CO-RE relocation. Offsets are bytes within the code section.
 */
import { LoadError } from '../load-error.ts';
import type { Btf } from './btf.ts';
import { byteOrder } from './check.ts';

export type ExtFunc = { readonly offset: number; readonly typeId: number };
export type ExtLine = {
  readonly offset: number;
  readonly file: number;
  readonly text: number;
  readonly line: number;
  readonly column: number;
};
export type ExtRelo = {
  readonly offset: number;
  readonly typeId: number;
  /** Offset of the access string among the strings of `.BTF`. */
  readonly access: number;
  /** BPF_CORE_*. */
  readonly kind: number;
};

/** The records of each code section, by its name. */
export type BtfExt = {
  readonly funcs: ReadonlyMap<string, readonly ExtFunc[]>;
  readonly lines: ReadonlyMap<string, readonly ExtLine[]>;
  readonly relos: ReadonlyMap<string, readonly ExtRelo[]>;
};

const SECTION = '.BTF.ext';

/** Reads `.BTF.ext`; names in it are strings of `btf`. */
export function parseBtfExt(bytes: Uint8Array, btf: Btf): BtfExt {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (offset: number, problem: string): never => {
    throw new LoadError(SECTION, offset, problem);
  };
  const littleEndian = byteOrder(dv) ?? fail(0, 'the magic number 0xeb9f is not there');
  if (bytes.length < 24) fail(bytes.length, 'ends inside its header');
  const word = (at: number): number => dv.getUint32(at, littleEndian);
  const version = dv.getUint8(2);
  if (version !== 1) fail(2, `version ${version}; 1 is the only one`);
  const headerLen = word(4);
  if (headerLen < 24 || headerLen > bytes.length) fail(4, `header length ${headerLen} is wrong`);

  /** One of the three parts: record size, then for each section its name, a count and the records. */
  function part<T>(at: number, what: string, least: number, read: (at: number) => T): Map<string, T[]> {
    const out = new Map<string, T[]>();
    if (at + 8 > headerLen) return out;
    const start = headerLen + word(at);
    const length = word(at + 4);
    if (length === 0) return out;
    if (start % 4 !== 0) fail(at, `${what} starts at ${start}, which is not a multiple of 4`);
    if (start + length > bytes.length) fail(at, `${what} reaches beyond the end`);
    if (length < 4) fail(start, `${what} ends inside its record size`);
    const end = start + length;
    const size = word(start);
    if (size < least || size % 4 !== 0) fail(start, `${what} has records of ${size} bytes`);
    for (let p = start + 4; p < end; ) {
      if (p + 8 > end) fail(p, `${what} ends inside a section header`);
      const name = word(p);
      const count = word(p + 4);
      if (name >= btf.stringEnd) fail(p, `${what} names a section outside of the strings`);
      if (count === 0 || p + 8 + count * size > end)
        fail(p + 4, `${what} has ${count} records, more than there is room for`);
      const records: T[] = [];
      for (let i = 0; i < count; i++) records.push(read(p + 8 + i * size));
      const section = btf.string(name);
      const known = out.get(section);
      if (known === undefined) out.set(section, records);
      else for (const r of records) known.push(r);
      p += 8 + count * size;
    }
    return out;
  }

  const text = (at: number): number => {
    const offset = word(at);
    return offset < btf.stringEnd
      ? offset
      : fail(at, `a string at ${offset}, outside of the ${btf.stringEnd} bytes there are`);
  };
  const type = (at: number): number => {
    const id = word(at);
    return id < btf.end ? id : fail(at, `refers to type ${id}; there are ${btf.end - 1}`);
  };
  return {
    funcs: part(8, 'func_info', 8, (at) => ({ offset: word(at), typeId: type(at + 4) })),
    lines: part(16, 'line_info', 16, (at) => ({
      offset: word(at),
      file: text(at + 4),
      text: text(at + 8),
      line: word(at + 12) >>> 10,
      column: word(at + 12) & 0x3ff,
    })),
    relos: part(24, 'core_relo', 16, (at) => ({
      offset: word(at),
      typeId: type(at + 4),
      access: text(at + 8),
      kind: word(at + 12),
    })),
  };
}
