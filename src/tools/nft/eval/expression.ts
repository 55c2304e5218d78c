/** Evaluation of expressions: types, byte orders, dependencies, constant folding. Every function returns new nodes. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { BinaryExpr, ConcatExpr, Expr, ExthdrExpr, MapExpr, PayloadExpr, ValueExpr } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import { BASE_NETWORK, proto } from '../proto.ts';
import type { SetInfo } from '../set-info.ts';
import { type Context, type Expect, expectOf, fail } from './context.ts';
import { checkPayload } from './dependency.ts';
import { checkReference, finishSet } from './set.ts';
import { foldBinary, integerValue, prefixValue, rangeValue, symbolValue } from './value.ts';

/** Keys that only bridge chains know. */
const BRIDGE_KEYS: ReadonlySet<number> = new Set([
  uapi.NFT_META_BRI_IIFNAME,
  uapi.NFT_META_BRI_OIFNAME,
  uapi.NFT_META_BRI_IIFPVID,
  uapi.NFT_META_BRI_IIFVPROTO,
]);

export function isConstant(expr: Expr): boolean {
  switch (expr.kind) {
    case 'value':
    case 'prefix':
    case 'range':
    case 'verdict':
    case 'set':
    case 'setref':
    case 'element':
    case 'catchall':
      return true;
    case 'concat':
      return expr.parts.every(isConstant);
    case 'list':
      return expr.items.every(isConstant);
    default:
      return false;
  }
}

/** Converts to a byte order: constants by relabelling, others by a kernel expression. */
export function toByteOrder(expr: Expr, byteorder: dt.ByteOrder): Expr {
  if (expr.byteorder === byteorder) return expr;
  if (expr.kind === 'range')
    return { ...expr, byteorder, left: toByteOrder(expr.left, byteorder), right: toByteOrder(expr.right, byteorder) };
  if (expr.kind === 'prefix') return { ...expr, byteorder, expr: toByteOrder(expr.expr, byteorder) };
  if (expr.kind === 'concat' || expr.kind === 'setref') return expr;
  if (dt.rootType(expr.type ?? dt.invalidType) !== dt.integerType) {
    fail(expr, `Byteorder mismatch: expected ${word(byteorder)}, got ${word(expr.byteorder ?? 'invalid')}`);
  }
  if (isConstant(expr) || (expr.len ?? 0) <= 8 || expr.byteorder === 'invalid') return { ...expr, byteorder };
  return {
    kind: 'unary',
    op: byteorder === 'big' ? 'hton' : 'ntoh',
    arg: expr,
    type: expr.type!,
    byteorder,
    len: expr.len!,
    ...(expr.loc && { loc: expr.loc }),
  };
}

/** A concatenation as interval sets have it: numbers with the most significant byte first. */
export function intervalKey(key: ConcatExpr): ConcatExpr {
  const isNumber = (part: Expr): boolean => dt.rootType(part.type ?? dt.invalidType) === dt.integerType;
  return { ...key, parts: key.parts.map((part) => (isNumber(part) ? toByteOrder(part, 'big') : part)) };
}

const word = (byteorder: dt.ByteOrder): string =>
  byteorder === 'big' ? 'big endian' : byteorder === 'host' ? 'host endian' : 'invalid';

/** A field of some bits: shifts and masks around a load of whole bytes. */
function bits(expr: PayloadExpr | ExthdrExpr): Expr {
  const inByte = expr.offset % 8;
  const len = expr.len!;
  let shift = ((len + 7) & ~7) - (inByte + len);
  let extra = 0;
  while (shift < 0) {
    shift += 8;
    extra += 8;
  }
  const maskLen = len + shift;
  const load: Expr = { ...expr, len: len + extra };
  const mask: ValueExpr = {
    kind: 'value',
    value: ((1n << BigInt(len)) - 1n) << BigInt(shift),
    type: expr.type!,
    byteorder: 'big',
    len: maskLen,
  };
  const and: BinaryExpr = {
    kind: 'binary',
    op: '&',
    left: load,
    right: mask,
    type: expr.type!,
    byteorder: 'big',
    len: maskLen,
  };
  if (shift === 0) return and;
  const amount: ValueExpr = { kind: 'value', value: BigInt(shift), type: dt.integerType, byteorder: 'host', len: 32 };
  return {
    kind: 'binary',
    op: '>>',
    left: and,
    right: amount,
    type: expr.type!,
    byteorder: 'big',
    len: maskLen,
    ...(expr.loc && { loc: expr.loc }),
  };
}

