/**
 * From a program or an object file to something that runs: maps made, programs verified, put into an engine, references
 * between them resolved. What the verifier refuses never becomes a `MachineProgram`.
 */
import { EOPNOTSUPP } from '../core/errno.ts';
import { Engine } from './compile/engine.ts';
import type { BpfObject, ObjectProgram } from './elf/index.ts';
import { BPF_CALL, BPF_JMP, BPF_PSEUDO_KFUNC_CALL } from './insn.ts';
import { InterpProgram } from './interp/program.ts';
import type { BpfMap } from './maps/map.ts';
import type { ProgramSpec } from './program.ts';
import { HELPERS, unsupportedHelper } from './runtime/helpers/index.ts';
import { KFUNCS, unsupportedKfunc } from './runtime/kfuncs.ts';
import type { Machine, MachineProgram } from './runtime/machine.ts';
import { type Mode, type Verdict, verify } from './verifier/verify.ts';

/** How programs run: compiled to Wasm, the same with every access checked, or interpreted (checked too). */
export type EngineName = 'compiled' | 'checking' | 'interp';

/** A program that cannot run: refused by the verifier, or in need of something that netloom does not have. */
export class ProgramRefused extends Error {
  readonly errno: number;
  /** The verifier's, unless it was not the verifier that refused. */
  readonly verdict: Verdict | undefined;

  constructor(message: string, errno: number, verdict?: Verdict) {
    super(message);
    this.name = 'ProgramRefused';
    this.errno = errno;
    this.verdict = verdict;
  }
}

export type ProgramOptions = {
  readonly mode?: Mode;
  /** Level of the verifier's log (bpf(2)). */
  readonly logLevel?: number;
};

/** What netloom lacks to run an accepted program, '' for nothing. */
function missing(spec: ProgramSpec, verdict: Verdict): string {
  for (const id of verdict.helpers) {
    const problem = unsupportedHelper(id);
    if (problem !== '') return problem;
  }
  for (const [i, { code, src, imm }] of spec.insns.entries()) {
    if (code !== (BPF_JMP | BPF_CALL) || src !== BPF_PSEUDO_KFUNC_CALL || !verdict.insns[i].seen) continue;
    const problem = unsupportedKfunc(spec.kfuncs?.get(imm) ?? `#${imm}`);
    if (problem !== '') return problem;
  }
  return '';
}

/** Loads programs onto one machine. */
export class Loader {
  readonly machine: Machine;
  readonly engine: EngineName;
  readonly #compiler: Engine | undefined;

  constructor(machine: Machine, engine: EngineName = 'compiled') {
    this.machine = machine;
    this.engine = engine;
    if (engine !== 'interp') this.#compiler = new Engine(machine, { helpers: HELPERS, kfuncs: KFUNCS });
  }

  /** Verifies a program over maps that exist (in the order of `spec.maps`) and loads it; throws `ProgramRefused`. */
  program(spec: ProgramSpec, maps: readonly BpfMap[], options: ProgramOptions = {}): MachineProgram {
    const verdict = verify({ ...spec, maps }, { ...options, cpus: this.machine.cpus });
    if (!verdict.ok) throw new ProgramRefused(verdict.message, verdict.errno, verdict);
    return this.accepted(spec, maps, verdict);
  }

  /** Loads a program whose verdict is at hand. */
  accepted(spec: ProgramSpec, maps: readonly BpfMap[], verdict: Verdict): MachineProgram {
    if (!verdict.ok) throw new ProgramRefused(verdict.message, verdict.errno, verdict);
    const problem = missing(spec, verdict);
    if (problem !== '') throw new ProgramRefused(problem, EOPNOTSUPP);
    const { programs } = this.machine;
    const id = programs.length;
    const program =
      this.#compiler === undefined
        ? new InterpProgram(id, spec, maps, { helpers: HELPERS, kfuncs: KFUNCS })
        : this.#compiler.load(id, spec, maps, { facts: verdict, checking: this.engine === 'checking' });
    programs.push(program);
    return program;
  }

  /** Makes an object's maps, with the maps inside maps of maps. Throws `KernelError`. */
  maps(object: BpfObject): BpfMap[] {
    const maps = object.maps.map((spec) => this.machine.createMap(spec));
    for (const [i, { slots = [] }] of object.maps.entries()) {
      for (const { index, map } of slots) if (map !== undefined) put(maps[i], index, maps[map].id);
    }
    return maps;
  }

  /** Loads one program of an object, and those that its program arrays name; throws `ProgramRefused`. */
  objectProgram(
    object: BpfObject,
    maps: readonly BpfMap[],
    name: string,
    options: ProgramOptions = {},
  ): MachineProgram {
    const wanted = object.programs.find((p) => p.name === name);
    if (wanted === undefined) throw new ProgramRefused(`the object has no program ${name}`, EOPNOTSUPP);
    const main = this.#linked(wanted, maps, options);
    const loaded = new Map([[name, main]]);
    for (const [i, { slots = [] }] of object.maps.entries()) {
      for (const { index, program } of slots) {
        const spec = object.programs.find((p) => p.name === program);
        if (spec === undefined) continue;
        const target = loaded.get(spec.name) ?? this.#linked(spec, maps, options);
        loaded.set(spec.name, target);
        put(maps[i], index, target.id);
      }
    }
    return main;
  }

  #linked(spec: ObjectProgram, maps: readonly BpfMap[], options: ProgramOptions): MachineProgram {
    if (spec.problem !== undefined) throw new ProgramRefused(spec.problem.message, EOPNOTSUPP);
    return this.program(spec, maps, options);
  }
}

/** Puts a number into slot `index` of a map, as user space does. */
function put(map: BpfMap, index: number, value: number): void {
  const bytes = new Uint8Array(8);
  const dv = new DataView(bytes.buffer);
  dv.setUint32(0, index, true);
  dv.setUint32(4, value, true);
  map.userUpdate(bytes.slice(0, 4), bytes.slice(4), 0);
}
