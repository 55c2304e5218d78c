import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as b from '../../wire/uapi/bpf.ts';
import { ELEM_KEY, MAP_FUTURE, MAP_VALUE_OFFSET } from './layout.ts';
import { TestHost, u32s, u64 } from './test-host.ts';

const step = fc.record({
  op: fc.constantFrom('update', 'update', 'update', 'delete', 'lookup'),
  key: fc.nat(40),
  value: fc.nat(1000),
  flags: fc.constantFrom(0, 0, 0, 1, 2),
});

test('a hash map holds what a Map holds, answers with the errno of bpf(2), and gives all memory back', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(b.BPF_MAP_TYPE_HASH, b.BPF_MAP_TYPE_PERCPU_HASH),
      fc.constantFrom(0, b.BPF_F_NO_PREALLOC),
      fc.constantFrom(4, 5, 12, 3),
      fc.array(step, { maxLength: 300 }),
      (type, flags, keySize, steps) => {
        const host = new TestHost(1);
        const before = host.slab.heap.used;
        const map = host.make({ type, flags, keySize, maxEntries: 20 });
        const model = new Map<number, number>();
        const keyOf = (n: number): Uint8Array => {
          const key = new Uint8Array(keySize).fill(n & 1);
          key[0] = n;
          return key;
        };
        for (const { op, key, value, flags } of steps) {
          const k = keyOf(key);
          if (op === 'lookup') {
            const got = map.userLookup(k, 0);
            expect(got).toEqual(model.has(key) ? u64(model.get(key)!) : -2);
          } else if (op === 'delete') expect(map.userDelete(k)).toBe(model.delete(key) ? 0 : -2);
          else {
            let want = 0;
            if (model.has(key)) want = flags === 1 ? -17 : 0;
            else if (flags === 2) want = -2;
            else if (model.size >= 20) want = -7;
            if (want === 0) model.set(key, value);
            expect(map.userUpdate(k, u64(value), flags)).toBe(want);
          }
        }
        const keys = new Set<number>();
        for (let k = map.userNextKey(undefined); typeof k !== 'number'; k = map.userNextKey(k)) keys.add(k[0]);
        expect(keys).toEqual(new Set(model.keys()));
        map.destroy();
        expect(host.slab.heap.used).toBe(before);
      },
    ),
  );
});

test('a walk by next key meets every key that stays, while others come and go and the table is resized', () => {
  const host = new TestHost(1);
  const map = host.make({ type: b.BPF_MAP_TYPE_HASH, maxEntries: 5000 });
  for (let n = 0; n < 500; n++) map.userUpdate(u32s(n), u64(n), 0);
  const seen = new Set<number>();
  let extra = 1000;
  let resized = 0;
  for (let k = map.userNextKey(undefined); typeof k !== 'number'; k = map.userNextKey(k)) {
    seen.add(new DataView(k.buffer).getUint32(0, true));
    for (let i = 0; i < 7 && extra < 4000; i++) map.userUpdate(u32s(extra++), u64(0), 0);
    if (host.slab.dv.getUint32(map.address + MAP_FUTURE * 4, true) !== 0) resized++;
  }
  for (let n = 0; n < 500; n++) expect(seen.has(n)).toBe(true);
  expect(resized).toBeGreaterThan(0);
});

test('whoever points to a value that was replaced or deleted reads what it was, until a new key takes the element', () => {
  const host = new TestHost(1);
  const map = host.make({ type: b.BPF_MAP_TYPE_HASH });
  const { dv } = host.slab;
  const keyAt = host.slab.heap.alloc(8);
  map.userUpdate(u32s(1), u64(11), 0);
  dv.setUint32(keyAt, 1, true);
  const old = map.lookup(keyAt);
  map.userUpdate(u32s(1), u64(22), 0);
  expect(dv.getUint32(old, true)).toBe(11);
  expect(dv.getUint32(map.lookup(keyAt), true)).toBe(22);
  map.userUpdate(u32s(2), u64(33), 0);
  expect(dv.getUint32(old, true)).toBe(11);
  expect(old - dv.getUint32(map.address + MAP_VALUE_OFFSET * 4, true) + ELEM_KEY).toBeGreaterThan(0);
});

