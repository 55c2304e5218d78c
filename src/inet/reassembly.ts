/**
 * Reassembly of fragments, for IPv4 (RFC 791) and IPv6 (RFC 8200 4.5, RFC 5722). As Linux: fragments that overlap make
 * the whole datagram go (an exact duplicate of one is only dropped itself), a datagram waits so many seconds, and all of them together may not take
 * more than a fixed amount of memory.
 */
import { DROP } from '../core/drop.ts';
import { SLOT_SIZE } from '../core/slab.ts';
import type { World } from '../core/world.ts';

type Piece = { readonly p: number; readonly from: number; readonly to: number };

type Queue = {
  readonly key: string;
  pieces: Piece[];
  /** Stretches that came in order, one behind the other: what lies within one is a duplicate. In order of place. */
  runs: { from: number; to: number }[];
  /** The farthest end that a fragment claimed. */
  longest: number;
  /** Length of the payload, -1 until the last fragment came. */
  total: number;
  have: number;
  timer: number;
  readonly iif: number;
  readonly index: number;
};

export type ReassemblyOptions = {
  readonly timeoutNs: () => number;
  /** Bytes that all incomplete datagrams may hold (ipfrag_high_thresh). */
  readonly highThreshold: () => number;
  /** A datagram whose time was up: its first fragment (only lent), for the ICMP error. */
  readonly expired: (p: number) => void;
};

export class Reassembly {
  readonly #world: World;
  readonly #host: string;
  readonly #options: ReassemblyOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #byIndex: (Queue | undefined)[] = [];
  #memory = 0;
  readonly #fire = (index: number): void => {
    const queue = this.#byIndex[index];
    if (queue === undefined) return;
    // The timer is spent: its number may belong to another one from here on.
    queue.timer = -1;
    const first = queue.pieces.find((piece) => piece.from === 0);
    if (first) this.#options.expired(first.p);
    this.#discard(queue, DROP.FRAG_REASM_TIMEOUT);
  };

  constructor(world: World, host: string, options: ReassemblyOptions) {
    this.#world = world;
    this.#host = host;
    this.#options = options;
  }

  /** Datagrams being put together. */
  get size(): number {
    return this.#queues.size;
  }

  #discard(queue: Queue, reason: number): void {
    this.#forget(queue);
    for (const piece of queue.pieces) this.#world.drop(piece.p, reason, this.#host);
  }

  #forget(queue: Queue): void {
    this.#queues.delete(queue.key);
    this.#byIndex[queue.index] = undefined;
    if (queue.timer >= 0) this.#world.timers.cancel(queue.timer);
    this.#memory -= queue.pieces.length * SLOT_SIZE;
  }

  /**
   * Takes a fragment whose payload `[from, to)` of the datagram begins at absolute offset `payload` of its packet.
   * `forgiving`: an end that contradicts another only costs this fragment (nf_conntrack_reasm), not the datagram.
   * Answers the whole datagram's pieces, in order, when this one completes it; undefined otherwise. Owns the packet.
   */
  add(p: number, key: string, from: number, to: number, more: boolean, forgiving = false): Piece[] | undefined {
    const { slab } = this.#world;
    // Both what Linux allows and a quarter of the packet memory: other packets must get through.
    const limit = Math.min(this.#options.highThreshold(), (slab.capacity >> 2) * SLOT_SIZE);
    if (this.#memory > limit) {
      this.#world.drop(p, DROP.FRAG_LIMIT, this.#host);
      return undefined;
    }
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      const free = this.#byIndex.indexOf(undefined);
      const index = free < 0 ? this.#byIndex.length : free;
      queue = { key, pieces: [], runs: [], longest: 0, total: -1, have: 0, iif: slab.iif(p), index, timer: -1 };
      queue.timer = this.#world.timers.arm(this.#world.now + this.#options.timeoutNs(), this.#fire, index);
      this.#byIndex[index] = queue;
      this.#queues.set(key, queue);
    }
    const contradicts = more
      ? queue.total >= 0 && to > queue.total
      : (queue.total >= 0 && queue.total !== to) || to < queue.longest;
    if (!contradicts) {
      if (!more) queue.total = to;
      queue.longest = Math.max(queue.longest, to);
    }
    if (contradicts || from === to) {
      if (!forgiving) return this.#bad(queue, p);
      this.#world.drop(p, DROP.FRAG_OVERLAP, this.#host);
      return undefined;
    }
    const { pieces, runs } = queue;
    const last = runs[runs.length - 1];
    if (last === undefined || last.to < to) {
      if (last !== undefined && from < last.to) return this.#bad(queue, p);
      if (last !== undefined && from === last.to) last.to = to;
      else runs.push({ from, to });
      pieces.push({ p, from, to });
    } else {
      // What lies within a run is a duplicate and only dropped itself; what crosses an edge is an attack.
      const run = runs.findIndex((r) => r.to > from);
      const there = runs[run];
      if (to > there.from) {
        if (from < there.from || to > there.to) return this.#bad(queue, p);
        this.#world.drop(p, DROP.DUP_FRAG, this.#host);
        return undefined;
      }
      runs.splice(run, 0, { from, to });
      pieces.splice(
        pieces.findIndex((piece) => piece.from >= to),
        0,
        { p, from, to },
      );
    }
    queue.have += to - from;
    this.#memory += SLOT_SIZE;
    if (queue.total < 0 || queue.have !== queue.total || queue.pieces[0].from !== 0) return undefined;
    this.#forget(queue);
    return queue.pieces;
  }

  /** Gives up on a datagram, if there is one. */
  kill(key: string): void {
    const queue = this.#queues.get(key);
    if (queue !== undefined) this.#discard(queue, DROP.FRAG_OVERLAP);
  }

  #bad(queue: Queue, p: number): undefined {
    this.#world.drop(p, DROP.FRAG_OVERLAP, this.#host);
    this.#discard(queue, DROP.FRAG_OVERLAP);
    return undefined;
  }
}
