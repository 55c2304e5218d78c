/** What a replay found, as data (`--json`) and as text with bars. */
import { PLAIN, type Style } from '../report.ts';
import type { Judged, Replay, ReplayOutcome } from './replay.ts';
import type { RuleHits } from './tally.ts';

export type RuleReport = {
  readonly chain: string;
  readonly file?: string;
  readonly line?: number;
  readonly text: string;
  readonly hits: number;
  /** Number of the first packet that it matched. */
  readonly first?: number;
};

export type ReplayReport = {
  readonly rules: string;
  readonly capture: string;
  readonly packets: number;
  readonly seconds: number;
  readonly outcomes: Readonly<Partial<Record<ReplayOutcome, number>>>;
  /** Drop reasons. */
  readonly reasons: Readonly<Record<string, number>>;
  /** All rules in their order. */
  readonly hits: readonly RuleReport[];
  readonly policies: readonly RuleReport[];
  /** How many rules no packet matched. */
  readonly neverHit: number;
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** What is wrong with the capture, when it ends in the middle. */
  readonly problem?: string;
};

/** Sums up. `seconds` is the time from the first packet to the last. */
export function replayReport(
  replay: Replay,
  rules: string,
  capture: string,
  seconds: number,
  problem?: string,
): ReplayReport {
  const hits = replay.rules.map((rule) => ruleReport(rule, rule.place?.text ?? `rule handle ${rule.handle}`));
  return {
    rules,
    capture,
    packets: replay.packets,
    seconds,
    outcomes: Object.fromEntries(replay.counts),
    reasons: Object.fromEntries(replay.reasons),
    hits,
    policies: replay.policies.map((policy) => ruleReport(policy, `policy ${policy.verdict}`)),
    neverHit: hits.filter((rule) => rule.hits === 0).length,
    notes: replay.plan.notes,
    warnings: replay.warnings,
    ...(problem !== undefined && { problem }),
  };
}

function ruleReport(rule: RuleHits, text: string): RuleReport {
  return {
    chain: `${rule.family} ${rule.table} ${rule.chain}`,
    ...(rule.place !== undefined && { file: rule.place.file, line: rule.place.line }),
    text,
    hits: rule.hits,
    ...(rule.first > 0 && { first: rule.first }),
  };
}

const BAR = 24;
/** Lines kept readable; the whole rule is in the file and in `--json`. */
const TEXT_WIDTH = 64;

const ORDER: readonly ReplayOutcome[] = [
  'forwarded',
  'delivered',
  'sent',
  'rejected',
  'dropped',
  'held',
  'copy',
  'unknown',
];
const MEANING: Readonly<Partial<Record<ReplayOutcome, string>>> = {
  held: 'fragments whose other parts did not come',
  copy: 'packets that the host sent on, captured a second time; not replayed',
  unknown: 'frames that netloom cannot read; not replayed',
};

/** The report as text. */
export function replayText(report: ReplayReport, style: Style = PLAIN): string {
  const lines = [
    style.bold(`${report.capture} through ${report.rules}`),
    ...report.warnings.map((warning) => `  ${style.bad('warning:')} ${warning}`),
    ...(report.problem === undefined ? [] : [`  ${style.bad('warning:')} ${report.problem}`]),
    ...report.notes.map((note) => style.dim(`  assumed: ${note}`)),
    '',
    `  ${count(report.packets)} packets in ${duration(report.seconds)}`,
  ];
  const most = Math.max(1, ...Object.values(report.outcomes).map((n) => n ?? 0));
  for (const outcome of ORDER) {
    const n = report.outcomes[outcome];
    if (n === undefined) continue;
    const paint = outcome === 'dropped' || outcome === 'rejected' ? style.bad : style.good;
    const share = `${((100 * n) / report.packets).toFixed(1)} %`.padStart(8);
    const meaning = MEANING[outcome] === undefined ? '' : style.dim(`  ${MEANING[outcome]}`);
    lines.push(`  ${paint(outcome.padEnd(10))} ${count(n).padStart(11)} ${share}  ${bar(n, most)}${meaning}`);
  }
  const reasons = Object.entries(report.reasons).sort(([, a], [, b]) => b - a);
  if (reasons.length > 0)
    lines.push(style.dim(`  dropped: ${reasons.map(([reason, n]) => `${reason} ${count(n)}`).join(', ')}`));
  lines.push(...hitLines(report, style));
  return `${lines.join('\n')}\n`;
}

function hitLines(report: ReplayReport, style: Style): string[] {
  const lines: string[] = [];
  const most = Math.max(1, ...report.hits.map((r) => r.hits), ...report.policies.map((r) => r.hits));
  let chain = '';
  const row = (rule: RuleReport): string => {
    const place = rule.file === undefined ? '' : `${rule.file}:${rule.line}  `;
    const text = shortened(rule.text);
    const drawn = bar(rule.hits, most).padEnd(BAR);
    const first = rule.first === undefined ? '' : style.dim(`  first: packet ${rule.first}`);
    const line = `  ${count(rule.hits).padStart(11)}  ${drawn}  ${style.dim(place)}${text}${first}`;
    return rule.hits === 0 ? style.dim(line) : line;
  };
  const chains = new Map<string, RuleReport[]>();
  for (const rule of [...report.hits, ...report.policies])
    chains.set(rule.chain, [...(chains.get(rule.chain) ?? []), rule]);
  for (const [name, rules] of chains) {
    if (name !== chain) lines.push('', `  ${style.bold(name)}`);
    chain = name;
    lines.push(...rules.map(row));
  }
  if (report.hits.length > 0)
    lines.push(
      '',
      report.neverHit === 0
        ? '  every rule matched a packet'
        : `  ${report.neverHit} of ${report.hits.length} rules matched no packet`,
    );
  return lines;
}

function shortened(text: string): string {
  return text.length <= TEXT_WIDTH ? text : `${text.slice(0, TEXT_WIDTH - 3)}...`;
}

function bar(n: number, most: number): string {
  return n === 0 ? '' : '█'.repeat(Math.max(1, Math.round((BAR * n) / most)));
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** One packet's judgement in a line: the comment that is written beside it. */
export function judgedText({ outcome, reason, decided, dev }: Judged): string {
  const by =
    decided === undefined
      ? outcome === 'dropped' && reason !== undefined
        ? ` (${reason})`
        : ''
      : decided.file === undefined
        ? ` by ${decided.verdict.startsWith('policy') ? `${decided.verdict} of` : 'a rule in'} ${decided.chain}`
        : ` by ${decided.file}:${decided.line}${decided.rule === undefined ? '' : ` ${shortened(decided.rule)}`}`;
  return `${outcome}${dev === undefined ? '' : `, in on ${dev}`}${by}`;
}
