/**
 * Matches as the language writes them: names for raw bytes, flags instead of masks, prefixes, ranges from two
 * comparisons, fields of less than a byte. And what a match teaches about the headers that follow.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Expr, ExprStmt, PayloadExpr, PayloadSetStmt, RelationalExpr, RelOp, Stmt, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import type { ExthdrOp } from '../exthdr.ts';
import { BASE_INVALID, BASE_LL, BASE_NETWORK, BASE_TRANSPORT } from '../proto.ts';
import { type HeaderContext, isProtocolField } from './context.ts';
import { trimExthdr } from './exthdr.ts';
import { complete, expand, splice, trim, xintegerType } from './payload.ts';
import type { SetFinder } from './rule.ts';

export type Typing = { readonly ctx: HeaderContext; readonly sets: SetFinder };

/** Gives constants (and only them) their type, member by member in concatenations. */
export function typed(e: Expr, type: dt.Datatype, byteorder: dt.ByteOrder = type.byteorder): Expr {
  switch (e.kind) {
    case 'value': {
      const len = e.len ?? type.size;
      // Constants are read in network order; a value of host order has its bytes the other way round.
      const value =
        e.byteorder === 'big' && byteorder === 'host' && e.type === undefined ? swap(e.value, len) : e.value;
      return { ...e, type, byteorder, value };
    }
    case 'range':
      return { ...e, left: typed(e.left, type, byteorder), right: typed(e.right, type, byteorder), type };
    case 'prefix':
      return { ...e, expr: typed(e.expr, type, byteorder), type };
    case 'binary': {
      const shift = e.op === '<<' || e.op === '>>';
      const own = e.left.kind === 'value' ? undefined : e.left.type;
      // A field that is widened to a mark: its operands are written in its own type.
      if (own !== undefined && own !== type && own.size > 0 && own.size < type.size)
        return {
          ...e,
          ...(e.right.kind === 'value' &&
            !shift && { right: { ...e.right, type: e.left.kind === 'binary' ? xintegerType : own, len: own.size } }),
        };
      return {
        ...e,
        left: typed(e.left, type, byteorder),
        right: shift ? e.right : typed(e.right, type, byteorder),
        type,
      };
    }
    case 'concat':
      return { ...e, type, parts: e.parts.map((p, i) => (type.parts?.[i] ? typed(p, type.parts[i]) : p)) };
    default:
      return e;
  }
}

function swap(value: bigint, len: number): bigint {
  return dt.importValue(dt.exportValue(value, 'big', len), 'host');
}

/** Names the fields of an expression that is not compared (a key, a value that is set), and drops what they imply. */
export function completeExpr(t: Typing, e: Expr): Expr {
  switch (e.kind) {
    case 'payload': {
      const done = complete(e, t.ctx);
      t.ctx.kill(done.base, done.field !== undefined, done.proto?.name === 'vlan');
      killIcmp(t, done);
      return done;
    }
    case 'exthdr':
      t.ctx.kill(exthdrBase(e.op), true);
      return e;
    case 'ct':
      return ctAddress(t, e);
    case 'concat':
      return { ...e, parts: e.parts.flatMap((p) => expandPart(t, p)) };
    case 'binary': {
      if (e.op === '>>' && e.left.kind === 'binary' && e.right.kind === 'value') {
        // The old release leaves the bytes.
        if (t.ctx.listedFor !== '1.1.0' && e.left.op === '&') return e;
        const shifted = shiftedField(t, e.left, e.right.value);
        if (shifted) return shifted;
      }
      const bits = bitField(t, e);
      if (bits) return bits;
      const left = completeExpr(t, e.left);
      const shift = e.op === '<<' || e.op === '>>';
      const right = left.type && !shift ? typed(retype(e.right, left.type), left.type, left.byteorder) : e.right;
      return { ...e, left, right: right.kind === 'value' ? right : completeExpr(t, right), type: left.type };
    }
    case 'hash':
      return e;
    case 'map':
      return e;
    default:
      return e;
  }
}

