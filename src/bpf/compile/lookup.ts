/**
 * Map lookups without leaving Wasm. Arrays are a bounds check and a multiplication; hash tables get a function of their own
 * in the module, which reads the buckets of core/table in the shared memory: eight tags are compared at once, keys in
 * words of eight bytes.
 */
import { Code, I32, OP, SIMD, V128, type WasmModule } from '../../core/wasm.ts';
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

/** Writes the function `(key address) -> value address or 0` of a hash table; `func` was declared before. */
export function defineHashLookup(m: WasmModule, func: number, map: CompiledMap): void {
  const key = 0;
  const [hash, buckets, mask, seed, mixed, at, last, match, elem, second] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const tag = 11;
  const code = new Code();
  const word = (n: number): Code => code.i32(map.address).mem(OP['i32.load'], n * 4);
  writeHash(code, map, key, hash);
  word(layout.MAP_BUCKETS).set(buckets);
  word(layout.MAP_MASK).set(mask);
  word(layout.MAP_SEED).set(seed);
  code.loop();
  // As `mixed` of core/table.
  code.get(hash).get(seed).op(OP['i32.xor']).i32(0x9e3779b1).op(OP['i32.mul']).tee(mixed);
  code.get(mixed).i32(15).op(OP['i32.shr_u']).op(OP['i32.xor']).tee(mixed);
  code.i32(16).op(OP['i32.shr_u']).tee(match).i32(1).get(match).op(OP.select).simd(SIMD['i16x8.splat']).set(tag);
  code.get(mixed).get(mask).op(OP['i32.and']).tee(at).get(mask).op(OP['i32.add']).set(last);
  code.loop();
  {
    const bucket = (): Code =>
      code.get(at).get(mask).op(OP['i32.and']).i32(6).op(OP['i32.shl']).get(buckets).op(OP['i32.add']);
    // `mixed` has served: from here on it is the bucket's address.
    bucket().tee(mixed).simdLoad(SIMD['v128.load'], 0).get(tag).simd(SIMD['i16x8.eq']);
    code.simd(SIMD['i16x8.bitmask']).tee(match).if().loop();
    code.get(match).op(OP['i32.ctz']).i32(2).op(OP['i32.shl']).get(mixed).op(OP['i32.add']);
    code.mem(OP['i32.load'], ENTRIES).i32(1).op(OP['i32.sub']).i32(3).op(OP['i32.shl']).tee(elem);
    writeEqual(code, map.keySize, key, elem);
    code.if();
    if (map.type === BPF_MAP_TYPE_LRU_HASH || map.type === BPF_MAP_TYPE_LRU_PERCPU_HASH)
      code.get(elem).i32(1).mem(OP['i32.store'], layout.ELEM_REF);
    code.get(elem).i32(map.word(layout.MAP_VALUE_OFFSET)).op(OP['i32.add']).op(OP.return).end();
    code.get(match).get(match).i32(1).op(OP['i32.sub']).op(OP['i32.and']).tee(match).brIf(0);
    code.end().end();
    code.get(mixed).mem(OP['i32.load'], PASSED).if();
    code.get(at).get(last).op(OP['i32.lt_u']).if();
    code.get(at).i32(1).op(OP['i32.add']).set(at).br(2).end().end();
  }
  code.end();
  code.get(second).op(OP['i32.eqz']).if();
  word(layout.MAP_FUTURE).tee(buckets).if();
  word(layout.MAP_FUTURE_MASK).set(mask);
  word(layout.MAP_FUTURE_SEED).set(seed);
  code.i32(1).tee(second).brIf(2).end().end();
  code.end().i32(0);
  m.define(func, [I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, V128], code);
}

/** `hashKey` of maps/layout.ts. */
function writeHash(code: Code, map: CompiledMap, key: number, hash: number): void {
  const mix = (): void => {
    code.op(OP['i32.xor']).i32(layout.HASH_MULTIPLIER).op(OP['i32.mul']).tee(hash);
    code.get(hash).i32(13).op(OP['i32.shr_u']).op(OP['i32.xor']).set(hash);
  };
  code
    .i32(map.address)
    .mem(OP['i32.load'], layout.MAP_HASH_SEED * 4)
    .set(hash);
  const whole = map.keySize & ~3;
  for (let at = 0; at < whole; at += 4) {
    code.get(hash).get(key).mem(OP['i32.load'], at);
    mix();
  }
  const rest = map.keySize & 3;
  if (rest === 0) return;
  code
    .get(hash)
    .get(key)
    .mem(rest === 1 ? OP['i32.load8_u'] : OP['i32.load16_u'], whole);
  if (rest === 3) {
    code
      .get(key)
      .mem(OP['i32.load8_u'], whole + 2)
      .i32(16)
      .op(OP['i32.shl'])
      .op(OP['i32.or']);
  }
  mix();
}

/** With the element's address on the stack (and in `elem`): 1 when its key equals the one at `key`. */
function writeEqual(code: Code, size: number, key: number, elem: number): void {
  if (size === 0) {
    code.op(OP.drop).i32(1);
    return;
  }
  let first = true;
  for (let at = 0; at < size; ) {
    const step = size - at >= 8 ? 8 : size - at >= 4 ? 4 : size - at >= 2 ? 2 : 1;
    const load =
      step === 8
        ? OP['i64.load']
        : step === 4
          ? OP['i64.load32_u']
          : step === 2
            ? OP['i64.load16_u']
            : OP['i64.load8_u'];
    if (!first) code.get(elem);
    code
      .mem(load, layout.ELEM_KEY + at)
      .get(key)
      .mem(load, at)
      .op(OP['i64.xor']);
    if (!first) code.op(OP['i64.or']);
    first = false;
    at += step;
  }
  code.op(OP['i64.eqz']);
}
