/**
 * Everything that programs of one host share at run time: packet memory, heap, maps and programs by number, the clock,
 * randomness and the network around them. Nothing here reads a clock or draws a number of its own.
 */

import { EBADF } from '../../core/errno.ts';
import type { Heap } from '../../core/heap.ts';
import type { Slab } from '../../core/slab.ts';
import { BPF_MAP_TYPE_CGROUP_ARRAY, BPF_MAP_TYPE_CGRP_STORAGE } from '../../wire/uapi/bpf.ts';
import { Grace } from '../maps/grace.ts';
import { ELEM_KEY, MAP_ID, MAP_STRIDE, MAP_VALUE_OFFSET, MAP_VALUES } from '../maps/layout.ts';
import type { BpfMap, MapHost } from '../maps/map.ts';
import type { MapSpec, ProgramSpec } from '../program.ts';
import { type NetHooks, NO_NET } from './net.ts';
import { RUN_BLOCK_BYTES, Run } from './run.ts';

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

/** A bpf_timer inside a map value. */
export type Timer = {
  readonly map: BpfMap;
  readonly valueAt: number;
  /** Program and number (+ 1) of the subprogram to call; 0 until set. */
  program: MachineProgram | undefined;
  callback: number;
  /** Set while it is armed. */
  cancel: (() => void) | undefined;
};

/** A program that may run: how the engine enters it is the engine's. */
export type MachineProgram = {
  readonly id: number;
  readonly spec: ProgramSpec;
  /** Maps in the order of `spec.maps`. */
  readonly maps: readonly BpfMap[];
  /** Runs it on the context set up in `run`; the low 32 bits of r0. Never throws for verified programs. */
  enter(run: Run): number;
  /** Calls one of its functions (number + 1), outside of a run of the program itself: timers. */
  call(run: Run, fn: number, r1: number, r2: number, r3: number): number;
};

/** Where the values of an array begin. */
export function valuesOf(machine: Machine, map: BpfMap): number {
  return machine.slab.dv.getUint32(map.address + MAP_VALUES * 4, true);
}

/** Bytes from one value of an array to the next. */
export function strideOf(machine: Machine, map: BpfMap): number {
  return machine.slab.dv.getUint32(map.address + MAP_STRIDE * 4, true);
}

/** What maps ask of a host's sockets: the address of the `struct bpf_sock` of a handle, and its cookie. */
export type MachineSockets = {
  socket(handle: number, map: MapSpec): number;
  cookie(sk: number): bigint;
};

export type MachineOptions = {
  readonly slab: Slab;
  readonly env: Environment;
  readonly net?: NetHooks;
  /** Processors; per-CPU maps have one slot each. Default 1. */
  readonly cpus?: number;
};

export class Machine implements MapHost {
  readonly slab: Slab;
  readonly heap: Heap;
  readonly env: Environment;
  readonly cpus: number;
  /** The host around; the attach layer sets it. */
  net: NetHooks;
  /** Maps and programs by id; holes where one was removed. */
  readonly maps: (BpfMap | undefined)[] = [];
  readonly programs: (MachineProgram | undefined)[] = [];
  /** Waits with freed memory until no program runs. */
  readonly grace: Grace;
  /** Kernel objects that programs hold, by the address they know them by. */
  readonly objects: Map<number, unknown> = new Map();
  /** Timers of map values by address. */
  readonly timers: Map<number, Timer> = new Map();
  readonly #idle: Run[] = [];

  constructor(options: MachineOptions) {
    this.slab = options.slab;
    this.heap = options.slab.heap;
    this.env = options.env;
    this.net = options.net ?? NO_NET;
    this.cpus = options.cpus ?? 1;
    this.grace = new Grace(this.heap);
  }

  /** The map whose descriptor lies at `address` (its first word is the id). */
  mapAt(address: number): BpfMap {
    const map = this.maps[this.slab.dv.getUint32(address + MAP_ID * 4, true)];
    if (map === undefined) throw new RangeError(`no map at 0x${address.toString(16)}`);
    return map;
  }

  map(id: number): BpfMap | undefined {
    return this.maps[id];
  }

  /** The processor that runs: there is one thread, so it is the first. */
  cpu(): number {
    return 0;
  }

  random(): number {
    return this.env.random();
  }

  /** Whether a program array may hold the program: 0, or -errno. */
  program(id: number): number {
    return this.programs[id] === undefined ? -EBADF : 0;
  }

  device(ifindex: number): boolean {
    return this.net.device(ifindex) !== undefined;
  }

  /** A map value goes away: the timer in it stops. */
  dropFields(map: MapSpec, valueAt: number): void {
    const at = map.record?.timer;
    if (at !== undefined) this.dropTimer(valueAt + at);
  }

  /** Sockets of the host, for maps that hold them. */
  sockets: MachineSockets | undefined;

  socket(handle: number, map: MapSpec): number {
    return this.sockets?.socket(handle, map) ?? -EBADF;
  }
  socketCookie(sk: number): bigint {
    return this.sockets?.cookie(sk) ?? 0n;
  }
  /** There is one cgroup, the root. */
  handle(handle: number, map: MapSpec): number {
    const cgroups = map.type === BPF_MAP_TYPE_CGROUP_ARRAY || map.type === BPF_MAP_TYPE_CGRP_STORAGE;
    return cgroups && handle === 1 ? 0 : -EBADF;
  }

  dropTimer(address: number): void {
    this.timers.get(address)?.cancel?.();
    this.timers.delete(address);
  }

  /** Copies the key of the value at `valueAt` to `keyAt`: arrays know its index, hash elements have it in front. */
  keyOf(map: BpfMap, valueAt: number, keyAt: number): void {
    const { dv, u8 } = this.slab;
    const word = (n: number): number => dv.getUint32(map.address + n * 4, true);
    const offset = word(MAP_VALUE_OFFSET);
    if (offset === 0) {
      dv.setUint32(keyAt, Math.floor((valueAt - word(MAP_VALUES)) / word(MAP_STRIDE)), true);
      return;
    }
    const from = valueAt - offset + ELEM_KEY;
    u8.copyWithin(keyAt, from, from + map.keySize);
  }

  /** A run to use and to give back with `release`; nested runs get their own. Freed map memory waits until then. */
  acquire(): Run {
    let run = this.#idle.pop();
    if (run === undefined) {
      const block = this.heap.alloc(RUN_BLOCK_BYTES, 64);
      if (block === 0) throw new RangeError('no memory left for a run block');
      run = new Run(this, block);
    }
    this.grace.enter();
    return run;
  }

  release(run: Run): void {
    run.clear();
    this.#idle.push(run);
    this.grace.leave();
  }
}