/** `ct saddr` of the family that is known here. */
function ctAddress(t: Typing, e: Extract<Expr, { kind: 'ct' }>): Expr {
  if (e.key !== U.NFT_CT_SRC && e.key !== U.NFT_CT_DST) return e;
  const v6 = t.ctx.desc(BASE_NETWORK)?.name === 'ip6';
  t.ctx.release(BASE_NETWORK);
  return {
    ...e,
    nfproto: v6 ? 10 : 2,
    type: v6 ? dt.ip6addrType : dt.ipaddrType,
    byteorder: 'big',
    len: v6 ? 128 : 32,
  };
}

const retype = (e: Expr, type: dt.Datatype): Expr => (e.kind === 'value' ? { ...e, type } : e);

function expandPart(t: Typing, e: Expr): Expr[] {
  if (e.kind !== 'payload') return [completeExpr(t, e)];
  const one = complete(e, t.ctx);
  const parts = one.raw ? (expand(e, t.ctx) ?? [one]) : [one];
  for (const part of parts) t.ctx.kill(part.base, part.field !== undefined, part.proto?.name === 'vlan');
  return parts;
}

function exthdrBase(op: ExthdrOp): number {
  return op === 'ipv6' || op === 'ipv4' ? BASE_NETWORK : BASE_TRANSPORT;
}

/** `(bytes & mask) >> n` that leaves just a field. */
function shiftedField(t: Typing, e: Extract<Expr, { kind: 'binary' }>, amount: bigint): Expr | undefined {
  if (e.op !== '&' || e.right.kind !== 'value' || e.left.kind !== 'payload') return undefined;
  const order = e.left.byteorder === 'host' ? 'host' : 'big';
  const bytes: PayloadExpr = { ...e.left, raw: true, proto: undefined, field: undefined, byteorder: order };
  const found = trim(bytes, e.right.value, t.ctx.of(e));
  if (found === undefined || BigInt(found.shift) !== amount) return undefined;
  t.ctx.of(e).kill(found.field.base, true, found.field.proto?.name === 'vlan');
  return found.field;
}

/** `field & mask` of a field of less than its bytes, as that field. */
function bitField(t: Typing, e: Expr): Expr | undefined {
  if (e.kind !== 'binary') return undefined;
  if (e.op !== '&' || e.right.kind !== 'value') return undefined;
  if (e.left.kind === 'payload' && e.left.raw !== false) {
    const found = trim(e.left, e.right.value, t.ctx);
    if (found) {
      t.ctx.kill(found.field.base, true, found.field.proto?.name === 'vlan');
      return found.field;
    }
  }
  if (e.left.kind === 'payload' && e.left.proto && e.left.len !== undefined) {
    const found = trim({ ...e.left, raw: true, proto: undefined, field: undefined }, e.right.value, t.ctx);
    if (found && found.field.len !== e.left.len) {
      t.ctx.kill(found.field.base, true, found.field.proto?.name === 'vlan');
      return found.field;
    }
  }
  if (e.left.kind === 'exthdr') {
    const found = trimExthdr(e.left, e.right.value);
    if (found) {
      t.ctx.kill(exthdrBase(e.left.op), true);
      return found.field;
    }
  }
  return undefined;
}

export type Finished = { readonly stmt: Stmt; readonly learn?: (stmt: Stmt) => void };

const match = (op: RelOp, left: Expr, right: Expr): ExprStmt => ({
  kind: 'expr',
  expr: { kind: 'relational', op, left, right },
});

/** The statements of one comparison. `before` are those already read: a range may end in this one. */
export function finish(t: Typing, left: Expr, op: RelOp, right: Expr, before: Stmt[]): Finished[] {
  if (left.kind === 'binary') return finishBinary(t, left, op, right, before);
  if (left.kind === 'payload') return finishPayload(t, left, op, right, before);
  const done = completeExpr(t, left);
  if (done.kind === 'exthdr' && done.field !== undefined) t.ctx.kill(exthdrBase(done.op), true);
  const value = typeRight(done, right, op);
  const front = frontOf(done, op, right);
  if (front) return [{ stmt: match(op === '==' ? 'implicit' : op, done, front) }];
  const merged = mergeRange(done, op, value, before);
  if (merged) return [{ stmt: merged }];
  const stmt = match(op === '==' ? 'implicit' : op, done, value);
  if (done.kind === 'meta' && (op === '==' || op === 'implicit') && value.kind === 'value') {
    return [{ stmt, learn: (s) => learnMeta(t, s) }];
  }
  return [{ stmt }];
}

