/**
 * Source texts and places in them. A place is two offsets; line and column are counted only when an error is printed.
 */

/** One text that was read: a file, standard input or the command line. */
export type Source = { readonly name: string; readonly text: string; readonly includedAt?: Location };

/** `source.text[start, end)`. */
export type Location = { readonly source: Source; readonly start: number; readonly end: number };

/** One-based line of an offset. */
export function lineOf(source: Source, offset: number): number {
  let line = 1;
  for (let at = source.text.indexOf('\n'); at >= 0 && at < offset; at = source.text.indexOf('\n', at + 1)) line++;
  return line;
}

/** Line numbers of many offsets: the lines of each text are found once. */
export class LineIndex {
  readonly #starts = new Map<Source, readonly number[]>();

  /** One-based line of an offset. */
  line(source: Source, offset: number): number {
    let starts = this.#starts.get(source);
    if (starts === undefined) {
      const list = [0];
      for (let at = source.text.indexOf('\n'); at >= 0; at = source.text.indexOf('\n', at + 1)) list.push(at + 1);
      this.#starts.set(source, list);
      starts = list;
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }
}

/** Joins two places of one source. */
export function span(a: Location | undefined, b: Location | undefined): Location | undefined {
  if (a === undefined || b === undefined || a.source !== b.source) return a ?? b;
  return { source: a.source, start: Math.min(a.start, b.start), end: Math.max(a.end, b.end) };
}

/** An error as nft(8) prints it: `file:line:col-col: Error: text`, the line, carets. */
export class NftError extends Error {
  readonly loc: Location | undefined;
  readonly also: Location | undefined;

  constructor(loc: Location | undefined, message: string, also?: Location) {
    super(message);
    this.name = 'NftError';
    this.loc = loc;
    this.also = also;
  }
}

const TAB = 8;

/** The command line has no name and no lines. */
function place(loc: Location): string {
  const { source, start, end } = loc;
  if (source.name === '<cmdline>') return '';
  const from = source.text.lastIndexOf('\n', start - 1) + 1;
  return `${source.name}:${lineOf(source, start)}:${start - from + 1}-${Math.max(end, start + 1) - from}: `;
}

/** The text of an error, with the source line and the place marked below it. */
export function formatError(error: NftError): string {
  const { loc, also, message } = error;
  if (loc === undefined) return `Error: ${message}\n`;
  const { source, start, end } = loc;
  const from = source.text.lastIndexOf('\n', start - 1) + 1;
  let to = source.text.indexOf('\n', start);
  if (to < 0) to = source.text.length;
  const line = source.text.slice(from, to);
  const marks: string[] = [];
  const mark = (l: Location, char: string): void => {
    for (let i = Math.max(l.start, from); i < Math.min(Math.max(l.end, l.start + 1), to + 1); i++)
      marks[i - from] = char;
  };
  if (also !== undefined && also.source === source && also.start >= from && also.start <= to) mark(also, '~');
  mark({ source, start, end }, '^');
  let carets = '';
  for (let i = 0; i < marks.length; i++) carets += marks[i] ?? (line[i] === '\t' ? '\t' : ' ');
  let out = '';
  for (let at = source.includedAt; at !== undefined; at = at.source.includedAt)
    out += `In file included from ${place(at).slice(0, -1)}\n`;
  return `${out}${place(loc)}Error: ${message}\n${line.replaceAll('\t', ' '.repeat(TAB))}\n${carets.replaceAll('\t', ' '.repeat(TAB))}\n`;
}
