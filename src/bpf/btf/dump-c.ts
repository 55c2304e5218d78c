/**
 * BTF as C, in the way of `bpftool btf dump format c`: every named type once, after those it contains; structs that are
 * only pointed to are declared first. Members that do not lie where a compiler would put them are padded or packed.
 */
import type { Btf } from './btf.ts';
import * as F from './format.ts';

const TAG_WORDS: Readonly<Record<number, string>> = {
  [F.BTF_KIND_STRUCT]: 'struct',
  [F.BTF_KIND_UNION]: 'union',
  [F.BTF_KIND_ENUM]: 'enum',
  [F.BTF_KIND_ENUM64]: 'enum',
};

/** Steps through types by value, pointer and prototype: deeper ones stay unprinted. */
const MAX_DEPTH = 500;

/** The C declarations of these types and all they need; of all types of `btf` itself if none are given. */
export function dumpC(btf: Btf, roots?: readonly number[]): string {
  const dumper = new Dumper(btf);
  if (roots !== undefined) for (const id of roots) dumper.define(id);
  else for (let id = btf.firstId; id < btf.end; id++) dumper.define(id);
  return dumper.text();
}

/** One type as it would be written in C: "struct sk_buff *", "u8 [6]". */
export const typeName = (btf: Btf, id: number): string => new Dumper(btf).declaration(id, '').trim();

type Layout = { readonly align: number; readonly packed: boolean };

type Defined = 'begun' | 'done';