test('an LRU map never holds more than its entries (rounded up to the CPUs), never refuses a new key, and keeps what is looked up', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(b.BPF_MAP_TYPE_LRU_HASH, b.BPF_MAP_TYPE_LRU_PERCPU_HASH),
      fc.constantFrom(0, b.BPF_F_NO_COMMON_LRU),
      fc.integer({ min: 1, max: 30 }),
      fc.array(step, { maxLength: 400 }),
      (type, flags, maxEntries, steps) => {
        const host = new TestHost(2);
        const before = host.slab.heap.used;
        const map = host.make({ type, flags, maxEntries });
        const keyAt = host.slab.heap.alloc(8);
        for (const { op, key, value } of steps) {
          host.current = value & 1;
          host.slab.dv.setUint32(keyAt, key, true);
          if (op === 'lookup') map.lookup(keyAt);
          else if (op === 'delete') map.delete(keyAt);
          else {
            const both = new Uint8Array(map.userValueSize);
            both.set(u64(value));
            expect(map.userUpdate(u32s(key), both, 0)).toBe(0);
            expect(map.lookup(keyAt)).not.toBe(0);
          }
        }
        const stay = (): number => 0;
        const count = map.forEach(stay);
        expect(count).toBeLessThanOrEqual(Math.ceil(maxEntries / 2) * 2);
        host.slab.heap.free(keyAt);
        map.destroy();
        expect(host.slab.heap.used).toBe(before);
      },
    ),
  );
});

test('a full LRU map drops the key that was not looked up for longest', () => {
  const host = new TestHost(2);
  const map = host.make({ type: b.BPF_MAP_TYPE_LRU_HASH, maxEntries: 3 });
  for (const n of [1, 2, 3, 4]) expect(map.userUpdate(u32s(n), u64(n), 0)).toBe(0);
  expect([1, 2, 3, 4].filter((n) => typeof map.userLookup(u32s(n), 0) !== 'number')).toEqual([2, 3, 4]);
});

test('the longest prefix wins: a trie answers as a list of prefixes does', () => {
  const prefix = fc.record({ bits: fc.nat(17), data: fc.nat(0xffff), drop: fc.boolean() });
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 80 }), fc.array(fc.nat(0xffff), { maxLength: 30 }), (steps, asked) => {
      const host = new TestHost(1);
      const before = host.slab.heap.used;
      const map = host.make({ type: b.BPF_MAP_TYPE_LPM_TRIE, keySize: 6, maxEntries: 30, flags: 1 });
      const model = new Map<string, { bits: number; data: number; value: number }>();
      const keyOf = (bits: number, data: number): Uint8Array =>
        Uint8Array.of(...u32s(bits), (data >> 8) & 255, data & 255);
      const mask = (bits: number): number => (0xffff << (16 - bits)) & 0xffff;
      let value = 0;
      for (const { bits, data, drop } of steps) {
        const name = `${bits}/${data & mask(bits)}`;
        if (bits > 16) {
          expect(map.userUpdate(keyOf(bits, data), u64(0), 0)).toBe(-22);
          expect(map.userDelete(keyOf(bits, data))).toBe(-22);
        } else if (drop) expect(map.userDelete(keyOf(bits, data))).toBe(model.delete(name) ? 0 : -2);
        else {
          const want = !model.has(name) && model.size >= 30 ? -28 : 0;
          value++;
          expect(map.userUpdate(keyOf(bits, data), u64(value), 0)).toBe(want);
          if (want === 0) model.set(name, { bits, data: data & mask(bits), value });
        }
      }
      for (const data of asked) {
        const best = [...model.values()]
          .filter((p) => (data & mask(p.bits)) === p.data)
          .sort((x, y) => y.bits - x.bits)[0];
        expect(map.userLookup(keyOf(16, data), 0)).toEqual(best === undefined ? -2 : u64(best.value));
      }
      let count = 0;
      for (let k = map.userNextKey(undefined); typeof k !== 'number'; k = map.userNextKey(k)) {
        const bits = new DataView(k.buffer).getUint32(0, true);
        expect(model.has(`${bits}/${((k[4] << 8) | k[5]) & mask(bits)}`)).toBe(true);
        count++;
      }
      expect(count).toBe(model.size);
      map.destroy();
      expect(host.slab.heap.used).toBe(before);
    }),
  );
});

