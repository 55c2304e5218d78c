/** JSON statements to the syntax tree (libnftables-json(5), "STATEMENTS"): the reverse of `statement.ts`. */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { DynsetStmt, ElementExpr, Expr, LimitStmt, NatStmt, RelOp, Stmt } from '../ast.ts';
import { fieldSetStmt } from '../field-stmt.ts';
import { logLevel } from '../symbols.ts';
import { ExpressionReader, isObject, jsonFail, numberOf, objectOf, stringOf } from './read-expression.ts';
import type { Json, JsonObject } from './types.ts';

const BYTES: Readonly<Record<string, bigint>> = { bytes: 1n, kbytes: 1n << 10n, mbytes: 1n << 20n };
const SECONDS: Readonly<Record<string, bigint>> = {
  second: 1n,
  minute: 60n,
  hour: 3600n,
  day: 86_400n,
  week: 604_800n,
};
const REL_OPS: ReadonlySet<string> = new Set(['==', '!=', '<', '>', '<=', '>=', '!']);
const NAT_FLAGS: Readonly<Record<string, number>> = { random: 4, persistent: 8, 'fully-random': 16 };
const TYPE_FLAGS: Readonly<Record<string, number>> = { interval: 1, prefix: 2, concat: 4 };
const LOG_FLAGS: Readonly<Record<string, number>> = {
  'tcp sequence': 1,
  'tcp options': 2,
  'ip options': 4,
  skuid: 8,
  ether: 0x20,
  all: 0x2f,
};
const OBJECTS: Readonly<Record<string, number>> = {
  counter: U.NFT_OBJECT_COUNTER,
  quota: U.NFT_OBJECT_QUOTA,
  limit: U.NFT_OBJECT_LIMIT,
  synproxy: U.NFT_OBJECT_SYNPROXY,
  'ct helper': U.NFT_OBJECT_CT_HELPER,
  'ct timeout': U.NFT_OBJECT_CT_TIMEOUT,
  'ct expectation': U.NFT_OBJECT_CT_EXPECT,
  secmark: U.NFT_OBJECT_SECMARK,
};
const VERDICTS: ReadonlySet<string> = new Set(['accept', 'drop', 'continue', 'jump', 'goto', 'return']);

/** Words of a list, or of one alone, as bits. */
function bits(json: Json | undefined, table: Readonly<Record<string, number>>, what: string): number {
  if (json === undefined) return 0;
  const list = Array.isArray(json) ? (json as readonly Json[]) : [json];
  return list.reduce<number>((all, one) => {
    const bit = table[String(one)] ?? jsonFail(`Invalid ${what} '${String(one)}'.`);
    return all | bit;
  }, 0);
}

function byteCount(value: Json | undefined, unit: Json | undefined, what: string): bigint {
  const factor = BYTES[String(unit ?? 'bytes')] ?? jsonFail(`Invalid ${what} unit.`);
  return BigInt(numberOf(value, what)) * factor;
}

/** The figures of a limit. */
export function readLimit(o: JsonObject): LimitStmt {
  const inBytes = o.rate_unit !== undefined && o.rate_unit !== 'packets';
  const unit = SECONDS[String(o.per ?? 'second')] ?? jsonFail(`Unknown limit unit '${String(o.per)}'.`);
  const burst =
    o.burst === undefined ? (inBytes ? 0n : 5n) : byteCount(o.burst, inBytes ? o.burst_unit : 'bytes', 'limit burst');
  return {
    kind: 'limit',
    rate: byteCount(o.rate, inBytes ? o.rate_unit : 'bytes', 'limit rate'),
    unit,
    burst: Number(burst),
    type: inBytes ? U.NFT_LIMIT_PKT_BYTES : U.NFT_LIMIT_PKTS,
    over: o.inv === true,
  };
}

const SYNPROXY_FLAGS: Readonly<Record<string, number>> = { 'sack-perm': 4, timestamp: 8 };

/** MSS, window scale and options of a SYN proxy. */
export function readSynproxy(o: JsonObject): { mss: number; wscale: number; flags: number } {
  return {
    mss: o.mss === undefined ? 0 : numberOf(o.mss, 'synproxy mss'),
    wscale: o.wscale === undefined ? 0 : numberOf(o.wscale, 'synproxy wscale'),
    flags:
      (o.mss === undefined ? 0 : 1) | (o.wscale === undefined ? 0 : 2) | bits(o.flags, SYNPROXY_FLAGS, 'synproxy flag'),
  };
}

