/** Evaluation of statements and whole rules. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { DynsetStmt, Expr, Family, MeterStmt, PayloadSetStmt, Rule, Stmt, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import { ctKeys, metaKeys } from '../keys.ts';
import { BASE_TRANSPORT } from '../proto.ts';
import type { SetInfo } from '../set-info.ts';
import { Context, type Expect, expectNothing, expectOf, fail, type World } from './context.ts';
import { checkPayload } from './dependency.ts';
import { evaluate, evaluateMap, toByteOrder } from './expression.ts';
import { argument, evaluateNat, evaluateReject, evaluateTproxy } from './nat.ts';
import { evaluateFlagCmp, evaluateRelational } from './relational.ts';
import { checkReference } from './set.ts';

const objectName = (object: number): Expect => ({ type: dt.stringType, byteorder: 'host', len: 255 * 8, object });

/** `field set value`: fields of odd bits, or under a 16 bit checksum, are read, changed and written back whole. */
function evaluatePayloadSet(ctx: Context, stmt: PayloadSetStmt): Stmt {
  if (stmt.target.tunnel !== undefined) fail(stmt.target, 'payload statement for this expression is not supported');
  const target = checkPayload(ctx, stmt.target);
  const len = target.len!;
  const value = toByteOrder(argument(ctx, stmt.expr, expectOf(target)), 'big');
  const needCsum = target.proto?.checksum !== undefined;
  const aligned = target.offset % 8 === 0 && len % 8 === 0;
  if (aligned && (!needCsum || (len / 8) % 2 === 0)) return { ...stmt, target, expr: value };
  if (value.kind !== 'value') fail(stmt.expr, 'netloom does not support writing a computed value into part of a word');
  const constant = value as ValueExpr;
  const inByte = target.offset % 8;
  let shift = ((len + 7) & ~7) - (inByte + len);
  let extra = 0;
  while (shift < 0) {
    shift += 8;
    extra += 8;
  }
  let byteOffset = Math.floor(target.offset / 8);
  let size = Math.ceil((len + extra) / 8);
  if (needCsum && size & 1) {
    size++;
    if (byteOffset & 1) byteOffset--;
    else shift += 8;
  }
  const width = size * 8;
  const all = (1n << BigInt(width)) - 1n;
  const field = ((1n << BigInt(len)) - 1n) << BigInt(shift);
  const whole = { ...target, offset: byteOffset * 8, len: width };
  const typed = { type: target.type!, byteorder: 'big' as const, len: width };
  const and: Expr = {
    kind: 'binary',
    op: '&',
    left: whole,
    right: { kind: 'value', value: all ^ field, ...typed },
    ...typed,
  };
  const xor: Expr = {
    kind: 'binary',
    op: '^',
    left: and,
    right: { kind: 'value', value: constant.value << BigInt(shift), ...typed },
    ...typed,
  };
  return { ...stmt, target: whole, expr: xor };
}

function statefulInSet(ctx: Context, stmts: readonly Stmt[]): Stmt[] {
  return stmts.map((stmt) => {
    if (!['counter', 'limit', 'quota', 'connlimit', 'last'].includes(stmt.kind))
      fail(stmt, 'statement must be stateful');
    return evaluateStatement(ctx, stmt);
  });
}

function evaluateDynset(ctx: Context, stmt: DynsetStmt): Stmt {
  const set = checkReference(ctx, stmt.set);
  const key = evaluate(ctx, stmt.key, expectOf(set.key));
  if (key.kind === 'set' || key.kind === 'setref') fail(stmt.key, 'you cannot use a set here, unknown value to use');
  const wanted = set.key.type!;
  const got = key.type ?? dt.invalidType;
  if (wanted.id !== got.id && dt.rootType(wanted) !== dt.rootType(got))
    fail(key, `datatype mismatch: expected ${wanted.desc}, expression has type ${got.desc}`);
  let data: Expr | undefined;
  if (stmt.data !== undefined) {
    if (set.data === undefined) fail(stmt, 'Expression is not a map');
    const target = set.data!;
    data = argument(ctx, stmt.data, {
      type: target.type,
      byteorder: target.byteorder,
      len: target.len,
      ...(target.expr && { key: target.expr }),
    });
    if (data.type!.parts === undefined) data = toByteOrder(data, target.byteorder);
  } else if (set.flags & uapi.NFT_SET_MAP && stmt.op !== 'delete') fail(stmt, 'map key without data');
  const ordered =
    key.kind === 'concat' || dt.rootType(got) === dt.stringType ? key : toByteOrder(key, set.key.byteorder!);
  return {
    ...stmt,
    set: { ...stmt.set, set },
    key: ordered,
    ...(data && { data }),
    stmts: statefulInSet(ctx, stmt.stmts),
  };
}

