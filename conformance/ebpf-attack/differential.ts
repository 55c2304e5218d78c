/** A sample of the attack, compared with this machine's kernel: its verifier, and what it runs (`kernel.py`). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { testRun } from '../../src/bpf/runtime/test-run.ts';
import { Random } from '../../src/core/random.ts';
import { makeMaps, newSystem, type ProgramCase, programSpec, toHex } from '../ebpf-case.ts';
import { HEAP, judge, mayTurnLong } from './attack.ts';
import { randomPacket } from './generate.ts';

type KernelAnswer = {
  readonly errno: number;
  readonly message: string;
  readonly runs: readonly { readonly ret?: number; readonly out?: string; readonly err?: number }[];
};

export type Comparison = {
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

/** Result and packet of each run, on a stack filled with `poison`. */
function outcomes(c: ProgramCase, packets: readonly Uint8Array[], poison: number): string[] {
  const system = newSystem(HEAP);
  const spec = programSpec(c);
  const maps = makeMaps(system, spec.maps);
  if (typeof maps === 'number') return [];
  const { machine } = system;
  const { program } = system.loadProgram(spec, maps);
  return packets.map((packet) => {
    const run = machine.acquire();
    run.u8.fill(poison, run.stackBase, run.stackTop);
    machine.release(run);
    const got = testRun(machine, program, packet);
    return 'errno' in got ? `errno ${got.errno}` : `${got.ret} ${toHex(got.data)}`;
  });
}

/** Compares programs; `seed` chooses the packets. */
export function compareWithKernel(
  programs: readonly ProgramCase[],
  seed: number,
  frames: readonly Uint8Array[],
): Comparison {
  const r = new Random(seed);
  const chosen = programs
    .filter(askable)
    .map((c) => ({ c, packets: Array.from({ length: 2 }, () => randomPacket(r, frames)) }));
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
  const out: Comparison = { compared: 0, accepted: 0, runs: 0, falseAccepts: [], falseRejects: [], differences: [] };
  for (const [i, { c, packets }] of chosen.entries()) {
    const kernel = answers[i];
    if (kernel === undefined || kernel.errno === -1) continue;
    const ours = judge(c);
    if (ours === undefined) continue;
    out.compared++;
    const say = (what: string): string => `${c.id} (type ${c.type}) ${what}\n  ${c.insns}`;
    if (ours.ok && kernel.errno !== 0) out.falseAccepts.push(say(`kernel ${kernel.errno} ${kernel.message}`));
    if (!ours.ok && kernel.errno === 0) out.falseRejects.push(say(`netloom ${ours.errno} ${ours.message}`));
    if (!ours.ok || kernel.errno !== 0) continue;
    out.accepted++;
    if (mayTurnLong(c, ours) || [...ours.helpers].some((h) => UNLIKE.has(h)) || judge(c, 'netadmin')?.ok !== true)
      continue;
    const zeros = outcomes(c, packets, 0);
    const ones = outcomes(c, packets, 0xff);
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
  return out;
}
