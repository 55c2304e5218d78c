/**
 * What all parts of the parser share: the token stream, scopes of definitions, syntax errors in nft's words.
 */
import type { Expr, Family, Stmt } from '../ast.ts';
import { type Location, NftError, type Source } from '../source.ts';
import { Lexer, type Token } from './lexer.ts';

export type Scope = { readonly parent?: Scope; readonly symbols: Map<string, Expr> };

export type ParserIo = {
  /** Files of an include path, glob resolved, in order; undefined when there is none. */
  readonly include: (path: string) => readonly Source[] | undefined;
};

const FAMILIES: ReadonlySet<string> = new Set(['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev']);

/** How bison calls a token. */
function tokenName(token: Token): string {
  switch (token.kind) {
    case 'eof':
      return 'end of file';
    case 'newline':
      return 'newline';
    case 'quoted':
      return 'quoted string';
    case 'number':
      return 'number';
    case 'asterisk':
      return 'string with a trailing asterisk';
    case 'word':
      return KEYWORDS.has(token.text) ? token.text : 'string';
    default:
      return PUNCT_NAMES[token.text] ?? token.text;
  }
}

const PUNCT_NAMES: Readonly<Record<string, string>> = {
  ';': 'semicolon',
  ':': 'colon',
  ',': 'comma',
  '.': '.',
  '-': '-',
  '/': '/',
  '{': "'{'",
  '}': "'}'",
  '(': "'('",
  ')': "')'",
  '[': "'['",
  ']': "']'",
  $: "'$'",
  '=': "'='",
  '@': '@',
  '*': '*',
};

const KEYWORDS: ReadonlySet<string> = new Set(
  (
    'accept add all arp bridge chain comment continue counter create ct daddr dccp define delete describe destroy device ' +
    'devices dnat dport drop dup element elements ether exists export fib flags flow flowtable flush fwd goto handle hook ' +
    'icmp icmpv6 icmpx iif iifname include index inet insert ip ip6 ipsec jump limit list log map maps mark masquerade meta ' +
    'meter meters missing monitor netdev notrack numgen objects oif oifname osf over performance policy position prefix ' +
    'priority quota queue random rate redefine redirect reject rename replace reset return rt rule rules ruleset saddr sctp ' +
    'secmark set sets size snat socket sport synproxy table tables tcp timeout to tproxy type typeof udp udplite undefine ' +
    'update vlan vmap with xt'
  ).split(' '),
);

export class Parser {
  readonly lexer: Lexer;
  readonly io: ParserIo;
  scope: Scope;
  /** Set by the assembling module: the grammar is recursive across files. */
  statement: (p: Parser) => Stmt;

  constructor(source: Source, scope: Scope, io: ParserIo, statement: (p: Parser) => Stmt) {
    this.lexer = new Lexer(source);
    this.scope = scope;
    this.io = io;
    this.statement = statement;
  }

  peek(ahead = 0): Token {
    return this.lexer.peek(ahead);
  }

  next(): Token {
    return this.lexer.next();
  }

  loc(token: Token): Location {
    return { source: token.source, start: token.start, end: token.end };
  }

  /** From a token to the one taken last. */
  since(first: Token): Location {
    const last = this.lexer.last;
    const end = last !== undefined && last.source === first.source && last.end > first.end ? last.end : first.end;
    return { source: first.source, start: first.start, end };
  }

  /** The next token is not what the grammar needs. */
  unexpected(expecting?: string, token: Token = this.peek()): never {
    throw new NftError(
      this.loc(token),
      `syntax error, unexpected ${tokenName(token)}${expecting === undefined ? '' : `, expecting ${expecting}`}`,
    );
  }

  fail(token: Token | Location, message: string): never {
    throw new NftError('kind' in token ? this.loc(token) : token, message);
  }

  is(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token.text === text && (token.kind === 'word' || token.kind === 'punct');
  }

  /** Takes the token if it is that word or sign. */
  accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.next();
    return true;
  }

  expect(text: string, name: string = PUNCT_NAMES[text] ?? text): Token {
    if (!this.is(text)) this.unexpected(name);
    return this.next();
  }

  skipNewlines(): void {
    while (this.peek().kind === 'newline') this.next();
  }

  /** The end of a statement: newline or `;`. The end of the text and a closing brace count, untaken. */
  separator(): void {
    const token = this.peek();
    if (token.kind === 'newline' || this.is(';')) {
      this.next();
      return;
    }
    if (token.kind !== 'eof' && !this.is('}')) this.unexpected('newline or semicolon');
  }

  atEnd(): boolean {
    const token = this.peek();
    return token.kind === 'newline' || token.kind === 'eof' || this.is(';') || this.is('}');
  }

  /** A name: word (also one that starts with a digit-free keyword) or quoted. */
  identifier(): string {
    const token = this.peek();
    if (token.kind !== 'word' && token.kind !== 'quoted') this.unexpected('string');
    return this.next().text;
  }

  /** A string: word, quoted or with an asterisk. */
  string(): string {
    const token = this.peek();
    if (token.kind !== 'word' && token.kind !== 'quoted' && token.kind !== 'asterisk') this.unexpected('string');
    return this.next().text;
  }

  number(): number {
    const token = this.peek();
    if (token.kind !== 'number') this.unexpected('number');
    return Number(this.next().text);
  }

  bigNumber(): bigint {
    const token = this.peek();
    if (token.kind !== 'number') this.unexpected('number');
    return BigInt(this.next().text);
  }

  familyOr(fallback: Family): Family {
    const token = this.peek();
    if (token.kind !== 'word' || !FAMILIES.has(token.text)) return fallback;
    return this.next().text as Family;
  }

  lookup(name: string): Expr | undefined {
    for (let scope: Scope | undefined = this.scope; scope !== undefined; scope = scope.parent) {
      const found = scope.symbols.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** `$name`; the `$` is the next token. */
  variable(): Expr {
    const dollar = this.expect('$');
    const token = this.peek();
    if (token.kind !== 'word') this.unexpected('string');
    this.next();
    const value = this.lookup(token.text);
    if (value === undefined) this.fail(token, `unknown identifier '${token.text}'`);
    return { kind: 'variable', name: token.text, value: value!, loc: this.since(dollar) };
  }

  openScope(): void {
    this.scope = { parent: this.scope, symbols: new Map() };
  }

  closeScope(): void {
    this.scope = this.scope.parent ?? this.scope;
  }
}
