/** Values in memory by their BTF type: to and from JavaScript, and as the JSON that `bpftool map dump` prints. */
import type { Btf } from './btf.ts';
import * as F from './format.ts';

/** Integers up to 32 bits are numbers, larger ones and pointers bigints, char arrays strings, structs objects. */
export type BtfValue =
  | number
  | bigint
  | boolean
  | string
  | readonly BtfValue[]
  | { readonly [member: string]: BtfValue };

/** A value that does not fit its type; the message names the member. */
export class BtfValueError extends Error {}

/** Elements of one value shown or read, all arrays together. */
const MAX_ELEMENTS = 1 << 20;

/** `count` bits from bit `at` of little-endian bytes. */
function readBits(bytes: Uint8Array, at: number, count: number): bigint {
  const first = at >> 3;
  let value = 0n;
  for (let i = ((at + count + 7) >> 3) - 1; i >= first; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return BigInt.asUintN(count, value >> BigInt(at & 7));
}

function writeBits(bytes: Uint8Array, at: number, count: number, value: bigint): void {
  let rest = BigInt.asUintN(count, value);
  for (let bit = at; bit < at + count; ) {
    const shift = bit & 7;
    const take = Math.min(8 - shift, at + count - bit);
    const mask = ((1 << take) - 1) << shift;
    bytes[bit >> 3] = (bytes[bit >> 3] & ~mask) | ((Number(rest & 255n) << shift) & mask);
    rest >>= BigInt(take);
    bit += take;
  }
}

const isChar = (btf: Btf, type: number): boolean => {
  const id = btf.resolve(type);
  if (btf.kind(id) !== F.BTF_KIND_INT || btf.sizeOf(id) !== 1) return false;
  return (btf.int(id).encoding & F.BTF_INT_CHAR) !== 0 || btf.name(id) === 'char';
};

/** Reads the value of a type at a byte of memory. */
export function readValue(btf: Btf, type: number, bytes: Uint8Array, at = 0): BtfValue {
  return new Reader(btf, bytes).value(type, at * 8, 0);
}

class Reader {
  readonly #btf: Btf;
  readonly #bytes: Uint8Array;
  #left = MAX_ELEMENTS;

  constructor(btf: Btf, bytes: Uint8Array) {
    this.#btf = btf;
    this.#bytes = bytes;
  }

  /** `bits`: width of a bit field, 0 for the type's own. */
  value(type: number, at: number, bits: number): BtfValue {
    const btf = this.#btf;
    const id = btf.resolve(type);
    const kind = btf.kind(id);
    const width = bits || (btf.sizeOf(id) ?? 0) * 8;
    switch (kind) {
      case F.BTF_KIND_INT: {
        const { encoding } = btf.int(id);
        const raw = readBits(this.#bytes, at, width);
        if ((encoding & F.BTF_INT_BOOL) !== 0) return raw !== 0n;
        const value = (encoding & F.BTF_INT_SIGNED) !== 0 ? BigInt.asIntN(width, raw) : raw;
        return width <= 32 ? Number(value) : value;
      }
      case F.BTF_KIND_ENUM:
      case F.BTF_KIND_ENUM64: {
        const raw = readBits(this.#bytes, at, width);
        const value = btf.kindFlag(id) ? BigInt.asIntN(width, raw) : raw;
        return width <= 32 ? Number(value) : value;
      }
      case F.BTF_KIND_PTR:
        return readBits(this.#bytes, at, 64);
      case F.BTF_KIND_FLOAT: {
        const dv = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
        return width === 32 ? dv.getFloat32(at / 8, true) : width === 64 ? dv.getFloat64(at / 8, true) : 0;
      }
      case F.BTF_KIND_ARRAY: {
        const { elem, count } = btf.array(id);
        if (isChar(btf, elem)) {
          const part = this.#bytes.subarray(at / 8, at / 8 + count);
          const end = part.indexOf(0);
          return new TextDecoder('latin1').decode(end < 0 ? part : part.subarray(0, end));
        }
        const size = (btf.sizeOf(elem) ?? 0) * 8;
        const list: BtfValue[] = [];
        for (let i = 0; i < count && this.#left-- > 0; i++) list.push(this.value(elem, at + i * size, 0));
        return list;
      }
      case F.BTF_KIND_STRUCT:
      case F.BTF_KIND_UNION: {
        const out: Record<string, BtfValue> = {};
        for (const m of btf.members(id)) {
          const value = this.value(m.type, at + m.bitOffset, m.bitfieldSize);
          if (m.name !== '') out[m.name] = value;
          else if (typeof value === 'object' && !Array.isArray(value)) Object.assign(out, value);
        }
        return out;
      }
      case F.BTF_KIND_VAR:
        return this.value(btf.target(id), at, 0);
      case F.BTF_KIND_DATASEC: {
        const out: Record<string, BtfValue> = {};
        for (const v of btf.vars(id)) out[btf.name(v.type)] = this.value(v.type, at + v.offset * 8, 0);
        return out;
      }
      default:
        return 0;
    }
  }
}

/** Writes a value; a struct given in part keeps its other members, an array its other elements. */
export function writeValue(btf: Btf, type: number, bytes: Uint8Array, at: number, value: BtfValue): void {
  write(btf, type, bytes, at * 8, 0, value, '');
}

function write(
  btf: Btf,
  type: number,
  bytes: Uint8Array,
  at: number,
  bits: number,
  value: BtfValue,
  path: string,
): void {
  const id = btf.resolve(type);
  const fail = (what: string): never => {
    throw new BtfValueError(`${path === '' ? 'value' : path}: ${what}`);
  };
  const width = bits || (btf.sizeOf(id) ?? fail('its type has no size')) * 8;
  switch (btf.kind(id)) {
    case F.BTF_KIND_INT:
    case F.BTF_KIND_ENUM:
    case F.BTF_KIND_ENUM64:
    case F.BTF_KIND_PTR: {
      const number = toInteger(btf, id, value) ?? fail(`${JSON.stringify(String(value))} is no number`);
      if (number !== BigInt.asIntN(width, number) && number !== BigInt.asUintN(width, number))
        fail(`${number} does not fit in ${width} bits`);
      writeBits(bytes, at, width, number);
      return;
    }
    case F.BTF_KIND_FLOAT: {
      const dv = new DataView(bytes.buffer, bytes.byteOffset);
      if (width === 32) dv.setFloat32(at / 8, Number(value), true);
      else if (width === 64) dv.setFloat64(at / 8, Number(value), true);
      else fail(`floats of ${width} bits are not supported`);
      return;
    }
    case F.BTF_KIND_ARRAY: {
      const { elem, count } = btf.array(id);
      if (typeof value === 'string' && isChar(btf, elem)) {
        const text = new TextEncoder().encode(value);
        if (text.length > count) fail(`${text.length} bytes of text for an array of ${count}`);
        bytes.fill(0, at / 8, at / 8 + count).set(text, at / 8);
        return;
      }
      if (!Array.isArray(value)) return fail('an array is wanted');
      if (value.length > count) fail(`${value.length} elements for an array of ${count}`);
      const size = (btf.sizeOf(elem) ?? 0) * 8;
      value.forEach((v: BtfValue, i) => {
        write(btf, elem, bytes, at + i * size, 0, v, `${path}[${i}]`);
      });
      return;
    }
    case F.BTF_KIND_STRUCT:
    case F.BTF_KIND_UNION: {
      if (typeof value !== 'object' || Array.isArray(value)) return fail('an object with its members is wanted');
      for (const [name, v] of Object.entries(value)) {
        const place = findMember(btf, id, name) ?? fail(`there is no member '${name}'`);
        write(
          btf,
          place.type,
          bytes,
          at + place.bitOffset,
          place.bitfieldSize,
          v,
          path === '' ? name : `${path}.${name}`,
        );
      }
      return;
    }
    default:
      fail('its type cannot be written');
  }
}

function toInteger(btf: Btf, id: number, value: BtfValue): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined;
  if (typeof value !== 'string') return undefined;
  if (F.isAnyEnum(btf.kind(id))) {
    const named = btf.enumerators(id).find((e) => e.name === value);
    if (named !== undefined) return named.value;
  }
  return /^-?(0x[0-9a-f]+|\d+)$/i.test(value)
    ? value.startsWith('-')
      ? -BigInt(value.slice(1))
      : BigInt(value)
    : undefined;
}

type Place = { readonly type: number; readonly bitOffset: number; readonly bitfieldSize: number };

/** A member by name, also inside anonymous structs and unions. */
export function findMember(btf: Btf, struct: number, name: string): Place | undefined {
  const without = new Set<number>();
  const search = (type: number): Place | undefined => {
    const id = btf.resolve(type);
    if (!F.isComposite(btf.kind(id)) || without.has(id)) return undefined;
    for (const m of btf.members(id)) {
      if (m.name === name) return m;
      const inner = m.name === '' ? search(m.type) : undefined;
      if (inner !== undefined) return { ...inner, bitOffset: inner.bitOffset + m.bitOffset };
    }
    without.add(id);
    return undefined;
  };
  return search(struct);
}

/** The value as JSON text: enumerators by name, pointers in hexadecimal, 64-bit integers as plain numbers. */
export function valueToJson(btf: Btf, type: number, bytes: Uint8Array, indent = 0): string {
  return new Printer(btf, bytes, indent).value(type, 0, 0, 0);
}

class Printer {
  readonly #btf: Btf;
  readonly #bytes: Uint8Array;
  readonly #indent: number;
  #left = MAX_ELEMENTS;

  constructor(btf: Btf, bytes: Uint8Array, indent: number) {
    this.#btf = btf;
    this.#bytes = bytes;
    this.#indent = indent;
  }

  value(type: number, at: number, bits: number, depth: number): string {
    const btf = this.#btf;
    const id = btf.resolve(type);
    const kind = btf.kind(id);
    switch (kind) {
      case F.BTF_KIND_ENUM:
      case F.BTF_KIND_ENUM64: {
        const value = BigInt(new Reader(btf, this.#bytes).value(id, at, bits) as number | bigint);
        const named = btf.enumerators(id).find((e) => e.value === value);
        return named === undefined ? String(value) : JSON.stringify(named.name);
      }
      case F.BTF_KIND_PTR:
        return `"0x${readBits(this.#bytes, at, 64).toString(16)}"`;
      case F.BTF_KIND_ARRAY: {
        const { elem, count } = btf.array(id);
        if (isChar(btf, elem)) return JSON.stringify(new Reader(btf, this.#bytes).value(id, at, 0));
        const size = (btf.sizeOf(elem) ?? 0) * 8;
        const items: string[] = [];
        for (let i = 0; i < count && this.#left-- > 0; i++) items.push(this.value(elem, at + i * size, 0, depth + 1));
        return this.#list('[', items, ']', depth, F.isComposite(btf.kind(btf.resolve(elem))));
      }
      case F.BTF_KIND_STRUCT:
      case F.BTF_KIND_UNION: {
        const items = btf.members(id).map((m) => {
          const text = this.value(m.type, at + m.bitOffset, m.bitfieldSize, depth + 1);
          return m.name === ''
            ? `"(anon)":${this.#space()}${text}`
            : `${JSON.stringify(m.name)}:${this.#space()}${text}`;
        });
        return this.#list('{', items, '}', depth, true);
      }
      case F.BTF_KIND_VAR:
        return this.value(btf.target(id), at, 0, depth);
      case F.BTF_KIND_DATASEC: {
        const items = btf
          .vars(id)
          .map(
            (v) =>
              `${JSON.stringify(btf.name(v.type))}:${this.#space()}${this.value(v.type, at + v.offset * 8, 0, depth + 1)}`,
          );
        return this.#list('{', items, '}', depth, true);
      }
      default:
        return String(new Reader(btf, this.#bytes).value(id, at, bits));
    }
  }

  #space(): string {
    return this.#indent > 0 ? ' ' : '';
  }

  #list(open: string, items: readonly string[], close: string, depth: number, broken: boolean): string {
    if (this.#indent === 0 || !broken || items.length === 0) return `${open}${items.join(`,${this.#space()}`)}${close}`;
    const pad = ' '.repeat(this.#indent * (depth + 1));
    return `${open}\n${items.map((i) => pad + i).join(',\n')}\n${' '.repeat(this.#indent * depth)}${close}`;
  }
}
