/** JSON expressions to the syntax tree (libnftables-json(5), "EXPRESSIONS"): the reverse of `expression.ts`. */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { BinaryOp, ElementExpr, Expr, SetExpr, Stmt, VerdictName } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import { dccpOptionDesc, type ExthdrDesc, ipOptions, ipv6Headers, sctpChunks, tcpOptions } from '../exthdr.ts';
import { ctKeys, metaKeys, rtKeys, socketKeys } from '../keys.ts';
import { fieldIndex, protos } from '../proto.ts';
import { NftError } from '../source.ts';
import type { Json, JsonObject } from './types.ts';

/** Reads the statements that elements carry; handed in because the two grammars nest. */
export type ReadStatement = (json: Json) => Stmt;

export function jsonFail(message: string): never {
  throw new NftError(undefined, message);
}

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

export function objectOf(json: Json | undefined, what: string): JsonObject {
  return isObject(json) ? json : jsonFail(`Unexpected JSON type ${jsonType(json)} for ${what}.`);
}

export function stringOf(json: Json | undefined, what: string): string {
  return typeof json === 'string' ? json : jsonFail(`Invalid ${what}: a string is needed.`);
}

export function numberOf(json: Json | undefined, what: string): number {
  return typeof json === 'number' ? json : jsonFail(`Invalid ${what}: a number is needed.`);
}

export function jsonType(json: Json | undefined): string {
  if (json === null || json === undefined) return 'null';
  return Array.isArray(json) ? 'array' : typeof json;
}

const symbol = (text: string): Expr => ({ kind: 'symbol', text });
const BASES: Readonly<Record<string, number>> = { ll: 1, nh: 2, th: 3, ih: 4 };
const FIB_FLAGS: Readonly<Record<string, number>> = { saddr: 1, daddr: 2, mark: 4, iif: 8, oif: 16 };
const FIB_RESULTS: Readonly<Record<string, readonly [number, dt.Datatype]>> = {
  oif: [1, dt.ifindexType],
  oifname: [2, dt.ifnameType],
  type: [3, dt.fibAddrType],
};
const VERDICTS: ReadonlySet<string> = new Set(['accept', 'drop', 'continue', 'jump', 'goto', 'return']);
const OPERATORS: ReadonlySet<string> = new Set(['|', '^', '&', '<<', '>>']);
const EXTENSIONS: Readonly<Record<string, readonly ExthdrDesc[]>> = {
  exthdr: ipv6Headers,
  'tcp option': tcpOptions,
  'ip option': ipOptions,
  'sctp chunk': sctpChunks,
};

function payload(o: JsonObject): Expr {
  if (o.base !== undefined) {
    const base = BASES[stringOf(o.base, 'payload base')] ?? jsonFail(`Invalid payload base '${String(o.base)}'.`);
    return build.rawPayload(base, numberOf(o.offset, 'payload offset'), numberOf(o.len, 'payload length'));
  }
  const protocol = stringOf(o.protocol, 'payload protocol');
  const name = stringOf(o.field, 'payload field');
  const desc = protos.get(protocol) ?? jsonFail(`Unknown payload protocol '${protocol}'.`);
  const field = fieldIndex(desc, name);
  if (field < 0) jsonFail(`Unknown ${protocol} field '${name}'.`);
  if (o.tunnel === undefined) return build.payload(desc, field);
  const tunnel = stringOf(o.tunnel, 'payload tunnel');
  const outer = protos.get(tunnel);
  if (outer?.inner === undefined) return jsonFail(`Unknown payload tunnel '${tunnel}'.`);
  return { ...build.payload(desc, field), tunnel: outer };
}