/** A field that was shifted out of its bytes is a number of the host from then on. */
export function settle(expr: Expr): Expr {
  if (expr.kind !== 'binary' || expr.op !== '>>' || expr.byteorder !== 'big') return expr;
  return { ...expr, left: toByteOrder(expr.left, 'host'), byteorder: 'host' };
}

function evaluatePayload(ctx: Context, expr: PayloadExpr): Expr {
  const checked = checkPayload(ctx, expr);
  if (checked.len! % 8 === 0 && checked.offset % 8 === 0) return checked;
  return bits(checked);
}

function evaluateExthdr(ctx: Context, expr: ExthdrExpr): Expr {
  // Options of TCP and chunks of SCTP need no comparison: the kernel looks at the protocol itself.
  if (expr.op === 'ipv6' || expr.op === 'ipv4') {
    const desc = proto(expr.op === 'ipv6' ? 'ip6' : 'ip');
    const state = ctx.protocols[desc.base];
    if (state.desc === undefined) checkPayload(ctx, { ...build.payload(desc, 0), ...(expr.loc && { loc: expr.loc }) });
    else if (state.desc !== desc)
      fail(expr, `conflicting protocols specified: ${state.desc.name} vs. ${desc.name}`, state.loc);
  }
  if (expr.present) return expr;
  if (expr.len! % 8 === 0 && expr.offset % 8 === 0) return expr;
  return bits(expr);
}

function networkOf(ctx: Context): number | undefined {
  if (ctx.family === 'ip') return 2;
  if (ctx.family === 'ip6') return 10;
  const desc = ctx.protocols[BASE_NETWORK].desc;
  return desc?.name === 'ip' ? 2 : desc?.name === 'ip6' ? 10 : undefined;
}

function evaluateBinary(ctx: Context, expr: BinaryExpr, expect: Expect): Expr {
  const wide = expect.type === dt.markType && !isConstant(expr.left);
  const written = evaluate(ctx, expr.left, expect);
  const left = wide ? settle(written) : written;
  // A mark has room for more bits than the field that it is made of.
  const place = expectOf(left);
  const context = isConstant(left) ? expect : wide ? { ...place, len: Math.max(place.len, expect.len) } : place;
  const shift = expr.op === '<<' || expr.op === '>>';
  const bitsOf = left.len ?? 0;
  const right = evaluate(
    ctx,
    expr.right,
    shift ? { type: dt.integerType, byteorder: 'host', len: 32, max: BigInt(Math.max(bitsOf, expect.len)) } : context,
  );
  const root = dt.rootType(left.type ?? dt.invalidType);
  if (root !== dt.integerType && root !== dt.stringType)
    fail(expr, `Binary operation (${expr.op}) is undefined for ${left.type?.desc ?? 'invalid'} types`);
  if (isConstant(left) && left.kind !== 'value')
    fail(left, `Binary operation (${expr.op}) is undefined for ${left.kind} expressions`);
  if (right.kind !== 'value') fail(right, `Right hand side of binary operation (${expr.op}) must be constant`);
  const constant = right as ValueExpr;
  if (left.kind === 'value') return foldBinary(expr, left, constant);
  if (shift) {
    const host = toByteOrder(left, 'host');
    return { ...expr, left: host, right: constant, type: left.type!, byteorder: 'host', len: context.len };
  }
  return {
    ...expr,
    left,
    right: toByteOrder(constant, left.byteorder!),
    type: left.type!,
    byteorder: left.byteorder!,
    len: context.len,
  };
}