/** A comparison of an address's first bytes: a prefix. */
function frontOf(left: Expr, op: RelOp, right: Expr): Expr | undefined {
  const { type } = left;
  if (type?.prefix !== true || right.kind !== 'value' || (op !== '==' && op !== '!=')) return undefined;
  const bits = right.len ?? 0;
  if (left.byteorder !== 'big' || bits === 0 || bits >= type.size) return undefined;
  const expr: ValueExpr = {
    kind: 'value',
    value: right.value << BigInt(type.size - bits),
    type,
    byteorder: 'big',
    len: type.size,
  };
  return { kind: 'prefix', expr, prefix: bits, type };
}

const META_BASE: ReadonlyMap<number, number> = new Map([
  [U.NFT_META_IFTYPE, BASE_INVALID],
  [U.NFT_META_NFPROTO, BASE_LL],
  [U.NFT_META_PROTOCOL, BASE_LL],
  [U.NFT_META_L4PROTO, BASE_NETWORK],
]);

function learnMeta(t: Typing, stmt: Stmt): void {
  const e = (stmt as ExprStmt).expr as RelationalExpr;
  if (e.left.kind !== 'meta' || e.right.kind !== 'value') return;
  const value = Number(e.right.value);
  t.ctx.learn(e, value);
  const base = META_BASE.get(e.left.key);
  if (base === undefined) return;
  t.ctx.killForMeta(e.left.key, value);
  t.ctx.store(stmt, base);
}

/** Members of a set that raw bytes are compared with are written as the bytes are. */
function rawMember(left: Expr, key: Expr): Expr {
  if (left.kind === 'payload' && left.type?.id === dt.integerType.id && key.kind === 'value')
    return { ...key, type: left.type };
  if (left.kind === 'concat' && key.kind === 'concat')
    return { ...key, parts: key.parts.map((part, i) => (left.parts[i] ? rawMember(left.parts[i], part) : part)) };
  return key;
}

function typeRight(left: Expr, right: Expr, op: RelOp): Expr {
  if (right.kind === 'set')
    return { ...right, elements: right.elements.map((one) => ({ ...one, key: rawMember(left, one.key) })) };
  if (right.kind === 'setref') return right;
  const type = left.type ?? dt.integerType;
  if (left.kind === 'concat' && right.kind === 'concat') {
    return { ...right, parts: right.parts.map((p, i) => typeRight(left.parts[i], p, op)) };
  }
  if (right.kind === 'value' && dt.isA(type, dt.stringType)) {
    const size = (right.len ?? 0) >> 3;
    const full = (left.len ?? 128) >> 3;
    const text = dt.valueString(right.value);
    // Fewer bytes than a name has: everything that begins so.
    return {
      kind: 'symbol',
      text: size < full ? `${text}*` : text.endsWith('*') ? `${text.slice(0, -1)}\\*` : text,
      quoted: true,
      type,
    };
  }
  return typed(right.kind === 'value' ? { ...right, type } : right, type, left.byteorder);
}

/** `x >= a` followed by `x <= b` is `x a-b`. */
function mergeRange(left: Expr, op: RelOp, right: Expr, before: Stmt[]): Stmt | undefined {
  if (op !== '<=') return undefined;
  const last = before[before.length - 1];
  if (last?.kind !== 'expr' || last.expr.kind !== 'relational' || last.expr.op !== '>=') return undefined;
  if (!sameExpr(last.expr.left, left)) return undefined;
  before.pop();
  return match('implicit', left, { kind: 'range', left: last.expr.right, right, type: left.type });
}

