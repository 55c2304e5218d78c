/** Statements of a rule (nft(8), "STATEMENTS"). */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Expr, FlagCmpExpr, LogStmt, NatStmt, RejectStmt, RelOp, Stmt } from '../ast.ts';
import { fieldSetStmt } from '../field-stmt.ts';
import { type Location, span } from '../source.ts';
import { logLevel } from '../symbols.ts';
import type { Parser } from './core.ts';
import {
  basicExpr,
  concatExpr,
  isVerdict,
  listExpr,
  mapTail,
  rhsExpr,
  setElement,
  setExpr,
  stmtExpr,
  timeSpec,
  verdictExpr,
} from './expression.ts';
import type { Token } from './lexer.ts';
import { limitArgs, quotaArgs, synproxyArgs } from './units.ts';

const REL_OPS: Readonly<Record<string, RelOp>> = {
  '==': '==',
  '!=': '!=',
  '<': '<',
  '>': '>',
  '<=': '<=',
  '>=': '>=',
  '!': '!',
  eq: '==',
  ne: '!=',
  lt: '<',
  gt: '>',
  le: '<=',
  ge: '>=',
  not: '!',
};
const NAT_FLAGS: Readonly<Record<string, number>> = { random: 4, persistent: 8, 'fully-random': 16 };
const LOG_FLAGS: Readonly<Record<string, number>> = { skuid: 8, ether: 0x20, all: 0x2f };
const NFPROTO: Readonly<Record<string, number>> = { ip: uapi.NFT_REG_VERDICT + 2, ip6: 10 };

/** An object by name, or by a map of names. */
function objref(p: Parser, type: number, first: Token): Stmt {
  const expr = stmtExpr(p);
  return { kind: 'objref', type, expr, loc: p.since(first) };
}

function logStmt(p: Parser, first: Token): LogStmt {
  const out: { -readonly [K in keyof LogStmt]: LogStmt[K] } = { kind: 'log' };
  for (;;) {
    const token = p.peek();
    if (p.accept('prefix')) {
      const word = p.peek();
      out.prefix = p.is('$') ? p.variable() : { kind: 'symbol', text: p.string(), quoted: true, loc: p.loc(word) };
    } else if (p.accept('group')) {
      const value = p.peek();
      out.group = p.number();
      if (out.group > 65535) p.fail(value, 'value too large');
    } else if (p.accept('snaplen')) out.snaplen = p.number();
    else if (p.accept('queue-threshold')) out.qthreshold = p.number();
    else if (p.accept('level')) {
      const word = p.next();
      out.level = word.text === 'warning' ? 4 : word.text === 'error' ? 3 : logLevel.indexOf(word.text);
      if (out.level < 0) p.fail(word, 'invalid log level');
    } else if (p.accept('flags')) {
      let flags = out.flags ?? 0;
      if (p.accept('tcp')) {
        do {
          if (p.accept('sequence')) flags |= 1;
          else if (p.accept('options')) flags |= 2;
          else p.unexpected();
        } while (p.accept(','));
      } else if (p.accept('ip')) {
        p.expect('options');
        flags |= 4;
      } else {
        const flag = LOG_FLAGS[p.peek().text];
        if (flag === undefined) p.unexpected();
        p.next();
        flags |= flag;
      }
      out.flags = flags;
    } else {
      out.loc = p.since(first);
      if (token === undefined) p.unexpected();
      return out;
    }
  }
}

function rejectStmt(p: Parser, first: Token): RejectStmt {
  if (!p.accept('with')) return { kind: 'reject', loc: p.loc(first) };
  if (p.accept('tcp')) {
    p.expect('reset');
    return { kind: 'reject', type: uapi.NFT_REJECT_TCP_RST, loc: p.since(first) };
  }
  const word = p.peek();
  if (word.text !== 'icmp' && word.text !== 'icmpv6' && word.text !== 'icmpx') p.unexpected();
  p.next();
  p.accept('type');
  const code = basicExpr(p, 'rhs');
  return {
    kind: 'reject',
    icmp: word.text as 'icmp' | 'icmpv6' | 'icmpx',
    type: word.text === 'icmpx' ? uapi.NFT_REJECT_ICMPX_UNREACH : uapi.NFT_REJECT_ICMP_UNREACH,
    code,
    loc: p.since(first),
  };
}

