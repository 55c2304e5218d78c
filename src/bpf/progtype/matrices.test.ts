import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_FLOW_KEYS,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TP_BUFFER,
  PTR_TRUSTED,
  SCALAR_VALUE,
} from '../verifier/reg.ts';
import { checkContextAccess, helperAvailable, helperGplOnly, type Mode, returnRange } from './index.ts';

const folder = join(process.env.NETLOOM_SHARED ?? resolve('../shared'), 'conformance/ebpf/matrices');
const there = existsSync(folder);
if (!there) console.log(`skipped: ${folder} is not there`);
const rows = (file: string): unknown[][] =>
  gunzipSync(readFileSync(join(folder, `${file}.jsonl.gz`)))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown[]);

/** How the kernel prints the pointers a context gives. */
const POINTERS: Readonly<Record<string, number>> = {
  'pkt(r=0)': PTR_TO_PACKET,
  'pkt_end()': PTR_TO_PACKET_END,
  'pkt_meta(r=0)': PTR_TO_PACKET_META,
  'sock()': PTR_TO_SOCKET,
  'sock_or_null(id=1)': PTR_TO_SOCKET | PTR_MAYBE_NULL,
  'sock_common_or_null(id=1)': PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL,
  'flow_keys()': PTR_TO_FLOW_KEYS,
  'tp_buffer()': PTR_TO_TP_BUFFER,
  'trusted_ptr_nf_hook_state()': PTR_TO_BTF_ID | PTR_TRUSTED,
  'trusted_ptr_sk_buff()': PTR_TO_BTF_ID | PTR_TRUSTED,
};
const OPS = { r: 'read', w: 'write', i: 'writeImm' } as const;

describe.skipIf(!there)('what the kernel answered', () => {
  it('is what context access says', () => {
    const wrong: unknown[] = [];
    for (const row of rows('ctx_access')) {
      const [type, attach, mode, op, size, offset, ok, pointer] = row as [
        number,
        number,
        Mode,
        'r' | 'w' | 'i',
        number,
        number,
        number,
        string?,
      ];
      const got = checkContextAccess(type, attach, mode, OPS[op], offset, size);
      if ((got !== undefined) !== (ok === 1)) wrong.push(row);
      else if (got !== undefined && op === 'r' && mode === 'root') {
        if (got.regType !== (pointer === undefined ? SCALAR_VALUE : POINTERS[pointer]))
          wrong.push([...row, got.regType]);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('is what helper availability says', () => {
    const wrong = rows('helper_availability').filter((row) => {
      const [type, attach, mode, id, , available, gpl] = row as [number, number, Mode, number, string, number, number];
      const got = helperAvailable(type, attach, mode, id);
      return got !== (available === 1) || (got && helperGplOnly(id, type, attach) !== (gpl === 1));
    });
    expect(wrong).toEqual([]);
  });

  it('is what return ranges say', () => {
    for (const row of rows('return_rules')) {
      const [type, attach, , verdict] = row as [number, number, unknown, 'A' | [number, string]];
      const said =
        typeof verdict === 'string' ? undefined : /should have been in \[(-?\d+), (-?\d+)\]/.exec(verdict[1]);
      if (said == null) continue;
      expect([row, returnRange(type, attach)]).toEqual([row, { min: Number(said[1]), max: Number(said[2]) }]);
    }
  });
});
