import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ring } from './ring.ts';

test('packets come out as they went in, in order, and never more than the ring holds', () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 8), fc.array(fc.tuple(fc.boolean(), fc.nat(5))), (slots, steps) => {
      const memory = new SharedArrayBuffer(Ring.bytes(slots));
      const producer = new Ring(slots, memory);
      const consumer = new Ring(slots, memory);
      const model: number[] = [];
      let next = 0;
      for (const [give, count] of steps) {
        if (give) {
          for (let i = 0; i < count; i++) {
            const fits = model.length < slots;
            expect(producer.put(next, next & 0xffff, 1)).toBe(fits);
            if (fits) model.push(next);
            next++;
          }
          producer.publish();
        } else {
          const n = Math.min(count, consumer.available);
          for (let i = 0; i < n; i++)
            expect([consumer.index(i), consumer.length(i), consumer.flags(i)]).toEqual([
              model[i],
              model[i] & 0xffff,
              1,
            ]);
          consumer.take(n);
          model.splice(0, n);
        }
        expect(consumer.available).toBe(model.length);
        expect(producer.space).toBe(slots - model.length);
      }
    }),
  );
});

test('what was put is not seen before it is published', () => {
  const ring = new Ring(4);
  ring.put(7, 60);
  expect(ring.available).toBe(0);
  ring.publish();
  expect(ring.available).toBe(1);
});
