/**
 * The packets that two rulesets may treat differently at all, before anything large is built. Rules of corresponding chains are
 * aligned by what they mean; a packet that matches no rule that only one of them has meets the same rules on both
 * sides and is treated alike. So one changed rule among thousands costs what that rule covers.
 */
import type { Expr } from '../../netfilter/nft/expr.ts';
import type { Chain, Rule } from '../../netfilter/nft/model.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import type { Natures } from './chains.ts';
import { type Place, RuleRun } from './context.ts';
import { evaluate } from './expressions.ts';
import { Resources } from './resources.ts';
import { chainsOf, type Side } from './side.ts';
import type { Space } from './space.ts';
import { placesOf, type World } from './worlds.ts';

/** What a rule comes to, apart from the ruleset around it. */
type Meaning = {
  /** Equal for rules that mean the same. */
  readonly key: string;
  /** Packets that it matches. */
  readonly match: Node;
  /** Its decision, with called chains as terminals by number; undefined for rules that write. */
  readonly decision: Node | undefined;
  /** It calls one chain whatever matches. */
  readonly call: { readonly code: number; readonly chain: Chain } | undefined;
};

const MOST_CELLS = 9_000_000;
const ADDRESSES = ['ip saddr', 'ip daddr', 'ip6 saddr', 'ip6 daddr', 'sport', 'dport', 'ct status'];
const TARGETS: ReadonlyMap<string, readonly string[]> = new Map([
  ['MARK', ['mark']],
  ['CONNMARK', ['mark', 'ct mark']],
  ['SNAT', ADDRESSES],
  ['DNAT', ADDRESSES],
  ['MASQUERADE', ADDRESSES],
  ['REDIRECT', ADDRESSES],
  ['NETMAP', ADDRESSES],
  ['TOS', ['nh']],
  ['DSCP', ['nh']],
  ['TTL', ['nh']],
  ['HL', ['nh']],
  ['TCPMSS', []],
  ['REJECT', []],
  ['NFQUEUE', []],
  ['LOG', []],
  ['NFLOG', []],
  ['CLASSIFY', ['priority']],
  ['CHECKSUM', []],
]);
const QUIET = [
  'immediate',
  'cmp',
  'range',
  'bitwise',
  'byteorder',
  'lookup',
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
  'limit',
  'quota',
  'connlimit',
  'numgen',
  'dynset',
  'match',
];

/** Fields that rules of these rulesets may write; undefined when that cannot be said. */
function writable(space: Space, sides: readonly Side[]): Set<string> | undefined {
  const out = new Set<string>();
  const add = (names: readonly string[]): void => {
    for (const name of names) out.add(name);
  };
  const one = (expr: Expr): boolean => {
    if (QUIET.includes(expr.name)) return true;
    const data = space.reader.read(expr);
    switch (expr.name) {
      case 'meta': {
        if (!data.has(U.NFTA_META_SREG)) return true;
        const key = data.u32(U.NFTA_META_KEY);
        if (key === U.NFT_META_MARK) add(['mark']);
        else if (key === U.NFT_META_PRIORITY) add(['priority']);
        else return key === U.NFT_META_NFTRACE;
        return true;
      }
      case 'ct':
        if (!data.has(U.NFTA_CT_SREG)) return true;
        add(['ct mark']);
        return data.u32(U.NFTA_CT_KEY) === U.NFT_CT_MARK;
      case 'payload':
        if (data.has(U.NFTA_PAYLOAD_SREG)) add([...ADDRESSES, 'nh', 'th', 'll', 'protocol']);
        return true;
      case 'nat':
      case 'masq':
      case 'redir':
        add(ADDRESSES);
        return true;
      case 'exthdr':
        return data.has(U.NFTA_EXTHDR_DREG);
      case 'objref':
        return data.u32(U.NFTA_OBJREF_IMM_TYPE) === 1;
      case 'target': {
        const names = TARGETS.get(data.text(U.NFTA_TARGET_NAME));
        if (names !== undefined) add(names);
        return names !== undefined;
      }
      default:
        return false;
    }
  };
  for (const side of sides)
    for (const chain of chainsOf(side)) for (const rule of chain.rules) if (!rule.exprs.every(one)) return undefined;
  return out;
}

