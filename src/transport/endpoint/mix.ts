/** Hashes of addresses and ports for tables: cheap, seeded, good enough for buckets. */

function step(h: number, word: number): number {
  const m = Math.imul(h ^ word, 0x85ebca6b);
  return m ^ (m >>> 13);
}

/** Hash of two addresses and a number. */
export function mix(a: Uint32Array, b: Uint32Array, n: number, seed: number): number {
  let h = seed;
  h = step(h, a[0]);
  h = step(h, a[1] ^ a[3]);
  h = step(h, a[3]);
  h = step(h, b[0] ^ b[1]);
  h = step(h, b[3]);
  h = Math.imul(h ^ n, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hash of one address, port and protocol. */
export function mixLocal(address: Uint32Array, port: number, key: number, seed: number): number {
  let h = step(seed, address[0]);
  h = step(h, address[1]);
  h = step(h, address[3]);
  h = Math.imul(h ^ ((key << 16) | port), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
