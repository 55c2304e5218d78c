/**
 * bpf(2) of one host: makes maps, loads programs (verified, then compiled or interpreted) and keeps both by number. A
 * program that the verifier refused is never loaded.
 *
 *     const bpf = new BpfSystem(new Machine({ slab, env }));
 *     const { programs } = bpf.loadObject(loadObject(bytes));
 */
import { EACCES, EINVAL, KernelError } from '../core/errno.ts';
import type { Btf } from './btf/btf.ts';
import { Engine } from './compile/engine.ts';
import { NotCompiled } from './compile/input.ts';
import type { BpfObject } from './elf/index.ts';
import { InterpProgram } from './interp/program.ts';
import { Links } from './links.ts';
import { createMap } from './maps/create-map.ts';
import type { BpfMap } from './maps/map.ts';
import type { MapSpec, ProgramSpec } from './program.ts';
import { HELPERS, unsupportedHelper } from './runtime/helpers/index.ts';
import { KFUNCS } from './runtime/kfuncs.ts';
import type { Machine, MachineProgram } from './runtime/machine.ts';
import { kfuncName } from './verifier/call/kinds.ts';
import { type Mode, type Verdict, verify } from './verifier/verify.ts';

/**
 * How programs run: compiled to WebAssembly; compiled with every access checked; or interpreted, also checked. The last
 * two are for tests and for the distrustful.
 */
export type RunMode = 'compiled' | 'checking' | 'interpreted';

export type LoadedProgram = {
  readonly id: number;
  readonly name: string;
  readonly spec: ProgramSpec;
  readonly verdict: Verdict;
  readonly program: MachineProgram;
  readonly maps: readonly BpfMap[];
};

/** A program that the verifier refused: errno, the kernel's message, and the whole verdict. */
export class VerifierError extends KernelError {
  readonly verdict: Verdict;
  constructor(name: string, verdict: Verdict) {
    super(verdict.errno, `${name}: ${verdict.message}`);
    this.verdict = verdict;
  }
}

export type LoadOptions = {
  readonly mode?: Mode;
  readonly run?: RunMode;
  readonly logLevel?: number;
};

export type LoadedObject = {
  readonly maps: readonly BpfMap[];
  readonly programs: readonly LoadedProgram[];
};

export class BpfSystem {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly programs: Map<number, LoadedProgram> = new Map();
  readonly links: Links = new Links();
  readonly #pinned = new Map<string, BpfMap>();
  readonly #btf = new Map<number, Btf>();
  #nextMap = 1;
  #nextProgram = 1;

  constructor(machine: Machine) {
    this.machine = machine;
    this.engine = new Engine(machine, { helpers: HELPERS, kfuncs: KFUNCS });
  }

