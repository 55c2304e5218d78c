/**
 * A queue of received packets that is worked off in batches (the per-CPU backlog of Linux): devices put packets in, the
 * host's poll takes them out. A ring of handles, `head` and `tail` counting up:
 *
 *     | ... free ... | oldest (tail) ... newest | head -> free ... |
 */
import type { Poller, World } from '../core/world.ts';

const SIZE = 1024; // a power of two; net.core.netdev_max_backlog is 1000

export class Backlog implements Poller {
  readonly #world: World;
  readonly #ring: Int32Array = new Int32Array(SIZE);
  readonly #devices: Int32Array = new Int32Array(SIZE);
  #head = 0;
  #tail = 0;
  readonly #deliver: (p: number, ifindex: number) => void;

  constructor(world: World, deliver: (p: number, ifindex: number) => void) {
    this.#world = world;
    this.#deliver = deliver;
  }

  /** Queues a packet; false when the queue is full (the caller still owns it). */
  push(p: number, ifindex: number): boolean {
    if (this.#head - this.#tail >= SIZE) return false;
    const slot = this.#head++ & (SIZE - 1);
    this.#ring[slot] = p;
    this.#devices[slot] = ifindex;
    this.#world.schedule(this);
    return true;
  }

  poll(budget: number): boolean {
    for (; budget > 0 && this.#tail < this.#head; budget--) {
      const slot = this.#tail++ & (SIZE - 1);
      this.#deliver(this.#ring[slot], this.#devices[slot]);
    }
    return this.#tail < this.#head;
  }
}
