/**
 * What a map looks like in memory: the words of its descriptor, hash table elements, ring buffer records. Interpreter,
 * helpers and compiled programs read the same words; the run-time value of `LD_IMM64 map` is the descriptor's address.
 *
 *     array:       value of index i, CPU c: [MAP_VALUES] + i * [MAP_STRIDE] + c * [MAP_CPU_STRIDE]
 *     prog array:  u32 at [MAP_VALUES] + i * [MAP_STRIDE]: program id + 1, 0 for none
 *     array of maps: u32 at [MAP_VALUES] + i * [MAP_STRIDE]: address of the inner map's descriptor, 0 for none
 *     hash:        find the element as below; its value is at element + [MAP_VALUE_OFFSET] + c * [MAP_CPU_STRIDE]
 *
 * Hash lookup (core/table.ts says what a bucket is): h = hashKey(key, [MAP_HASH_SEED]); in the bucket array at
 * [MAP_BUCKETS], then, when [MAP_FUTURE] is not 0, in that one: m = mixed(h, its seed), tag = (m >>> 16) || 1, bucket = m & its
 * mask; of the eight tags (u16 at +0) each that is equal names an element: (u32 at +16 + 4 * slot, minus 1) * 8 is its
 * address; the key is at +ELEM_KEY. The u32 at +48 of the bucket says whether to go on with the next bucket (round the end,
 * and never round the whole array).
 */

// The descriptor begins with what programs may read through a map pointer: `struct bpf_map` as Linux 6.18 lays it out
// (verifier/map-struct.ts). Byte offsets of the members that netloom fills; the others, pointers above all, are 0.
export const BPF_MAP_STRUCT = {
  mapType: 64,
  keySize: 68,
  valueSize: 72,
  maxEntries: 76,
  mapExtra: 80,
  mapFlags: 88,
  id: 92,
  name: 136,
} as const;
/** Bytes of it that are readable. */
export const BPF_MAP_STRUCT_BYTES = 152;

/** Words in front of the descriptor's own. */
const OWN = 40;

// Word numbers of a descriptor, for every map.
export const MAP_ID: number = OWN + 0;
export const MAP_TYPE: number = OWN + 1;
export const MAP_KEY_SIZE: number = OWN + 2;
export const MAP_VALUE_SIZE: number = OWN + 3;
export const MAP_MAX_ENTRIES: number = OWN + 4;
/** Address of the first value; hash tables: of the preallocated elements, 0 for none. */
export const MAP_VALUES: number = OWN + 5;
/** Bytes from one value (hash: element) to the next. */
export const MAP_STRIDE: number = OWN + 6;
export const MAP_FLAGS: number = OWN + 7;
/** Bytes from one CPU's value to the next CPU's; 0 for a map without a value a CPU. */
export const MAP_CPU_STRIDE: number = OWN + 8;

// Hash tables.
export const MAP_HASH_SEED: number = OWN + 9;
export const MAP_BUCKETS: number = OWN + 10;
export const MAP_MASK: number = OWN + 11;
export const MAP_SEED: number = OWN + 12;
/** The bucket array being moved to; 0 when the table is not being resized. */
export const MAP_FUTURE: number = OWN + 13;
export const MAP_FUTURE_MASK: number = OWN + 14;
export const MAP_FUTURE_SEED: number = OWN + 15;
/** From an element's start to its value. */
export const MAP_VALUE_OFFSET: number = OWN + 16;

// Ring buffers. Positions are u64, of which netloom counts the low 53 bits.
/** Address of the data: a record at position p begins at data + (p & mask) and may reach beyond data + mask, not wrapped. */
export const MAP_RING_DATA: number = OWN + 17;
export const MAP_RING_MASK: number = OWN + 18;
/** Address of the two positions: consumer u64, producer u64. */
export const MAP_RING_POSITIONS: number = OWN + 19;

/** Bytes of a descriptor. */
export const MAP_DESCRIPTOR_BYTES: number = OWN * 4 + 96;

// An element of a hash table.
/** u32: the key's hash. */
export const ELEM_HASH = 0;
/** u32: set to 1 by lookups of programs in LRU maps (LRU_HASH, LRU_PERCPU_HASH). */
export const ELEM_REF = 4;
/** u32 each: addresses of the elements after and before in the order of insertion, 0 for none. */
export const ELEM_NEXT = 8;
export const ELEM_PREVIOUS = 12;
/** The key, zero padded to eight bytes; the value follows. */
export const ELEM_KEY = 16;

// A ring buffer record: u32 length and bits, u32 id of the map (the kernel keeps a page number there), the sample.
export const RING_HEADER = 8;
export const RING_BUSY = 0x8000_0000;
export const RING_DISCARD = 0x4000_0000;

/** Of `hashKey`. */
export const HASH_MULTIPLIER = 0x85ebca6b;
/** What `hashKey` multiplies word `i` of a key by in the end; odd. */
export function hashFactor(i: number): number {
  return (Math.imul(i, 0x3c6ef372) + 0xc2b2ae35) | 0;
}

/**
 * Hash of a key for `core/table`: the sum over its 32-bit little-endian words (a last partial one zero padded) of
 * `t = (word ^ seed) * 0x85ebca6b; (t ^ t >>> 15) * hashFactor(i)`. No word waits for the one before; one to one for keys of
 * four bytes. The table mixes once more.
 */
export function hashKey(dv: DataView, at: number, size: number, seed: number): number {
  let h = 0;
  const whole = size >>> 2;
  for (let i = 0; i < whole; i++) h = (h + hashWord(dv.getInt32(at + i * 4, true), i, seed)) | 0;
  const rest = size & 3;
  if (rest !== 0) {
    let word = 0;
    for (let i = rest - 1; i >= 0; i--) word = (word << 8) | dv.getUint8(at + whole * 4 + i);
    h = (h + hashWord(word, whole, seed)) | 0;
  }
  return h >>> 0;
}

function hashWord(word: number, i: number, seed: number): number {
  const t = Math.imul(word ^ seed, HASH_MULTIPLIER);
  return Math.imul(t ^ (t >>> 15), hashFactor(i));
}

/** Rounds up to eight bytes: every key and value begins at a multiple of eight. */
export function round8(bytes: number): number {
  return (bytes + 7) & ~7;
}