function extension(word: string, o: JsonObject): Expr {
  const list = EXTENSIONS[word];
  // The whole option: whether it is there.
  if (o.base !== undefined && o.offset === 0 && (o.len === 8 || o.len === 0))
    return extension(word, { name: String(o.base) });
  if (o.base !== undefined) {
    return {
      kind: 'exthdr',
      op: 'tcpopt',
      hdr: numberOf(o.base, 'tcp option base'),
      offset: numberOf(o.offset, 'tcp option offset'),
      raw: true,
      type: dt.integerType,
      byteorder: 'big',
      len: numberOf(o.len, 'tcp option length'),
    };
  }
  const name = String(o.name ?? '');
  const number = /^\d+$/.test(name) ? Number(name) : -1;
  const desc =
    list.find((d) => d.name === name || d.name === { 'sack-permitted': 'sack-perm' }[name]) ??
    (word === 'tcp option' && number >= 0 && number < 256
      ? (list.find((d) => d.type === number) ?? { op: 'tcpopt' as const, name, type: number, fields: [] })
      : jsonFail(`Unknown ${word} name '${name}'.`));
  if (o.field === undefined) return build.exthdrPresent(desc);
  const written = stringOf(o.field, `${word} field`);
  const field = desc.fields.findIndex((f) => f.name === written || f.name === `${written}[1]`);
  if (field < 0) jsonFail(`Unknown ${word} field '${written}'.`);
  const canonical = desc.name === 'sack0' ? (list.find((d) => d.name === 'sack') ?? desc) : desc;
  const index = typeof o.offset === 'number' ? o.offset : 1;
  return build.exthdr(canonical, field, undefined, index || 1);
}

function ct(o: JsonObject): Expr {
  const name = stringOf(o.key, 'ct key');
  const key = ctKeys.find((k) => k.name === name) ?? jsonFail(`Unknown ct key '${name}'.`);
  const direction = o.dir === undefined ? undefined : ['original', 'reply'].indexOf(stringOf(o.dir, 'ct direction'));
  if (direction === -1) jsonFail(`Invalid direction ${String(o.dir)}.`);
  if (direction !== undefined && key.direction === 'no') jsonFail(`Direction not supported by CT key '${name}'.`);
  if (direction === undefined && key.direction === 'must') jsonFail(`Invalid CT key '${name}' without a direction.`);
  const nfproto = name.startsWith('ip ') ? 2 : name.startsWith('ip6 ') ? 10 : undefined;
  return build.ct(key.key, direction, nfproto);
}

function ipsec(o: JsonObject): Expr {
  const key = stringOf(o.key, 'ipsec key');
  const direction = o.dir === 'out' ? 1 : o.dir === 'in' ? 0 : jsonFail(`Invalid direction ${String(o.dir)}.`);
  const spnum = o.spnum === undefined ? 0 : numberOf(o.spnum, 'spnum');
  if (spnum > 255) jsonFail('Invalid spnum.');
  const make = (number: number, type: dt.Datatype, len: number, byteorder: dt.ByteOrder): Expr => ({
    kind: 'xfrm',
    key: number,
    direction,
    spnum,
    type,
    byteorder,
    len,
  });
  if (key === 'reqid') return make(5, dt.integerType, 32, 'host');
  if (key === 'spi') return make(6, dt.integerType, 32, 'big');
  const at = ['daddr', 'saddr'].indexOf(key);
  if (at < 0) jsonFail(`Unknown ipsec key '${key}'.`);
  return o.family === 'ip6' ? make(at * 2 + 2, dt.ip6addrType, 128, 'big') : make(at * 2 + 1, dt.ipaddrType, 32, 'big');
}

/** The statements that stand in a set element beside its value. */
const ELEMENT_STATEMENTS: readonly string[] = ['counter', 'limit', 'quota', 'last', 'ct count'];

export class ExpressionReader {
  readonly #statement: ReadStatement;

  constructor(statement: ReadStatement) {
    this.#statement = statement;
  }

  /** Any expression. */
  read(json: Json | undefined): Expr {
    if (typeof json === 'string') {
      if (json === '*') return { kind: 'catchall' };
      if (json.startsWith('@')) return { kind: 'setref', name: json.slice(1) };
      return symbol(json);
    }
    if (typeof json === 'number') return symbol(Number.isInteger(json) ? BigInt(json).toString() : String(json));
    if (typeof json === 'boolean') return symbol(json ? 'exists' : 'missing');
    if (Array.isArray(json)) return { kind: 'list', items: json.map((one) => this.read(one as Json)) };
    if (!isObject(json)) return jsonFail('Unexpected JSON type null for an expression.');
    const words = Object.keys(json);
    if (words.length !== 1) jsonFail('Malformed object (too many properties): an expression has one.');
    return this.#typed(words[0], json[words[0]]);
  }

