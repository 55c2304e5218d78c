/**
 * Which stack slots may still be read, for each chain of calls: a data-flow analysis over facts that the walk reports as
 * it finds them. A slot that nothing reads any more need not be equal in two states for one to stand for the other.
 *
 * Facts only grow (reads) or shrink (certain writes), so a state whose paths have all ended has all its facts.
 */

import { successors } from './cfg.ts';
import type { Verifier } from './env.ts';
import type { State } from './state.ts';

/** Slots of one frame as two words of bits. */
const WORDS = 2;

/** One chain of call sites, down to the subprogram that runs at its end. */
export class Instance {
  readonly outer: Instance | undefined;
  readonly callsite: number;
  readonly depth: number;
  readonly start: number;
  readonly length: number;
  // By frame: bits of each instruction.
  readonly reads: Uint32Array[] = [];
  readonly writes: Uint32Array[] = [];
  readonly live: Uint32Array[] = [];
  /** Instructions walked at least once: the first visit decides what is certainly written. */
  readonly visited: Uint8Array;
  stale = true;

  constructor(outer: Instance | undefined, callsite: number, depth: number, start: number, length: number) {
    this.outer = outer;
    this.callsite = callsite;
    this.depth = depth;
    this.start = start;
    this.length = length;
    this.visited = new Uint8Array(length);
    for (let f = 0; f <= depth; f++) {
      this.reads.push(new Uint32Array(length * WORDS));
      this.writes.push(new Uint32Array(length * WORDS));
      this.live.push(new Uint32Array(length * WORDS));
    }
  }
}

export class LiveStack {
  readonly #instances = new Map<string, Instance>();
  /** Whole slots written by the instruction being walked: word pairs by frame. */
  readonly #written = new Uint32Array(8 * WORDS);
  #wrote = false;
  #current: Instance | undefined;

  instance(v: Verifier, state: State, depth: number): Instance {
    const frame = state.frames[depth];
    frame.instance ??= this.#find(v, state, depth);
    return frame.instance;
  }

  #find(v: Verifier, state: State, depth: number): Instance {
    let key = '';
    for (let i = 0; i <= depth; i++) key += `${state.frames[i].callsite},${state.frames[i].subprog};`;
    let found = this.#instances.get(key);
    if (found === undefined) {
      const outer = depth > 0 ? this.instance(v, state, depth - 1) : undefined;
      const frame = state.frames[depth];
      const { start, end } = v.subprogs[frame.subprog];
      found = new Instance(outer, frame.callsite, depth, start, end - start);
      this.#instances.set(key, found);
    }
    return found;
  }

  /** An instruction is about to be walked. */
  begin(v: Verifier): void {
    this.#current = this.instance(v, v.state, v.state.depth);
    if (!this.#wrote) return;
    this.#written.fill(0);
    this.#wrote = false;
  }

  /** It was walked: what it wrote on this path. */
  commit(pc: number): void {
    const at = this.#current;
    if (at === undefined) return;
    const i = pc - at.start;
    if (i < 0 || i >= at.length) return;
    const first = at.visited[i] === 0;
    if (first && !this.#wrote) {
      at.visited[i] = 1;
      this.#current = undefined;
      return;
    }
    at.visited[i] = 1;
    for (let f = 0; f <= at.depth; f++) {
      for (let w = 0; w < WORDS; w++) {
        const old = at.writes[f][i * WORDS + w];
        const now = this.#written[f * WORDS + w];
        const both = first ? now : old & now;
        if (both >>> 0 === old) continue;
        at.writes[f][i * WORDS + w] = both;
        at.stale = true;
      }
    }
    this.#current = undefined;
  }

  read(pc: number, frame: number, spi: number): void {
    const at = this.#current;
    if (at === undefined || frame > at.depth) return;
    add(at, frame, pc, spi >>> 5, 1 << (spi & 31));
  }

  write(frame: number, spi: number): void {
    this.#wrote = true;
    this.#written[frame * WORDS + (spi >>> 5)] |= 1 << (spi & 31);
  }

  /** May slot `spi` of frame `frame` be read on some path from where the state stands. */
  alive(v: Verifier, state: State, frame: number, spi: number): boolean {
    for (let d = state.depth; d >= frame; d--) {
      const at = this.instance(v, state, d);
      this.#update(v, at);
      const pc = d === state.depth ? state.insn : state.frames[d + 1].callsite;
      const i = pc - at.start;
      if (i < 0 || i >= at.length) return true;
      // In an outer frame the call has yet to return: what the caller reads after it, and at it.
      if ((at.live[frame][i * WORDS + (spi >>> 5)] & (1 << (spi & 31))) !== 0) return true;
      if (d < state.depth) {
        for (const next of successors(v.insns, pc)) {
          const n = next - at.start;
          if (n >= at.length || (at.live[frame][n * WORDS + (spi >>> 5)] & (1 << (spi & 31))) !== 0) return true;
        }
      }
    }
    return false;
  }

  #update(v: Verifier, at: Instance): void {
    // Facts of called functions about this frame are facts of the call instruction.
    for (const inner of this.#instances.values()) if (inner.outer === at && inner.stale) this.#update(v, inner);
    if (!at.stale) return;
    at.stale = false;
    const end = at.start + at.length;
    let changed = true;
    while (changed) {
      changed = false;
      for (let pc = end - 1; pc >= at.start; pc--) {
        const i = (pc - at.start) * WORDS;
        const next = successors(v.insns, pc);
        for (let f = 0; f <= at.depth; f++) {
          for (let w = 0; w < WORDS; w++) {
            let after = 0;
            for (const to of next) if (to < end) after |= at.live[f][(to - at.start) * WORDS + w];
            const before = ((after & ~at.writes[f][i + w]) | at.reads[f][i + w]) >>> 0;
            if (before === at.live[f][i + w]) continue;
            at.live[f][i + w] = before;
            changed = true;
          }
        }
      }
    }
    if (at.outer !== undefined)
      for (let f = 0; f < at.depth; f++)
        for (let w = 0; w < WORDS; w++) add(at.outer, f, at.callsite, w, at.live[f][w]);
  }
}

function add(at: Instance, frame: number, pc: number, word: number, bits: number): void {
  const i = (pc - at.start) * WORDS + word;
  const old = at.reads[frame][i];
  if ((old | bits) >>> 0 === old || i < 0 || i >= at.reads[frame].length) return;
  at.reads[frame][i] = old | bits;
  at.stale = true;
}

export function markStackRead(v: Verifier, frame: number, spi: number): void {
  v.liveStack.read(v.insn, frame, spi);
}

/** The whole slot is written, on this path. */
export function markStackWrite(v: Verifier, frame: number, spi: number): void {
  v.liveStack.write(frame, spi);
}
