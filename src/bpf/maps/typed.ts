/**
 * Map keys and values by their BTF: bytes to values as `bpftool map dump` prints them, and JSON back to bytes.
 */
import type { Btf } from '../btf/btf.ts';
import * as k from '../btf/format.ts';

/** A value with a type. `hex`: a bit field, or an integer of 128 bits; `pointer` too is hexadecimal in plain output. */
export type Typed =
  | { readonly kind: 'number'; readonly value: bigint | number }
  | { readonly kind: 'hex' | 'pointer'; readonly value: bigint }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'list'; readonly items: readonly Typed[] }
  | { readonly kind: 'struct'; readonly members: readonly (readonly [name: string, value: Typed])[] }
  | { readonly kind: 'null' };

/** A text that cannot be a value of the type. */
export class TypedError extends Error {}

/** Types nest no deeper than this in one value. */
const MAX_DEPTH = 32;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** `bits` bits from bit `from` on, little endian; bytes outside are 0. */
function readBits(bytes: Uint8Array, from: number, bits: number): bigint {
  let value = 0n;
  for (let i = (from + bits - 1) >> 3; i >= from >> 3; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return (value >> BigInt(from & 7)) & ((1n << BigInt(bits)) - 1n);
}

function writeBits(bytes: Uint8Array, from: number, bits: number, value: bigint): void {
  for (let i = 0; i < bits; i++) {
    const at = from + i;
    if (at >> 3 >= bytes.length) return;
    const bit = Number((value >> BigInt(i)) & 1n);
    bytes[at >> 3] = (bytes[at >> 3] & ~(1 << (at & 7))) | (bit << (at & 7));
  }
}

const isPrintable = (code: number): boolean => code >= 32 && code < 127;

/** The text in a char array: printable up to the first NUL, and only NULs from there. */
function textOf(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  if (end <= 0 || !bytes.subarray(0, end).every(isPrintable) || bytes.subarray(end).some((code) => code !== 0))
    return undefined;
  return String.fromCharCode(...bytes.subarray(0, end));
}

function isChar(btf: Btf, typeId: number): boolean {
  const id = btf.resolve(typeId);
  return btf.kind(id) === k.BTF_KIND_INT && btf.sizeOf(id) === 1 && btf.name(id) === 'char';
}

function readInt(btf: Btf, id: number, bytes: Uint8Array, bit: number): Typed {
  const { encoding, bits } = btf.int(id);
  const raw = readBits(bytes, bit, bits);
  if ((encoding & k.BTF_INT_BOOL) !== 0) return { kind: 'bool', value: raw !== 0n };
  if (bits > 64) return { kind: 'hex', value: raw };
  if (isChar(btf, id) && isPrintable(Number(raw))) return { kind: 'text', value: String.fromCharCode(Number(raw)) };
  return { kind: 'number', value: (encoding & k.BTF_INT_SIGNED) !== 0 ? BigInt.asIntN(bits, raw) : raw };
}

/** The value of a type in `bytes`, beginning at bit `bit`. */
export function readTyped(btf: Btf, typeId: number, bytes: Uint8Array, bit = 0, depth = 0): Typed {
  const id = btf.resolve(typeId);
  const at = bit >> 3;
  if (depth > MAX_DEPTH) return { kind: 'null' };
  switch (btf.kind(id)) {
    case k.BTF_KIND_INT:
      return readInt(btf, id, bytes, bit);
    case k.BTF_KIND_PTR:
      return { kind: 'pointer', value: readBits(bytes, bit, 64) };
    case k.BTF_KIND_ENUM:
    case k.BTF_KIND_ENUM64: {
      const bits = (btf.sizeOf(id) ?? 4) * 8;
      const raw = readBits(bytes, bit, bits);
      const found = btf.enumerators(id).find((e) => BigInt.asUintN(bits, e.value) === raw);
      return found ? { kind: 'text', value: found.name } : { kind: 'number', value: BigInt.asIntN(bits, raw) };
    }
    case k.BTF_KIND_FLOAT: {
      const size = btf.sizeOf(id) ?? 0;
      if (at + size > bytes.length || (size !== 4 && size !== 8)) return { kind: 'null' };
      const value = size === 4 ? view(bytes).getFloat32(at, true) : view(bytes).getFloat64(at, true);
      return Number.isFinite(value) ? { kind: 'number', value } : { kind: 'null' };
    }
    case k.BTF_KIND_ARRAY:
      return readArray(btf, id, bytes, bit, depth);
    case k.BTF_KIND_STRUCT:
    case k.BTF_KIND_UNION:
      return {
        kind: 'struct',
        members: btf.members(id).map((m) => {
          const from = bit + m.bitOffset;
          const value: Typed =
            m.bitfieldSize > 0
              ? { kind: 'hex', value: readBits(bytes, from, m.bitfieldSize) }
              : readTyped(btf, m.type, bytes, from, depth + 1);
          return [m.name, value];
        }),
      };
    case k.BTF_KIND_VAR:
      return { kind: 'struct', members: [[btf.name(id), readTyped(btf, btf.target(id), bytes, bit, depth + 1)]] };
    case k.BTF_KIND_DATASEC: {
      const items = btf.vars(id).map((v) => readTyped(btf, v.type, bytes, bit + v.offset * 8, depth + 1));
      return { kind: 'struct', members: [[btf.name(id), { kind: 'list', items }]] };
    }
    default:
      return { kind: 'null' };
  }
}

function readArray(btf: Btf, id: number, bytes: Uint8Array, bit: number, depth: number): Typed {
  const { elem, count } = btf.array(id);
  const size = btf.sizeOf(elem) ?? 0;
  const at = bit >> 3;
  if (isChar(btf, elem)) {
    const text = textOf(bytes.subarray(at, at + count));
    if (text !== undefined) return { kind: 'text', value: text };
  }
  const items: Typed[] = [];
  for (let i = 0; i < count && at + (i + 1) * size <= bytes.length && size > 0; i++)
    items.push(readTyped(btf, elem, bytes, bit + i * size * 8, depth + 1));
  return { kind: 'list', items };
}

/** Bytes of a value of the type, written as JSON: numbers (or text of them), enumerators by name, text for char arrays. */
export function writeTyped(btf: Btf, typeId: number, json: unknown): Uint8Array {
  const bytes = new Uint8Array(btf.sizeOf(typeId) ?? 0);
  put(btf, typeId, bytes, 0, json, '');
  return bytes;
}

function put(btf: Btf, typeId: number, bytes: Uint8Array, bit: number, json: unknown, path: string): void {
  const id = btf.resolve(typeId);
  const fail = (what: string): never => {
    throw new TypedError(`${path === '' ? 'value' : path}: ${what}`);
  };
  switch (btf.kind(id)) {
    case k.BTF_KIND_INT: {
      const { bits } = btf.int(id);
      const char = isChar(btf, id) && typeof json === 'string' && json.length === 1 && !/[0-9]/.test(json);
      writeBits(bytes, bit, bits, char ? BigInt((json as string).charCodeAt(0)) : numberOf(json, bits, fail));
      return;
    }
    case k.BTF_KIND_PTR:
      writeBits(bytes, bit, 64, numberOf(json, 64, fail));
      return;
    case k.BTF_KIND_ENUM:
    case k.BTF_KIND_ENUM64: {
      const bits = (btf.sizeOf(id) ?? 4) * 8;
      const named = btf.enumerators(id).find((e) => e.name === json);
      writeBits(bytes, bit, bits, named?.value ?? numberOf(json, bits, fail));
      return;
    }
    case k.BTF_KIND_FLOAT: {
      if (typeof json !== 'number') return fail('a number is wanted');
      if (btf.sizeOf(id) === 4) view(bytes).setFloat32(bit >> 3, json, true);
      else if (btf.sizeOf(id) === 8) view(bytes).setFloat64(bit >> 3, json, true);
      else fail('netloom does not support floats of this size');
      return;
    }
    case k.BTF_KIND_ARRAY: {
      const { elem, count } = btf.array(id);
      const size = btf.sizeOf(elem) ?? 0;
      if (typeof json === 'string' && isChar(btf, elem)) {
        if (json.length > count) fail(`the text is longer than ${count} bytes`);
        for (let i = 0; i < json.length; i++) bytes[(bit >> 3) + i] = json.charCodeAt(i);
        return;
      }
      if (!Array.isArray(json) || json.length > count) return fail(`a list of up to ${count} is wanted`);
      for (const [i, item] of json.entries()) put(btf, elem, bytes, bit + i * size * 8, item, `${path}[${i}]`);
      return;
    }
    case k.BTF_KIND_STRUCT:
    case k.BTF_KIND_UNION:
      putMembers(btf, id, bytes, bit, json, path, fail);
      return;
    default:
      fail('netloom does not support values of this type');
  }
}

function putMembers(
  btf: Btf,
  id: number,
  bytes: Uint8Array,
  bit: number,
  json: unknown,
  path: string,
  fail: (what: string) => never,
): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return fail('an object is wanted');
  const members = btf.members(id);
  for (const [name, value] of Object.entries(json)) {
    const member = members.find((m) => m.name === name);
    // A member of an anonymous struct may be named as in C.
    const outer =
      member ?? members.find((m) => m.name === '' && btf.members(btf.resolve(m.type)).some((x) => x.name === name));
    if (outer === undefined) return fail(`there is no member '${name}'`);
    const from = bit + outer.bitOffset;
    const below = path === '' ? name : `${path}.${name}`;
    if (outer.bitfieldSize > 0) writeBits(bytes, from, outer.bitfieldSize, numberOf(value, outer.bitfieldSize, fail));
    else put(btf, outer.type, bytes, from, member === undefined ? { [name]: value } : value, below);
  }
}

