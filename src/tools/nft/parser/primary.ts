/** What a rule can look at: header fields, extension headers, meta, ct, rt, socket, fib, ipsec, osf, numgen, hashes. */

import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Expr } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import { dccpOptionDesc, type ExthdrDesc, ipOptions, ipv6Headers, sctpChunks, tcpOptions } from '../exthdr.ts';
import { bareMetaKeys, ctKeys, metaKeys, socketKeys } from '../keys.ts';
import { BASE_TUNNEL, fieldIndex, type ProtoDesc, protos } from '../proto.ts';
import type { Parser } from './core.ts';
import type { Token } from './lexer.ts';

type SubExpr = (p: Parser) => Expr;

const HEADERS: ReadonlySet<string> = new Set(
  'ether vlan arp ip ip6 icmp icmpv6 igmp udp udplite tcp dccp sctp ah esp comp th gre gretap vxlan geneve'.split(' '),
);
const RAW_BASES: Readonly<Record<string, number>> = { ll: 1, nh: 2, th: 3, ih: 4 };
const RT_KEYS: ReadonlySet<string> = new Set(['classid', 'nexthop', 'mtu', 'ipsec', 'ip', 'ip6']);
const ipv6ByName: ReadonlyMap<string, ExthdrDesc> = new Map(ipv6Headers.map((h) => [h.name, h]));
/** Old or second names of fields. */
const FIELD_ALIASES: Readonly<Record<string, string>> = { protocol: 'protocol', 'header-length': 'hdrlength' };

function headerField(p: Parser, desc: ProtoDesc, ahead: number): number {
  const word = p.peek(ahead).text;
  if (desc.name === 'arp' && (word === 'saddr' || word === 'daddr')) {
    return fieldIndex(desc, `${word} ${p.peek(ahead + 1).text}`);
  }
  return fieldIndex(desc, FIELD_ALIASES[word] ?? word);
}

/** `vxlan ip saddr`: a field of the packet inside. `ahead` is the place of the inner protocol's name. */
function isInnerField(p: Parser, tunnel: string, ahead: number): boolean {
  const inner = p.peek(ahead);
  if (protos.get(tunnel)?.inner === undefined || inner.kind !== 'word' || !HEADERS.has(inner.text)) return false;
  const desc = protos.get(inner.text)!;
  return desc.inner === undefined && p.peek(ahead + 1).kind === 'word' && headerField(p, desc, ahead + 1) >= 0;
}

/** True when the next tokens begin a field or key, not a constant. */
export function isPrimary(p: Parser): boolean {
  const token = p.peek();
  if (token.text === '@' && token.kind === 'punct') {
    return RAW_BASES[p.peek(1).text] !== undefined && p.is(',', 2);
  }
  if (token.kind !== 'word') return false;
  const next = p.peek(1);
  const word = token.text;
  switch (word) {
    case 'meta':
    case 'ct':
    case 'fib':
    case 'socket':
    case 'osf':
    case 'numgen':
    case 'jhash':
    case 'symhash':
    case 'exthdr':
      return next.kind === 'word' || next.kind === 'punct';
    case 'ipsec':
      return next.text === 'in' || next.text === 'out';
    case 'rt':
      if (RT_KEYS.has(next.text)) return true;
      break;
    case 'tcp':
    case 'ip':
      if (next.text === 'option') return true;
      break;
    case 'sctp':
      if (next.text === 'chunk') return true;
      break;
    case 'dccp':
      if (next.text === 'option') return true;
      break;
  }
  if (HEADERS.has(word))
    return next.kind === 'word' && (headerField(p, protos.get(word)!, 1) >= 0 || isInnerField(p, word, 1));
  const ext = ipv6ByName.get(word);
  if (ext !== undefined) return ext.fields.some((f) => f.name.replace('[1]', '') === next.text);
  return bareMetaKeys.has(word);
}

