/**
 * Everything that programs of one host share at run time: packet memory, heap, maps and programs by number, the clock,
 * randomness and the network around them. Nothing here reads a clock or draws a number of its own.
 */
import type { Slab } from '../../core/slab.ts';
import type { ProgramSpec } from '../program.ts';
import { type NetHooks, NO_NET } from './net.ts';
import { RUN_BLOCK_BYTES, Run } from './run.ts';

/** The heap behind the packet slots (core/heap.ts). */
export type MachineHeap = {
  /** Address of `bytes` zeroed bytes; 0 when there is no room. */
  alloc(bytes: number, align?: number): number;
  free(address: number): void;
};

/** What the run time needs of a map; `maps/` implements it for every type. Keys and values are addresses. */
export type MachineMap = {
  readonly id: number;
  /** Run-time value of an LD_IMM64 of this map: its descriptor. */
  readonly address: number;
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Address of the value, 0 for none. */
  lookup(keyAt: number): number;
  /** 0 or -errno. */
  update(keyAt: number, valueAt: number, flags: number): number;
  delete(keyAt: number): number;
};

/** Where time, randomness and text come from and go to. */
export type Environment = {
  /** CLOCK_MONOTONIC, nanoseconds. */
  now(): number;
  /** Nanoseconds to add for CLOCK_BOOTTIME; and CLOCK_TAI at `now() === 0`. */
  readonly bootOffset?: number;
  readonly taiOffset?: number;
  /** Random 32 bits. */
  random(): number;
  /** A line of bpf_trace_printk, without a line end. */
  printk?(text: string): void;
  /** Record of bpf_perf_event_output: map, index (CPU), bytes. */
  perfEvent?(map: number, index: number, data: Uint8Array): number;
  /** A timer of a map value (re)starts: fires `fire` after `ns`; returns how to cancel it. */
  timer?(ns: number, fire: () => void): () => void;
};

/** A program that may run: how the engine enters it is the engine's. */
export type MachineProgram = {
  readonly id: number;
  readonly spec: ProgramSpec;
  /** Maps in the order of `spec.maps`. */
  readonly maps: readonly MachineMap[];
  /** Runs it on the context set up in `run`; the low 32 bits of r0. Never throws for verified programs. */
  enter(run: Run): number;
};

/** Words of a map's descriptor that every type has (bytes from its address). */
export const MAP_VALUES_AT = 20;
export const MAP_STRIDE_AT = 24;

/** Where the values of an array begin. */
export function valuesOf(machine: Machine, map: MachineMap): number {
  return machine.slab.dv.getUint32(map.address + MAP_VALUES_AT, true);
}

/** Bytes from one value of an array to the next. */
export function strideOf(machine: Machine, map: MachineMap): number {
  return machine.slab.dv.getUint32(map.address + MAP_STRIDE_AT, true);
}

export type MachineOptions = {
  readonly slab: Slab;
  readonly heap: MachineHeap;
  readonly env: Environment;
  readonly net?: NetHooks;
  /** Processors; per-CPU maps have one slot each. Default 1. */
  readonly cpus?: number;
};

export class Machine {
  readonly slab: Slab;
  readonly heap: MachineHeap;
  readonly env: Environment;
  readonly cpus: number;
  /** The host around; the attach layer sets it. */
  net: NetHooks;
  /** Maps and programs by id; holes where one was removed. */
  readonly maps: (MachineMap | undefined)[] = [];
  readonly programs: (MachineProgram | undefined)[] = [];
  readonly #idle: Run[] = [];

  constructor(options: MachineOptions) {
    this.slab = options.slab;
    this.heap = options.heap;
    this.env = options.env;
    this.net = options.net ?? NO_NET;
    this.cpus = options.cpus ?? 1;
  }

  /** The map whose descriptor lies at `address` (its first word is the id). */
  mapAt(address: number): MachineMap {
    const map = this.maps[this.slab.dv.getUint32(address, true)];
    if (map === undefined) throw new RangeError(`no map at 0x${address.toString(16)}`);
    return map;
  }

  /** A run to use and to give back with `release`; nested runs get their own. */
  acquire(): Run {
    const run = this.#idle.pop();
    if (run !== undefined) return run;
    const block = this.heap.alloc(RUN_BLOCK_BYTES, 64);
    if (block === 0) throw new RangeError('no memory left for a run block');
    return new Run(this, block);
  }

  release(run: Run): void {
    run.clear();
    this.#idle.push(run);
  }
}
