/**
 * Longest prefix match in Wasm: the walk down the trie that maps/lpm.ts keeps in the shared memory. Prefixes lie in network
 * order; they are compared eight bytes at a time, under a mask of a node's leading bits as they lie in a little-endian word.
 */
import { Code, I32, I64, OP, type WasmModule } from '../../core/wasm.ts';
import { BPF_MAP_TYPE_LPM_TRIE } from '../../wire/uapi/bpf.ts';
import * as layout from '../maps/layout.ts';
import type { CompiledMap } from './input.ts';

// Offsets in a node of maps/lpm.ts; the two children lie at 0 and 4.
const LPM_BITS = 8;
const LPM_HAS_VALUE = 12;
const LPM_PREFIX = 16;

/** Longer prefixes are looked up by the helper. */
const MAX_PREFIX_BYTES = 64;

export const isLpm = (map: CompiledMap): boolean =>
  map.type === BPF_MAP_TYPE_LPM_TRIE && map.keySize - 4 <= MAX_PREFIX_BYTES;

/** Writes the function `(key address) -> value address or 0`; `func` was declared before. */
export function defineLpmLookup(m: WasmModule, func: number, map: CompiledMap): void {
  const bytes = map.keySize - 4;
  const [key, bits, node, found, own, rest] = [0, 1, 2, 3, 4, 5];
  const differ = 6;
  const code = new Code();
  code
    .get(key)
    .mem(OP['i32.load'], 0)
    .tee(bits)
    .i32(bytes * 8)
    .op(OP['i32.gt_u'])
    .if()
    .i32(0)
    .op(OP.return)
    .end();
  code.i32(map.word(layout.MAP_VALUES)).mem(OP['i32.load'], 0).set(node);
  code.block().loop();
  code.get(node).op(OP['i32.eqz']).brIf(1);
  code.get(node).mem(OP['i32.load'], LPM_BITS).tee(own).get(bits).op(OP['i32.gt_u']).brIf(1);
  for (let at = 0; at < bytes; ) {
    const step = bytes - at >= 8 ? 8 : bytes - at >= 4 ? 4 : bytes - at >= 2 ? 2 : 1;
    const load =
      step === 8
        ? OP['i64.load']
        : step === 4
          ? OP['i64.load32_u']
          : step === 2
            ? OP['i64.load16_u']
            : OP['i64.load8_u'];
    // Bits of the prefix in this word, if any: they have to be equal.
    code.block();
    if (at > 0)
      code
        .get(own)
        .i32(at * 8)
        .op(OP['i32.le_u'])
        .brIf(0);
    code
      .get(node)
      .mem(load, LPM_PREFIX + at)
      .get(key)
      .mem(load, 4 + at)
      .op(OP['i64.xor'])
      .tee(differ);
    code.op(OP['i64.eqz']).brIf(0);
    code
      .get(own)
      .i32(at * 8)
      .op(OP['i32.sub'])
      .tee(rest)
      .i32(step * 8)
      .op(OP['i32.ge_u'])
      .brIf(2);
    writeMask(code, rest);
    code.get(differ).op(OP['i64.and']).op(OP['i64.eqz']).op(OP['i32.eqz']).brIf(2);
    code.end();
    at += step;
  }
  code.get(node).get(found).get(node).mem(OP['i32.load'], LPM_HAS_VALUE).op(OP.select).set(found);
  code.get(own).get(bits).op(OP['i32.ge_u']).brIf(1);
  // The child on the side of the key's next bit.
  code.get(key).get(own).i32(3).op(OP['i32.shr_u']).op(OP['i32.add']).mem(OP['i32.load8_u'], 4);
  code.i32(7).get(own).i32(7).op(OP['i32.and']).op(OP['i32.sub']).op(OP['i32.shr_u']).i32(1).op(OP['i32.and']);
  code.i32(2).op(OP['i32.shl']).get(node).op(OP['i32.add']).mem(OP['i32.load'], 0).set(node).br(0);
  code.end().end();
  const value = map.word(layout.MAP_VALUE_OFFSET);
  code.get(found).i32(value).op(OP['i32.add']).i32(0).get(found).op(OP.select);
  m.define(func, [I32, I32, I32, I32, I32, I64], code);
}

/** Pushes the mask of the first `rest` (0 to 63) bits in network order of a word that was loaded little endian. */
function writeMask(code: Code, rest: number): void {
  // Whole bytes below, the leading bits of one byte above them.
  const shift = (): Code => code.get(rest).i32(-8).op(OP['i32.and']).op(OP['i64.extend_i32_u']);
  code.i64(1);
  shift().op(OP['i64.shl']).i64(1).op(OP['i64.sub']);
  code.i32(0xff00).get(rest).i32(7).op(OP['i32.and']).op(OP['i32.shr_u']).i32(0xff).op(OP['i32.and']);
  code.op(OP['i64.extend_i32_u']);
  shift().op(OP['i64.shl']).op(OP['i64.or']);
}
