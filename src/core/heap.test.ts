import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heap } from './heap.ts';

const SIZE = 1 << 16;

type Step = { readonly bytes: number; readonly align: number; readonly drop: number };
const step: fc.Arbitrary<Step> = fc.record({
  bytes: fc.oneof(fc.nat(64), fc.nat(3000)),
  align: fc.constantFrom(8, 8, 8, 16, 64, 4096),
  drop: fc.nat(),
});

test('blocks are zeroed, aligned, inside the region and apart from each other, and all room comes back', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const buffer = new ArrayBuffer(SIZE + 256);
      const u8 = new Uint8Array(buffer);
      const heap = new Heap(buffer, 100, SIZE);
      const live = new Map<number, number>();
      for (const { bytes, align, drop } of steps) {
        if (drop % 3 === 0 && live.size > 0) {
          const at = [...live.keys()][drop % live.size];
          heap.free(at);
          heap.free(at); // a second time is ignored
          live.delete(at);
          continue;
        }
        const at = heap.alloc(bytes, align);
        if (at === 0) continue;
        expect(at % align).toBe(0);
        expect(at).toBeGreaterThanOrEqual(100);
        expect(at + bytes).toBeLessThanOrEqual(SIZE);
        expect(heap.sizeOf(at)).toBeGreaterThanOrEqual(bytes);
        for (const [other, length] of live) expect(at + bytes <= other || other + length <= at).toBe(true);
        expect(u8.subarray(at, at + bytes).every((b) => b === 0)).toBe(true);
        u8.fill(0xa5, at, at + heap.sizeOf(at));
        live.set(at, bytes);
      }
      for (const at of live.keys()) heap.free(at);
      expect(heap.used).toBe(0);
      expect(u8.subarray(0, 100).every((b) => b === 0)).toBe(true);
      expect(u8.subarray(SIZE).every((b) => b === 0)).toBe(true);
      expect(heap.alloc(SIZE - 200)).not.toBe(0); // in one piece again
    }),
    { numRuns: 200 },
  );
});

test('what does not fit is refused', () => {
  const heap = new Heap(new ArrayBuffer(4096), 64, 4096);
  for (const bytes of [4096, 2 ** 31, 2 ** 40, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(heap.alloc(bytes)).toBe(0);
  expect(heap.alloc(4000)).toBe(72);
  expect(heap.alloc(64)).toBe(0);
});

test('memory that was never asked for is not written', () => {
  const buffer = new ArrayBuffer(1 << 20);
  const heap = new Heap(buffer, 64, 1 << 20);
  const a = heap.alloc(100_000, 4096);
  const b = heap.alloc(1 << 19);
  heap.free(a);
  heap.free(b);
  const touched = new Uint8Array(buffer).reduce((n, v) => n + (v === 0 ? 0 : 1), 0);
  expect(touched).toBeLessThan(64);
});
