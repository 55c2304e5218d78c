/** SKF_AD_NLATTR and SKF_AD_NLATTR_NEST: where a netlink attribute lies in a packet (linux/netlink.h, struct nlattr). */

const HEADER = 4;
const TYPE_MASK = 0x3fff;

/** Byte offset of the attribute of this type in the attributes from `at` to `end`; 0 when there is none. */
function find(bytes: Uint8Array, at: number, end: number, type: number): number {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let from = at;
  while (end - from >= HEADER) {
    const length = dv.getUint16(from, true);
    if (length < HEADER || length > end - from) return 0;
    if ((dv.getUint16(from + 2, true) & TYPE_MASK) === type) return from;
    from += (length + 3) & ~3;
  }
  return 0;
}

/** The attribute of type `type` among those that begin at `at`. */
export function findAttribute(bytes: Uint8Array, at: number, type: number): number {
  if (bytes.length < HEADER || at > bytes.length - HEADER) return 0;
  return find(bytes, at, bytes.length, type);
}

/** The attribute of type `type` inside the one at `at`. */
export function findNestedAttribute(bytes: Uint8Array, at: number, type: number): number {
  if (bytes.length < HEADER || at > bytes.length - HEADER) return 0;
  const length = bytes[at] | (bytes[at + 1] << 8);
  if (length > bytes.length - at) return 0;
  return find(bytes, at + HEADER, at + Math.max(length, HEADER), type);
}
