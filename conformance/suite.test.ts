import { expect, test } from 'vitest';
import { tally } from './suite.ts';

test('a new difference and a listed one that has gone away are both reported', () => {
  const results = [
    { id: 'a', ok: true },
    { id: 'b', ok: false },
    { id: 'c', ok: true },
    { id: 'd', ok: false },
  ];
  const seen: string[] = [];
  const out = tally(results, { c: 'fixed since', d: 'needs flowtables' }, (r, accepted) =>
    seen.push(`${r.id}${accepted}`),
  );
  expect(out).toMatchObject({ passed: 2, failed: 2, fresh: ['b'], gone: ['c'] });
  expect(seen).toEqual(['afalse', 'bfalse', 'ctrue', 'dtrue']);
});

test('false accepts and groups are counted besides', () => {
  const results = [
    { id: 'a', ok: true, group: 'x' },
    { id: 'b', ok: false, group: 'x', falseAccept: true },
    { id: 'c', ok: true },
  ];
  const out = tally(results, {}, () => {});
  expect(out.falseAccepts).toBe(1);
  expect([...out.groups]).toEqual([['x', { passed: 1, failed: 1 }]]);
});
