/**
 * Suite `ebpf/cbpf`: classic programs. What attaching one to a socket returned, and how many bytes of each packet it let
 * through on an AF_UNIX socket (no device, no headers below the packet's first byte).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type ClassicInsn, checkClassic, runClassic } from '../src/bpf/cbpf/index.ts';
import type { CaseResult } from './suite.ts';

type Row = {
  readonly id: string;
  readonly insns: readonly (readonly [code: number, jt: number, jf: number, k: number])[];
  readonly errno: number;
  readonly expr?: string;
  readonly accepted_len?: readonly (readonly [packet: number, bytes: number])[];
};

/** `ebpf/cbpf` names the file beside the other suites' folders. */
export function rows(root: string): Row[] {
  return gunzipSync(readFileSync(`${root}.jsonl.gz`))
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

export function packets(root: string): Uint8Array[] {
  const list = JSON.parse(readFileSync(join(root, '../packets.json'), 'utf8')) as { i: number; hex: string }[];
  return list.map(({ hex }) => new Uint8Array(Buffer.from(hex, 'hex')));
}

function judge(row: Row, frames: readonly Uint8Array[]): CaseResult {
  const { id } = row;
  const insns = row.insns.map(([code, jt, jf, k]): ClassicInsn => ({ code, jt, jf, k }));
  const errno = checkClassic(insns);
  if (errno !== row.errno) return { id, ok: false, expected: `errno ${row.errno}`, got: `errno ${errno}` };
  for (const [packet, expected] of row.accepted_len ?? []) {
    const bytes = frames[packet];
    const got = Math.min(runClassic(insns, { bytes }), bytes.length);
    if (got !== expected)
      return { id, ok: false, expected: `${expected} bytes`, got: `${got} bytes`, reason: `packet ${packet}` };
  }
  return { id, ok: true };
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const frames = packets(root);
  for (const row of rows(root)) if (filter === undefined || filter.test(row.id)) yield judge(row, frames);
}
