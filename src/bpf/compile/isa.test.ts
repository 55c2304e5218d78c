import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decodeInsns } from '../insn.ts';
import { Bench } from './test-double.ts';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const shared = join(process.env.NETLOOM_SHARED ?? join(repository, '../shared'), 'conformance/ebpf');
const there = existsSync(shared);
if (!there) console.log(`skipped: no test data at ${shared}`);

type Case = {
  id: string;
  insns: string;
  maps: { t: number; k: number; v: number; n: number }[];
  runs: { ret: number }[];
  maps_after: Record<string, [string, string][]>;
};

function lines<T>(path: string): T[] {
  const text = gunzipSync(readFileSync(join(shared, path))).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

describe.skipIf(!there)('the recorded programs', () => {
  for (const checking of [false, true])
    test(`every instruction set vector leaves the kernel's map contents${checking ? ', every access checked' : ''}`, () => {
      let bench = new Bench();
      lines<Case>('programs/isa_exec.jsonl.gz').forEach((c, i) => {
        if (i % 100 === 0) bench = new Bench();
        const maps = c.maps.map((m) => bench.array(m.n, m.v));
        const program = bench.load(decodeInsns(Uint8Array.from(Buffer.from(c.insns, 'hex'))), {
          maps,
          checking,
        });
        for (const run of c.runs) expect(bench.run(program), c.id).toBe(run.ret);
        for (const [index, entries] of Object.entries(c.maps_after))
          expect(bench.contents(maps[Number(index)]), `${c.id} map ${index}`).toEqual(
            entries.map(([key, value]) => [Buffer.from(key, 'hex').readUInt32LE(), value]),
          );
      });
    });

  test('every bpf_conformance vector leaves its r0', () => {
    type Row = { file: string; negative: boolean; insns?: string; mem?: string; expect?: string | number };
    const bench = new Bench();
    let ran = 0;
    for (const c of lines<Row>('conformance/conformance.jsonl.gz')) {
      if (c.negative || c.insns === undefined || c.expect === undefined) continue;
      const memory = Buffer.from(c.mem ?? '', 'hex');
      // The suite's second argument is the length of the memory.
      const insns = [
        { code: 0xb7, dst: 2, src: 0, off: 0, imm: memory.length },
        ...decodeInsns(Uint8Array.from(Buffer.from(c.insns, 'hex'))),
      ];
      if (insns.some((insn) => insn.code === 0x8d)) continue; // callx: no kernel takes it
      expect(bench.r0(bench.load(insns, { type: 1 }), memory), c.file).toBe(BigInt(c.expect));
      ran++;
    }
    expect(ran).toBeGreaterThan(0);
  });
});
