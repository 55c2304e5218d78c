/** NAT, tproxy and reject: statements whose meaning hangs on the network protocol. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Expr, NatStmt, RejectStmt, Stmt, TproxyStmt } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import { BASE_LL, BASE_NETWORK, BASE_TRANSPORT, proto } from '../proto.ts';
import { type Context, type Expect, fail } from './context.ts';
import { updateProtocols } from './dependency.ts';
import { evaluate, evaluateMap, isConstant, settle, toByteOrder } from './expression.ts';

const NFPROTO_INET = 1;
const addressType = (family: number): dt.Datatype => (family === 2 ? dt.ipaddrType : dt.ip6addrType);
const portExpect: Expect = { type: dt.inetServiceType, byteorder: 'big', len: 16 };

function networkFamily(ctx: Context): number | undefined {
  const desc = ctx.protocols[BASE_NETWORK].desc;
  return desc?.name === 'ip' ? 2 : desc?.name === 'ip6' ? 10 : undefined;
}

function natFamily(ctx: Context, stmt: NatStmt): number {
  switch (ctx.family) {
    case 'ip':
    case 'ip6': {
      const own = ctx.family === 'ip' ? 2 : 10;
      if (stmt.family !== undefined && stmt.family !== own) fail(stmt, 'conflicting protocols specified');
      return own;
    }
    case 'inet':
      if (stmt.family !== undefined) return stmt.family;
      if (stmt.addr === undefined) return NFPROTO_INET;
      return (
        networkFamily(ctx) ??
        fail(stmt, `specify \`${stmt.nat} ip' or '${stmt.nat} ip6' in inet tables to disambiguate`)
      );
    default:
      return fail(stmt, 'NAT is only supported for IPv4/IPv6');
  }
}

function hasTransport(expr: Expr | undefined): boolean {
  if (expr === undefined) return false;
  switch (expr.kind) {
    case 'map':
      return hasTransport(expr.key);
    case 'concat':
      return expr.parts.some(hasTransport);
    case 'payload':
      return expr.base === BASE_TRANSPORT && !expr.raw && expr.proto?.name !== 'th';
    default:
      return false;
  }
}

/** The data type of the map in `dnat to KEY map {...}`: an address, or an address and a port. */
function mapExpect(ctx: Context, expr: Expr, family: number): Expect {
  const address = addressType(family);
  const plain: Expect = { type: address, byteorder: 'big', len: address.size };
  if (expr.kind !== 'map') return plain;
  let mappings = expr.mappings;
  while (mappings.kind === 'variable') mappings = mappings.value;
  if (mappings.kind === 'setref') {
    const type = ctx.world.set(ctx.family, ctx.table, mappings.name)?.data?.type;
    return type?.parts === undefined ? plain : { type, byteorder: 'invalid', len: type.size };
  }
  if (mappings.kind !== 'set') return plain;
  const data = mappings.elements[0]?.data;
  if (data?.kind !== 'concat' || data.parts.length !== 2) return plain;
  const type = dt.concatType([address, dt.inetServiceType]);
  const key: Expr = {
    kind: 'concat',
    parts: [build.constant(address, 0n), build.constant(dt.inetServiceType, 0n)],
    type,
    byteorder: 'invalid',
    len: type.size,
  };
  return { type, byteorder: 'invalid', len: type.size, key };
}

/** Evaluates what a statement is given; sets and the like are no values. */
export function argument(ctx: Context, expr: Expr, expect: Expect): Expr {
  const written = expr.kind === 'map' ? evaluateMap(ctx, expr, expect) : evaluate(ctx, expr, expect);
  const value = expect.byteorder === 'host' ? settle(written) : written;
  if (value.kind === 'set' || value.kind === 'setref') fail(expr, 'you cannot use a set here, unknown value to use');
  const got = value.type ?? dt.invalidType;
  const mark = expect.type === dt.markType && dt.rootType(got) === dt.integerType;
  if (
    got.id !== expect.type.id &&
    !mark &&
    got !== dt.integerType &&
    !(isConstant(value) && expect.type === dt.integerType)
  )
    fail(value, `datatype mismatch: expected ${expect.type.desc}, expression has type ${got.desc}`);
  return value;
}

