/**
 * Compiled programs of one machine: what they share (the table that tail calls go through, the word that says which run is
 * current), and how each is entered.
 */
import { Code, I32, I64, OP, WasmModule } from '../../core/wasm.ts';
import { BPF_F_RDONLY_PROG } from '../../wire/uapi/bpf.ts';
import { BPF_PSEUDO_MAP_IDX_VALUE, BPF_PSEUDO_MAP_VALUE, type Insn, isLdImm64 } from '../insn.ts';
import { loadPacket } from '../interp/packet.ts';
import * as layout from '../maps/layout.ts';
import type { BpfMap } from '../maps/map.ts';
import type { ProgramSpec } from '../program.ts';
import { contextSize } from '../runtime/ctx.ts';
import type { HelperImpl, HelperTable, KfuncTable } from '../runtime/helper.ts';
import { isNftKfunc } from '../runtime/kfuncs-nft.ts';
import type { Machine, MachineProgram } from '../runtime/machine.ts';
import { BadAccess, Regions } from '../runtime/regions.ts';
import type { Callback, Run } from '../runtime/run.ts';
import { RUN_DEVICE } from './batch.ts';
import { CALLS_BACK } from './call.ts';
import { functionStarts } from './graph.ts';
import { helperName } from './imports.ts';
import type { CompiledMap, CompileInput, Facts } from './input.ts';
import { compile } from './module.ts';

const PAGE = 65_536;
const TABLE_START = 64;

export type EngineOptions = {
  readonly helpers: HelperTable;
  readonly kfuncs?: KfuncTable;
  readonly load?: (run: Run, offset: number, size: number) => number;
};

export type LoadOptions = {
  readonly facts?: Facts;
  /** Compile every access with its bounds. */
  readonly checking?: boolean;
};

type Helper = (r1: number, r2: number, r3: number, r4: number, r5: number) => number;

type Exports = {
  readonly main: () => bigint;
  readonly run: (block: number) => number;
  readonly callback?: (block: number, fn: number, r1: number, r2: number, r3: number, r4: number) => number;
  readonly batch?: (block: number, handles: number, n: number, results: number) => void;
};

/** What `batch` calls after a packet of a program that redirects; `run.redirect` is its to take and clear. */
export type After = (index: number, verdict: number) => void;

