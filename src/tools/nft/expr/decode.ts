/**
 * Kernel expressions from netlink attributes: the other direction of the encoder.
 */
import {
  type Attr,
  attrMap,
  getBeU16,
  getBeU32,
  getBeU64,
  getString,
  getU8,
  readAttrs,
} from '../../../wire/netlink/attr.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Data, KernelExpr } from './types.ts';

type Attrs = ReadonlyMap<number, Attr>;

const u32 = (a: Attrs, type: number): number => {
  const attr = a.get(type);
  return attr ? getBeU32(attr.payload) : 0;
};
const opt32 = (a: Attrs, type: number): number | undefined => {
  const attr = a.get(type);
  return attr && getBeU32(attr.payload);
};
const opt16 = (a: Attrs, type: number): number | undefined => {
  const attr = a.get(type);
  return attr && getBeU16(attr.payload);
};
const u64 = (a: Attrs, type: number): bigint => {
  const attr = a.get(type);
  return attr ? getBeU64(attr.payload) : 0n;
};
const text = (a: Attrs, type: number): string => {
  const attr = a.get(type);
  return attr ? getString(attr.payload) : '';
};
const value = (a: Attrs, type: number): Uint8Array => {
  const attr = a.get(type);
  const inner = attr && attrMap(attr.payload).get(U.NFTA_DATA_VALUE);
  return inner ? inner.payload.slice() : new Uint8Array(0);
};

/** A value or a verdict. */
export function decodeData(attr: Attr | undefined): Data {
  if (attr === undefined) return { value: new Uint8Array(0) };
  const inner = attrMap(attr.payload);
  const verdict = inner.get(U.NFTA_DATA_VERDICT);
  if (verdict) {
    const v = attrMap(verdict.payload);
    const chain = v.get(U.NFTA_VERDICT_CHAIN);
    return { verdict: { code: u32(v, U.NFTA_VERDICT_CODE) | 0, ...(chain && { chain: getString(chain.payload) }) } };
  }
  return { value: inner.get(U.NFTA_DATA_VALUE)?.payload.slice() ?? new Uint8Array(0) };
}

