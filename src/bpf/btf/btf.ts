/**
 * BTF, the BPF type format (Documentation/bpf/btf.rst): the bytes of a `.BTF` section or of /sys/kernel/btf/vmlinux,
 * checked once, then read in place. Types are numbers as in the file; 0 is void. A split BTF (a module's) continues the
 * numbering and the strings of its base.
 */
import type { BtfFunc, BtfView } from '../program.ts';
import { checkBtf, type RawBtf, readHeader, scanTypes } from './check.ts';
import * as F from './format.ts';
import { funcOf } from './func.ts';

export type BtfMember = {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** Bits of a bit field, 0 for an ordinary member. */
  readonly bitfieldSize: number;
};
export type BtfVar = { readonly type: number; readonly offset: number; readonly size: number };
export type BtfEnumerator = { readonly name: string; readonly value: bigint };
export type BtfNamed = { readonly name: string; readonly type: number };
export type BtfInt = { readonly encoding: number; readonly bitOffset: number; readonly bits: number };
export type BtfArray = { readonly elem: number; readonly index: number; readonly count: number };

export type BtfOptions = {
  /** The BTF that this one continues. */
  readonly base?: Btf;
  /** Name of the section in errors; ".BTF" if not given. */
  readonly section?: string;
};

const utf8 = new TextDecoder();

/** Longer strings are cut here: overlapping ones could otherwise make a small file expensive. */
const MAX_STRING = 1024;

/** Types of one object or kernel. All accessors take a type number that exists; `kind` says which of them mean something. */
export class Btf implements BtfView {
  readonly base: Btf | undefined;
  /** The first type number of its own: 1, or where the base ends. */
  readonly firstId: number;
  /** Type numbers are below this. */
  readonly end: number;
  /** Bytes of all strings, the base's with them. */
  readonly stringEnd: number;
  readonly littleEndian: boolean;
  readonly #dv: DataView;
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #strAt: number;
  readonly #strStart: number;
  readonly #strings: Map<number, string> = new Map();
  #names: Map<string, number[]> | undefined;
  #essential: Map<string, number[]> | undefined;
  #tags: Map<number, { name: string; component: number }[]> | undefined;

  private constructor(raw: RawBtf, offsets: Uint32Array, base: Btf | undefined) {
    this.base = base;
    this.firstId = base?.end ?? 1;
    this.end = this.firstId + offsets.length;
    this.#strStart = base?.stringEnd ?? 0;
    this.stringEnd = this.#strStart + raw.strLen;
    this.littleEndian = raw.littleEndian;
    this.#dv = raw.dv;
    this.#bytes = raw.bytes;
    this.#strAt = raw.strAt;
    this.#offsets = offsets;
  }

  /** Reads and checks BTF; throws LoadError. */
  static parse(bytes: Uint8Array, options: BtfOptions = {}): Btf {
    const raw = readHeader(bytes, options.section ?? '.BTF');
    const { base } = options;
    const btf = new Btf(raw, scanTypes(raw, base?.end ?? 1), base);
    checkBtf(btf, raw, (id) => btf.#offsets[id - btf.firstId]);
    return btf;
  }

  /** The bytes it was read from. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  #at(id: number): number {
    return this.#offsets[id - this.firstId];
  }

  #word(id: number, offset: number): number {
    return this.#dv.getUint32(this.#at(id) + offset, this.littleEndian);
  }

  /** The BTF that holds the type: itself or a base. */
  #own(id: number): Btf {
    return id >= this.firstId || this.base === undefined ? this : this.base.#own(id);
  }

