/**
 * Suite `ebpf/programs`: verdicts of the verifier in three modes, and every recorded run of what it accepts, interpreted,
 * compiled, and compiled with every access checked. What counts is root's verdict and the runs; the other modes and the
 * wording of refusals are told by group.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunMode } from '../src/bpf/system.ts';
import type { Mode, Verdict } from '../src/bpf/verifier/verify.ts';
import { fromHex, type ProgramCase, type RecordedVerdict, readLines, runCase, verdicts } from './ebpf-case.ts';
import type { CaseResult } from './suite.ts';

const MODES: readonly Mode[] = ['root', 'netadmin', 'unpriv'];
export const ENGINES: readonly RunMode[] = ['interpreted', 'compiled', 'checking'];

/** The packets of `packets.json`. */
export function readPackets(path: string): Uint8Array[] {
  return (JSON.parse(readFileSync(path, 'utf8')) as { hex: string }[]).map((packet) => fromHex(packet.hex));
}

/** One verdict against the record. */
function* judgeVerdict(
  name: string,
  verify: () => Verdict | number,
  mode: Mode,
  recorded: RecordedVerdict,
): Iterable<CaseResult> {
  const id = mode === 'root' ? name : `${name}@${mode}`;
  const file = name.slice(0, name.indexOf('/'));
  const expected = recorded === 'A' ? 'accepted' : `${recorded[0]} ${recorded[1]}`;
  const informal = mode !== 'root';
  let got: string;
  let ok: boolean;
  try {
    const verdict = verify();
    ok = typeof verdict !== 'number' && verdict.ok;
    got = ok ? 'accepted' : typeof verdict === 'number' ? `map: ${verdict}` : `${verdict.errno} ${verdict.message}`;
  } catch (error) {
    ok = false;
    got = `threw ${(error as Error).stack}`;
  }
  const equal = ok === (recorded === 'A') && !got.startsWith('threw');
  yield {
    id,
    ok: equal,
    group: `${file} ${mode}`,
    informal,
    falseAccept: mode === 'root' && ok && recorded !== 'A',
    ...(!equal && { expected, got }),
  };
  if (mode === 'root' && !ok && recorded !== 'A') {
    const same = got === expected;
    yield { id: `${id} message`, ok: same, group: `${file} messages`, informal: true, ...(!same && { expected, got }) };
  }
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const packets = readPackets(join(root, '../packets.json'));
  for (const name of readdirSync(root).sort()) {
    const file = name.replace('.jsonl.gz', '');
    if (file === name) continue;
    for (const c of readLines<ProgramCase>(join(root, name))) {
      if (filter !== undefined && !filter.test(`${file}/${c.id}`)) continue;
      const verdict = verdicts(c);
      for (const mode of MODES) {
        const recorded = c[mode];
        if (recorded !== undefined) yield* judgeVerdict(`${file}/${c.id}`, () => verdict(mode), mode, recorded);
      }
      if (c.runs === undefined) continue;
      for (const engine of ENGINES) {
        const id = `${file}/${c.id} ${engine}`;
        let reason: string;
        try {
          reason = runCase(c, packets, engine);
        } catch (error) {
          reason = (error as Error).stack ?? String(error);
        }
        yield { id, ok: reason === '', group: `${file} ${engine}`, ...(reason !== '' && { reason }) };
      }
    }
  }
}
