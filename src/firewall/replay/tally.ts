/** How often each rule and policy of a ruleset was met, and by which packet first. */
import type { Step } from '../answer.ts';
import type { RuleBook, RuleName, RulePlace } from '../rule-book.ts';

/** A rule, or the policy of a base chain (`handle` 0). */
export type RuleHits = RuleName & {
  readonly handle: number;
  readonly place: RulePlace | undefined;
  hits: number;
  /** Number of the first packet, from 1; 0 for never. */
  first: number;
};

export class Tally {
  readonly #rules = new Map<string, RuleHits>();
  readonly #policies = new Map<string, RuleHits & { verdict: string }>();

  constructor(rules: readonly (RuleName & { readonly handle: number })[], book: RuleBook) {
    for (const rule of rules)
      this.#rules.set(key(rule.family, rule.table, rule.handle), {
        ...rule,
        place: book.place(rule.family, rule.table, rule.handle),
        hits: 0,
        first: 0,
      });
  }

  /** Counts a rule that matched, or a policy that decided. */
  count(step: Step, number: number): void {
    if (step.kind === 'rule') {
      const rule = this.#rules.get(key(step.family, step.table, step.handle));
      if (rule !== undefined) hit(rule, number);
    } else if (step.kind === 'policy') {
      const name = `${step.family} ${step.table} ${step.chain}`;
      let policy = this.#policies.get(name);
      if (policy === undefined) {
        const { family, table, chain, verdict } = step;
        policy = { family, table, chain, handle: 0, place: undefined, hits: 0, first: 0, verdict };
        this.#policies.set(name, policy);
      }
      hit(policy, number);
    }
  }

  /** All rules in their order, those never met included. */
  rules(): RuleHits[] {
    return [...this.#rules.values()];
  }

  /** Policies that decided about a packet. */
  policies(): (RuleHits & { readonly verdict: string })[] {
    return [...this.#policies.values()];
  }
}

function hit(rule: RuleHits, number: number): void {
  rule.hits++;
  if (rule.first === 0) rule.first = number;
}

function key(family: string, table: string, handle: number): string {
  return `${family} ${table} ${handle}`;
}