function numberOf(json: unknown, bits: number, fail: (what: string) => never): bigint {
  let value: bigint;
  if (typeof json === 'boolean') value = json ? 1n : 0n;
  else if (typeof json === 'number' && Number.isInteger(json)) value = BigInt(json);
  else if (typeof json === 'string' && /^-?(0x[0-9a-f]+|[0-9]+)$/i.test(json))
    value = json.startsWith('-') ? -BigInt(json.slice(1)) : BigInt(json);
  else return fail('an integer is wanted');
  if (value >= 1n << BigInt(bits) || value < -(1n << BigInt(bits - 1))) return fail(`does not fit in ${bits} bits`);
  return value;
}

/** As JSON text. `plain`: as in bpftool's output for people, where bit fields and pointers are bare hexadecimal. */
export function typedText(value: Typed, plain: boolean, depth: number, pretty: boolean): string {
  switch (value.kind) {
    case 'number':
      return String(value.value);
    case 'hex':
      return plain ? `0x${value.value.toString(16)}` : `"0x${value.value.toString(16)}"`;
    case 'pointer':
      return plain ? `0x${value.value.toString(16)}` : String(value.value);
    case 'bool':
      return String(value.value);
    case 'text':
      return JSON.stringify(value.value);
    case 'list':
      return list(
        value.items.map((item) => typedText(item, plain, depth + 1, pretty)),
        depth,
        pretty,
      );
    case 'struct':
      return struct(
        value.members.map(([name, member]) => [name, typedText(member, plain, depth + 1, pretty)] as const),
        depth,
        pretty,
      );
    default:
      return 'null';
  }
}

const line = (depth: number, pretty: boolean): string => (pretty ? `\n${'    '.repeat(depth)}` : '');

/** `[...]` in bpftool's layout, of items written at `depth + 1`. */
export function list(items: readonly string[], depth: number, pretty: boolean): string {
  return items.length === 0 ? '[]' : `[${items.join(',')}${line(depth, pretty)}]`;
}

/** `{...}` in bpftool's layout, of members written at `depth + 1`. */
export function struct(members: readonly (readonly [string, string])[], depth: number, pretty: boolean): string {
  const colon = pretty ? ': ' : ':';
  const text = members.map(([name, value]) => `${line(depth + 1, pretty)}${JSON.stringify(name)}${colon}${value}`);
  return members.length === 0 ? '{}' : `{${text.join(',')}${line(depth, pretty)}}`;
}