  /** BPF_MAP_CREATE; throws KernelError. A pinned map that is there already is used again if its shape is the same. */
  createMap(spec: MapSpec, mode: Mode = 'root'): BpfMap {
    const pinned = spec.pinned === true ? this.#pinned.get(spec.name) : undefined;
    if (pinned !== undefined) {
      const same = (['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const).every(
        (k) => pinned[k] === spec[k],
      );
      if (!same) throw new KernelError(EINVAL, `map '${spec.name}' is pinned with another shape`);
      return pinned;
    }
    const id = this.#nextMap++;
    const map = createMap(spec, this.machine, id, mode);
    this.machine.maps[id] = map;
    if (spec.pinned === true) this.#pinned.set(spec.name, map);
    return map;
  }

  /** Takes a map away; programs that use it must be gone. */
  removeMap(id: number): void {
    const map = this.machine.maps[id];
    if (map === undefined) return;
    for (const other of this.machine.maps) if (other?.inner !== undefined) other.forget?.(id);
    delete this.machine.maps[id];
    this.#btf.delete(id);
    if (this.#pinned.get(map.name) === map) this.#pinned.delete(map.name);
    map.destroy();
  }

  /** The BTF of the object that a map came with. */
  btfOf(map: BpfMap): Btf | undefined {
    return this.#btf.get(map.id);
  }

  /**
   * BPF_PROG_LOAD: verifies and compiles. `maps` stand for `spec.maps`. Throws VerifierError when the program is refused, and
   * KernelError when it calls something that netloom does not have.
   */
  loadProgram(spec: ProgramSpec, maps: readonly BpfMap[], options: LoadOptions = {}): LoadedProgram {
    const own: ProgramSpec = { ...spec, maps };
    const verdict = verify(own, { mode: options.mode, logLevel: options.logLevel, cpus: this.machine.cpus });
    if (!verdict.ok) throw new VerifierError(spec.name, verdict);
    this.#checkSupported(own, verdict);
    const id = this.#nextProgram++;
    const program = this.#runnable(id, own, maps, verdict, options.run);
    this.machine.programs[id] = program;
    const loaded: LoadedProgram = { id, name: spec.name, spec: own, verdict, program, maps };
    this.programs.set(id, loaded);
    return loaded;
  }

  /** Compiled, or interpreted when that is asked for or the compiler has no code for something in it. */
  #runnable(id: number, spec: ProgramSpec, maps: readonly BpfMap[], facts: Verdict, run?: RunMode): MachineProgram {
    if (run !== 'interpreted') {
      try {
        return this.engine.load(id, spec, maps, { facts, checking: run === 'checking' });
      } catch (error) {
        if (!(error instanceof NotCompiled)) throw error;
      }
    }
    const program = new InterpProgram(id, spec, maps, { helpers: HELPERS, kfuncs: KFUNCS, insns: facts.insns });
    this.engine.adopt(program);
    return program;
  }

  /** Takes a program away, out of program arrays and device maps too. It must not be attached. */
  unloadProgram(id: number): void {
    for (const map of this.machine.maps) if (map !== undefined && map.inner === undefined) map.forget?.(id);
    this.programs.delete(id);
    delete this.machine.programs[id];
    this.engine.unload(id);
  }

  /**
   * Makes all maps of an object, loads the programs (`names`, or those that load by themselves; and those that its program
   * arrays name), and puts both into the maps that refer to them. All or nothing.
   */
  loadObject(object: BpfObject, options: LoadOptions & { readonly names?: readonly string[] } = {}): LoadedObject {
    const maps: BpfMap[] = [];
    const programs: LoadedProgram[] = [];
    const referred: LoadedProgram[] = [];
    const made: BpfMap[] = [];
    const slots = object.maps.flatMap((m) => m.slots ?? []);
    try {
      for (const spec of object.maps) {
        const before = this.machine.maps.length;
        const map = this.createMap(spec, options.mode);
        maps.push(map);
        if (map.id >= before) made.push(map);
        if (object.btf !== undefined && !this.#btf.has(map.id)) this.#btf.set(map.id, object.btf);
      }
      for (const spec of object.programs) {
        const wanted = options.names === undefined ? spec.autoload : options.names.includes(spec.name);
        if (!wanted && !slots.some((s) => s.program === spec.name)) continue;
        if (spec.problem !== undefined) throw spec.problem;
        (wanted ? programs : referred).push(this.loadProgram(spec, maps, options));
      }
      const all = [...programs, ...referred];
      object.maps.forEach((spec, i) => {
        for (const slot of spec.slots ?? []) this.#fill(maps, all, maps[i], slot);
      });
    } catch (error) {
      for (const p of [...programs, ...referred]) this.unloadProgram(p.id);
      for (const m of made) this.removeMap(m.id);
      throw error;
    }
    return { maps, programs };
  }

  #fill(
    maps: readonly BpfMap[],
    programs: readonly LoadedProgram[],
    outer: BpfMap,
    slot: { readonly index: number; readonly map?: number; readonly program?: string },
  ): void {
    const value = slot.map !== undefined ? maps[slot.map]?.id : programs.find((p) => p.name === slot.program)?.id;
    if (value === undefined) return;
    const result = outer.userUpdate(word(slot.index), word(value), 0);
    if (result < 0) throw new KernelError(-result, `map '${outer.name}': entry ${slot.index} is refused`);
  }

  #checkSupported(spec: ProgramSpec, verdict: Verdict): void {
    for (const id of verdict.helpers) {
      const problem = unsupportedHelper(id);
      if (problem !== '') throw new KernelError(EACCES, `${spec.name}: ${problem}`);
    }
    for (const insn of spec.insns) {
      const name = kfuncName(insn, spec);
      if (name !== undefined && !KFUNCS.has(name))
        throw new KernelError(EACCES, `${spec.name}: netloom does not implement the kernel function ${name}`);
    }
  }
}

function word(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n, true);
  return bytes;
}
