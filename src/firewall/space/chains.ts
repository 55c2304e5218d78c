/**
 * Chains as functions of the packet. A run of rules that only decide is folded in halves, so that 5,000 of them cost little more
 * than the diagram they make; rules that write to the packet are taken one by one, for the packets that get to them.
 */
import type { Expr } from '../../netfilter/nft/expr.ts';
import type { Chain, Rule } from '../../netfilter/nft/model.ts';
import * as N from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { type Node, TRUE } from './bdd.ts';
import { type Place, RuleRun } from './context.ts';
import { evaluate, isDynamic, isStateful } from './expressions.ts';
import type { State } from './fields.ts';
import type { Reader } from './read.ts';
import { isPureMatch } from './xt-match.ts';
import { isNote, isPureTarget } from './xt-target.ts';

export type ChainResult = { readonly decision: Node; readonly state: State };

/** Sees every rule with the packets that get to it and the packets it matches; for `lint`. */
export type Watcher = (rule: Rule, reached: Node, run: RuleRun) => void;

const READS: readonly string[] = [
  'immediate',
  'cmp',
  'range',
  'bitwise',
  'byteorder',
  'fib',
  'rt',
  'socket',
  'hash',
  'osf',
  'xfrm',
  'counter',
  'last',
  'log',
  'reject',
  'queue',
];

/** What a rule or chain needs when it is evaluated. */
type Nature = {
  /** It neither writes nor asks shared state: what it decides is a function of the packet alone. */
  readonly pure: boolean;
  /** It decides, writes or feeds shared state; a rule that does not can be left out. */
  readonly matters: boolean;
};

export class Natures {
  readonly #reader: Reader;
  readonly #rules = new Map<Rule, Nature>();
  readonly #chains = new Map<Chain, boolean>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  rule(rule: Rule): Nature {
    let nature = this.#rules.get(rule);
    if (nature === undefined) {
      let pure = true;
      let matters = false;
      for (const expr of rule.exprs) {
        const own = this.#expr(rule, expr);
        pure &&= own.pure;
        matters ||= own.matters;
        for (const target of expr.targets?.() ?? []) pure &&= this.chainIsPure(target);
      }
      nature = { pure, matters };
      this.#rules.set(rule, nature);
    }
    return nature;
  }

  chainIsPure(chain: Chain): boolean {
    let pure = this.#chains.get(chain);
    if (pure === undefined) {
      this.#chains.set(chain, false);
      pure = chain.rules.every((rule) => this.rule(rule).pure);
      this.#chains.set(chain, pure);
    }
    return pure;
  }

  #expr(rule: Rule, expr: Expr): Nature {
    const data = this.#reader.read(expr);
    const writes = { pure: false, matters: true };
    const reads = { pure: true, matters: false };
    switch (expr.name) {
      case 'immediate': {
        const verdict = data.verdict(U.NFTA_IMMEDIATE_DATA, rule.chain.table);
        return { pure: true, matters: verdict !== undefined && verdict.code !== U.NFT_CONTINUE };
      }
      case 'reject':
      case 'queue':
        return { pure: true, matters: true };
      case 'lookup': {
        const set = rule.chain.table.sets.get(data.text(U.NFTA_LOOKUP_SET));
        const verdict = data.has(U.NFTA_LOOKUP_DREG) && data.register(U.NFTA_LOOKUP_DREG) < 0;
        return { pure: set === undefined || !isDynamic(set), matters: verdict };
      }
      case 'payload':
        return data.has(U.NFTA_PAYLOAD_SREG) ? writes : reads;
      case 'meta':
        if (data.has(U.NFTA_META_SREG)) return data.u32(U.NFTA_META_KEY) === U.NFT_META_NFTRACE ? reads : writes;
        return { pure: data.u32(U.NFTA_META_KEY) !== U.NFT_META_PRANDOM, matters: false };
      case 'ct':
        return data.has(U.NFTA_CT_SREG) ? writes : reads;
      case 'exthdr':
        return data.has(U.NFTA_EXTHDR_DREG) ? reads : writes;
      case 'match':
        return { pure: isPureMatch(data.text(U.NFTA_MATCH_NAME)), matters: data.text(U.NFTA_MATCH_NAME) === 'recent' };
      case 'target': {
        const name = data.text(U.NFTA_TARGET_NAME);
        return { pure: isPureTarget(name), matters: !isNote(name) };
      }
      case 'objref':
        return { pure: data.u32(U.NFTA_OBJREF_IMM_TYPE) === 1, matters: data.u32(U.NFTA_OBJREF_IMM_TYPE) !== 1 };
      default:
        if (READS.includes(expr.name)) return reads;
        return { pure: false, matters: !isStateful(expr.name) || expr.name === 'dynset' };
    }
  }
}