export class Care {
  readonly #space: Space;
  readonly #natures: Natures;
  readonly #sides: readonly [Side, Side];
  readonly #contents = new Map<string, number>();
  readonly #meanings = new Map<string, Map<Rule, Meaning>>();
  readonly #running = new Set<Chain>();

  constructor(space: Space, natures: Natures, a: Side, b: Side) {
    this.#space = space;
    this.#natures = natures;
    this.#sides = [a, b];
  }

  /** Packets of a way that may be treated differently; TRUE when nothing is known. */
  of(world: World): Node {
    const { bdd, fields } = this.#space;
    const written = writable(this.#space, this.#sides);
    if (written === undefined) return TRUE;
    // Places know nothing of state here: what rules of either side may write is taken to be anything at all.
    const [a, b] = this.#sides.map((side) => placesOf(this.#space, new Resources('care'), side, world));
    if (a.length !== b.length) return TRUE;
    let care: Node = FALSE;
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i].base, b[i].base];
      if (
        x.base?.policy !== y.base?.policy ||
        (x.base?.type === 'nat') !== (y.base?.type === 'nat') ||
        x.base?.devices.join() !== y.base?.devices.join() ||
        a[i].hook !== b[i].hook ||
        a[i].pf !== b[i].pf ||
        (a[i].tracked === undefined) !== (b[i].tracked === undefined)
      )
        return TRUE;
      care = bdd.or(care, this.#chains(a[i], x, b[i], y, 0));
      if (care === TRUE) return TRUE;
    }
    const gone = new Set<number>();
    for (const field of fields.all)
      if (field.free !== undefined || written.has(field.name))
        for (let i = 0; i < field.width; i++) gone.add(field.first + i);
    return bdd.andExists(care, TRUE, (level) => gone.has(level));
  }

  /** The number of a chain's content. */
  #content(place: Place, chain: Chain): number {
    if (this.#running.has(chain)) return -1;
    this.#running.add(chain);
    const keys = chain.rules.map((rule) => this.#meaning(place, rule).key).join('\n');
    this.#running.delete(chain);
    let n = this.#contents.get(keys);
    if (n === undefined) {
      n = this.#contents.size;
      this.#contents.set(keys, n);
    }
    return n;
  }

  #meaning(place: Place, rule: Rule): Meaning {
    const where = `${place.side.name} ${place.pf} ${place.l3} ${place.hook} ${place.iif} ${place.oif} ${place.path} ${place.tracked === undefined}`;
    let known = this.#meanings.get(where);
    if (known === undefined) {
      known = new Map();
      this.#meanings.set(where, known);
    }
    let meaning = known.get(rule);
    if (meaning === undefined) {
      meaning = this.#read(place, rule);
      known.set(rule, meaning);
    }
    return meaning;
  }

  #read(place: Place, rule: Rule): Meaning {
    const { reader, bdd } = this.#space;
    const { pure } = this.#natures.rule(rule);
    const run = new RuleRun(place, rule.chain, this.#space.fresh(), TRUE);
    let matched: Node = FALSE;
    let call: Meaning['call'];
    let calls = 0;
    for (const expr of rule.exprs) {
      const before = run.match;
      evaluate(run, reader.read(expr), expr, (code, chain) => {
        // Called chains are terminals: equal content, equal terminal.
        calls++;
        if (chain !== undefined) call = { code, chain };
        return this.#space.local(
          500_000 + this.#space.intern(`verdict ${code} ${chain === undefined ? '' : this.#content(place, chain)}`),
        );
      });
      // From the first thing that it does, a rule counts as matching.
      if (matched === FALSE && DOES.includes(expr.name)) matched = before;
      if (run.match === FALSE) break;
    }
    const decided = bdd.not(bdd.is(run.decision, this.#space.none));
    const match = bdd.or(matched, bdd.or(decided, run.match));
    if (pure)
      return {
        key: `pure ${run.decision}`,
        match: decided,
        decision: run.decision,
        call: calls === 1 ? call : undefined,
      };
    const text = rule.exprs.map((expr) => `${reader.read(expr).key}${this.#named(rule, expr)}`).join(';');
    return { key: `${match} ${run.decision} ${text}`, match, decision: undefined, call: undefined };
  }

  /** What an expression names: the content of a set, the settings of an object. */
  #named(rule: Rule, expr: Expr): string {
    const data = this.#space.reader.read(expr);
    const name = data.text(expr.name === 'dynset' ? U.NFTA_DYNSET_SET_NAME : U.NFTA_LOOKUP_SET);
    const set = expr.name === 'lookup' || expr.name === 'dynset' ? rule.chain.table.sets.get(name) : undefined;
    if (set === undefined) return '';
    const elements = [...set.backend.elements()].map(
      (e) => `${e.key.join()}-${e.keyEnd?.join() ?? ''}:${e.flags}=${e.data?.join() ?? ''}${e.verdict?.code ?? ''}`,
    );
    return ` ${set.flags} ${set.timeoutMs} ${set.maxSize} ${elements.sort().join(' ')}`;
  }

  /** Packets that may leave two chains differently. */
  #chains(placeA: Place, a: Chain, placeB: Place, b: Chain, depth: number): Node {
    const { bdd } = this.#space;
    const left = a.rules.map((rule) => this.#meaning(placeA, rule));
    const right = b.rules.map((rule) => this.#meaning(placeB, rule));
    let out: Node = FALSE;
    for (const [from, to] of gaps(left, right)) {
      if (from.length === to.length)
        from.forEach((x, i) => {
          out = bdd.or(out, this.#pair(placeA, x, placeB, to[i], depth));
        });
      else for (const each of [...from, ...to]) out = bdd.or(out, each.match);
    }
    return out;
  }

  #pair(placeA: Place, x: Meaning, placeB: Place, y: Meaning, depth: number): Node {
    const { bdd } = this.#space;
    if (x.key === y.key) return FALSE;
    if (
      x.call !== undefined &&
      y.call !== undefined &&
      x.match === y.match &&
      x.call.code === y.call.code &&
      depth < 16
    )
      return bdd.and(x.match, this.#chains(placeA, x.call.chain, placeB, y.call.chain, depth + 1));
    if (x.decision !== undefined && y.decision !== undefined)
      return bdd.apply(x.decision, y.decision, (p, q) => (p === q ? FALSE : TRUE));
    return bdd.or(x.match, y.match);
  }
}

/** Expressions that do something when a rule gets to them. */
const DOES: readonly string[] = [
  'meta',
  'ct',
  'payload',
  'nat',
  'masq',
  'redir',
  'target',
  'dynset',
  'limit',
  'quota',
  'connlimit',
  'numgen',
  'objref',
  'match',
  'dup',
  'fwd',
  'lookup',
];

/** The stretches of two lists between the rules that they have in common, in order. */
function gaps(a: readonly Meaning[], b: readonly Meaning[]): [Meaning[], Meaning[]][] {
  let start = 0;
  while (start < a.length && start < b.length && a[start].key === b[start].key) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end].key === b[b.length - 1 - end].key)
    end++;
  const x = a.slice(start, a.length - end);
  const y = b.slice(start, b.length - end);
  if (x.length === 0 && y.length === 0) return [];
  if (x.length === y.length || x.length * y.length > MOST_CELLS || x.length === 0 || y.length === 0) {
    // As long as the other: one rule for one rule, unless most have moved.
    const same = x.filter((m, i) => m.key === y[i]?.key).length;
    if (x.length !== y.length || same * 2 >= x.length || x.length * y.length > MOST_CELLS || x.length < 3)
      return [[x, y]];
  }
  // The longest common subsequence.
  const width = y.length + 1;
  const best = new Uint16Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--)
    for (let j = y.length - 1; j >= 0; j--)
      best[i * width + j] =
        x[i].key === y[j].key
          ? best[(i + 1) * width + j + 1] + 1
          : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
  const out: [Meaning[], Meaning[]][] = [];
  let gap: [Meaning[], Meaning[]] = [[], []];
  let i = 0;
  let j = 0;
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i].key === y[j].key) {
      if (gap[0].length + gap[1].length > 0) out.push(gap);
      gap = [[], []];
      i++;
      j++;
    } else if (j >= y.length || (i < x.length && best[(i + 1) * width + j] >= best[i * width + j + 1]))
      gap[0].push(x[i++]);
    else gap[1].push(y[j++]);
  }
  if (gap[0].length + gap[1].length > 0) out.push(gap);
  return out;
}
