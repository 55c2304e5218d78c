import { expect, test } from 'vitest';
import { priorityText } from './ruleset.ts';

test('priorities near a named one are written with its name', () => {
  expect(priorityText('ip', 'input', 0, {})).toBe('filter');
  expect(priorityText('inet', 'output', -5, {})).toBe('filter - 5');
  expect(priorityText('ip', 'postrouting', 99, {})).toBe('srcnat - 1');
  expect(priorityText('ip', 'input', 11, {})).toBe('11');
  expect(priorityText('bridge', 'forward', -200, {})).toBe('filter');
});

test('names that belong to another hook are not used', () => {
  expect(priorityText('ip', 'output', -100, {})).toBe('-100');
});

test('-y writes numbers', () => {
  expect(priorityText('ip', 'input', 0, { numericPriority: true })).toBe('0');
});