export function evaluateNat(ctx: Context, stmt: NatStmt): Stmt {
  const family = natFamily(ctx, stmt);
  let { addr, proto: port, flags, typeFlags } = stmt;
  if (addr !== undefined) {
    const expect = mapExpect(ctx, addr, family);
    addr = argument(ctx, addr, expect);
    const type = addr.type!;
    if (type.parts !== undefined) typeFlags |= 4;
    if (addr.kind === 'map' && addr.mappings.kind === 'setref') {
      const set = addr.mappings.set!;
      if (set.dataInterval) typeFlags |= 1;
    }
    if (type.parts === undefined) addr = toByteOrder(addr, 'big');
    else if (type.parts.length !== 2) fail(addr, 'transport protocol mapping needs address . port');
    if (typeFlags & 2) flags |= 0x40;
    if (typeFlags & 4 && ctx.protocols[BASE_TRANSPORT].desc === undefined && !hasTransport(stmt.addr))
      fail(stmt, 'transport protocol mapping is only valid after transport protocol match');
  }
  if (port !== undefined) {
    const looked = hasTransport(stmt.addr) || hasTransport(stmt.proto);
    if (ctx.protocols[BASE_TRANSPORT].desc === undefined && !looked)
      fail(port, 'transport protocol mapping is only valid after transport protocol match');
    port = toByteOrder(argument(ctx, port, portExpect), 'big');
    flags |= 2;
  }
  return { ...stmt, family, ...(addr && { addr }), ...(port && { proto: port }), flags, typeFlags };
}

export function evaluateTproxy(ctx: Context, stmt: TproxyStmt): Stmt {
  const own = ctx.family === 'ip' ? 2 : ctx.family === 'ip6' ? 10 : ctx.family === 'inet' ? undefined : -1;
  if (own === -1) fail(stmt, 'tproxy is only supported for IPv4/IPv6/INET');
  let family = stmt.family;
  if (own !== undefined) {
    if (family !== undefined && family !== own) fail(stmt, 'family of statement does not match the table');
    family = own;
  } else if (family === undefined && stmt.addr !== undefined) {
    fail(stmt, 'Conflicting network layer protocols.');
  }
  const known = networkFamily(ctx);
  if (known !== undefined && family !== undefined && known !== family && ctx.family === 'inet')
    fail(stmt, 'Conflicting network layer protocols.');
  if (ctx.protocols[BASE_TRANSPORT].desc === undefined)
    fail(stmt, 'Transparent proxy support requires transport protocol match');
  const addr =
    stmt.addr &&
    toByteOrder(
      argument(ctx, stmt.addr, {
        type: addressType(family ?? 2),
        byteorder: 'big',
        len: addressType(family ?? 2).size,
      }),
      'big',
    );
  if (addr !== undefined && (addr.kind === 'range' || addr.kind === 'prefix'))
    fail(addr, 'Address ranges are not supported for tproxy.');
  const port = stmt.port && toByteOrder(argument(ctx, stmt.port, portExpect), 'big');
  if (port !== undefined && port.kind === 'range') fail(port, 'Port ranges are not supported for tproxy.');
  return {
    ...stmt,
    ...(family !== undefined && { family }),
    ...(ctx.family === 'inet' && { tableFamily: 1 }),
    ...(addr && { addr }),
    ...(port && { port }),
  };
}

/** A dependency of `reject` stands at the head of the rule. */
function headDependency(ctx: Context, left: Expr, type: dt.Datatype, value: number): void {
  const right: Expr = { ...build.constant(type, BigInt(value)), byteorder: left.byteorder!, len: left.len! };
  const expr = { kind: 'relational' as const, op: '==' as const, left, right };
  updateProtocols(ctx, expr);
  ctx.out.unshift({ kind: 'expr', expr });
}

