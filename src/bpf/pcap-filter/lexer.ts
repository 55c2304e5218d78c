/** Words of a filter expression. Longest match wins, as in lex: `50-60` and `ftp-data` are one word each. */
import { parseIpv6 } from '../../wire/address.ts';

export type TokenKind = 'number' | 'ip4' | 'ip6' | 'mac' | 'word' | 'name' | 'op' | 'end';

export type Token = {
  readonly kind: TokenKind;
  readonly text: string;
  readonly at: number;
};

/** What is wrong with a filter expression, and where. */
export class FilterError extends Error {
  /** Without the place. */
  readonly problem: string;
  /** Index of the character, from 0. */
  readonly at: number;
  readonly expression: string;

  constructor(problem: string, expression: string, at: number) {
    super(`${problem}, at character ${at + 1}`);
    this.name = 'FilterError';
    this.problem = problem;
    this.expression = expression;
    this.at = at;
  }

  /** The expression with a mark under the place. */
  get excerpt(): string {
    return `${this.expression}\n${' '.repeat(this.at)}^`;
  }
}

/** Longest expression; longer ones are no filters that people write. */
const MAX_LENGTH = 65_536;

const B = '[0-9A-Fa-f]{1,2}';
const W = '[0-9A-Fa-f]{4}';
const MAC = [`${B}(?::${B}){5}`, `${B}(?:-${B}){5}`, `${B}(?:\\.${B}){5}`, `${W}\\.${W}\\.${W}`, '[0-9A-Fa-f]{12}'];

/** In the order in which equally long matches are preferred. */
const PATTERNS: readonly (readonly [TokenKind, RegExp])[] = [
  ['number', /0[xX][0-9A-Fa-f]+|\d+/y],
  ['mac', new RegExp(MAC.join('|'), 'y')],
  ['ip4', /\d+\.\d+(?:\.\d+){0,2}/y],
  ['ip6', /[0-9A-Fa-f]*:[0-9A-Fa-f:]*(?:\d+\.\d+\.\d+\.\d+)?/y],
  ['word', /[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?/y],
  ['name', /\\[^\s()!]+/y],
  ['op', /<<|>>|<=|>=|!=|==|&&|\|\||[-+*/%&|^()[\]<>=!:]/y],
];

export function tokenize(expression: string): Token[] {
  if (expression.length > MAX_LENGTH) throw new FilterError(`longer than ${MAX_LENGTH} characters`, '', 0);
  const tokens: Token[] = [];
  let at = 0;
  while (at < expression.length) {
    if (/\s/.test(expression[at])) {
      at++;
      continue;
    }
    let best: Token | undefined;
    for (const [kind, pattern] of PATTERNS) {
      pattern.lastIndex = at;
      const text = pattern.exec(expression)?.[0];
      if (text === undefined || text.length <= (best?.text.length ?? 0)) continue;
      // "[2:2]" is two numbers and a colon: an IPv6 address has at least two colons and is valid.
      if (kind === 'ip6' && parseIpv6(text) === undefined) continue;
      best = { kind, text, at };
    }
    if (best === undefined)
      throw new FilterError(`unexpected "${String.fromCodePoint(expression.codePointAt(at) ?? 0)}"`, expression, at);
    at += best.text.length;
    tokens.push(best.kind === 'name' ? { ...best, text: best.text.slice(1) } : best);
  }
  tokens.push({ kind: 'end', text: 'the end', at: expression.length });
  return tokens;
}