function natFlags(p: Parser): number {
  let flags = 0;
  if (NAT_FLAGS[p.peek().text] === undefined) return 0;
  do {
    const flag = NAT_FLAGS[p.peek().text];
    if (flag === undefined) p.unexpected();
    p.next();
    flags |= flag;
  } while (p.accept(','));
  return flags;
}

/** An address, in brackets or not, or a range of them. */
function address(p: Parser): Expr {
  if (!p.is('[')) return stmtExpr(p);
  const bracket = (): Expr => {
    p.expect('[');
    const inner = basicExpr(p, 'any');
    p.expect(']');
    return inner;
  };
  const left = bracket();
  if (!p.accept('-')) return left;
  const right = bracket();
  return { kind: 'range', left, right, loc: span(left.loc, right.loc)! };
}

function natStmt(p: Parser, nat: 'snat' | 'dnat', first: Token): NatStmt {
  let family: number | undefined;
  let typeFlags = 0;
  const word = p.peek();
  if ((p.is('ip') || p.is('ip6')) && ['to', 'prefix', 'addr', 'interval'].includes(p.peek(1).text)) {
    family = NFPROTO[word.text];
    p.next();
  }
  if (p.accept('prefix')) typeFlags |= 2;
  else if (p.accept('interval')) typeFlags |= 1;
  else if (p.is('addr')) {
    p.next();
    p.expect('.');
    p.expect('port');
    typeFlags |= 4;
  }
  p.accept('to');
  let addr: Expr | undefined;
  let proto: Expr | undefined;
  if (!p.is(':')) addr = address(p);
  if (p.accept(':')) proto = stmtExpr(p);
  return {
    kind: 'nat',
    nat,
    ...(family !== undefined && { family, familyWritten: true }),
    ...(addr && { addr }),
    ...(proto && { proto }),
    flags: natFlags(p),
    typeFlags,
    loc: p.since(first),
  };
}

function portNat(p: Parser, nat: 'masq' | 'redir', first: Token): NatStmt {
  let proto: Expr | undefined;
  if (p.accept('to')) {
    if (nat === 'masq' || p.is(':')) p.expect(':');
    proto = stmtExpr(p);
  }
  return { kind: 'nat', nat, ...(proto && { proto }), flags: natFlags(p), typeFlags: 0, loc: p.since(first) };
}

function queueStmt(p: Parser, first: Token): Stmt {
  let flags = 0;
  const flag = (): boolean => {
    if (p.accept('bypass')) flags |= uapi.NFT_QUEUE_FLAG_BYPASS;
    else if (p.accept('fanout')) flags |= uapi.NFT_QUEUE_FLAG_CPU_FANOUT;
    else return false;
    return true;
  };
  let queue: Expr | undefined;
  if (p.accept('flags')) {
    do {
      if (!flag()) p.unexpected();
    } while (p.accept(','));
    if (p.accept('to')) queue = stmtExpr(p);
  } else if (p.accept('to')) queue = stmtExpr(p);
  else {
    for (;;) {
      if (p.accept('num')) queue = concatExpr(p, 'rhs');
      else if (!flag()) break;
      else p.accept(',');
    }
  }
  return { kind: 'queue', ...(queue && { queue }), flags, loc: p.since(first) };
}

function tproxyStmt(p: Parser, first: Token): Stmt {
  let family: number | undefined;
  if ((p.is('ip') || p.is('ip6')) && p.is('to', 1)) family = NFPROTO[p.next().text];
  p.expect('to');
  let addr: Expr | undefined;
  let port: Expr | undefined;
  if (!p.is(':')) addr = address(p);
  if (p.accept(':')) port = stmtExpr(p);
  return {
    kind: 'tproxy',
    ...(family !== undefined && { family }),
    ...(addr && { addr }),
    ...(port && { port }),
    loc: p.since(first),
  };
}

