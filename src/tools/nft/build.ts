/** Makers of evaluated leaf expressions: fields and keys with their types. The parser and the delinearizer share them. */
import type { CtExpr, ExthdrExpr, MetaExpr, PayloadExpr, RtExpr, SocketExpr, ValueExpr } from './ast.ts';
import type { Datatype } from './datatype.ts';
import * as dt from './datatype.ts';
import type { ExthdrDesc } from './exthdr.ts';
import { ctKeys, type Key, metaKeys, rtKeys, socketKeys } from './keys.ts';
import { BASE_TRANSPORT, fieldIndex, type ProtoDesc, proto } from './proto.ts';
import type { Location } from './source.ts';

const at = (loc: Location | undefined): { loc?: Location } => (loc === undefined ? {} : { loc });

/** A constant in the byte order and length of its type. */
export function constant(type: Datatype, value: bigint, loc?: Location): ValueExpr {
  return { kind: 'value', value, type, byteorder: type.byteorder, len: type.size, ...at(loc) };
}

/** The field of a protocol header. */
export function payload(desc: ProtoDesc, field: number, loc?: Location): PayloadExpr {
  const f = desc.fields[field];
  return {
    kind: 'payload',
    proto: desc,
    field,
    base: desc.base,
    offset: f.offset,
    type: f.type,
    byteorder: 'big',
    len: f.len,
    ...at(loc),
  };
}

/** `@base,offset,len`; the ports have a name. */
export function rawPayload(base: number, offset: number, len: number, loc?: Location): PayloadExpr {
  const th = proto('th');
  const field = base === BASE_TRANSPORT && len === 16 ? th.fields.findIndex((f) => f.offset === offset) : -1;
  if (field >= 0) return { ...payload(th, field, loc), raw: true };
  return { kind: 'payload', base, offset, type: dt.integerType, byteorder: 'big', len, raw: true, ...at(loc) };
}

/** A field of an extension header; `index` counts array members from 1. */
export function exthdr(desc: ExthdrDesc, field: number, loc?: Location, index = 1): ExthdrExpr {
  const f = desc.fields[field];
  return {
    kind: 'exthdr',
    op: desc.op,
    desc,
    field,
    hdr: desc.type,
    offset: f.offset + (index - 1) * f.len,
    type: f.type,
    byteorder: 'big',
    len: f.len,
    ...at(loc),
  };
}

/** Whether an extension header is there. */
export function exthdrPresent(desc: ExthdrDesc, loc?: Location): ExthdrExpr {
  return {
    kind: 'exthdr',
    op: desc.op,
    desc,
    hdr: desc.type,
    offset: 0,
    present: true,
    type: dt.booleanType,
    byteorder: 'host',
    len: desc.op === 'ipv6' ? 8 : 1,
    ...at(loc),
  };
}

function typed(key: Key): { type: Datatype; byteorder: dt.ByteOrder; len: number } {
  return { type: key.type, byteorder: key.byteorder, len: key.len };
}

export function meta(key: number, loc?: Location): MetaExpr {
  return { kind: 'meta', key, ...typed(metaKeys.find((k) => k.key === key)!), ...at(loc) };
}

export function ct(key: number, direction?: number, nfproto?: number, loc?: Location): CtExpr {
  return {
    kind: 'ct',
    key,
    ...(direction !== undefined && { direction }),
    ...(nfproto !== undefined && { nfproto }),
    ...typed(ctKeys.find((k) => k.key === key)!),
    ...at(loc),
  };
}

export function rt(key: number, loc?: Location): RtExpr {
  return { kind: 'rt', key, ...typed(rtKeys.find((k) => k.key === key)!), ...at(loc) };
}

export function socket(key: number, level?: number, loc?: Location): SocketExpr {
  return {
    kind: 'socket',
    key,
    ...(level !== undefined && { level }),
    ...typed(socketKeys.find((k) => k.key === key)!),
    ...at(loc),
  };
}

/** A field by the names of protocol and field that are known to exist. */
export function namedPayload(protocol: string, field: string, loc?: Location): PayloadExpr {
  const desc = proto(protocol);
  return payload(desc, fieldIndex(desc, field), loc);
}
