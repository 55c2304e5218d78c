/** What `try` answers: the ways of a packet and of its reply, step by step. `--json` prints this as it is. */
import type { TraceEvent } from '../core/trace.ts';
import type { ChainHook, RuleBook } from './rule-book.ts';

export type Step =
  | { readonly kind: 'receive' | 'transmit'; readonly dev: string; readonly packet: string }
  | {
      readonly kind: 'hook';
      readonly hook: string;
      readonly family: string;
      readonly table?: string;
      readonly chain?: string;
    }
  | {
      readonly kind: 'rule';
      readonly family: string;
      readonly table: string;
      readonly chain: string;
      readonly handle: number;
      readonly verdict: string;
      readonly file?: string;
      readonly line?: number;
      readonly text?: string;
    }
  | {
      readonly kind: 'policy';
      readonly family: string;
      readonly table: string;
      readonly chain: string;
      readonly verdict: string;
    }
  | { readonly kind: 'conntrack'; readonly state: string; readonly text: string }
  | { readonly kind: 'nat'; readonly manip: 'snat' | 'dnat'; readonly from: string; readonly to: string }
  | { readonly kind: 'route'; readonly type: string; readonly dev: string; readonly text: string }
  | { readonly kind: 'deliver'; readonly to: string }
  | { readonly kind: 'drop'; readonly reason: string }
  | { readonly kind: 'reply'; readonly text: string };

export type Outcome = 'forwarded' | 'delivered' | 'sent' | 'rejected' | 'dropped';

/** The rule or policy that decided. */
export type Decision = {
  /** "inet filter forward", and the rule or "policy". */
  readonly chain: string;
  readonly verdict: string;
  readonly rule?: string;
  readonly file?: string;
  readonly line?: number;
};

/** One packet's way. */
export type Way = {
  /** The packet as it came. */
  readonly packet: string;
  readonly steps: readonly Step[];
  readonly outcome: Outcome;
  /** The packet as it left. */
  readonly left?: string;
  readonly dev?: string;
  /** Drop reason. */
  readonly reason?: string;
  readonly decided?: Decision;
};

export type Answer = {
  readonly rules: string;
  readonly packet: string;
  /** What was inferred. */
  readonly notes: readonly string[];
  /** What went wrong on the way without being fatal. */
  readonly warnings: readonly string[];
  /** Ways of the packets before the one asked about ("in state established"). */
  readonly before?: readonly Way[];
  readonly request: Way;
  /** The reply's way, or why there is none. */
  readonly reply?: Way;
  readonly noReply?: string;
  readonly verdict: 'allowed' | 'dropped';
};

/** Makes steps of trace events: rules get their places, chains their hooks. */
export function stepOf(event: TraceEvent, book: RuleBook, packet: string): Step | undefined {
  switch (event.kind) {
    case 'receive':
    case 'transmit':
      return { kind: event.kind, dev: event.dev, packet };
    case 'hook':
      return { kind: 'hook', hook: event.hook, family: event.family };
    case 'rule': {
      const { family, table, chain, handle, verdict } = event;
      const place = book.place(family, table, handle);
      return { kind: 'rule', family, table, chain, handle, verdict, ...place };
    }
    case 'policy': {
      const { family, table, chain, verdict } = event;
      return { kind: 'policy', family, table, chain, verdict };
    }
    case 'conntrack':
      return { kind: 'conntrack', state: event.state, text: event.text };
    case 'nat':
      return { kind: 'nat', manip: event.manip, from: event.from, to: event.to };
    case 'route':
      return { kind: 'route', type: event.type, dev: event.dev, text: event.text };
    case 'deliver':
      return { kind: 'deliver', to: event.to };
    case 'drop':
      return { kind: 'drop', reason: event.reason };
    case 'reply':
      return { kind: 'reply', text: event.text };
    default:
      return undefined;
  }
}

/** Where a packet is judged; what accepts elsewhere only lets it go on. */
const JUDGING = ['input', 'forward', 'output'];

/**
 * The rule or policy that decided: the one that refused, or the last that accepted where packets are judged, outside of
 * chains that translate addresses.
 */
export function decisionOf(
  steps: readonly Step[],
  outcome: Outcome,
  chains: readonly ChainHook[],
): Decision | undefined {
  const refused = outcome === 'dropped' || outcome === 'rejected';
  let base: ChainHook | undefined;
  let best: Extract<Step, { kind: 'rule' | 'policy' }> | undefined;
  for (const step of steps) {
    if (step.kind !== 'rule' && step.kind !== 'policy') continue;
    const own = chains.find((c) => c.chain === step.chain && c.table === step.table && c.family === step.family);
    base = own ?? base;
    if (refused) {
      if (/^(?:drop|reject)/.test(step.verdict)) best = step;
    } else if (step.verdict === 'accept' && base !== undefined && base.type !== 'nat' && JUDGING.includes(base.hook))
      best = step;
  }
  if (best === undefined) return undefined;
  const chain = `${best.family} ${best.table} ${best.chain}`;
  if (best.kind === 'policy') return { chain, verdict: `policy ${best.verdict}` };
  return {
    chain,
    verdict: best.verdict,
    ...(best.text !== undefined && { rule: best.text }),
    ...(best.file !== undefined && { file: best.file, line: best.line }),
  };
}
