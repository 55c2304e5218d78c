/** Words and signs of one line of assembly. */

export type Token = {
  /** 'reg': r1, w1. 'word': a name. 'num': a number. 'op': everything else. */
  readonly kind: 'reg' | 'word' | 'num' | 'op' | 'end';
  readonly text: string;
  /** Column of its first character, from 1. */
  readonly column: number;
};

/** A mistake in the text. Lines and columns count from 1. */
export class AsmError extends Error {
  readonly line: number;
  readonly column: number;
  /** What is wrong, without the place. */
  readonly problem: string;

  constructor(problem: string, line: number, column: number) {
    super(`line ${line}, column ${column}: ${problem}`);
    this.name = 'AsmError';
    this.problem = problem;
    this.line = line;
    this.column = column;
  }
}

const SPACE = /[ \t\r]+/y;
const REGISTER = /[rw]\d+\b/y;
const NUMBER = /0[xX][0-9a-fA-F]+|\d+/y;
/** Signed operators begin with a letter: they come before names. */
const OPERATOR = /s>>=|s\/=|s%=|s>=|s<=|s>|s<|<<=|>>=|\+=|-=|\*=|\/=|\|=|&=|%=|\^=|==|!=|>=|<=|[-+*/|&%^=<>()[\],:#]/y;
const WORD = /[A-Za-z_.$][\w.$]*/y;

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** The tokens of `text`, which begins at `column` of line `line`, with an 'end' at the end. */
export function tokenize(text: string, line: number, column = 1): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const space = match(SPACE, text, at);
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    const place = column + at;
    const add = (kind: Token['kind'], found: string): void => {
      tokens.push({ kind, text: found, column: place });
      at += found.length;
    };
    const op = match(OPERATOR, text, at);
    const reg = match(REGISTER, text, at);
    const word = match(WORD, text, at);
    const num = match(NUMBER, text, at);
    if (op !== undefined) add('op', op);
    else if (reg !== undefined) add('reg', reg);
    else if (word !== undefined) add('word', word);
    else if (num !== undefined) add('num', num);
    else throw new AsmError(`unexpected character "${String.fromCodePoint(text.codePointAt(at) ?? 0)}"`, line, place);
  }
  tokens.push({ kind: 'end', text: 'end of line', column: column + text.length });
  return tokens;
}
