/**
 * `netloom lint`: rules that can never match because earlier rules took all their packets or because they contradict
 * themselves, chains that nothing calls, sets that nothing uses. Proved over all packets (`space/`).
 */
import type { Chain, Rule } from '../netfilter/nft/model.ts';
import { familyName } from '../netfilter/nft/run.ts';
import { loadSide } from './diff.ts';
import type { FirewallOptions } from './set-up.ts';
import { FALSE, LimitReached } from './space/bdd.ts';
import { Chains, Natures } from './space/chains.ts';
import { domainOf } from './space/domain.ts';
import { Resources } from './space/resources.ts';
import { chainName, chainsOf } from './space/side.ts';
import { Space } from './space/space.ts';
import { treat, worldsOf } from './space/worlds.ts';

export type Finding = {
  readonly kind: 'shadowed' | 'impossible' | 'chain never called' | 'set never used';
  /** "inet filter input", or the set. */
  readonly where: string;
  readonly why: string;
  readonly rule?: string;
  readonly file?: string;
  readonly line?: number;
};

export type LintResult = {
  readonly findings: readonly Finding[];
  /** A limit was reached: what is said of chains and sets is whole, what is said of rules is not. */
  readonly limit?: string;
};

type Seen = { reached: boolean; matched: boolean; alone: boolean };

/** Looks a ruleset over. Throws BadInput when it cannot be read. */
export function lint(options: FirewallOptions, limits: { readonly maxNodes?: number } = {}): LintResult {
  const side = loadSide('rules', options);
  const space = new Space([side], limits);
  const { bdd } = space;
  const natures = new Natures(space.reader);
  const seen = new Map<Rule, Seen>();
  const findings: Finding[] = [];
  const called = new Set<Chain>();
  const used = new Set<string>();
  for (const chain of chainsOf(side))
    for (const rule of chain.rules)
      for (const expr of rule.exprs) {
        for (const target of expr.targets?.() ?? []) called.add(target);
        if (['lookup', 'dynset', 'objref'].includes(expr.name))
          for (const attr of space.reader.read(expr).attrs.values())
            used.add(
              `${chain.table.family} ${chain.table.name} ${new TextDecoder().decode(attr.payload).replace(/\0.*$/s, '')}`,
            );
      }
  for (const chain of chainsOf(side))
    if (chain.base === undefined && !called.has(chain) && !chain.name.startsWith('__'))
      findings.push({ kind: 'chain never called', where: chainName(chain), why: 'no rule jumps or goes to it' });
  for (const table of side.tables)
    for (const set of table.sets.values())
      if (!set.name.startsWith('__') && !used.has(`${table.family} ${table.name} ${set.name}`))
        findings.push({
          kind: 'set never used',
          where: `${familyName(table.family)} ${table.name} @${set.name}`,
          why: 'no rule looks into it',
        });
  let limit: string | undefined;
  try {
    for (const world of worldsOf([side])) {
      const chains = new Chains(natures);
      chains.watcher = (rule, reached, run) => {
        const before = seen.get(rule) ?? { reached: false, matched: false, alone: false };
        const own = bdd.or(run.match, bdd.not(bdd.is(run.decision, space.none)));
        const can = (node: number): boolean =>
          bdd.and(node, domainOf(space, [side], world, bdd.support(node))) !== FALSE;
        seen.set(rule, {
          reached: before.reached || can(reached),
          matched: before.matched || can(bdd.and(reached, own)),
          alone: before.alone || can(own),
        });
      };
      treat(space, chains, new Resources('lint'), side, world);
    }
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    limit = error.message;
  }
  // A rule that was not looked at everywhere may still be met elsewhere.
  if (limit === undefined)
    for (const [rule, { reached, matched, alone }] of seen) {
      if (matched) continue;
      const family = familyName(rule.chain.table.family);
      const place = side.machine.book.place(family, rule.chain.table.name, rule.handle);
      findings.push({
        kind: alone ? 'shadowed' : 'impossible',
        where: chainName(rule.chain),
        why: !reached
          ? 'no packet gets to it: earlier rules decide about all'
          : alone
            ? 'earlier rules decide about every packet that it would match'
            : 'no packet is like that',
        ...(place !== undefined && { rule: place.text, file: place.file, line: place.line }),
      });
    }
  return { findings, ...(limit !== undefined && { limit }) };
}
