/**
 * A piece of a chain as one eBPF program: some rules one after the other, or a run of similar ones as a lookup. Pieces of a
 * chain go on to the next one through a word in memory, so that a changed rule makes one piece anew.
 */
import { NotCompiled } from '../../../bpf/compile/input.ts';
import type { Insn } from '../../../bpf/insn.ts';
import type { BpfMap } from '../../../bpf/maps/map.ts';
import type { ProgramSpec } from '../../../bpf/program.ts';
import { BPF_PROG_TYPE_NFT_CHAIN } from '../../../bpf/progtype/nft-chain.ts';
import { valuesOf } from '../../../bpf/runtime/machine.ts';
import type { LoadedProgram } from '../../../bpf/system.ts';
import { BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED, BPF_MAP_TYPE_HASH } from '../../../wire/uapi/bpf.ts';
import { NFT_META_NFTRACE } from '../../../wire/uapi/nf-tables.ts';
import type { Expr } from '../expr.ts';
import type { Chain, Rule } from '../model.ts';
import type { NftSet } from '../set/set.ts';
import type { State } from '../state.ts';
import { plainMap, type Words } from './arena.ts';
import type { Pool } from './pool.ts';
import { KFUNCS, RuleWriter } from './rule-writer.ts';
import { hex, RECORD_BYTES, type Run, type RunFinder, runKey, runVerdict } from './runs.ts';

/** A run as its maps have it. */
type RunData = {
  readonly run: Run;
  readonly index: BpfMap;
  /** Address of the records. */
  readonly base: number;
  readonly keys: string[];
  readonly rules: Rule[];
};

function setNumber(index: BpfMap, key: Uint8Array, n: number, flags = 0): void {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, n, true);
  index.userUpdate(key, number, flags);
}

function counterOf(rule: Rule): State {
  const native = rule.exprs.find((e) => e.native?.op === 'counter')?.native;
  if (native?.op !== 'counter') throw new NotCompiled('a run without its counters');
  return native.state;
}

export class Segment {
  rules: readonly Rule[];
  readonly program: LoadedProgram;
  /** Where the number of the next program lies. */
  readonly link: Words;
  /** Has conditions on interface names. */
  needsNames = false;
  /** A rule sets `meta nftrace`. */
  readonly tracing: boolean;
  /** Expressions that are called, for those who ask what is not compiled. */
  readonly called: Set<string> = new Set();
  readonly #pool: Pool;
  readonly #states = new Set<State>();
  readonly #exprs: number[] = [];
  readonly #sets = new Set<NftSet>();
  readonly #maps: BpfMap[] = [];
  /** Counters in records: where each lies. */
  readonly #records: { readonly state: State; readonly address: number }[] = [];
  readonly #own: BpfMap[] = [];
  #data: RunData | undefined;

