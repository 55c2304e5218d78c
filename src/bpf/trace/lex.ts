/** Words of the tracing language. */
import { type Position, TraceError } from './ast.ts';

export type Token = Position & {
  readonly kind: 'name' | 'number' | 'string' | 'variable' | 'map' | 'sign' | 'end';
  /** Without quotes, `$` and `@`. */
  readonly text: string;
};

const SIGNS = [
  '->',
  '++',
  '--',
  '<<',
  '>>',
  '<=',
  '>=',
  '==',
  '!=',
  '&&',
  '||',
  '+=',
  '-=',
  '*=',
  '/=',
  '%=',
  '&=',
  '|=',
  '^=',
];
const SPACE = /\s+|\/\/[^\n]*|#[^\n]*|\/\*[\s\S]*?\*\//y;
const WORD = /([$@]?)([A-Za-z_]\w*)|(@)|(0[xX][0-9a-fA-F]+|\d+)/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', '"': '"', '\\': '\\' };

/** Splits a program into tokens; the last one is 'end'. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  const here = (): Position => ({ line, column: at - lineStart + 1 });
  const advance = (length: number): void => {
    for (const c of text.slice(at, at + length)) {
      at++;
      if (c === '\n') {
        line++;
        lineStart = at;
      }
    }
  };
  while (at < text.length) {
    SPACE.lastIndex = at;
    const space = SPACE.exec(text);
    if (space !== null) {
      advance(space[0].length);
      continue;
    }
    const position = here();
    if (text[at] === '"') {
      const [value, length] = stringAt(text, at, position);
      tokens.push({ ...position, kind: 'string', text: value });
      advance(length);
      continue;
    }
    WORD.lastIndex = at;
    const word = WORD.exec(text);
    if (word !== null) {
      const [whole, mark, name, bare, number] = word;
      if (number !== undefined) tokens.push({ ...position, kind: 'number', text: number });
      else if (bare !== undefined) tokens.push({ ...position, kind: 'map', text: '' });
      else tokens.push({ ...position, kind: mark === '$' ? 'variable' : mark === '@' ? 'map' : 'name', text: name });
      advance(whole.length);
      continue;
    }
    const sign = SIGNS.find((s) => text.startsWith(s, at)) ?? text[at];
    if (!/^[-+*/%&|^~!<>=?:;,.(){}[\]]/.test(sign)) throw new TraceError(`"${sign}" means nothing here`, position);
    tokens.push({ ...position, kind: 'sign', text: sign });
    advance(sign.length);
  }
  tokens.push({ ...here(), kind: 'end', text: '' });
  return tokens;
}

function stringAt(text: string, start: number, position: Position): readonly [value: string, length: number] {
  let value = '';
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '"') return [value, i + 1 - start];
    if (text[i] === '\\') {
      const meant = ESCAPES[text[++i] ?? ''];
      if (meant === undefined) throw new TraceError(`"\\${text[i] ?? ''}" is no escape`, position);
      value += meant;
    } else value += text[i];
  }
  throw new TraceError('the string does not end', position);
}