function evaluateConcat(ctx: Context, expr: ConcatExpr, expect: Expect): Expr {
  const key = expect.key?.kind === 'concat' ? expect.key.parts : undefined;
  const types = expect.type.parts;
  const constantPlace = types !== undefined || key !== undefined;
  const wanted = key?.length ?? types?.length;
  if (wanted !== undefined && expr.parts.length !== wanted && constantPlace) {
    if (expr.parts.length > wanted) fail(expr.parts[wanted], 'unexpected concat component, expecting fewer');
    fail(expr, `datatype mismatch, expected ${expect.type.desc}, expression has type concatenation`);
  }
  const parts = expr.parts.map((part, i) => {
    const sub: Expect =
      key !== undefined
        ? expectOf(key[i])
        : types !== undefined
          ? { type: types[i], byteorder: types[i].byteorder, len: types[i].size }
          : { type: dt.invalidType, byteorder: 'invalid', len: 0 };
    const value = settle(evaluate(ctx, part, sub));
    if (value.kind === 'ct' && (value.key === uapi.NFT_CT_SRC || value.key === uapi.NFT_CT_DST))
      fail(part, 'specify either ip or ip6 for address matching');
    if (value.kind === 'list' || value.kind === 'set') fail(value, `cannot use a set or list inside a concatenation`);
    if ((value.type ?? dt.invalidType) === dt.invalidType && value.kind !== 'catchall')
      fail(part, 'cannot use expression without a type in concatenation');
    return value;
  });
  const type = dt.concatType(parts.map((part) => part.type ?? dt.invalidType));
  const len = parts.reduce((sum, part) => sum + (((part.len ?? 0) + 31) & ~31), 0);
  return { ...expr, parts, type, byteorder: 'invalid', len };
}

/** A lookup in a map: the key is evaluated first, the mappings in its type. */
export function evaluateMap(ctx: Context, expr: MapExpr, expect: Expect): Expr {
  let key = evaluate(ctx, expr.key, { type: dt.invalidType, byteorder: 'invalid', len: 0 });
  if (isConstant(key)) fail(expr.key, 'Map expression can not be constant');
  let mappings = expr.mappings;
  while (mappings.kind === 'variable') mappings = mappings.value;
  let set: SetInfo;
  if (mappings.kind === 'set') {
    const verdict = expect.type === dt.verdictType;
    const shell: SetInfo = {
      family: ctx.family,
      table: ctx.table,
      name: expect.object === undefined ? '__map%d' : '__objmap%d',
      id: ctx.world.nextSetId(),
      flags:
        uapi.NFT_SET_ANONYMOUS |
        uapi.NFT_SET_CONSTANT |
        (expect.object === undefined ? uapi.NFT_SET_MAP : uapi.NFT_SET_OBJECT),
      key,
      ...(expect.object !== undefined && { objType: expect.object }),
      ...(expect.object === undefined && {
        data: { type: expect.type, len: verdict ? 0 : expect.len, byteorder: expect.byteorder },
      }),
      empty: false,
      stmts: [],
    };
    set = finishSet(ctx, shell, mappings, evaluate);
    ctx.world.addAnonymous(set);
  } else if (mappings.kind === 'setref') {
    set = checkReference(ctx, mappings);
    if ((set.flags & (uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT)) === 0) fail(mappings, 'Expression is not a map');
  } else return fail(mappings, 'Expression is not a map');
  checkSame(set.key.type!, key, 'datatype mismatch, map expects');
  if (set.flags & uapi.NFT_SET_INTERVAL) key = key.kind === 'concat' ? intervalKey(key) : toByteOrder(key, 'big');
  const data = set.data;
  return {
    ...expr,
    key,
    mappings: { kind: 'setref', name: set.name, set, type: set.key.type!, ...(mappings.loc && { loc: mappings.loc }) },
    type: data?.type ?? dt.stringType,
    byteorder: data?.byteorder ?? 'host',
    len: data?.len ?? 0,
  };
}

function checkSame(wanted: dt.Datatype, expr: Expr, text: string): void {
  const got = expr.type ?? dt.invalidType;
  if (dt.sameType(wanted, got)) return;
  fail(expr, `${text} ${wanted.desc}, mapping expression has type ${got.desc}`);
}