function extensionField(p: Parser, desc: ExthdrDesc, first: Token): Expr {
  const word = p.peek();
  const field = desc.fields.findIndex((f) => f.name === word.text || f.name === `${word.text}[1]`);
  if (word.kind !== 'word' || field < 0) p.unexpected();
  p.next();
  if (!desc.fields[field].name.endsWith(']')) return build.exthdr(desc, field, p.since(first));
  p.expect('[');
  const index = p.number();
  p.expect(']');
  return build.exthdr(desc, field, p.since(first), index);
}

function tcpOption(p: Parser, first: Token): Expr {
  const token = p.peek();
  if (p.accept('@')) {
    const type = p.number();
    p.expect(',');
    const offset = p.number();
    p.expect(',');
    const len = p.number();
    return {
      kind: 'exthdr',
      op: 'tcpopt',
      hdr: type,
      offset,
      raw: true,
      type: dt.integerType,
      byteorder: 'big',
      len,
      loc: p.since(first),
    };
  }
  if (token.kind === 'number') {
    p.next();
    const kind = Number(token.text);
    if (kind > 255) p.fail(token, `value too large`);
    const desc = tcpOptions.find((o) => o.type === kind) ?? {
      op: 'tcpopt',
      name: String(kind),
      type: kind,
      fields: [],
    };
    return build.exthdrPresent(desc, p.since(first));
  }
  const name = token.text === 'sack-permitted' ? 'sack-perm' : token.text;
  const desc = tcpOptions.find((o) => o.name === name);
  if (desc === undefined || token.kind !== 'word') p.unexpected();
  p.next();
  const word = p.peek();
  const field = word.kind === 'word' ? desc!.fields.findIndex((f) => f.name === word.text) : -1;
  if (field < 0) return build.exthdrPresent(desc!, p.since(first));
  p.next();
  // `sack0` is `sack`.
  const canonical = desc!.name === 'sack0' ? tcpOptions.find((o) => o.name === 'sack')! : desc!;
  return build.exthdr(canonical, field, p.since(first));
}

/** An option or chunk by name, then one of its fields, or its presence. */
function namedOption(p: Parser, list: readonly ExthdrDesc[], first: Token): Expr {
  const token = p.peek();
  const desc = list.find((o) => o.name === token.text);
  if (desc === undefined) p.unexpected();
  p.next();
  const word = p.peek();
  const field = word.kind === 'word' ? desc!.fields.findIndex((f) => f.name === word.text) : -1;
  if (field < 0) return build.exthdrPresent(desc!, p.since(first));
  p.next();
  return build.exthdr(desc!, field, p.since(first));
}

function ct(p: Parser, first: Token): Expr {
  let direction: number | undefined;
  const word = p.peek().text;
  if (word === 'original' || word === 'reply') {
    direction = word === 'original' ? 0 : 1;
    p.next();
  }
  const token = p.peek();
  let name = token.text;
  let nfproto: number | undefined;
  if ((name === 'ip' || name === 'ip6') && (p.is('saddr', 1) || p.is('daddr', 1))) {
    nfproto = name === 'ip' ? 2 : 10;
    name = `${name} ${p.peek(1).text}`;
    p.next();
  }
  if (name === 'count') p.unexpected();
  const key = ctKeys.find((k) => k.name === name);
  if (key === undefined) p.unexpected();
  if (direction !== undefined && key!.direction === 'no') p.unexpected();
  if (direction === undefined && key!.direction === 'must') p.unexpected();
  p.next();
  return build.ct(key!.key, direction, nfproto, p.since(first));
}

const FIB_FLAGS: Readonly<Record<string, number>> = { saddr: 1, daddr: 2, mark: 4, iif: 8, oif: 16 };
const FIB_RESULTS: Readonly<Record<string, readonly [number, dt.Datatype]>> = {
  oif: [1, dt.ifindexType],
  oifname: [2, dt.ifnameType],
  type: [3, dt.fibAddrType],
};

