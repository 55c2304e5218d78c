/**
 * Reads the part of the POSIX shell language that firewall scripts are made of (IEEE 1003.1, 2.10): simple commands with
 * assignments and redirections, here-documents, `&&`, `||`, `for`, `if`, `case`, `{ }`, functions. What lies outside (pipes,
 * command substitution, background jobs, `while`) is refused by name, with its place.
 */
import { BadInput } from './problem.ts';

/** A piece of a word: text, or a parameter such as `$NAME`, `${NAME:-default}`, `$1`, `$@`. */
export type Part =
  | { readonly kind: 'text'; readonly text: string; readonly quoted: boolean }
  | {
      readonly kind: 'param';
      readonly name: string;
      readonly quoted: boolean;
      readonly op?: string;
      readonly operand?: Word;
      readonly length?: boolean;
    }
  /** `$(...)` or backquotes: the commands inside. */
  | { readonly kind: 'command'; readonly text: string; readonly quoted: boolean; readonly line: number };

export type Word = { readonly parts: readonly Part[]; readonly line: number; readonly column: number };

export type Redirect = { readonly op: string; readonly fd?: number; readonly target: Word };

export type Simple = {
  readonly kind: 'simple';
  readonly line: number;
  readonly assignments: readonly { readonly name: string; readonly value: Word }[];
  readonly words: readonly Word[];
  readonly redirects: readonly Redirect[];
};

export type Node =
  | Simple
  | { readonly kind: 'pipe'; readonly line: number; readonly commands: readonly Node[] }
  | { readonly kind: 'and' | 'or'; readonly left: Node; readonly right: Node }
  | { readonly kind: 'not'; readonly body: Node }
  | { readonly kind: 'list'; readonly body: readonly Node[] }
  | { readonly kind: 'for'; readonly name: string; readonly words: readonly Word[] | undefined; readonly body: Node }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly test: Node; readonly body: Node }[];
      readonly otherwise: Node | undefined;
    }
  | {
      readonly kind: 'case';
      readonly word: Word;
      readonly items: readonly { readonly patterns: readonly Word[]; readonly body: Node }[];
    }
  | { readonly kind: 'function'; readonly name: string; readonly body: Node };

type Token =
  | { readonly kind: 'word'; readonly word: Word; readonly plain: string | undefined; readonly at: number }
  | { readonly kind: 'op'; readonly text: string; readonly fd?: number; readonly at: number }
  | { readonly kind: 'end'; readonly at: number };

const OPERATORS = [
  '<<-',
  '<<<',
  '&>>',
  '&&',
  '||',
  ';;',
  '<<',
  '>>',
  '>&',
  '<&',
  '&>',
  '>|',
  ';',
  '&',
  '|',
  '(',
  ')',
  '<',
  '>',
  '\n',
];
const REDIRECTS = ['<', '>', '>>', '>&', '<&', '&>', '&>>', '>|', '<<', '<<-', '<<<'];

/** Parses a script. Throws BadInput with the place and the name of what is not supported. */
export function parseShell(text: string, file?: string): Node {
  return new Parser(text, file).script();
}

