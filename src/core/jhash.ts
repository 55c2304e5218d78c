/**
 * Bob Jenkins' lookup3 hash as the kernel uses it (include/linux/jhash.h describes the parameters): little-endian words,
 * twelve bytes a round. Public domain algorithm, 2006.
 */
const rol = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** Hash of `u8[at, at+length)` with an initial value; an unsigned 32-bit number. */
export function jhash(u8: Uint8Array, at: number, length: number, initval: number): number {
  let a = (0xdeadbeef + length + initval) | 0;
  let b = a;
  let c = a;
  const word = (i: number): number => u8[i] | (u8[i + 1] << 8) | (u8[i + 2] << 16) | (u8[i + 3] << 24);
  while (length > 12) {
    a = (a + word(at)) | 0;
    b = (b + word(at + 4)) | 0;
    c = (c + word(at + 8)) | 0;
    a = (a - c) ^ rol(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rol(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rol(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rol(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rol(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rol(b, 4);
    b = (b + a) | 0;
    at += 12;
    length -= 12;
  }
  if (length === 0) return c >>> 0;
  for (let i = 0; i < length; i++) {
    const byte = u8[at + i] << ((i & 3) * 8);
    if (i < 4) a = (a + byte) | 0;
    else if (i < 8) b = (b + byte) | 0;
    else c = (c + byte) | 0;
  }
  c = ((c ^ b) - rol(b, 14)) | 0;
  a = ((a ^ c) - rol(c, 11)) | 0;
  b = ((b ^ a) - rol(a, 25)) | 0;
  c = ((c ^ b) - rol(b, 16)) | 0;
  a = ((a ^ c) - rol(c, 4)) | 0;
  b = ((b ^ a) - rol(a, 14)) | 0;
  c = ((c ^ b) - rol(b, 24)) | 0;
  return c >>> 0;
}

/** The same over 32-bit words, as the kernel's jhash2: equal to `jhash` over their little-endian bytes. */
export function jhash2(words: readonly number[], initval: number): number {
  return jhash(new Uint8Array(Uint32Array.from(words).buffer), 0, words.length * 4, initval);
}
