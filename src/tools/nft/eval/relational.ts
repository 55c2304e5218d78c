/** Comparisons: `field op value`. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Expr, FlagCmpExpr, RelationalExpr, SetExpr, SetRefExpr, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import type { SetInfo } from '../set-info.ts';
import { type Context, expectNothing, expectOf, fail } from './context.ts';
import { updateProtocols } from './dependency.ts';
import { evaluate, intervalKey, isConstant, toByteOrder } from './expression.ts';
import { finishSet } from './set.ts';

const REL_NAMES: Readonly<Record<string, string>> = { implicit: 'implicit' };

/** Moves constant shifts and xor from the field to the value: `(x >> 2) == 5` is `x == 20`. */
function transferValue(left: Expr, right: Expr): Expr {
  if (left.kind !== 'binary') return right;
  const amount = (left.right as ValueExpr).value;
  const move = (value: Expr): Expr => {
    switch (value.kind) {
      case 'value': {
        let v = value.value;
        if (left.op === '^') v ^= amount;
        else if (left.op === '>>') v <<= amount;
        else {
          if (v & ((1n << amount) - 1n)) fail(value, 'Comparison is always false');
          v >>= amount;
        }
        const len = left.left.len!;
        if (v >> BigInt(len) !== 0n) fail(value, 'Comparison is always false');
        return { ...value, value: v, len, byteorder: left.left.byteorder! };
      }
      case 'range': {
        if (left.op === '^') return value;
        const to = move(value.right);
        return { ...value, left: move(value.left), right: to, len: to.len!, byteorder: to.byteorder! };
      }
      case 'prefix': {
        const base = move(value.expr);
        const extra = left.op === '>>' ? base.len! - value.len! - Number(amount) : 0;
        return {
          ...value,
          expr: base,
          prefix: value.prefix + Math.max(0, extra),
          len: base.len!,
          byteorder: base.byteorder!,
        };
      }
      default:
        return value;
    }
  };
  if (right.kind === 'set')
    return { ...right, elements: right.elements.map((e) => ({ ...e, key: move(e.key) })), len: left.left.len! };
  return move(right);
}

function transferable(left: Expr, right: Expr): boolean {
  if (left.kind !== 'binary' || left.right.kind !== 'value') return false;
  if (left.op !== '^' && left.op !== '<<' && left.op !== '>>') return false;
  return right.kind === 'value' || right.kind === 'range' || right.kind === 'prefix' || right.kind === 'set';
}

/** `meta hour` ranges over midnight: the complement is compared. */
function hourRange(ctx: Context, rel: RelationalExpr, left: Expr): RelationalExpr {
  if (rel.right.kind !== 'range' || left.kind !== 'meta' || left.key !== uapi.NFT_META_TIME_HOUR) return rel;
  const from = evaluate(ctx, rel.right.left, expectOf(left)) as ValueExpr;
  const to = evaluate(ctx, rel.right.right, expectOf(left)) as ValueExpr;
  if (from.value <= to.value) return rel;
  const op = rel.op === '!=' ? '==' : '!=';
  return { ...rel, op, right: { ...rel.right, left: rel.right.right, right: rel.right.left } };
}

function anonymousSet(ctx: Context, left: Expr, elements: SetExpr): SetRefExpr {
  const shell: SetInfo = {
    family: ctx.family,
    table: ctx.table,
    name: '__set%d',
    id: ctx.world.nextSetId(),
    flags: uapi.NFT_SET_ANONYMOUS | uapi.NFT_SET_CONSTANT,
    key: left,
    empty: false,
    stmts: [],
  };
  const set = finishSet(ctx, shell, elements, (_, expr) => expr);
  ctx.world.addAnonymous(set);
  return {
    kind: 'setref',
    name: set.name,
    set,
    type: left.type!,
    byteorder: left.byteorder!,
    len: left.len!,
    ...(elements.loc && { loc: elements.loc }),
  };
}

