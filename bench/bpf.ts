/**
 * eBPF: a port filter, a load balancer, a router and a loop of arithmetic, on one 60-byte packet. Interpreted, compiled with
 * one call a packet, compiled in batches of 64; beside it this kernel's JIT by BPF_PROG_TEST_RUN with repeat, which also runs
 * one packet again and again. From each figure the time of an empty program is subtracted, which is the harness's. And
 * the time that verifying the largest program takes.
 *
 * A figure is the best of many windows of about a millisecond: on a machine with other work the rest measures that work.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Engine } from '../src/bpf/compile/engine.ts';
import { decodeInsns } from '../src/bpf/insn.ts';
import { Interpreter } from '../src/bpf/interp/interp.ts';
import { InterpProgram } from '../src/bpf/interp/program.ts';
import { createMap } from '../src/bpf/maps/create-map.ts';
import type { MapSpec, ProgramSpec } from '../src/bpf/program.ts';
import { fillXdp, XDP_SIZE } from '../src/bpf/runtime/ctx.ts';
import { HELPERS } from '../src/bpf/runtime/helpers/index.ts';
import { Machine } from '../src/bpf/runtime/machine.ts';
import { type Verdict, verify } from '../src/bpf/verifier/verify.ts';
import { Random } from '../src/core/random.ts';
import { Slab } from '../src/core/slab.ts';
import { BPF_PROG_TYPE_XDP } from '../src/wire/uapi/bpf.ts';
import type { Figure } from './figure.ts';

const BATCH = 64;
const WINDOWS = 300;

type Line = {
  readonly name: string;
  readonly verifyOnly: boolean;
  readonly weight: number;
  readonly insns: string;
  readonly maps: readonly {
    readonly name: string;
    readonly type: number;
    readonly key: number;
    readonly value: number;
    readonly entries: number;
    readonly flags: number;
    readonly contents: readonly (readonly [string, string])[];
  }[];
};

/** Nanoseconds per packet, and instructions of one run. */
type Timing = {
  readonly interpreted: number;
  readonly single: number;
  readonly batch: number;
  readonly instructions: number;
  readonly verdict: number;
};

type Kernel = Record<string, { verify: number; runs: number[]; ret: number | null }>;

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

function specOf(line: Line): ProgramSpec {
  const maps = line.maps.map(
    (m): MapSpec => ({
      name: m.name,
      type: m.type,
      keySize: m.key,
      valueSize: m.value,
      maxEntries: m.entries,
      flags: m.flags,
      initial: m.contents.map(([key, value]) => [bytes(key), bytes(value)] as const),
    }),
  );
  return {
    name: line.name,
    section: 'xdp',
    type: BPF_PROG_TYPE_XDP,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    insns: decodeInsns(bytes(line.insns)),
    maps,
  };
}

function accepted(spec: ProgramSpec): Verdict {
  const verdict = verify(spec);
  if (!verdict.ok) throw new Error(`${spec.name} is refused: ${verdict.message}`);
  return verdict;
}

/** Best nanoseconds per turn of `run(n)`. */
function best(run: (n: number) => void, n: number): number {
  const warm = process.hrtime.bigint();
  while (process.hrtime.bigint() - warm < 300_000_000n) run(n);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < WINDOWS; i++) {
    const start = process.hrtime.bigint();
    run(n);
    least = Math.min(least, Number(process.hrtime.bigint() - start) / n);
  }
  return least;
}

function measure(line: Line, packet: Uint8Array): Timing {
  const slab = new Slab({ heapBytes: 64 << 20 });
  const random = new Random(1);
  const machine = new Machine({ slab, env: { now: () => 0, random: () => random.u32() } });
  const spec = specOf(line);
  const verdict = accepted(spec);
  const maps = spec.maps.map((m, i) => {
    const map = createMap(m, machine, i);
    machine.maps.push(map);
    return map;
  });
  const helpers = { helpers: HELPERS, kfuncs: new Map() };
  const interpreted = new InterpProgram(0, spec, maps, helpers);
  const compiled = new Engine(machine, helpers).load(1, spec, maps, { facts: verdict });
  const run = machine.acquire();
  const p = slab.from(packet);
  run.ctx = slab.heap.alloc(XDP_SIZE);
  const prepare = (): void => {
    run.packet = p;
    run.meta = slab.head(p);
    fillXdp(run);
  };
  prepare();
  const handles = slab.heap.alloc(BATCH * 8);
  for (let i = 0; i < BATCH; i++) slab.dv.setUint32(handles + i * 4, p, true);
  const results = handles + BATCH * 4;
  const inBatches = (n: number): void => {
    for (let i = 0; i < n; i += BATCH) compiled.batch(run, handles, BATCH, results);
  };
  const alone = (n: number): void => {
    for (let i = 0; i < n; i++) compiled.enter(run);
  };
  const slowly = (n: number): void => {
    for (let i = 0; i < n; i++) interpreted.enter(run);
  };
  const scale = line.weight > 1 ? 1 : 100;
  const batch = best(inBatches, BATCH * scale);
  const verdictOf = slab.dv.getUint32(results, true);
  prepare();
  const single = best(alone, 5 * scale);
  const interpreter = new Interpreter(run, HELPERS, new Map(), 1_000_000);
  interpreter.main(interpreted);
  return {
    batch,
    single,
    interpreted: best(slowly, line.weight > 1 ? 1 : 20),
    instructions: interpreter.steps,
    verdict: verdictOf,
  };
}

