import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { run } from '../../../conformance/ebpf-core.ts';
import { loadOwn, type OwnProgram, ownDifferences } from '../../../conformance/ebpf-own-load.ts';

const data = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf');
const there = existsSync(join(data, 'own'));
if (!there) console.warn(`skipped: ${data} is not there`);

describe.skipIf(!there)('objects', () => {
  test('become the programs and maps that libbpf hands to the kernel', () => {
    const folder = join(data, 'own');
    const lines = gunzipSync(readFileSync(join(folder, 'manifest.jsonl.gz')))
      .toString()
      .trim()
      .split('\n');
    let programs = 0;
    for (const line of lines) {
      const { obj, programs: wanted } = JSON.parse(line) as { obj: string; programs: OwnProgram[] };
      const object = loadOwn(obj, new Uint8Array(readFileSync(join(folder, obj))));
      for (const p of wanted) {
        expect([obj, p.prog, ...ownDifferences(object, p)]).toEqual([obj, p.prog]);
        programs++;
      }
    }
    expect(programs).toBeGreaterThan(0);
  });

  test('are relocated against other layouts as by libbpf', () => {
    expect([...run(join(data, 'core'))].filter((r) => !r.ok)).toEqual([]);
  });

  test('fill program arrays and maps of maps that they declare with contents', () => {
    const name = 'tailmaps__clang19_v4.o';
    const { maps } = loadOwn(name, new Uint8Array(readFileSync(join(data, 'own', name))));
    expect(maps.filter((m) => m.slots).map((m) => [m.name, m.slots, m.inner?.name])).toEqual([
      [
        'jmp',
        [
          { index: 0, program: 'p_ip' },
          { index: 1, program: 'p_ip6' },
          { index: 3, program: 'p_l4' },
        ],
        undefined,
      ],
      [
        'outer',
        [
          { index: 0, map: 1 },
          { index: 2, map: 2 },
        ],
        'outer.inner',
      ],
    ]);
  });
});