/** `@name`, or a definition that stands for it. */
function setName(p: Parser): { name: string; loc: Location } {
  const first = p.peek();
  if (p.is('$')) {
    let value = p.variable();
    while (value.kind === 'variable') value = value.value;
    if (value.kind !== 'setref') return p.fail(first, 'this is no set');
    return { name: value.name, loc: p.since(first) };
  }
  p.expect('@');
  const name = p.identifier();
  return { name, loc: p.since(first) };
}

/** `add|update|delete @set { key ... [: data] }` */
function dynset(p: Parser, first: Token): Stmt {
  const op = first.text as 'add' | 'update' | 'delete';
  const { name, loc } = setName(p);
  p.expect('{');
  const element = setElement(p, 'any');
  let { data } = element;
  if (p.is('map')) data = mapTail(p, data!, 'map');
  p.skipNewlines();
  p.expect('}');
  return {
    kind: 'dynset',
    op,
    set: { kind: 'setref', name, loc },
    key: element.key,
    ...(data && { data }),
    ...(element.timeout !== undefined && { timeout: element.timeout }),
    ...(element.comment !== undefined && { comment: element.comment }),
    stmts: element.stmts ?? [],
    loc: p.since(first),
  };
}

/** The old form: `set add KEY @name`. */
function setStmt(p: Parser, first: Token): Stmt {
  const op = p.next();
  if (op.text !== 'add' && op.text !== 'update') p.unexpected(undefined, op);
  const element = setElement(p, 'any');
  const at = p.expect('@');
  const name = p.identifier();
  return {
    kind: 'dynset',
    op: op.text as 'add' | 'update',
    set: { kind: 'setref', name, loc: p.since(at) },
    key: element.key,
    ...(element.timeout !== undefined && { timeout: element.timeout }),
    stmts: element.stmts ?? [],
    loc: p.since(first),
  };
}

function meter(p: Parser, first: Token): Stmt {
  const name = p.identifier();
  const size = p.accept('size') ? p.number() : undefined;
  p.expect('{');
  p.skipNewlines();
  const key = concatExpr(p, 'lhs');
  const timeout = p.accept('timeout') ? timeSpec(p) : undefined;
  const stmt = p.statement(p);
  p.skipNewlines();
  p.expect('}');
  return {
    kind: 'meter',
    name,
    ...(size !== undefined && { size }),
    key,
    ...(timeout !== undefined && { timeout }),
    stmt,
    loc: p.since(first),
  };
}

/** Statements that set a field: what stands before `set` was a field or key. */
function setField(p: Parser, target: Expr, first: Token): Stmt {
  const expr = stmtExpr(p);
  return fieldSetStmt(target, expr, p.since(first)) ?? p.fail(first, 'syntax error, unexpected set');
}

/** The right side behind an operator, with `/ value` behind a mask. */
function relational(p: Parser, left: Expr): Expr {
  const op = REL_OPS[p.peek().text];
  const operator = op !== undefined && (p.peek().kind === 'punct' || p.peek().kind === 'word') ? op : undefined;
  if (operator !== undefined) p.next();
  const right = rhsExpr(p);
  if (p.is('/')) {
    p.next();
    const mask = listExpr(p, basicExpr(p, 'rhs'), 'rhs');
    const cmp: FlagCmpExpr = {
      kind: 'flagcmp',
      op: operator === '!=' ? '!=' : '==',
      expr: left,
      mask,
      value: right,
      loc: span(left.loc, mask.loc)!,
    };
    return cmp;
  }
  return { kind: 'relational', op: operator ?? 'implicit', left, right, loc: span(left.loc, right.loc)! };
}

function matchStmt(p: Parser): Stmt {
  const first = p.peek();
  const left = concatExpr(p, 'lhs');
  if (p.is('set')) {
    p.next();
    return setField(p, left, first);
  }
  if (p.is('vmap')) {
    const expr = mapTail(p, left, 'vmap');
    return { kind: 'verdict', expr, loc: p.since(first) };
  }
  return { kind: 'expr', expr: relational(p, left), loc: p.since(first) };
}

