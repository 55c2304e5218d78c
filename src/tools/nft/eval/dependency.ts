/**
 * Protocol dependencies: a rule that looks at a field must first have made sure that the header is there. Evaluation
 * puts the missing comparison in front of the statement (nft(8), "PAYLOAD EXPRESSION").
 */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Expr, PayloadExpr, RelationalExpr } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import {
  BASE_LL,
  BASE_NAMES,
  BASE_NETWORK,
  BASE_TRANSPORT,
  BASE_TUNNEL,
  familyProto,
  fieldIndex,
  type ProtoDesc,
  proto,
  upperNumber,
  upperProto,
} from '../proto.ts';
import { type Context, fail } from './context.ts';

function push(ctx: Context, left: Expr, right: Expr): void {
  const tunnel = ctx.tunnel;
  const place = tunnel !== undefined && (left.kind === 'payload' || left.kind === 'meta') ? { ...left, tunnel } : left;
  const expr: RelationalExpr = { kind: 'relational', op: '==', left: place, right };
  learnAll(ctx, expr);
  ctx.out.push({ kind: 'expr', expr });
}

/** The comparison that makes `upper` follow `desc`. */
function addDependency(ctx: Context, desc: ProtoDesc, upper: ProtoDesc, at: Expr): void {
  const number = upperNumber(desc, upper);
  if (number < 0) fail(at, `conflicting protocols specified: ${desc.name} vs. ${upper.name}`, undefined);
  const useField = desc.protocolField !== undefined && (desc.protocolMeta === undefined || desc.name === 'ether');
  const field = useField ? build.payload(desc, fieldIndex(desc, desc.protocolField!)) : undefined;
  // The field stands behind the tags that were passed.
  const left =
    field === undefined
      ? build.meta(desc.protocolMeta!)
      : desc.name === 'vlan'
        ? { ...field, offset: field.offset + ctx.linkOffset() }
        : field;
  const type = desc.protocolType!;
  const right: Expr = {
    ...build.constant(type, BigInt(number)),
    byteorder: left.byteorder!,
    len: left.len!,
  };
  push(ctx, left, right);
}

/** What a family without a known lower protocol compares for `expr`. */
function specialDescription(ctx: Context, expr: PayloadExpr): ProtoDesc | undefined {
  const mixed = ctx.family === 'inet' || ctx.family === 'bridge' || ctx.family === 'netdev';
  if (!mixed) return undefined;
  if (expr.base === BASE_LL) return ctx.family === 'inet' ? proto('inet') : familyProto[ctx.family].desc;
  if (expr.base !== BASE_TRANSPORT) return undefined;
  const network = { icmp: 'ip', icmpv6: 'ip6', igmp: 'ip' }[expr.proto?.name ?? ''];
  if (network !== undefined) {
    const desc = proto(network);
    addDependency(ctx, ctx.protocols[BASE_LL].desc ?? familyProto[ctx.family].desc, desc, expr);
    return desc;
  }
  return proto('inet-service');
}

/** Puts the dependency of `expr` in front. */
export function payloadDependency(ctx: Context, expr: PayloadExpr): void {
  const first = familyProto[ctx.family];
  if (expr.base < first.base) {
    if (expr.base < first.base - 1) fail(expr, 'payload base is invalid for this family');
    const iiftype = build.meta(uapi.NFT_META_IFTYPE);
    push(ctx, iiftype, { ...build.constant(dt.arphrdType, 1n), len: 16 });
    return;
  }
  if (expr.base === BASE_LL && (ctx.family === 'inet' || ctx.family === 'netdev')) {
    const iiftype = build.meta(uapi.NFT_META_IFTYPE);
    push(ctx, iiftype, { ...build.constant(dt.arphrdType, 1n), len: 16 });
    return;
  }
  let desc = ctx.protocols[expr.base - 1].desc;
  if (desc === undefined) desc = specialDescription(ctx, expr);
  if (desc === undefined)
    fail(expr, `ambiguous payload specification: no ${BASE_NAMES[expr.base - 1]} protocol specified`);
  if (ctx.family === 'bridge' && desc!.name === 'ether' && (expr.proto?.name === 'ip' || expr.proto?.name === 'ip6'))
    desc = proto('netdev');
  addDependency(ctx, desc!, expr.proto!, expr);
}

