/**
 * The grammar of filter expressions, pcap-filter(7):
 *
 *     expression := term { ("and" | "or") (term | id) }            of equal precedence, from left to right
 *     term       := "not" term | "(" expression ")" | relation | qualifiers id | protocol | ...
 *     id         := address | name | number | "not" id | "(" id { ("and" | "or") id } ")"
 *
 * An id without qualifiers takes those of the primitive before it: "port 80 or 443".
 */
import { parseIpv6 } from '../../wire/address.ts';
import type { Arith, ArithOp, Direction, Expr, Id, Qualifiers, RelOp } from './ast.ts';
import { CONSTANTS, FOREIGN, KEYWORDS, PROTOS, WLAN_DIRECTIONS } from './keywords.ts';
import { FilterError, type Token, tokenize } from './lexer.ts';
import { anySubtype, DIRECTION_VALUES, frameSubtype, frameType } from './wlan.ts';

/** Parentheses and negations inside each other. */
const MAX_DEPTH = 200;
/** Primitives of one expression: more than a program of 4096 instructions could test. */
const MAX_PRIMITIVES = 4096;

const KINDS = new Set(['host', 'net', 'port', 'portrange', 'proto', 'protochain', 'gateway']);
/** Protocols whose bytes can be named: `tcp[13]`. */
const NO_INDEX = new Set([
  'ah',
  'esp',
  'iso',
  'stp',
  'ipx',
  'netbeui',
  'aarp',
  'esis',
  'isis',
  'clnp',
  'l1',
  'l2',
  'iih',
  'lsp',
  'snp',
  'csnp',
  'psnp',
]);

type Operators = ReadonlyMap<string, ArithOp>;
const ops = (...list: ArithOp[]): Operators => new Map(list.map((op) => [op, op]));
/** From the loosest to the tightest. `%` and `^` are no level: see `tight`. */
const LEVELS: readonly Operators[] = [ops('|', '&'), ops('<<', '>>'), ops('+', '-'), ops('*', '/')];
const RELATIONS: ReadonlyMap<string, RelOp> = new Map([
  ['=', '='],
  ['==', '='],
  ['!=', '!='],
  ['>', '>'],
  ['>=', '>='],
  ['<', '<'],
  ['<=', '<='],
]);