  /** Throws NotCompiled; then nothing is kept. */
  constructor(pool: Pool, chain: Chain, rules: readonly Rule[], run: Run | undefined) {
    this.#pool = pool;
    this.rules = rules;
    this.tracing = rules.some((rule) =>
      rule.exprs.some((e) => e.native?.op === 'meta set' && e.native.key === NFT_META_NFTRACE),
    );
    this.link = pool.arena.take();
    try {
      const writer = new RuleWriter(
        {
          state: (state) => this.#at(this.#state(state)),
          head: (target) => ({ map: this.#index(pool.heads), offset: pool.numberOf(target) * 4 }),
          heads: { map: this.#index(pool.heads), count: pool.chains },
          expr: (expr) => this.#expr(expr),
          set: (set) => {
            const mirror = pool.mirror(set);
            if (mirror === undefined) return undefined;
            if (!this.#sets.has(set)) {
              this.#sets.add(set);
              mirror.users++;
            }
            return { map: this.#index(mirror.map), slow: this.#at(mirror.slow) };
          },
          needNames: () => {
            this.needsNames = true;
          },
        },
        chain.table.family,
      );
      if (run !== undefined) this.#run(writer, run);
      else for (const rule of rules) writer.rule(rule);
      writer.finish(this.#at(this.link));
      const insns = writer.asm.finish();
      if (insns === undefined) throw new NotCompiled('rules that are so long');
      this.program = pool.load(this.#spec(chain, insns), this.#maps);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  #spec(chain: Chain, insns: readonly Insn[]): ProgramSpec {
    return {
      name: chain.name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, 15),
      section: '',
      type: BPF_PROG_TYPE_NFT_CHAIN,
      expectedAttachType: 0,
      flags: 0,
      license: 'GPL',
      insns,
      maps: this.#maps,
      kfuncs: KFUNCS,
    };
  }

  #index(map: BpfMap): number {
    const at = this.#maps.indexOf(map);
    return at >= 0 ? at : this.#maps.push(map) - 1;
  }

  #at(words: Words): { readonly map: number; readonly offset: number } {
    return { map: this.#index(words.map), offset: words.offset };
  }

  #state(state: State): Words {
    if (!this.#states.has(state)) {
      this.#states.add(state);
      return this.#pool.share(state);
    }
    return this.#pool.shared(state);
  }

  #expr(expr: Expr): number {
    const number = this.#pool.addExpr(expr);
    this.#exprs.push(number);
    if (expr.native === undefined) this.called.add(expr.name);
    return number;
  }

  /** The rules of a run: their common conditions, the lookup, what the rule's record says. */
  #run(writer: RuleWriter, run: Run): void {
    const { rules, at, counters } = run;
    const { system } = this.#pool;
    const { slab } = system.machine;
    const records = plainMap(system, 'nft_records', rules.length * RECORD_BYTES);
    this.#own.push(records);
    const keySize = runKey(rules[0], at).length;
    const index = system.createMap({
      name: 'nft_run',
      type: BPF_MAP_TYPE_HASH,
      keySize,
      valueSize: 4,
      // One more, for a replacement that comes in before the old key goes.
      maxEntries: rules.length + 1,
      flags: BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED,
    });
    this.#own.push(index);
    const base = valuesOf(system.machine, records);
    this.#data = { run, index, base, keys: rules.map((rule) => hex(runKey(rule, at))), rules: [...rules] };
    rules.forEach((rule, i) => {
      const record = base + i * RECORD_BYTES;
      slab.dv.setInt32(record + 16, runVerdict(rule), true);
      slab.dv.setUint32(record + 20, rule.handle, true);
      if (counters) {
        const state = counterOf(rule);
        state.share(slab.words, record);
        this.#records.push({ state, address: record });
      }
      // BPF_NOEXIST: the first rule with a value is the one that decides.
      setNumber(index, runKey(rule, at), i, 1);
    });
    const [first] = rules;
    const key = first.exprs[at].native as { readonly from: number; readonly value: Uint8Array };
    writer.begin(0, first.exprs);
    for (let i = 0; i < first.exprs.length; i++) {
      const expr = first.exprs[i];
      const op = expr.native?.op;
      if (op === 'counter' || op === 'verdict' || i === at) continue;
      writer.expr(expr, i);
    }
    writer.key(key.from, keySize);
    writer.find(this.#index(index));
    writer.record(this.#index(records), rules.length, counters);
    writer.end();
  }

  /**
   * Puts another rule of the same kind in the place of one of a run, without a new program; false when that cannot be done.
   * No packet is in the program.
   */
  replace(at: number, rule: Rule, runs: RunFinder): boolean {
    const data = this.#data;
    if (data === undefined || !runs.fits(data.run, data.rules[at], rule)) return false;
    const { keys, index, base, run } = data;
    const key = hex(runKey(rule, run.at));
    const others = keys.indexOf(key);
    // A rule without a verdict must be the only one with its key.
    if (others >= 0 && others !== at) return false;
    const old = keys[at];
    const { slab } = this.#pool.system.machine;
    if (old !== key) {
      const first = keys.indexOf(old);
      keys[at] = key;
      if (first === at) {
        const next = keys.indexOf(old);
        if (next >= 0) setNumber(index, runKey(data.rules[next], run.at), next);
        else index.userDelete(runKey(data.rules[at], run.at));
      }
      setNumber(index, runKey(rule, run.at), at);
    }
    const record = base + at * RECORD_BYTES;
    slab.dv.setInt32(record + 16, runVerdict(rule), true);
    slab.dv.setUint32(record + 20, rule.handle, true);
    if (run.counters) {
      const known = this.#records[at];
      known.state.unshare(record);
      slab.u8.fill(0, record, record + 16);
      const state = counterOf(rule);
      state.share(slab.words, record);
      this.#records[at] = { state, address: record };
    }
    data.rules[at] = rule;
    return true;
  }

  dispose(): void {
    const pool = this.#pool;
    // Not there when it could not be made.
    const program = this.program as LoadedProgram | undefined;
    if (program !== undefined) pool.unload(program.id);
    for (const state of this.#states) pool.unshare(state);
    for (const { state, address } of this.#records) state.unshare(address);
    for (const number of this.#exprs) pool.removeExpr(number);
    for (const set of this.#sets) pool.release(set);
    for (const map of this.#own) pool.system.removeMap(map.id);
    pool.arena.give(this.link);
  }
}
