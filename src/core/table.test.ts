import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HashTable, type TableCursor } from './table.ts';

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
