/** For tests of the compiler: a machine with arrays, programs without a verdict, both engines. */
import { Slab } from '../../core/slab.ts';
import { BPF_MAP_TYPE_ARRAY, BPF_PROG_TYPE_XDP } from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import { Interpreter } from '../interp/interp.ts';
import { InterpProgram } from '../interp/program.ts';
import { createMap } from '../maps/create-map.ts';
import * as layout from '../maps/layout.ts';
import type { BpfMap } from '../maps/map.ts';
import type { MapSpec, ProgramSpec } from '../program.ts';
import { fillXdp, XDP_SIZE } from '../runtime/ctx.ts';
import type { HelperTable, KfuncTable } from '../runtime/helper.ts';
import { HELPERS } from '../runtime/helpers/index.ts';
import { Machine, type MachineProgram } from '../runtime/machine.ts';
import { type CompiledProgram, Engine, type LoadOptions } from './engine.ts';

export const HELPER_OPTIONS: { readonly helpers: HelperTable; readonly kfuncs: KfuncTable } = {
  helpers: HELPERS,
  kfuncs: new Map(),
};

export class Bench {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly now = 5_000_000_000_123;
  readonly #memory: number;
  #programs = 0;

  constructor() {
    this.machine = new Machine({
      slab: new Slab({ slots: 64, largeSlots: 2, heapBytes: 32 << 20 }),
      env: { now: () => this.now, random: () => 42 },
    });
    this.#memory = this.machine.heap.alloc(64);
    this.engine = new Engine(this.machine, HELPER_OPTIONS);
  }

  array(maxEntries: number, valueSize: number, type: number = BPF_MAP_TYPE_ARRAY): BpfMap {
    return this.map({ type, keySize: 4, valueSize, maxEntries });
  }

  map(shape: Omit<MapSpec, 'name' | 'flags'> & { readonly flags?: number }): BpfMap {
    const id = this.machine.maps.length;
    const map = createMap({ name: `m${id}`, flags: 0, ...shape }, this.machine, id);
    this.machine.maps.push(map);
    return map;
  }

  /** Values of an array that are not all zeros. */
  contents(map: BpfMap): [number, string][] {
    const { u8, dv } = this.machine.slab;
    const values = dv.getUint32(map.address + layout.MAP_VALUES * 4, true);
    const stride = dv.getUint32(map.address + layout.MAP_STRIDE * 4, true);
    const out: [number, string][] = [];
    for (let i = 0; i < map.maxEntries; i++) {
      const hex = Buffer.from(u8.subarray(values + i * stride, values + i * stride + map.valueSize)).toString('hex');
      if (/[^0]/.test(hex)) out.push([i, hex]);
    }
    return out;
  }

  /** Puts a program (-1: none) into a slot of a PROG_ARRAY. */
  setProgram(map: BpfMap, slot: number, id: number): void {
    const { dv } = this.machine.slab;
    const values = dv.getUint32(map.address + layout.MAP_VALUES * 4, true);
    dv.setUint32(values + slot * dv.getUint32(map.address + layout.MAP_STRIDE * 4, true), id + 1, true);
  }

  /** Verdicts of a batch. */
  batch(program: CompiledProgram, packets: readonly number[], ctxSize: number): number[] {
    const { machine } = this;
    const { dv, heap } = machine.slab;
    const run = machine.acquire();
    run.ctx = heap.alloc(ctxSize);
    const at = heap.alloc(packets.length * 8);
    packets.forEach((p, i) => {
      dv.setUint32(at + i * 4, p, true);
    });
    program.batch(run, at, packets.length, at + packets.length * 4);
    const results = packets.map((_, i) => dv.getUint32(at + (packets.length + i) * 4, true));
    heap.free(at);
    heap.free(run.ctx);
    machine.release(run);
    return results;
  }

  spec(insns: readonly Insn[], maps: readonly BpfMap[], type: number): ProgramSpec {
    return { name: 'p', section: '', type, expectedAttachType: 0, flags: 0, license: 'GPL', insns, maps };
  }

  load(
    insns: readonly Insn[],
    options: { readonly type?: number; readonly maps?: readonly BpfMap[] } & LoadOptions = {},
  ): CompiledProgram {
    const { maps = [], type = BPF_PROG_TYPE_XDP } = options;
    return this.engine.load(this.#programs++, this.spec(insns, maps, type), maps, options);
  }

  interpreted(insns: readonly Insn[], maps: readonly BpfMap[] = []): InterpProgram {
    return new InterpProgram(this.#programs++, this.spec(insns, maps, BPF_PROG_TYPE_XDP), maps, HELPER_OPTIONS);
  }

  /** Low word of r0, on a packet of these bytes. */
  run(program: MachineProgram, packet: Uint8Array = new Uint8Array(64)): number {
    const { machine } = this;
    const run = machine.acquire();
    const ctx = machine.heap.alloc(XDP_SIZE);
    const p = machine.slab.from(packet);
    run.ctx = ctx;
    run.packet = p;
    run.meta = machine.slab.head(p);
    fillXdp(run);
    try {
      return program.enter(run);
    } finally {
      machine.heap.free(ctx);
      machine.slab.free(p);
      machine.release(run);
    }
  }

  /** All of r0, with r1 the address of `memory`. */
  r0(program: CompiledProgram, memory: Uint8Array = new Uint8Array(8)): bigint {
    const { machine } = this;
    const run = machine.acquire();
    const at = machine.heap.alloc(Math.max(8, memory.length));
    machine.slab.u8.set(memory, at);
    run.ctx = at;
    const low = program.enter(run);
    const r0 = (BigInt(run.retHi() >>> 0) << 32n) | BigInt(low);
    machine.heap.free(at);
    machine.release(run);
    return r0;
  }

  /** The same by the interpreter, on eight bytes of memory. */
  interpretedR0(insns: readonly Insn[]): bigint {
    const run = this.machine.acquire();
    run.ctx = this.#memory;
    const r0 = new Interpreter(run, HELPERS, new Map(), 10_000_000).main(this.interpreted(insns));
    this.machine.release(run);
    return BigInt.asUintN(64, r0);
  }
}
