/**
 * Expressions as text, in the words and the order that `nft list` uses.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, PayloadExpr, Stmt } from '../ast.ts';
import * as dt from '../datatype.ts';
import { ctKeys, metaKeys, rtKeys, socketKeys } from '../keys.ts';
import { formatTime } from '../time.ts';

export type PrintContext = dt.PrintOptions & {
  /** -s: no counters and no other state. */
  readonly stateless?: boolean;
  /** Writes statements (of set elements); set by print/stmt.ts. */
  readonly stmt: (s: Stmt, o: PrintContext) => string;
};

const BASE_WORDS: readonly string[] = ['', 'll', 'nh', 'th', 'ih'];
const BARE_META: ReadonlySet<number> = new Set([
  U.NFT_META_IIF,
  U.NFT_META_OIF,
  U.NFT_META_IIFNAME,
  U.NFT_META_OIFNAME,
  U.NFT_META_IIFGROUP,
  U.NFT_META_OIFGROUP,
]);

/** A value in its type. */
export function value(e: Extract<Expr, { kind: 'value' }>, o: PrintContext): string {
  const type = e.type ?? dt.integerType;
  const len = e.len || type.size;
  if (type === dt.integerType && len > 64) return `0x${e.value.toString(16)}`;
  return dt.printValue(type, e.value, len, o);
}

function quoted(text: string): string {
  return `"${text}"`;
}

function payload(e: PayloadExpr): string {
  if (e.proto && e.field !== undefined) {
    const tunnel = e.tunnel === undefined || e.tunnel === e.proto ? '' : `${e.tunnel.name} `;
    return `${tunnel}${e.proto.name} ${e.proto.fields[e.field].name}`;
  }
  return `@${BASE_WORDS[e.base]},${e.offset},${e.len}`;
}

function exthdr(e: Extract<Expr, { kind: 'exthdr' }>): string {
  const field = e.desc && e.field !== undefined ? e.desc.fields[e.field].name : undefined;
  switch (e.op) {
    case 'tcpopt': {
      if (e.desc === undefined || (e.raw && !e.present)) return `tcp option @${e.hdr},${e.offset},${e.len}`;
      return `tcp option ${e.desc.name}${field === undefined ? '' : ` ${field}`}`;
    }
    case 'ipv4':
      return `ip option ${e.desc?.name ?? `@${e.hdr}`}${field === undefined ? '' : ` ${field}`}`;
    case 'dccp':
      return `dccp option ${e.hdr}`;
    case 'sctp':
      return `sctp chunk ${e.desc?.name ?? `@${e.hdr}`}${field === undefined ? '' : ` ${field}`}`;
    default:
      if (field === undefined)
        return e.present ? `exthdr ${e.desc?.name ?? e.hdr}` : `@exthdr,${e.hdr},${e.offset},${e.len}`;
      return `${e.desc?.name} ${field}`;
  }
}

const FIB_FLAGS: readonly (readonly [number, string])[] = [
  [U.NFTA_FIB_F_SADDR, 'saddr'],
  [U.NFTA_FIB_F_DADDR, 'daddr'],
  [U.NFTA_FIB_F_MARK, 'mark'],
  [U.NFTA_FIB_F_IIF, 'iif'],
  [U.NFTA_FIB_F_OIF, 'oif'],
];
const FIB_RESULTS: readonly string[] = ['', 'oif', 'oifname', 'type'];
const XFRM_KEYS: readonly string[] = ['', 'ip daddr', 'ip6 daddr', 'ip saddr', 'ip6 saddr', 'reqid', 'spi'];

/** Elements with their data and state. */
export function element(e: ElementExpr, o: PrintContext): string {
  let out = expr(e.key, o);
  for (const s of e.stmts ?? []) out += ` ${o.stmt(s, o)}`;
  if (e.timeout) out += ` timeout ${formatTime(BigInt(e.timeout))}`;
  if (!o.stateless && e.expires) out += ` expires ${formatTime(BigInt(e.expires))}`;
  if (e.comment !== undefined) out += ` comment ${quoted(e.comment)}`;
  if (e.data) out += ` : ${expr(e.data, o)}`;
  return out;
}

const PRECEDENCE: Readonly<Record<string, number>> = { '<<': 1, '>>': 1, '&': 2, '^': 3, '|': 4 };

/** An operand, in parentheses when its operator binds less than the one around it. */
function operand(e: Expr, op: string, o: PrintContext): string {
  const flags =
    e.kind === 'value' && e.type !== undefined && dt.isA(e.type, dt.bitmaskType) ? flagText(e, o) : undefined;
  const text = flags ?? expr(e, o);
  if (e.kind === 'binary' && PRECEDENCE[e.op] > PRECEDENCE[op]) return `(${text})`;
  if (flags?.includes(' | ') && op !== '|') return `(${flags})`;
  return text;
}

/** Flags of a value joined by " | ", as `nft` writes constants of bitmask types. */
export function flagText(e: Extract<Expr, { kind: 'value' }>, o: PrintContext): string {
  const type = e.type ?? dt.integerType;
  if (o.numericSymbol) return value(e, o);
  const bits: string[] = [];
  const len = e.len || type.size;
  for (let bit = 0; bit < len; bit++) {
    if ((e.value >> BigInt(bit)) & 1n) bits.push(dt.printValue(type, 1n << BigInt(bit), len, o));
  }
  return bits.length === 0 ? value(e, o) : bits.join(' | ');
}

const isFlags = (e: Expr): boolean =>
  e.kind === 'value' && e.type !== undefined && dt.isA(e.type, dt.bitmaskType) && e.type.symbols !== undefined;