export function evaluateRelational(ctx: Context, written: RelationalExpr): RelationalExpr {
  let left = evaluate(ctx, written.left, expectNothing);
  let rel = hourRange(ctx, written, left);
  let place = expectOf(written.left.kind === 'payload' || written.left.kind === 'exthdr' ? written.left : left);
  if (place.type === dt.invalidType) place = expectOf(left);
  if (written.left.kind === 'socket' && written.left.key !== uapi.NFT_SOCKET_MARK && written.left.len === 8)
    place = { ...place, max: 1n };
  let right = rel.right;
  while (right.kind === 'variable') right = right.value;
  if (right.kind === 'set') right = evaluateSetMembers(ctx, left, right, place);
  else if (left.kind === 'fib' && right.kind === 'symbol' && (right.text === 'exists' || right.text === 'missing')) {
    left = { ...left, flags: left.flags | uapi.NFTA_FIB_F_PRESENT, type: dt.booleanType, byteorder: 'host', len: 8 };
    right = evaluate(ctx, right, { type: dt.booleanType, byteorder: 'host', len: 8 });
  } else if (
    left.kind === 'exthdr' &&
    left.present &&
    right.kind === 'symbol' &&
    /^(exists|missing)$/.test(right.text)
  ) {
    right = evaluate(ctx, right, { type: dt.booleanType, byteorder: left.byteorder ?? 'host', len: left.len ?? 1 });
  } else right = evaluate(ctx, right, place);
  if (isConstant(left))
    fail(rel.left, `Left hand side of relational expression (${opName(rel.op)}) must not be constant`);
  if (!isConstant(right))
    fail(rel.right, `Right hand side of relational expression (${opName(rel.op)}) must be constant`);
  if (right.kind === 'catchall') fail(rel.right, 'All-wildcard strings are not supported');
  if (!dt.sameType(left.type ?? dt.invalidType, right.type ?? dt.invalidType))
    fail(right, `datatype mismatch, expected ${left.type!.desc}, expression has type ${right.type!.desc}`, left.loc);
  if (left.kind === 'meta' && left.key === uapi.NFT_META_NFPROTO && ctx.family !== 'inet')
    fail(rel, 'meta nfproto is only useful in the inet family');
  let op = rel.op;
  // `flags & mask flags` compares, it does not look for one of the bits.
  if (left.kind === 'binary' && left.op === '&' && written.left.kind === 'binary') {
    if (op === 'implicit') op = '==';
    else if (op === '!') fail(rel, 'negation can only be used with singleton bitmask values');
  }
  // One member: no set is needed.
  if (right.kind === 'set' && right.elements.length === 1) {
    const [only] = right.elements;
    if (
      ['value', 'prefix', 'range'].includes(only.key.kind) &&
      only.stmts === undefined &&
      only.timeout === undefined
    ) {
      right = only.key;
      if (op === 'implicit' && dt.isA(left.type, dt.bitmaskType)) op = '==';
    }
  }
  while (transferable(left, right)) {
    const moved = transferValue(left, right);
    if (moved === right) break;
    right = moved;
    left = (left as { left: Expr }).left;
  }
  updateProtocols(ctx, { ...rel, op, left: written.left, right });
  rel = { ...rel, op };
  switch (op) {
    case '==':
    case '!=':
    case 'implicit':
      if (
        left.kind === 'ct' &&
        (left.key === uapi.NFT_CT_SRC || left.key === uapi.NFT_CT_DST) &&
        right.kind !== 'value' &&
        right.kind !== 'prefix'
      )
        fail(left, 'specify either ip or ip6 for address matching');
      if (right.kind === 'range') {
        left = toByteOrder(left, 'big');
        right = toByteOrder(right, 'big');
      } else if (right.kind === 'value' || right.kind === 'prefix') {
        right = dt.rootType(left.type!) === dt.stringType ? right : toByteOrder(right, left.byteorder!);
      } else if (right.kind === 'set' || right.kind === 'setref') {
        const ref: SetRefExpr = right.kind === 'set' ? anonymousSet(ctx, left, right) : right;
        right = ref;
        if (ref.set!.flags & uapi.NFT_SET_INTERVAL && dt.rootType(left.type!) === dt.integerType)
          left = toByteOrder(left, 'big');
        if (left.kind === 'concat' && ref.set!.flags & uapi.NFT_SET_INTERVAL) left = intervalKey(left);
      }
      break;
    case '<':
    case '>':
    case '<=':
    case '>=':
      if (right.kind !== 'value')
        fail(right, `Relational expression (${opName(op)}) is undefined for ${right.kind} expressions`);
      left = toByteOrder(left, 'big');
      right = toByteOrder(right, 'big');
      break;
    case '!':
      if (right.kind !== 'value' || !dt.isA(left.type, dt.bitmaskType))
        fail(right, `negation can only be used with singleton bitmask values`);
      right = toByteOrder(right, left.byteorder!);
  }
  return { ...rel, op, left, right };
}

const opName = (op: string): string => REL_NAMES[op] ?? op;

function evaluateSetMembers(ctx: Context, left: Expr, set: SetExpr, place: ReturnType<typeof expectOf>): SetExpr {
  const shell: SetInfo = {
    family: ctx.family,
    table: ctx.table,
    name: '',
    id: 0,
    flags: uapi.NFT_SET_ANONYMOUS,
    key: { ...left, type: place.type, byteorder: place.byteorder, len: place.len },
    empty: false,
    stmts: [],
  };
  return { ...finishSet(ctx, shell, set, evaluate).elements!, type: left.type! };
}

/** `flags & mask == value`, written `flags value / mask`. */
export function evaluateFlagCmp(ctx: Context, expr: FlagCmpExpr): RelationalExpr {
  const left = evaluate(ctx, expr.expr, expectNothing);
  if (!dt.isA(left.type, dt.integerType)) fail(expr, 'flag comparison needs a bitmask');
  const mask = evaluate(ctx, expr.mask, expectOf(left));
  const value = evaluate(ctx, expr.value, expectOf(left));
  if (mask.kind !== 'value' || value.kind !== 'value') return fail(expr, 'flag comparison needs constants');
  const and: Expr = {
    kind: 'binary',
    op: '&',
    left,
    right: toByteOrder(mask, left.byteorder!),
    type: left.type!,
    byteorder: left.byteorder!,
    len: left.len!,
  };
  return {
    kind: 'relational',
    op: expr.op,
    left: and,
    right: toByteOrder(value, left.byteorder!),
    ...(expr.loc && { loc: expr.loc }),
  };
}
