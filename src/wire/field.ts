/**
 * Header fields as data: where a field lies (bit offset and length from the start of its header), what kind of value it
 * holds, and the names `nft` and tshark know it by. One table per protocol (`tables.ts`) serves the plain-object forms,
 * the printers and nft's payload expressions.
 */
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from './address.ts';

/** How a field's value is written: numbers as decimal or hexadecimal, addresses as their usual text. */
export type FieldKind = 'dec' | 'hex' | 'mac' | 'ipv4' | 'ipv6';

export type Field = {
  /** nft's name (`tcp sport` is `sport` in the table `tcp`); also the key in the plain-object form. */
  readonly name: string;
  /** tshark's display filter name. */
  readonly tshark: string;
  /** Offset and length in bits, from the start of the header. */
  readonly bit: number;
  readonly bits: number;
  readonly kind: FieldKind;
  /** Value written when the plain object has none; 0 without it. */
  readonly initial?: number | string;
  /** Computed from the rest when the plain object has none: lengths, checksums, the next protocol. */
  readonly computed?: true;
};

export type Table = {
  /** nft's protocol name. */
  readonly name: string;
  /** What the tree printer calls it. */
  readonly title: string;
  /** Bytes of the fixed header. */
  readonly length: number;
  readonly fields: readonly Field[];
};

export type FieldValue = number | string;

/** Reads a field of the header at `at`. Safe when the fixed header lies inside the view. */
export function readField(dv: DataView, at: number, field: Field): FieldValue {
  const byte = at + (field.bit >> 3);
  const bytes = (): Uint8Array => new Uint8Array(dv.buffer, dv.byteOffset + byte, field.bits >> 3);
  if (field.kind === 'mac') return formatMac(bytes());
  if (field.kind === 'ipv4') return formatIpv4(bytes());
  if (field.kind === 'ipv6') return formatIpv6(bytes());
  return readBits(dv, at, field.bit, field.bits);
}

/** An unsigned number of up to 32 bits at any bit offset, most significant bit first. */
export function readBits(dv: DataView, at: number, bit: number, bits: number): number {
  let value = 0;
  for (let i = bit; i < bit + bits; ) {
    const take = Math.min(8 - (i & 7), bit + bits - i);
    const part = (dv.getUint8(at + (i >> 3)) >> (8 - (i & 7) - take)) & ((1 << take) - 1);
    value = value * (1 << take) + part;
    i += take;
  }
  return value;
}

/** Writes an unsigned number of up to 32 bits; higher bits of `value` are cut off, neighbours stay as they are. */
export function writeBits(dv: DataView, at: number, bit: number, bits: number, value: number): void {
  let rest = value;
  for (let end = bit + bits; end > bit; ) {
    const take = Math.min(((end - 1) & 7) + 1, end - bit);
    const shift = (8 - (end & 7)) & 7;
    const mask = ((1 << take) - 1) << shift;
    const byte = at + ((end - 1) >> 3);
    dv.setUint8(byte, (dv.getUint8(byte) & ~mask) | (((rest % (1 << take)) << shift) & mask));
    rest = Math.floor(rest / (1 << take));
    end -= take;
  }
}

/** Writes a field; throws a RangeError that names the field when the text is no address of its kind. */
export function writeField(dv: DataView, at: number, field: Field, value: FieldValue): void {
  if (field.kind === 'dec' || field.kind === 'hex') {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 0 || number >= 2 ** field.bits)
      throw new RangeError(`${field.name}: ${value} does not fit into ${field.bits} bits`);
    writeBits(dv, at, field.bit, field.bits, number);
    return;
  }
  const text = String(value);
  const bytes = field.kind === 'mac' ? parseMac(text) : field.kind === 'ipv4' ? parseIpv4(text) : parseIpv6(text);
  if (bytes === undefined) throw new RangeError(`${field.name}: ${text} is no ${KIND_TEXT[field.kind]}`);
  new Uint8Array(dv.buffer, dv.byteOffset).set(bytes, at + (field.bit >> 3));
}

const KIND_TEXT: Readonly<Record<FieldKind, string>> = {
  dec: 'number',
  hex: 'number',
  mac: 'MAC address',
  ipv4: 'IPv4 address',
  ipv6: 'IPv6 address',
};

/** A value as the printers write it. */
export function formatField(field: Field, value: FieldValue): string {
  return field.kind === 'hex'
    ? `0x${Number(value)
        .toString(16)
        .padStart(Math.ceil(field.bits / 4), '0')}`
    : `${value}`;
}

/** All fields of a header as an object by name. */
export function readTable(dv: DataView, at: number, table: Table): Record<string, FieldValue> {
  const out: Record<string, FieldValue> = {};
  for (const field of table.fields) out[field.name] = readField(dv, at, field);
  return out;
}

/** Writes the fixed header; fields that `values` lacks get their initial value. */
export function writeTable(dv: DataView, at: number, table: Table, values: Readonly<Record<string, unknown>>): void {
  for (const field of table.fields) {
    const value = values[field.name] ?? field.initial ?? EMPTY[field.kind];
    writeField(dv, at, field, value as FieldValue);
  }
}

const EMPTY: Readonly<Record<FieldKind, FieldValue>> = {
  dec: 0,
  hex: 0,
  mac: '00:00:00:00:00:00',
  ipv4: '0.0.0.0',
  ipv6: '::',
};