/** Gives an expression its type in a place that expects `expect`. */
export function evaluate(ctx: Context, expr: Expr, expect: Expect): Expr {
  switch (expr.kind) {
    case 'variable': {
      const value = evaluate(ctx, expr.value, expect);
      return expr.loc === undefined || value.kind === 'set' ? value : { ...value, loc: expr.loc };
    }
    case 'symbol':
      if (expect.type.parts !== undefined) {
        fail(expr, `datatype mismatch, expected ${expect.type.desc}, expression has type string`);
      }
      return symbolValue(ctx, expr, expect);
    case 'value':
      return dt.rootType(expect.type) === dt.integerType ? integerValue(expr, expect) : expr;
    case 'verdict':
      return { ...expr, type: dt.verdictType, ...verdictChain(expr) };
    case 'payload':
      return evaluatePayload(ctx, expr);
    case 'exthdr':
      return evaluateExthdr(ctx, expr);
    case 'ct':
      if (expr.key === uapi.NFT_CT_SRC || expr.key === uapi.NFT_CT_DST) {
        const family = networkOf(ctx);
        if (family === undefined)
          fail(expr, "can't determine ip or ip6 address, specify either ip or ip6 for address matching");
        const type = family === 2 ? dt.ipaddrType : dt.ip6addrType;
        return { ...expr, type, len: type.size };
      }
      if (expr.nfproto !== undefined) {
        const state = ctx.protocols[BASE_NETWORK].desc;
        const wanted = expr.nfproto === 2 ? 'ip' : 'ip6';
        if (state !== undefined && state.name !== wanted)
          fail(expr, `conflicting protocols specified: ${state.name} vs. ${wanted}`);
      }
      return expr;
    case 'rt':
      if (expr.key === uapi.NFT_RT_NEXTHOP4 && expr.len === 0) {
        const family = networkOf(ctx);
        if (family === undefined)
          fail(expr, 'cannot determine ip protocol version, use "ip nexthop" or "ip6 nexthop" instead');
        return build.rt(family === 2 ? uapi.NFT_RT_NEXTHOP4 : uapi.NFT_RT_NEXTHOP6, expr.loc);
      }
      return expr;
    case 'meta':
      if (BRIDGE_KEYS.has(expr.key) && ctx.family !== 'bridge')
        fail(expr, 'meta key is only useful in the bridge family');
      return expr;
    case 'socket':
    case 'xfrm':
    case 'osf':
    case 'unary':
    case 'fib':
      return expr;
    case 'setref':
      return reference(ctx, expr);
    case 'numgen':
    case 'hash': {
      if (expr.mod + expr.offset - 1 > 0xffffffff || expr.mod === 0) fail(expr, 'overflow');
      if (expr.kind === 'hash' && expr.operand !== undefined)
        return {
          ...expr,
          operand: evaluate(ctx, expr.operand, { type: dt.invalidType, byteorder: 'invalid', len: 0 }),
        };
      return expr;
    }
    case 'binary':
      return evaluateBinary(ctx, expr, expect);
    case 'prefix': {
      const base = evaluate(ctx, expr.expr, expect);
      return prefixValue(expr, base, expect);
    }
    case 'range':
      return rangeValue(expr, evaluate(ctx, expr.left, expect), evaluate(ctx, expr.right, expect));
    case 'concat':
      return evaluateConcat(ctx, expr, expect);
    case 'list':
      return evaluateList(ctx, expr, expect);
    case 'catchall':
      return { ...expr, type: expect.type, byteorder: expect.byteorder, len: expect.len };
    case 'map':
      return evaluateMap(ctx, expr, expect);
    case 'set':
      return expr;
    default:
      return expr;
  }
}

function reference(ctx: Context, expr: Expr & { kind: 'setref' }): Expr {
  const set = checkReference(ctx, expr);
  return { ...expr, set, type: set.key.type!, byteorder: set.key.byteorder!, len: set.key.len! };
}

function verdictChain(expr: Expr & { kind: 'verdict' }): { chain?: Expr } {
  let chain = expr.chain;
  while (chain?.kind === 'variable') chain = chain.value;
  if (chain === undefined) return {};
  if (chain.kind === 'value') return { chain };
  if (chain.kind !== 'symbol') fail(expr, 'invalid verdict chain expression');
  const text = (chain as { text: string }).text;
  if (text.length > 255) fail(expr, 'chain name too long');
  return { chain };
}

/** Flags joined by commas become one value. */
function evaluateList(ctx: Context, expr: Expr & { kind: 'list' }, expect: Expect): Expr {
  let value = 0n;
  for (const item of expr.items) {
    const one = evaluate(ctx, item, expect);
    if (one.kind !== 'value') return fail(item, 'List member must be a constant');
    if (!dt.isA(one.type, dt.bitmaskType) && expect.type !== dt.ctEventType)
      fail(item, `Basetype of type ${one.type!.desc} is not bitmask`);
    value |= one.value;
  }
  return {
    kind: 'value',
    value,
    type: expect.type,
    byteorder: expect.byteorder,
    len: expect.len,
    ...(expr.loc && { loc: expr.loc }),
  };
}