class Lexer {
  readonly #text: string;
  readonly #file: string | undefined;
  readonly #starts: number[] = [0];
  at = 0;
  #pending: {
    readonly delimiter: string;
    readonly strip: boolean;
    readonly raw: boolean;
    readonly fill: (word: Word) => void;
  }[] = [];

  constructor(text: string, file: string | undefined) {
    this.#text = text;
    this.#file = file;
    for (let i = 0; i < text.length; i++) if (text[i] === '\n') this.#starts.push(i + 1);
  }

  lineOf(at: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  fail(message: string, at: number, width = 1): never {
    const line = this.lineOf(at);
    const start = this.#starts[line - 1];
    const stop = this.#text.indexOf('\n', start);
    throw new BadInput(message, {
      ...(this.#file !== undefined && { file: this.#file }),
      line,
      column: at - start,
      width,
      source: this.#text.slice(start, stop < 0 ? undefined : stop),
    });
  }

  hereDocument(delimiter: string, strip: boolean, raw: boolean, fill: (word: Word) => void): void {
    this.#pending.push({ delimiter, strip, raw, fill });
  }

  #blank(): void {
    const t = this.#text;
    for (;;) {
      const c = t[this.at];
      if (c === ' ' || c === '\t' || c === '\r') this.at++;
      else if (c === '\\' && t[this.at + 1] === '\n') this.at += 2;
      else if (c === '\\' && t[this.at + 1] === '\r' && t[this.at + 2] === '\n') this.at += 3;
      else if (c === '#') while (this.at < t.length && t[this.at] !== '\n') this.at++;
      else return;
    }
  }

  next(): Token {
    this.#blank();
    const t = this.#text;
    const at = this.at;
    if (at >= t.length) return { kind: 'end', at };
    const digit = /^\d(?=[<>])/.exec(t.slice(at, at + 2));
    const from = at + (digit ? 1 : 0);
    const operator = OPERATORS.find((op) => t.startsWith(op, from));
    if (operator !== undefined) {
      this.at = from + operator.length;
      if (operator === '\n') this.#bodies();
      return { kind: 'op', text: operator, at, ...(digit && { fd: Number(digit[0]) }) };
    }
    const parts = this.#parts((c) => /[\s;&|()<>]/.test(c));
    const plain = parts.every((p) => p.kind === 'text' && !p.quoted)
      ? parts.map((p) => (p.kind === 'text' ? p.text : '')).join('')
      : undefined;
    return { kind: 'word', word: this.#word(parts, at), plain, at };
  }

  #word(parts: readonly Part[], at: number): Word {
    const line = this.lineOf(at);
    return { parts, line, column: at - this.#starts[line - 1] };
  }

  /** Bodies of the here-documents that the line just ended began. */
  #bodies(): void {
    for (const { delimiter, strip, raw, fill } of this.#pending.splice(0)) {
      const start = this.at;
      let body = '';
      for (;;) {
        if (this.at >= this.#text.length)
          this.fail(`here-document without its end; expected a line ${delimiter}`, start);
        const stop = this.#text.indexOf('\n', this.at);
        let line = this.#text.slice(this.at, stop < 0 ? undefined : stop);
        this.at = stop < 0 ? this.#text.length : stop + 1;
        if (strip) line = line.replace(/^\t+/, '');
        if (line === delimiter) break;
        body += `${line}\n`;
      }
      const word = this.#word([{ kind: 'text', text: body, quoted: true }], start);
      fill(raw ? word : { ...word, parts: new Lexer(body, this.#file).quotedParts() });
    }
  }

  /** The whole text as the inside of double quotes (an unquoted here-document). */
  quotedParts(): Part[] {
    return this.#double(() => this.at >= this.#text.length, false);
  }

  #parts(stop: (c: string) => boolean): Part[] {
    const t = this.#text;
    const parts: Part[] = [];
    let text = '';
    const flush = (): void => {
      if (text !== '') parts.push({ kind: 'text', text, quoted: false });
      text = '';
    };
    while (this.at < t.length && !stop(t[this.at])) {
      const c = t[this.at];
      if (c === '\\') {
        if (t[this.at + 1] === '\n') this.at += 2;
        else {
          flush();
          parts.push({ kind: 'text', text: t[this.at + 1] ?? '\\', quoted: true });
          this.at += 2;
        }
      } else if (c === "'") {
        const close = t.indexOf("'", this.at + 1);
        if (close < 0) this.fail("quote without its end; expected '", this.at);
        flush();
        parts.push({ kind: 'text', text: t.slice(this.at + 1, close), quoted: true });
        this.at = close + 1;
      } else if (c === '"') {
        const open = this.at++;
        flush();
        parts.push({ kind: 'text', text: '', quoted: true });
        parts.push(
          ...this.#double(() => {
            if (this.at >= t.length) this.fail('quote without its end; expected "', open);
            return t[this.at] === '"';
          }, true),
        );
        this.at++;
      } else if (c === '$' || c === '`') {
        const part = this.#dollar(false);
        if (part === undefined) {
          text += c;
          this.at++;
        } else {
          flush();
          parts.push(part);
        }
      } else {
        text += c;
        this.at++;
      }
    }
    flush();
    return parts;
  }

  #double(done: () => boolean, quotes: boolean): Part[] {
    const t = this.#text;
    const parts: Part[] = [];
    let text = '';
    const flush = (): void => {
      if (text !== '') parts.push({ kind: 'text', text, quoted: true });
      text = '';
    };
    while (!done()) {
      const c = t[this.at];
      if (c === '\\' && this.at + 1 < t.length && (quotes ? '$`"\\\n' : '$`\\\n').includes(t[this.at + 1])) {
        if (t[this.at + 1] !== '\n') text += t[this.at + 1];
        this.at += 2;
        continue;
      }
      const part = c === '$' || c === '`' ? this.#dollar(true) : undefined;
      if (part === undefined) {
        text += c;
        this.at++;
      } else {
        flush();
        parts.push(part);
      }
    }
    flush();
    return parts;
  }

  /** A parameter or a command substitution at `$` or a backquote; undefined when the dollar stands for itself. */
  #dollar(quoted: boolean): Part | undefined {
    const t = this.#text;
    const at = this.at;
    if (t[at] === '`') {
      const close = t.indexOf('`', at + 1);
      if (close < 0) this.fail('command substitution without its end; expected `', at);
      this.at = close + 1;
      return { kind: 'command', text: t.slice(at + 1, close), quoted, line: this.lineOf(at) };
    }
    if (t.startsWith('$((', at)) this.fail('netloom does not support arithmetic expansion in scripts', at, 3);
    if (t[at + 1] === '(') {
      let depth = 1;
      let i = at + 2;
      while (i < t.length && depth > 0) {
        if (t[i] === '(') depth++;
        if (t[i] === ')') depth--;
        i++;
      }
      if (depth > 0) this.fail('command substitution without its end; expected )', at);
      this.at = i;
      return { kind: 'command', text: t.slice(at + 2, i - 1), quoted, line: this.lineOf(at) };
    }
    const simple = /^\$([A-Za-z_]\w*|[0-9@*#?$!])/.exec(t.slice(at, at + 200));
    if (simple !== null) {
      this.at = at + simple[0].length;
      return { kind: 'param', name: simple[1], quoted };
    }
    if (t[at + 1] !== '{') return undefined;
    const head = /^\$\{(#?)([A-Za-z_]\w*|[0-9@*#?])(:?[-=+?]|%%?|##?)?/.exec(t.slice(at, at + 200));
    if (head === null) this.fail('netloom does not support this parameter expansion', at, 2);
    this.at = at + head[0].length;
    const parts = this.#parts((c) => c === '}');
    if (t[this.at] !== '}') this.fail('parameter expansion without its end; expected }', at);
    this.at++;
    if (head[3] === undefined && parts.length > 0)
      this.fail('netloom does not support this parameter expansion', at, 2);
    return {
      kind: 'param',
      name: head[2],
      quoted,
      ...(head[1] === '#' && { length: true }),
      ...(head[3] !== undefined && { op: head[3], operand: this.#word(parts, at) }),
    };
  }
}

class Parser {
  readonly #lexer: Lexer;
  #token: Token;

  constructor(text: string, file: string | undefined) {
    this.#lexer = new Lexer(text, file);
    this.#token = this.#lexer.next();
  }

  #take(): Token {
    const token = this.#token;
    this.#token = this.#lexer.next();
    return token;
  }

  #isOp(...texts: string[]): boolean {
    return this.#token.kind === 'op' && texts.includes(this.#token.text);
  }

  #isWord(...texts: string[]): boolean {
    return this.#token.kind === 'word' && this.#token.plain !== undefined && texts.includes(this.#token.plain);
  }

  #expectWord(text: string): void {
    if (!this.#isWord(text)) this.#lexer.fail(`expected ${text}`, this.#token.at);
    this.#take();
  }

  #newlines(): void {
    while (this.#isOp('\n', ';')) this.#take();
  }

  script(): Node {
    const body = this.#list();
    if (this.#token.kind !== 'end') {
      const text = this.#token.kind === 'op' ? this.#token.text : (this.#token.plain ?? 'word');
      this.#lexer.fail(`"${text}" does not belong here`, this.#token.at);
    }
    return body;
  }

  #list(...ends: string[]): Node {
    const body: Node[] = [];
    for (;;) {
      this.#newlines();
      if (this.#token.kind === 'end' || this.#isWord(...ends) || this.#isOp(')', ';;')) break;
      body.push(this.#andOr());
      if (this.#isOp('&'))
        this.#lexer.fail('netloom does not support background commands (&) in scripts', this.#token.at);
      if (!this.#isOp('\n', ';')) break;
    }
    return { kind: 'list', body };
  }

  #andOr(): Node {
    let left = this.#pipeline();
    while (this.#isOp('&&', '||')) {
      const op = this.#take();
      while (this.#isOp('\n')) this.#take();
      left = { kind: op.kind === 'op' && op.text === '&&' ? 'and' : 'or', left, right: this.#pipeline() };
    }
    return left;
  }

  #pipeline(): Node {
    if (this.#isWord('!')) {
      this.#take();
      return { kind: 'not', body: this.#pipeline() };
    }
    const line = this.#lexer.lineOf(this.#token.at);
    const commands = [this.#command()];
    while (this.#isOp('|')) {
      this.#take();
      while (this.#isOp('\n')) this.#take();
      commands.push(this.#command());
    }
    return commands.length === 1 ? commands[0] : { kind: 'pipe', line, commands };
  }

  #command(): Node {
    const token = this.#token;
    if (this.#isOp('(')) {
      this.#take();
      const body = this.#list();
      if (!this.#isOp(')')) this.#lexer.fail('expected )', this.#token.at);
      this.#take();
      return body;
    }
    if (token.kind !== 'word') {
      if (token.kind === 'op' && REDIRECTS.includes(token.text)) return this.#simple();
      this.#lexer.fail(
        token.kind === 'end' ? 'the script ends here; expected a command' : 'expected a command',
        token.at,
      );
    }
    switch (token.plain) {
      case 'for':
        return this.#for();
      case 'if':
        return this.#if();
      case 'case':
        return this.#case();
      case '{': {
        this.#take();
        const body = this.#list('}');
        this.#expectWord('}');
        return body;
      }
      case 'while':
      case 'until':
      case 'select':
        return this.#lexer.fail(`netloom does not support ${token.plain} in scripts`, token.at, token.plain.length);
      case 'function': {
        this.#take();
        const name = this.#token.kind === 'word' ? this.#token.plain : undefined;
        if (name === undefined) this.#lexer.fail('expected the name of a function', this.#token.at);
        this.#take();
        return this.#functionBody(name);
      }
      default:
        return this.#simple();
    }
  }

  #functionBody(name: string): Node {
    if (this.#isOp('(')) {
      this.#take();
      if (!this.#isOp(')')) this.#lexer.fail('expected )', this.#token.at);
      this.#take();
    }
    while (this.#isOp('\n')) this.#take();
    return { kind: 'function', name, body: this.#command() };
  }

  #for(): Node {
    this.#take();
    const name = this.#token.kind === 'word' ? this.#token.plain : undefined;
    if (name === undefined) this.#lexer.fail('expected the name of a variable', this.#token.at);
    this.#take();
    while (this.#isOp('\n')) this.#take();
    let words: Word[] | undefined;
    if (this.#isWord('in')) {
      this.#take();
      words = [];
      while (this.#token.kind === 'word') {
        words.push(this.#token.word);
        this.#take();
      }
    }
    this.#newlines();
    this.#expectWord('do');
    const body = this.#list('done');
    this.#expectWord('done');
    return { kind: 'for', name, words, body };
  }

  #if(): Node {
    const branches: { test: Node; body: Node }[] = [];
    let otherwise: Node | undefined;
    this.#take();
    for (;;) {
      const test = this.#list('then');
      this.#expectWord('then');
      branches.push({ test, body: this.#list('elif', 'else', 'fi') });
      if (this.#isWord('elif')) {
        this.#take();
        continue;
      }
      if (this.#isWord('else')) {
        this.#take();
        otherwise = this.#list('fi');
      }
      this.#expectWord('fi');
      return { kind: 'if', branches, otherwise };
    }
  }

  #case(): Node {
    this.#take();
    const token = this.#take();
    if (token.kind !== 'word') this.#lexer.fail('expected a word', token.at);
    const { word } = token;
    this.#newlines();
    this.#expectWord('in');
    const items: { patterns: Word[]; body: Node }[] = [];
    for (;;) {
      this.#newlines();
      if (this.#isWord('esac')) break;
      if (this.#isOp('(')) this.#take();
      const patterns: Word[] = [];
      for (;;) {
        const pattern = this.#take();
        if (pattern.kind !== 'word') this.#lexer.fail('expected a pattern or esac', pattern.at);
        patterns.push(pattern.word);
        if (!this.#isOp('|')) break;
        this.#take();
      }
      if (!this.#isOp(')')) this.#lexer.fail('expected )', this.#token.at);
      this.#take();
      items.push({ patterns, body: this.#list('esac') });
      if (this.#isOp(';;')) this.#take();
      else break;
    }
    this.#newlines();
    this.#expectWord('esac');
    return { kind: 'case', word, items };
  }

  #simple(): Node {
    const line = this.#lexer.lineOf(this.#token.at);
    const assignments: { name: string; value: Word }[] = [];
    const words: Word[] = [];
    const redirects: { op: string; fd?: number; target: Word }[] = [];
    for (;;) {
      const token = this.#token;
      if (token.kind === 'word') {
        const assignment = words.length === 0 ? asAssignment(token.word) : undefined;
        if (assignment !== undefined) assignments.push(assignment);
        else words.push(token.word);
        this.#take();
        if (words.length === 1 && token.plain !== undefined && this.#isOp('(') && assignments.length === 0)
          return this.#functionBody(token.plain);
      } else if (token.kind === 'op' && REDIRECTS.includes(token.text)) {
        redirects.push(this.#redirect(token.text, token.fd));
      } else break;
    }
    return { kind: 'simple', line, assignments, words, redirects };
  }

  #redirect(op: string, fd: number | undefined): { op: string; fd?: number; target: Word } {
    // The body of a here-document follows the line, so its delimiter is looked at before the lexer moves on.
    const entry: { op: string; fd?: number; target: Word } = {
      op,
      target: { parts: [], line: 0, column: 0 },
      ...(fd !== undefined && { fd }),
    };
    const token = this.#lexer.next();
    if (token.kind !== 'word') this.#lexer.fail(`expected a word behind ${op}`, token.at);
    entry.target = token.word;
    if (op === '<<' || op === '<<-') {
      const delimiter = token.word.parts.map((p) => (p.kind === 'text' ? p.text : '')).join('');
      const raw = token.word.parts.some((p) => p.quoted);
      this.#lexer.hereDocument(delimiter, op === '<<-', raw, (body) => {
        entry.target = body;
      });
    }
    this.#token = this.#lexer.next();
    return entry;
  }
}

function asAssignment(word: Word): { name: string; value: Word } | undefined {
  const [first, ...rest] = word.parts;
  if (first?.kind !== 'text' || first.quoted) return undefined;
  const m = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(first.text);
  if (m === null) return undefined;
  const head: Part[] = m[2] === '' ? [] : [{ kind: 'text', text: m[2], quoted: false }];
  return { name: m[1], value: { ...word, parts: [...head, ...rest] } };
}
