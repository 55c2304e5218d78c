/**
 * A tracing program at work: compiled, verified and loaded; its events and maps as text.
 *
 *     const session = new TraceSession('kfree_skb { @[args.reason] = count(); }', { slab, now, random, write });
 *     session.begin();
 *     for (const p of session.programs) attach(p);      // netns/trace-points.ts
 *     ...
 *     session.end();                                    // prints the maps
 */
import type { Slab } from '../../core/slab.ts';
import {
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_TRACING,
  BPF_TRACE_FENTRY,
  BPF_TRACE_RAW_TP,
} from '../../wire/uapi/bpf.ts';
import { type TracePoint, tracePoint } from '../btf-types/index.ts';
import type { Insn } from '../insn.ts';
import type { BpfMap } from '../maps/map.ts';
import type { ProgramSpec } from '../program.ts';
import { Machine } from '../runtime/machine.ts';
import { BpfSystem, type LoadedProgram, type RunMode, VerifierError } from '../system.ts';
import { type Block, type Probe, TraceError } from './ast.ts';
import { type Entry, mapText, printf } from './output.ts';
import { parseTrace } from './parse.ts';
import { Plan } from './plan.ts';
import { generate } from './statement.ts';

export type TraceOptions = {
  readonly slab: Slab;
  /** Nanoseconds. */
  readonly now: () => number;
  readonly random: () => number;
  /** Takes what the program prints. */
  readonly write: (text: string) => void;
  readonly run?: RunMode;
};

/** An `interval` block. */
export type Interval = { readonly period: number; readonly loaded: LoadedProgram; run(): void };

type Compiled = { readonly probe: Probe; readonly point: TracePoint | undefined; readonly insns: readonly Insn[] };

/** Compiles a program for all its points; throws TraceError. */
export function compileTrace(text: string): { readonly plan: Plan; readonly programs: readonly Compiled[] } {
  const plan = new Plan();
  const programs = parseTrace(text).flatMap((block) => block.probes.map((probe) => compileProbe(block, probe, plan)));
  return { plan, programs };
}

function compileProbe(block: Block, probe: Probe, plan: Plan): Compiled {
  if (probe.kind !== 'point') return { probe, point: undefined, insns: generate(block, undefined, plan) };
  const point = tracePoint(probe.target);
  if (point === undefined) throw new TraceError(`netloom has no tracing point ${probe.target}`, probe);
  const isFunction = point.group === '';
  if (probe.form === 'tracepoint' && isFunction) throw new TraceError(`${probe.target} is a function`, probe);
  if (probe.form === 'function' && !isFunction) throw new TraceError(`${probe.target} is a tracepoint`, probe);
  return { probe, point, insns: generate(block, point, plan) };
}

export class TraceSession {
  /** Loaded for their points. */
  readonly programs: readonly LoadedProgram[];
  /** What runs again and again, with the nanoseconds between. */
  readonly intervals: readonly Interval[];
  readonly system: BpfSystem;
  /** The program has said exit(). */
  exited = false;
  readonly #plan: Plan;
  readonly #maps: readonly BpfMap[];
  readonly #begin: readonly LoadedProgram[];
  readonly #end: readonly LoadedProgram[];
  readonly #write: (text: string) => void;

  /** Compiles and loads; throws TraceError, or VerifierError when netloom itself made a mistake. */
  constructor(text: string, options: TraceOptions) {
    const { plan, programs } = compileTrace(text);
    const { slab, now, random, write } = options;
    this.#plan = plan;
    this.#write = write;
    this.system = new BpfSystem(
      new Machine({
        slab,
        env: {
          now,
          random,
          perfEvent: (_map, _index, data) => {
            this.#event(data);
            return 0;
          },
        },
      }),
    );
    const specs = plan.specs();
    this.#maps = specs.map((spec) => this.system.createMap(spec));
    const load = (c: Compiled): LoadedProgram => this.#load(c, options.run);
    this.#begin = programs.filter((c) => c.probe.kind === 'BEGIN').map(load);
    this.#end = programs.filter((c) => c.probe.kind === 'END').map(load);
    this.programs = programs.filter((c) => c.probe.kind === 'point').map(load);
    this.intervals = programs.flatMap((c) => {
      if (c.probe.period === undefined) return [];
      const loaded = load(c);
      return [{ period: c.probe.period, loaded, run: (): void => this.#enter(loaded) }];
    });
  }

  #load({ probe, point, insns }: Compiled, run: RunMode | undefined): LoadedProgram {
    const attach = point === undefined ? 0 : point.group === '' ? BPF_TRACE_FENTRY : BPF_TRACE_RAW_TP;
    const spec: ProgramSpec = {
      name: probe.kind === 'point' ? (point?.name ?? '') : probe.kind,
      section: '',
      type: point === undefined ? BPF_PROG_TYPE_RAW_TRACEPOINT : BPF_PROG_TYPE_TRACING,
      expectedAttachType: attach,
      flags: 0,
      license: 'GPL',
      insns,
      maps: this.#maps,
      target: probe.target,
    };
    try {
      return this.system.loadProgram(spec, this.#maps, { run });
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      throw new TraceError(`the verifier refuses this: ${error.message}`, probe);
    }
  }

  /** Runs the BEGIN blocks. */
  begin(): void {
    for (const p of this.#begin) this.#enter(p);
  }

  /** Runs the END blocks and prints every map. */
  end(): void {
    for (const p of this.#end) this.#enter(p);
    for (const name of this.#plan.maps.keys()) this.#print(name);
  }

  /** Gives the memory of the maps back. */
  close(): void {
    const timed = this.intervals.map((i) => i.loaded);
    for (const p of [...this.programs, ...this.#begin, ...this.#end, ...timed]) this.system.unloadProgram(p.id);
    for (const map of this.#maps) this.system.removeMap(map.id);
  }

  #enter(p: LoadedProgram): void {
    const { machine } = this.system;
    const run = machine.acquire();
    run.ctx = run.scratch;
    run.progType = p.spec.type;
    p.program.enter(run);
    machine.release(run);
  }

  #event(data: Uint8Array): void {
    const event = this.#plan.events[new DataView(data.buffer, data.byteOffset).getUint32(0, true)];
    if (this.exited) return;
    switch (event.kind) {
      case 'printf': {
        let at = 8;
        const values = event.args.map((shape) => {
          const bytes = data.subarray(at, at + shape.bytes);
          at += shape.bytes;
          return { bytes, shape };
        });
        return this.#write(printf(event.format, values));
      }
      case 'print':
        return this.#print(event.map);
      case 'clear':
        return this.#clear(event.map);
      case 'exit':
        this.exited = true;
    }
  }

  #entries(name: string): Entry[] {
    const map = this.#plan.maps.get(name);
    const bpf = map && this.#maps[map.index];
    const out: Entry[] = [];
    if (bpf === undefined) return out;
    for (let key = bpf.userNextKey(undefined); typeof key !== 'number'; key = bpf.userNextKey(key)) {
      const value = bpf.userLookup(key, 0);
      if (typeof value !== 'number') out.push({ key: key.slice(), value: value.slice() });
    }
    return out;
  }

  #print(name: string): void {
    const map = this.#plan.maps.get(name);
    if (map === undefined) return;
    const text = mapText(map, this.#entries(name));
    if (text !== '') this.#write(text);
  }

  #clear(name: string): void {
    const map = this.#plan.maps.get(name);
    if (map !== undefined) for (const { key } of this.#entries(name)) this.#maps[map.index].userDelete(key);
  }
}