  #typed(word: string, value: Json): Expr {
    if (OPERATORS.has(word)) return this.#operator(word as BinaryOp, value);
    if (VERDICTS.has(word)) return this.verdict(word, value);
    if (EXTENSIONS[word] !== undefined) return extension(word, objectOf(value, word));
    switch (word) {
      case 'concat':
        return { kind: 'concat', parts: this.#list(value, word).map((part) => this.read(part)) };
      case 'set':
        return this.set(value);
      case 'map':
      case 'vmap': {
        const o = objectOf(value, word);
        return {
          kind: 'map',
          key: this.read(o.key),
          mappings: this.read(o.data),
          ...(word === 'vmap' && { vmap: true }),
        };
      }
      case 'prefix': {
        const o = objectOf(value, word);
        return { kind: 'prefix', expr: this.read(o.addr), prefix: numberOf(o.len, 'prefix length') };
      }
      case 'range': {
        const ends = this.#list(value, word);
        if (ends.length !== 2) jsonFail('Malformed range: it has two ends.');
        return { kind: 'range', left: this.read(ends[0]), right: this.read(ends[1]) };
      }
      case 'payload':
        return payload(objectOf(value, word));
      case 'dccp option':
        return build.exthdrPresent(dccpOptionDesc(numberOf(objectOf(value, word).type, 'dccp option type')));
      case 'meta': {
        const name = stringOf(objectOf(value, word).key, 'meta key');
        const key = metaKeys.find((k) => k.name === name) ?? jsonFail(`Unknown meta key '${name}'.`);
        return build.meta(key.key);
      }
      case 'ct':
        return ct(objectOf(value, word));
      case 'rt': {
        const o = objectOf(value, word);
        const name = stringOf(o.key, 'rt key');
        if (name === 'nexthop') {
          if (o.family === undefined) return { kind: 'rt', key: 1, type: dt.invalidType, byteorder: 'big', len: 0 };
          return build.rt(o.family === 'ip6' ? U.NFT_RT_NEXTHOP6 : U.NFT_RT_NEXTHOP4);
        }
        const key = rtKeys.find((k) => k.name === name) ?? jsonFail(`Unknown rt key '${name}'.`);
        return build.rt(key.key);
      }
      case 'socket': {
        const o = objectOf(value, word);
        const name = stringOf(o.key, 'socket key');
        const key = socketKeys.find((k) => k.name === name) ?? jsonFail(`Invalid socket key value.`);
        return build.socket(key.key, key.name === 'cgroupv2' ? numberOf(o.level ?? 0, 'level') : undefined);
      }
      case 'fib': {
        const o = objectOf(value, word);
        const list = Array.isArray(o.flags) ? (o.flags as readonly Json[]) : o.flags === undefined ? [] : [o.flags];
        const flags = list.reduce<number>((all, flag) => {
          const bit = FIB_FLAGS[String(flag)] ?? jsonFail(`Invalid fib flag '${String(flag)}'.`);
          return all | bit;
        }, 0);
        if ((flags & 3) === 0) jsonFail('fib: need either saddr or daddr');
        if ((flags & 3) === 3) jsonFail('fib: saddr and daddr are mutually exclusive');
        if ((flags & 24) === 24) jsonFail('fib: iif and oif are mutually exclusive');
        const found = FIB_RESULTS[String(o.result)] ?? jsonFail(`Invalid fib result '${String(o.result)}'.`);
        return { kind: 'fib', result: found[0], flags, type: found[1], byteorder: 'host', len: found[1].size };
      }
      case 'ipsec':
        return ipsec(objectOf(value, word));
      case 'osf': {
        const o = objectOf(value, word);
        const ttl = o.ttl === undefined ? 0 : ['', 'loose', 'skip'].indexOf(String(o.ttl));
        if (ttl < 0) jsonFail(`Invalid osf ttl '${String(o.ttl)}'.`);
        if (o.key !== 'name' && o.key !== 'version') jsonFail('Invalid osf key value.');
        return {
          kind: 'osf',
          ttl,
          ...(o.key === 'version' && { version: true }),
          type: dt.stringType,
          byteorder: 'host',
          len: 128,
        };
      }
      case 'tunnel':
        return jsonFail('netloom does not support tunnel expressions in JSON');
      case 'numgen': {
        const o = objectOf(value, word);
        if (o.mode !== 'inc' && o.mode !== 'random') jsonFail(`Unknown numgen mode '${String(o.mode)}'.`);
        return {
          kind: 'numgen',
          mode: o.mode === 'inc' ? U.NFT_NG_INCREMENTAL : U.NFT_NG_RANDOM,
          mod: numberOf(o.mod, 'numgen mod'),
          offset: o.offset === undefined ? 0 : numberOf(o.offset, 'numgen offset'),
          type: dt.integerType,
          byteorder: 'host',
          len: 32,
        };
      }
      case 'jhash':
      case 'symhash': {
        const o = objectOf(value, word);
        return {
          kind: 'hash',
          mode: word === 'jhash' ? U.NFT_HASH_JENKINS : U.NFT_HASH_SYM,
          ...(word === 'jhash' && { operand: this.read(o.expr) }),
          mod: numberOf(o.mod, `${word} mod`),
          offset: o.offset === undefined ? 0 : numberOf(o.offset, `${word} offset`),
          ...(o.seed !== undefined && { seed: numberOf(o.seed, `${word} seed`) }),
          type: dt.integerType,
          byteorder: 'host',
          len: 32,
        };
      }
      case 'elem':
        return this.#element(objectOf(value, word));
      default:
        return jsonFail(`Unknown expression type '${word}'.`);
    }
  }