function fib(p: Parser, first: Token): Expr {
  let flags = 0;
  do {
    const flag = FIB_FLAGS[p.peek().text];
    if (flag === undefined) p.unexpected();
    p.next();
    flags |= flag;
  } while (p.accept('.'));
  const result = FIB_RESULTS[p.peek().text];
  if (result === undefined) p.unexpected();
  p.next();
  if ((flags & 3) === 0) p.fail(p.since(first), 'fib: need either saddr or daddr');
  if ((flags & 3) === 3) p.fail(p.since(first), 'fib: saddr and daddr are mutually exclusive');
  if ((flags & 24) === 24) p.fail(p.since(first), 'fib: iif and oif are mutually exclusive');
  const [number, type] = result;
  return { kind: 'fib', result: number, flags, type, byteorder: 'host', len: type.size, loc: p.since(first) };
}

function ipsec(p: Parser, first: Token): Expr {
  const direction = p.next().text === 'in' ? 0 : 1;
  const spnumToken = p.peek(1);
  const spnum = p.accept('spnum') ? p.number() : 0;
  if (spnum > 255) p.fail(spnumToken, 'value too large');
  const token = p.next();
  const make = (key: number, type: dt.Datatype, len: number, byteorder: dt.ByteOrder): Expr => ({
    kind: 'xfrm',
    key,
    direction,
    spnum,
    type,
    byteorder,
    len,
    loc: p.since(first),
  });
  if (token.text === 'reqid') return make(5, dt.integerType, 32, 'host');
  if (token.text === 'spi') return make(6, dt.integerType, 32, 'big');
  if (token.text !== 'ip' && token.text !== 'ip6') p.unexpected(undefined, token);
  const saddr = p.is('saddr');
  if (!saddr && !p.is('daddr')) p.unexpected();
  p.next();
  if (token.text === 'ip') return make(saddr ? 3 : 1, dt.ipaddrType, 32, 'big');
  return make(saddr ? 4 : 2, dt.ip6addrType, 128, 'big');
}

/** `mod N [seed N] [offset N]` */
function modulus(p: Parser): { mod: number; seed?: number; offset: number } {
  p.expect('mod');
  const mod = p.number();
  let seed: number | undefined;
  let offset = 0;
  for (;;) {
    if (p.accept('seed')) seed = p.number();
    else if (p.accept('offset')) offset = p.number();
    else return { mod, offset, ...(seed !== undefined && { seed }) };
  }
}

function raw(p: Parser): Expr {
  const first = p.expect('@');
  const base = RAW_BASES[p.next().text];
  p.expect(',');
  const offset = p.number();
  p.expect(',');
  const lenToken = p.peek();
  const len = p.number();
  if (len < 1 || len > 2048) p.fail(lenToken, `Invalid payload length ${len}`);
  return build.rawPayload(base, offset, len, p.since(first));
}

