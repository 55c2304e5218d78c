import { expect, test } from 'vitest';
import { RuleOrder } from './rule-order.ts';

test('an index counts the rules that the batch has added before it', () => {
  const order = new RuleOrder(() => [4n, 5n]);
  order.add(1, false, undefined);
  order.add(2, true, undefined);
  order.add(3, false, 4n);
  expect([0, 1, 2, 3, 4, 5].map((i) => order.at(i))).toEqual([2, 4n, 3, 5n, 1, undefined]);
  order.add(6, true, 3);
  expect(order.at(2)).toBe(6);
});

test('the kernel is asked only when an index is', () => {
  let asked = 0;
  const order = new RuleOrder(() => {
    asked++;
    return [];
  });
  order.add(1, false, undefined);
  expect(asked).toBe(0);
  expect(order.at(0)).toBe(1);
  expect(order.at(0)).toBe(1);
  expect(asked).toBe(1);
});
