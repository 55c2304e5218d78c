/**
 * Expressions in nft scripts. There are two positions: what a rule looks at (fields, keys) and what it is compared with
 * (constants, sets). `anyExpr` is the mixture that `set` statements and maps take.
 */
import type { BinaryOp, ElementExpr, Expr, SetExpr, Stmt, VerdictExpr, VerdictName } from '../ast.ts';
import { span } from '../source.ts';
import { parseTime } from '../time.ts';
import type { Parser } from './core.ts';
import { isPrimary, primary } from './primary.ts';

/** Which kind of operand may stand here. */
export type Mode = 'lhs' | 'rhs' | 'any';

const LEVELS: readonly (readonly (readonly [string, BinaryOp])[])[] = [
  [
    ['|', '|'],
    ['or', '|'],
  ],
  [
    ['^', '^'],
    ['xor', '^'],
  ],
  [
    ['&', '&'],
    ['and', '&'],
  ],
  [
    ['<<', '<<'],
    ['lshift', '<<'],
    ['>>', '>>'],
    ['rshift', '>>'],
  ],
];

/** A word, number, string or variable, or in the `lhs` and `any` positions a field. */
function operand(p: Parser, mode: Mode): Expr {
  const token = p.peek();
  if (p.is('(')) {
    p.next();
    const inner = basicExpr(p, mode);
    p.expect(')');
    return inner;
  }
  if (p.is('$')) return p.variable();
  if (p.is('@') && mode !== 'lhs' && !isPrimary(p)) return setRef(p);
  if (mode !== 'rhs' && isPrimary(p)) return primary(p, (inner) => concatExpr(inner, 'any'));
  if (mode === 'lhs') p.unexpected();
  if (token.kind === 'punct' && token.text === '*') {
    p.next();
    return { kind: 'catchall', loc: p.loc(token) };
  }
  if (token.kind === 'punct' || token.kind === 'newline' || token.kind === 'eof') p.unexpected();
  p.next();
  return { kind: 'symbol', text: token.text, loc: p.loc(token), ...(token.kind === 'quoted' && { quoted: true }) };
}

function level(p: Parser, mode: Mode, depth: number): Expr {
  if (depth === LEVELS.length) return operand(p, mode);
  let left = level(p, mode, depth + 1);
  for (;;) {
    const found = LEVELS[depth].find(([text]) => p.is(text));
    if (found === undefined) return left;
    p.next();
    // Constants may stand on the right of a field: `meta mark & 0x3`.
    const right = level(p, mode === 'lhs' ? 'any' : mode, depth + 1);
    const loc = span(left.loc, right.loc);
    left = { kind: 'binary', op: found[1], left, right, ...(loc && { loc }) };
  }
}

/** Operators, without concatenation. */
export function basicExpr(p: Parser, mode: Mode): Expr {
  return level(p, mode, 0);
}

/** A constant with `/len` or `-last` behind it. */
function multiton(p: Parser, mode: Mode): Expr {
  const left = basicExpr(p, mode);
  if (p.is('/') && p.peek(1).kind === 'number') {
    p.next();
    const token = p.next();
    return { kind: 'prefix', expr: left, prefix: Number(token.text), loc: span(left.loc, p.loc(token))! };
  }
  if (p.is('-')) {
    p.next();
    const right = basicExpr(p, mode);
    return { kind: 'range', left, right, loc: span(left.loc, right.loc)! };
  }
  return left;
}

/** Parts joined by dots. */
export function concatExpr(p: Parser, mode: Mode): Expr {
  const part = mode === 'lhs' ? basicExpr : multiton;
  const first = part(p, mode);
  if (!p.is('.')) return first;
  const parts = [first];
  while (p.accept('.')) parts.push(part(p, mode));
  const loc = span(first.loc, parts[parts.length - 1].loc);
  return { kind: 'concat', parts, ...(loc && { loc }) };
}

function setRef(p: Parser): Expr {
  const at = p.expect('@');
  const name = p.identifier();
  return { kind: 'setref', name, loc: p.since(at) };
}

const VERDICTS: ReadonlySet<string> = new Set(['accept', 'drop', 'continue', 'jump', 'goto', 'return']);

export function isVerdict(p: Parser): boolean {
  const token = p.peek();
  return token.kind === 'word' && VERDICTS.has(token.text);
}

export function verdictExpr(p: Parser): VerdictExpr {
  const token = p.next();
  const verdict = token.text as VerdictName;
  if (verdict !== 'jump' && verdict !== 'goto') return { kind: 'verdict', verdict, loc: p.loc(token) };
  const word = p.peek();
  if (p.is('$')) return { kind: 'verdict', verdict, chain: p.variable(), loc: p.since(token) };
  const text = p.identifier();
  return { kind: 'verdict', verdict, chain: { kind: 'symbol', text, loc: p.loc(word) }, loc: p.since(token) };
}

