/**
 * C structures of the xt (x_tables) extensions as bytes: fields in order, naturally aligned, little-endian where the
 * kernel uses host order, the whole padded to eight bytes (XT_ALIGN), as NFTA_MATCH_INFO and NFTA_TARGET_INFO carry them.
 *
 *     const length: Codec<LengthInfo> = struct({ min: u16, max: u16, invert: u8 });
 */

/** One field: how wide, how aligned, how read and written. */
export type Field<T> = {
  readonly size: number;
  readonly align: number;
  get(dv: DataView, at: number): T;
  set(dv: DataView, at: number, value: T): void;
  zero(): T;
};

export type Codec<T> = {
  /** Bytes of the encoded structure, a multiple of eight. */
  readonly size: number;
  readonly fields: { readonly [K in keyof T]: Field<T[K]> };
  /** Byte offset of every field. */
  readonly offsets: { readonly [K in keyof T]: number };
  /** All fields zero. */
  zero(): T;
  encode(value: T): Uint8Array;
  /** Reads the structure; undefined when there are too few bytes. */
  decode(bytes: Uint8Array): T | undefined;
};

const zeroNumber = (): number => 0;

export const u8: Field<number> = {
  size: 1,
  align: 1,
  get: (dv, at) => dv.getUint8(at),
  set: (dv, at, v) => dv.setUint8(at, v),
  zero: zeroNumber,
};
export const u16: Field<number> = {
  size: 2,
  align: 2,
  get: (dv, at) => dv.getUint16(at, true),
  set: (dv, at, v) => dv.setUint16(at, v, true),
  zero: zeroNumber,
};
export const u32: Field<number> = {
  size: 4,
  align: 4,
  get: (dv, at) => dv.getUint32(at, true),
  set: (dv, at, v) => dv.setUint32(at, v, true),
  zero: zeroNumber,
};
export const be16: Field<number> = {
  size: 2,
  align: 2,
  get: (dv, at) => dv.getUint16(at),
  set: (dv, at, v) => dv.setUint16(at, v),
  zero: zeroNumber,
};
export const be32: Field<number> = {
  size: 4,
  align: 4,
  get: (dv, at) => dv.getUint32(at),
  set: (dv, at, v) => dv.setUint32(at, v),
  zero: zeroNumber,
};
export const u64: Field<bigint> = {
  size: 8,
  align: 8,
  get: (dv, at) => dv.getBigUint64(at, true),
  set: (dv, at, v) => dv.setBigUint64(at, v, true),
  zero: () => 0n,
};
/** A kernel pointer: always zero on the wire. */
export const pointer: Field<bigint> = u64;

/** `count` raw bytes. */
export function bytes(count: number, align = 1): Field<Uint8Array> {
  return {
    size: count,
    align,
    get: (dv, at) => new Uint8Array(dv.buffer, dv.byteOffset + at, count).slice(),
    set: (dv, at, v) => new Uint8Array(dv.buffer, dv.byteOffset + at, count).set(v.subarray(0, count)),
    zero: () => new Uint8Array(count),
  };
}
/** `union nf_inet_addr`: an IPv4 address lies in the first four bytes. */
export const address: Field<Uint8Array> = bytes(16, 4);

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** A string in `count` bytes, filled with NUL. */
export function text(count: number): Field<string> {
  return {
    size: count,
    align: 1,
    get: (dv, at) => {
      const all = new Uint8Array(dv.buffer, dv.byteOffset + at, count);
      const end = all.indexOf(0);
      return fromUtf8.decode(end < 0 ? all : all.subarray(0, end));
    },
    set: (dv, at, v) => new Uint8Array(dv.buffer, dv.byteOffset + at, count).set(utf8.encode(v).subarray(0, count)),
    zero: () => '',
  };
}

/** `count` fields of one kind. */
export function array<T>(field: Field<T>, count: number): Field<T[]> {
  return {
    size: field.size * count,
    align: field.align,
    get: (dv, at) => Array.from({ length: count }, (_, i) => field.get(dv, at + i * field.size)),
    set: (dv, at, v) => {
      for (let i = 0; i < count && i < v.length; i++) field.set(dv, at + i * field.size, v[i]);
    },
    zero: () => Array.from({ length: count }, () => field.zero()),
  };
}

type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

function layout<T extends object>(
  fields: Fields<T>,
): { offsets: { [K in keyof T]: number }; size: number; align: number } {
  const offsets = {} as { [K in keyof T]: number };
  let at = 0;
  let align = 1;
  for (const key of Object.keys(fields) as (keyof T)[]) {
    const field = fields[key];
    at = Math.ceil(at / field.align) * field.align;
    offsets[key] = at;
    at += field.size;
    align = Math.max(align, field.align);
  }
  return { offsets, size: Math.ceil(at / align) * align, align };
}

/** A structure inside a structure. */
export function nested<T extends object>(fields: Fields<T>): Field<T> {
  const { offsets, size, align } = layout(fields);
  const keys = Object.keys(fields) as (keyof T)[];
  return {
    size,
    align,
    get: (dv, at) => {
      const out = {} as T;
      for (const key of keys) out[key] = fields[key].get(dv, at + offsets[key]);
      return out;
    },
    set: (dv, at, value) => {
      for (const key of keys) fields[key].set(dv, at + offsets[key], value[key]);
    },
    zero: () => {
      const out = {} as T;
      for (const key of keys) out[key] = fields[key].zero();
      return out;
    },
  };
}

/** The structure of an extension: its fields in the order of the C declaration. */
export function struct<T extends object>(fields: Fields<T>): Codec<T> {
  const { offsets, size } = layout(fields);
  const whole = nested(fields);
  const padded = Math.ceil(size / 8) * 8;
  return {
    size: padded,
    fields,
    offsets,
    zero: whole.zero,
    encode(value) {
      const out = new Uint8Array(padded);
      whole.set(new DataView(out.buffer), 0, value);
      return out;
    },
    decode(data) {
      if (data.length < size) return undefined;
      return whole.get(new DataView(data.buffer, data.byteOffset, data.byteLength), 0);
    },
  };
}
