/**
 * The programs of one chain, kept in step with its rules: what a change leaves alone stays.
 */
import type { Chain, Rule } from '../model.ts';
import type { Pool } from './pool.ts';
import type { RunFinder } from './runs.ts';
import { Segment } from './segment.ts';

/** Rules in a program, and expressions: enough that a step to the next one costs little, few enough to be made in no time. */
const MOST_RULES = 48;
const MOST_EXPRS = 256;

export class ChainCode {
  readonly chain: Chain;
  rules: readonly Rule[] = [];
  segments: readonly Segment[] = [];
  readonly #pool: Pool;
  readonly #runs: RunFinder;
  readonly #empty: number;

  /** @param empty the program of chains without rules */
  constructor(pool: Pool, runs: RunFinder, chain: Chain, empty: number) {
    this.chain = chain;
    this.#pool = pool;
    this.#runs = runs;
    this.#empty = empty;
    pool.setHead(chain, empty);
  }

  /** Makes the programs for the chain's rules as they are now. Throws NotCompiled, and keeps what there was. */
  update(): void {
    const { rules } = this.chain;
    if (rules === this.rules) return;
    const old = this.segments;
    // Programs whose rules are the same, from the front and from the back.
    let front = 0;
    let at = 0;
    while (front < old.length && same(old[front].rules, rules, at)) at += old[front++].rules.length;
    let back = old.length;
    let end = rules.length;
    while (
      back > front &&
      end - old[back - 1].rules.length >= at &&
      same(old[back - 1].rules, rules, end - old[back - 1].rules.length)
    )
      end -= old[--back].rules.length;
    if (back - front === 1 && this.#replaced(old[front], rules, at, end)) {
      this.rules = rules;
      return;
    }
    const made: Segment[] = [];
    try {
      while (at < end) {
        const segment = this.#next(rules, at, end);
        made.push(segment);
        at += segment.rules.length;
      }
    } catch (error) {
      for (const segment of made) segment.dispose();
      throw error;
    }
    this.segments = [...old.slice(0, front), ...made, ...old.slice(back)];
    this.rules = rules;
    const { dv } = this.#pool.system.machine.slab;
    const from = Math.max(0, front - 1);
    const to = Math.min(this.segments.length, front + made.length);
    for (let i = from; i < to; i++)
      dv.setUint32(this.segments[i].link.address, this.segments[i + 1]?.program.id ?? 0, true);
    this.#pool.setHead(this.chain, this.segments[0]?.program.id ?? this.#empty);
    // No packet is in them: this runs between packets.
    for (const segment of old.slice(front, back)) segment.dispose();
  }

  /** One rule of a run was replaced by its like. */
  #replaced(segment: Segment, rules: readonly Rule[], at: number, end: number): boolean {
    if (end - at !== segment.rules.length) return false;
    let which = -1;
    for (let i = at; i < end; i++) {
      if (rules[i] === segment.rules[i - at]) continue;
      if (which >= 0) return false;
      which = i;
    }
    if (which < 0 || !segment.replace(which - at, rules[which], this.#runs)) return false;
    segment.rules = rules.slice(at, end);
    return true;
  }

  /** A rule of the chain sets `meta nftrace`. */
  get tracing(): boolean {
    return this.segments.some((s) => s.tracing);
  }

  #next(rules: readonly Rule[], from: number, end: number): Segment {
    const run = this.#runs.find(rules, from, end);
    if (run !== undefined) return new Segment(this.#pool, this.chain, run.rules, run);
    let to = from;
    let exprs = 0;
    while (to < end && to - from < MOST_RULES && (to === from || exprs + rules[to].exprs.length <= MOST_EXPRS)) {
      if (to > from && this.#runs.find(rules, to, end) !== undefined) break;
      exprs += rules[to++].exprs.length;
    }
    return new Segment(this.#pool, this.chain, rules.slice(from, to), undefined);
  }

  dispose(): void {
    for (const segment of this.segments) segment.dispose();
    this.segments = [];
    this.#pool.forget(this.chain);
  }
}

function same(part: readonly Rule[], rules: readonly Rule[], at: number): boolean {
  if (at < 0 || at + part.length > rules.length) return false;
  for (let i = 0; i < part.length; i++) if (part[i] !== rules[at + i]) return false;
  return true;
}
