/**
 * Suite `ebpf/matrices`: what Linux 6.18 answered, one question a row: is this instruction valid, may a program type
 * touch this part of its context, call this helper, may a map have this shape, may a program end with this value.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { checkMapCreate } from '../src/bpf/maps/create.ts';
import { checkContextAccess, helperAvailable, helperGplOnly, type Mode } from '../src/bpf/progtype/index.ts';
import type { CaseResult } from './suite.ts';

/** The row as text, Linux's answer and ours; answers are compared as texts, 'ok' is acceptance. */
type Answer = { readonly id: string; readonly mode: string; readonly expected: string; readonly got: string };

const OPS = { r: 'read', w: 'write', i: 'writeImm' } as const;

type ContextRow = readonly [number, number, Mode, 'r' | 'w' | 'i', number, number, 0 | 1, string?];

function contextAccess([type, attach, mode, op, size, offset, ok]: ContextRow): Answer {
  const allowed = checkContextAccess(type, attach, mode, OPS[op], offset, size) !== undefined;
  return {
    id: `type ${type} attach ${attach} ${mode} ${op}${size} at ${offset}`,
    mode,
    expected: ok === 1 ? 'ok' : 'refused',
    got: allowed ? 'ok' : 'refused',
  };
}

type HelperRow = readonly [number, number, Mode, number, string, 0 | 1, 0 | 1];

function helper([type, attach, mode, id, name, available, gpl]: HelperRow): Answer {
  const text = (yes: boolean, gplOnly: boolean): string => (!yes ? 'refused' : gplOnly ? 'ok, GPL only' : 'ok');
  return {
    id: `type ${type} attach ${attach} ${mode} ${name}#${id}`,
    mode,
    expected: text(available === 1, gpl === 1),
    got: text(helperAvailable(type, attach, mode, id), helperGplOnly(id, type, attach)),
  };
}

type MapRow = readonly [number, number, number, number, number, Mode, number];

function mapCreate([type, keySize, valueSize, maxEntries, flags, mode, errno]: MapRow): Answer {
  const text = (n: number): string => (n === 0 ? 'ok' : `errno ${n}`);
  return {
    id: `type ${type} key ${keySize} value ${valueSize} entries ${maxEntries} flags 0x${(flags >>> 0).toString(16)} ${mode}`,
    mode,
    expected: text(errno),
    got: text(checkMapCreate({ name: '', type, keySize, valueSize, maxEntries, flags }, mode)),
  };
}

const MATRICES: Readonly<Record<string, (row: never) => Answer>> = {
  ctx_access: contextAccess,
  helper_availability: helper,
  map_create: mapCreate,
};

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const [name, judge] of Object.entries(MATRICES)) {
    const file = join(root, `${name}.jsonl.gz`);
    if (!existsSync(file)) continue;
    for (const line of gunzipSync(readFileSync(file)).toString().split('\n')) {
      if (line === '') continue;
      const { id: row, mode, expected, got } = judge(JSON.parse(line) as never);
      const id = `${name} ${row}`;
      if (filter !== undefined && !filter.test(id)) continue;
      const group = `${name} ${mode}`;
      if (got === expected) yield { id, ok: true, group };
      else
        yield { id, ok: false, expected, got, group, falseAccept: got.startsWith('ok') && !expected.startsWith('ok') };
    }
  }
}
