/**
 * Expressions as JSON (libnftables-json(5), "EXPRESSIONS").
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, ExthdrExpr, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import { ctKeys, metaKeys, rtKeys, socketKeys } from '../keys.ts';
import type { Json, JsonContext, JsonObject } from './types.ts';

const BASES: readonly string[] = ['', 'll', 'nh', 'th', 'ih'];
const FIB_FLAGS: readonly (readonly [number, string])[] = [
  [U.NFTA_FIB_F_SADDR, 'saddr'],
  [U.NFTA_FIB_F_DADDR, 'daddr'],
  [U.NFTA_FIB_F_MARK, 'mark'],
  [U.NFTA_FIB_F_IIF, 'iif'],
  [U.NFTA_FIB_F_OIF, 'oif'],
];
const FIB_RESULTS: readonly string[] = ['', 'oif', 'oifname', 'type'];
const XFRM_KEYS: readonly string[] = ['', 'daddr', 'daddr', 'saddr', 'saddr', 'reqid', 'spi'];
/** Types whose values are text; others are numbers unless they have a name. */
const TEXT: ReadonlySet<dt.Datatype> = new Set([
  dt.ipaddrType,
  dt.ip6addrType,
  dt.etheraddrType,
  dt.lladdrType,
  dt.inetProtoType,
  dt.ifindexType,
  dt.hourType,
  dt.dateType,
  dt.cgroupv2Type,
  dt.classidType,
]);

const unquoted = (text: string): string => text.replace(/^"(.*)"$/, '$1');

/** Larger numbers have no JSON form that the library reads back. */
const MAX_INTEGER = (1n << 63n) - 1n;

/** ICMP codes have names in old releases only. */
const codeAsNumber = (type: dt.Datatype, options: JsonContext): boolean =>
  options.release === '1.1.0' && (type === dt.icmpCodeType || type === dt.icmpv6CodeType);