/** An expression as text. */
export function expr(e: Expr, o: PrintContext): string {
  switch (e.kind) {
    case 'symbol':
      return e.quoted ? quoted(e.text) : e.text;
    case 'value':
      return isFlags(e) ? flagText(e, o) : value(e, o);
    case 'verdict':
      return e.chain ? `${e.verdict} ${expr(e.chain, o)}` : e.verdict;
    case 'payload':
      return payload(e);
    case 'exthdr':
      return exthdr(e);
    case 'meta': {
      const name = metaKeys.find((k) => k.key === e.key)?.name ?? String(e.key);
      return BARE_META.has(e.key) ? name : `meta ${name}`;
    }
    case 'ct': {
      const address = e.key === U.NFT_CT_SRC || e.key === U.NFT_CT_DST;
      const family = address && e.nfproto ? (e.nfproto === 10 ? 'ip6 ' : 'ip ') : '';
      const name = family + (ctKeys.find((k) => k.key === e.key)?.name ?? String(e.key));
      return `ct ${e.direction === undefined ? '' : e.direction === 0 ? 'original ' : 'reply '}${name}`;
    }
    case 'rt': {
      const name = rtKeys.find((k) => k.key === e.key)?.name ?? String(e.key);
      const family = e.key === U.NFT_RT_NEXTHOP4 ? 'ip ' : e.key === U.NFT_RT_NEXTHOP6 ? 'ip6 ' : '';
      return `rt ${family}${name}`;
    }
    case 'socket': {
      const name = socketKeys.find((k) => k.key === e.key)?.name ?? String(e.key);
      return `socket ${name}${e.key === U.NFT_SOCKET_CGROUPV2 ? ` level ${e.level ?? 0}` : ''}`;
    }
    case 'fib': {
      const flags = FIB_FLAGS.filter(([bit]) => e.flags & bit).map(([, name]) => name);
      return `fib ${flags.join(' . ')} ${FIB_RESULTS[e.result]}`;
    }
    case 'numgen':
      return `numgen ${e.mode === U.NFT_NG_RANDOM ? 'random' : 'inc'} mod ${e.mod}${e.offset ? ` offset ${e.offset}` : ''}`;
    case 'hash': {
      const offset = e.offset ? ` offset ${e.offset}` : '';
      if (e.operand === undefined) return `symhash mod ${e.mod}${offset}`;
      const seed = e.seed === undefined ? '' : ` seed 0x${e.seed.toString(16)}`;
      return `jhash ${expr(e.operand, o)} mod ${e.mod}${seed}${offset}`;
    }
    case 'xfrm':
      return `ipsec ${e.direction === 0 ? 'in' : 'out'} ${e.spnum ? `spnum ${e.spnum} ` : ''}${XFRM_KEYS[e.key]}`;
    case 'osf':
      return `osf ${e.ttl === 1 ? 'ttl loose ' : e.ttl === 2 ? 'ttl skip ' : ''}${e.version ? 'version' : 'name'}`;
    case 'binary':
      return `${operand(e.left, e.op, o)} ${e.op} ${operand(e.right, e.op, o)}`;
    case 'unary':
      return expr(e.arg, o);
    case 'relational':
      return relational(e, o);
    case 'flagcmp':
      if (o.release === '1.1.0') {
        const mask = list(e.mask, o).replaceAll(',', ' | ');
        const value = list(e.value, o).replaceAll(',', ' | ');
        return `${expr(e.expr, o)} & ${mask.includes('|') ? `(${mask})` : mask} ${e.op} ${value}`;
      }
      return `${expr(e.expr, o)} ${e.op === '!=' ? '!= ' : ''}${list(e.value, o)} / ${list(e.mask, o)}`;
    case 'prefix':
      return `${expr(e.expr, o)}/${e.prefix}`;
    case 'range': {
      // Ends of ranges are numbers, whatever names they have.
      const numeric = { ...o, numericSymbol: true, numericProtocol: true, services: false, inSeconds: true };
      return `${expr(e.left, numeric)}-${expr(e.right, numeric)}`;
    }
    case 'concat':
      return e.parts.map((p) => expr(p, o)).join(' . ');
    case 'list':
      return list(e, o);
    case 'catchall':
      return '*';
    case 'element':
      return element(e, o);
    case 'set':
      return e.elements.length === 0 ? '{ }' : `{ ${e.elements.map((el) => element(el, o)).join(', ')} }`;
    case 'setref':
      return `@${e.name}`;
    case 'map':
      return `${expr(e.key, o)} ${e.vmap ? 'vmap' : 'map'} ${expr(e.mappings, o)}`;
    case 'variable':
      return expr(e.value, o);
  }
}

function list(e: Expr, o: PrintContext): string {
  return e.kind === 'list'
    ? e.items.map((i) => expr(i, o)).join(',')
    : e.kind === 'value' && e.value === 0n
      ? value(e, o)
      : expr(e, o);
}

function relational(e: Extract<Expr, { kind: 'relational' }>, o: PrintContext): string {
  const left = expr(e.left, o);
  // The presence of a header is a match of its own.
  if (e.left.kind === 'exthdr' && e.left.present && e.right.kind === 'value') {
    const word = e.right.value === 0n ? 'missing' : 'exists';
    return `${left} ${e.op === '!=' ? '!= ' : ''}${word}`;
  }
  const binary = e.left.kind === 'binary';
  const op =
    e.op === 'implicit' || (e.op === '==' && !binary)
      ? binary && e.right.kind !== 'set' && e.right.kind !== 'setref'
        ? '== '
        : ''
      : `${e.op} `;
  return `${left} ${op}${expr(e.right, o)}`;
}
