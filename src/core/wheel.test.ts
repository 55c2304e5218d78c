import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimerWheel } from './wheel.ts';

/** Deadlines of all magnitudes: within a tick, within a level, over levels, never. */
const deadline = fc.oneof(
  fc.nat(100_000),
  fc.nat(20_000_000),
  fc.integer({ min: 0, max: 5_000_000_000 }),
  fc.integer({ min: 0, max: 4_000_000_000_000_000 }),
  fc.constantFrom(65_535, 65_536, 65_536 * 256, 65_536 * 65_536, Number.POSITIVE_INFINITY),
);

test('any mix of arming, stopping and passing time fires what a sorted list would fire, in its order', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ arm: deadline }) },
    { weight: 1, arbitrary: fc.record({ cancel: fc.nat(50) }) },
    { weight: 2, arbitrary: fc.record({ pass: fc.oneof(fc.nat(200_000), fc.nat(3_000_000_000), fc.nat(2 ** 50)) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const wheel = new TimerWheel();
      type Armed = { at: number; n: number; id: number };
      let armed: Armed[] = [];
      const fired: number[] = [];
      const fn = (n: number): void => {
        fired.push(n);
      };
      let now = 0;
      let n = 0;
      for (const s of steps) {
        if ('arm' in s) {
          const at = now + s.arm;
          armed.push({ at, n, id: wheel.arm(at, fn, n) });
          n++;
        } else if ('cancel' in s) {
          const victim = armed[s.cancel % Math.max(1, armed.length)];
          if (victim) {
            expect(wheel.cancel(victim.id)).toBe(true);
            armed = armed.filter((a) => a !== victim);
          }
        } else {
          now += s.pass;
          const due = armed.filter((a) => a.at <= now).sort((a, b) => a.at - b.at || a.n - b.n);
          armed = armed.filter((a) => a.at > now);
          fired.length = 0;
          wheel.advance(now);
          expect(fired).toEqual(due.map((a) => a.n));
        }
        expect(wheel.size).toBe(armed.length);
        expect(wheel.next()).toBe(armed.reduce((min, a) => Math.min(min, a.at), Number.POSITIVE_INFINITY));
      }
    }),
    { numRuns: 1000 },
  );
});

test('a timer that arms another for the same instant sees it fire in the same pass', () => {
  const wheel = new TimerWheel();
  const fired: number[] = [];
  wheel.arm(1e9, () => {
    fired.push(1);
    wheel.arm(1e9, () => fired.push(2));
    wheel.arm(1e9 + 1, () => fired.push(3));
  });
  wheel.advance(1e9);
  expect(fired).toEqual([1, 2]);
  expect(wheel.next()).toBe(1e9 + 1);
});
