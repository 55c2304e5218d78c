/** The lines that the rules of an nft script were written on, from the script's syntax tree. */
import type { Rule } from '../tools/nft/ast.ts';
import { parseScript } from '../tools/nft/index.ts';
import { LineIndex, type Location } from '../tools/nft/source.ts';
import type { RuleName, RulePlace } from './rule-book.ts';

/** Every rule of a script and of the files it includes, in order. A script with errors gives what was read of it. */
export function nftPlaces(
  text: string,
  file: string,
  readFile: (path: string) => string,
): { readonly name: RuleName; readonly place: RulePlace }[] {
  const { commands } = parseScript(text, { readFile }, { file });
  const lines = new LineIndex();
  const place = ({ source, start, end }: Location): RulePlace => ({
    file: source.name,
    line: lines.line(source, start),
    text: oneLine(source.text.slice(start, end)),
  });
  const out: { name: RuleName; place: RulePlace }[] = [];
  const add = (rule: Rule): void => {
    if (rule.loc === undefined) return;
    const { family, table, chain } = rule;
    out.push({ name: { family, table, chain }, place: place(rule.loc) });
  };
  for (const { op, object } of commands) {
    if (op !== 'add' && op !== 'create' && op !== 'insert' && op !== 'replace') continue;
    if (object.kind === 'rule') add(object);
    if (object.kind === 'chain') for (const rule of object.rules) add(rule);
    if (object.kind === 'table') for (const chain of object.chains) for (const rule of chain.rules) add(rule);
  }
  return out;
}

/** A rule's text without its line breaks. */
export function oneLine(text: string): string {
  return text.replace(/\\?\s*\n\s*/g, ' ').trim();
}
