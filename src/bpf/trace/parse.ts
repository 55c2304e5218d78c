/**
 * The tracing language, a part of bpftrace's:
 *
 *     kfree_skb /args.skb->len > 100/ { @[args.reason] = count(); }
 *     BEGIN { printf("tracing...\n"); }
 */
import { type Block, type Expr, type MapPlace, type Probe, type Stmt, TraceError } from './ast.ts';
import { type Token, tokenize } from './lex.ts';

/** Binary operators, loosest first. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const ASSIGN: ReadonlySet<string> = new Set(['=', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=']);
const TRACEPOINT: ReadonlySet<string> = new Set(['tracepoint', 't', 'rawtracepoint', 'rt', 'tp_btf', 'raw_tp']);
const FUNCTION: ReadonlySet<string> = new Set(['kprobe', 'k', 'kfunc', 'fentry', 'f']);
const INTERVAL: ReadonlySet<string> = new Set(['interval', 'i']);
const SECOND = 1e9;
/** Nanoseconds of a unit; 0: so many times a second. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ['s', SECOND],
  ['ms', 1e6],
  ['us', 1e3],
  ['ns', 1],
  ['hz', 0],
]);
const MAX_DEPTH = 100;

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  /** Inside a filter a slash ends it. */
  #filter = false;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  get #token(): Token {
    return this.#tokens[this.#at];
  }

  #is(sign: string): boolean {
    return this.#token.kind === 'sign' && this.#token.text === sign;
  }

  #word(text: string): boolean {
    return this.#token.kind === 'name' && this.#token.text === text;
  }

  #accept(sign: string): boolean {
    if (!this.#is(sign)) return false;
    this.#at++;
    return true;
  }

  #fail(wanted: string): never {
    const { kind, text } = this.#token;
    throw new TraceError(`expected ${wanted}, found ${kind === 'end' ? 'the end' : `"${text}"`}`, this.#token);
  }

  #expect(sign: string): void {
    if (!this.#accept(sign)) this.#fail(`"${sign}"`);
  }

  #name(what: string): string {
    const { kind, text } = this.#token;
    if (kind !== 'name') return this.#fail(what);
    this.#at++;
    return text;
  }

  program(): Block[] {
    const blocks: Block[] = [];
    while (this.#token.kind !== 'end') blocks.push(this.#block());
    if (blocks.length === 0) this.#fail('a probe');
    return blocks;
  }

  #block(): Block {
    const probes = [this.#probe()];
    while (this.#accept(',')) probes.push(this.#probe());
    let filter: Expr | undefined;
    if (this.#accept('/')) {
      this.#filter = true;
      filter = this.#expr();
      this.#filter = false;
      this.#expect('/');
    }
    return { probes, filter, body: this.#body() };
  }

  #probe(): Probe {
    const { line, column } = this.#token;
    const words = [this.#name('a probe')];
    if (INTERVAL.has(words[0]) && this.#accept(':')) return this.#interval(line, column);
    while (this.#accept(':')) words.push(this.#name('a name'));
    const [first, ...rest] = words;
    if (words.length === 1) {
      if (first === 'BEGIN' || first === 'END') return { line, column, kind: first, target: '', form: 'any' };
      return { line, column, kind: 'point', target: first, form: 'any' };
    }
    const target = rest.join('/');
    if (TRACEPOINT.has(first)) return { line, column, kind: 'point', target, form: 'tracepoint' };
    if (FUNCTION.has(first)) return { line, column, kind: 'point', target, form: 'function' };
    throw new TraceError(`netloom has no probes of the kind "${first}"`, { line, column });
  }

  /** `interval:s:1`, `interval:ms:500`. */
  #interval(line: number, column: number): Probe {
    const unit = UNITS.get(this.#name('a unit of time'));
    if (unit === undefined) throw new TraceError('interval: the unit is s, ms, us, ns or hz', { line, column });
    this.#expect(':');
    const { kind, text } = this.#token;
    const count = kind === 'number' ? Number(text) : 0;
    if (!(count > 0)) return this.#fail('a number above 0');
    this.#at++;
    const period = Math.round(unit === 0 ? SECOND / count : count * unit);
    return { line, column, kind: 'interval', target: '', form: 'any', period };
  }

  #body(): Stmt[] {
    this.#expect('{');
    const out: Stmt[] = [];
    while (!this.#accept('}')) {
      if (this.#accept(';')) continue;
      out.push(this.#statement());
      if (!this.#is('}') && out.at(-1)?.kind !== 'if') this.#expect(';');
    }
    return out;
  }

  #statement(): Stmt {
    const token = this.#token;
    const { line, column } = token;
    if (token.kind === 'name' && token.text === 'if') return this.#condition();
    if (token.kind === 'name') {
      this.#at++;
      return { line, column, kind: 'call', name: token.text, args: this.#arguments() };
    }
    if (token.kind === 'variable') {
      this.#at++;
      const { op, value } = this.#assignment({ line, column, kind: 'variable', name: token.text });
      return { line, column, kind: 'set', variable: token.text, op, value };
    }
    if (token.kind === 'map') {
      const place = this.#place();
      const { op, value } = this.#assignment(place);
      return { line, column, kind: 'store', place, op, value };
    }
    return this.#fail('a statement');
  }

  /** Behind a variable or a place in a map: `= value`, `+= value`, `++`. */
  #assignment(_to: Expr): { op: string; value: Expr } {
    const { line, column, text } = this.#token;
    if (this.#accept('++')) return { op: '+', value: { line, column, kind: 'number', value: 1n } };
    if (this.#accept('--')) return { op: '-', value: { line, column, kind: 'number', value: 1n } };
    if (this.#token.kind !== 'sign' || !ASSIGN.has(text)) return this.#fail('"="');
    this.#at++;
    return { op: text.slice(0, -1), value: this.#expr() };
  }

  #condition(): Stmt {
    const { line, column } = this.#token;
    this.#at++;
    this.#expect('(');
    const test = this.#expr();
    this.#expect(')');
    const yes = this.#body();
    let no: Stmt[] = [];
    if (this.#word('else')) {
      this.#at++;
      no = this.#word('if') ? [this.#condition()] : this.#body();
    }
    return { line, column, kind: 'if', test, yes, no };
  }

  #arguments(): Expr[] {
    this.#expect('(');
    const filter = this.#filter;
    this.#filter = false;
    const args: Expr[] = [];
    while (!this.#accept(')')) {
      if (args.length > 0) this.#expect(',');
      args.push(this.#expr());
    }
    this.#filter = filter;
    return args;
  }

  #place(): MapPlace {
    const { line, column, text } = this.#token;
    this.#at++;
    const keys: Expr[] = [];
    if (this.#accept('[')) {
      do keys.push(this.#expr());
      while (this.#accept(','));
      this.#expect(']');
    }
    return { line, column, kind: 'map', name: text, keys };
  }

  #expr(): Expr {
    if (++this.#depth > MAX_DEPTH) throw new TraceError('nested too deeply', this.#token);
    const test = this.#binary(0);
    let out = test;
    if (this.#accept('?')) {
      const yes = this.#expr();
      this.#expect(':');
      out = { line: test.line, column: test.column, kind: 'choice', test, yes, no: this.#expr() };
    }
    this.#depth--;
    return out;
  }

  #binary(level: number): Expr {
    if (level === LEVELS.length) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const { kind, text, line, column } = this.#token;
      if (kind !== 'sign' || !LEVELS[level].includes(text) || (this.#filter && text === '/')) return left;
      this.#at++;
      left = { line, column, kind: 'binary', op: text, left, right: this.#binary(level + 1) };
    }
  }

  #unary(): Expr {
    const { line, column, kind, text } = this.#token;
    if (kind === 'sign' && (text === '!' || text === '-' || text === '~')) {
      this.#at++;
      if (++this.#depth > MAX_DEPTH) throw new TraceError('nested too deeply', this.#token);
      const of = this.#unary();
      this.#depth--;
      return { line, column, kind: 'unary', op: text, of };
    }
    return this.#members(this.#primary());
  }

  #members(first: Expr): Expr {
    let of = first;
    while (this.#accept('.') || this.#accept('->')) {
      const { line, column } = this.#token;
      of = { line, column, kind: 'member', of, name: this.#name('a member') };
    }
    return of;
  }

  #primary(): Expr {
    const token = this.#token;
    const { line, column, text } = token;
    if (this.#accept('(')) {
      const filter = this.#filter;
      this.#filter = false;
      const inner = this.#expr();
      this.#filter = filter;
      this.#expect(')');
      return inner;
    }
    switch (token.kind) {
      case 'number':
        this.#at++;
        return { line, column, kind: 'number', value: BigInt.asUintN(64, BigInt(text)) };
      case 'string':
        this.#at++;
        return { line, column, kind: 'string', value: text };
      case 'variable':
        this.#at++;
        return { line, column, kind: 'variable', name: text };
      case 'map':
        return this.#place();
      case 'name':
        this.#at++;
        if (text === 'args') {
          if (!this.#accept('.') && !this.#accept('->')) this.#fail('"."');
          return { line, column, kind: 'argument', name: this.#name('an argument') };
        }
        if (this.#is('(')) return { line, column, kind: 'call', name: text, args: this.#arguments() };
        return { line, column, kind: 'name', name: text };
      default:
        return this.#fail('a value');
    }
  }
}

/** Reads a program; throws TraceError. */
export const parseTrace = (text: string): Block[] => new Parser(text).program();
