/** An answer as text: compact, in the order things happened, with colours only when asked. */
import type { Answer, Decision, Step, Way } from './answer.ts';

export type Style = {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
};

const paint =
  (code: number) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[0m`;
const same = (text: string): string => text;

export const PLAIN: Style = { good: same, bad: same, dim: same, bold: same };
export const COLOURED: Style = { good: paint(32), bad: paint(31), dim: paint(2), bold: paint(1) };

const PLACE_WIDTH = 13;

/** The whole answer. */
export function report(answer: Answer, style: Style = PLAIN): string {
  const lines: string[] = [style.bold(answer.packet)];
  for (const warning of answer.warnings) lines.push(`  ${style.bad('warning:')} ${warning}`);
  for (const note of answer.notes) lines.push(style.dim(`  assumed: ${note}`));
  for (const [i, way] of (answer.before ?? []).entries())
    lines.push(style.dim(`  before ${i + 1}: ${way.packet}: ${way.outcome}${decided(way.decided)}`));
  lines.push(...wayLines('packet', answer.request, style));
  if (answer.reply !== undefined) lines.push(...wayLines('reply', answer.reply, style));
  else if (answer.noReply !== undefined) lines.push('', style.dim(`  no reply: ${answer.noReply}`));
  lines.push('', `  ${verdictLine(answer, style)}`, '');
  return lines.join('\n');
}

function verdictLine(answer: Answer, style: Style): string {
  const word = (way: Way): string => {
    const bad = way.outcome === 'dropped' || way.outcome === 'rejected';
    const where = way.outcome === 'forwarded' || way.outcome === 'sent' ? ` to ${way.dev}` : '';
    const why = bad && way.decided === undefined ? ` (${way.reason ?? 'no rule'})` : decided(way.decided);
    return (bad ? style.bad : style.good)(way.outcome.toUpperCase()) + where + why;
  };
  const parts = [word(answer.request)];
  if (answer.reply !== undefined) parts.push(`reply ${word(answer.reply)}`);
  return parts.join('; ');
}

function decided(decision: Decision | undefined): string {
  if (decision === undefined) return '';
  if (decision.file !== undefined) return ` by ${decision.file}:${decision.line}`;
  return ` by ${decision.verdict.startsWith('policy') ? `${decision.verdict} of` : `a rule in`} ${decision.chain}`;
}

function wayLines(title: string, way: Way, style: Style): string[] {
  const lines = ['', `  ${style.bold(title)}  ${way.packet}`];
  let chain = '';
  for (const step of way.steps) {
    if (step.kind === 'rule' || step.kind === 'policy') {
      const name = `${step.family} ${step.table} ${step.chain}`;
      // A jump's target is named by the jump; only a new base chain needs a line of its own.
      if (name !== chain) lines.push(`      ${name}`);
      chain = name;
    } else if (step.kind === 'hook') chain = '';
    lines.push(...stepLines(step, style));
  }
  return lines;
}

function row(word: string, text: string): string {
  return `    ${word.padEnd(PLACE_WIDTH)} ${text}`;
}

function verdictStyle(verdict: string, style: Style): (text: string) => string {
  if (verdict === 'drop' || verdict === 'reject') return style.bad;
  return verdict === 'accept' ? style.good : same;
}

function stepLines(step: Step, style: Style): string[] {
  switch (step.kind) {
    case 'receive':
      return [row('in', step.dev)];
    case 'transmit':
      return [row('out', `${step.dev}  ${step.packet}`)];
    case 'hook':
      return [row(step.hook, step.chain === undefined ? '' : `${step.family} ${step.table} ${step.chain}`).trimEnd()];
    case 'rule': {
      const place = step.file === undefined ? `handle ${step.handle}` : `${step.file}:${step.line}`;
      const text = step.text ?? '';
      return [`        ${style.dim(place)}  ${text}  ${verdictStyle(step.verdict, style)(`[${step.verdict}]`)}`];
    }
    case 'policy':
      return [`        policy  ${verdictStyle(step.verdict, style)(`[${step.verdict}]`)}`];
    case 'conntrack':
      return [row('conntrack', step.text === '' ? step.state : `${step.state}  ${style.dim(step.text)}`)];
    case 'nat':
      return [row(step.manip, `${step.from} -> ${step.to}`)];
    case 'route':
      return [row('route', step.text)];
    case 'deliver':
      return [row('delivered', step.to)];
    case 'drop':
      return [row('dropped', style.bad(step.reason))];
    default:
      return [row('answers', step.text)];
  }
}