test('a queue gives out the oldest, a stack the newest; full ones refuse, or with BPF_EXIST lose the oldest', () => {
  for (const [type, order] of [
    [b.BPF_MAP_TYPE_QUEUE, [2, 3, 4, 5]],
    [b.BPF_MAP_TYPE_STACK, [5, 4, 3, 2]],
  ] as const) {
    const map = new TestHost().make({ type, keySize: 0 });
    const none = new Uint8Array();
    for (const n of [1, 2, 3, 4]) expect(map.userUpdate(none, u64(n), 0)).toBe(0);
    expect(map.userUpdate(none, u64(5), 0)).toBe(-7);
    expect(map.userUpdate(none, u64(5), 1)).toBe(-22);
    expect(map.userUpdate(none, u64(5), 2)).toBe(0);
    expect(map.userLookup(none, 0)).toEqual(u64(order[0]));
    for (const n of order) expect(map.userTake(none, 0)).toEqual(u64(n));
    expect(map.userTake(none, 0)).toBe(-2);
  }
});

test('a bloom filter never denies what was added', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 50 }), (values) => {
      const map = new TestHost().make({ type: b.BPF_MAP_TYPE_BLOOM_FILTER, keySize: 0, maxEntries: 16 });
      expect(map.userLookup(u64(12345), 0)).toBe(-2);
      for (const value of values) expect(map.userUpdate(new Uint8Array(), u64(value), 0)).toBe(0);
      for (const value of values) expect(map.userLookup(u64(value), 0)).toEqual(u64(value));
    }),
  );
});

test('ring buffer records come out in order, whole across the end, without the discarded ones, up to one that is busy', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ size: fc.integer({ min: 1, max: 1500 }), drop: fc.boolean(), read: fc.boolean() }), {
        maxLength: 60,
      }),
      (steps) => {
        const host = new TestHost();
        const { u8 } = host.slab;
        const { ring } = host.make({ type: b.BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
        const expected: number[][] = [];
        const got: number[][] = [];
        let n = 0;
        for (const { size, drop, read } of steps) {
          const at = ring!.reserve(size, 0);
          if (at !== 0) {
            n = (n + 1) & 255;
            u8.fill(n, at, at + size);
            if (drop) ring!.discard(at, 0);
            else {
              ring!.submit(at, 0);
              expected.push([size, n]);
            }
          }
          if (read || at === 0)
            ring!.consume((bytes) => {
              expect(bytes.every((x) => x === bytes[0])).toBe(true);
              got.push([bytes.length, bytes[0]]);
              return 0;
            });
        }
        ring!.consume((bytes) => {
          got.push([bytes.length, bytes[0]]);
          return 0;
        });
        expect(got).toEqual(expected);
        expect(ring!.query(0)).toBe(0);
        const busy = ring!.reserve(8, 0);
        ring!.submit(ring!.reserve(8, 0), 0);
        expect(ring!.consume(() => 0)).toBe(0);
        ring!.submit(busy, 0);
        expect(ring!.consume(() => 0)).toBe(2);
      },
    ),
  );
});

