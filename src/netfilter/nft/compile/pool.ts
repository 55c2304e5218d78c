/**
 * What the compiled chains of a host share: the eBPF system they are loaded into, words for states, expressions that are
 * called by number, maps of sets, and where each chain begins. All of it is counted, so that what no program uses goes.
 */
import type { BpfMap } from '../../../bpf/maps/map.ts';
import type { ProgramSpec } from '../../../bpf/program.ts';
import { Machine, valuesOf } from '../../../bpf/runtime/machine.ts';
import { BpfSystem, type LoadedProgram, type RunMode } from '../../../bpf/system.ts';
import { Random } from '../../../core/random.ts';
import type { Slab } from '../../../core/slab.ts';
import type { Expr } from '../expr.ts';
import type { Chain } from '../model.ts';
import type { NftSet } from '../set/set.ts';
import type { State } from '../state.ts';
import { Arena, plainMap, type Words } from './arena.ts';
import { SetMirror } from './set-mirror.ts';

/** Chains that a host may have compiled at a time. */
const CHAINS = 16_384;

export class Pool {
  readonly system: BpfSystem;
  readonly arena: Arena;
  /** Number of the first program of each chain, by number of the chain. */
  readonly heads: BpfMap;
  readonly chains: number = CHAINS;
  /** Called by number. */
  readonly exprs: (Expr | undefined)[] = [];
  readonly #freeExprs: number[] = [];
  readonly #states = new Map<State, { readonly words: Words; users: number }>();
  readonly #mirrors = new Map<NftSet, SetMirror>();
  readonly #numbers = new Map<Chain, number>();
  readonly #freeNumbers: number[] = [];
  readonly #run: RunMode;
  readonly #headsAt: number;
  /** Programs made so far: replaced ones too. */
  made = 0;

  constructor(slab: Slab, now: () => number, run: RunMode) {
    // Randomness of its own: it only spreads keys, and must not take numbers away from packets.
    const random = new Random(1);
    this.system = new BpfSystem(new Machine({ slab, env: { now, random: () => random.u32() } }));
    this.#run = run;
    this.arena = new Arena(this.system);
    this.heads = plainMap(this.system, 'nft_chains', CHAINS * 4);
    this.#headsAt = valuesOf(this.system.machine, this.heads);
  }

  load(spec: ProgramSpec, maps: readonly BpfMap[]): LoadedProgram {
    this.made++;
    return this.system.loadProgram(spec, maps, { run: this.#run });
  }
  unload(id: number): void {
    this.system.unloadProgram(id);
  }

  share(state: State): Words {
    let entry = this.#states.get(state);
    if (entry === undefined) {
      entry = { words: this.arena.take(), users: 0 };
      this.#states.set(state, entry);
      state.share(this.system.machine.slab.words, entry.words.address);
    }
    entry.users++;
    return entry.words;
  }
  /** The words of a state that is shared. */
  shared(state: State): Words {
    return this.#states.get(state)!.words;
  }
  unshare(state: State): void {
    const entry = this.#states.get(state);
    if (entry === undefined || --entry.users > 0) return;
    state.unshare(entry.words.address);
    this.arena.give(entry.words);
    this.#states.delete(state);
  }

  addExpr(expr: Expr): number {
    const number = this.#freeExprs.pop() ?? this.exprs.length;
    this.exprs[number] = expr;
    return number;
  }
  removeExpr(number: number): void {
    this.exprs[number] = undefined;
    this.#freeExprs.push(number);
  }

  /** The map of a set; undefined when the set has a structure that programs cannot look into. */
  mirror(set: NftSet): SetMirror | undefined {
    if (!SetMirror.fits(set)) return undefined;
    let mirror = this.#mirrors.get(set);
    if (mirror === undefined) {
      mirror = new SetMirror(this.system, this.arena, set, (chain) => this.numberOf(chain));
      this.#mirrors.set(set, mirror);
    }
    return mirror;
  }
  release(set: NftSet): void {
    const mirror = this.#mirrors.get(set);
    if (mirror === undefined || --mirror.users > 0) return;
    mirror.dispose();
    this.#mirrors.delete(set);
  }
  refreshSets(): void {
    for (const mirror of this.#mirrors.values()) mirror.refresh();
  }

  /** Number of a chain, given when first asked for. */
  numberOf(chain: Chain): number {
    let number = this.#numbers.get(chain);
    if (number === undefined) {
      number = this.#freeNumbers.pop() ?? this.#numbers.size;
      if (number >= CHAINS) throw new RangeError(`netloom compiles at most ${CHAINS} chains of a host`);
      this.#numbers.set(chain, number);
    }
    return number;
  }
  setHead(chain: Chain, program: number): void {
    this.system.machine.slab.dv.setUint32(this.#headsAt + this.numberOf(chain) * 4, program, true);
  }
  head(chain: Chain): number {
    return this.system.machine.slab.dv.getUint32(this.#headsAt + this.numberOf(chain) * 4, true);
  }
  forget(chain: Chain): void {
    const number = this.#numbers.get(chain);
    if (number === undefined) return;
    this.setHead(chain, 0);
    this.#numbers.delete(chain);
    this.#freeNumbers.push(number);
  }

  dispose(): void {
    for (const mirror of this.#mirrors.values()) mirror.dispose();
    this.#mirrors.clear();
    this.arena.dispose();
    this.system.removeMap(this.heads.id);
  }
}