/** One statement. */
export function statement(p: Parser): Stmt {
  const first = p.peek();
  if (isVerdict(p)) {
    if ((first.text === 'jump' || first.text === 'goto') && p.is('{', 1))
      p.fail(first, 'netloom does not support chains without a name');
    const expr = verdictExpr(p);
    return { kind: 'verdict', expr, loc: p.since(first) };
  }
  if (first.kind === 'word') {
    switch (first.text) {
      case 'counter': {
        p.next();
        if (p.accept('name')) return objref(p, uapi.NFT_OBJECT_COUNTER, first);
        let packets = 0n;
        let bytes = 0n;
        for (;;) {
          if (p.accept('packets')) packets = p.bigNumber();
          else if (p.accept('bytes')) bytes = p.bigNumber();
          else break;
        }
        return { kind: 'counter', packets, bytes, loc: p.since(first) };
      }
      case 'last':
        p.next();
        if (p.accept('used') && !p.accept('never')) timeSpec(p);
        return { kind: 'last', loc: p.since(first) };
      case 'limit':
        p.next();
        if (p.accept('name')) return objref(p, uapi.NFT_OBJECT_LIMIT, first);
        return limitArgs(p);
      case 'quota':
        p.next();
        if (p.accept('name')) return objref(p, uapi.NFT_OBJECT_QUOTA, first);
        return { kind: 'quota', ...quotaArgs(p), loc: p.since(first) };
      case 'log':
        p.next();
        return logStmt(p, first);
      case 'reject':
        p.next();
        return rejectStmt(p, first);
      case 'snat':
      case 'dnat':
        p.next();
        return natStmt(p, first.text, first);
      case 'masquerade':
        p.next();
        return portNat(p, 'masq', first);
      case 'redirect':
        p.next();
        return portNat(p, 'redir', first);
      case 'queue':
        p.next();
        return queueStmt(p, first);
      case 'tproxy':
        p.next();
        return tproxyStmt(p, first);
      case 'synproxy':
        p.next();
        if (p.accept('name')) return objref(p, uapi.NFT_OBJECT_SYNPROXY, first);
        return { kind: 'synproxy', ...synproxyArgs(p), loc: p.since(first) };
      case 'notrack':
        p.next();
        return { kind: 'notrack', loc: p.loc(first) };
      case 'dup': {
        p.next();
        p.expect('to');
        const to = stmtExpr(p);
        const dev = p.accept('device') ? stmtExpr(p) : undefined;
        return { kind: 'dup', to, ...(dev && { dev }), loc: p.since(first) };
      }
      case 'fwd': {
        p.next();
        const family = p.is('ip') || p.is('ip6') ? NFPROTO[p.next().text] : undefined;
        p.expect('to');
        const to = stmtExpr(p);
        if (family === undefined) return { kind: 'fwd', dev: to, loc: p.since(first) };
        p.expect('device');
        return { kind: 'fwd', dev: stmtExpr(p), addr: to, family, loc: p.since(first) };
      }
      case 'add':
      case 'update':
      case 'delete':
        p.next();
        return dynset(p, first);
      case 'set':
        p.next();
        return setStmt(p, first);
      case 'meter':
        p.next();
        return meter(p, first);
      case 'flow':
        p.next();
        if (p.accept('table')) return meter(p, first);
        if (!p.accept('add')) p.expect('offload');
        p.expect('@');
        return { kind: 'flowoffload', name: p.identifier(), loc: p.since(first) };
      case 'reset':
        if (p.is('tcp', 1)) {
          p.next();
          const target = concatExpr(p, 'lhs');
          if (target.kind !== 'exthdr') p.fail(first, 'syntax error, unexpected reset');
          return { kind: 'optstrip', target: target as never, loc: p.since(first) };
        }
        break;
      case 'ct':
        if (p.is('count', 1)) {
          p.next();
          p.next();
          const over = p.accept('over');
          return { kind: 'connlimit', count: p.number(), over, loc: p.since(first) };
        }
        if ((p.is('timeout', 1) || p.is('expectation', 1)) && p.is('set', 2)) {
          p.next();
          const type = p.next().text === 'timeout' ? uapi.NFT_OBJECT_CT_TIMEOUT : uapi.NFT_OBJECT_CT_EXPECT;
          p.next();
          return objref(p, type, first);
        }
        break;
      case 'xt':
        p.fail(first, 'netloom does not support xt statements in nft scripts');
    }
  }
  return matchStmt(p);
}

export { setExpr };
