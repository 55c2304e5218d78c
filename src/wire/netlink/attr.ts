/**
 * Netlink attributes (`struct nlattr`): type-length-value, host byte order headers, padded to four bytes.
 * See netlink(7) and Documentation/userspace-api/netlink/intro.rst.
 *
 * Netlink is host-endian; netloom's host order is little-endian everywhere (as on every machine it runs on), and
 * nfnetlink payloads are big-endian by their own convention (`beU16`, `beU32`, `beU64`).
 */
import { NLA_F_NESTED } from '../uapi/netlink.ts';

const TYPE_MASK = 0x3fff;
const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** Writes one netlink message's attributes into a growing buffer. Methods chain. */
export class AttrWriter {
  #bytes: Uint8Array = new Uint8Array(256);
  #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #nestFlag: number;

  /** `nestFlag`: set in the type of nests, NLA_F_NESTED; 0 for families that answer without it (nf_tables). */
  constructor(nestFlag: number = NLA_F_NESTED) {
    this.#nestFlag = nestFlag;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  #reserve(count: number): number {
    const at = this.#length;
    const end = at + count;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = end;
    return at;
  }

  /** Appends raw bytes (a family header), padded to four bytes. */
  raw(bytes: Uint8Array): this {
    const at = this.#reserve((bytes.length + 3) & ~3);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Appends one attribute with the given payload. */
  bytes(type: number, payload: Uint8Array): this {
    const at = this.#reserve(4 + ((payload.length + 3) & ~3));
    this.#view.setUint16(at, 4 + payload.length, true);
    this.#view.setUint16(at + 2, type, true);
    this.#bytes.set(payload, at + 4);
    return this;
  }

  #scalar(type: number, size: number): number {
    const at = this.#reserve(4 + ((size + 3) & ~3));
    this.#view.setUint16(at, 4 + size, true);
    this.#view.setUint16(at + 2, type, true);
    return at + 4;
  }

  /** A flag: an attribute without payload. */
  flag(type: number): this {
    this.#scalar(type, 0);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#scalar(type, 1); // first: it may replace the view
    this.#view.setUint8(at, value);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#scalar(type, 2); // first: it may replace the view
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#scalar(type, 4); // first: it may replace the view
    this.#view.setUint32(at, value >>> 0, true);
    return this;
  }

  u64(type: number, value: bigint): this {
    const at = this.#scalar(type, 8); // first: it may replace the view
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
    return this;
  }

  beU16(type: number, value: number): this {
    const at = this.#scalar(type, 2); // first: it may replace the view
    this.#view.setUint16(at, value);
    return this;
  }

  beU32(type: number, value: number): this {
    const at = this.#scalar(type, 4); // first: it may replace the view
    this.#view.setUint32(at, value >>> 0);
    return this;
  }

  beU64(type: number, value: bigint): this {
    const at = this.#scalar(type, 8); // first: it may replace the view
    this.#view.setBigUint64(at, BigInt.asUintN(64, value));
    return this;
  }

  /** A NUL-terminated string. */
  string(type: number, value: string): this {
    const length = value.length + 1;
    const at = this.#scalar(type, length);
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) {
        this.#length = at - 4; // not ASCII: start again with the encoder
        return this.bytes(type, utf8.encode(`${value}\0`));
      }
      this.#bytes[at + i] = code;
    }
    this.#bytes.fill(0, at + value.length, this.#length); // the bytes may have been written before
    return this;
  }

  /** A nested attribute: `fill` writes its children. */
  nest(type: number, fill: (writer: this) => void): this {
    const at = this.#reserve(4);
    fill(this);
    // A nest over 65,535 bytes cannot be expressed; the length wraps as it does in Linux, so callers split first.
    this.#view.setUint16(at, this.#length - at, true);
    this.#view.setUint16(at + 2, type | this.#nestFlag, true);
    return this;
  }

  /** The message bytes (a copy). */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** One attribute as read: its type without flag bits, its payload, and where the attribute began in the message. */
export type Attr = {
  readonly type: number;
  readonly payload: Uint8Array;
  /** Byte offset of the attribute header in the underlying buffer, the same for nested attributes: what extack needs. */
  readonly offset: number;
};

/** Reads the attributes in `bytes[from, to)`. Stops at the first malformed header, as the kernel's `nla_for_each_attr`. */
export function readAttrs(bytes: Uint8Array, from = 0, to: number = bytes.length): Attr[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attrs: Attr[] = [];
  let at = from;
  while (at + 4 <= to) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > to) break;
    const type = view.getUint16(at + 2, true) & TYPE_MASK;
    // The payload keeps the parent's buffer: nested reads report offsets into the whole message.
    attrs.push({ type, payload: bytes.subarray(at + 4, at + length), offset: bytes.byteOffset + at });
    at += (length + 3) & ~3;
  }
  return attrs;
}

/** The attributes of a nest by type; of repeated types the last wins, as in `nla_parse`. */
export function attrMap(bytes: Uint8Array, from = 0): Map<number, Attr> {
  const map = new Map<number, Attr>();
  for (const attr of readAttrs(bytes, from)) map.set(attr.type, attr);
  return map;
}

function viewOf(bytes: Uint8Array, size: number): DataView {
  if (bytes.length < size) throw new RangeError(`attribute payload of ${bytes.length} bytes, ${size} needed`);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// Payload readers. Each throws RangeError when the payload is too short; validate lengths first where the sender is
// not trusted (netlink handlers answer EINVAL or ERANGE, they do not throw).
export function getU8(payload: Uint8Array): number {
  return viewOf(payload, 1).getUint8(0);
}
export function getU16(payload: Uint8Array): number {
  return viewOf(payload, 2).getUint16(0, true);
}
export function getU32(payload: Uint8Array): number {
  return viewOf(payload, 4).getUint32(0, true);
}
export function getU64(payload: Uint8Array): bigint {
  return viewOf(payload, 8).getBigUint64(0, true);
}
export function getBeU16(payload: Uint8Array): number {
  return viewOf(payload, 2).getUint16(0);
}
export function getBeU32(payload: Uint8Array): number {
  return viewOf(payload, 4).getUint32(0);
}
export function getBeU64(payload: Uint8Array): bigint {
  return viewOf(payload, 8).getBigUint64(0);
}
/** A string up to its first NUL, or the whole payload. */
export function getString(payload: Uint8Array): string {
  let out = '';
  for (let i = 0; i < payload.length && payload[i] !== 0; i++) {
    // Names are short and ASCII: the decoder costs more than the loop. Anything else is its business.
    if (payload[i] > 127 || i === 64) {
      const end = payload.indexOf(0);
      return fromUtf8.decode(end < 0 ? payload : payload.subarray(0, end));
    }
    out += String.fromCharCode(payload[i]);
  }
  return out;
}
