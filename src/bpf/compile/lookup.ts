/**
 * Map lookups without leaving Wasm. Arrays are a bounds check and a multiplication; hash tables get a function of their own
 * in the module, which reads the buckets of core/table in the shared memory: eight tags are compared at once, keys in
 * words of eight bytes.
 */
import { Code, I32, I64, OP, SIMD, V128, type WasmModule } from '../../core/wasm.ts';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from '../../wire/uapi/bpf.ts';
import * as layout from '../maps/layout.ts';
import type { CompiledMap } from './input.ts';

/** Longer keys are looked up by the helper. */
const MAX_KEY = 256;

const ENTRIES = 16;
const PASSED = 48;

export function isArray(map: CompiledMap, cpus: number): boolean {
  return (
    map.type === BPF_MAP_TYPE_ARRAY ||
    map.type === BPF_MAP_TYPE_ARRAY_OF_MAPS ||
    (map.type === BPF_MAP_TYPE_PERCPU_ARRAY && cpus === 1)
  );
}

export function isHash(map: CompiledMap, cpus: number): boolean {
  if (map.keySize > MAX_KEY) return false;
  return (
    map.type === BPF_MAP_TYPE_HASH ||
    map.type === BPF_MAP_TYPE_LRU_HASH ||
    ((map.type === BPF_MAP_TYPE_PERCPU_HASH || map.type === BPF_MAP_TYPE_LRU_PERCPU_HASH) && cpus === 1)
  );
}

/** With the key on the stack: the value's address, 0 for none. */
export function writeArrayLookup(code: Code, map: CompiledMap, temp: number): void {
  const stride = map.word(layout.MAP_STRIDE);
  code.tee(temp).i32(map.maxEntries).op(OP['i32.lt_u']).if(I32).get(temp);
  if (stride > 0 && (stride & (stride - 1)) === 0) code.i32(31 - Math.clz32(stride)).op(OP['i32.shl']);
  else code.i32(stride).op(OP['i32.mul']);
  code.i32(map.word(layout.MAP_VALUES)).op(OP['i32.add']);
  if (map.type === BPF_MAP_TYPE_ARRAY_OF_MAPS) code.mem(OP['i32.load'], 0);
  code.else().i32(0).end();
}

/** Makes a local variable, or finds the one of that name. */
export type Locals = (name: string, type: number) => number;

/** Key words of eight bytes, the last one zero padded. */
export const keyWords = (map: CompiledMap): number => (map.keySize + 7) >>> 3;

/** Writes the function `(key address) -> value address or 0` of a hash table; `func` was declared before. */
export function defineHashLookup(m: WasmModule, func: number, map: CompiledMap): void {
  const code = new Code();
  const types: number[] = [];
  const names = new Map<string, number>();
  const locals: Locals = (name, type) => {
    const local = names.get(name) ?? types.push(type);
    names.set(name, local);
    return local;
  };
  const words = Array.from({ length: keyWords(map) }, (_, i) => locals(`word${i}`, I64));
  words.forEach((word, i) => {
    writeKeyWord(code, map.keySize - i * 8, () => code.get(0), i * 8);
    code.set(word);
  });
  writeHashLookup(code, map, words, locals);
  m.define(func, types, code);
}

/** Pushes up to eight of the `left` bytes `offset` behind the address that `push` pushes, zero padded. */
export function writeKeyWord(code: Code, left: number, push: () => unknown, offset: number): void {
  if (left >= 8) {
    push();
    code.mem(OP['i64.load'], offset);
    return;
  }
  for (let at = 0; at < left; ) {
    const step = left - at >= 4 ? 4 : left - at >= 2 ? 2 : 1;
    push();
    code.mem(step === 4 ? OP['i64.load32_u'] : step === 2 ? OP['i64.load16_u'] : OP['i64.load8_u'], offset + at);
    if (at > 0)
      code
        .i64(at * 8)
        .op(OP['i64.shl'])
        .op(OP['i64.or']);
    at += step;
  }
}