function sameExpr(a: Expr, b: Expr): boolean {
  if (a.kind !== b.kind) return false;
  if (a.kind === 'payload' && b.kind === 'payload')
    return a.base === b.base && a.offset === b.offset && a.len === b.len;
  if (a.kind === 'meta' && b.kind === 'meta') return a.key === b.key;
  if (a.kind === 'ct' && b.kind === 'ct') return a.key === b.key && a.direction === b.direction;
  if (a.kind === 'exthdr' && b.kind === 'exthdr')
    return a.op === b.op && a.hdr === b.hdr && a.offset === b.offset && a.len === b.len;
  if (a.kind === 'rt' && b.kind === 'rt') return a.key === b.key;
  if (a.kind === 'socket' && b.kind === 'socket') return a.key === b.key;
  if (a.kind === 'binary' && b.kind === 'binary') return a.op === b.op && sameExpr(a.left, b.left);
  return a.kind === 'numgen' || a.kind === 'hash' || a.kind === 'xfrm';
}

function finishPayload(t: Typing, left: PayloadExpr, op: RelOp, right: Expr, before: Stmt[]): Finished[] {
  const equal = op === '==' || op === 'implicit';
  if (right.kind === 'value' && (equal || op === '!=')) {
    let whole = left;
    let value: Expr = right;
    // A shorter load than the address: the front of it, a prefix.
    const bytes = right.len ?? 0;
    const one = complete(whole, t.ctx);
    const unknown = one.raw || (one.proto?.name === 'th' && expand(whole, t.ctx) !== undefined);
    if (one.raw) {
      const short = shortPrefix(t, left, right);
      if (short) return [finishField(t, short.left, op, short.right)];
    }
    const fields = unknown ? expand(whole, t.ctx) : [one];
    if (fields === undefined) return [finishField(t, one, op, { ...right, type: one.type })];
    const values = splice({ ...right, len: bytes }, bytes, fields);
    return fields.map((field, i) => {
      whole = field;
      value = values[i];
      return finishField(t, whole, op, value);
    });
  }
  const done = complete(left, t.ctx);
  t.ctx.kill(done.base, done.field !== undefined, done.proto?.name === 'vlan');
  killIcmp(t, done);
  const value = typeRight(done, right, op);
  const merged = mergeRange(done, op, value, before);
  if (merged) return [{ stmt: merged }];
  const stmt = match(op === '==' ? 'implicit' : op, done, value);
  return [{ stmt, learn: (s) => learnIcmpSet(t, s) }];
}

/** `icmp type { echo-request, echo-reply }` leaves two types. */
function learnIcmpSet(t: Typing, stmt: Stmt): void {
  const e = (stmt as ExprStmt).expr as RelationalExpr;
  if (e.op !== 'implicit' || e.left.kind !== 'payload' || e.left.proto === undefined || e.left.field === undefined)
    return;
  const { name, fields } = e.left.proto;
  if ((name !== 'icmp' && name !== 'icmpv6') || fields[e.left.field].name !== 'type' || e.right.kind !== 'set') return;
  const types = e.right.elements.map((el) => (el.key.kind === 'value' ? Number(el.key.value) : -1));
  if (types.every((n) => n >= 0)) {
    t.ctx.icmpTypes = types;
  }
}

/** A field that only some messages have implies the match on their types, when that match says just this. */
function killIcmp(t: Typing, e: PayloadExpr): void {
  const icmp = e.proto && e.field !== undefined ? e.proto.fields[e.field].icmp : undefined;
  if (icmp === undefined || t.ctx.icmpStmt === undefined || t.ctx.icmpTypes === undefined) return;
  if (t.ctx.icmpTypes.length === icmp.length && icmp.every((n) => t.ctx.icmpTypes?.includes(n))) t.ctx.releaseIcmp();
}

function shortPrefix(t: Typing, left: PayloadExpr, right: ValueExpr): { left: PayloadExpr; right: Expr } | undefined {
  for (const full of [32, 128]) {
    if ((left.len ?? 0) >= full) continue;
    const address = complete({ ...left, len: full, raw: true }, t.ctx);
    if (address.raw || !address.type?.prefix) continue;
    const bits = left.len ?? 0;
    const value: ValueExpr = {
      kind: 'value',
      value: right.value << BigInt(full - bits),
      type: address.type,
      byteorder: 'big',
      len: full,
    };
    return { left: address, right: { kind: 'prefix', expr: value, prefix: bits, type: address.type } };
  }
  return undefined;
}

