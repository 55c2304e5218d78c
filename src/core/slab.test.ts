import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HEADROOM, NO_OFFSET, Slab } from './slab.ts';

test('a packet keeps its bytes while headers are pushed and pulled', () => {
  const slab = new Slab({ slots: 4 });
  const p = slab.from(Uint8Array.of(1, 2, 3, 4));
  expect(slab.pull(p, 2)).toBe(true);
  expect([...slab.bytes(p)]).toEqual([3, 4]);
  expect(slab.push(p, 2)).toBe(true);
  expect([...slab.bytes(p)]).toEqual([1, 2, 3, 4]);
  expect(slab.push(p, HEADROOM + 1)).toBe(false);
  expect(slab.pull(p, 5)).toBe(false);
});

test('the IP header behind an Ethernet header lies on 16 bytes', () => {
  const slab = new Slab({ slots: 2 });
  expect((slab.head(slab.alloc()) + 14) % 16).toBe(0);
  expect((slab.head(slab.alloc()) + 14) % 16).toBe(0);
});

test('slots run out without an exception, and come back', () => {
  const slab = new Slab({ slots: 2, largeSlots: 1 });
  const a = slab.alloc();
  const b = slab.alloc();
  expect(slab.alloc()).toBe(-1);
  const big = slab.alloc(60_000);
  expect(big).toBeGreaterThanOrEqual(0);
  expect(slab.alloc(60_000)).toBe(-1);
  expect(slab.alloc(100_000)).toBe(-1);
  for (const p of [a, b, big, big]) slab.free(p);
  expect(slab.used).toBe(0);
});

test('a shared packet is free after its last holder', () => {
  const slab = new Slab({ slots: 1 });
  const p = slab.from(Uint8Array.of(9));
  slab.ref(p);
  slab.free(p);
  expect(slab.used).toBe(1);
  slab.free(p);
  expect(slab.used).toBe(0);
});

test('a copy has the same bytes, metadata and header offsets, and lives on its own', () => {
  const slab = new Slab({ slots: 4 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 1500 }), fc.nat(14), (bytes, pulled) => {
      const p = slab.from(bytes);
      slab.setMac(p, slab.head(p));
      slab.pull(p, pulled);
      slab.setNetwork(p, slab.head(p));
      slab.setMark(p, 7);
      const q = slab.copy(p);
      slab.u8[slab.head(p)] ^= 0xff;
      expect([...slab.bytes(q)]).toEqual([...bytes.subarray(pulled)]);
      expect(slab.head(q) - slab.mac(q)).toBe(pulled);
      expect(slab.network(q)).toBe(slab.head(q));
      expect(slab.transport(q)).toBe(NO_OFFSET);
      expect(slab.mark(q)).toBe(7);
      slab.free(p);
      slab.free(q);
      expect(slab.used).toBe(0);
    }),
  );
});
