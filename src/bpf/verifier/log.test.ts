/** The verifier's log against logs recorded from Linux 6.18: every line, at log level 2. */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { decodeInsns } from '../insn.ts';
import { verify } from './verify.ts';

type Row = {
  readonly id: string;
  readonly type: number;
  readonly flags: number;
  readonly insns: string;
  readonly log2: string;
};

const data =
  process.env.NETLOOM_VERIFIER_LOGS ??
  `${process.env.NETLOOM_SHARED ?? '../shared'}/conformance/ebpf/programs/range_states.jsonl.gz`;

/** The first line that differs, with what the kernel wrote. */
function firstDifference(got: string, want: string): string {
  const a = got.split('\n');
  const b = want.split('\n');
  const i = a.findIndex((line, n) => line !== b[n]);
  const at = i < 0 ? a.length : i;
  return `line ${at}\n  got  ${a[at]}\n  want ${b[at]}`;
}

test.skipIf(!existsSync(data))('the log of every recorded program is the kernel’s, line by line', () => {
  const bytes = readFileSync(data);
  const rows = (data.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n');
  const differences: string[] = [];
  for (const row of rows) {
    const { id, type = 6, flags = 2, insns, log2 } = JSON.parse(row) as Row;
    const code = Uint8Array.from(insns.match(/../g) ?? [], (x) => Number.parseInt(x, 16));
    const { log } = verify(
      {
        name: id,
        section: '',
        type,
        expectedAttachType: 0,
        flags,
        license: 'GPL',
        insns: decodeInsns(code),
        maps: [],
      },
      { logLevel: 2, cpus: 2 },
    );
    if (log !== log2) differences.push(`${id} ${firstDifference(log, log2)}`);
  }
  expect(differences).toEqual([]);
});