class Dumper {
  readonly #btf: Btf;
  readonly #out: string[] = [];
  readonly #state: Map<number, Defined> = new Map();
  /** Structs that have been named before their definition. */
  readonly #declared: Set<number> = new Set();
  readonly #layouts: Map<number, Layout> = new Map();
  readonly #names: Map<number, string> = new Map();
  /** How often a name was given, in C's two spaces of names: tags and the rest. */
  readonly #taken: Map<string, number> = new Map();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  text(): string {
    return this.#out.length === 0 ? '' : `${this.#out.join('\n\n')}\n`;
  }

  /** Two types of one name: the second is `name___2`. */
  #name(id: number): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = this.#btf.name(id);
    const unique = this.#unique(this.#btf.kind(id) === F.BTF_KIND_TYPEDEF ? 'name' : 'tag', name);
    this.#names.set(id, unique);
    return unique;
  }

  #unique(space: string, name: string): string {
    const count = (this.#taken.get(`${space} ${name}`) ?? 0) + 1;
    this.#taken.set(`${space} ${name}`, count);
    return count === 1 ? name : `${name}___${count}`;
  }

  /** Writes a type's definition, if it has one, behind what it needs. */
  define(id: number): void {
    const kind = this.#btf.kind(id);
    if (F.isComposite(kind) || F.isAnyEnum(kind)) {
      if (this.#btf.name(id) !== '' || F.isAnyEnum(kind)) this.#need(id, true, 0);
    } else if (kind === F.BTF_KIND_TYPEDEF || kind === F.BTF_KIND_FWD) this.#need(id, true, 0);
  }

  /** Makes sure that a type can be used: whole, or (behind a pointer) by its name. */
  #need(id: number, whole: boolean, depth: number): void {
    if (depth > MAX_DEPTH || id === 0) return;
    const btf = this.#btf;
    switch (btf.kind(id)) {
      case F.BTF_KIND_PTR:
        this.#need(btf.target(id), false, depth + 1);
        return;
      case F.BTF_KIND_CONST:
      case F.BTF_KIND_VOLATILE:
      case F.BTF_KIND_RESTRICT:
      case F.BTF_KIND_TYPE_TAG:
        this.#need(btf.target(id), whole, depth + 1);
        return;
      case F.BTF_KIND_ARRAY:
        this.#need(btf.array(id).elem, true, depth + 1);
        return;
      case F.BTF_KIND_FUNC_PROTO:
        this.#need(btf.target(id), false, depth + 1);
        for (const p of btf.params(id)) this.#need(p.type, false, depth + 1);
        return;
      case F.BTF_KIND_TYPEDEF: {
        if (whole) this.#need(btf.target(id), true, depth + 1);
        if (this.#state.has(id)) return;
        this.#state.set(id, 'begun');
        this.#need(btf.target(id), whole, depth + 1);
        // The compiler's own.
        if (btf.name(id) === '__builtin_va_list') return;
        this.#out.push(`typedef ${this.declaration(btf.target(id), this.#name(id))};`);
        this.#state.set(id, 'done');
        return;
      }
      case F.BTF_KIND_FWD:
        if (!this.#state.has(id)) this.#out.push(`${btf.kindFlag(id) ? 'union' : 'struct'} ${this.#name(id)};`);
        this.#state.set(id, 'done');
        return;
      case F.BTF_KIND_ENUM:
      case F.BTF_KIND_ENUM64:
        if (this.#state.has(id)) return;
        this.#state.set(id, 'done');
        // One without a name is written where it is used, if it is.
        if (btf.name(id) !== '') this.#out.push(`${this.#enumBody(id, '')};`);
        return;
      case F.BTF_KIND_STRUCT:
      case F.BTF_KIND_UNION:
        this.#needComposite(id, whole, depth);
        return;
    }
  }

  #needComposite(id: number, whole: boolean, depth: number): void {
    const btf = this.#btf;
    const state = this.#state.get(id);
    if (btf.name(id) === '') {
      if (state !== undefined) return;
      this.#state.set(id, 'done');
      for (const m of btf.members(id)) this.#need(m.type, true, depth + 1);
      return;
    }
    if (!whole) {
      if (state !== 'done' && !this.#declared.has(id)) {
        this.#declared.add(id);
        this.#out.push(`${TAG_WORDS[btf.kind(id)]} ${this.#name(id)};`);
      }
      return;
    }
    if (state !== undefined) return;
    this.#state.set(id, 'begun');
    for (const m of btf.members(id)) this.#need(m.type, true, depth + 1);
    this.#out.push(`${this.#structBody(id, '')};`);
    this.#state.set(id, 'done');
  }

  #enumBody(id: number, indent: string): string {
    const btf = this.#btf;
    const name = btf.name(id) === '' ? '' : ` ${this.#name(id)}`;
    const wide = btf.kind(id) === F.BTF_KIND_ENUM64;
    const lines = btf.enumerators(id).map((e) => {
      const suffix = wide ? (btf.kindFlag(id) ? 'LL' : 'ULL') : '';
      return `${indent}\t${this.#unique('name', e.name)} = ${e.value}${suffix},\n`;
    });
    if (lines.length === 0) return `enum${name}`;
    const size = btf.sizeOf(id);
    const mode = !wide && size !== undefined && size < 4 ? ` __attribute__((mode(${size === 1 ? 'byte' : 'HI'})))` : '';
    return `enum${name} {\n${lines.join('')}${indent}}${mode}`;
  }

  #structBody(id: number, indent: string): string {
    const btf = this.#btf;
    const word = TAG_WORDS[btf.kind(id)];
    const name = btf.name(id) === '' ? '' : ` ${this.#name(id)}`;
    const union = btf.kind(id) === F.BTF_KIND_UNION;
    const members = btf.members(id);
    const size = btf.sizeOf(id) ?? 0;
    const packed = this.#isPacked(id);
    const lines: string[] = [];
    let at = 0;
    for (const m of members) {
      const align = packed ? 1 : this.#align(m.type);
      const bits = m.bitfieldSize;
      if (!union) {
        const natural = bits > 0 ? at : Math.ceil(at / (align * 8)) * align * 8;
        if (m.bitOffset > natural) lines.push(...padding(at, m.bitOffset, indent));
      }
      lines.push(`${indent}\t${this.declaration(m.type, m.name, `${indent}\t`)}${bits > 0 ? `: ${bits}` : ''};\n`);
      at = m.bitOffset + (bits || (btf.sizeOf(m.type) ?? 0) * 8);
    }
    const natural = Math.ceil(at / ((packed ? 1 : this.#align(id)) * 8)) * (packed ? 1 : this.#align(id));
    if (!union && size > natural) lines.push(...padding(at, size * 8, indent));
    const end = packed ? ' __attribute__((packed))' : '';
    return lines.length === 0 ? `${word}${name} {}${end}` : `${word}${name} {\n${lines.join('')}${indent}}${end}`;
  }

  /** Alignment of a type on 64-bit machines; 1 for a packed struct. */
  #align(type: number): number {
    const btf = this.#btf;
    const id = btf.resolve(type);
    switch (btf.kind(id)) {
      case F.BTF_KIND_ARRAY:
        return this.#align(btf.array(id).elem);
      case F.BTF_KIND_STRUCT:
      case F.BTF_KIND_UNION:
        return this.#isPacked(id) ? 1 : this.#layout(id).align;
      default:
        return Math.max(1, Math.min(16, btf.sizeOf(id) ?? 1));
    }
  }

  /** Does some member, or the end, lie where only a packed struct has it? */
  #isPacked(id: number): boolean {
    return this.#layout(id).packed;
  }

  #layout(id: number): Layout {
    const known = this.#layouts.get(id);
    if (known !== undefined) return known;
    const btf = this.#btf;
    let align = 1;
    let packed = false;
    for (const m of btf.members(id)) {
      const own = this.#align(m.type);
      align = Math.max(align, own);
      if (m.bitfieldSize === 0 && m.bitOffset % (own * 8) !== 0) packed = true;
    }
    if ((btf.sizeOf(id) ?? 0) % align !== 0) packed = true;
    const layout = { align, packed };
    this.#layouts.set(id, layout);
    return layout;
  }

  /** A declaration of `inner` (a name, or nothing) with this type. */
  declaration(id: number, inner: string, indent = '', depth = 0): string {
    const btf = this.#btf;
    const named = (word: string): string => (inner === '' ? word : `${word} ${inner}`);
    if (id === 0) return named('void');
    if (depth > MAX_DEPTH) return named('/* nested too deep */ void');
    const kind = btf.kind(id);
    switch (kind) {
      case F.BTF_KIND_PTR: {
        const to = btf.target(id);
        const below = btf.kind(btf.skipModifiers(to));
        const star = `*${inner}`;
        const wrapped = below === F.BTF_KIND_ARRAY || below === F.BTF_KIND_FUNC_PROTO ? `(${star})` : star;
        return this.declaration(to, wrapped, indent, depth + 1);
      }
      case F.BTF_KIND_CONST:
      case F.BTF_KIND_VOLATILE:
      case F.BTF_KIND_RESTRICT: {
        const word = F.BTF_KIND_NAMES[kind].toLowerCase();
        const to = btf.target(id);
        if (btf.kind(to) === F.BTF_KIND_PTR)
          return this.declaration(to, inner === '' ? ` ${word}` : ` ${word} ${inner}`, indent, depth + 1);
        return `${word} ${this.declaration(to, inner, indent, depth + 1)}`;
      }
      case F.BTF_KIND_TYPE_TAG:
        return this.declaration(btf.target(id), inner, indent, depth + 1);
      case F.BTF_KIND_ARRAY: {
        const { elem, count } = btf.array(id);
        return this.declaration(elem, `${inner}[${count}]`, indent, depth + 1);
      }
      case F.BTF_KIND_FUNC_PROTO: {
        const params = btf
          .params(id)
          .map((p) => (p.type === 0 ? '...' : this.declaration(p.type, p.name, indent, depth + 1)));
        return this.declaration(btf.target(id), `${inner}(${params.join(', ') || 'void'})`, indent, depth + 1);
      }
      case F.BTF_KIND_STRUCT:
      case F.BTF_KIND_UNION:
        return named(btf.name(id) === '' ? this.#structBody(id, indent) : `${TAG_WORDS[kind]} ${this.#name(id)}`);
      case F.BTF_KIND_ENUM:
      case F.BTF_KIND_ENUM64:
        return named(btf.name(id) === '' ? this.#enumBody(id, indent) : `enum ${this.#name(id)}`);
      case F.BTF_KIND_FWD:
        return named(`${btf.kindFlag(id) ? 'union' : 'struct'} ${this.#name(id)}`);
      case F.BTF_KIND_TYPEDEF:
        return named(this.#name(id));
      default:
        return named(btf.name(id));
    }
  }
}

/** Bytes and bits that no member names. */
function padding(from: number, to: number, indent: string): string[] {
  const lines: string[] = [];
  const whole = Math.min(Math.ceil(from / 8) * 8, to);
  if (whole > from) lines.push(`${indent}\tunsigned char: ${whole - from};\n`);
  const bytes = Math.floor((to - whole) / 8);
  if (bytes > 0) lines.push(`${indent}\tunsigned char __pad_${whole / 8}[${bytes}];\n`);
  const bits = to - whole - bytes * 8;
  if (bits > 0) lines.push(`${indent}\tunsigned char: ${bits};\n`);
  return lines;
}