  /** The string at an offset of the string section. */
  string(offset: number): string {
    if (offset < this.#strStart) return this.base!.string(offset);
    const known = this.#strings.get(offset);
    if (known !== undefined) return known;
    const start = this.#strAt + offset - this.#strStart;
    let end = start;
    let ascii = true;
    const limit = Math.min(start + MAX_STRING, this.#strAt + this.stringEnd - this.#strStart);
    while (end < limit && this.#bytes[end] !== 0) ascii = this.#bytes[end++] < 128 && ascii;
    const part = this.#bytes.subarray(start, end);
    const text = ascii ? String.fromCharCode(...part) : utf8.decode(part);
    this.#strings.set(offset, text);
    return text;
  }

  kind(id: number): number {
    const own = this.#own(id);
    return id === 0 ? F.BTF_KIND_UNKN : (own.#word(id, 4) >>> 24) & 31;
  }

  /** Entries: members, enumerators, parameters, variables; the linkage of a function. */
  vlen(id: number): number {
    return id === 0 ? 0 : this.#own(id).#word(id, 4) & 0xffff;
  }

  /** Bit fields in members, signed enumerators, a forward declared union, an attribute tag. */
  kindFlag(id: number): boolean {
    return id !== 0 && this.#own(id).#word(id, 4) >>> 31 === 1;
  }

  /** '' for a type without a name; void has none. */
  name(id: number): string {
    if (id === 0) return '';
    const own = this.#own(id);
    return own.string(own.#word(id, 0));
  }

  /** The type a pointer, typedef, modifier, function, variable or tag refers to. */
  target(id: number): number {
    return this.#own(id).#word(id, 8);
  }

  /** Bytes that the type itself says it has (integers, structs, enums, floats, data sections). */
  #size(id: number): number {
    return this.#own(id).#word(id, 8);
  }

  int(id: number): BtfInt {
    const word = this.#own(id).#word(id, 12);
    return { encoding: (word >>> 24) & 15, bitOffset: (word >>> 16) & 255, bits: word & 255 };
  }

  array(id: number): BtfArray {
    const own = this.#own(id);
    return { elem: own.#word(id, 12), index: own.#word(id, 16), count: own.#word(id, 20) };
  }

  /** Member `i` of a struct or union. */
  member(id: number, i: number): BtfMember {
    const own = this.#own(id);
    const at = 12 + i * 12;
    const place = own.#word(id, at + 8);
    const fields = own.kindFlag(id);
    return {
      name: own.string(own.#word(id, at)),
      type: own.#word(id, at + 4),
      bitOffset: fields ? place & 0xffffff : place,
      bitfieldSize: fields ? place >>> 24 : 0,
    };
  }

  members(id: number): BtfMember[] {
    return Array.from({ length: this.vlen(id) }, (_, i) => this.member(id, i));
  }

  /** Enumerator `i`, of 32 or 64 bits, with its sign. */
  enumerator(id: number, i: number): BtfEnumerator {
    const own = this.#own(id);
    const signed = own.kindFlag(id);
    if (own.kind(id) === F.BTF_KIND_ENUM) {
      const at = 12 + i * 8;
      // Writers before the flag existed meant signed numbers; an unsigned one reads the same below 2^31.
      const value = own.#word(id, at + 4);
      return { name: own.string(own.#word(id, at)), value: BigInt(signed ? value | 0 : value) };
    }
    const at = 12 + i * 12;
    const value = (BigInt(own.#word(id, at + 8)) << 32n) | BigInt(own.#word(id, at + 4));
    return { name: own.string(own.#word(id, at)), value: signed ? BigInt.asIntN(64, value) : value };
  }

  enumerators(id: number): BtfEnumerator[] {
    return Array.from({ length: this.vlen(id) }, (_, i) => this.enumerator(id, i));
  }

  /** Parameters of a FUNC_PROTO; a last one of type 0 without a name means "...". */
  params(id: number): BtfNamed[] {
    const own = this.#own(id);
    return Array.from({ length: own.vlen(id) }, (_, i) => ({
      name: own.string(own.#word(id, 12 + i * 8)),
      type: own.#word(id, 16 + i * 8),
    }));
  }

  /** Variable `i` of a DATASEC; `type` is a VAR (or a FUNC in `.ksyms`). */
  varAt(id: number, i: number): BtfVar {
    const own = this.#own(id);
    const at = 12 + i * 12;
    return { type: own.#word(id, at), offset: own.#word(id, at + 4), size: own.#word(id, at + 8) };
  }

  vars(id: number): BtfVar[] {
    return Array.from({ length: this.vlen(id) }, (_, i) => this.varAt(id, i));
  }

  /** Linkage of a VAR; of a FUNC it is `vlen`. */
  linkage(id: number): number {
    return this.kind(id) === F.BTF_KIND_FUNC ? this.vlen(id) : this.#own(id).#word(id, 12);
  }

  /** Member or parameter that a DECL_TAG is about, -1 for the whole. */
  component(id: number): number {
    return this.#own(id).#word(id, 12) | 0;
  }

  /** The type below const, volatile, restrict and type tags. */
  skipModifiers(id: number): number {
    let at = id;
    while (F.isModifier(this.kind(at))) at = this.target(at);
    return at;
  }

  /** The type below modifiers and typedefs. */
  resolve(id: number): number {
    let at = id;
    for (let kind = this.kind(at); F.isModifier(kind) || kind === F.BTF_KIND_TYPEDEF; kind = this.kind(at))
      at = this.target(at);
    return at;
  }

  /** Bytes of a value of the type; undefined for void, functions and forward declarations. */
  sizeOf(id: number): number | undefined {
    let times = 1;
    for (let at = id; ; ) {
      at = this.resolve(at);
      switch (this.kind(at)) {
        case F.BTF_KIND_INT:
        case F.BTF_KIND_STRUCT:
        case F.BTF_KIND_UNION:
        case F.BTF_KIND_ENUM:
        case F.BTF_KIND_ENUM64:
        case F.BTF_KIND_FLOAT:
        case F.BTF_KIND_DATASEC:
          return times * this.#size(at);
        case F.BTF_KIND_PTR:
          return times * 8;
        case F.BTF_KIND_VAR:
          at = this.target(at);
          break;
        case F.BTF_KIND_ARRAY: {
          const { elem, count } = this.array(at);
          times *= count;
          at = elem;
          break;
        }
        default:
          return undefined;
      }
    }
  }

  #index(key: (name: string) => string): Map<string, number[]> {
    const index = new Map<string, number[]>();
    for (let id = this.firstId; id < this.end; id++) {
      const name = key(this.name(id));
      if (name === '') continue;
      const ids = index.get(name);
      if (ids === undefined) index.set(name, [id]);
      else ids.push(id);
    }
    return index;
  }

  /** All types of that name, the base's first, in order. */
  named(name: string): readonly number[] {
    this.#names ??= this.#index((n) => n);
    const own = this.#names.get(name) ?? [];
    return this.base === undefined ? own : [...this.base.named(name), ...own];
  }

  /** The types whose name without its flavour (`___suffix`) is this one. */
  flavours(essential: string): readonly number[] {
    this.#essential ??= this.#index(essentialName);
    const own = this.#essential.get(essential) ?? [];
    return this.base === undefined ? own : [...this.base.flavours(essential), ...own];
  }

  /** The first type of that name and kind (any kind if not given), 0 for none. */
  find(name: string, kind?: number): number {
    return this.named(name).find((id) => kind === undefined || this.kind(id) === kind) ?? 0;
  }

  /** Declaration tags of a type: their text and the component they are about. */
  tags(id: number): readonly { readonly name: string; readonly component: number }[] {
    if (this.#tags === undefined) {
      this.#tags = new Map();
      for (let tag = this.firstId; tag < this.end; tag++) {
        if (this.kind(tag) !== F.BTF_KIND_DECL_TAG) continue;
        const about = this.target(tag);
        const list = this.#tags.get(about) ?? [];
        list.push({ name: this.name(tag), component: this.component(tag) });
        this.#tags.set(about, list);
      }
    }
    const own = this.#tags.get(id) ?? [];
    return id < this.firstId && this.base !== undefined ? [...this.base.tags(id), ...own] : own;
  }

  /** For the loader: what only the ELF file knows of a DATASEC, its size and where its variables lie. */
  setVars(id: number, size: number, vars: readonly BtfVar[]): void {
    const at = this.#at(id);
    this.#dv.setUint32(at + 8, size, this.littleEndian);
    vars.forEach((v, i) => {
      [v.type, v.offset, v.size].forEach((word, j) => {
        this.#dv.setUint32(at + 12 + i * 12 + j * 4, word, this.littleEndian);
      });
    });
  }

  /** For the loader: a hidden function counts as static. */
  setStatic(funcId: number): void {
    const at = this.#at(funcId) + 4;
    this.#dv.setUint32(at, (this.#dv.getUint32(at, this.littleEndian) & ~0xffff) >>> 0, this.littleEndian);
  }

  func(typeId: number): BtfFunc | undefined {
    if (typeId <= 0 || typeId >= this.end || this.kind(typeId) !== F.BTF_KIND_FUNC) return undefined;
    return funcOf(this, typeId);
  }
}

/** The name without a flavour: what stands before the last `___` that has something before it. */
export function essentialName(name: string): string {
  for (let i = name.length - 5; i >= 0; i--) {
    if (name[i] !== '_' && name.startsWith('___', i + 1) && name[i + 4] !== '_') return name.slice(0, i + 1);
  }
  return name;
}
