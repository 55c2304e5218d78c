/** Bad input, told as `nft` tells it: where, what, a caret, and what was expected. */

export type Place = {
  readonly file?: string;
  readonly line?: number;
  /** Zero-based offset in `source`. */
  readonly column?: number;
  readonly width?: number;
  /** The line at fault. */
  readonly source?: string;
};

/** Input that cannot be used; the command line prints `text` and ends with code 2. */
export class BadInput extends Error {
  readonly place: Place;

  constructor(message: string, place: Place = {}) {
    super(message);
    this.name = 'BadInput';
    this.place = place;
  }

  /** Position, message, source line and caret. */
  get text(): string {
    return formatProblem(this.message, this.place);
  }
}

/** "FILE:LINE:COLUMN: message", and below it the line with a caret under the word at fault. */
export function formatProblem(message: string, place: Place): string {
  const { file, line, column, source } = place;
  const where = [file, line, column === undefined || line === undefined ? undefined : column + 1].filter(
    (part) => part !== undefined,
  );
  const head = where.length > 0 ? `${where.join(':')}: ${message}` : message;
  if (source === undefined) return `${head}\n`;
  if (column === undefined) return `${head}\n${source}\n`;
  const indent = source.slice(0, column).replace(/[^\t]/g, ' ');
  return `${head}\n${source}\n${indent}${'^'.repeat(Math.max(1, place.width ?? 1))}\n`;
}

/** "a, b or c". */
export function oneOf(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`;
}
