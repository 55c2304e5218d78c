/** User data of nf_tables objects, as libnftnl lays it out: type (1 byte), length (1 byte), value. The kernel keeps it unread. */

/** Types of what a set's user data says. */
export const UDATA_SET_KEYBYTEORDER = 0;
export const UDATA_SET_DATABYTEORDER = 1;
export const UDATA_SET_MERGE_ELEMENTS = 2;
export const UDATA_SET_KEY_TYPEOF = 3;
export const UDATA_SET_DATA_TYPEOF = 4;
export const UDATA_SET_DATA_INTERVAL = 6;
export const UDATA_SET_COMMENT = 7;
/** The comment of tables, chains, rules, elements and objects. */
export const UDATA_COMMENT = 0;

/** Flags of an element; bit 0: an interval that has no end. */
export const UDATA_ELEM_FLAGS = 1;
export const ELEM_INTERVAL_OPEN = 1;

export type Tlv = { readonly type: number; readonly value: Uint8Array };

const utf8 = new TextEncoder();

export function udataString(type: number, text: string): Tlv {
  return { type, value: utf8.encode(`${text}\0`) };
}

export function udataU32(type: number, value: number): Tlv {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return { type, value: out };
}

export function emitUdata(list: readonly Tlv[]): Uint8Array {
  const out = new Uint8Array(list.reduce((sum, tlv) => sum + 2 + tlv.value.length, 0));
  let at = 0;
  for (const { type, value } of list) {
    out[at] = type;
    out[at + 1] = value.length;
    out.set(value, at + 2);
    at += 2 + value.length;
  }
  return out;
}

export function parseUdata(bytes: Uint8Array): Tlv[] {
  const out: Tlv[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const length = bytes[at + 1];
    if (at + 2 + length > bytes.length) break;
    out.push({ type: bytes[at], value: bytes.subarray(at + 2, at + 2 + length) });
    at += 2 + length;
  }
  return out;
}
