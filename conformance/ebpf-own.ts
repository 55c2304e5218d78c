/**
 * Suite `ebpf/own`: objects compiled by clang, loaded as libbpf loads them: programs and maps as recorded, verdicts in
 * three modes, runs and map contents in every engine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BpfObject } from '../src/bpf/elf/index.ts';
import type { RunMode } from '../src/bpf/system.ts';
import { type Mode, verify } from '../src/bpf/verifier/verify.ts';
import { KernelError } from '../src/core/errno.ts';
import {
  compareRun,
  dump,
  fromHex,
  NOTHING,
  newSystem,
  programSpec,
  type RecordedRun,
  readLines,
} from './ebpf-case.ts';
import { loadOwn, type OwnProgram, ownDifferences } from './ebpf-own-load.ts';
import { ENGINES, readPackets } from './ebpf-programs.ts';
import type { CaseResult } from './suite.ts';

type RecordedProgram = OwnProgram & {
  readonly verdict: Readonly<
    Partial<Record<Mode, { readonly r: string; readonly errno?: number; readonly msg?: string }>>
  >;
  readonly runs?: readonly Omit<RecordedRun, 'p'>[];
  readonly mapdump?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  readonly deterministic?: boolean;
};

const MODES: readonly Mode[] = ['root', 'netadmin', 'unpriv'];

/** The program, and those that its object's program arrays name. */
function needed(object: BpfObject, name: string): string[] {
  const slots = object.maps.flatMap((map) => map.slots ?? []);
  return [name, ...slots.flatMap(({ program }) => (program === undefined ? [] : [program]))];
}

function execute(object: BpfObject, p: RecordedProgram, packets: readonly Uint8Array[], run: RunMode): string {
  const system = newSystem();
  try {
    const { maps, programs } = system.loadObject(object, { names: needed(object, p.prog), run });
    const main = programs.find(({ name }) => name === p.prog)?.program;
    if (main === undefined) return 'not loaded';
    const empty = { id: '', cat: '', insns: '', root: 'A' as const, type: p.type };
    const nothing = system.loadProgram(programSpec(empty, fromHex(NOTHING)), []).program;
    for (const [i, recorded] of (p.runs ?? []).entries()) {
      const difference = compareRun(system.machine, main, nothing, packets[i], recorded, p.deterministic === false);
      if (difference !== '') return `packet ${i}: ${difference}`;
    }
    for (const [name, recorded] of Object.entries(p.deterministic === false ? {} : (p.mapdump ?? {}))) {
      const map = maps.find((m) => m.name === name);
      const got = map === undefined ? 'no such map' : JSON.stringify(dump(map));
      if (got !== JSON.stringify(recorded)) return `map ${name} holds\n${got}, recorded\n${JSON.stringify(recorded)}`;
    }
    return '';
  } catch (error) {
    if (error instanceof KernelError) return `not run: ${error.message}`;
    return (error as Error).stack ?? String(error);
  }
}

function* judge(
  object: BpfObject,
  at: string,
  p: RecordedProgram,
  packets: readonly Uint8Array[],
): Iterable<CaseResult> {
  const id = `${at} ${p.prog}`;
  const differences = ownDifferences(object, p);
  yield { id: `${id} loaded`, ok: differences.length === 0, group: 'loaded', reason: differences.join('; ') };
  const spec = object.programs.find((q) => q.name === p.prog);
  if (spec === undefined) return;
  const { maps } = newSystem().loadObject(object, { names: [] });
  for (const mode of MODES) {
    const recorded = p.verdict[mode];
    if (recorded === undefined) continue;
    const verdict = verify({ ...spec, maps }, { mode });
    const ok = verdict.ok === (recorded.r === 'accept');
    const expected = recorded.r === 'accept' ? 'accepted' : `${recorded.errno} ${recorded.msg}`;
    const got = verdict.ok ? 'accepted' : `${verdict.errno} ${verdict.message}`;
    yield {
      id: mode === 'root' ? id : `${id}@${mode}`,
      ok,
      group: mode,
      informal: mode !== 'root',
      falseAccept: mode === 'root' && verdict.ok && !ok,
      ...(!ok && { expected, got }),
    };
    if (mode === 'root' && !verdict.ok && ok)
      yield { id: `${id} message`, ok: got === expected, group: 'messages', informal: true, expected, got };
  }
  if (p.runs === undefined) return;
  for (const engine of ENGINES) {
    const reason = execute(object, p, packets, engine);
    yield { id: `${id} ${engine}`, ok: reason === '', group: engine, ...(reason !== '' && { reason }) };
  }
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const packets = readPackets(join(root, '../packets.json'));
  type Line = { readonly obj: string; readonly programs: readonly RecordedProgram[] };
  for (const { obj, programs } of readLines<Line>(join(root, 'manifest.jsonl.gz'))) {
    const wanted = programs.filter((p) => filter === undefined || filter.test(`${obj} ${p.prog}`));
    if (wanted.length === 0) continue;
    let object: BpfObject;
    try {
      object = loadOwn(obj, new Uint8Array(readFileSync(join(root, obj))));
    } catch (error) {
      yield { id: obj, ok: false, reason: (error as Error).message };
      continue;
    }
    for (const p of wanted) yield* judge(object, obj, p, packets);
  }
}
