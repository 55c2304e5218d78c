import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openObject } from './index.ts';

const own = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf/own');
const there = existsSync(own);
if (!there) console.warn(`skipped: ${own} is not there`);

test.skipIf(!there)('global variables are read and written by name', () => {
  const object = openObject(new Uint8Array(readFileSync(join(own, 'globals__clang19_v4.o'))), { name: 'globals.o' });
  const { globals, maps } = object;
  expect(globals.list().map((g) => [g.name, maps[g.map].name, g.offset, g.size])).toEqual(
    expect.arrayContaining([
      ['data_v', 'globals.data', 0, 4],
      ['arr', 'globals.data', 4, 64],
      ['cfg', 'globals.rodata', 8, 16],
      ['bss_ctr', 'globals.bss', 0, 8],
    ]),
  );
  const cfg = globals.get('cfg') as Record<string, number>;
  globals.set('cfg', { b: 99 });
  expect(globals.get('cfg')).toEqual({ ...cfg, b: 99 });
  const rodata = maps.find((m) => m.name === 'globals.rodata')!;
  // What is set before loading is what the verifier sees.
  const at = [...Array(16).keys()].map((i) => rodata.peek?.(8 + i, 1));
  expect(at).toContain(99n);
  globals.set('bss_ctr', 5n);
  expect(maps.find((m) => m.name === 'globals.bss')?.initial?.[0][1]).toEqual(Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0));
  expect(() => globals.get('nope')).toThrow(/there is no global variable 'nope'; there are: /);

  // Loaded: live memory.
  const live = new Uint8Array(1024);
  globals.bind(() => live);
  live[0] = 7;
  expect(globals.get('bss_ctr')).toBe(7n);
  expect(() => globals.set('cfg', { b: 1 })).toThrow(/read only once the object is loaded/);
});
