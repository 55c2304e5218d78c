/**
 * Addresses on the routing path: four 32-bit words in network order, of which IPv4 uses the first. One shape for both
 * families keeps routing code single, and words compare and mask without allocation.
 */

/** A zero address. */
export function newWords(): Uint32Array {
  return new Uint32Array(4);
}

/** Words of 4 or 16 address bytes (fewer bytes leave zeros behind them, as netlink's short destinations do). */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  const out = new Uint32Array(4);
  for (let i = 0; i < bytes.length && i < 16; i++) out[i >> 2] |= bytes[i] << (24 - (i & 3) * 8);
  return out;
}

/** The 4 or 16 bytes of an address. */
export function bytesOf(words: Uint32Array, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => words[i >> 2] >>> (24 - (i & 3) * 8));
}

/** Reads `size` (4 or 16) bytes of packet memory at `at` into `out`. */
export function loadWords(out: Uint32Array, dv: DataView, at: number, size: number): void {
  out[0] = dv.getUint32(at);
  if (size === 16) {
    out[1] = dv.getUint32(at + 4);
    out[2] = dv.getUint32(at + 8);
    out[3] = dv.getUint32(at + 12);
  } else {
    out[1] = out[2] = out[3] = 0;
  }
}

/** Writes `size` (4 or 16) bytes to packet memory. */
export function storeWords(words: Uint32Array, dv: DataView, at: number, size: number): void {
  for (let i = 0; i < size >> 2; i++) dv.setUint32(at + i * 4, words[i]);
}

export function sameWords(a: Uint32Array, b: Uint32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

export function isZero(words: Uint32Array): boolean {
  return (words[0] | words[1] | words[2] | words[3]) === 0;
}

/** Mask word `i` of a prefix length. */
export function maskWord(length: number, i: number): number {
  const bits = length - i * 32;
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}

/** True when the first `length` bits are the same. */
export function samePrefix(a: Uint32Array, b: Uint32Array, length: number): boolean {
  if (length === 0) return true;
  if (length <= 32) return ((a[0] ^ b[0]) & maskWord(length, 0)) === 0;
  if (a[0] !== b[0]) return false;
  for (let i = 1; i < 4; i++) if (((a[i] ^ b[i]) & maskWord(length, i)) !== 0) return false;
  return true;
}

/** A copy with all bits behind the first `length` cleared. */
export function maskWords(words: Uint32Array, length: number): Uint32Array {
  return words.map((word, i) => word & maskWord(length, i));
}
