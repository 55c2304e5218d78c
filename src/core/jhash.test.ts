import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jhash, jhash2 } from './jhash.ts';

test('words hash as their little-endian bytes do', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffffffff), { maxLength: 12 }), fc.nat(0xffffffff), (words, seed) => {
      const bytes = new Uint8Array(words.length * 4);
      const dv = new DataView(bytes.buffer);
      words.forEach((w, i) => {
        dv.setUint32(i * 4, w, true);
      });
      expect(jhash2(words, seed)).toBe(jhash(bytes, 0, bytes.length, seed));
    }),
  );
});

const golden = `${process.env.NETLOOM_SHARED ?? '../shared'}/conformance/link/rht-golden/jhash.jsonl`;
if (!existsSync(golden)) console.log(`jhash against recorded values skipped: ${golden} is not here`);

test.skipIf(!existsSync(golden))('hashes are those that the kernel computed over the bytes 37 i + 11', () => {
  type Row = { readonly t: string; readonly len: number; readonly iv: number; readonly h: number };
  const rows = readFileSync(golden, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
    .filter((row) => row.t === 'jhash');
  const bytes = Uint8Array.from({ length: Math.max(...rows.map((row) => row.len)) }, (_, i) => i * 37 + 11);
  expect(rows.length).toBeGreaterThan(100);
  for (const { len, iv, h } of rows) expect(jhash(bytes, 0, len, iv)).toBe(h);
});
