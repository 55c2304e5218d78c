/**
 * Statements as JSON (libnftables-json(5), "STATEMENTS").
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Family, LimitStmt, LogStmt, NatStmt, Stmt } from '../ast.ts';
import { ctKeys, metaKeys } from '../keys.ts';
import { exthdr, flagList, jsonExpr } from './expression.ts';
import type { Json, JsonContext, JsonObject } from './types.ts';

const UNITS: Readonly<Record<string, string>> = {
  '1': 'second',
  '60': 'minute',
  '3600': 'hour',
  '86400': 'day',
  '604800': 'week',
};
const LEVELS: readonly string[] = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug', 'audit'];
const LOG_ALL = 0x2f;
const LOG_DEFAULT_LEVEL = 4;
const OBJECTS: Readonly<Record<number, string>> = {
  [U.NFT_OBJECT_COUNTER]: 'counter',
  [U.NFT_OBJECT_QUOTA]: 'quota',
  [U.NFT_OBJECT_CT_HELPER]: 'ct helper',
  [U.NFT_OBJECT_LIMIT]: 'limit',
  [U.NFT_OBJECT_CT_TIMEOUT]: 'ct timeout',
  [U.NFT_OBJECT_SECMARK]: 'secmark',
  [U.NFT_OBJECT_CT_EXPECT]: 'ct expectation',
  [U.NFT_OBJECT_SYNPROXY]: 'synproxy',
};

/** One word alone, several as a list. */
const words = (list: readonly string[]): Json => (list.length === 1 ? list[0] : [...list]);

function inUnits(bytes: bigint): { readonly value: number; readonly unit: string } {
  const units = ['bytes', 'kbytes', 'mbytes'];
  let rest = bytes;
  let at = 0;
  while (at < 2 && rest !== 0n && rest % 1024n === 0n) {
    rest /= 1024n;
    at++;
  }
  return { value: Number(rest), unit: units[at] };
}

/** A limit's figures. */
export function jsonLimit(s: LimitStmt): JsonObject {
  const per = UNITS[String(s.unit)] ?? 'error';
  const inverse: JsonObject = s.over ? { inv: true } : {};
  if (s.type !== U.NFT_LIMIT_PKT_BYTES) return { rate: Number(s.rate), burst: s.burst, per, ...inverse };
  const rate = inUnits(s.rate);
  const burst = inUnits(BigInt(s.burst));
  return {
    rate: rate.value,
    burst: burst.value,
    per,
    ...inverse,
    rate_unit: rate.unit,
    burst_unit: burst.unit,
  };
}

function log(s: LogStmt, options: JsonContext): Json {
  const bits = s.flags ?? 0;
  const flags = [
    bits & 1 ? 'tcp sequence' : '',
    bits & 2 ? 'tcp options' : '',
    bits & 4 ? 'ip options' : '',
    bits & 8 ? 'skuid' : '',
    bits & 0x20 ? 'ether' : '',
  ].filter((flag) => flag !== '');
  const all = (bits & LOG_ALL) === LOG_ALL;
  const out: JsonObject = {
    ...(s.prefix !== undefined && { prefix: jsonExpr(s.prefix, options) }),
    ...(s.group !== undefined && { group: s.group }),
    ...(s.snaplen && { snaplen: s.snaplen }),
    ...(s.qthreshold && { 'queue-threshold': s.qthreshold }),
    ...(s.level !== undefined && s.level !== LOG_DEFAULT_LEVEL && { level: LEVELS[s.level] ?? 'unknown' }),
    ...((all || flags.length > 0) && { flags: all ? 'all' : words(flags) }),
  };
  return { log: Object.keys(out).length === 0 ? null : out };
}

function nat(s: NatStmt, options: JsonContext): Json {
  const flags = [
    s.flags & 4 ? 'random' : '',
    s.flags & 16 ? 'fully-random' : '',
    s.flags & 8 ? 'persistent' : '',
  ].filter((flag) => flag !== '');
  const out: JsonObject = {
    ...(s.familyWritten && { family: s.family === 10 ? 'ip6' : 'ip' }),
    ...(s.addr !== undefined && { addr: jsonExpr(s.addr, options) }),
    ...(s.proto !== undefined && { port: jsonExpr(s.proto, options) }),
    ...(flags.length > 0 && { flags: words(flags) }),
    ...(s.typeFlags & 1 && { type_flags: 'prefix' }),
  };
  const word = { snat: 'snat', dnat: 'dnat', masq: 'masquerade', redir: 'redirect' }[s.nat];
  return { [word]: Object.keys(out).length === 0 ? null : out };
}

