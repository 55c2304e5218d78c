/**
 * What all hosts of one lab share: packet memory, clock, timers, randomness, pending work, and the last word over
 * dropped packets. Nothing in netloom reads a clock or draws a random number from elsewhere, and nothing is global, so
 * many worlds live in one process and each is deterministic.
 */
import { DROP_REASONS, dropName } from './drop.ts';
import type { DeviceLookup, ProbeSink } from './probe.ts';
import { Random } from './random.ts';
import { PKT_TRACE, Slab, type SlabOptions } from './slab.ts';
import type { TraceEvent, Tracer } from './trace.ts';
import { TimerWheel } from './wheel.ts';

/** Work to be done before time moves on: a device with received frames, a queue to drain. */
export type Poller = {
  /** Handles up to `budget` packets; true when there is more to do. */
  poll(budget: number): boolean;
};

export const POLL_BUDGET = 64;

export type WorldOptions = SlabOptions & {
  /** Seed of all randomness; default 1. */
  readonly seed?: number;
  /** Wall-clock time at world time 0, milliseconds since 1970; default 2026-01-01T00:00:00Z. */
  readonly epochMs?: number;
};

export class World {
  readonly slab: Slab;
  readonly random: Random;
  readonly timers: TimerWheel;
  readonly epochMs: number;
  tracer: Tracer | undefined;
  /** Takes what happens at tracing points; undefined while nobody traces. */
  probe: ProbeSink | undefined;
  /** Devices of the hosts, by the host's name; for tracing. */
  readonly hosts: Map<string, DeviceLookup> = new Map();
  /** Called with each packet just before it is dropped; for captures. */
  onDrop: ((p: number, reason: number, host: string) => void) | undefined;
  /** Drops by reason number. */
  readonly drops: Float64Array = new Float64Array(DROP_REASONS);
  #now = 0;
  #pending: Poller[] = [];
  readonly #scheduled = new Set<Poller>();

  constructor(options: WorldOptions = {}) {
    this.slab = new Slab(options);
    this.random = new Random(options.seed ?? 1);
    this.timers = new TimerWheel();
    this.epochMs = options.epochMs ?? Date.UTC(2026, 0, 1);
  }

  /** Nanoseconds since the world began. */
  get now(): number {
    return this.#now;
  }

  /** Asks for `poller.poll` before time moves on; asking twice is asking once. */
  schedule(poller: Poller): void {
    if (this.#scheduled.has(poller)) return;
    this.#scheduled.add(poller);
    this.#pending.push(poller);
  }

  /** Does all pending work at the present instant. Bounded: false when `maxPolls` was reached and work is left. */
  settle(maxPolls = 1_000_000): boolean {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      for (const poller of batch) {
        this.#scheduled.delete(poller);
        if (poller.poll(POLL_BUDGET)) this.schedule(poller);
      }
      maxPolls -= batch.length;
      if (maxPolls <= 0) return false;
    }
    return true;
  }

  /** Lets time pass up to `untilNs`, doing work and firing timers in order. Real time is this, called by a real clock. */
  run(untilNs: number): void {
    for (;;) {
      if (!this.settle()) return;
      const next = this.timers.next();
      if (next > untilNs) break;
      this.#now = Math.max(this.#now, next);
      this.timers.advance(this.#now);
    }
    this.#now = Math.max(this.#now, untilNs);
  }

  /** `run` for a duration from now. */
  runFor(ns: number): void {
    this.run(this.#now + ns);
  }

  /** Tells the tracer about a traced packet's step. Build the event only when `traced(p)`. */
  trace(p: number, event: TraceEvent): void {
    this.tracer?.(event, p);
  }

  /** True when steps of this packet are to be told. */
  traced(p: number): boolean {
    return this.tracer !== undefined && (this.slab.flags(p) & PKT_TRACE) !== 0;
  }

  /** Drops the packet: counts the reason, tells the tracer and the capture, frees the slot. */
  drop(p: number, reason: number, host = ''): void {
    this.drops[reason]++;
    const rule = this.slab.dropRule(p);
    this.onDrop?.(p, reason, host);
    this.probe?.hit({ point: 'kfree_skb', host, p, ifindex: this.slab.iif(p), args: { reason, rule } });
    if (this.traced(p)) this.trace(p, { kind: 'drop', host, reason: dropName(reason), rule });
    this.slab.free(p);
  }
}
