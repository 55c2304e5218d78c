/**
 * Writes BTF (Documentation/bpf/btf.rst): for netloom's own types, which are given as tables, and for tests.
 *
 *     const b = new BtfBuilder();
 *     const u32 = b.int('unsigned int', 4);
 *     b.struct('xdp_md', 8, [{ name: 'data', type: u32, bitOffset: 0 }, { name: 'data_end', type: u32, bitOffset: 32 }]);
 *     const btf = b.build();
 */
import { Btf } from './btf.ts';
import * as F from './format.ts';

export type MemberSpec = {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  readonly bitfieldSize?: number;
};

export type EnumSpec = { readonly name: string; readonly value: bigint | number };

const utf8 = new TextEncoder();

/** Adds types one by one; each method returns the number of the new type. */
export class BtfBuilder {
  readonly #base: Btf | undefined;
  readonly #types: number[][] = [];
  readonly #strings: Map<string, number> = new Map();
  readonly #text: Uint8Array[] = [];
  #strLen = 0;

  /** With a base, types and strings continue it (a split BTF). */
  constructor(base?: Btf) {
    this.#base = base;
    if (base === undefined) this.#string('');
  }

  #string(text: string): number {
    if (text === '' && this.#base !== undefined) return 0;
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const bytes = utf8.encode(`${text}\0`);
    const offset = (this.#base?.stringEnd ?? 0) + this.#strLen;
    this.#text.push(bytes);
    this.#strLen += bytes.length;
    this.#strings.set(text, offset);
    return offset;
  }

  /** The number that the next type gets. */
  get next(): number {
    return (this.#base?.end ?? 1) + this.#types.length;
  }

  #add(name: string, kind: number, vlen: number, word: number, extra: readonly number[] = [], flag = false): number {
    const id = this.next;
    const info = ((flag ? 0x80000000 : 0) | (kind << 24) | vlen) >>> 0;
    this.#types.push([this.#string(name), info, word, ...extra]);
    return id;
  }

  int(name: string, size: number, encoding = 0, bits: number = size * 8, bitOffset = 0): number {
    return this.#add(name, F.BTF_KIND_INT, 0, size, [(encoding << 24) | (bitOffset << 16) | bits]);
  }

  float(name: string, size: number): number {
    return this.#add(name, F.BTF_KIND_FLOAT, 0, size);
  }

  ptr(type: number): number {
    return this.#add('', F.BTF_KIND_PTR, 0, type);
  }

  array(elem: number, count: number, index: number = elem): number {
    return this.#add('', F.BTF_KIND_ARRAY, 0, 0, [elem, index, count]);
  }

  struct(name: string, size: number, members: readonly MemberSpec[]): number {
    return this.#composite(F.BTF_KIND_STRUCT, name, size, members);
  }

  union(name: string, size: number, members: readonly MemberSpec[]): number {
    return this.#composite(F.BTF_KIND_UNION, name, size, members);
  }

  #composite(kind: number, name: string, size: number, members: readonly MemberSpec[]): number {
    const fields = members.some((m) => (m.bitfieldSize ?? 0) > 0);
    const extra = members.flatMap((m) => [
      this.#string(m.name),
      m.type,
      fields ? ((m.bitfieldSize ?? 0) << 24) | m.bitOffset : m.bitOffset,
    ]);
    return this.#add(name, kind, members.length, size, extra, fields);
  }

  enum(name: string, values: readonly EnumSpec[], signed = false, size = 4): number {
    const extra = values.flatMap((v) => [this.#string(v.name), Number(BigInt.asUintN(32, BigInt(v.value)))]);
    return this.#add(name, F.BTF_KIND_ENUM, values.length, size, extra, signed);
  }

  enum64(name: string, values: readonly EnumSpec[], signed = false): number {
    const extra = values.flatMap((v) => {
      const value = BigInt.asUintN(64, BigInt(v.value));
      return [this.#string(v.name), Number(value & 0xffffffffn), Number(value >> 32n)];
    });
    return this.#add(name, F.BTF_KIND_ENUM64, values.length, 8, extra, signed);
  }

  /** A struct (or union) that is only named. */
  fwd(name: string, union = false): number {
    return this.#add(name, F.BTF_KIND_FWD, 0, 0, [], union);
  }

  typedef(name: string, type: number): number {
    return this.#add(name, F.BTF_KIND_TYPEDEF, 0, type);
  }

  const(type: number): number {
    return this.#add('', F.BTF_KIND_CONST, 0, type);
  }

  volatile(type: number): number {
    return this.#add('', F.BTF_KIND_VOLATILE, 0, type);
  }

  restrict(type: number): number {
    return this.#add('', F.BTF_KIND_RESTRICT, 0, type);
  }

  typeTag(name: string, type: number): number {
    return this.#add(name, F.BTF_KIND_TYPE_TAG, 0, type);
  }

  declTag(name: string, type: number, component = -1): number {
    return this.#add(name, F.BTF_KIND_DECL_TAG, 0, type, [component]);
  }

  funcProto(returns: number, params: readonly { readonly name: string; readonly type: number }[]): number {
    const extra = params.flatMap((p) => [this.#string(p.name), p.type]);
    return this.#add('', F.BTF_KIND_FUNC_PROTO, params.length, returns, extra);
  }

  /** `linkage`: BTF_FUNC_STATIC, BTF_FUNC_GLOBAL or BTF_FUNC_EXTERN. */
  func(name: string, proto: number, linkage: number = F.BTF_FUNC_GLOBAL): number {
    return this.#add(name, F.BTF_KIND_FUNC, linkage, proto);
  }

  var(name: string, type: number, linkage: number = F.BTF_VAR_GLOBAL_ALLOCATED): number {
    return this.#add(name, F.BTF_KIND_VAR, 0, type, [linkage]);
  }

  datasec(
    name: string,
    size: number,
    vars: readonly { readonly type: number; readonly offset: number; readonly size: number }[],
  ): number {
    const extra = vars.flatMap((v) => [v.type, v.offset, v.size]);
    return this.#add(name, F.BTF_KIND_DATASEC, vars.length, size, extra);
  }

  /** The blob, in this byte order. */
  bytes(littleEndian = true): Uint8Array {
    const typeLen = this.#types.reduce((sum, t) => sum + t.length * 4, 0);
    const out = new Uint8Array(F.BTF_HEADER_LEN + typeLen + this.#strLen);
    const dv = new DataView(out.buffer);
    dv.setUint16(0, F.BTF_MAGIC, littleEndian);
    dv.setUint8(2, F.BTF_VERSION);
    const header = [F.BTF_HEADER_LEN, 0, typeLen, typeLen, this.#strLen];
    header.forEach((word, i) => {
      dv.setUint32(4 + i * 4, word, littleEndian);
    });
    let at = F.BTF_HEADER_LEN;
    for (const words of this.#types) {
      for (const word of words) {
        dv.setUint32(at, word >>> 0, littleEndian);
        at += 4;
      }
    }
    for (const text of this.#text) {
      out.set(text, at);
      at += text.length;
    }
    return out;
  }

  /** Writes and reads it back. */
  build(): Btf {
    return Btf.parse(this.bytes(), { base: this.#base });
  }
}
