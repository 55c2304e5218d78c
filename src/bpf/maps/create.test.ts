import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type CreateMode, checkMapCreate } from './create.ts';

const file = `${process.env.NETLOOM_SHARED ?? '../shared'}/conformance/ebpf/matrices/map_create.jsonl.gz`;
const here = existsSync(file);
if (!here) console.log(`map creation against recorded answers skipped: ${file} is not here`);

test.skipIf(!here)('maps are made and refused as the kernel did, with its errno', () => {
  const wrong: string[] = [];
  for (const line of gunzipSync(readFileSync(file)).toString().trim().split('\n')) {
    const row = JSON.parse(line) as [number, number, number, number, number, CreateMode, number];
    const [type, keySize, valueSize, maxEntries, flags, mode, errno] = row;
    const got = checkMapCreate({ name: '', type, keySize, valueSize, maxEntries, flags }, mode);
    if (got !== errno) wrong.push(`${line}: ${got}`);
  }
  expect(wrong).toEqual([]);
});

test('absurd sizes are refused, not tried', () => {
  const base = { name: '', flags: 0 };
  expect(checkMapCreate({ ...base, type: 1, keySize: 8, valueSize: 0xffff_ffff, maxEntries: 1 }, 'root')).toBe(7);
  expect(checkMapCreate({ ...base, type: 1, keySize: 8, valueSize: 8, maxEntries: 0xffff_ffff }, 'root')).toBe(7);
  expect(checkMapCreate({ ...base, type: 2, keySize: 4, valueSize: 0x8000_0000, maxEntries: 1 }, 'root')).toBe(7);
  expect(checkMapCreate({ ...base, type: 27, keySize: 0, valueSize: 0, maxEntries: 3 * 4096 }, 'root')).toBe(22);
});
