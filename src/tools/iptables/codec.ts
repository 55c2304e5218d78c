/**
 * The kernel expressions that iptables-nft writes, to and from netlink attributes, in the order in which it writes them.
 */
import {
  type Attr,
  type AttrWriter,
  attrMap,
  getBeU16,
  getBeU32,
  getBeU64,
  getString,
  readAttrs,
} from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import type { KernelExpr } from '../nft/expr/types.ts';

function data(w: AttrWriter, type: number, bytes: Uint8Array): void {
  w.nest(type, (n) => n.bytes(U.NFTA_DATA_VALUE, bytes));
}

function writeData(w: AttrWriter, e: KernelExpr): void {
  switch (e.name) {
    case 'meta':
      w.beU32(U.NFTA_META_KEY, e.key);
      if (e.dreg !== undefined) w.beU32(U.NFTA_META_DREG, e.dreg);
      if (e.sreg !== undefined) w.beU32(U.NFTA_META_SREG, e.sreg);
      break;
    case 'cmp':
      w.beU32(U.NFTA_CMP_SREG, e.sreg).beU32(U.NFTA_CMP_OP, e.op);
      data(w, U.NFTA_CMP_DATA, e.data);
      break;
    case 'range':
      w.beU32(U.NFTA_RANGE_SREG, e.sreg).beU32(U.NFTA_RANGE_OP, e.op);
      data(w, U.NFTA_RANGE_FROM_DATA, e.from);
      data(w, U.NFTA_RANGE_TO_DATA, e.to);
      break;
    case 'payload':
      w.beU32(U.NFTA_PAYLOAD_DREG, e.dreg ?? 1)
        .beU32(U.NFTA_PAYLOAD_BASE, e.base)
        .beU32(U.NFTA_PAYLOAD_OFFSET, e.offset)
        .beU32(U.NFTA_PAYLOAD_LEN, e.len);
      break;
    case 'bitwise':
      w.beU32(U.NFTA_BITWISE_SREG, e.sreg).beU32(U.NFTA_BITWISE_DREG, e.dreg).beU32(U.NFTA_BITWISE_LEN, e.len);
      if (e.mask) data(w, U.NFTA_BITWISE_MASK, e.mask);
      if (e.xor) data(w, U.NFTA_BITWISE_XOR, e.xor);
      break;
    case 'counter':
      w.beU64(U.NFTA_COUNTER_BYTES, e.bytes).beU64(U.NFTA_COUNTER_PACKETS, e.packets);
      break;
    case 'immediate':
      w.beU32(U.NFTA_IMMEDIATE_DREG, e.dreg).nest(U.NFTA_IMMEDIATE_DATA, (n) => {
        const d = e.data;
        if ('value' in d) n.bytes(U.NFTA_DATA_VALUE, d.value);
        else
          n.nest(U.NFTA_DATA_VERDICT, (v) => {
            v.beU32(U.NFTA_VERDICT_CODE, d.verdict.code);
            if (d.verdict.chain !== undefined) v.string(U.NFTA_VERDICT_CHAIN, d.verdict.chain);
          });
      });
      break;
    case 'limit':
      w.beU64(U.NFTA_LIMIT_RATE, e.rate)
        .beU64(U.NFTA_LIMIT_UNIT, e.unit)
        .beU32(U.NFTA_LIMIT_BURST, e.burst)
        .beU32(U.NFTA_LIMIT_TYPE, e.type)
        .beU32(U.NFTA_LIMIT_FLAGS, e.flags);
      break;
    case 'log':
      if (e.prefix !== undefined) w.string(U.NFTA_LOG_PREFIX, e.prefix);
      if (e.group !== undefined) w.beU16(U.NFTA_LOG_GROUP, e.group);
      if (e.snaplen !== undefined) w.beU32(U.NFTA_LOG_SNAPLEN, e.snaplen);
      if (e.qthreshold !== undefined) w.beU16(U.NFTA_LOG_QTHRESHOLD, e.qthreshold);
      break;
    case 'match':
      w.string(U.NFTA_MATCH_NAME, e.xt).beU32(U.NFTA_MATCH_REV, e.rev).bytes(U.NFTA_MATCH_INFO, e.info);
      break;
    case 'target':
      w.string(U.NFTA_TARGET_NAME, e.xt).beU32(U.NFTA_TARGET_REV, e.rev).bytes(U.NFTA_TARGET_INFO, e.info);
      break;
    default:
      throw new Error(`iptables does not write ${e.name} expressions`);
  }
}

/** Writes NFTA_RULE_EXPRESSIONS (or another list of expressions). */
export function writeExpressions(w: AttrWriter, type: number, exprs: readonly KernelExpr[]): void {
  w.nest(type, (list) => {
    for (const e of exprs)
      list.nest(U.NFTA_LIST_ELEM, (elem) => {
        elem.string(U.NFTA_EXPR_NAME, e.name).nest(U.NFTA_EXPR_DATA, (d) => writeData(d, e));
      });
  });
}

type Attrs = ReadonlyMap<number, Attr>;