/** Reads one; `isPrimary` was true (or the position allows nothing else). */
export function primary(p: Parser, sub: SubExpr): Expr {
  if (p.is('@')) return raw(p);
  const first = p.next();
  const word = first.text;
  const next = p.peek();
  switch (word) {
    case 'meta': {
      const key = metaKeys.find((k) => k.name === next.text);
      if (key === undefined || next.kind !== 'word') p.unexpected();
      p.next();
      return build.meta(key!.key, p.since(first));
    }
    case 'ct':
      return ct(p, first);
    case 'fib':
      return fib(p, first);
    case 'ipsec':
      return ipsec(p, first);
    case 'socket': {
      const key = socketKeys.find((k) => k.name === next.text);
      if (key === undefined) p.unexpected();
      p.next();
      let level: number | undefined;
      if (key!.name === 'cgroupv2') {
        p.expect('level');
        level = p.number();
      }
      return build.socket(key!.key, level, p.since(first));
    }
    case 'osf': {
      let ttl = 0;
      if (p.accept('ttl')) {
        const mode = p.next();
        if (mode.text !== 'loose' && mode.text !== 'skip') p.fail(mode, 'invalid ttl option');
        ttl = mode.text === 'loose' ? 1 : 2;
      }
      const version = p.is('version');
      if (!version && !p.is('name')) p.unexpected();
      p.next();
      return {
        kind: 'osf',
        ttl,
        ...(version && { version }),
        type: dt.stringType,
        byteorder: 'host',
        len: 128,
        loc: p.since(first),
      };
    }
    case 'numgen': {
      const mode = p.next();
      if (mode.text !== 'inc' && mode.text !== 'random') p.unexpected(undefined, mode);
      const { mod, offset } = modulus(p);
      const inc = mode.text === 'inc';
      return {
        kind: 'numgen',
        mode: inc ? uapi.NFT_NG_INCREMENTAL : uapi.NFT_NG_RANDOM,
        mod,
        offset,
        type: dt.integerType,
        byteorder: 'host',
        len: 32,
        loc: p.since(first),
      };
    }
    case 'jhash': {
      const operand = sub(p);
      const rest = modulus(p);
      return {
        kind: 'hash',
        mode: uapi.NFT_HASH_JENKINS,
        operand,
        ...rest,
        type: dt.integerType,
        byteorder: 'host',
        len: 32,
        loc: p.since(first),
      };
    }
    case 'symhash': {
      const { mod, offset } = modulus(p);
      return {
        kind: 'hash',
        mode: uapi.NFT_HASH_SYM,
        mod,
        offset,
        type: dt.integerType,
        byteorder: 'host',
        len: 32,
        loc: p.since(first),
      };
    }
    case 'exthdr': {
      const desc = ipv6ByName.get(next.text);
      if (desc === undefined) p.unexpected();
      p.next();
      return build.exthdrPresent(desc!, p.since(first));
    }
    case 'rt':
      if (next.text === 'classid' || next.text === 'mtu' || next.text === 'nexthop' || next.text === 'ipsec') {
        p.next();
        const key = { classid: 0, nexthop: 1, mtu: 3, ipsec: 4 }[next.text];
        if (next.text === 'nexthop')
          return { kind: 'rt', key: 1, type: dt.invalidType, byteorder: 'big', len: 0, loc: p.since(first) };
        return build.rt(key, p.since(first));
      }
      if (next.text === 'ip' || next.text === 'ip6') {
        p.next();
        p.expect('nexthop');
        const nfproto = next.text === 'ip' ? 2 : 10;
        return { ...build.rt(nfproto === 2 ? 1 : 2, p.since(first)), kind: 'rt', nfproto };
      }
      break;
    case 'tcp':
      if (p.accept('option')) return tcpOption(p, first);
      break;
    case 'ip':
      if (p.accept('option')) return namedOption(p, ipOptions, first);
      break;
    case 'sctp':
      if (p.accept('chunk')) return namedOption(p, sctpChunks, first);
      break;
    case 'dccp':
      if (p.accept('option')) {
        const token = p.peek();
        const type = p.number();
        if (type > 255) p.fail(token, 'value too large');
        return build.exthdrPresent(dccpOptionDesc(type), p.since(first));
      }
      break;
  }
  if (HEADERS.has(word)) {
    const desc = protos.get(word)!;
    if (isInnerField(p, word, 0)) {
      const inner = protos.get(p.next().text)!;
      const at = headerField(p, inner, 0);
      p.next();
      if (inner.fields[at].name.includes(' ')) p.next();
      return { ...build.payload(inner, at, p.since(first)), tunnel: desc };
    }
    const field = headerField(p, desc, 0);
    if (next.kind !== 'word' || field < 0) p.unexpected();
    p.next();
    if (desc.fields[field].name.includes(' ')) p.next();
    const made = build.payload(desc, field, p.since(first));
    return desc.base === BASE_TUNNEL ? { ...made, tunnel: desc } : made;
  }
  const ext = ipv6ByName.get(word);
  if (ext !== undefined) return extensionField(p, ext, first);
  if (bareMetaKeys.has(word)) {
    const key = metaKeys.find((k) => k.name === word)!;
    return build.meta(key.key, p.loc(first));
  }
  return p.unexpected(undefined, first);
}