/** Bytes, used and direction of a quota; `names` are those of the statement or of the object. */
export function readQuota(
  o: JsonObject,
  names: { readonly value: string; readonly unit?: string },
): { bytes: bigint; used: bigint; over: boolean } {
  return {
    bytes: byteCount(o[names.value], names.unit === undefined ? undefined : o[names.unit], 'quota'),
    used: o.used === undefined ? 0n : byteCount(o.used, o.used_unit, 'quota used'),
    over: o.inv === true,
  };
}

export class StatementReader {
  readonly #expr: ExpressionReader = new ExpressionReader((json) => this.read(json));

  get expressions(): ExpressionReader {
    return this.#expr;
  }

  /** One statement: an object with one property, or the word alone. */
  read(json: Json): Stmt {
    if (typeof json === 'string') return this.#typed(json, null);
    const o = objectOf(json, 'a statement');
    const words = Object.keys(o);
    if (words.length !== 1) jsonFail('Malformed object (too many properties): a statement has one.');
    return this.#typed(words[0], o[words[0]]);
  }

  #typed(word: string, value: Json): Stmt {
    if (VERDICTS.has(word)) {
      const target = isObject(value) ? value.target : undefined;
      if (isObject(target) || (isObject(value) && value.chain !== undefined))
        return jsonFail('netloom does not support chains without a name in JSON');
      return { kind: 'verdict', expr: this.#expr.verdict(word, value) };
    }
    const object = OBJECTS[word];
    if (object !== undefined && (typeof value === 'string' || (isObject(value) && value.map !== undefined)))
      return { kind: 'objref', type: object, expr: this.#expr.read(value) };
    const o: JsonObject = isObject(value) ? value : {};
    switch (word) {
      case 'match':
        return this.#match(objectOf(value, word));
      case 'vmap':
        return { kind: 'verdict', expr: this.#expr.read({ vmap: value }) };
      case 'counter':
        return {
          kind: 'counter',
          packets: BigInt(numberOf(o.packets ?? 0, 'counter packets')),
          bytes: BigInt(numberOf(o.bytes ?? 0, 'counter bytes')),
        };
      case 'last':
        return { kind: 'last' };
      case 'ct count':
        return { kind: 'connlimit', count: numberOf(o.val, 'ct count'), over: o.inv === true };
      case 'quota':
        return { kind: 'quota', ...readQuota(o, { value: 'val', unit: 'val_unit' }) };
      case 'limit':
        return readLimit(o);
      case 'mangle': {
        const target = this.#expr.read(o.key);
        return fieldSetStmt(target, this.#expr.read(o.value)) ?? jsonFail('Invalid mangle statement key.');
      }
      case 'log':
        return this.#log(o);
      case 'reject':
        return this.#reject(o);
      case 'snat':
      case 'dnat':
        return this.#nat(word, o);
      case 'masquerade':
        return this.#nat('masq', o);
      case 'redirect':
        return this.#nat('redir', o);
      case 'tproxy':
        return {
          kind: 'tproxy',
          ...(o.family !== undefined && { family: o.family === 'ip6' ? 10 : 2 }),
          ...(o.addr !== undefined && { addr: this.#expr.read(o.addr) }),
          ...(o.port !== undefined && { port: this.#expr.read(o.port) }),
        };
      case 'synproxy':
        return { kind: 'synproxy', ...readSynproxy(o) };
      case 'queue':
        return {
          kind: 'queue',
          ...(o.num !== undefined && { queue: this.#expr.read(o.num) }),
          flags: bits(o.flags, { bypass: 1, fanout: 2 }, 'queue flag'),
        };
      case 'dup':
        return {
          kind: 'dup',
          to: this.#expr.read(o.addr),
          ...(o.dev !== undefined && { dev: this.#expr.read(o.dev) }),
        };
      case 'fwd':
        return {
          kind: 'fwd',
          dev: this.#expr.read(o.dev),
          ...(o.addr !== undefined && { addr: this.#expr.read(o.addr), family: o.family === 'ip6' ? 10 : 2 }),
        };
      case 'notrack':
        return { kind: 'notrack' };
      case 'flow':
        return { kind: 'flowoffload', name: stringOf(o.flowtable, 'flowtable').replace(/^@/, '') };
      case 'set':
      case 'map':
        return this.#dynset(word, o);
      case 'meter': {
        const key = this.#expr.member(o.key);
        return {
          kind: 'meter',
          name: stringOf(o.name, 'meter name'),
          ...(o.size !== undefined && { size: numberOf(o.size, 'meter size') }),
          key: key.key,
          ...(key.timeout !== undefined && { timeout: key.timeout }),
          stmt: this.read(o.stmt),
        };
      }
      case 'reset': {
        const target = this.#expr.read(value);
        if (target.kind !== 'exthdr') return jsonFail('Illegal TCP optstrip argument');
        return { kind: 'optstrip', target };
      }
      case 'xt':
        return jsonFail('unsupported xtables compat expression, use iptables-nft with this ruleset');
      default:
        return jsonFail(`Unknown statement object '${word}'.`);
    }
  }

  #match(o: JsonObject): Stmt {
    const left = this.#expr.read(o.left);
    const right = this.#expr.read(o.right);
    const op = o.op === undefined || o.op === 'in' ? 'implicit' : String(o.op);
    if (op !== 'implicit' && !REL_OPS.has(op)) jsonFail(`Unknown relational operator '${op}'.`);
    return { kind: 'expr', expr: { kind: 'relational', op: op as RelOp, left, right } };
  }

  #log(o: JsonObject): Stmt {
    const level = o.level === undefined ? undefined : logLevel.indexOf(String(o.level));
    if (level === -1) jsonFail(`Invalid log level '${String(o.level)}'.`);
    return {
      kind: 'log',
      ...(o.prefix !== undefined && {
        prefix: { kind: 'symbol', text: stringOf(o.prefix, 'log prefix'), quoted: true },
      }),
      ...(o.group !== undefined && { group: numberOf(o.group, 'log group') }),
      ...(o.snaplen !== undefined && { snaplen: numberOf(o.snaplen, 'log snaplen') }),
      ...(o['queue-threshold'] !== undefined && { qthreshold: numberOf(o['queue-threshold'], 'log queue-threshold') }),
      ...(level !== undefined && { level }),
      ...(o.flags !== undefined && { flags: bits(o.flags, LOG_FLAGS, 'log flag') }),
    };
  }

  #reject(o: JsonObject): Stmt {
    if (o.type === undefined) return { kind: 'reject' };
    if (o.type === 'tcp reset') return { kind: 'reject', type: U.NFT_REJECT_TCP_RST };
    const icmp = String(o.type);
    if (icmp !== 'icmp' && icmp !== 'icmpv6' && icmp !== 'icmpx') return jsonFail(`Unknown reject type '${icmp}'.`);
    const type = icmp === 'icmpx' ? U.NFT_REJECT_ICMPX_UNREACH : U.NFT_REJECT_ICMP_UNREACH;
    return { kind: 'reject', icmp, type, ...(o.expr !== undefined && { code: this.#expr.read(o.expr) }) };
  }

  #nat(nat: NatStmt['nat'], o: JsonObject): Stmt {
    return {
      kind: 'nat',
      nat,
      ...(o.family !== undefined && { family: o.family === 'ip6' ? 10 : 2, familyWritten: true }),
      ...(o.addr !== undefined && { addr: this.#expr.read(o.addr) }),
      ...(o.port !== undefined && { proto: this.#expr.read(o.port) }),
      flags: bits(o.flags, NAT_FLAGS, 'nat flag'),
      typeFlags: bits(o.type_flags, TYPE_FLAGS, 'nat type flag'),
    };
  }

  #dynset(word: 'set' | 'map', o: JsonObject): Stmt {
    const op = String(o.op);
    if (op !== 'add' && op !== 'update' && op !== 'delete') return jsonFail(`Unknown set statement operator '${op}'.`);
    const name = stringOf(o[word], `${word} reference`);
    if (!name.startsWith('@')) jsonFail(`Illegal ${word} reference in ${word} statement.`);
    const read = this.#expr.read(o.elem);
    const element: ElementExpr = read.kind === 'element' ? read : { kind: 'element', key: read };
    const list = o.stmt === undefined ? [] : Array.isArray(o.stmt) ? (o.stmt as readonly Json[]) : [o.stmt];
    const data: Expr | undefined = o.data === undefined ? undefined : this.#expr.read(o.data);
    const stmt: DynsetStmt = {
      kind: 'dynset',
      op,
      set: { kind: 'setref', name: name.slice(1) },
      key: element.key,
      ...(data && { data }),
      ...(element.timeout !== undefined && { timeout: element.timeout }),
      stmts: list.map((one) => this.read(one)),
    };
    return stmt;
  }
}
