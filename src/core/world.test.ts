import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NF_ACCEPT, NF_DROP, NF_STOLEN } from '../wire/uapi/netfilter.ts';
import { DROP } from './drop.ts';
import { Hooks } from './hook.ts';
import { PKT_TRACE } from './slab.ts';
import { World } from './world.ts';

test('timers fire in deadline order, and those of one instant in the order they were armed', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 200 }), (deadlines) => {
      const world = new World({ slots: 1 });
      const fired: number[] = [];
      const fn = (i: number): void => {
        expect(world.now).toBe(deadlines[i]);
        fired.push(i);
      };
      deadlines.forEach((d, i) => {
        world.timers.arm(d, fn, i);
      });
      world.run(100);
      const order = deadlines.map((_, i) => i).sort((a, b) => deadlines[a] - deadlines[b] || a - b);
      expect(fired).toEqual(order);
      expect(world.now).toBe(100);
    }),
  );
});

test('a stopped timer does not fire', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(50), fc.boolean()), { maxLength: 300 }), (plan) => {
      const world = new World({ slots: 1 });
      const fired: number[] = [];
      const ids = plan.map(([d], i) => world.timers.arm(d, (a) => fired.push(a), i));
      plan.forEach(([, stop], i) => {
        if (stop) expect(world.timers.cancel(ids[i])).toBe(true);
      });
      world.run(60);
      expect(fired.sort((a, b) => a - b)).toEqual(plan.flatMap(([, stop], i) => (stop ? [] : [i])));
      expect(world.timers.size).toBe(0);
    }),
  );
});

test('work goes on until nobody has more, and a loop is cut off', () => {
  const world = new World({ slots: 1 });
  let polls = 0;
  world.schedule({ poll: () => ++polls < 5 });
  expect(world.settle()).toBe(true);
  expect(polls).toBe(5);
  world.schedule({ poll: () => true });
  expect(world.settle(100)).toBe(false);
});

test('the same seed draws the same numbers', () => {
  const a = new World({ slots: 1, seed: 7 }).random;
  const b = new World({ slots: 1, seed: 7 }).random;
  const c = new World({ slots: 1, seed: 8 }).random;
  const draw = (r: typeof a): number[] => Array.from({ length: 20 }, () => r.u32());
  const first = draw(a);
  expect(draw(b)).toEqual(first);
  expect(draw(c)).not.toEqual(first);
});

test('hooks run by priority, equals in the order they registered, until one does not accept', () => {
  const world = new World({ slots: 2 });
  const hooks = new Hooks(world);
  const seen: string[] = [];
  const entry = (name: string, priority: number, verdict: number) => ({
    pf: 2,
    hook: 0,
    priority,
    name,
    fn: () => {
      seen.push(name);
      return verdict;
    },
  });
  hooks.register(entry('late', 100, NF_ACCEPT));
  hooks.register(entry('first', -200, NF_ACCEPT));
  hooks.register(entry('second', -200, NF_ACCEPT));
  const p = world.slab.alloc();
  expect(hooks.run(2, 0, p, 1, 0)).toBe(NF_ACCEPT);
  expect(seen).toEqual(['first', 'second', 'late']);
  const drop = entry('drop', 0, NF_DROP);
  hooks.register(drop);
  expect(hooks.run(2, 0, p, 1, 0)).toBe(NF_DROP);
  expect(seen.slice(3)).toEqual(['first', 'second', 'drop']);
  expect(world.slab.used).toBe(0);
  hooks.unregister(drop);
  hooks.register(entry('thief', 0, NF_STOLEN));
  const q = world.slab.alloc();
  expect(hooks.run(2, 0, q, 1, 0)).toBe(NF_STOLEN);
  expect(world.slab.used).toBe(1);
});

test('every drop is counted under its reason and told to the tracer', () => {
  const world = new World({ slots: 2 });
  const events: string[] = [];
  world.tracer = (e) => events.push(e.kind === 'drop' ? `${e.kind} ${e.reason} ${e.rule}` : e.kind);
  const p = world.slab.alloc();
  world.slab.setFlags(p, PKT_TRACE);
  world.slab.setDropReason(p, DROP.NETFILTER_DROP, 12);
  world.drop(p, DROP.NETFILTER_DROP);
  expect(events).toEqual(['drop NETFILTER_DROP 12']);
  expect(world.drops[DROP.NETFILTER_DROP]).toBe(1);
  expect(world.slab.used).toBe(0);
});
