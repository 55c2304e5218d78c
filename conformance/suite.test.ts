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
  expect(out).toEqual({ passed: 2, failed: 2, fresh: ['b'], gone: ['c'] });
  expect(seen).toEqual(['afalse', 'bfalse', 'ctrue', 'dtrue']);
});