function evaluateMeter(ctx: Context, stmt: MeterStmt): Stmt {
  const key = evaluate(ctx, stmt.key, expectNothing);
  const inner = evaluateStatement(ctx, stmt.stmt);
  const set: SetInfo = {
    family: ctx.family,
    table: ctx.table,
    name: stmt.name,
    id: ctx.world.nextSetId(),
    flags: uapi.NFT_SET_ANONYMOUS | uapi.NFT_SET_EVAL | (stmt.timeout === undefined ? 0 : uapi.NFT_SET_TIMEOUT),
    key,
    empty: true,
    size: stmt.size ?? 65535,
    stmts: [],
  };
  ctx.world.addMeter(set);
  return { ...stmt, key, stmt: inner, set: { kind: 'setref', name: stmt.name, set, type: key.type!, len: key.len! } };
}

const LOG_LEVEL_AUDIT = 8;

export function evaluateStatement(ctx: Context, stmt: Stmt): Stmt {
  switch (stmt.kind) {
    case 'expr': {
      const { expr } = stmt;
      if (expr.kind === 'relational') return { ...stmt, expr: evaluateRelational(ctx, expr) };
      if (expr.kind === 'flagcmp') return { ...stmt, expr: evaluateFlagCmp(ctx, expr) };
      return fail(expr, 'unexpected expression');
    }
    case 'verdict': {
      const expr =
        stmt.expr.kind === 'map'
          ? evaluateMap(ctx, stmt.expr, { type: dt.verdictType, byteorder: 'invalid', len: 0 })
          : evaluate(ctx, stmt.expr, expectNothing);
      if (expr.kind === 'map' && expr.type !== dt.verdictType) fail(stmt.expr, 'mapping is not a verdict map');
      return { ...stmt, expr };
    }
    case 'metaset': {
      const key = metaKeys.find((k) => k.key === stmt.key)!;
      const expr = argument(ctx, stmt.expr, { type: key.type, byteorder: key.byteorder, len: key.len });
      return { ...stmt, expr: toByteOrder(expr, key.byteorder) };
    }
    case 'ctset': {
      const key = ctKeys.find((k) => k.key === stmt.key)!;
      const expr = argument(ctx, stmt.expr, { type: key.type, byteorder: key.byteorder, len: key.len });
      if (stmt.key === uapi.NFT_CT_ZONE && expr.kind === 'range') fail(expr, 'zone must be a single value');
      return { ...stmt, expr: toByteOrder(expr, key.byteorder) };
    }
    case 'payloadset':
      return evaluatePayloadSet(ctx, stmt);
    case 'exthdrset': {
      const target = evaluate(ctx, stmt.target, expectNothing);
      if (target.kind !== 'exthdr') return fail(stmt.target, 'cannot write this field');
      const expr = argument(ctx, stmt.expr, expectOf(target));
      return { ...stmt, target, expr: toByteOrder(expr, 'big') };
    }
    case 'optstrip':
      evaluate(ctx, stmt.target, expectNothing);
      return stmt;
    case 'log': {
      if (
        stmt.level === LOG_LEVEL_AUDIT &&
        (stmt.prefix ?? stmt.group ?? stmt.snaplen ?? stmt.qthreshold ?? stmt.flags) !== undefined
      )
        fail(stmt, "log level audit doesn't support any further options");
      if (stmt.group !== undefined && (stmt.level ?? stmt.flags) !== undefined)
        fail(stmt, 'level and group are mutually exclusive');
      if (stmt.group === undefined && (stmt.snaplen ?? stmt.qthreshold) !== undefined)
        return { ...stmt, group: 0, ...prefixText(stmt.prefix) };
      return { ...stmt, ...prefixText(stmt.prefix) };
    }
    case 'reject':
      return evaluateReject(ctx, stmt);
    case 'nat':
      return evaluateNat(ctx, stmt);
    case 'tproxy':
      return evaluateTproxy(ctx, stmt);
    case 'synproxy': {
      if (ctx.family !== 'ip' && ctx.family !== 'ip6' && ctx.family !== 'inet')
        fail(stmt, 'synproxy is only supported for IPv4/IPv6/INET');
      const transport = ctx.protocols[BASE_TRANSPORT].desc;
      if (transport !== undefined && transport.name !== 'tcp') fail(stmt, 'synproxy statement must use tcp');
      return stmt;
    }
    case 'queue': {
      if (stmt.queue === undefined) return stmt;
      const queue = argument(ctx, stmt.queue, { type: dt.integerType, byteorder: 'host', len: 16, max: 65535n });
      if (queue.kind === 'numgen' || queue.kind === 'hash') {
        if (queue.mod - 1 + queue.offset > 65535) fail(queue, 'overflow');
        if (stmt.flags & uapi.NFT_QUEUE_FLAG_CPU_FANOUT) fail(queue, 'fanout requires a range to be specified');
      } else if (queue.kind !== 'range' && stmt.flags & uapi.NFT_QUEUE_FLAG_CPU_FANOUT)
        fail(queue, 'fanout requires a range to be specified');
      else if (queue.kind === 'meta') fail(queue, 'cannot use this expression as queue number');
      return { ...stmt, queue };
    }
    case 'dup': {
      if (ctx.family === 'netdev') {
        if (stmt.dev !== undefined) fail(stmt.dev, 'cannot specify device');
        return { ...stmt, to: argument(ctx, stmt.to, { type: dt.ifindexType, byteorder: 'host', len: 32 }) };
      }
      if (ctx.family !== 'ip' && ctx.family !== 'ip6') fail(stmt, 'unsupported family');
      const type = ctx.family === 'ip' ? dt.ipaddrType : dt.ip6addrType;
      const to = argument(ctx, stmt.to, { type, byteorder: 'big', len: type.size });
      const dev = stmt.dev && argument(ctx, stmt.dev, { type: dt.ifindexType, byteorder: 'host', len: 32 });
      return { ...stmt, to, ...(dev && { dev }) };
    }
    case 'fwd': {
      if (ctx.family !== 'netdev') fail(stmt, 'unsupported family');
      const dev = argument(ctx, stmt.dev, { type: dt.ifindexType, byteorder: 'host', len: 32 });
      const type = stmt.family === 2 ? dt.ipaddrType : dt.ip6addrType;
      const addr = stmt.addr && argument(ctx, stmt.addr, { type, byteorder: 'big', len: type.size });
      return { ...stmt, dev, ...(addr && { addr }) };
    }
    case 'objref': {
      const expect = objectName(stmt.type);
      const expr = stmt.expr.kind === 'map' ? evaluateMap(ctx, stmt.expr, expect) : evaluate(ctx, stmt.expr, expect);
      if (expr.kind !== 'map' && expr.kind !== 'value') fail(stmt.expr, 'invalid object name');
      if (expr.kind === 'value' && !ctx.world.hasObject(ctx.family, ctx.table, stmt.type, dt.valueString(expr.value)))
        fail(stmt.expr, 'No such file or directory');
      return { ...stmt, expr };
    }
    case 'dynset':
      return evaluateDynset(ctx, stmt);
    case 'meter':
      return evaluateMeter(ctx, stmt);
    case 'limit':
      if (stmt.rate === 0n) fail(stmt, 'limit rate must be > 0');
      return stmt;
    default:
      return stmt;
  }
}

