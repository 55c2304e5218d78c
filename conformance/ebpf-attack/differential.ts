/** A sample of the attack, compared with this machine's kernel: its verifier, and what it runs (`kernel.py`). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { BPF_COMPLEXITY_LIMIT_INSNS } from '../../src/bpf/insn.ts';
import { testRun } from '../../src/bpf/runtime/test-run.ts';
import { VerifierError } from '../../src/bpf/system.ts';
import { KernelError } from '../../src/core/errno.ts';
import { type ProgramCase, programSpec, toHex } from '../ebpf-case.ts';
import { Attack, clearStack, mayTurnLong, packetsOf, programOf } from './attack.ts';
import { AttackHost } from './host.ts';

type KernelAnswer = {
  readonly errno: number;
  readonly message: string;
  readonly runs: readonly { readonly ret?: number; readonly out?: string; readonly err?: number }[];
};

export type Comparison = {
  programs: number;
  compared: number;
  accepted: number;
  runs: number;
  falseAccepts: string[];
  falseRejects: string[];
  differences: string[];
};

/** Results hang on time, chance, the processor, or hashes that only the kernel can compute. */
const UNLIKE: ReadonlySet<number> = new Set([5, 6, 7, 8, 14, 15, 16, 34, 35, 46, 47, 48, 118, 125, 160, 208]);

/** The kernel can be asked about programs whose maps need no BTF and that name no functions. */
const askable = (c: ProgramCase): boolean =>
  c.func_info === undefined &&
  c.tail === undefined &&
  (c.maps ?? []).every((m) => m.btf === undefined && m.inner === undefined);

/** Whether bpf(2) works here, as root. */
export function kernelAnswers(): boolean {
  const probe = { type: 1, insns: 'b7000000000000009500000000000000', maps: [], packets: [] };
  return ask([probe])?.[0]?.errno === 0;
}

function ask(programs: readonly unknown[]): KernelAnswer[] | undefined {
  const input = programs.map((p) => JSON.stringify(p)).join('\n');
  const script = join(process.env.NETLOOM_REPOSITORY ?? process.cwd(), 'conformance/ebpf-attack/kernel.py');
  const done = spawnSync('python3', [script], { input: `${input}\n`, encoding: 'utf8', maxBuffer: 1 << 30 });
  if (done.status !== 0) return undefined;
  return done.stdout
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => JSON.parse(l) as KernelAnswer);
}

const PACKETS = 2;

/** Compares programs of a seed with the kernel, some at a time. */
export class KernelComparison {
  readonly result: Comparison = {
    programs: 0,
    compared: 0,
    accepted: 0,
    runs: 0,
    falseAccepts: [],
    falseRejects: [],
    differences: [],
  };
  readonly #attack: Attack;
  readonly #host = new AttackHost();
  readonly #seed: number;
  readonly #corpus: readonly ProgramCase[];
  readonly #frames: readonly Uint8Array[];

  constructor(seed: number, corpus: readonly ProgramCase[], frames: readonly Uint8Array[]) {
    this.#attack = new Attack(seed, corpus, frames);
    this.#seed = seed;
    this.#corpus = corpus;
    this.#frames = frames;
  }

  /** Programs `from` to `from + count - 1`. */
  programs(from: number, count: number): void {
    const chosen = Array.from({ length: count }, (_, i) => ({
      c: programOf(this.#seed, from + i, this.#corpus),
      packets: packetsOf(this.#seed, from + i, PACKETS, this.#frames),
    })).filter(({ c }) => askable(c));
    const answers =
      ask(
        chosen.map(({ c, packets }) => ({
          type: c.type,
          flags: c.flags ?? 0,
          license: c.license ?? 'GPL',
          insns: toHex(new Uint8Array(Buffer.from(c.insns, 'hex'))),
          maps: c.maps ?? [],
          packets: packets.map(toHex),
        })),
      ) ?? [];
    this.result.programs += count;
    for (const [i, { c, packets }] of chosen.entries()) {
      const answer = answers[i];
      if (answer !== undefined && answer.errno !== -1) this.#compare(c, packets, answer);
    }
  }

  #compare(c: ProgramCase, packets: readonly Uint8Array[], kernel: KernelAnswer): void {
    const out = this.result;
    let ours = this.#attack.judge(c);
    // What the kernel accepts is walked to the end; what it refuses only until something is found.
    if (ours?.undecided === true && kernel.errno === 0)
      ours = this.#attack.judge(c, 'root', BPF_COMPLEXITY_LIMIT_INSNS);
    if (ours === undefined) return;
    out.compared++;
    const say = (what: string): string => `${c.id} (type ${c.type}) ${what}\n  ${c.insns}`;
    if (ours.ok && kernel.errno !== 0) out.falseAccepts.push(say(`kernel ${kernel.errno} ${kernel.message}`));
    if (!ours.ok && kernel.errno === 0) out.falseRejects.push(say(`netloom ${ours.errno} ${ours.message}`));
    if (!ours.ok || kernel.errno !== 0) return;
    out.accepted++;
    if (mayTurnLong(c, ours) || [...ours.helpers].some((h) => UNLIKE.has(h))) return;
    if (this.#attack.judge(c, 'netadmin')?.ok !== true) return;
    const zeros = this.#outcomes(c, packets, 0);
    const ones = this.#outcomes(c, packets, 0xff);
    for (const [k, packet] of packets.entries()) {
      const want = kernel.runs[k];
      const a = zeros[k];
      // What was on the stack before decides: the rules let such a program pass where its register was spilled in part.
      if (a === undefined || a !== ones[k]) continue;
      const b = want.err !== undefined ? `errno ${want.err}` : `${want.ret} ${want.out}`;
      out.runs++;
      if (a !== b) out.differences.push(say(`packet ${toHex(packet)}\n  kernel  ${b}\n  netloom ${a}`));
    }
  }

  /** Result and packet of each run, on a stack filled with `poison`. */
  #outcomes(c: ProgramCase, packets: readonly Uint8Array[], poison: number): string[] {
    try {
      const lines = this.#host.withProgram(programSpec(c), ({ program }, machine) =>
        packets.map((packet) => {
          clearStack(machine, poison);
          const got = testRun(machine, program, packet);
          return 'errno' in got ? `errno ${got.errno}` : `${got.ret} ${toHex(got.data)}`;
        }),
      );
      return lines ?? [];
    } catch (error) {
      // Something that netloom does not have: not compared.
      if (error instanceof KernelError && !(error instanceof VerifierError)) return [];
      throw error;
    }
  }
}
