import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NFT_SET_ELEM_INTERVAL_END } from '../../../wire/uapi/nf-tables.ts';
import { ConcatIntervalBackend } from './concat-interval.ts';
import { HashBackend } from './hash.ts';
import { IntervalBackend } from './interval.ts';
import type { Element, SetBackend } from './set.ts';

function element(key: number[], flags = 0, keyEnd?: number[], expires = Number.POSITIVE_INFINITY): Element {
  return {
    key: Uint8Array.from(key),
    keyEnd: keyEnd && Uint8Array.from(keyEnd),
    flags,
    data: undefined,
    verdict: undefined,
    object: undefined,
    timeoutMs: 0,
    expires,
    userdata: undefined,
    exprs: [],
  };
}

/** Adds [low, high] as the two elements that messages carry. */
function addInterval(set: SetBackend, low: number, high: number): boolean {
  const start = element([low]);
  if (set.insert(start, 0) !== undefined) return false;
  if (high === 255) return true;
  if (set.insert(element([high + 1], NFT_SET_ELEM_INTERVAL_END), 0) === undefined) return true;
  set.remove(start);
  return false;
}

test('an interval set holds what lies in one of its intervals, and takes no interval that overlaps another', () => {
  const interval = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => (a < b ? [a, b] : [b, a]));
  fc.assert(
    fc.property(fc.array(interval, { maxLength: 12 }), (list) => {
      const set = new IntervalBackend(1);
      const kept: number[][] = [];
      for (const [low, high] of list) {
        const overlaps = kept.some(([a, b]) => low <= b && high >= a);
        const added = addInterval(set, low, high);
        // An interval without end that swallows others is seen only by what follows it, as in Linux.
        if (overlaps && added) return;
        expect(added).toBe(!overlaps);
        if (added) kept.push([low, high]);
      }
      for (let key = 0; key < 256; key++) {
        const inside = kept.some(([a, b]) => key >= a && key <= b);
        expect(set.lookup(Uint8Array.of(key), 0, 0) !== undefined).toBe(inside);
      }
    }),
  );
});

test('intervals that touch need no end between them in anonymous sets', () => {
  const set = new IntervalBackend(1, true);
  for (const e of [element([0]), element([5]), element([6]), element([7], NFT_SET_ELEM_INTERVAL_END)])
    expect(set.insert(e, 0)).toBeUndefined();
  expect([4, 5, 6, 7].map((k) => set.lookup(Uint8Array.of(k), 0, 0)?.key[0])).toEqual([0, 5, 6, undefined]);
});

test('a concatenation of ranges matches when every field does', () => {
  const range = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => (a < b ? [a, b] : [b, a]));
  fc.assert(
    fc.property(fc.array(fc.tuple(range, range), { maxLength: 8 }), fc.nat(255), fc.nat(255), (list, x, y) => {
      const set = new ConcatIntervalBackend([1, 1], 8);
      const kept: number[][][] = [];
      for (const [a, b] of list) {
        const key = [a[0], 0, 0, 0, b[0], 0, 0, 0];
        const end = [a[1], 0, 0, 0, b[1], 0, 0, 0];
        if (set.insert(element(key, 0, end), 0) === undefined) kept.push([a, b]);
      }
      const inside = kept.some(([a, b]) => x >= a[0] && x <= a[1] && y >= b[0] && y <= b[1]);
      expect(set.lookup(Uint8Array.of(x, 0, 0, 0, y, 0, 0, 0), 0, 0) !== undefined).toBe(inside);
    }),
  );
});

test('a hash set behaves like a map, through growth and deletion', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(400)), { maxLength: 400 }), (steps) => {
      const set = new HashBackend(2);
      const model = new Map<number, Element>();
      for (const [add, n] of steps) {
        const e = element([n >> 8, n & 255]);
        if (add) {
          expect(set.insert(e, 0)).toBe(model.get(n));
          if (!model.has(n)) model.set(n, e);
        } else {
          const old = model.get(n);
          if (old) set.remove(old);
          model.delete(n);
        }
      }
      expect(set.size).toBe(model.size);
      for (const [n, e] of model) expect(set.lookup(Uint8Array.of(n >> 8, n & 255), 0, 0)).toBe(e);
    }),
  );
});

test('an element whose time is up is not found, and its key is free again', () => {
  const set = new HashBackend(1);
  set.insert(element([1], 0, undefined, 100), 0);
  expect(set.lookup(Uint8Array.of(1), 0, 99)).toBeDefined();
  expect(set.lookup(Uint8Array.of(1), 0, 100)).toBeUndefined();
  expect(set.insert(element([1]), 100)).toBeUndefined();
});