test('a consumer that has read everything is woken by the next record, and only by that one, unless the program says so', () => {
  const { ring } = new TestHost().make({ type: b.BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
  let woken = 0;
  ring!.onWake = () => {
    woken++;
  };
  ring!.submit(ring!.reserve(8, 0), 0);
  ring!.submit(ring!.reserve(8, 0), 0);
  expect(woken).toBe(1);
  ring!.submit(ring!.reserve(8, 0), 2);
  expect(woken).toBe(2);
  ring!.consume(() => 0);
  ring!.submit(ring!.reserve(8, 0), 1);
  expect(woken).toBe(2);
  expect(ring!.reserve(4096, 0)).toBe(0);
  expect(ring!.reserve(8, 1)).toBe(0);
  expect(ring!.output(0, 8, 4)).toBe(-22);
});

test('an inner map must look like the template; lookups give its descriptor to programs and its number to user space', () => {
  for (const type of [b.BPF_MAP_TYPE_ARRAY_OF_MAPS, b.BPF_MAP_TYPE_HASH_OF_MAPS]) {
    const host = new TestHost();
    const inner = { name: '', type: b.BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: 4, flags: 0 };
    const good = host.make(inner);
    const other = host.make({ ...inner, maxEntries: 5 });
    const outer = host.make({ type, valueSize: 4, inner });
    expect(outer.userUpdate(u32s(1), u32s(good.id), 0)).toBe(0);
    expect(outer.userUpdate(u32s(1), u32s(other.id), 0)).toBe(-22);
    expect(outer.userUpdate(u32s(1), u32s(99), 0)).toBe(-9);
    expect(outer.userLookup(u32s(1), 0)).toEqual(u32s(good.id));
    const keyAt = host.slab.heap.alloc(8);
    host.slab.dv.setUint32(keyAt, 1, true);
    expect(outer.lookup(keyAt)).toBe(good.address);
    expect(outer.userDelete(u32s(1))).toBe(0);
    expect(outer.lookup(keyAt)).toBe(0);
    outer.userUpdate(u32s(1), u32s(good.id), 0);
    outer.forget?.(good.id);
    expect(outer.lookup(keyAt)).toBe(0);
  }
});

test('spin locks and timers in a value are not copied over, and user space reads zeros there', () => {
  const host = new TestHost();
  const map = host.make({ type: b.BPF_MAP_TYPE_HASH, valueSize: 16, record: { spinLock: 4 } });
  const keyAt = host.slab.heap.alloc(8);
  map.userUpdate(u32s(0), u32s(1, 2, 3, 4), 0);
  const at = map.lookup(keyAt);
  expect(host.slab.dv.getUint32(at + 4, true)).toBe(0);
  host.slab.dv.setUint32(at + 4, 1, true);
  expect(map.userUpdate(u32s(0), u32s(9, 9, 9, 9), b.BPF_F_LOCK)).toBe(0);
  expect(map.lookup(keyAt)).toBe(at);
  expect(host.slab.dv.getUint32(at + 4, true)).toBe(1);
  expect(map.userLookup(u32s(0), 0)).toEqual(u32s(9, 0, 9, 9));
});

test('a map that does not fit in the heap is refused with ENOMEM, and nothing stays behind', () => {
  const host = new TestHost(2, 1 << 20);
  const before = host.slab.heap.used;
  for (const spec of [
    { type: b.BPF_MAP_TYPE_ARRAY, maxEntries: 1 << 20 },
    { type: b.BPF_MAP_TYPE_BLOOM_FILTER, keySize: 0, maxEntries: 0xffff_ffff },
    { type: b.BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 1 << 30 },
    { type: b.BPF_MAP_TYPE_QUEUE, keySize: 0, maxEntries: 0xffff_ffff },
    { type: b.BPF_MAP_TYPE_PROG_ARRAY, valueSize: 4, maxEntries: 0xffff_ffff },
  ])
    expect(() => host.make(spec)).toThrow(/does not fit/);
  expect(host.slab.heap.used).toBe(before);
  const map = host.make({ type: b.BPF_MAP_TYPE_HASH, valueSize: 4096, maxEntries: 1_000_000 });
  let n = 0;
  while (n < 1000 && map.userUpdate(u32s(n), new Uint8Array(4096), 0) === 0) n++;
  expect(n).toBeGreaterThan(100);
  expect(map.userUpdate(u32s(n), new Uint8Array(4096), 0)).toBe(-12);
});