function measureKernel(directory: string): Kernel | string {
  const script = join(directory, 'kernel-bpf.py');
  const programs = join(directory, 'bpf/programs.jsonl');
  const run = spawnSync('python3', [script, programs, '40000', '150'], { encoding: 'utf8', maxBuffer: 1 << 24 });
  if (run.error !== undefined) return run.error.message;
  if (run.status !== 0) return run.stderr.trim().split('\n').at(-1) ?? 'the script failed';
  return JSON.parse(run.stdout) as Kernel;
}

/** Milliseconds that the verifier takes, at its best. */
function verification(spec: ProgramSpec): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 12; i++) {
    const start = process.hrtime.bigint();
    accepted(spec);
    least = Math.min(least, Number(process.hrtime.bigint() - start) / 1e6);
  }
  return least;
}

const ns = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

/** The figures; `directory` is where the kernel's script lies. */
export function bpf(directory: string): Figure[] {
  const lines = readFileSync(join(directory, 'bpf/programs.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  const packet = bytes((lines[0] as { packet: string }).packet);
  const programs = lines.slice(1) as Line[];
  const kernel = measureKernel(directory);
  const why = typeof kernel === 'string' ? `kernel not measured: ${kernel}` : '';
  const peer = (name: string): number =>
    typeof kernel === 'string' ? Number.NaN : Math.min(...(kernel[name]?.runs ?? []));
  const figures: Figure[] = [];
  let empty: Timing | undefined;
  for (const line of programs.filter((l) => !l.verifyOnly)) {
    const t = measure(line, packet);
    empty ??= t;
    const theirs = peer(line.name);
    if (t === empty) {
      figures.push({
        name: 'eBPF, an empty program: the harness',
        ours: `${ns(t.batch)} ns/packet`,
        peer: Number.isNaN(theirs) ? why : `${ns(theirs)} ns/packet`,
        ratio: t.batch / theirs,
        note: `in batches; one call a packet ${ns(t.single)} ns; subtracted below`,
      });
      continue;
    }
    const expected = typeof kernel === 'string' ? t.verdict : kernel[line.name].ret;
    if (expected !== t.verdict) throw new Error(`${line.name}: verdict ${t.verdict}, the kernel's ${expected}`);
    const net = t.batch - empty.batch;
    const netTheirs = theirs - peer('empty');
    const whole = t.batch / theirs;
    // A short program may hide in the kernel's harness altogether.
    const ratio = netTheirs > 0 ? net / netTheirs : whole;
    figures.push({
      name: `eBPF ${line.name.replace('_', ' ')}, ${t.instructions} instructions`,
      ours: `${ns(net)} ns/packet, ${(net / t.instructions).toFixed(3)} ns/instruction`,
      peer: Number.isNaN(theirs)
        ? why
        : `${ns(netTheirs)} ns/packet, ${(netTheirs / t.instructions).toFixed(3)} ns/instruction (kernel JIT)`,
      ratio,
      note: `batches of ${BATCH}${Number.isNaN(whole) ? '' : `, with the harness ${whole.toFixed(2)}`}; one call a packet ${ns(t.single)} ns, interpreter ${ns(t.interpreted)} ns`,
    });
  }
  const largest = programs.find((l) => l.verifyOnly);
  if (largest !== undefined) {
    const spec = specOf(largest);
    const ours = verification(spec);
    const theirs = typeof kernel === 'string' ? Number.NaN : kernel[largest.name].verify / 1e6;
    figures.push({
      name: `eBPF verification, ${verify(spec).processed} instructions walked`,
      ours: `${ours.toFixed(1)} ms`,
      peer: Number.isNaN(theirs) ? why : `${theirs.toFixed(1)} ms (kernel, with its JIT)`,
      ratio: ours / theirs,
      note: 'best of 12 and of 20',
    });
  }
  return figures;
}
