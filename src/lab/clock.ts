/**
 * How a lab waits: in virtual time the clock jumps from timer to timer, in real time it keeps step with a clock that is
 * handed in. Either way the world does all its work in order, so only the pace differs.
 */
import type { World } from '../core/world.ts';

/** The outside's clock. */
export type RealClock = {
  /** Milliseconds, never going back. */
  nowMs(): number;
  /** Blocks for about this long. */
  sleep(ms: number): void;
};

const MS = 1e6;
// Real time is never slept away in one piece: work may come from outside.
const LONGEST_SLEEP_MS = 20;

/** The pace of one world. */
export class LabClock {
  readonly #world: World;
  #real: RealClock | undefined;
  #offset = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** From now on the world keeps step with this clock. */
  follow(clock: RealClock): void {
    this.#real = clock;
    this.#offset = clock.nowMs() * MS - this.#world.now;
  }

  /** Lets time pass until `ready` or the deadline (world nanoseconds). */
  wait(deadline: number, ready: () => boolean = () => false): void {
    const world = this.#world;
    for (;;) {
      world.settle();
      if (ready()) return;
      const next = Math.min(world.timers.next(), deadline);
      if (this.#real === undefined) world.run(next);
      else this.#sleepTo(this.#real, next);
      if (world.now >= deadline) {
        world.settle();
        ready();
        return;
      }
    }
  }

  #sleepTo(clock: RealClock, until: number): void {
    const world = this.#world;
    const now = clock.nowMs() * MS - this.#offset;
    if (now < until) clock.sleep(Math.min(LONGEST_SLEEP_MS, (until - now) / MS));
    world.run(Math.max(world.now, Math.min(until, clock.nowMs() * MS - this.#offset)));
  }
}