/** Makes sure that the rule is about IPv4 (2) or IPv6 (10). */
function needNetwork(ctx: Context, stmt: RejectStmt, family: number): void {
  const known = networkFamily(ctx);
  const name = family === 2 ? 'ip' : 'ip6';
  const state = ctx.protocols[BASE_NETWORK];
  if (known === family) return;
  if (state.desc !== undefined)
    fail(stmt.code ?? stmt, `conflicting protocols specified: ${state.desc.name} vs ${name}`, state.loc);
  if (ctx.family === 'inet') {
    headDependency(ctx, build.meta(uapi.NFT_META_NFPROTO), dt.nfprotoType, family);
    return;
  }
  if (ctx.family === 'ip' || ctx.family === 'ip6') fail(stmt.code ?? stmt, 'conflicting protocols specified');
  headDependency(ctx, build.meta(uapi.NFT_META_PROTOCOL), dt.ethertypeType, family === 2 ? 0x800 : 0x86dd);
}

export function evaluateReject(ctx: Context, stmt: RejectStmt): Stmt {
  if (ctx.family === 'arp') fail(stmt, 'cannot use reject with this family');
  const link = ctx.protocols[BASE_LL].desc;
  if (ctx.family === 'bridge' && link !== undefined && link.name !== 'ether' && link.name !== 'vlan')
    fail(stmt, 'cannot reject this link layer protocol');
  const known = networkFamily(ctx);
  const state = ctx.protocols[BASE_NETWORK];
  if (ctx.family !== 'inet' && state.desc !== undefined && known === undefined)
    fail(stmt, `cannot reject this network family`);
  if (stmt.type === undefined) {
    const family = ctx.family === 'ip' ? 2 : ctx.family === 'ip6' ? 10 : known;
    if (family === undefined)
      return { ...stmt, icmp: 'icmpx', type: uapi.NFT_REJECT_ICMPX_UNREACH, code: code('icmpx', 1) };
    return {
      ...stmt,
      icmp: family === 2 ? 'icmp' : 'icmpv6',
      type: uapi.NFT_REJECT_ICMP_UNREACH,
      code: family === 2 ? code('icmp', 3) : code('icmpv6', 4),
    };
  }
  if (stmt.type === uapi.NFT_REJECT_TCP_RST) {
    const transport = ctx.protocols[BASE_TRANSPORT];
    if (transport.desc === undefined) {
      headDependency(ctx, build.meta(uapi.NFT_META_L4PROTO), dt.inetProtoType, 6);
    } else if (transport.desc !== proto('tcp'))
      fail(stmt, `you cannot use reject with tcp reset with this protocol`, transport.loc);
    return stmt;
  }
  const type = { icmp: dt.icmpCodeType, icmpv6: dt.icmpv6CodeType, icmpx: dt.icmpxCodeType }[stmt.icmp!];
  const value = evaluate(ctx, stmt.code!, { type, byteorder: 'big', len: 8 });
  if (value.kind !== 'value') fail(stmt.code, 'invalid code');
  if (stmt.icmp === 'icmpx') {
    if (ctx.family === 'ip' || ctx.family === 'ip6') fail(stmt.code, 'cannot use icmpx with this family');
    if ((value as { value: bigint }).value > 3n) fail(stmt.code, 'invalid icmpx code');
  } else needNetwork(ctx, stmt, stmt.icmp === 'icmp' ? 2 : 10);
  return { ...stmt, code: value };
}

function code(table: 'icmp' | 'icmpv6' | 'icmpx', value: number): Expr {
  const type = { icmp: dt.icmpCodeType, icmpv6: dt.icmpv6CodeType, icmpx: dt.icmpxCodeType }[table];
  return build.constant(type, BigInt(value));
}