/** A field of a VLAN tag that implies the tag; the type of what follows does not. */
function isTag(e: PayloadExpr): boolean {
  return e.proto?.name === 'vlan' && !isProtocolField(e.proto, e.field);
}

function finishField(t: Typing, left: PayloadExpr, op: RelOp, right: Expr): Finished {
  const equal = op === '==' || op === 'implicit';
  const value = typeRight(left, right, op);
  t.ctx.kill(left.base, left.field !== undefined, isTag(left));
  killIcmp(t, left);
  const stmt = match(op === '==' ? 'implicit' : op, left, value);
  return {
    stmt,
    learn: (s): void => {
      if (!equal || value.kind !== 'value' || left.proto === undefined) return;
      const before = t.ctx.desc(left.base);
      t.ctx.learn((s as ExprStmt).expr as RelationalExpr, Number(value.value));
      if (isProtocolField(left.proto, left.field)) {
        const stacked = t.ctx.desc(left.base) !== before;
        t.ctx.store(s, stacked ? left.base - 1 : left.base);
      }
      if (t.ctx.icmpTypes && left.field !== undefined && left.proto.fields[left.field].name === 'type')
        t.ctx.icmpStmt = s;
    },
  };
}

function finishBinary(
  t: Typing,
  left: Extract<Expr, { kind: 'binary' }>,
  op: RelOp,
  right: Expr,
  before: Stmt[],
): Finished[] {
  const bits = bitFieldShift(t, left);
  if (bits && (right.kind === 'value' || right.kind === 'range')) {
    const shiftDown = (v: Expr): Expr =>
      v.kind === 'value'
        ? { ...v, value: v.value >> BigInt(bits.shift), len: bits.field.len, type: bits.field.type }
        : v;
    const value =
      right.kind === 'range'
        ? { ...right, left: shiftDown(right.left), right: shiftDown(right.right) }
        : shiftDown(right);
    const shown = typed(value, bits.field.type ?? dt.integerType, bits.field.byteorder);
    const merged = mergeRange(bits.field, op, shown, before);
    return [{ stmt: merged ?? match(op === '==' ? 'implicit' : op, bits.field, shown) }];
  }
  if (bits) {
    return [{ stmt: match(op === '==' ? 'implicit' : op, bits.field, shiftMembers(right, bits.field, bits.shift)) }];
  }
  const inner = completeExpr(t, left.left);
  const type = inner.type ?? dt.integerType;
  if (left.op === '&' && left.right.kind === 'value' && right.kind === 'value') {
    const mask = left.right.value;
    if (type.prefix && isPrefixMask(mask, left.right.len ?? type.size)) {
      const prefix = prefixLength(mask, left.right.len ?? type.size);
      return [
        {
          stmt: match(op === '==' ? 'implicit' : op, inner, {
            kind: 'prefix',
            expr: typed(retype(right, type), type, inner.byteorder),
            prefix,
            type,
          }),
        },
      ];
    }
    if (dt.isA(type, dt.bitmaskType) && (op === '==' || op === '!=')) {
      if (right.value === 0n) {
        return [{ stmt: match(op === '!=' ? 'implicit' : '!', inner, flagList(type, mask, left.right.len ?? 32)) }];
      }
      const single = (mask & (mask - 1n)) === 0n;
      if (!(single && right.value === mask)) {
        const len = left.right.len ?? 32;
        return [
          {
            stmt: {
              kind: 'expr',
              expr: {
                kind: 'flagcmp',
                op: op as '==' | '!=',
                expr: inner,
                mask: flagList(type, mask, len),
                value: flagList(type, right.value, len),
              },
            },
          },
        ];
      }
    }
  }
  const done: Expr = { ...left, left: inner, right: typed(retype(left.right, type), type, inner.byteorder), type };
  return [{ stmt: match(op, done, typeRight({ ...done, byteorder: inner.byteorder } as Expr, right, op)) }];
}

