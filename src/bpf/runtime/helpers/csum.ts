/**
 * The Internet checksum as the kernel keeps it: 32-bit partial sums (`__wsum`) over little-endian 16-bit words, folded to
 * `__sum16` (RFC 1071, RFC 1624; include/net/checksum.h names the operations).
 */

/** `a + b` in one's complement, 32 bits. */
export function csumAdd(a: number, b: number): number {
  const sum = (a >>> 0) + (b >>> 0);
  return (sum % 0x1_0000_0000) + (sum >= 0x1_0000_0000 ? 1 : 0);
}

export function csumSub(a: number, b: number): number {
  return csumAdd(a, ~b >>> 0);
}

/** 32 bits to 16 by end-around carry. */
export function from32to16(sum: number): number {
  let s = (sum >>> 16) + (sum & 0xffff);
  s = (s >>> 16) + (s & 0xffff);
  return s & 0xffff;
}

/** Complement of the folded sum: what stands in a header. */
export function csumFold(sum: number): number {
  return ~from32to16(sum) & 0xffff;
}

/** Adds the bytes `[at, at+length)` to `sum`. */
export function csumPartial(dv: DataView, at: number, length: number, sum: number): number {
  let s = sum >>> 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) s = csumAdd(s, dv.getUint32(at + i, true));
  if (i + 2 <= length) {
    s = csumAdd(s, dv.getUint16(at + i, true));
    i += 2;
  }
  return i < length ? csumAdd(s, dv.getUint8(at + i)) : s;
}

/** A checksum field after a 32-bit word under it changed. */
export function csumReplace4(sum: number, from: number, to: number): number {
  return csumFold(csumAdd(csumSub(~sum >>> 0, from), to));
}

/** The same for a 16-bit word. */
export function csumReplace2(sum: number, from: number, to: number): number {
  const add16 = (a: number, b: number): number => {
    const s = a + b;
    return (s & 0xffff) + (s > 0xffff ? 1 : 0);
  };
  return ~add16(add16(~sum & 0xffff, ~from & 0xffff), to & 0xffff) & 0xffff;
}

/** The same when the difference is given as a partial sum. */
export function csumReplaceByDiff(sum: number, diff: number): number {
  return csumFold(csumAdd(diff, ~sum >>> 0));
}
