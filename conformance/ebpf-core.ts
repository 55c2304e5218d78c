/** Suite `ebpf/core`: instructions after CO-RE relocation of `core.o` against each target's BTF, as libbpf 1.7 leaves them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Btf } from '../src/bpf/btf/btf.ts';
import { type BpfObject, loadObject } from '../src/bpf/elf/index.ts';
import { encodeInsns } from '../src/bpf/insn.ts';
import type { CaseResult } from './suite.ts';

type Row = { readonly prog: string; readonly target: string; readonly insns: string };

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(root, name)));
  const object = read('core.o');
  const loaded = new Map<string, BpfObject>();
  for (const line of gunzipSync(read('core.jsonl.gz')).toString().split('\n')) {
    if (line === '') continue;
    const row = JSON.parse(line) as Row;
    const id = `${row.prog} ${row.target}`;
    if (filter !== undefined && !filter.test(id)) continue;
    let against = loaded.get(row.target);
    if (against === undefined) {
      against = loadObject(object, { name: 'core.o', target: Btf.parse(read(row.target)), lenient: true });
      loaded.set(row.target, against);
    }
    const program = against.programs.find((p) => p.name === row.prog);
    const got = program?.problem?.message ?? Buffer.from(encodeInsns(program?.insns ?? [])).toString('hex');
    yield got === row.insns ? { id, ok: true } : { id, ok: false, expected: row.insns, got };
  }
}