/** Compiles for one machine. */
export class Engine {
  readonly machine: Machine;
  readonly helpers: HelperTable;
  readonly kfuncs: KfuncTable;
  /** Programs by id, for tail calls. */
  readonly table: WebAssembly.Table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_START });
  /** Address of the word with the current run block. */
  readonly cell: number;
  /** The run that helpers are called for. */
  current: Run;
  readonly #shared = new Map<HelperImpl, Helper>();

  constructor(machine: Machine, options: EngineOptions) {
    this.machine = machine;
    this.helpers = options.helpers;
    this.kfuncs = options.kfuncs ?? new Map();
    this.cell = machine.heap.alloc(8);
    if (this.cell === 0) throw new RangeError('no memory left for compiled programs');
    this.current = machine.acquire();
    machine.release(this.current);
  }

  /** The bytes of a program's module. Throws `NotCompiled`. */
  compile(spec: ProgramSpec, maps: readonly BpfMap[], options: LoadOptions = {}): Uint8Array {
    const { machine } = this;
    const input: CompileInput = {
      spec,
      facts: options.facts,
      maps: maps.map((map) => this.#compiledMap(map)),
      helper: (id) => this.helpers.get(id),
      kfunc: (name) => this.kfuncs.get(name),
      pages: machine.slab.memory.buffer.byteLength / PAGE,
      runCell: this.cell,
      cpus: machine.cpus,
      checking: options.checking,
    };
    return compile(input);
  }

  /** Compiles a verified program and puts it into the table as number `id`. */
  load(id: number, spec: ProgramSpec, maps: readonly BpfMap[], options: LoadOptions = {}): CompiledProgram {
    const module = new WebAssembly.Module(this.compile(spec, maps, options) as BufferSource);
    const program = new CompiledProgram(this, id, spec, maps, module, options.checking === true);
    this.#put(id, program.exports.main);
    return program;
  }

  /** Puts a program that is not compiled into the table, so that compiled ones can call it. */
  adopt(program: MachineProgram): void {
    const m = new WasmModule();
    const enter = m.importFunc('env', 'enter', [I32, I32], [I32]);
    const main = m.declare([I32, I32], [I64], 'main');
    m.define(main, [], new Code().get(0).get(1).call(enter).op(OP['i64.extend_i32_u']));
    m.export('main', 'func', main);
    const env = {
      enter: (ctx: number, fp: number): number => {
        const run = this.current;
        run.ctx = ctx >>> 0;
        const before = run.fp;
        run.fp = fp >>> 0;
        const result = program.enter(run);
        run.fp = before;
        return result | 0;
      },
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(m.bytes() as BufferSource), { env });
    this.#put(program.id, instance.exports.main as () => bigint);
  }

  #put(id: number, main: () => bigint): void {
    if (id >= this.table.length) this.table.grow(Math.max(id + 1 - this.table.length, this.table.length));
    this.table.set(id, main);
  }

  /** Takes a program out of the table. */
  unload(id: number): void {
    if (id < this.table.length) this.table.set(id, null);
  }

  /** A helper as an import; one function serves all programs, so that calls of it stay monomorphic. */
  shared(impl: HelperImpl): Helper {
    let helper = this.#shared.get(impl);
    if (helper === undefined) {
      const { call } = impl;
      helper = (r1, r2, r3, r4, r5): number => call(this.current, r1, r2, r3, r4, r5);
      this.#shared.set(impl, helper);
    }
    return helper;
  }

  #compiledMap(map: BpfMap): CompiledMap {
    const { dv } = this.machine.slab;
    return {
      address: map.address,
      type: map.type,
      keySize: map.keySize,
      valueSize: map.valueSize,
      maxEntries: map.maxEntries,
      flags: map.flags,
      frozen: map.isFrozen(),
      word: (n) => dv.getUint32(map.address + n * 4, true),
      // Not `peek`, which asks queues: the contents of a read-only array are plain memory.
      value: (offset, size) => {
        if (offset < 0 || offset + size > map.valueSize) return undefined;
        const at = dv.getUint32(map.address + layout.MAP_VALUES * 4, true) + offset;
        if (size === 8) return dv.getBigUint64(at, true);
        return BigInt(size === 4 ? dv.getUint32(at, true) : size === 2 ? dv.getUint16(at, true) : dv.getUint8(at));
      },
    };
  }
}

/** A program as a Wasm instance. */
export class CompiledProgram implements MachineProgram {
  readonly id: number;
  readonly spec: ProgramSpec;
  readonly maps: readonly BpfMap[];
  readonly module: WebAssembly.Module;
  readonly exports: Exports;
  /** What an interpreter that comes here by a tail call goes on with. */
  readonly insns: readonly Insn[];
  readonly subprogs: readonly number[];
  readonly #engine: Engine;
  readonly #checking: boolean;
  readonly #ctxSize: number;
  /** What a batch calls after packets that may be redirected. */
  after: After = () => undefined;
  #calledFor: Run | undefined;
  #callback: Callback = () => 0;