function one(type: dt.Datatype, value: bigint, len: number, options: JsonContext): Json {
  if (dt.isA(type, dt.stringType)) return dt.valueString(value);
  if (type === dt.booleanType) return value !== 0n;
  if (type === dt.timeType) return Number(value / 1000n);
  if (type === dt.ifindexType) return unquoted(dt.printValue(type, value, len, options));
  const named = TEXT.has(type) || type.symbols?.some(([, number]) => number === value);
  if (!named || codeAsNumber(type, options)) return value > MAX_INTEGER ? `0x${value.toString(16)}` : Number(value);
  const text = unquoted(dt.printValue(type, value, len, options));
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** Flags of a value, or the value itself. */
function constant(e: ValueExpr, options: JsonContext): Json {
  const type = e.type ?? dt.integerType;
  const len = e.len || type.size;
  if (type === dt.ctLabelType) return words(labelBits(e.value));
  if (!dt.isA(type, dt.bitmaskType) || type.symbols === undefined) return one(type, e.value, len, options);
  const bits = flagBits(e, type, options);
  if (bits.length === 0) return 0;
  return joined(bits, options);
}

const words = (list: readonly Json[]): Json => (list.length === 1 ? list[0] : list);

function labelBits(value: bigint): number[] {
  const bits: number[] = [];
  for (let bit = 0; bit < 128; bit++) if ((value >> BigInt(bit)) & 1n) bits.push(bit);
  return bits;
}

/** Several flags: old releases nest two and two. */
function joined(bits: readonly Json[], options: JsonContext): Json {
  if (bits.length > 1 && options.release === '1.1.0') return { '|': bits };
  return bits.reduce((left, right): Json => ({ '|': [left, right] }));
}

function flagBits(e: ValueExpr, type: dt.Datatype, options: JsonContext): Json[] {
  const len = e.len || type.size;
  const bits: Json[] = [];
  for (let bit = 0; e.value >> BigInt(bit) > 0n; bit++) {
    if ((e.value >> BigInt(bit)) & 1n) bits.push(one(type, 1n << BigInt(bit), len, options));
  }
  return bits;
}

/** Several flags as a list. */
export function flagList(e: Expr, options: JsonContext): Json {
  const { type } = e;
  if (e.kind !== 'value' || !dt.isA(type, dt.bitmaskType) || type?.symbols === undefined) return jsonExpr(e, options);
  const bits = flagBits(e, type, options);
  return bits.length > 1 ? bits : jsonExpr(e, options);
}

export function exthdr(e: ExthdrExpr, reset = false): Json {
  if (e.op === 'dccp') return { 'dccp option': { type: e.hdr } };
  const word = { ipv6: 'exthdr', tcpopt: 'tcp option', ipv4: 'ip option', sctp: 'sctp chunk' }[e.op];
  if (e.op === 'tcpopt' && e.desc?.fields.length === 0 && e.desc.name === String(e.hdr))
    return { [word]: { base: e.hdr, offset: 0, len: reset ? 0 : 8 } };
  if (e.raw && !e.present) return { [word]: { base: e.hdr, offset: e.offset, len: e.len ?? 0 } };
  const field = e.present || e.field === undefined ? undefined : e.desc?.fields[e.field]?.name;
  return { [word]: { name: e.desc?.name ?? String(e.hdr), ...(field !== undefined && { field }) } };
}

/** An expression as JSON. */
export function jsonExpr(e: Expr, options: JsonContext): Json {
  switch (e.kind) {
    case 'symbol':
      return e.text;
    case 'value':
      return constant(e, options);
    case 'verdict': {
      const target = e.chain === undefined ? null : { target: jsonExpr(e.chain, options) };
      return { [e.verdict]: target };
    }
    case 'payload':
      if (e.proto === undefined || e.field === undefined) {
        return { payload: { base: BASES[e.base] ?? '', offset: e.offset, len: e.len ?? 0 } };
      }
      return {
        payload: {
          protocol: e.proto.name,
          field: e.proto.fields[e.field].name,
          ...(e.tunnel && { tunnel: e.tunnel.name }),
        },
      };
    case 'exthdr':
      return exthdr(e);
    case 'meta':
      return { meta: { key: metaKeys.find((key) => key.key === e.key)?.name ?? 'unknown' } };
    case 'ct': {
      const name = ctKeys.find((key) => key.key === e.key)?.name ?? 'unknown';
      return { ct: { key: name, ...(e.direction !== undefined && { dir: e.direction === 0 ? 'original' : 'reply' }) } };
    }
    case 'rt': {
      const family = e.key === U.NFT_RT_NEXTHOP4 ? 'ip' : e.key === U.NFT_RT_NEXTHOP6 ? 'ip6' : undefined;
      const key = rtKeys.find((one) => one.key === e.key)?.name ?? 'unknown';
      return { rt: { key, ...(family !== undefined && { family }) } };
    }
    case 'socket':
      return { socket: { key: socketKeys.find((key) => key.key === e.key)?.name ?? 'unknown' } };
    case 'fib': {
      const flags = FIB_FLAGS.filter(([bit]) => e.flags & bit).map(([, name]) => name);
      return { fib: { result: FIB_RESULTS[e.result] ?? '', flags } };
    }
    case 'numgen':
      return { numgen: { mode: e.mode === U.NFT_NG_RANDOM ? 'random' : 'inc', mod: e.mod, offset: e.offset } };
    case 'hash': {
      const offset: JsonObject = e.offset ? { offset: e.offset } : {};
      if (e.operand === undefined) return { symhash: { mod: e.mod, ...offset } };
      const seed: JsonObject = e.seed === undefined ? {} : { seed: e.seed };
      return { jhash: { mod: e.mod, expr: jsonExpr(e.operand, options), ...offset, ...seed } };
    }
    case 'xfrm': {
      const family = e.key === 1 || e.key === 3 ? 'ip' : e.key === 2 || e.key === 4 ? 'ip6' : undefined;
      const dir = e.direction === 0 ? 'in' : 'out';
      return { ipsec: { key: XFRM_KEYS[e.key] ?? '', ...(family && { family }), dir, spnum: e.spnum } };
    }
    case 'osf': {
      const ttl = ['', 'loose', 'skip'][e.ttl];
      return { osf: { key: e.version ? 'version' : 'name', ...(ttl && { ttl }) } };
    }
    case 'binary':
      return { [e.op]: [jsonExpr(e.left, options), jsonExpr(e.right, options)] };
    case 'unary':
      return jsonExpr(e.arg, options);
    case 'relational': {
      const flags = dt.isA(e.left.type, dt.bitmaskType) && (e.right.kind === 'value' || e.right.kind === 'list');
      const op = e.op === 'implicit' ? (flags ? 'in' : '==') : e.op;
      const present = e.left.kind === 'exthdr' && e.left.present && e.right.kind === 'value';
      const right: Json = present ? (e.right as ValueExpr).value !== 0n : flagList(e.right, options);
      return { match: { op, left: jsonExpr(e.left, options), right } };
    }
    case 'flagcmp': {
      const list = (one: Expr): Json => {
        const shown = flagList(one, options);
        return options.release === '1.1.0' && Array.isArray(shown) ? joined(shown as readonly Json[], options) : shown;
      };
      const left: Json = { '&': [jsonExpr(e.expr, options), list(e.mask)] };
      return { match: { op: e.op, left, right: list(e.value) } };
    }
    case 'prefix':
      return { prefix: { addr: jsonExpr(e.expr, options), len: e.prefix } };
    case 'range':
      return { range: [jsonExpr(e.left, options), jsonExpr(e.right, options)] };
    case 'concat':
      return { concat: e.parts.map((part) => jsonExpr(part, options)) };
    case 'list':
      return e.items.map((item) => jsonExpr(item, options));
    case 'catchall':
      return '*';
    case 'element':
      return jsonElement(e, options);
    case 'set':
      return { set: e.elements.map((element) => jsonElement(element, options)) };
    case 'setref':
      return `@${e.name}`;
    case 'map':
      return {
        [e.vmap || e.type === dt.verdictType ? 'vmap' : 'map']: {
          key: jsonExpr(e.key, options),
          data: jsonExpr(e.mappings, options),
        },
      };
    case 'variable':
      return jsonExpr(e.value, options);
  }
}

/** A member of a set; of a map a pair. */
export function jsonElement(e: ElementExpr, options: JsonContext): Json {
  const value = jsonExpr(e.key, options);
  const expires: JsonObject = !options.stateless && e.expires ? { expires: Math.floor(e.expires / 1000) } : {};
  const extras: JsonObject = {
    ...(e.timeout && { timeout: Math.floor(e.timeout / 1000) }),
    ...expires,
    ...(e.comment !== undefined && { comment: e.comment }),
    // Of several statements the first one is shown.
    ...((e.stmts?.[0] ? options.statement(e.stmts[0], options) : {}) as JsonObject),
  };
  const key: Json = Object.keys(extras).length === 0 ? value : { elem: { val: value, ...extras } };
  return e.data === undefined ? key : [key, jsonExpr(e.data, options)];
}
