/**
 * When memory that a program may still hold a pointer to can be used for something else: after the run that is going on
 * (the kernel waits for an RCU grace period).
 */
import type { Heap } from '../../core/heap.ts';

export class Grace {
  readonly #heap: Heap;
  readonly #waiting: number[] = [];
  #depth = 0;

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  /** A program begins to run. Runs may nest. */
  enter(): void {
    this.#depth++;
  }

  /** A program has ended; with the outermost one everything that waited is freed. */
  leave(): void {
    if (--this.#depth > 0) return;
    this.#depth = 0;
    for (let at = this.#waiting.pop(); at !== undefined; at = this.#waiting.pop()) this.#heap.free(at);
  }

  /** Frees heap memory now, or at the end of the run that is going on. */
  free(at: number): void {
    if (this.#depth === 0) this.#heap.free(at);
    else if (at !== 0) this.#waiting.push(at);
  }
}
