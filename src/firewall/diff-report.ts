/** A difference as text, and as annotations of a CI system. */
import type { Decision } from './answer.ts';
import type { Difference, DifferenceClass, Treated } from './diff.ts';
import { PLAIN, type Style } from './report.ts';

const WIDTH = 110;

/** The whole comparison. */
export function diffReport(d: Difference, style: Style = PLAIN): string {
  const lines: string[] = [style.bold(`${d.old} -> ${d.new}`)];
  for (const warning of d.warnings) lines.push(`  ${style.bad('warning:')} ${warning}`);
  d.classes.forEach((each, i) => {
    lines.push('', ...classLines(each, i + 1, style));
  });
  if (d.more) lines.push('', '  There are more classes than are shown (--classes N).');
  lines.push('', ...verdictLines(d, style));
  return `${lines.join('\n')}\n`;
}

function verdictLines(d: Difference, style: Style): string[] {
  const lines: string[] = [];
  if (d.verdict === 'equal')
    lines.push(
      `  ${style.good('EQUAL')}: every packet is treated alike (${d.compared.join(', ') || 'no base chains'})`,
    );
  else if (d.verdict === 'different') {
    const n = d.classes.length;
    lines.push(
      `  ${style.bad('DIFFERENT')}: ${n} ${n === 1 ? 'class' : 'classes'} of packets${d.more ? ' and more' : ''}`,
    );
  } else {
    lines.push(`  ${style.bad('NOT FINISHED')}: ${d.limit}`);
    lines.push(`  compared: ${d.compared.join(', ') || 'nothing'}`);
    lines.push(`  not compared: ${d.notCompared.join(', ') || 'nothing'}`);
  }
  if (d.verdict !== 'different') for (const each of d.restsOn) lines.push(style.dim(`  rests on: ${each}`));
  return lines;
}

function classLines(each: DifferenceClass, n: number, style: Style): string[] {
  const lines = [`  ${n}. ${style.bold(each.packets)}`, style.dim(`     ${each.ways.join(', ')}`)];
  lines.push(`     old: ${treatedText(each.old, style)}`, `     new: ${treatedText(each.new, style)}`);
  if (each.what !== undefined) lines.push(`     unlike: ${each.what}`);
  const { example } = each;
  lines.push(style.dim(`     e.g. ${example.text}`));
  if (example.phrase !== undefined && example.confirmed) lines.push(style.dim(`     try: '${example.phrase}'`));
  if (!example.confirmed) lines.push(`     ${style.bad('not shown by sending it')}: ${example.why}`);
  for (const why of each.restsOn) lines.push(style.dim(`     rests on: ${why}`));
  return lines;
}

function treatedText({ outcome, effects, decided }: Treated, style: Style): string {
  const paint = outcome === 'accept' ? style.good : style.bad;
  const what = [paint(outcome), ...effects].join(', ');
  return decided === undefined ? what : `${what}  ${place(decided)}`;
}

function place({ chain, verdict, file, line, rule }: Decision): string {
  if (file === undefined) return `${rule ?? verdict} of ${chain}`;
  const text = rule ?? '';
  return `${file}:${line}  ${text.length > WIDTH ? `${text.slice(0, WIDTH)}...` : text}`;
}
