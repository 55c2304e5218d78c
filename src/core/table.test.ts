import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heap } from './heap.ts';
import { type Buckets, HashTable, type TableCursor } from './table.ts';

function hash(n: number): number {
  return Math.imul(n + 1, 0x85ebca6b) >>> 0;
}

test('the table holds what a Map holds, through any order of inserts and removes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(300)), { maxLength: 800 }), (steps) => {
      const table = new HashTable({ hashOf: hash });
      const model = new Set<number>();
      for (const [add, n] of steps) {
        if (add && !model.has(n)) {
          expect(table.insert(hash(n), n)).toBe(true);
          model.add(n);
        } else if (!add) expect(table.remove(hash(n), n)).toBe(model.delete(n));
        expect(table.count).toBe(model.size);
      }
      for (let n = 0; n <= 300; n++) expect(table.find(hash(n), (e) => e === n)).toBe(model.has(n) ? n : -1);
    }),
  );
});

test('sizes change at the thresholds of the kernel: above 75 % double, below 30 % shrink to one and a half times the entries', () => {
  const table = new HashTable({ hashOf: hash, minSize: 64 });
  const grown: [number, number][] = [];
  for (let n = 0, size = table.size; n < 400; n++) {
    table.insert(hash(n), n);
    if (table.size !== size) grown.push([n + 1, table.size]);
    size = table.size;
  }
  expect(grown).toEqual([
    [49, 128],
    [97, 256],
    [193, 512],
    [385, 1024],
  ]);
  const shrunk: [number, number][] = [];
  for (let n = 399, size = table.size; n >= 0; n--) {
    table.remove(hash(n), n);
    if (table.size !== size) shrunk.push([n, table.size]);
    size = table.size;
  }
  expect(shrunk).toEqual([
    [306, 512],
    [152, 256],
    [75, 128],
    [37, 64],
  ]);
});

test('an iteration meets every entry that stays, however the table is resized meanwhile', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 60 }), (seed, burst) => {
      const table = new HashTable({ hashOf: hash });
      let s = seed;
      for (let n = 0; n < 200; n++) table.insert(hash(n), n);
      const seen = new Set<number>();
      const at: TableCursor = { cursor: 0, seed: 0, done: false };
      let extra = 1000;
      let low = 1000;
      while (!at.done) {
        table.scan(at, (n) => seen.add(n));
        s = (Math.imul(s, 1103515245) + 12345) & 0x7fffffff;
        if (s & 0x10000) for (let i = 0; i < burst; i++) table.insert(hash(extra), extra++);
        else for (let i = 0; i < burst && low < extra; i++) table.remove(hash(low), low++);
      }
      for (let n = 0; n < 200; n++) expect(seen.has(n)).toBe(true);
    }),
  );
});

test('entries of one and the same hash are all found and removed', () => {
  const table = new HashTable({ hashOf: () => 7 });
  for (let n = 0; n < 100; n++) table.insert(7, n);
  for (let n = 0; n < 100; n++) expect(table.find(7, (e) => e === n)).toBe(n);
  for (let n = 0; n < 100; n++) expect(table.remove(7, n)).toBe(true);
  expect(table.find(7, () => true)).toBe(-1);
});

test('bucket arrays may lie in a part of a larger memory; their owner is told where, and gets the old ones back', () => {
  const buffer = new ArrayBuffer(1 << 20);
  const heap = new Heap(buffer, 64, 1 << 20);
  let arrays: readonly Buckets[] = [];
  const table = new HashTable({
    hashOf: hash,
    allocate: (bytes) => {
      const offset = heap.alloc(bytes, 64);
      return offset === 0 ? undefined : { buffer, offset };
    },
    release: ({ offset }) => heap.free(offset),
    changed: (current, future) => {
      arrays = future === undefined ? [current] : [current, future];
    },
  });
  const u32 = new Uint32Array(buffer);
  const u16 = new Uint16Array(buffer);
  for (let n = 0; n < 2000; n++) {
    table.insert(hash(n), n);
    if (n % 37 !== 0) continue;
    let count = 0;
    for (const { offset, mask } of arrays)
      for (let at = offset; at < offset + (mask + 1) * 64; at += 64)
        for (let s = 0; s < 8; s++) if (u32[(at >> 2) + 4 + s] !== 0 && u16[(at >> 1) + s] !== 0) count++;
    expect(count).toBe(n + 1);
  }
  table.dispose();
  expect(heap.used).toBe(0);
});

test('without memory for a larger array the table fills up to the last slot and then refuses', () => {
  let calls = 0;
  const table = new HashTable({
    hashOf: hash,
    allocate: (bytes) => (calls++ === 0 ? { buffer: new ArrayBuffer(bytes), offset: 0 } : undefined),
  });
  for (let n = 0; n < 8; n++) expect(table.insert(hash(n), n)).toBe(true);
  expect(table.insert(hash(8), 8)).toBe(false);
  for (let n = 0; n < 9; n++) expect(table.find(hash(n), (e) => e === n)).toBe(n < 8 ? n : -1);
});
