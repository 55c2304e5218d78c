/**
 * Struct tables written as C declarations, laid out as a 64-bit C compiler lays them out (System V ABI, x86-64 and arm64).
 *
 *     layout(text, known)   'u32 len; be16 protocol; struct net_device *dev; char cb[48]'
 */

/** A type as declared. */
export type TypeRef =
  | { readonly kind: 'int'; readonly name: string; readonly size: number; readonly signed: boolean }
  | { readonly kind: 'enum'; readonly name: string }
  | { readonly kind: 'struct'; readonly name: string }
  /** `to` is undefined for void. */
  | { readonly kind: 'pointer'; readonly to: TypeRef | undefined };

export type Member = {
  readonly name: string;
  readonly type: TypeRef;
  /** Elements of an array; 0 for no array. */
  readonly count: number;
  readonly offset: number;
  /** Bytes of the whole member. */
  readonly size: number;
};

export type StructLayout = {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly members: readonly Member[];
};

/** Integer types by their name here, with the name that BTF gives them. */
export const INTEGERS: Readonly<Record<string, readonly [btf: string, size: number, signed: boolean]>> = {
  bool: ['_Bool', 1, false],
  char: ['char', 1, true],
  u8: ['unsigned char', 1, false],
  u16: ['unsigned short', 2, false],
  be16: ['unsigned short', 2, false],
  s32: ['int', 4, true],
  int: ['int', 4, true],
  u32: ['unsigned int', 4, false],
  be32: ['unsigned int', 4, false],
  s64: ['long long', 8, true],
  u64: ['unsigned long long', 8, false],
  ulong: ['unsigned long', 8, false],
};

export const POINTER_SIZE = 8;

const DECLARATION = /^(?:(struct|enum) )?(\w+) (\**)(\w+)(?:\[(\d+)\])?$/;

/** Reads one declaration: type, name, array length (0 for none). */
export function declaration(text: string): { readonly name: string; readonly type: TypeRef; readonly count: number } {
  const parts = DECLARATION.exec(text.trim());
  if (parts === null) throw new SyntaxError(`no declaration: ${text}`);
  const [, tag, word, stars, name, count] = parts;
  let type: TypeRef | undefined;
  if (tag === 'struct' || tag === 'enum') type = { kind: tag, name: word };
  else if (word !== 'void') {
    const integer = INTEGERS[word];
    if (integer === undefined) throw new SyntaxError(`no type ${word}: ${text}`);
    type = { kind: 'int', name: word, size: integer[1], signed: integer[2] };
  }
  for (let i = 0; i < stars.length; i++) type = { kind: 'pointer', to: type };
  if (type === undefined) throw new SyntaxError(`void is no object: ${text}`);
  return { name, type, count: count === undefined ? 0 : Number(count) };
}

/** Lays out the members declared in `text`, separated by semicolons. */
export function layout(name: string, text: string, known: (struct: string) => StructLayout): StructLayout {
  let at = 0;
  let align = 1;
  const members: Member[] = [];
  for (const line of text.split(';')) {
    if (line.trim() === '') continue;
    const { name: member, type, count } = declaration(line);
    const [size, alignment] = measure(type, known);
    at = Math.ceil(at / alignment) * alignment;
    const bytes = size * Math.max(1, count);
    members.push({ name: member, type, count, offset: at, size: bytes });
    at += bytes;
    align = Math.max(align, alignment);
  }
  return { name, size: Math.ceil(at / align) * align, align, members };
}

/** Size and alignment of one object of the type. */
function measure(type: TypeRef, known: (struct: string) => StructLayout): readonly [size: number, align: number] {
  switch (type.kind) {
    case 'int':
      return [type.size, type.size];
    case 'enum':
      return [4, 4];
    case 'pointer':
      return [POINTER_SIZE, POINTER_SIZE];
    case 'struct': {
      const inner = known(type.name);
      return [inner.size, inner.align];
    }
  }
}