/** A time such as `30s` or `1d2h`; a bare number is seconds. Milliseconds. */
export function timeSpec(p: Parser): number {
  const token = p.peek();
  if (token.kind !== 'word' && token.kind !== 'number' && token.kind !== 'quoted') p.unexpected('string');
  p.next();
  const ms = parseTime(token.text);
  if (ms === undefined) p.fail(token, 'invalid time specification');
  return Number(ms);
}

const ELEMENT_STMTS: ReadonlySet<string> = new Set(['counter', 'limit', 'quota', 'last', 'ct']);

type ElementOptions = { timeout?: number; expires?: number; comment?: string; stmts: Stmt[] };

function elementOptions(p: Parser, options: ElementOptions): void {
  for (;;) {
    if (p.accept('timeout')) options.timeout = timeSpec(p);
    else if (p.accept('expires')) options.expires = timeSpec(p);
    else if (p.accept('comment')) options.comment = p.string();
    else if (p.peek().kind === 'word' && ELEMENT_STMTS.has(p.peek().text)) options.stmts.push(p.statement(p));
    else return;
  }
}

/** One element: key, options, and behind a colon its data. `mode` is `any` for dynamic sets. */
export function setElement(p: Parser, mode: Mode): ElementExpr {
  const first = p.peek();
  p.skipNewlines();
  const key = p.is('{') ? setExpr(p) : concatExpr(p, mode);
  const options: ElementOptions = { stmts: [] };
  elementOptions(p, options);
  let data: Expr | undefined;
  p.skipNewlines();
  if (p.accept(':')) {
    p.skipNewlines();
    data = isVerdict(p) ? verdictExpr(p) : concatExpr(p, mode);
    elementOptions(p, options);
  }
  const { stmts, ...rest } = options;
  return {
    kind: 'element',
    key,
    ...(data && { data }),
    ...rest,
    ...(stmts.length > 0 && { stmts }),
    loc: key.loc ?? p.since(first),
  };
}

/** `{ a, b, ... }` */
export function setExpr(p: Parser, mode: Mode = 'rhs'): SetExpr {
  const open = p.expect('{');
  const elements: ElementExpr[] = [];
  p.skipNewlines();
  while (!p.is('}')) {
    elements.push(setElement(p, mode));
    p.skipNewlines();
    if (!p.is('}')) p.expect(',', "comma or '}'");
    p.skipNewlines();
    // nft's grammar takes any number of commas behind an element.
    while (p.accept(',')) p.skipNewlines();
  }
  p.next();
  return { kind: 'set', elements, loc: p.since(open) };
}

/** What a field is compared with: constants, a set, a reference to a set; a comma makes a list of flags. */
export function rhsExpr(p: Parser): Expr {
  if (p.is('{')) return setExpr(p);
  if (p.is('@')) return setRef(p);
  return listExpr(p, concatExpr(p, 'rhs'), 'rhs');
}

/** `first, second, ...`: flags. */
export function listExpr(p: Parser, first: Expr, mode: Mode): Expr {
  if (!p.is(',')) return first;
  const items = [first];
  while (p.accept(',')) {
    p.skipNewlines();
    items.push(basicExpr(p, mode));
  }
  return { kind: 'list', items, loc: span(first.loc, items[items.length - 1].loc)! };
}

/** `map { ... }` or `map @name` behind a key. */
export function mapTail(p: Parser, key: Expr, word: 'map' | 'vmap'): Expr {
  p.expect(word);
  const mappings = p.is('{') ? setExpr(p) : p.is('$') ? p.variable() : setRef(p);
  const loc = span(key.loc, mappings.loc);
  return { kind: 'map', key, mappings, ...(word === 'vmap' && { vmap: true }), ...(loc && { loc }) };
}

/** What is written into a field or handed to a statement: constant, field, list of flags, or a map lookup. */
export function stmtExpr(p: Parser): Expr {
  if (p.is('{')) return setExpr(p);
  const first = concatExpr(p, 'any');
  if (p.is('map')) return mapTail(p, first, 'map');
  return listExpr(p, first, 'any');
}

/** The value of a `define`. */
export function initializer(p: Parser): Expr {
  if (p.is('{')) return setExpr(p);
  if (p.is('-')) {
    const minus = p.next();
    const token = p.peek();
    if (token.kind !== 'number') p.unexpected('number');
    p.next();
    return { kind: 'symbol', text: `-${token.text}`, loc: p.since(minus) };
  }
  if (p.is('@')) return setRef(p);
  return listExpr(p, concatExpr(p, 'rhs'), 'rhs');
}