const DECODERS: Readonly<Record<string, (a: Attrs) => KernelExpr>> = {
  immediate: (a) => ({
    name: 'immediate',
    dreg: u32(a, U.NFTA_IMMEDIATE_DREG),
    data: decodeData(a.get(U.NFTA_IMMEDIATE_DATA)),
  }),
  cmp: (a) => ({
    name: 'cmp',
    sreg: u32(a, U.NFTA_CMP_SREG),
    op: u32(a, U.NFTA_CMP_OP),
    data: value(a, U.NFTA_CMP_DATA),
  }),
  range: (a) => ({
    name: 'range',
    sreg: u32(a, U.NFTA_RANGE_SREG),
    op: u32(a, U.NFTA_RANGE_OP),
    from: value(a, U.NFTA_RANGE_FROM_DATA),
    to: value(a, U.NFTA_RANGE_TO_DATA),
  }),
  payload: (a) => {
    const place = {
      base: u32(a, U.NFTA_PAYLOAD_BASE),
      offset: u32(a, U.NFTA_PAYLOAD_OFFSET),
      len: u32(a, U.NFTA_PAYLOAD_LEN),
    };
    if (!a.has(U.NFTA_PAYLOAD_SREG)) return { name: 'payload', dreg: u32(a, U.NFTA_PAYLOAD_DREG), ...place };
    return {
      name: 'payload',
      sreg: u32(a, U.NFTA_PAYLOAD_SREG),
      ...place,
      csumType: u32(a, U.NFTA_PAYLOAD_CSUM_TYPE),
      csumOffset: u32(a, U.NFTA_PAYLOAD_CSUM_OFFSET),
      csumFlags: u32(a, U.NFTA_PAYLOAD_CSUM_FLAGS),
    };
  },
  exthdr: (a) => ({
    name: 'exthdr',
    dreg: opt32(a, U.NFTA_EXTHDR_DREG),
    sreg: opt32(a, U.NFTA_EXTHDR_SREG),
    type: a.has(U.NFTA_EXTHDR_TYPE) ? getU8(a.get(U.NFTA_EXTHDR_TYPE)!.payload) : 0,
    offset: u32(a, U.NFTA_EXTHDR_OFFSET),
    len: u32(a, U.NFTA_EXTHDR_LEN),
    flags: u32(a, U.NFTA_EXTHDR_FLAGS),
    op: u32(a, U.NFTA_EXTHDR_OP),
  }),
  meta: (a) => ({
    name: 'meta',
    key: u32(a, U.NFTA_META_KEY),
    dreg: opt32(a, U.NFTA_META_DREG),
    sreg: opt32(a, U.NFTA_META_SREG),
  }),
  ct: (a) => ({
    name: 'ct',
    key: u32(a, U.NFTA_CT_KEY),
    dreg: opt32(a, U.NFTA_CT_DREG),
    sreg: opt32(a, U.NFTA_CT_SREG),
    direction: a.has(U.NFTA_CT_DIRECTION) ? getU8(a.get(U.NFTA_CT_DIRECTION)!.payload) : undefined,
  }),
  rt: (a) => ({ name: 'rt', key: u32(a, U.NFTA_RT_KEY), dreg: u32(a, U.NFTA_RT_DREG) }),
  socket: (a) => ({
    name: 'socket',
    key: u32(a, U.NFTA_SOCKET_KEY),
    dreg: u32(a, U.NFTA_SOCKET_DREG),
    level: opt32(a, U.NFTA_SOCKET_LEVEL),
  }),
  fib: (a) => ({
    name: 'fib',
    dreg: u32(a, U.NFTA_FIB_DREG),
    result: u32(a, U.NFTA_FIB_RESULT),
    flags: u32(a, U.NFTA_FIB_FLAGS),
  }),
  xfrm: (a) => ({
    name: 'xfrm',
    dreg: u32(a, U.NFTA_XFRM_DREG),
    key: u32(a, U.NFTA_XFRM_KEY),
    dir: a.has(U.NFTA_XFRM_DIR) ? getU8(a.get(U.NFTA_XFRM_DIR)!.payload) : 0,
    spnum: u32(a, U.NFTA_XFRM_SPNUM),
  }),
  osf: (a) => ({
    name: 'osf',
    dreg: u32(a, U.NFTA_OSF_DREG),
    ttl: a.has(U.NFTA_OSF_TTL) ? getU8(a.get(U.NFTA_OSF_TTL)!.payload) : 0,
    flags: u32(a, U.NFTA_OSF_FLAGS),
  }),
  numgen: (a) => ({
    name: 'numgen',
    dreg: u32(a, U.NFTA_NG_DREG),
    modulus: u32(a, U.NFTA_NG_MODULUS),
    type: u32(a, U.NFTA_NG_TYPE),
    offset: u32(a, U.NFTA_NG_OFFSET),
  }),
  hash: (a) => ({
    name: 'hash',
    dreg: u32(a, U.NFTA_HASH_DREG),
    type: u32(a, U.NFTA_HASH_TYPE),
    sreg: opt32(a, U.NFTA_HASH_SREG),
    len: opt32(a, U.NFTA_HASH_LEN),
    modulus: u32(a, U.NFTA_HASH_MODULUS),
    seed: opt32(a, U.NFTA_HASH_SEED),
    offset: u32(a, U.NFTA_HASH_OFFSET),
  }),
  bitwise: (a) => ({
    name: 'bitwise',
    sreg: u32(a, U.NFTA_BITWISE_SREG),
    dreg: u32(a, U.NFTA_BITWISE_DREG),
    len: u32(a, U.NFTA_BITWISE_LEN),
    op: u32(a, U.NFTA_BITWISE_OP),
    ...(a.has(U.NFTA_BITWISE_MASK) && { mask: value(a, U.NFTA_BITWISE_MASK), xor: value(a, U.NFTA_BITWISE_XOR) }),
    ...(a.has(U.NFTA_BITWISE_DATA) && { data: value(a, U.NFTA_BITWISE_DATA) }),
    ...(a.has(U.NFTA_BITWISE_SREG2) && { sreg2: u32(a, U.NFTA_BITWISE_SREG2) }),
  }),
  inner: (a) => {
    const expr = a.get(U.NFTA_INNER_EXPR);
    return {
      name: 'inner',
      type: u32(a, U.NFTA_INNER_TYPE),
      hdrsize: u32(a, U.NFTA_INNER_HDRSIZE),
      flags: u32(a, U.NFTA_INNER_FLAGS),
      expr: expr ? decodeExpr(expr) : { name: 'other', kernel: '', data: new Uint8Array(0) },
    };
  },
  tunnel: (a) => ({ name: 'tunnel', key: u32(a, U.NFTA_TUNNEL_KEY), dreg: u32(a, U.NFTA_TUNNEL_DREG) }),
  byteorder: (a) => ({
    name: 'byteorder',
    sreg: u32(a, U.NFTA_BYTEORDER_SREG),
    dreg: u32(a, U.NFTA_BYTEORDER_DREG),
    op: u32(a, U.NFTA_BYTEORDER_OP),
    len: u32(a, U.NFTA_BYTEORDER_LEN),
    size: u32(a, U.NFTA_BYTEORDER_SIZE),
  }),
  lookup: (a) => ({
    name: 'lookup',
    set: text(a, U.NFTA_LOOKUP_SET),
    sreg: u32(a, U.NFTA_LOOKUP_SREG),
    dreg: opt32(a, U.NFTA_LOOKUP_DREG),
    flags: u32(a, U.NFTA_LOOKUP_FLAGS),
  }),
  dynset: (a) => {
    const one = a.get(U.NFTA_DYNSET_EXPR);
    const many = a.get(U.NFTA_DYNSET_EXPRESSIONS);
    return {
      name: 'dynset',
      set: text(a, U.NFTA_DYNSET_SET_NAME),
      op: u32(a, U.NFTA_DYNSET_OP),
      sregKey: u32(a, U.NFTA_DYNSET_SREG_KEY),
      sregData: opt32(a, U.NFTA_DYNSET_SREG_DATA),
      timeout: a.has(U.NFTA_DYNSET_TIMEOUT) ? u64(a, U.NFTA_DYNSET_TIMEOUT) : undefined,
      flags: u32(a, U.NFTA_DYNSET_FLAGS),
      exprs: one ? [decodeExpr(one)] : many ? decodeExprs(many) : [],
    };
  },
  counter: (a) => ({ name: 'counter', packets: u64(a, U.NFTA_COUNTER_PACKETS), bytes: u64(a, U.NFTA_COUNTER_BYTES) }),
  quota: (a) => ({
    name: 'quota',
    bytes: u64(a, U.NFTA_QUOTA_BYTES),
    consumed: u64(a, U.NFTA_QUOTA_CONSUMED),
    flags: u32(a, U.NFTA_QUOTA_FLAGS),
  }),
  limit: (a) => ({
    name: 'limit',
    rate: u64(a, U.NFTA_LIMIT_RATE),
    unit: u64(a, U.NFTA_LIMIT_UNIT),
    burst: u32(a, U.NFTA_LIMIT_BURST),
    type: u32(a, U.NFTA_LIMIT_TYPE),
    flags: u32(a, U.NFTA_LIMIT_FLAGS),
  }),
  connlimit: (a) => ({
    name: 'connlimit',
    count: u32(a, U.NFTA_CONNLIMIT_COUNT),
    flags: u32(a, U.NFTA_CONNLIMIT_FLAGS),
  }),
  last: (a) => ({ name: 'last', set: u32(a, U.NFTA_LAST_SET), msecs: u64(a, U.NFTA_LAST_MSECS) }),
  log: (a) => ({
    name: 'log',
    ...(a.has(U.NFTA_LOG_PREFIX) && { prefix: text(a, U.NFTA_LOG_PREFIX) }),
    group: opt16(a, U.NFTA_LOG_GROUP),
    snaplen: opt32(a, U.NFTA_LOG_SNAPLEN),
    qthreshold: opt16(a, U.NFTA_LOG_QTHRESHOLD),
    level: opt32(a, U.NFTA_LOG_LEVEL),
    flags: opt32(a, U.NFTA_LOG_FLAGS),
  }),
  reject: (a) => ({
    name: 'reject',
    type: u32(a, U.NFTA_REJECT_TYPE),
    code: a.has(U.NFTA_REJECT_ICMP_CODE) ? getU8(a.get(U.NFTA_REJECT_ICMP_CODE)!.payload) : 0,
  }),
  nat: (a) => ({
    name: 'nat',
    type: u32(a, U.NFTA_NAT_TYPE),
    family: u32(a, U.NFTA_NAT_FAMILY),
    addrMin: opt32(a, U.NFTA_NAT_REG_ADDR_MIN),
    addrMax: opt32(a, U.NFTA_NAT_REG_ADDR_MAX),
    protoMin: opt32(a, U.NFTA_NAT_REG_PROTO_MIN),
    protoMax: opt32(a, U.NFTA_NAT_REG_PROTO_MAX),
    flags: u32(a, U.NFTA_NAT_FLAGS),
  }),
  masq: (a) => ({
    name: 'masq',
    flags: u32(a, U.NFTA_MASQ_FLAGS),
    protoMin: opt32(a, U.NFTA_MASQ_REG_PROTO_MIN),
    protoMax: opt32(a, U.NFTA_MASQ_REG_PROTO_MAX),
  }),
  redir: (a) => ({
    name: 'redir',
    flags: u32(a, U.NFTA_REDIR_FLAGS),
    protoMin: opt32(a, U.NFTA_REDIR_REG_PROTO_MIN),
    protoMax: opt32(a, U.NFTA_REDIR_REG_PROTO_MAX),
  }),
  tproxy: (a) => ({
    name: 'tproxy',
    family: u32(a, U.NFTA_TPROXY_FAMILY),
    addr: opt32(a, U.NFTA_TPROXY_REG_ADDR),
    port: opt32(a, U.NFTA_TPROXY_REG_PORT),
  }),
  synproxy: (a) => ({
    name: 'synproxy',
    mss: opt16(a, U.NFTA_SYNPROXY_MSS) ?? 0,
    wscale: a.has(U.NFTA_SYNPROXY_WSCALE) ? getU8(a.get(U.NFTA_SYNPROXY_WSCALE)!.payload) : 0,
    flags: u32(a, U.NFTA_SYNPROXY_FLAGS),
  }),
  queue: (a) => ({
    name: 'queue',
    num: opt16(a, U.NFTA_QUEUE_NUM),
    total: opt16(a, U.NFTA_QUEUE_TOTAL),
    flags: opt16(a, U.NFTA_QUEUE_FLAGS) ?? 0,
    sreg: opt32(a, U.NFTA_QUEUE_SREG_QNUM),
  }),
  dup: (a) => ({ name: 'dup', addr: opt32(a, U.NFTA_DUP_SREG_ADDR), dev: opt32(a, U.NFTA_DUP_SREG_DEV) }),
  fwd: (a) => ({
    name: 'fwd',
    dev: u32(a, U.NFTA_FWD_SREG_DEV),
    addr: opt32(a, U.NFTA_FWD_SREG_ADDR),
    nfproto: opt32(a, U.NFTA_FWD_NFPROTO),
  }),
  notrack: () => ({ name: 'notrack' }),
  objref: (a) => ({
    name: 'objref',
    type: opt32(a, U.NFTA_OBJREF_IMM_TYPE),
    ...(a.has(U.NFTA_OBJREF_IMM_NAME) && { object: text(a, U.NFTA_OBJREF_IMM_NAME) }),
    sreg: opt32(a, U.NFTA_OBJREF_SET_SREG),
    ...(a.has(U.NFTA_OBJREF_SET_NAME) && { set: text(a, U.NFTA_OBJREF_SET_NAME) }),
  }),
  flow_offload: (a) => ({ name: 'flow_offload', table: text(a, U.NFTA_FLOW_TABLE_NAME) }),
  match: (a) => ({
    name: 'match',
    xt: text(a, U.NFTA_MATCH_NAME),
    rev: u32(a, U.NFTA_MATCH_REV),
    info: a.get(U.NFTA_MATCH_INFO)?.payload.slice() ?? new Uint8Array(0),
  }),
  target: (a) => ({
    name: 'target',
    xt: text(a, U.NFTA_TARGET_NAME),
    rev: u32(a, U.NFTA_TARGET_REV),
    info: a.get(U.NFTA_TARGET_INFO)?.payload.slice() ?? new Uint8Array(0),
  }),
};

/** One expression from its NFTA_LIST_ELEM (name and data). */
export function decodeExpr(attr: Attr): KernelExpr {
  const attrs = attrMap(attr.payload);
  const name = text(attrs, U.NFTA_EXPR_NAME);
  const data = attrs.get(U.NFTA_EXPR_DATA)?.payload ?? new Uint8Array(0);
  const decode = DECODERS[name];
  return decode ? decode(attrMap(data)) : { name: 'other', kernel: name, data: data.slice() };
}

/** The expressions of a list attribute. */
export function decodeExprs(attr: Attr): KernelExpr[] {
  return readAttrs(attr.payload)
    .filter((a) => a.type === U.NFTA_LIST_ELEM)
    .map(decodeExpr);
}
