/**
 * The tokens of an nft script (nft(8), "LEXICAL CONVENTIONS"). Newlines are tokens; a backslash before one joins lines;
 * `#` starts a comment. An included file's tokens are spliced in where its `include` stood.
 */
import { parseIpv6 } from '../../../wire/address.ts';
import { type Location, NftError, type Source } from '../source.ts';

export type TokenKind = 'word' | 'number' | 'quoted' | 'asterisk' | 'punct' | 'newline' | 'eof';

export type Token = {
  readonly kind: TokenKind;
  /** The text; of a quoted string, what is between the quotes. */
  readonly text: string;
  readonly source: Source;
  readonly start: number;
  readonly end: number;
};

const MAX_DEPTH = 16;
const WORD = /[a-zA-Z_.][a-zA-Z0-9/\-_.]*/y;
const NUMBER = /0x[0-9a-fA-F]+|[0-9]+/y;
const TIME = /(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?/y;
const IPV4 = /[0-9]{1,3}(?:\.[0-9]{1,3}){3}/y;
const MAC = /[0-9a-fA-F]{1,2}(?::[0-9a-fA-F]{1,2}){5,}/y;
const CLASSID = /[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}(?=[ \t\n:\-},/;]|$)/y;
const ADDRESS_RUN = /[0-9a-fA-F:.]+/y;
const ADDRESS_END = /[\s:;/\-},)\]]/;
const VLAN = /8021(?:q|ad)(?![a-zA-Z0-9])/y;
const PUNCT = /==|!=|<=|>=|<<|>>|[-{}()[\];:,.=<>!&|^/$@*+%]/y;

function match(re: RegExp, text: string, at: number): number {
  re.lastIndex = at;
  const m = re.exec(text);
  return m === null ? 0 : m[0].length;
}

/** Length of the IPv6 address at `at`, 0 when there is none. */
function ipv6Length(text: string, at: number): number {
  let length = match(ADDRESS_RUN, text, at);
  const run = text.slice(at, at + Math.min(length, 46));
  if (run.split(':').length < 3) return 0;
  for (length = run.length; length >= 2; length--) {
    // What follows must be able to follow an address: `::1:accept` is `::1`, not `::1:acce`.
    if (!ADDRESS_END.test(text[at + length] ?? ' ')) continue;
    if (parseIpv6(run.slice(0, length)) !== undefined) return length;
  }
  return 0;
}

type Frame = { readonly source: Source; at: number };

/** How many includes a text lies in. */
function depth(source: Source): number {
  let levels = 0;
  for (let at = source.includedAt; at !== undefined; at = at.source.includedAt) levels++;
  return levels;
}

export class Lexer {
  #stack: Frame[] = [];
  #queue: Token[] = [];
  /** The token taken last: where an error at the end of something points. */
  last: Token | undefined;

  constructor(source: Source) {
    this.#stack.push({ source, at: 0 });
  }

  /** Splices an included text in; no token may have been looked at beyond the include line. */
  push(source: Source, loc: Location): void {
    // Files of one pattern are beside each other, not inside.
    if (depth(source) >= MAX_DEPTH) throw new NftError(loc, `Include nested too deeply, max ${MAX_DEPTH} levels`);
    if (this.#queue.length > 0) {
      const first = this.#queue[0];
      this.#stack[this.#stack.length - 1].at = first.start;
      this.#queue.length = 0;
    }
    this.#stack.push({ source, at: 0 });
  }

  /** The token `ahead` places from here, without taking it. */
  peek(ahead = 0): Token {
    while (this.#queue.length <= ahead) this.#queue.push(this.#scan());
    return this.#queue[ahead];
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'eof') this.#queue.shift();
    this.last = token;
    return token;
  }

  #scan(): Token {
    for (;;) {
      const frame = this.#stack[this.#stack.length - 1];
      const { source } = frame;
      const text = source.text;
      let at = frame.at;
      for (;;) {
        const c = text.charCodeAt(at);
        if (c === 32 || c === 9 || c === 13) at++;
        else if (c === 92 && text.charCodeAt(at + 1) === 10) at += 2;
        else if (c === 92 && text.charCodeAt(at + 1) === 13 && text.charCodeAt(at + 2) === 10) at += 3;
        else if (c === 35) {
          const end = text.indexOf('\n', at);
          at = end < 0 ? text.length : end;
        } else break;
      }
      if (at >= text.length) {
        if (this.#stack.length > 1) {
          this.#stack.pop();
          // A file ends a line, also when it does not say so.
          return { kind: 'newline', text: '\n', source, start: at, end: at };
        }
        frame.at = at;
        return { kind: 'eof', text: '', source, start: at, end: at };
      }
      const token = this.#token(source, text, at);
      frame.at = token.end;
      return token;
    }
  }

  #token(source: Source, text: string, at: number): Token {
    const make = (kind: TokenKind, length: number): Token => ({
      kind,
      text: text.slice(at, at + length),
      source,
      start: at,
      end: at + length,
    });
    const c = text[at];
    if (c === '\n') return make('newline', 1);
    if (c === '"') {
      const end = text.indexOf('"', at + 1);
      if (end < 0) throw new NftError({ source, start: at, end: at + 1 }, 'syntax error, unexpected junk');
      return { kind: 'quoted', text: text.slice(at + 1, end), source, start: at, end: end + 1 };
    }
    if (c === '\\' && text[at + 1] === '*') return { ...make('asterisk', 2), text: '\\*' };
    let kind: TokenKind = 'punct';
    let best = 0;
    const better = (k: TokenKind, length: number): void => {
      if (length > best) {
        best = length;
        kind = k;
      }
    };
    if (/[0-9a-fA-F:]/.test(c)) {
      better('number', match(NUMBER, text, at));
      better('word', match(TIME, text, at));
      better('word', match(VLAN, text, at));
      better('word', match(IPV4, text, at));
      better('word', match(MAC, text, at));
      better('word', match(CLASSID, text, at));
      // Not indexOf: without a colon it would look through the rest of the file for every number.
      if (text.slice(at, at + 6).includes(':')) better('word', ipv6Length(text, at));
    }
    if (/[a-zA-Z_]/.test(c) || (c === '.' && /[a-zA-Z_]/.test(text[at + 1] ?? ''))) {
      const length = match(WORD, text, at);
      better('word', length);
      if (length === best) {
        if (text[at + length] === '*') return make('asterisk', length + 1);
        if (text[at + length] === '\\' && text[at + length + 1] === '*') return make('asterisk', length + 2);
      }
    }
    if (best === 0) better('punct', match(PUNCT, text, at));
    if (best === 0) throw new NftError({ source, start: at, end: at + 1 }, 'syntax error, unexpected junk');
    return make(kind, best);
  }
}
