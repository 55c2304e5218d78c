/** Constants: words to values in the type of their place, folding of operators, prefixes, ranges, byte orders. */
import type { BinaryExpr, Expr, PrefixExpr, RangeExpr, SymbolExpr, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import { exportValue, importValue } from '../datatype.ts';
import { type Context, type Expect, fail } from './context.ts';

const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** A value of the expected type from a word. */
export function symbolValue(ctx: Context, expr: SymbolExpr, expect: Expect): Expr {
  const { type } = expect;
  const root = dt.rootType(type);
  if (type === dt.verdictType) fail(expr, `syntax error, unexpected string`);
  if (root === dt.stringType) return stringValue(expr, expr.text, expect);
  if (type === dt.invalidType) fail(expr, `datatype mismatch, expected ${type.desc}, expression has type string`);
  let text = expr.text;
  // `icmp6` is what protocols(5) calls ipv6-icmp; `comp` is ipcomp.
  if (type === dt.inetProtoType) text = { icmpv6: 'ipv6-icmp', comp: 'ipcomp' }[text] ?? text;
  if (text.startsWith('-') && dt.parseNumber(text.slice(1)) !== undefined) fail(expr, `Could not parse integer`);
  const parsed = dt.parseSymbol(type, text, ctx.world.names);
  if ('error' in parsed) fail(expr, parsed.error);
  const { value, len } = parsed as { value: bigint; len?: number };
  return integerValue(
    { kind: 'value', value, type, ...(expr.loc && { loc: expr.loc }), ...(len !== undefined && { len }) },
    expect,
  );
}

/** Range check; takes byte order and length from the place. */
export function integerValue(expr: ValueExpr, expect: Expect): ValueExpr {
  if (expect.max !== undefined && expr.value > expect.max)
    fail(expr, `Value ${expr.value} exceeds valid range 0-${expect.max}`);
  if (expect.len > 0 && expr.value > mask(expect.len))
    fail(expr, `Value ${expr.value} exceeds valid range 0-${mask(expect.len)}`);
  // Written out: a spread in front makes V8 build every value property by property.
  return {
    kind: 'value',
    value: expr.value,
    type: expect.type,
    byteorder: expect.byteorder,
    len: expect.len > 0 ? expect.len : (expr.len ?? expect.type.size),
    ...(expr.loc && { loc: expr.loc }),
  };
}

/** A string; a trailing `*` makes a prefix of it. */
function stringValue(expr: SymbolExpr, written: string, expect: Expect): Expr {
  let text = written;
  if (text === '') fail(expr, 'Empty string is not allowed');
  const size = new TextEncoder().encode(text).length;
  if (expect.len > 0 && size * 8 > expect.len) fail(expr, `String exceeds maximum length of ${expect.len / 8}`);
  const wildcard = text.endsWith('*') && !text.endsWith('\\*');
  if (text.endsWith('\\*')) text = `${text.slice(0, -2)}*`;
  else if (wildcard) text = text.slice(0, -1);
  if (text === '') fail(expr, 'All-wildcard strings are not supported');
  const bytes = new TextEncoder().encode(text);
  const value: ValueExpr = {
    kind: 'value',
    value: dt.stringValue(text),
    type: expect.type,
    byteorder: 'host',
    len: expect.len > 0 ? expect.len : bytes.length * 8,
    ...(expr.loc && { loc: expr.loc }),
  };
  if (!wildcard) return value;
  return {
    kind: 'prefix',
    expr: value,
    prefix: bytes.length * 8,
    type: expect.type,
    byteorder: 'host',
    len: value.len!,
    ...(expr.loc && { loc: expr.loc }),
  };
}

export function prefixValue(expr: PrefixExpr, base: Expr, expect: Expect): PrefixExpr {
  if (base.kind !== 'value') fail(expr, 'Prefix expression is undefined for this kind of expression');
  if (dt.rootType(expect.type) !== dt.integerType)
    fail(expr, `Prefix expression is undefined for ${expect.type.desc} types`);
  const len = base.len ?? expect.len;
  if (expr.prefix > len) fail(expr, `Prefix length ${expr.prefix} is invalid for type of ${len} bits width`);
  const value = (base as ValueExpr).value & (mask(len) ^ mask(len - expr.prefix));
  return {
    ...expr,
    expr: { ...(base as ValueExpr), value },
    type: base.type!,
    byteorder: base.byteorder!,
    len,
  };
}

export function rangeValue(expr: RangeExpr, left: Expr, right: Expr): Expr {
  if (left.kind !== 'value' || right.kind !== 'value')
    fail(expr, 'Range expression is undefined for this kind of expression');
  const [from, to] = [left as ValueExpr, right as ValueExpr];
  if (from.value > to.value) fail(expr, 'Range negative size');
  return { ...expr, left: from, right: to, type: from.type!, byteorder: from.byteorder!, len: from.len! };
}

/** A constant operator applied. */
export function foldBinary(expr: BinaryExpr, left: ValueExpr, right: ValueExpr): ValueExpr {
  const bits = left.len && left.len > 0 ? left.len : 128;
  const b = right.value;
  let value = left.value;
  if (expr.op === '&') value &= b;
  else if (expr.op === '|') value |= b;
  else if (expr.op === '^') value ^= b;
  else if (expr.op === '<<') value = (value << b) & mask(bits);
  else value >>= b;
  return { ...left, value, ...(expr.loc && { loc: expr.loc }) };
}

/** Low and high end of a constant, prefix or range, as numbers in which memory order is numeric order. */
export function bounds(expr: Expr): { low: bigint; high: bigint; len: number } {
  const len = expr.len ?? 0;
  const memory = (value: bigint, byteorder: dt.ByteOrder): bigint =>
    byteorder === 'big' || len <= 8 ? value : importValue(exportValue(value, byteorder, len), 'big');
  switch (expr.kind) {
    case 'value': {
      // Strings and host order values compare as the bytes they are in memory only for strings; integers are converted.
      const value = dt.rootType(expr.type!) === dt.stringType ? memory(expr.value, 'host') : expr.value;
      return { low: value, high: value, len };
    }
    case 'prefix': {
      const base = expr.expr as ValueExpr;
      const low = dt.rootType(base.type!) === dt.stringType ? memory(base.value, 'host') : base.value;
      return { low, high: low | mask(len - expr.prefix), len };
    }
    case 'range':
      return { low: bounds(expr.left).low, high: bounds(expr.right).high, len };
    default:
      return fail(expr, 'unexpected expression in an interval');
  }
}
