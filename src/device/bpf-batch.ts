/**
 * Runs a packet program over a batch: compiled programs in one call, others packet by packet. Handles and verdicts lie in
 * the packet memory, where compiled code finds them.
 */
import { CompiledProgram } from '../bpf/compile/engine.ts';
import { fillXdp } from '../bpf/runtime/ctx.ts';
import type { Machine, MachineProgram } from '../bpf/runtime/machine.ts';
import type { Redirect, Run } from '../bpf/runtime/run.ts';

export class BatchRunner {
  readonly #machine: Machine;
  readonly #program: MachineProgram;
  readonly #handles: number;
  readonly #results: number;
  readonly #ctx: number;
  readonly #words: Uint32Array;
  readonly #redirects: (Redirect | undefined)[] = [];

  private constructor(program: MachineProgram, machine: Machine, handles: number, results: number, ctx: number) {
    this.#machine = machine;
    this.#program = program;
    this.#handles = handles;
    this.#results = results;
    this.#ctx = ctx;
    this.#words = new Uint32Array(machine.slab.memory.buffer);
  }

  /** For batches of up to `size` packets; undefined when there is no memory left. */
  static create(machine: Machine, program: MachineProgram, size: number, ctxSize: number): BatchRunner | undefined {
    const { heap } = machine;
    const handles = heap.alloc(size * 4);
    const results = heap.alloc(size * 4);
    const ctx = heap.alloc(ctxSize);
    if (handles !== 0 && results !== 0 && ctx !== 0) return new BatchRunner(program, machine, handles, results, ctx);
    for (const at of [handles, results, ctx]) if (at !== 0) heap.free(at);
    return undefined;
  }

  put(i: number, p: number): void {
    this.#words[(this.#handles >> 2) + i] = p;
  }
  packet(i: number): number {
    return this.#words[(this.#handles >> 2) + i];
  }
  verdict(i: number): number {
    return this.#words[(this.#results >> 2) + i];
  }
  /** Where packet `i` was redirected to, by this run. */
  redirect(i: number): Redirect | undefined {
    return this.#redirects[i];
  }

  run(n: number): void {
    const run = this.#machine.acquire();
    run.ctx = this.#ctx;
    this.#redirects.length = 0;
    try {
      if (this.#program instanceof CompiledProgram) {
        this.#program.after = (i): void => this.#keep(run, i);
        this.#program.batch(run, this.#handles, n, this.#results);
      } else this.#onebyone(run, n);
    } finally {
      this.#machine.release(run);
    }
  }

  #onebyone(run: Run, n: number): void {
    for (let i = 0; i < n; i++) {
      run.packet = this.packet(i);
      run.meta = run.slab.head(run.packet);
      run.tailCalls = 0;
      fillXdp(run);
      this.#words[(this.#results >> 2) + i] = this.#program.enter(run);
      this.#keep(run, i);
    }
  }

  #keep(run: Run, i: number): void {
    if (run.redirect === undefined) return;
    this.#redirects[i] = run.redirect;
    run.redirect = undefined;
  }

  close(): void {
    const { heap } = this.#machine;
    heap.free(this.#handles);
    heap.free(this.#results);
    heap.free(this.#ctx);
  }
}
