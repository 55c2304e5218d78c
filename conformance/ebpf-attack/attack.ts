/**
 * Soundness, by attack: whatever the verifier accepts runs interpreted and compiled, with every access checked, and compiled without
 * checks. A bad access, a trap or a difference between the three is a hole.
 */

import { checkMapCreate } from '../../src/bpf/maps/create.ts';
import { testRun } from '../../src/bpf/runtime/test-run.ts';
import { type RunMode, VerifierError } from '../../src/bpf/system.ts';
import { type Verdict, verify } from '../../src/bpf/verifier/verify.ts';
import { KernelError } from '../../src/core/errno.ts';
import { Random } from '../../src/core/random.ts';
import { dump, makeMaps, newSystem, type ProgramCase, programSpec, toHex } from '../ebpf-case.ts';
import { mutated, randomPacket, randomProgram } from './generate.ts';

export type Tally = {
  programs: number;
  accepted: number;
  /** Accepted, and run in three ways. */
  ran: number;
  /** Accepted, and without addresses in reach: results are compared too. */
  compared: number;
  runs: number;
  /** Accepted but left out: loops of millions of turns. */
  skipped: number;
};

/** A hole: the program that shows it, and how. */
export type Hole = { readonly program: ProgramCase; readonly problem: string };

export const newTally = (): Tally => ({ programs: 0, accepted: 0, ran: 0, compared: 0, runs: 0, skipped: 0 });

const MODES: readonly RunMode[] = ['interpreted', 'checking', 'compiled'];
const LOOP = 181;
/** Enough for the maps here: large memories cost a garbage collection each. */
export const HEAP: number = 1 << 20;
const MAY_GOTO = 0xe5;

/** Program number `n` of a seed: random, or a recorded one changed. */
export function programOf(seed: number, n: number, corpus: readonly ProgramCase[]): ProgramCase {
  const r = new Random((seed ^ Math.imul(n + 1, 0x9e3779b1)) >>> 0);
  r.u32();
  if (corpus.length === 0 || r.u32() % 100 < 40) return randomProgram(r, `random-${seed}-${n}`);
  const from = corpus[r.u32() % corpus.length];
  return mutated(r, from, `${from.id}-${seed}-${n}`);
}

/** The verdict; undefined when a map cannot be made. Maps are made only when the verifier reads them. */
export function judge(c: ProgramCase, mode: 'root' | 'netadmin' = 'root'): Verdict | undefined {
  const spec = programSpec(c);
  if (spec.maps.some((m) => checkMapCreate(m, 'root') !== 0)) return undefined;
  if (!spec.maps.some((m) => m.frozen === true)) return verify(spec, { mode });
  const maps = makeMaps(newSystem(HEAP), spec.maps);
  return typeof maps === 'number' ? undefined : verify({ ...spec, maps }, { mode });
}

/** May turn millions of times: the interpreter would take minutes. */
export function mayTurnLong(c: ProgramCase, verdict: Verdict): boolean {
  return (
    verdict.helpers.has(LOOP) || verdict.processed > 50_000 || programSpec(c).insns.some((i) => i.code === MAY_GOTO)
  );
}

/** Runs an accepted program on packets in one way; one line a run, or why it could not be run. */
function outcomes(c: ProgramCase, packets: readonly Uint8Array[], run: RunMode): string[] | undefined {
  const system = newSystem(HEAP);
  const spec = programSpec(c);
  const maps = makeMaps(system, spec.maps);
  if (typeof maps === 'number') return undefined;
  try {
    const { program } = system.loadProgram(spec, maps, { run });
    const lines = packets.map((packet) => {
      const result = testRun(system.machine, program, packet);
      if ('errno' in result) return `errno ${result.errno}`;
      return `${result.ret} ${toHex(result.data)} ${toHex(result.ctx)}`;
    });
    return [...lines, ...maps.map((m) => JSON.stringify(dump(m)))];
  } catch (error) {
    // Something that netloom does not have: no hole.
    if (error instanceof KernelError && !(error instanceof VerifierError)) return undefined;
    throw new Error(`${run}: ${(error as Error).message}`);
  }
}

/** Attacks with one program; the hole it shows, if it does. */
export function attack(c: ProgramCase, r: Random, frames: readonly Uint8Array[], tally: Tally): Hole | undefined {
  tally.programs++;
  const verdict = judge(c);
  if (verdict?.ok !== true) return undefined;
  tally.accepted++;
  if (mayTurnLong(c, verdict)) {
    tally.skipped++;
    return undefined;
  }
  const packets = Array.from({ length: 3 }, () => randomPacket(r, frames));
  let results: (string[] | undefined)[];
  try {
    results = MODES.map((mode) => outcomes(c, packets, mode));
  } catch (error) {
    return { program: c, problem: (error as Error).message };
  }
  if (results.some((x) => x === undefined)) return undefined;
  tally.ran++;
  tally.runs += packets.length * MODES.length;
  // A program that may see addresses, or stack that nobody wrote, may do different things each time.
  if (judge(c, 'netadmin')?.ok !== true) return undefined;
  tally.compared++;
  const [first, ...others] = results as string[][];
  for (const [i, other] of others.entries()) {
    const at = first.findIndex((line, k) => line !== other[k]);
    if (at >= 0) return { program: c, problem: `interpreted and ${MODES[i + 1]} differ:\n${first[at]}\n${other[at]}` };
  }
  return undefined;
}
