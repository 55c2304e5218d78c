import { expect, test } from 'vitest';
import { Estimator } from './estimator.ts';

test('a steady rate is what an estimator comes to, and silence takes it down again', () => {
  const estimator = new Estimator(-2, 1, 0);
  for (let ms = 0; ms < 20000; ms += 10) estimator.count(100, ms * 1e6);
  expect(estimator.pps).toBeGreaterThanOrEqual(98);
  expect(estimator.pps).toBeLessThanOrEqual(100);
  expect(estimator.bps).toBeGreaterThan(9800);
  estimator.catchUp(60e9);
  expect(estimator.pps).toBe(0);
});
