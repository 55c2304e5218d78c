/**
 * Statements that stand for one kernel expression each.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Stmt } from '../ast.ts';
import * as dt from '../datatype.ts';
import type { KernelExpr } from '../expr/types.ts';
import { BASE_NETWORK, BASE_TRANSPORT } from '../proto.ts';
import type { HeaderContext } from './context.ts';

/** The statement of an expression without registers; undefined for others. */
export function simpleStmt(e: KernelExpr): Stmt | undefined {
  switch (e.name) {
    case 'counter':
      return { kind: 'counter', packets: e.packets, bytes: e.bytes };
    case 'limit':
      return {
        kind: 'limit',
        rate: e.rate,
        unit: e.unit,
        burst: e.burst,
        type: e.type,
        over: (e.flags & U.NFT_LIMIT_F_INV) !== 0,
      };
    case 'quota':
      return { kind: 'quota', bytes: e.bytes, used: e.consumed, over: (e.flags & U.NFT_QUOTA_F_INV) !== 0 };
    case 'connlimit':
      return { kind: 'connlimit', count: e.count, over: (e.flags & 1) !== 0 };
    case 'last':
      return { kind: 'last', used: e.set ? Number(e.msecs ?? 0n) : undefined };
    case 'log':
      return {
        kind: 'log',
        prefix: e.prefix === undefined ? undefined : { kind: 'symbol', text: e.prefix, quoted: true },
        group: e.group,
        snaplen: e.snaplen,
        qthreshold: e.qthreshold,
        level: e.level,
        flags: e.flags,
      };
    case 'notrack':
      return { kind: 'notrack' };
    case 'synproxy':
      return { kind: 'synproxy', mss: e.mss, wscale: e.wscale, flags: e.flags };
    case 'flow_offload':
      return { kind: 'flowoffload', name: e.table };
    case 'match':
    case 'target':
      return { kind: 'xt', type: e.name, name: e.xt, rev: e.rev, info: e.info };
    default:
      return undefined;
  }
}

/** `reject`, with the word for its code; a match that the code implies is left out. */
export function rejectStmt(ctx: HeaderContext, type: number, code: number): Stmt {
  const of = (t: dt.Datatype): Stmt => ({
    kind: 'reject',
    type,
    icmp: t === dt.icmpCodeType ? 'icmp' : t === dt.icmpv6CodeType ? 'icmpv6' : 'icmpx',
    code: { kind: 'value', value: BigInt(code), type: t, byteorder: 'big', len: 8 },
  });
  if (type === U.NFT_REJECT_TCP_RST) {
    if (ctx.family === 'ip' || ctx.family === 'ip6') ctx.release(BASE_TRANSPORT);
    return { kind: 'reject', type };
  }
  if (type === U.NFT_REJECT_ICMPX_UNREACH) return of(dt.icmpxCodeType);
  // The usual code of a table with one network protocol is not worth a word.
  if (ctx.family === 'ip') return code === 3 ? { kind: 'reject', type } : of(dt.icmpCodeType);
  if (ctx.family === 'ip6') return code === 4 ? { kind: 'reject', type } : of(dt.icmpv6CodeType);
  const network = ctx.desc(BASE_NETWORK)?.name;
  ctx.release(BASE_NETWORK);
  return of(network === 'ip6' ? dt.icmpv6CodeType : dt.icmpCodeType);
}
