/**
 * Soundness, by attack: whatever the verifier accepts runs interpreted and compiled, with every access checked, and compiled without
 * checks. A bad access, a trap or a difference between the three is a hole.
 */

import { checkMapCreate } from '../../src/bpf/maps/create.ts';
import type { Machine } from '../../src/bpf/runtime/machine.ts';
import { testRun } from '../../src/bpf/runtime/test-run.ts';
import { type RunMode, VerifierError } from '../../src/bpf/system.ts';
import { type Mode, type Verdict, verify } from '../../src/bpf/verifier/verify.ts';
import { KernelError } from '../../src/core/errno.ts';
import { Random } from '../../src/core/random.ts';
import { dump, type ProgramCase, programSpec, toHex } from '../ebpf-case.ts';
import { mutated, randomPacket, randomProgram } from './generate.ts';
import { AttackHost } from './host.ts';

export type Tally = {
  programs: number;
  accepted: number;
  /** Accepted, and run in three ways. */
  ran: number;
  runs: number;
  /** Accepted but left out: loops of millions of turns. */
  skipped: number;
  /** Neither accepted nor refused within COMPLEXITY_LIMIT instructions: endless loops, nearly all of them. */
  undecided: number;
};

/** A hole: the program that shows it, and how. */
export type Hole = { readonly program: ProgramCase; readonly problem: string };

export const newTally = (): Tally => ({
  programs: 0,
  accepted: 0,
  ran: 0,
  runs: 0,
  skipped: 0,
  undecided: 0,
});

/** The kernel's million would be spent on endless loops. */
const COMPLEXITY_LIMIT = 20_000;
const MODES: readonly RunMode[] = ['interpreted', 'checking', 'compiled'];
const PACKETS = 3;
/** As deep as attack programs call. */
const STACK_CLEARED: number = 8 * 512;
const LOOP = 181;
const MAY_GOTO = 0xe5;

/** What a judgement found, and whether the walk was cut short. */
export type Judgement = Verdict & { readonly undecided: boolean };

/** Random numbers that belong to program `n` of a seed alone, so that any part of a run can be repeated. */
function randomOf(seed: number, n: number): Random {
  const r = new Random((seed ^ Math.imul(n + 1, 0x9e3779b1)) >>> 0);
  r.u32();
  return r;
}

/** Program number `n` of a seed: random, or a recorded one changed. */
export function programOf(seed: number, n: number, corpus: readonly ProgramCase[]): ProgramCase {
  const r = randomOf(seed, n);
  if (corpus.length === 0 || r.u32() % 100 < 40) return randomProgram(r, `random-${seed}-${n}`);
  const from = corpus[r.u32() % corpus.length];
  return mutated(r, from, `${from.id}-${seed}-${n}`);
}

/** The packets for program number `n` of a seed. */
export function packetsOf(seed: number, n: number, count: number, frames: readonly Uint8Array[]): Uint8Array[] {
  const r = randomOf(~seed, n);
  return Array.from({ length: count }, () => randomPacket(r, frames));
}

/** May turn millions of times: the interpreter would take minutes. */
export function mayTurnLong(c: ProgramCase, verdict: Verdict): boolean {
  return (
    verdict.helpers.has(LOOP) || verdict.processed > 50_000 || programSpec(c).insns.some((i) => i.code === MAY_GOTO)
  );
}

/** Stack that nobody wrote may be read: every way finds the same there. (Addresses are the same anyhow.) */
export function clearStack(machine: Machine, byte: number): void {
  const run = machine.acquire();
  run.u8.fill(byte, run.stackTop - STACK_CLEARED, run.stackTop);
  machine.release(run);
}

const newHosts = (): AttackHost[] => MODES.map((mode) => new AttackHost(mode));

/** One attacker: its hosts, and what it has seen so far. */
export class Attack {
  readonly tally: Tally = newTally();
  /** Serve the same programs in the same order, so that maps have the same ids. */
  #hosts: readonly AttackHost[] = newHosts();
  readonly #judge = new AttackHost();
  readonly #frames: readonly Uint8Array[];
  readonly #corpus: readonly ProgramCase[];
  readonly #seed: number;

  constructor(seed: number, corpus: readonly ProgramCase[], frames: readonly Uint8Array[]) {
    this.#seed = seed;
    this.#corpus = corpus;
    this.#frames = frames;
  }

  /** The verdict; undefined when a map cannot be made. Maps are made only when the verifier reads them. */
  judge(c: ProgramCase, mode: Mode = 'root', complexityLimit: number = COMPLEXITY_LIMIT): Judgement | undefined {
    const spec = programSpec(c);
    if (spec.maps.some((m) => checkMapCreate(m, 'root') !== 0)) return undefined;
    const frozen = spec.maps.some((m) => m.frozen === true);
    const verdict = frozen
      ? this.#judge.withMaps(spec.maps, (maps) => verify({ ...spec, maps }, { mode, complexityLimit }))
      : verify(spec, { mode, complexityLimit });
    return verdict && { ...verdict, undecided: verdict.processed > complexityLimit };
  }

  /** Attacks with program number `n`; the hole it shows, if it does. */
  program(n: number): Hole | undefined {
    const { tally } = this;
    const c = programOf(this.#seed, n, this.#corpus);
    tally.programs++;
    const verdict = this.judge(c);
    if (verdict?.undecided === true) tally.undecided++;
    if (verdict?.ok !== true) return undefined;
    tally.accepted++;
    if (mayTurnLong(c, verdict)) {
      tally.skipped++;
      return undefined;
    }
    const packets = packetsOf(this.#seed, n, PACKETS, this.#frames);
    let results: (string[] | undefined)[];
    try {
      results = MODES.map((_, way) => this.#outcomes(c, packets, way));
    } catch (error) {
      // Whatever threw may have left a run behind half done.
      this.#hosts = newHosts();
      return { program: c, problem: (error as Error).message };
    }
    if (results.some((x) => x === undefined)) return undefined;
    tally.ran++;
    tally.runs += packets.length * MODES.length;
    const [first, ...others] = results as string[][];
    for (const [i, other] of others.entries()) {
      const at = first.findIndex((line, k) => line !== other[k]);
      if (at >= 0)
        return { program: c, problem: `interpreted and ${MODES[i + 1]} differ:\n${first[at]}\n${other[at]}` };
    }
    return undefined;
  }

  /** Runs an accepted program on packets in one way; one line a run, or why it could not be run. */
  #outcomes(c: ProgramCase, packets: readonly Uint8Array[], way: number): string[] | undefined {
    try {
      return this.#hosts[way].withProgram(programSpec(c), ({ program, maps }, machine) => {
        const lines = packets.map((packet) => {
          clearStack(machine, 0);
          const result = testRun(machine, program, packet);
          if ('errno' in result) return `errno ${result.errno}`;
          return `${result.ret} ${toHex(result.data)} ${toHex(result.ctx)}`;
        });
        return [...lines, ...maps.map((m) => JSON.stringify(dump(m)))];
      });
    } catch (error) {
      // Something that netloom does not have: no hole.
      if (error instanceof KernelError && !(error instanceof VerifierError)) return undefined;
      throw new Error(`${MODES[way]}: ${(error as Error).message}`);
    }
  }
}
