import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeRanges, type Range } from './auto-merge.ts';

const r = (low: number, high: number): Range => ({ low: BigInt(low), high: BigInt(high) });

test('a range that touches others replaces them by the union', () => {
  const have = [r(1, 3), r(10, 12), r(20, 20)];
  expect(mergeRanges(have, [r(4, 9)])).toEqual({ gone: [r(1, 3), r(10, 12)], fresh: [r(1, 12)] });
  expect(have).toEqual([r(1, 12), r(20, 20)]);
});

test('a range inside another changes nothing', () => {
  expect(mergeRanges([r(1, 9)], [r(2, 3)])).toEqual({ gone: [], fresh: [] });
});

test('afterwards the set covers exactly what both covered', () => {
  const range = fc.tuple(fc.nat(60), fc.nat(6)).map(([low, size]) => r(low, low + size));
  fc.assert(
    fc.property(fc.array(range), fc.array(range), (first, second) => {
      const have: Range[] = [];
      mergeRanges(have, first);
      mergeRanges(have, second);
      for (let i = 0n; i < 70n; i++) {
        const covers = (list: readonly Range[]): boolean => list.some((x) => x.low <= i && x.high >= i);
        expect(covers(have)).toBe(covers([...first, ...second]));
      }
      for (let i = 1; i < have.length; i++) expect(have[i].low > have[i - 1].high + 1n).toBe(true);
    }),
  );
});
