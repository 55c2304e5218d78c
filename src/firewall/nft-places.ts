/** The lines that the rules of an nft script were written on, from the script's syntax tree. */
import type { Rule } from '../tools/nft/ast.ts';
import { parseScript } from '../tools/nft/index.ts';
import type { Location, Source } from '../tools/nft/source.ts';
import type { RuleName, RulePlace } from './rule-book.ts';

/** Every rule of a script and of the files it includes, in order. A script with errors gives what was read of it. */
export function nftPlaces(
  text: string,
  file: string,
  readFile: (path: string) => string,
): { readonly name: RuleName; readonly place: RulePlace }[] {
  const { commands } = parseScript(text, { readFile }, { file });
  const lines = new Lines();
  const out: { name: RuleName; place: RulePlace }[] = [];
  const add = (rule: Rule): void => {
    if (rule.loc === undefined) return;
    const { family, table, chain } = rule;
    out.push({ name: { family, table, chain }, place: lines.place(rule.loc) });
  };
  for (const { op, object } of commands) {
    if (op !== 'add' && op !== 'create' && op !== 'insert' && op !== 'replace') continue;
    if (object.kind === 'rule') add(object);
    if (object.kind === 'chain') for (const rule of object.rules) add(rule);
    if (object.kind === 'table') for (const chain of object.chains) for (const rule of chain.rules) add(rule);
  }
  return out;
}

/** Line numbers by offset, for texts with many rules. */
class Lines {
  readonly #starts = new Map<Source, number[]>();

  place({ source, start, end }: Location): RulePlace {
    let starts = this.#starts.get(source);
    if (starts === undefined) {
      starts = [0];
      for (let at = source.text.indexOf('\n'); at >= 0; at = source.text.indexOf('\n', at + 1)) starts.push(at + 1);
      this.#starts.set(source, starts);
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= start) low = middle;
      else high = middle - 1;
    }
    const text = source.text
      .slice(start, end)
      .replace(/\\?\s*\n\s*/g, ' ')
      .trim();
    return { file: source.name, line: low + 1, text };
  }
}