/** Members of a set without a name, compared with a field that stands `shift` bits up in its bytes. */
function shiftMembers(e: Expr, field: Expr, shift: number): Expr {
  switch (e.kind) {
    case 'value':
      return { ...e, value: e.value >> BigInt(shift), len: field.len, type: field.type };
    case 'range':
      return { ...e, left: shiftMembers(e.left, field, shift), right: shiftMembers(e.right, field, shift) };
    case 'set':
      return { ...e, elements: e.elements.map((one) => ({ ...one, key: shiftMembers(one.key, field, shift) })) };
    default:
      return e;
  }
}

function bitFieldShift(t: Typing, e: Extract<Expr, { kind: 'binary' }>): { field: Expr; shift: number } | undefined {
  if (e.op !== '&' || e.right.kind !== 'value') return undefined;
  if (e.left.kind === 'payload') {
    // Whole fields with a mask (flags) stay what they are.
    const whole = complete(e.left, t.ctx);
    const found = trim(e.left, e.right.value, t.ctx);
    if (found && (whole.raw || found.field.len !== whole.len)) {
      t.ctx.kill(found.field.base, true, found.field.proto?.name === 'vlan');
      return found;
    }
  }
  if (e.left.kind === 'exthdr') {
    const found = trimExthdr(e.left, e.right.value);
    if (found && found.field.len !== e.left.len) {
      t.ctx.kill(exthdrBase(e.left.op), true);
      return found;
    }
  }
  return undefined;
}

function isPrefixMask(mask: bigint, len: number): boolean {
  const inverse = ~mask & ((1n << BigInt(len)) - 1n);
  return (inverse & (inverse + 1n)) === 0n;
}

function prefixLength(mask: bigint, len: number): number {
  const inverse = ~mask & ((1n << BigInt(len)) - 1n);
  return len - (inverse === 0n ? 0 : inverse.toString(2).length);
}

/** The set bits as a list, lowest first. */
function flagList(type: dt.Datatype, value: bigint, len: number): Expr {
  const items: Expr[] = [];
  for (let bit = 0; bit < len; bit++) {
    if ((value >> BigInt(bit)) & 1n)
      items.push({ kind: 'value', value: 1n << BigInt(bit), type, byteorder: 'host', len });
  }
  if (items.length === 1) return items[0];
  if (items.length === 0) return { kind: 'value', value: 0n, type, byteorder: 'host', len };
  return { kind: 'list', items, type };
}

/** `FIELD set VALUE`; for a field of less than its bytes, what is written around it is undone. */
export function payloadSet(t: Typing, target: PayloadExpr, value: Expr): PayloadSetStmt {
  const named = complete(target, t.ctx);
  if (named.raw === false || value.kind !== 'binary') {
    t.ctx.kill(named.base, named.field !== undefined, named.proto?.name === 'vlan');
    const type = named.type ?? dt.integerType;
    return { kind: 'payloadset', target: named, expr: typed(completeExpr(t, value), type, 'big') };
  }
  // (bytes & ~field) | value
  const parts: { mask?: bigint; or: bigint } = { or: 0n };
  let e: Expr = value;
  while (e.kind === 'binary' && e.right.kind === 'value') {
    if (e.op === '&') parts.mask = e.right.value;
    else parts.or |= e.right.value;
    e = e.left;
  }
  const all = (1n << BigInt(target.len ?? 0)) - 1n;
  // The mask read back has the bits that are set to one in it as well.
  const kept = (parts.mask ?? all) & ~parts.or & all;
  const cleared = ~kept & all;
  const found = e.kind === 'payload' ? trim({ ...target, raw: true }, cleared, t.ctx) : undefined;
  if (found === undefined) return { kind: 'payloadset', target: named, expr: completeExpr(t, value) };
  t.ctx.kill(found.field.base, true, found.field.proto?.name === 'vlan');
  const type = found.field.type ?? dt.integerType;
  return {
    kind: 'payloadset',
    target: found.field,
    expr: {
      kind: 'value',
      value: (parts.or & cleared) >> BigInt(found.shift),
      type,
      byteorder: 'big',
      len: found.field.len,
    },
  };
}