/** ICMP fields that only some messages have: the type must be compared first. */
export function icmpDependency(ctx: Context, expr: PayloadExpr, types: readonly number[]): void {
  const type = build.namedPayload(expr.proto!.name, 'type');
  for (const stmt of ctx.out) {
    // A comparison of the type that was made before decides.
    if (stmt.kind === 'expr' && stmt.expr.kind === 'relational') {
      const { left, op, right } = stmt.expr;
      if (
        left.kind !== 'payload' ||
        left.tunnel !== ctx.tunnel ||
        left.proto?.name !== type.proto!.name ||
        left.field !== type.field
      )
        continue;
      if (op !== '==' && op !== 'implicit') continue;
      const values =
        right.kind === 'value'
          ? [right.value]
          : right.kind === 'setref' && right.set?.elements !== undefined
            ? right.set.elements.elements.map((e) => (e.key.kind === 'value' ? e.key.value : -1n))
            : undefined;
      if (values === undefined) continue;
      for (const value of values)
        if (!types.includes(Number(value))) fail(expr, `conflicting ${expr.proto!.name} types specified`);
      return;
    }
  }
  const constant = (value: number): Expr => ({
    ...build.constant(type.type!, BigInt(value)),
    byteorder: 'big',
    len: 8,
  });
  if (types.length === 1) {
    push(ctx, type, constant(types[0]));
    return;
  }
  const elements = types.map((value) => ({ kind: 'element' as const, key: constant(value) }));
  const set = {
    family: ctx.place,
    table: ctx.table,
    name: '__set%d',
    id: ctx.world.nextSetId(),
    flags: uapi.NFT_SET_ANONYMOUS | uapi.NFT_SET_CONSTANT,
    key: type,
    elements: { kind: 'set' as const, elements, type: type.type! },
    empty: false,
    size: types.length,
    stmts: [],
  };
  ctx.world.addAnonymous(set);
  push(ctx, type, { kind: 'setref', name: set.name, set, type: type.type!, byteorder: 'big', len: 8 });
}

function constantValues(right: Expr): bigint[] {
  if (right.kind === 'value') return [right.value];
  if (right.kind === 'set') return right.elements.flatMap((e) => (e.key.kind === 'value' ? [e.key.value] : []));
  if (right.kind === 'setref' && right.set !== undefined && right.set.flags & uapi.NFT_SET_ANONYMOUS)
    return (right.set.elements?.elements ?? []).flatMap((e) => (e.key.kind === 'value' ? [e.key.value] : []));
  return [];
}

/** Learns from a comparison which protocols the rest of the rule can rely on. */
export function updateProtocols(ctx: Context, rel: RelationalExpr): void {
  const tunnel = rel.left.kind === 'payload' || rel.left.kind === 'meta' ? rel.left.tunnel : undefined;
  learnAll(tunnel === undefined ? ctx : ctx.inner(tunnel), rel);
}

function learnAll(ctx: Context, rel: RelationalExpr): void {
  if (rel.op !== '==' && rel.op !== 'implicit') return;
  const { left } = rel;
  if (left.kind !== 'meta' && left.kind !== 'payload' && left.kind !== 'ct') return;
  for (const value of constantValues(rel.right)) learn(ctx, left, Number(value));
}

function learn(ctx: Context, left: Expr, number: number): void {
  const first = familyProto[ctx.family];
  if (left.kind === 'meta') {
    switch (left.key) {
      case uapi.NFT_META_IFTYPE:
        if (first.base < BASE_NETWORK && first.desc.length > 0) return;
        ctx.setProtocol(BASE_LL, number === 1 ? proto('ether') : proto('unknown'), left.loc);
        return;
      case uapi.NFT_META_NFPROTO: {
        const link = ctx.protocols[BASE_LL].desc;
        if (link !== undefined && link.name !== 'inet') return;
        if (first.base > BASE_LL) return;
        const desc = number === 2 ? proto('ip') : number === 10 ? proto('ip6') : proto('unknown');
        ctx.setProtocol(BASE_NETWORK, desc, left.loc);
        return;
      }
      case uapi.NFT_META_L4PROTO:
        ctx.setProtocol(BASE_TRANSPORT, upperProto(proto('inet-service'), number) ?? proto('unknown'), left.loc);
        return;
      case uapi.NFT_META_PROTOCOL: {
        if (first.base !== BASE_LL) return;
        if (ctx.family !== 'bridge' && ctx.family !== 'netdev') return;
        const desc = upperProto(proto('netdev'), number);
        if (desc !== undefined) ctx.setProtocol(desc.base, desc, left.loc);
        else ctx.setProtocol(BASE_NETWORK, proto('unknown'), left.loc);
        return;
      }
    }
    return;
  }
  if (left.kind === 'ct') {
    if (left.key === uapi.NFT_CT_PROTOCOL)
      ctx.setProtocol(BASE_TRANSPORT, upperProto(proto('inet-service'), number) ?? proto('unknown'), left.loc);
    else if (
      left.key === uapi.NFT_CT_L3PROTOCOL &&
      ctx.family === 'inet' &&
      ctx.protocols[BASE_NETWORK].desc === undefined
    )
      ctx.setProtocol(BASE_NETWORK, number === 2 ? proto('ip') : proto('ip6'), left.loc);
    return;
  }
  if (left.kind !== 'payload' || left.proto === undefined || left.field === undefined) return;
  const desc = left.proto;
  if (desc.fields[left.field].name !== desc.protocolField) return;
  const upper = upperProto(desc, number);
  if (upper === undefined) {
    if (desc.base < BASE_TRANSPORT) ctx.setProtocol(desc.base + 1, proto('unknown'), left.loc);
    return;
  }
  if (upper.base === desc.base) {
    if (desc.base !== BASE_LL) return;
    // The tag's fields come behind everything that was read so far.
    ctx.protocols[BASE_LL].offset += desc.length;
  }
  ctx.setProtocol(upper.base, upper, left.loc);
}

