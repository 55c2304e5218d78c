import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import * as layout from '../maps/layout.ts';
import type { BpfMap } from '../maps/map.ts';
import { Bench } from './test-double.ts';

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });

/** r0 = address of the value of the key that the context holds. */
const LOOKUP = [insn(0xbf, 2, 1), insn(0x18, 1, 1, 0, 0), insn(0), insn(0x85, 0, 0, 0, 1), insn(0x95)];

function lookups(bench: Bench, map: BpfMap): (key: Uint8Array) => number {
  const program = bench.load(LOOKUP, { maps: [map] });
  return (key) => Number(bench.r0(program, key));
}

const small = (size: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: size, maxLength: size, max: 3 });

for (const type of [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_HASH])
  for (const keySize of [1, 2, 3, 4, 6, 8, 12, 16, 37])
    test(`a compiled lookup in a hash map of type ${type} with keys of ${keySize} bytes finds what the map finds`, () => {
      const bench = new Bench();
      const map = bench.map({ type, keySize, valueSize: 8, maxEntries: 300 });
      const find = lookups(bench, map);
      const dv = bench.machine.slab.dv;
      const at = bench.machine.heap.alloc(64);
      const present: Uint8Array[] = [];
      fc.assert(
        fc.property(small(keySize), fc.boolean(), (key, insert) => {
          if (insert) {
            map.userUpdate(key, new Uint8Array(8).fill(1), 0);
            present.push(key);
          } else map.userDelete(key);
          for (const k of [key, ...present.slice(-3)]) {
            bench.machine.slab.u8.set(k, at);
            // In this order: the map's own lookup may mark the element.
            const found = find(k);
            expect(found).toBe(map.lookup(at));
            if (found !== 0 && type === BPF_MAP_TYPE_LRU_HASH) {
              const element = found - dv.getUint32(map.address + layout.MAP_VALUE_OFFSET * 4, true);
              expect(dv.getUint32(element + layout.ELEM_REF, true) & 1).toBe(1);
            }
          }
        }),
        { numRuns: 150 },
      );
    });

test('lookups in a table that grows to 5,000 entries are right at every size, also while it is resized', () => {
  const bench = new Bench();
  const map = bench.map({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 6_000, flags: 1 });
  const find = lookups(bench, map);
  const key = (n: number): Uint8Array => new Uint8Array(Uint32Array.of(n * 7919).buffer);
  const future = bench.machine.slab.dv;
  let resized = 0;
  for (let n = 0; n < 5_000; n++) {
    map.userUpdate(key(n), key(n), 0);
    if (future.getUint32(map.address + layout.MAP_FUTURE * 4, true) !== 0) resized++;
    for (const k of [n, n >> 1, n >> 4]) expect(find(key(k))).not.toBe(0);
    expect(find(key(n + 1))).toBe(0);
  }
  expect(resized).toBeGreaterThan(100);
});

for (const bytes of [1, 3, 4, 8, 11, 16])
  test(`a compiled longest prefix match over ${bytes} bytes finds what the trie finds`, () => {
    const bench = new Bench();
    const map = bench.map({ type: BPF_MAP_TYPE_LPM_TRIE, keySize: 4 + bytes, valueSize: 8, maxEntries: 500, flags: 1 });
    const find = lookups(bench, map);
    const at = bench.machine.heap.alloc(64);
    const prefix = fc
      .tuple(
        fc.integer({ min: 0, max: bytes * 8 + 1 }),
        fc.uint8Array({ minLength: bytes, maxLength: bytes, max: 255 }),
      )
      .map(([length, data]) => {
        // Few different first bytes, so that prefixes contain each other.
        data[0] &= 0x81;
        return Uint8Array.of(...new Uint8Array(Uint32Array.of(length).buffer), ...data);
      });
    fc.assert(
      fc.property(prefix, prefix, fc.nat({ max: 4 }), (stored, asked, what) => {
        if (what === 0) map.userDelete(stored);
        else map.userUpdate(stored, new Uint8Array(8).fill(what), 0);
        for (const k of [stored, asked]) {
          bench.machine.slab.u8.set(k, at);
          expect(find(k)).toBe(map.lookup(at));
        }
      }),
      { numRuns: 300 },
    );
  });

test('a per-CPU array of one processor is looked up as an array', () => {
  const bench = new Bench();
  const map = bench.map({ type: BPF_MAP_TYPE_PERCPU_ARRAY, keySize: 4, valueSize: 12, maxEntries: 5 });
  const find = lookups(bench, map);
  const at = bench.machine.heap.alloc(8);
  for (const n of [0, 4, 5, 0xffffffff]) {
    const key = new Uint8Array(Uint32Array.of(n).buffer);
    bench.machine.slab.u8.set(key, at);
    expect(find(key)).toBe(map.lookup(at));
  }
});
