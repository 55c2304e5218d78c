/**
 * Internet checksum (RFC 1071), its incremental update (RFC 1624, equation 3), pseudo headers (RFC 768, RFC 8200 8.1),
 * and CRC32c (RFC 9260 appendix A).
 *
 * Partial sums are plain numbers of 16-bit words added up; `fold` makes the 16-bit one's complement sum.
 */

/** Adds the 16-bit words of `[at, at+length)` to `sum`; an odd last byte counts as the high half of a word. */
export function partial(dv: DataView, at: number, length: number, sum = 0): number {
  const end = at + length;
  const end4 = at + (length & ~3);
  let i = at;
  // Words of 32 bits carry into higher bits of the double and fold to the same sum; 2^20 of them stay exact.
  for (; i < end4; i += 4) sum += dv.getUint32(i);
  if (end - i >= 2) {
    sum += dv.getUint16(i);
    i += 2;
  }
  if (i < end) sum += dv.getUint8(i) << 8;
  return sum;
}

/** Folds a partial sum to 16 bits, not complemented. */
export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

/** The checksum of a range: 0 when the range includes a right checksum. */
export function checksum(dv: DataView, at: number, length: number, initial = 0): number {
  return fold(partial(dv, at, length, initial)) ^ 0xffff;
}

/** New checksum after a 16-bit word changed (RFC 1624: HC' = ~(~HC + ~m + m')). */
export function update16(check: number, before: number, after: number): number {
  return fold((check ^ 0xffff) + (before ^ 0xffff) + after) ^ 0xffff;
}

/** New checksum after a 32-bit word changed. */
export function update32(check: number, before: number, after: number): number {
  return (
    fold(
      (check ^ 0xffff) + ((before >>> 16) ^ 0xffff) + ((before & 0xffff) ^ 0xffff) + (after >>> 16) + (after & 0xffff),
    ) ^ 0xffff
  );
}

/** Partial sum of the IPv4 pseudo header; addresses read from the IPv4 header at `ip`. */
export function pseudo4(dv: DataView, ip: number, protocol: number, length: number): number {
  return dv.getUint32(ip + 12) + dv.getUint32(ip + 16) + protocol + length;
}

/** Partial sum of the IPv6 pseudo header; addresses read from the IPv6 header at `ip`. */
export function pseudo6(dv: DataView, ip: number, protocol: number, length: number): number {
  return partial(dv, ip + 8, 32, protocol + length);
}

const CRC32C: Uint32Array = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** CRC32c over a range, as SCTP puts it on the wire when stored little-endian. `crc` continues an earlier range. */
export function crc32c(u8: Uint8Array, at: number, length: number, crc = 0): number {
  let c = ~crc;
  for (let i = at; i < at + length; i++) c = CRC32C[(c ^ u8[i]) & 0xff] ^ (c >>> 8);
  return ~c >>> 0;
}