function u32(attrs: Attrs, type: number): number {
  const attr = attrs.get(type);
  return attr === undefined ? 0 : getBeU32(attr.payload);
}
function u64(attrs: Attrs, type: number): bigint {
  const attr = attrs.get(type);
  return attr === undefined ? 0n : getBeU64(attr.payload);
}
function value(attrs: Attrs, type: number): Uint8Array {
  const attr = attrs.get(type);
  const inner = attr && attrMap(attr.payload).get(U.NFTA_DATA_VALUE);
  return inner?.payload ?? new Uint8Array();
}
function text(attrs: Attrs, type: number): string {
  const attr = attrs.get(type);
  return attr === undefined ? '' : getString(attr.payload);
}

function readOne(name: string, attrs: Attrs, raw: Uint8Array): KernelExpr {
  switch (name) {
    case 'meta': {
      const key = u32(attrs, U.NFTA_META_KEY);
      return attrs.has(U.NFTA_META_SREG)
        ? { name, key, sreg: u32(attrs, U.NFTA_META_SREG) }
        : { name, key, dreg: u32(attrs, U.NFTA_META_DREG) };
    }
    case 'cmp':
      return {
        name,
        sreg: u32(attrs, U.NFTA_CMP_SREG),
        op: u32(attrs, U.NFTA_CMP_OP),
        data: value(attrs, U.NFTA_CMP_DATA),
      };
    case 'range':
      return {
        name,
        sreg: u32(attrs, U.NFTA_RANGE_SREG),
        op: u32(attrs, U.NFTA_RANGE_OP),
        from: value(attrs, U.NFTA_RANGE_FROM_DATA),
        to: value(attrs, U.NFTA_RANGE_TO_DATA),
      };
    case 'payload':
      if (attrs.has(U.NFTA_PAYLOAD_SREG)) break;
      return {
        name,
        dreg: u32(attrs, U.NFTA_PAYLOAD_DREG),
        base: u32(attrs, U.NFTA_PAYLOAD_BASE),
        offset: u32(attrs, U.NFTA_PAYLOAD_OFFSET),
        len: u32(attrs, U.NFTA_PAYLOAD_LEN),
      };
    case 'bitwise':
      return {
        name,
        sreg: u32(attrs, U.NFTA_BITWISE_SREG),
        dreg: u32(attrs, U.NFTA_BITWISE_DREG),
        len: u32(attrs, U.NFTA_BITWISE_LEN),
        op: u32(attrs, U.NFTA_BITWISE_OP),
        mask: value(attrs, U.NFTA_BITWISE_MASK),
        xor: value(attrs, U.NFTA_BITWISE_XOR),
      };
    case 'counter':
      return { name, bytes: u64(attrs, U.NFTA_COUNTER_BYTES), packets: u64(attrs, U.NFTA_COUNTER_PACKETS) };
    case 'immediate': {
      const dreg = u32(attrs, U.NFTA_IMMEDIATE_DREG);
      const inner = attrMap(attrs.get(U.NFTA_IMMEDIATE_DATA)?.payload ?? new Uint8Array());
      const verdict = inner.get(U.NFTA_DATA_VERDICT);
      if (verdict === undefined)
        return { name, dreg, data: { value: inner.get(U.NFTA_DATA_VALUE)?.payload ?? new Uint8Array() } };
      const v = attrMap(verdict.payload);
      const chain = v.get(U.NFTA_VERDICT_CHAIN);
      const code = u32(v, U.NFTA_VERDICT_CODE) | 0;
      return {
        name,
        dreg,
        data: { verdict: chain === undefined ? { code } : { code, chain: getString(chain.payload) } },
      };
    }
    case 'limit':
      return {
        name,
        rate: u64(attrs, U.NFTA_LIMIT_RATE),
        unit: u64(attrs, U.NFTA_LIMIT_UNIT),
        burst: u32(attrs, U.NFTA_LIMIT_BURST),
        type: u32(attrs, U.NFTA_LIMIT_TYPE),
        flags: u32(attrs, U.NFTA_LIMIT_FLAGS),
      };
    case 'log': {
      const group = attrs.get(U.NFTA_LOG_GROUP);
      if (group === undefined) break;
      const threshold = attrs.get(U.NFTA_LOG_QTHRESHOLD);
      return {
        name,
        group: getBeU16(group.payload),
        prefix: text(attrs, U.NFTA_LOG_PREFIX),
        snaplen: u32(attrs, U.NFTA_LOG_SNAPLEN),
        qthreshold: threshold === undefined ? 0 : getBeU16(threshold.payload),
      };
    }
    case 'match':
      return {
        name,
        xt: text(attrs, U.NFTA_MATCH_NAME),
        rev: u32(attrs, U.NFTA_MATCH_REV),
        info: attrs.get(U.NFTA_MATCH_INFO)?.payload ?? new Uint8Array(),
      };
    case 'target':
      return {
        name,
        xt: text(attrs, U.NFTA_TARGET_NAME),
        rev: u32(attrs, U.NFTA_TARGET_REV),
        info: attrs.get(U.NFTA_TARGET_INFO)?.payload ?? new Uint8Array(),
      };
  }
  return { name: 'other', kernel: name, data: raw };
}

/** Reads NFTA_RULE_EXPRESSIONS. */
export function readExpressions(bytes: Uint8Array): KernelExpr[] {
  return readAttrs(bytes).map((elem) => {
    const attrs = attrMap(elem.payload);
    const raw = attrs.get(U.NFTA_EXPR_DATA)?.payload ?? new Uint8Array();
    return readOne(text(attrs, U.NFTA_EXPR_NAME), attrMap(raw), raw);
  });
}