  constructor(
    engine: Engine,
    id: number,
    spec: ProgramSpec,
    maps: readonly BpfMap[],
    module: WebAssembly.Module,
    checking: boolean,
  ) {
    this.#engine = engine;
    this.id = id;
    this.spec = spec;
    this.maps = maps;
    this.insns = spec.insns;
    this.subprogs = functionStarts(spec.insns);
    this.module = module;
    this.#checking = checking;
    this.#ctxSize = contextSize(spec.type);
    const helper: Record<string, Helper> = {};
    const kfunc: Record<string, Helper> = {};
    const env: Record<string, WebAssembly.ImportValue> = {
      memory: engine.machine.slab.memory,
      programs: engine.table,
      load: (offset: number, size: number): number => loadPacket(engine.current, offset, size),
      check: (low: number, high: number, size: number, write: number, base: number): void =>
        this.#check(low, high, size, write, base),
      after: (index: number, verdict: number): void => this.after(index, verdict),
    };
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      if (from !== 'kfunc') continue;
      const impl = engine.kfuncs.get(name) as HelperImpl;
      kfunc[name] = isNftKfunc(name) ? engine.shared(impl) : this.#own(impl);
    }
    for (const [number, impl] of engine.helpers) {
      helper[helperName(number)] = CALLS_BACK.has(number) ? this.#own(impl) : engine.shared(impl);
    }
    const instance = new WebAssembly.Instance(module, { env, helper, kfunc });
    this.exports = instance.exports as unknown as Exports;
  }

  /** Runs it on the context set up in `run`; the low 32 bits of r0. In checking mode it may throw `BadAccess`. */
  enter(run: Run): number {
    const engine = this.#engine;
    const outer = engine.current;
    this.#prepare(run);
    engine.current = run;
    try {
      return this.exports.run(run.block) >>> 0;
    } finally {
      engine.current = outer;
    }
  }

  /** Calls back one of the program's functions, with the frame pointer of `run`. */
  call(run: Run, fn: number, r1: number, r2: number, r3: number, r4 = 0): number {
    const engine = this.#engine;
    const outer = engine.current;
    // A timer's: no program has run in `run`.
    if (run.program !== this) this.#prepare(run);
    engine.current = run;
    try {
      return this.exports.callback?.(run.block, fn, r1, r2, r3, r4) ?? 0;
    } finally {
      engine.current = outer;
    }
  }

  /**
   * Runs it once for each of `n` packets, whose handles are words at the address `handles`; the verdicts become words at
   * `results`. Only XDP and tc programs have batches.
   */
  batch(run: Run, handles: number, n: number, results: number): void {
    const engine = this.#engine;
    const outer = engine.current;
    this.#prepare(run);
    run.dv.setInt32(run.block + RUN_DEVICE, run.ifindex !== 0 ? run.ifindex : run.egress ? -1 : 0, true);
    engine.current = run;
    try {
      this.exports.batch?.(run.block, handles, n, results);
    } finally {
      engine.current = outer;
    }
  }

  #prepare(run: Run): void {
    run.program = this;
    run.progType = this.spec.type;
    if (this.#checking) this.#grant(run);
  }

  /** A helper that calls back needs to know whose function numbers it is given. */
  #own(impl: HelperImpl): Helper {
    const engine = this.#engine;
    return (r1, r2, r3, r4, r5): number => {
      const run = engine.current;
      run.program = this;
      run.callback = this.#callbackFor(run);
      return impl.call(run, r1, r2, r3, r4, r5);
    };
  }

  #callbackFor(run: Run): Callback {
    if (this.#calledFor !== run) {
      this.#calledFor = run;
      this.#callback = (fn, r1, r2, r3, r4): number => this.call(run, fn, r1, r2, r3, r4);
    }
    return this.#callback;
  }

  #grant(run: Run): void {
    run.regions ??= new Regions();
    const { insns } = this.spec;
    const { dv } = this.#engine.machine.slab;
    for (let pc = 0; pc < insns.length; pc++) {
      const insn = insns[pc];
      if (!isLdImm64(insn)) continue;
      pc++;
      if (insn.src !== BPF_PSEUDO_MAP_VALUE && insn.src !== BPF_PSEUDO_MAP_IDX_VALUE) continue;
      const map = this.maps[insn.imm];
      const values = dv.getUint32(map.address + layout.MAP_VALUES * 4, true);
      run.grant(values, map.valueSize * map.maxEntries, (map.flags & BPF_F_RDONLY_PROG) === 0);
    }
  }

  #inMapStruct(at: number, end: number): boolean {
    return this.#engine.machine.maps.some(
      (m) => m !== undefined && at >= m.address && end <= m.address + layout.BPF_MAP_STRUCT_BYTES,
    );
  }

  #check(low: number, high: number, size: number, write: number, base: number): void {
    const run = this.#engine.current;
    const at = (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
    const end = at + size;
    if (at >= base >>> 0 && end <= run.stackTop) return;
    if (at >= run.packetStart() && end <= run.packetEnd()) return;
    if (at >= run.ctx && end <= run.ctx + this.#ctxSize) return;
    if (run.regions?.allows(at, size, write === 1)) return;
    // Come to by a tail call: its global data was not granted when the run began.
    this.#grant(run);
    if (run.regions?.allows(at, size, write === 1)) return;
    // A map pointer's `struct bpf_map`; inline lookups in maps of maps tell nobody of the inner one.
    if (write === 0 && this.#inMapStruct(at, end)) return;
    throw new BadAccess(write === 1 ? 'a write' : 'a read', at, size);
  }
}
