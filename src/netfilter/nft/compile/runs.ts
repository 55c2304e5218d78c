/**
 * Rules in a row that differ in one compared value, such as a thousand of `ip saddr A drop`: the value is looked up once and
 * gives the first rule that has it. Each has a record with its counter, so that counters stay exact.
 */
import { NF_ACCEPT, NF_DROP } from '../../../wire/uapi/netfilter.ts';
import { NFT_CMP_EQ, NFT_CONTINUE, NFT_RETURN } from '../../../wire/uapi/nf-tables.ts';
import type { Rule } from '../model.ts';
import type { Native } from '../native.ts';

/** Fewer rules are compared one after the other. */
export const SHORTEST_RUN = 8;
/** Most rules of one table: a change builds it anew. */
export const LONGEST_RUN = 1024;
export const RECORD_BYTES = 32;

/** A rule as run rules look: conditions, a counter perhaps, a verdict perhaps. */
type Shape = {
  /** By the index of the comparison left out: what everything else is. */
  readonly signatures: ReadonlyMap<number, string>;
  readonly verdict: number;
};

export type Run = {
  readonly rules: readonly Rule[];
  /** Which expression compares the value that differs. */
  readonly at: number;
  readonly counters: boolean;
};

/** Bytes as text. */
export function hex(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i++) out += (bytes[i] < 16 ? '0' : '') + bytes[i].toString(16);
  return out;
}

function describe(n: Native): string | undefined {
  switch (n.op) {
    case 'cmp':
      return `cmp ${n.from} ${n.cmp} ${hex(n.value)}`;
    case 'range':
      return `range ${n.from} ${hex(n.low)} ${hex(n.high)} ${n.invert}`;
    case 'bitwise':
      return `bitwise ${n.from} ${n.to} ${hex(n.mask)} ${hex(n.xor)}`;
    case 'byteorder':
      return `byteorder ${n.from} ${n.to} ${n.length} ${n.size}`;
    case 'payload':
      return `payload ${n.base} ${n.offset} ${n.length} ${n.to}`;
    case 'meta':
      return n.l2 ? undefined : `meta ${n.key} ${n.to}`;
    case 'ct state':
      return `ct ${n.to}`;
    case 'immediate':
      return `immediate ${n.to} ${hex(n.value)}`;
    default:
      return undefined;
  }
}

/** Remembers shapes of rules, which never change. */
export class RunFinder {
  readonly #shapes = new WeakMap<Rule, Shape | 'other'>();

  #shape(rule: Rule): Shape | 'other' {
    const known = this.#shapes.get(rule);
    if (known !== undefined) return known;
    const shape = this.#make(rule);
    this.#shapes.set(rule, shape);
    return shape;
  }

  #make(rule: Rule): Shape | 'other' {
    const { exprs } = rule;
    let end = exprs.length;
    let verdict = NFT_CONTINUE;
    const last = exprs[end - 1]?.native;
    if (last?.op === 'verdict') {
      verdict = last.verdict.code;
      if (verdict !== NF_ACCEPT && verdict !== NF_DROP && verdict !== NFT_RETURN) return 'other';
      end--;
    }
    let tail = '';
    if (end > 0 && exprs[end - 1].name === 'counter') {
      tail = 'counter';
      end--;
    }
    const parts: string[] = [];
    const compared: number[] = [];
    for (let i = 0; i < end; i++) {
      const n = exprs[i].native;
      const text = n && describe(n);
      if (text === undefined) return 'other';
      parts.push(text);
      if (n?.op === 'cmp' && n.cmp === NFT_CMP_EQ && n.value.length <= 16) compared.push(i);
    }
    if (compared.length === 0) return 'other';
    const signatures = new Map<number, string>();
    for (const i of compared) {
      const n = exprs[i].native as Native & { op: 'cmp' };
      signatures.set(i, parts.map((text, k) => (k === i ? `key ${n.from} ${n.value.length}` : text)).join('|') + tail);
    }
    return { signatures, verdict };
  }

  /** A rule may take the place of `old` in the run: everything but its key and its verdict is the same. */
  fits(run: Run, old: Rule, rule: Rule): boolean {
    const [a, b] = [this.#shape(old), this.#shape(rule)];
    if (a === 'other' || b === 'other') return false;
    // Whether the rule ends the chain decides what duplicates mean: it is to stay so.
    return (
      a.signatures.get(run.at) === b.signatures.get(run.at) &&
      (a.verdict === NFT_CONTINUE) === (b.verdict === NFT_CONTINUE)
    );
  }

  /** The longest run that begins with rule `from`, if it is long enough. */
  find(rules: readonly Rule[], from: number, to: number): Run | undefined {
    const first = this.#shape(rules[from]);
    if (first === 'other') return undefined;
    let best: Run | undefined;
    for (const [at, signature] of first.signatures) {
      const end = Math.min(to, from + LONGEST_RUN);
      // By value: whether the first rule that has it ends the chain.
      const seen = new Map<string, boolean>();
      let i = from;
      for (; i < end; i++) {
        const shape = this.#shape(rules[i]);
        if (shape === 'other' || shape.signatures.get(at) !== signature) break;
        const value = hex(runKey(rules[i], at));
        const ends = seen.get(value);
        if (ends === false) break;
        if (ends === undefined) seen.set(value, shape.verdict !== NFT_CONTINUE);
      }
      if (i - from >= SHORTEST_RUN && i - from > (best?.rules.length ?? 0))
        best = { rules: rules.slice(from, i), at, counters: signature.endsWith('counter') };
    }
    return best;
  }
}

/** The value that a rule of a run compares with. */
export function runKey(rule: Rule, at: number): Uint8Array {
  return (rule.exprs[at].native as Native & { op: 'cmp' }).value;
}

/** Verdict of a rule of a run, NFT_CONTINUE for none. */
export function runVerdict(rule: Rule): number {
  const last = rule.exprs[rule.exprs.length - 1].native;
  return last?.op === 'verdict' ? last.verdict.code : NFT_CONTINUE;
}