function prefixText(prefix: Expr | undefined): { prefix?: Expr } {
  let expr = prefix;
  while (expr?.kind === 'variable') expr = expr.value;
  if (expr === undefined) return {};
  if (expr.kind !== 'symbol') return fail(expr, 'log prefix must be a string');
  if (expr.text.length > 127) fail(expr, 'log prefix is too long');
  return { prefix: expr };
}

function isTerminal(stmt: Stmt): boolean {
  switch (stmt.kind) {
    case 'verdict':
      return stmt.expr.kind === 'verdict' && stmt.expr.verdict !== 'continue';
    case 'nat':
    case 'reject':
    case 'queue':
    case 'fwd':
      return true;
    default:
      return false;
  }
}

/** Evaluates a rule; the result's statements contain the dependencies. */
export function evaluateRule(rule: Rule, world: World): Rule {
  const ctx = new Context(rule.family as Family, rule.table, world);
  let terminal: Stmt | undefined;
  for (const stmt of rule.stmts) {
    if (terminal !== undefined) fail(terminal, 'Statement after terminal statement has no effect', stmt.loc);
    const done = evaluateStatement(ctx, stmt);
    ctx.out.push(done);
    if (isTerminal(done)) terminal = done;
  }
  return { ...rule, stmts: withoutRedundant(ctx) };
}

/** In ip and ip6 tables `meta protocol ip` says nothing; in front of other statements it is left out. */
function withoutRedundant(ctx: Context): Stmt[] {
  const own = { ip: 0x0800n, ip6: 0x86ddn }[ctx.family as string];
  if (own === undefined || ctx.out.length < 2) return ctx.out;
  return ctx.out.filter((stmt) => {
    if (stmt.kind !== 'expr' || stmt.expr.kind !== 'relational') return true;
    const { left, right, op } = stmt.expr;
    if (left.kind !== 'meta' || left.tunnel || left.key !== uapi.NFT_META_PROTOCOL || right.kind !== 'value')
      return true;
    return (op !== '==' && op !== 'implicit') || right.value !== own;
  });
}

/** Statements that belong to a set's declaration. */
export function evaluateStatements(stmts: readonly Stmt[], family: Family, table: string, world: World): Stmt[] {
  const ctx = new Context(family, table, world);
  return stmts.map((stmt) => evaluateStatement(ctx, stmt));
}