export class Chains {
  readonly #natures: Natures;
  readonly #memo = new Map<string, ChainResult>();
  readonly #chainIds = new Map<Chain, number>();
  readonly #stateIds = new Map<State, number>();
  #states = 0;
  /** Told of every rule, when there is one; rules are then taken one by one. */
  watcher: Watcher | undefined;
  /** Told of progress: rules evaluated. */
  onRules: ((count: number) => void) | undefined;
  #rules = 0;

  constructor(natures: Natures) {
    this.#natures = natures;
  }

  #idOf(chain: Chain): number {
    let id = this.#chainIds.get(chain);
    if (id === undefined) {
      id = this.#chainIds.size;
      this.#chainIds.set(chain, id);
    }
    return id;
  }

  #stateId(state: State): number {
    let id = this.#stateIds.get(state);
    if (id === undefined) {
      id = this.#states++;
      this.#stateIds.set(state, id);
    }
    return id;
  }

  /**
   * What a chain decides about packets (`space.none`: nothing, `space.ret`: back to the caller) and what it makes of them. `entry`:
   * the packets that come in, for what is written on the way.
   */
  evaluate(place: Place, chain: Chain, state: State, entry: Node): ChainResult {
    const pure = this.#natures.chainIsPure(chain) && this.watcher === undefined;
    const { pf, l3, hook, iif, oif, path, tracked } = place;
    const where = `${place.care} ${place.side.name} ${pf} ${l3} ${hook} ${iif} ${oif} ${path} ${tracked === undefined ? '' : this.#stateId(tracked)}`;
    const key = `${this.#idOf(chain)} ${where} ${this.#stateId(state)} ${pure ? '' : entry}`;
    const known = this.watcher === undefined && pure ? this.#memo.get(key) : undefined;
    if (known !== undefined) return known;
    const result = this.#run(place, chain, state, pure ? TRUE : entry);
    if (pure) this.#memo.set(key, result);
    return result;
  }

  #run(place: Place, chain: Chain, start: State, entry: Node): ChainResult {
    const { space } = place;
    const { bdd, none } = space;
    let state = start;
    let decided = none;
    let waiting: Node[] = [];
    const flush = (): void => {
      if (waiting.length === 0) return;
      decided = bdd.override(decided, this.#fold(place, waiting, 0, waiting.length), none);
      waiting = [];
    };
    for (const rule of chain.rules) {
      this.#rules++;
      if ((this.#rules & 0x7f) === 0) this.onRules?.(this.#rules);
      const nature = this.#natures.rule(rule);
      if (!nature.matters && this.watcher === undefined) continue;
      let active = entry;
      if (!nature.pure || this.watcher !== undefined) {
        flush();
        active = bdd.and(entry, bdd.is(decided, none));
      }
      const run = this.#rule(place, rule, state, active);
      waiting.push(run.decision);
      state = run.state;
    }
    flush();
    return { decision: decided, state };
  }

  /** The first of the decisions that decides. */
  #fold(place: Place, list: readonly Node[], from: number, to: number): Node {
    if (to - from === 1) return list[from];
    const middle = (from + to) >> 1;
    const { bdd, none } = place.space;
    return bdd.override(this.#fold(place, list, from, middle), this.#fold(place, list, middle, to), none);
  }

  #rule(place: Place, rule: Rule, state: State, active: Node): RuleRun {
    const { space } = place;
    const run = new RuleRun(place, rule.chain, state, active);
    for (const expr of rule.exprs) {
      evaluate(run, space.reader.read(expr), expr, (code, target) => this.#verdict(run, code, target));
      if (run.match === 0) break;
    }
    this.watcher?.(rule, active, run);
    return run;
  }

  #verdict(run: RuleRun, code: number, target: Chain | undefined): Node {
    const { place, space } = run;
    const { bdd, none, ret } = space;
    switch (code) {
      case U.NFT_RETURN:
        return ret;
      case U.NFT_JUMP:
      case U.NFT_GOTO: {
        if (target === undefined) return none;
        const result = this.evaluate(place, target, run.state, run.here());
        run.state = result.state;
        // What a called chain leaves undecided goes on behind the rule; after `goto` it is at the caller's caller.
        const left = code === U.NFT_JUMP ? none : ret;
        const decision = bdd.map(result.decision, (t) => (t === ret || t === none ? left : t));
        return decision;
      }
      default:
    }
    if ((code & 0xff) === N.NF_ACCEPT) return space.accept;
    if ((code & 0xff) === N.NF_DROP) return space.drop;
    return space.outcome(`queue ${(code >> 16) & 0xffff}`);
  }
}