/** A statement as JSON. */
export function jsonStatement(s: Stmt, options: JsonContext, family: Family): Json {
  switch (s.kind) {
    case 'expr':
    case 'verdict':
      return jsonExpr(s.expr, options);
    case 'counter':
      return { counter: options.stateless ? null : { packets: Number(s.packets), bytes: Number(s.bytes) } };
    case 'last':
      return { last: s.used === undefined || options.stateless ? null : { used: s.used } };
    case 'connlimit':
      return { 'ct count': { val: s.count, ...(s.over && { inv: true }) } };
    case 'quota': {
      const bytes = inUnits(s.bytes);
      const used = inUnits(s.used);
      return {
        quota: {
          val: bytes.value,
          val_unit: bytes.unit,
          ...(s.over && { inv: true }),
          ...(!options.stateless && s.used > 0n && { used: used.value, used_unit: used.unit }),
        },
      };
    }
    case 'limit':
      return { limit: jsonLimit(s) };
    case 'log':
      return log(s, options);
    case 'reject':
      if (s.type === U.NFT_REJECT_TCP_RST) return { reject: { type: 'tcp reset' } };
      if (s.icmp === undefined || s.code === undefined) {
        const usual = s.type === U.NFT_REJECT_ICMPX_UNREACH ? 'icmpx' : family === 'ip6' ? 'icmpv6' : 'icmp';
        return { reject: { type: usual, expr: 'port-unreachable' } };
      }
      return { reject: { type: s.icmp, expr: jsonExpr(s.code, { ...options, release: '1.0.6' }) } };
    case 'nat':
      return nat(s, options);
    case 'tproxy': {
      const named = family === 'inet' && (s.family === 2 || s.family === 10);
      return {
        tproxy: {
          ...(named && { family: s.family === 10 ? 'ip6' : 'ip' }),
          ...(s.addr !== undefined && { addr: jsonExpr(s.addr, options) }),
          ...(s.port !== undefined && { port: jsonExpr(s.port, options) }),
        },
      };
    }
    case 'synproxy': {
      const flags = [s.flags & 8 ? 'timestamp' : '', s.flags & 4 ? 'sack-perm' : ''].filter((flag) => flag !== '');
      const out: JsonObject = {
        ...(s.flags & 1 && { mss: s.mss }),
        ...(s.flags & 2 && { wscale: s.wscale }),
        ...(flags.length > 0 && { flags }),
      };
      return { synproxy: Object.keys(out).length === 0 ? null : out };
    }
    case 'queue': {
      const flags = [s.flags & 1 ? 'bypass' : '', s.flags & 2 ? 'fanout' : ''].filter((flag) => flag !== '');
      const out: JsonObject = {
        ...(s.queue !== undefined && { num: jsonExpr(s.queue, options) }),
        ...(flags.length > 0 && { flags: words(flags) }),
      };
      return { queue: Object.keys(out).length === 0 ? null : out };
    }
    case 'dup':
      return {
        dup: { addr: jsonExpr(s.to, options), ...(s.dev !== undefined && { dev: jsonExpr(s.dev, options) }) },
      };
    case 'fwd':
      return {
        fwd: {
          dev: jsonExpr(s.dev, options),
          ...(s.addr !== undefined && {
            family: s.family === 10 ? 'ip6' : 'ip',
            addr: jsonExpr(s.addr, options),
          }),
        },
      };
    case 'notrack':
      return { notrack: null };
    case 'metaset': {
      const key = metaKeys.find((one) => one.key === s.key)?.name ?? 'unknown';
      return { mangle: { key: { meta: { key } }, value: jsonExpr(s.expr, options) } };
    }
    case 'ctset': {
      const key = ctKeys.find((one) => one.key === s.key)?.name ?? 'unknown';
      const dir: JsonObject = s.direction === undefined ? {} : { dir: s.direction === 0 ? 'original' : 'reply' };
      const value = s.key === U.NFT_CT_EVENTMASK ? flagList(s.expr, options) : jsonExpr(s.expr, options);
      return { mangle: { key: { ct: { key, ...dir } }, value } };
    }
    case 'payloadset':
    case 'exthdrset':
      return { mangle: { key: jsonExpr(s.target, options), value: jsonExpr(s.expr, options) } };
    case 'optstrip':
      return { reset: exthdr(s.target, true) };
    case 'dynset': {
      const key = jsonExpr(s.key, options);
      const elem: Json = s.timeout ? { elem: { val: key, timeout: Math.floor(s.timeout / 1000) } } : key;
      const stmts = s.stmts.map((one) => jsonStatement(one, { ...options, stateless: true }, family));
      const rest: JsonObject = stmts.length > 0 ? { stmt: stmts } : {};
      if (s.data !== undefined) {
        return { map: { op: s.op, elem, data: jsonExpr(s.data, options), ...rest, map: `@${s.set.name}` } };
      }
      return { set: { op: s.op, elem, ...rest, set: `@${s.set.name}` } };
    }
    case 'meter': {
      const value = jsonExpr(s.key, options);
      const key: Json = s.timeout ? { elem: { val: value, timeout: Math.floor(s.timeout / 1000) } } : value;
      const stmt = jsonStatement(s.stmt, { ...options, stateless: true }, family);
      return { meter: { key, stmt, ...(s.size && { size: s.size }), name: s.name } };
    }
    case 'objref':
      return { [OBJECTS[s.type] ?? 'unknown']: jsonExpr(s.expr, options) };
    case 'flowoffload':
      return { flow: { op: 'add', flowtable: `@${s.name}` } };
    case 'chainblock':
      return {
        [s.verdict]: { chain: s.rules.map((rule) => rule.stmts.map((one) => jsonStatement(one, options, family))) },
      };
    case 'xt':
      return { xt: { type: s.type, name: s.name } };
  }
}