/** A field behind a tunnel: the tunnel must be there, then the inner packet has dependencies of its own. */
function checkInner(ctx: Context, expr: PayloadExpr, tunnel: ProtoDesc): PayloadExpr {
  const transport = ctx.protocols[BASE_TRANSPORT];
  if (tunnel.base === BASE_TUNNEL) {
    if (transport.desc === undefined) fail(expr, 'no transport protocol specified');
    else if (transport.desc.name !== 'udp')
      fail(expr, `conflicting protocols specified: ${transport.desc.name} vs. ${tunnel.name}`, transport.loc);
  } else if (transport.desc === undefined || transport.desc.length === 0) {
    payloadDependency(ctx, { ...build.payload(proto('gre'), 0), proto: tunnel, ...(expr.loc && { loc: expr.loc }) });
    transport.desc = tunnel;
  } else if (transport.desc.name !== 'gre' && transport.desc !== tunnel)
    fail(expr, `conflicting protocols specified: ${transport.desc.name} vs. ${tunnel.name}`, transport.loc);
  if (expr.proto === tunnel) return expr;
  if (expr.base === BASE_LL && !(tunnel.inner!.flags & uapi.NFT_INNER_LL))
    fail(expr, `cannot find link layer header behind ${tunnel.name}`);
  const { tunnel: _, ...plain } = expr;
  return { ...checkPayload(ctx.inner(tunnel), plain), tunnel };
}

/** Checks `expr` against what the rule knows, and adds what is missing. The offset may move (stacked VLANs). */
export function checkPayload(ctx: Context, expr: PayloadExpr): PayloadExpr {
  if (expr.tunnel !== undefined) return checkInner(ctx, expr, expr.tunnel);
  const upper = expr.proto;
  if (upper === undefined || expr.raw || upper.name === 'th') return expr;
  const state = ctx.protocols[expr.base];
  let desc = state.desc;
  if (desc === undefined || (desc.length === 0 && desc.base === expr.base && desc.name !== 'unknown')) {
    payloadDependency(ctx, expr);
    desc = state.desc;
  }
  let adjusted = expr;
  if (desc !== upper && desc !== undefined) {
    if (expr.base === BASE_LL && desc.base === BASE_LL) {
      if (upper.name === 'ether') return expr;
      const number = upperNumber(desc, upper);
      const network = ctx.protocols[BASE_NETWORK].desc;
      // In ip and ip6 tables the network protocol was not said, it is the table's.
      const own = familyProto[ctx.family];
      if (number < 0 || (network !== undefined && (own.base !== BASE_NETWORK || network !== own.desc)))
        fail(expr, `conflicting protocols specified: ${(network ?? desc).name} vs. ${upper.name}`, state.loc);
      addDependency(ctx, desc, upper, expr);
      desc = state.desc;
    } else fail(expr, `conflicting protocols specified: ${desc.name} vs. ${upper.name}`, state.loc);
  } else if (new Set(state.all).size > 1 && expr.base === BASE_TRANSPORT) {
    // Of network protocols said one after another the last counts; transports must all agree.
    const other = state.all.find((p) => p !== upper)!;
    fail(expr, `conflicting protocols specified: ${other.name} vs. ${upper.name}`, state.loc);
  }
  if (expr.base === BASE_LL && upper.name === 'vlan') adjusted = { ...expr, offset: expr.offset + ctx.linkOffset() };
  const icmp = upper.fields[expr.field!].icmp;
  if (icmp !== undefined) icmpDependency(ctx, expr, icmp);
  return adjusted;
}