/** With the key in the locals `words`: pushes the value's address, 0 for none. */
function writeHashLookup(code: Code, map: CompiledMap, words: readonly number[], locals: Locals): void {
  const [hash, buckets, mask, seed, bucket, at, last, match, elem, second] = [
    'hash',
    'buckets',
    'mask',
    'seed',
    'bucket',
    'at',
    'last',
    'match',
    'elem',
    'second',
  ].map((name) => locals(`lookup ${name}`, I32));
  const tag = locals('lookup tag', V128);
  const word = (n: number): Code => code.i32(map.address).mem(OP['i32.load'], n * 4);
  word(layout.MAP_HASH_SEED).set(seed);
  writeHash(code, map, words, seed, match);
  code.set(hash);
  word(layout.MAP_BUCKETS).set(buckets);
  word(layout.MAP_MASK).set(mask);
  word(layout.MAP_SEED).set(seed);
  code.i32(0).set(second);
  code.block(I32).loop();
  // As `mixed` of core/table.
  code.get(hash).get(seed).op(OP['i32.xor']).i32(0x9e3779b1).op(OP['i32.mul']).tee(bucket);
  code.get(bucket).i32(15).op(OP['i32.shr_u']).op(OP['i32.xor']).tee(bucket);
  code.i32(16).op(OP['i32.shr_u']).tee(match).i32(1).get(match).op(OP.select).simd(SIMD['i16x8.splat']).set(tag);
  code.get(bucket).get(mask).op(OP['i32.and']).tee(at).get(mask).op(OP['i32.add']).set(last);
  code.loop();
  code.get(at).get(mask).op(OP['i32.and']).i32(6).op(OP['i32.shl']).get(buckets).op(OP['i32.add']).tee(bucket);
  code.simdLoad(SIMD['v128.load'], 0).get(tag).simd(SIMD['i16x8.eq']).simd(SIMD['i16x8.bitmask']);
  code.tee(match).if().loop();
  code.get(match).op(OP['i32.ctz']).i32(2).op(OP['i32.shl']).get(bucket).op(OP['i32.add']);
  code.mem(OP['i32.load'], ENTRIES).i32(1).op(OP['i32.sub']).i32(3).op(OP['i32.shl']).set(elem);
  writeEqual(code, words, elem);
  code.if();
  writeFound(code, map, elem);
  // Out of if, loop, if, both loops, to the end of the block.
  code.br(5).end();
  code.get(match).get(match).i32(1).op(OP['i32.sub']).op(OP['i32.and']).tee(match).brIf(0);
  code.end().end();
  code.get(bucket).mem(OP['i32.load'], PASSED).if();
  code.get(at).get(last).op(OP['i32.lt_u']).if();
  code.get(at).i32(1).op(OP['i32.add']).set(at).br(2).end().end();
  code.end();
  code.get(second).op(OP['i32.eqz']).if();
  word(layout.MAP_FUTURE).tee(buckets).if();
  word(layout.MAP_FUTURE_MASK).set(mask);
  word(layout.MAP_FUTURE_SEED).set(seed);
  code.i32(1).set(second).br(2).end().end();
  code.end().i32(0).end();
}

/**
 * The usual case of a lookup, without a loop: the key is where the first equal tag of its home bucket says. Otherwise `miss`
 * pushes the result.
 */
export function writeFirstBucket(
  code: Code,
  map: CompiledMap,
  words: readonly number[],
  locals: Locals,
  miss: () => unknown,
): void {
  const [seed, bucket, match, elem] = ['seed', 'bucket', 'match', 'elem'].map((name) => locals(`lookup ${name}`, I32));
  const word = (n: number): Code => code.i32(map.address).mem(OP['i32.load'], n * 4);
  word(layout.MAP_HASH_SEED).set(seed);
  code.block(I32);
  writeHash(code, map, words, seed, match);
  word(layout.MAP_SEED).op(OP['i32.xor']).i32(0x9e3779b1).op(OP['i32.mul']).tee(bucket);
  code.get(bucket).i32(15).op(OP['i32.shr_u']).op(OP['i32.xor']).tee(bucket);
  word(layout.MAP_MASK).op(OP['i32.and']).i32(6).op(OP['i32.shl']);
  word(layout.MAP_BUCKETS).op(OP['i32.add']).tee(elem).simdLoad(SIMD['v128.load'], 0);
  code.get(bucket).i32(16).op(OP['i32.shr_u']).tee(match).i32(1).get(match).op(OP.select).simd(SIMD['i16x8.splat']);
  // Two bits for each tag.
  code.simd(SIMD['i16x8.eq']).simd(SIMD['i8x16.bitmask']).tee(match).if();
  code.get(match).op(OP['i32.ctz']).i32(1).op(OP['i32.shl']).get(elem).op(OP['i32.add']);
  code.mem(OP['i32.load'], ENTRIES).i32(1).op(OP['i32.sub']).i32(3).op(OP['i32.shl']).set(elem);
  writeEqual(code, words, elem);
  code.if();
  writeFound(code, map, elem);
  code.br(2).end().end();
  miss();
  code.end();
}

/** Pushes 1 when the key of the element is the one in `words`. */
function writeEqual(code: Code, words: readonly number[], elem: number): void {
  words.forEach((key, i) => {
    const at = layout.ELEM_KEY + i * 8;
    code.get(elem).mem(OP['i64.load'], at).get(key).op(OP['i64.xor']);
    if (i > 0) code.op(OP['i64.or']);
  });
  code.op(OP['i64.eqz']);
}

/** Marks an LRU map's element as looked up, and pushes its value's address. */
function writeFound(code: Code, map: CompiledMap, elem: number): void {
  if (map.type === BPF_MAP_TYPE_LRU_HASH || map.type === BPF_MAP_TYPE_LRU_PERCPU_HASH)
    code.get(elem).i32(1).mem(OP['i32.store'], layout.ELEM_REF);
  code.get(elem).i32(map.word(layout.MAP_VALUE_OFFSET)).op(OP['i32.add']);
}

/** Pushes `hashKey` of maps/layout.ts. */
function writeHash(code: Code, map: CompiledMap, words: readonly number[], seed: number, temp: number): void {
  const count = (map.keySize + 3) >>> 2;
  if (count === 0) code.i32(0);
  for (let i = 0; i < count; i++) {
    code.get(words[i >>> 1]);
    if ((i & 1) === 1) code.i64(32).op(OP['i64.shr_u']);
    code.op(OP['i32.wrap_i64']).get(seed).op(OP['i32.xor']).i32(layout.HASH_MULTIPLIER).op(OP['i32.mul']);
    code.tee(temp).get(temp).i32(15).op(OP['i32.shr_u']).op(OP['i32.xor']);
    code.i32(layout.hashFactor(i)).op(OP['i32.mul']);
    if (i > 0) code.op(OP['i32.add']);
  }
}