  #list(value: Json, what: string): readonly Json[] {
    return Array.isArray(value) ? (value as readonly Json[]) : jsonFail(`Unexpected JSON type for ${what}.`);
  }

  #operator(op: BinaryOp, value: Json): Expr {
    const operands = this.#list(value, 'a binary operation').map((one) => this.read(one));
    if (operands.length < 2) jsonFail('Malformed binary operation: it has two operands.');
    return operands.reduce((left, right): Expr => ({ kind: 'binary', op, left, right }));
  }

  verdict(word: string, value: Json): Expr {
    const verdict = word as VerdictName;
    if (verdict !== 'jump' && verdict !== 'goto') return { kind: 'verdict', verdict };
    const target = stringOf(objectOf(value, word).target, `${word} target`);
    return { kind: 'verdict', verdict, chain: symbol(target) };
  }

  #element(o: JsonObject): ElementExpr {
    const stmts = ELEMENT_STATEMENTS.flatMap((word): Stmt[] =>
      o[word] === undefined ? [] : [this.#statement({ [word]: o[word] })],
    );
    return {
      kind: 'element',
      key: this.read(o.val),
      ...(o.timeout !== undefined && { timeout: numberOf(o.timeout, 'timeout') * 1000 }),
      ...(o.expires !== undefined && { expires: numberOf(o.expires, 'expires') * 1000 }),
      ...(o.comment !== undefined && { comment: stringOf(o.comment, 'comment') }),
      ...(stmts.length > 0 && { stmts }),
    };
  }

  /** A member: an expression, or a pair of key and data. */
  member(json: Json): ElementExpr {
    if (Array.isArray(json) && json.length === 2) {
      const key = this.read(json[0] as Json);
      const data = this.read(json[1] as Json);
      return key.kind === 'element' ? { ...key, data } : { kind: 'element', key, data };
    }
    const key = this.read(json);
    return key.kind === 'element' ? key : { kind: 'element', key };
  }

  /** The members of a set: a list, or one alone. */
  set(json: Json): SetExpr {
    const list = Array.isArray(json) ? (json as readonly Json[]) : [json];
    return { kind: 'set', elements: list.map((one) => this.member(one)) };
  }
}
