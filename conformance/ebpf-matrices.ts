/**
 * Suite `ebpf/matrices`: what Linux 6.18 answered, one question a row: is this instruction valid, may a program type
 * touch this part of its context, call this helper, may a map have this shape, may a program end with this value. Rows
 * that were programs go through the whole verifier.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { decodeInsns, type Insn } from '../src/bpf/insn.ts';
import { checkMapCreate } from '../src/bpf/maps/create.ts';
import { checkContextAccess, helperAvailable, helperGplOnly, type Mode } from '../src/bpf/progtype/index.ts';
import { SCALAR_VALUE } from '../src/bpf/verifier/reg.ts';
import { type Verdict, verify } from '../src/bpf/verifier/verify.ts';
import type { CaseResult } from './suite.ts';

/** The row as text, Linux's answer and ours; answers are compared as texts, 'ok...' is acceptance. */
type Answer = { readonly id: string; readonly mode: string; readonly expected: string; readonly got: string };

type Recorded = 'A' | readonly [errno: number, message: string];

/** The last line of the log that ends with an infinite loop is a register state; here it is the message above it. */
function recordedText(verdict: Recorded): string {
  if (verdict === 'A') return 'ok';
  const [errno, message] = verdict;
  return `errno ${errno}: ${message.startsWith('old state: ') ? 'infinite loop detected' : message}`;
}

/** What looked like an address was taken out of the recorded messages. */
const verdictText = ({ ok, errno, message }: Verdict): string =>
  ok
    ? 'ok'
    : `errno ${errno}: ${message.replace(/^(infinite loop detected) at insn \d+$/, '$1').replace(/0xffff[0-9a-f]{12}/g, 'PTR')}`;

const hex = (text: string): Insn[] => decodeInsns(new Uint8Array(Buffer.from(text, 'hex')));
const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });

/** Verifies instructions as a program without maps, as they were recorded. */
const load = (insns: readonly Insn[], type: number, attach: number, mode: Mode, logLevel = 0): Verdict =>
  verify(
    { name: 'x', section: '', type, expectedAttachType: attach, flags: 0, license: 'GPL', insns, maps: [] },
    { mode, logLevel },
  );

type InsnRow = readonly [number, number, number, number, number, Recorded];

const PROLOGUE = hex(
  'b700000005000000b701000003000000b702000007000000bfa300000000000007030000f0ffffff7a0af8ff010000007a0af0ff02000000',
);
const EPILOGUE = hex(`${'b700000000000000'.repeat(3)}9500000000000000`);

function isaValidity([code, dst, src, off, imm, verdict]: InsnRow): Answer {
  const second = code === 0x18 ? [insn(0)] : [];
  const got = load([...PROLOGUE, insn(code, dst, src, off, imm), ...second, ...EPILOGUE], 1, 0, 'root');
  return {
    id: `${code.toString(16).padStart(2, '0')} dst ${dst} src ${src} off ${off} imm ${imm}`,
    mode: 'root',
    expected: recordedText(verdict),
    got: verdictText(got),
  };
}

type ContextRow = readonly [number, number, Mode, 'r' | 'w' | 'i', number, number, 0 | 1, string?];

const OPS = { r: 'read', w: 'write', i: 'writeImm' } as const;
/** Size bits of an access. */
const SIZES: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };

/** The verifier's answer and the table's must be the kernel's; for root also what kind of register a load gives. */
function contextAccess([type, attach, mode, op, size, offset, ok, pointer]: ContextRow): Answer {
  const allowed = checkContextAccess(type, attach, mode, OPS[op], offset, size);
  const body = {
    r: [insn(0x61 | SIZES[size], 2, 1, offset)],
    w: [insn(0xb7, 2), insn(0x63 | SIZES[size], 1, 2, offset)],
    i: [insn(0x62 | SIZES[size], 1, 0, offset)],
  }[op];
  const verdict = load([...body, insn(0xb7, 0, 0, 0, 1), insn(0x95)], type, attach, mode, 2);
  const loaded = /R2(?:_w)?=(\S+)/.exec(verdict.log)?.[1] ?? '';
  const shown = op === 'r' && mode === 'root' && verdict.ok && !loaded.startsWith('scalar') ? ` ${loaded}` : '';
  const scalar = allowed?.regType === SCALAR_VALUE;
  const agree = (allowed !== undefined) === verdict.ok && (shown === '' || !scalar);
  return {
    id: `type ${type} attach ${attach} ${mode} ${op}${size} at ${offset}`,
    mode,
    expected: ok === 1 ? `ok${pointer === undefined ? '' : ` ${pointer}`}` : 'refused',
    got: `${verdict.ok ? `ok${shown}` : 'refused'}${agree ? '' : ', and the table says otherwise'}`,
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

type ReturnRow = readonly [type: number, attach: number, r0: string, verdict: Recorded];

const GET_PRANDOM_U32 = insn(0x85, 0, 0, 0, 7);
/** How R0 gets its value in the rows that name a kind of value. */
const R0: Readonly<Record<string, readonly Insn[]>> = {
  unknown: [GET_PRANDOM_U32],
  mask1: [GET_PRANDOM_U32, insn(0x57, 0, 0, 0, 1)],
  mask3: [GET_PRANDOM_U32, insn(0x57, 0, 0, 0, 3)],
  neg64: [insn(0xb7, 0, 0, 0, -1)],
  hi32: [insn(0x18), insn(0, 0, 0, 0, 1)],
  fp: [insn(0xbf, 0, 10)],
  ctx: [insn(0xbf, 0, 1)],
  uninit: [],
};

function returnRule([type, attach, r0, verdict]: ReturnRow): Answer {
  const [kind, mode = 'root'] = r0.split('@') as [string, Mode?];
  const body = /^-?\d+$/.test(kind) ? [insn(0xb7, 0, 0, 0, Number(kind))] : R0[kind];
  return {
    id: `type ${type} attach ${attach} ${r0}`,
    mode,
    expected: recordedText(verdict),
    got: verdictText(load([...body, insn(0x95)], type, attach, mode)),
  };
}

const MATRICES: Readonly<Record<string, (row: never) => Answer>> = {
  isa_validity: isaValidity,
  ctx_access: contextAccess,
  helper_availability: helper,
  map_create: mapCreate,
  return_rules: returnRule,
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