/** An expression with the qualifiers that an id after it takes. */
type Parsed = { readonly expr: Expr; readonly q: Qualifiers | undefined };

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  #primitives = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokenize(text);
  }

  get #token(): Token {
    return this.#tokens[this.#at];
  }
  #ahead(n: number): Token {
    return this.#tokens[Math.min(this.#at + n, this.#tokens.length - 1)];
  }
  fail(problem: string, token: { readonly at: number } = this.#token): never {
    throw new FilterError(problem, this.#text, token.at);
  }
  #expected(what: string): never {
    const { kind, text } = this.#token;
    return this.fail(`expected ${what}, found ${kind === 'end' ? text : `"${text}"`}`);
  }
  /** The token is this keyword or sign. */
  #is(...texts: string[]): boolean {
    const { kind, text } = this.#token;
    return (kind === 'word' || kind === 'op') && texts.includes(text);
  }
  #accept(...texts: string[]): boolean {
    if (!this.#is(...texts)) return false;
    this.#at++;
    return true;
  }
  #expect(text: string): void {
    if (!this.#accept(text)) this.#expected(`"${text}"`);
  }

  #nested<T>(parse: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} parentheses inside each other`);
    const result = parse();
    this.#depth--;
    return result;
  }

  program(): Expr | undefined {
    if (this.#ahead(0).kind === 'end') return undefined;
    const { expr } = this.#expression(undefined);
    if (this.#token.kind !== 'end') this.#expected('"and", "or" or the end');
    return expr;
  }

  #expression(inherited: Qualifiers | undefined): Parsed {
    let left = this.#term(inherited);
    for (;;) {
      const { at } = this.#token;
      const kind = this.#is('and', '&&') ? 'and' : this.#is('or', '||') ? 'or' : undefined;
      if (kind === undefined) return left;
      this.#at++;
      const right = this.#term(left.q);
      left = { expr: { kind, left: left.expr, right: right.expr, at }, q: right.q };
    }
  }

  #term(q: Qualifiers | undefined): Parsed {
    const { at } = this.#token;
    if (++this.#primitives > MAX_PRIMITIVES) this.fail(`more than ${MAX_PRIMITIVES} primitives`);
    if (this.#accept('not', '!')) {
      const operand = this.#nested(() => this.#term(q));
      return { expr: { kind: 'not', operand: operand.expr, at }, q: operand.q };
    }
    const relation = this.#relation();
    if (relation !== undefined) return { expr: relation, q: undefined };
    if (this.#accept('(')) {
      const inner = this.#nested(() => this.#expression(q));
      this.#expect(')');
      return inner;
    }
    return this.#primitive(q);
  }

  /** `expr relop expr`; undefined, and nothing read, when there is none here. */
  #relation(): Expr | undefined {
    const start = this.#at;
    const { at, kind } = this.#token;
    const starts =
      kind === 'number' ||
      this.#is('-', '(', 'len', 'length') ||
      this.#constant() !== undefined ||
      this.#ahead(1).text === '[';
    if (!starts) return undefined;
    const depth = this.#depth;
    let left: Arith;
    try {
      left = this.#arith(0);
    } catch (error) {
      // A parenthesis may also begin a group, and a number may be an id.
      if (!(error instanceof FilterError) || (kind !== 'number' && !this.#groupAt(start))) throw error;
      this.#at = start;
      this.#depth = depth;
      return undefined;
    }
    const op = RELATIONS.get(this.#token.text);
    if (op === undefined || this.#token.kind !== 'op') {
      if (kind !== 'number' && !this.#groupAt(start)) this.#expected('a comparison');
      this.#at = start;
      return undefined;
    }
    this.#at++;
    return { kind: 'relation', op, left, right: this.#arith(0), at };
  }
  #groupAt(index: number): boolean {
    return this.#tokens[index].text === '(';
  }

  #constant(): number | undefined {
    return this.#token.kind === 'word' ? CONSTANTS.get(this.#token.text) : undefined;
  }

  #arith(level: number): Arith {
    if (level === LEVELS.length) return this.#tight();
    let left = this.#arith(level + 1);
    for (;;) {
      const { at, kind, text } = this.#token;
      const op = kind === 'op' ? LEVELS[level].get(text) : undefined;
      if (op === undefined) return left;
      this.#at++;
      left = { kind: 'binary', op, left, right: this.#arith(level + 1), at };
    }
  }

  /** In libpcap's grammar `%` and `^` take one operand on the left, and all that follows on the right. */
  #tight(): Arith {
    const left = this.#unary();
    const { at, text } = this.#token;
    if (!this.#is('%', '^')) return left;
    this.#at++;
    const right = this.#nested(() => this.#arith(0));
    return { kind: 'binary', op: text as ArithOp, left, right, at };
  }

  #unary(): Arith {
    const { at, kind, text } = this.#token;
    if (this.#accept('-')) return { kind: 'neg', operand: this.#nested(() => this.#tight()), at };
    if (this.#accept('(')) {
      const inner = this.#nested(() => this.#arith(0));
      this.#expect(')');
      return inner;
    }
    if (kind === 'number') return { kind: 'number', value: this.#number(), at };
    if (this.#accept('len', 'length')) return { kind: 'len', at };
    const constant = this.#constant();
    if (constant !== undefined) {
      this.#at++;
      return { kind: 'number', value: constant, at };
    }
    const proto = kind === 'word' ? PROTOS.get(text) : undefined;
    if (proto === undefined || this.#ahead(1).text !== '[') return this.#expected('a number, "len" or proto[offset]');
    if (NO_INDEX.has(proto)) this.fail(`there is no index into ${text}`);
    this.#at += 2;
    const index = this.#nested(() => this.#arith(0));
    let size = 1;
    if (this.#accept(':')) {
      const token = this.#token;
      size = this.#number();
      if (size !== 1 && size !== 2 && size !== 4) this.fail('data size must be 1, 2, or 4', token);
    }
    this.#expect(']');
    return { kind: 'load', proto, index, size, at };
  }

  /** An unsigned 32-bit number; octal with a leading zero, as in C. */
  #number(): number {
    const { kind, text } = this.#token;
    if (kind !== 'number') return this.#expected('a number');
    const octal = /^0[0-7]+$/.test(text);
    const value = octal ? Number.parseInt(text, 8) : Number(text);
    if (/^0\d+$/.test(text) && !octal) this.fail(`"${text}" is no octal number`);
    if (value > 0xffff_ffff) this.fail(`${text} does not fit in 32 bits`);
    this.#at++;
    return value;
  }
  /** A number, or one in parentheses. */
  #maybeNumber(): number | undefined {
    if (this.#token.kind === 'number') return this.#number();
    if (this.#token.text !== '(' || this.#ahead(1).kind !== 'number' || this.#ahead(2).text !== ')') return undefined;
    this.#at++;
    const value = this.#number();
    this.#at++;
    return value;
  }

  #primitive(q: Qualifiers | undefined): Parsed {
    const token = this.#token;
    const { at, kind, text } = token;
    if (kind !== 'word' || !KEYWORDS.has(text)) {
      if (kind === 'op' || kind === 'end') return this.#expected('a primitive');
      if (q === undefined) this.fail(`"${text}" needs a qualifier before it, such as host, net or port`);
      return { expr: this.#id(q), q };
    }
    const plain = this.#keyword();
    if (plain !== undefined) return { expr: plain, q: undefined };
    const proto = PROTOS.get(text) ?? '';
    if (proto !== '') this.#at++;
    if (this.#is('broadcast', 'multicast')) {
      const how = this.#token.text as 'broadcast' | 'multicast';
      this.#at++;
      return { expr: { kind: 'cast', how, proto, at }, q: undefined };
    }
    const found = this.#qualifiers(proto);
    if (found !== undefined) return { expr: this.#id(found), q: found };
    const foreign = FOREIGN.get(this.#token.text);
    if (foreign !== undefined && this.#token.kind === 'word') this.fail(foreign);
    if (proto === '') return this.#expected('a primitive');
    if (proto === 'link' || proto === 'radio') return this.fail(`"${text}" needs something after it`, token);
    return { expr: { kind: 'proto', name: proto, at }, q: undefined };
  }

  /** Primitives with a keyword of their own. */
  #keyword(): Expr | undefined {
    const { at, text } = this.#token;
    const foreign = FOREIGN.get(text);
    if (foreign !== undefined) this.fail(foreign);
    switch (text) {
      case 'less':
      case 'greater':
      case 'ifindex':
        this.#at++;
        return { kind: text, value: this.#number(), at };
      case 'byte': {
        this.#at++;
        const index = this.#number();
        const op = this.#token.text;
        if (!['=', '==', '>', '<', '&', '|'].includes(op)) this.#expected('one of = > < & |');
        this.#at++;
        return { kind: 'byte', index, op, value: this.#number(), at };
      }
      case 'inbound':
      case 'outbound':
        this.#at++;
        return { kind: 'inbound', out: text === 'outbound', at };
      case 'vlan':
      case 'mpls':
      case 'pppoes':
      case 'geneve':
        this.#at++;
        return { kind: 'nest', what: text, number: this.#maybeNumber(), at };
      case 'type':
      case 'subtype':
        return this.#frameType();
      case 'dir':
      case 'direction': {
        this.#at++;
        const value = this.#wlanWord(
          (word) => (typeof word === 'number' ? word : DIRECTION_VALUES.get(word)),
          'direction',
        );
        return { kind: 'wlan', byte: 1, value, mask: 3, at };
      }
      case 'pppoed':
        this.#at++;
        return { kind: 'pppoed', at };
      case 'llc': {
        this.#at++;
        const { kind, text: type } = this.#token;
        if (kind !== 'word' || type === 'and' || type === 'or') return { kind: 'llc', type: '', at };
        this.#at++;
        return { kind: 'llc', type, at };
      }
      default:
        return undefined;
    }
  }

  /** A name or number of 802.11 frames. */
  #wlanWord(meaning: (word: string | number) => number | undefined, what: string): number {
    const token = this.#token;
    const word = token.kind === 'number' ? this.#number() : token.text;
    if (typeof word === 'string') {
      if (token.kind !== 'word' && token.kind !== 'name') return this.#expected(`an 802.11 ${what}`);
      this.#at++;
    }
    const value = meaning(word);
    return value ?? this.fail(`unknown 802.11 ${what} "${token.text}"`, token);
  }

  /** `type mgt`, `type mgt subtype beacon`, `subtype beacon`. */
  #frameType(): Expr {
    const { at } = this.#token;
    if (this.#accept('subtype')) {
      const value = this.#wlanWord((word) => (typeof word === 'string' ? anySubtype(word) : undefined), 'subtype');
      return { kind: 'wlan', byte: 0, value, mask: 0xfc, at };
    }
    this.#at++;
    const type = this.#wlanWord(frameType, 'type');
    if (!this.#accept('subtype')) return { kind: 'wlan', byte: 0, value: type, mask: 0x0c, at };
    const value = this.#wlanWord((word) => frameSubtype(type, word), 'subtype');
    return { kind: 'wlan', byte: 0, value, mask: 0xfc, at };
  }

  /** `src port`, `net`, `proto`: undefined when there are none. */
  #qualifiers(proto: string): Qualifiers | undefined {
    const dir = this.#direction();
    const { kind, text } = this.#token;
    if (kind === 'word' && KINDS.has(text)) {
      const token = this.#token;
      if (dir !== '' && (text === 'proto' || text === 'protochain' || text === 'gateway'))
        this.fail(`direction applied to '${text}'`, token);
      this.#at++;
      return { proto, dir, kind: text as Qualifiers['kind'] };
    }
    return dir === '' ? undefined : { proto, dir, kind: 'host' };
  }

  #direction(): Direction {
    const { kind, text } = this.#token;
    if (kind !== 'word') return '';
    const field = WLAN_DIRECTIONS.get(text);
    if (field !== undefined) {
      this.#at++;
      return field;
    }
    if (text !== 'src' && text !== 'dst') return '';
    const other = text === 'src' ? 'dst' : 'src';
    const between = this.#ahead(1).text;
    const both = this.#ahead(2).kind === 'word' && this.#ahead(2).text === other;
    if (both && ['or', '||', 'and', '&&'].includes(between)) {
      this.#at += 3;
      return between === 'or' || between === '||' ? 'or' : 'and';
    }
    this.#at++;
    return text;
  }

  /** What follows qualifiers. */
  #id(q: Qualifiers): Expr {
    const { at } = this.#token;
    if (this.#accept('not', '!')) return { kind: 'not', operand: this.#nested(() => this.#id(q)), at };
    if (this.#accept('(')) {
      const inner = this.#nested(() => this.#ids(q));
      this.#expect(')');
      return inner;
    }
    return { kind: 'id', q, id: this.#address(q), at };
  }

  #ids(q: Qualifiers): Expr {
    let left = this.#id(q);
    for (;;) {
      const { at } = this.#token;
      const kind = this.#is('and', '&&') ? 'and' : this.#is('or', '||') ? 'or' : undefined;
      if (kind === undefined) return left;
      this.#at++;
      left = { kind, left, right: this.#id(q), at };
    }
  }

  #address(q: Qualifiers): Id {
    const net = this.#plainId();
    const masks = net.kind === 'ip4' || net.kind === 'ip6' || (net.kind === 'number' && q.kind === 'net');
    if (masks && this.#accept('/')) {
      const token = this.#token;
      const length = this.#number();
      const full = net.kind === 'ip6' ? 128 : 32;
      if (length > full) this.fail(`mask length must be <= ${full}`, token);
      return { kind: 'masked', net, length, at: net.at };
    }
    if (net.kind === 'ip4' && this.#accept('mask')) return { kind: 'mask', net, mask: this.#plainId(), at: net.at };
    return net;
  }

  #plainId(): Id {
    const { at, kind, text } = this.#token;
    switch (kind) {
      case 'number':
        return { kind: 'number', value: this.#number(), text, at };
      case 'ip4': {
        const parts = text.split('.').map(Number);
        if (parts.some((part) => part > 255)) this.fail(`invalid IPv4 address "${text}"`);
        this.#at++;
        const value = parts.reduce((sum, part, i) => sum + part * 2 ** (24 - 8 * i), 0);
        return { kind: 'ip4', value, bits: parts.length * 8, text, at };
      }
      case 'ip6': {
        const bytes = parseIpv6(text);
        if (bytes === undefined) return this.fail(`invalid IPv6 address "${text}"`);
        this.#at++;
        const dv = new DataView(bytes.buffer, bytes.byteOffset);
        return { kind: 'ip6', words: [0, 4, 8, 12].map((i) => dv.getUint32(i)), text, at };
      }
      case 'mac': {
        this.#at++;
        const parts = text.split(/[:.-]/);
        const hex = parts.length === 6 ? parts.map((part) => part.padStart(2, '0')).join('') : parts.join('');
        return {
          kind: 'mac',
          bytes: Array.from({ length: 6 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16)),
          text,
          at,
        };
      }
      case 'word':
        if (KEYWORDS.has(text)) this.fail(`"${text}" is a keyword here: write "\\${text}" for the name`);
        this.#at++;
        return { kind: 'name', text, at };
      case 'name':
        this.#at++;
        return { kind: 'name', text, at };
      default:
        return this.#expected('an address, a name or a number');
    }
  }
}

/** Parses an expression; undefined for an empty one, which every packet passes. Throws a FilterError. */
export function parseFilter(text: string): Expr | undefined {
  return new Parser(text).program();
}
