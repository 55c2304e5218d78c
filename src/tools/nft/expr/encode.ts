/** Kernel expressions to netlink attributes: NFTA_LIST_ELEM { NFTA_EXPR_NAME, NFTA_EXPR_DATA } (linux/netfilter/nf_tables.h). */
import type { AttrWriter } from '../../../wire/netlink/attr.ts';
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Data, KernelExpr } from './types.ts';

/** NFTA_DATA_* in a nest. */
export function encodeData(w: AttrWriter, type: number, data: Data): void {
  w.nest(type, (n) => {
    if ('value' in data) {
      n.bytes(uapi.NFTA_DATA_VALUE, data.value);
      return;
    }
    n.nest(uapi.NFTA_DATA_VERDICT, (v) => {
      v.beU32(uapi.NFTA_VERDICT_CODE, data.verdict.code);
      if (data.verdict.chain !== undefined) v.string(uapi.NFTA_VERDICT_CHAIN, data.verdict.chain);
      if (data.verdict.chainId !== undefined) v.beU32(uapi.NFTA_VERDICT_CHAIN_ID, data.verdict.chainId);
    });
  });
}

const bytes = (w: AttrWriter, type: number, value: Uint8Array): void => encodeData(w, type, { value });

/** A number attribute, left out when undefined. */
function u32(w: AttrWriter, type: number, value: number | undefined): void {
  if (value !== undefined) w.beU32(type, value);
}

function fields(w: AttrWriter, e: KernelExpr): void {
  switch (e.name) {
    case 'immediate':
      u32(w, uapi.NFTA_IMMEDIATE_DREG, e.dreg);
      encodeData(w, uapi.NFTA_IMMEDIATE_DATA, e.data);
      return;
    case 'cmp':
      u32(w, uapi.NFTA_CMP_SREG, e.sreg);
      u32(w, uapi.NFTA_CMP_OP, e.op);
      bytes(w, uapi.NFTA_CMP_DATA, e.data);
      return;
    case 'range':
      u32(w, uapi.NFTA_RANGE_SREG, e.sreg);
      u32(w, uapi.NFTA_RANGE_OP, e.op);
      bytes(w, uapi.NFTA_RANGE_FROM_DATA, e.from);
      bytes(w, uapi.NFTA_RANGE_TO_DATA, e.to);
      return;
    case 'payload':
      if (e.dreg !== undefined) u32(w, uapi.NFTA_PAYLOAD_DREG, e.dreg);
      else u32(w, uapi.NFTA_PAYLOAD_SREG, e.sreg);
      u32(w, uapi.NFTA_PAYLOAD_BASE, e.base);
      u32(w, uapi.NFTA_PAYLOAD_OFFSET, e.offset);
      u32(w, uapi.NFTA_PAYLOAD_LEN, e.len);
      if (e.dreg === undefined) {
        u32(w, uapi.NFTA_PAYLOAD_CSUM_TYPE, e.csumType);
        u32(w, uapi.NFTA_PAYLOAD_CSUM_OFFSET, e.csumOffset);
        if (e.csumFlags !== 0) u32(w, uapi.NFTA_PAYLOAD_CSUM_FLAGS, e.csumFlags);
      }
      return;
    case 'exthdr':
      u32(w, uapi.NFTA_EXTHDR_DREG, e.dreg);
      u32(w, uapi.NFTA_EXTHDR_SREG, e.sreg);
      w.u8(uapi.NFTA_EXTHDR_TYPE, e.type);
      u32(w, uapi.NFTA_EXTHDR_OFFSET, e.offset);
      u32(w, uapi.NFTA_EXTHDR_LEN, e.len);
      if (e.flags !== 0) u32(w, uapi.NFTA_EXTHDR_FLAGS, e.flags);
      if (e.op !== 0) u32(w, uapi.NFTA_EXTHDR_OP, e.op);
      return;
    case 'meta':
      u32(w, uapi.NFTA_META_DREG, e.dreg);
      u32(w, uapi.NFTA_META_KEY, e.key);
      u32(w, uapi.NFTA_META_SREG, e.sreg);
      return;
    case 'ct':
      u32(w, uapi.NFTA_CT_DREG, e.dreg);
      u32(w, uapi.NFTA_CT_KEY, e.key);
      if (e.direction !== undefined) w.u8(uapi.NFTA_CT_DIRECTION, e.direction);
      u32(w, uapi.NFTA_CT_SREG, e.sreg);
      return;
    case 'rt':
      u32(w, uapi.NFTA_RT_DREG, e.dreg);
      u32(w, uapi.NFTA_RT_KEY, e.key);
      return;
    case 'socket':
      u32(w, uapi.NFTA_SOCKET_KEY, e.key);
      u32(w, uapi.NFTA_SOCKET_DREG, e.dreg);
      u32(w, uapi.NFTA_SOCKET_LEVEL, e.level);
      return;
    case 'fib':
      u32(w, uapi.NFTA_FIB_DREG, e.dreg);
      u32(w, uapi.NFTA_FIB_RESULT, e.result);
      u32(w, uapi.NFTA_FIB_FLAGS, e.flags);
      return;
    case 'xfrm':
      u32(w, uapi.NFTA_XFRM_DREG, e.dreg);
      u32(w, uapi.NFTA_XFRM_KEY, e.key);
      w.u8(uapi.NFTA_XFRM_DIR, e.dir);
      u32(w, uapi.NFTA_XFRM_SPNUM, e.spnum);
      return;
    case 'osf':
      u32(w, uapi.NFTA_OSF_DREG, e.dreg);
      w.u8(uapi.NFTA_OSF_TTL, e.ttl);
      u32(w, uapi.NFTA_OSF_FLAGS, e.flags);
      return;
    case 'numgen':
      u32(w, uapi.NFTA_NG_DREG, e.dreg);
      u32(w, uapi.NFTA_NG_MODULUS, e.modulus);
      u32(w, uapi.NFTA_NG_TYPE, e.type);
      u32(w, uapi.NFTA_NG_OFFSET, e.offset);
      return;
    case 'hash':
      u32(w, uapi.NFTA_HASH_SREG, e.sreg);
      u32(w, uapi.NFTA_HASH_DREG, e.dreg);
      u32(w, uapi.NFTA_HASH_LEN, e.len);
      u32(w, uapi.NFTA_HASH_MODULUS, e.modulus);
      u32(w, uapi.NFTA_HASH_SEED, e.seed);
      u32(w, uapi.NFTA_HASH_OFFSET, e.offset);
      u32(w, uapi.NFTA_HASH_TYPE, e.type);
      return;
    case 'bitwise':
      u32(w, uapi.NFTA_BITWISE_SREG, e.sreg);
      u32(w, uapi.NFTA_BITWISE_DREG, e.dreg);
      u32(w, uapi.NFTA_BITWISE_OP, e.op);
      u32(w, uapi.NFTA_BITWISE_LEN, e.len);
      if (e.mask !== undefined) bytes(w, uapi.NFTA_BITWISE_MASK, e.mask);
      if (e.xor !== undefined) bytes(w, uapi.NFTA_BITWISE_XOR, e.xor);
      if (e.data !== undefined) bytes(w, uapi.NFTA_BITWISE_DATA, e.data);
      u32(w, uapi.NFTA_BITWISE_SREG2, e.sreg2);
      return;
    case 'inner':
      u32(w, uapi.NFTA_INNER_NUM, 0);
      u32(w, uapi.NFTA_INNER_TYPE, e.type);
      u32(w, uapi.NFTA_INNER_FLAGS, e.flags);
      u32(w, uapi.NFTA_INNER_HDRSIZE, e.hdrsize);
      encodeExpr(w, uapi.NFTA_INNER_EXPR, e.expr);
      return;
    case 'tunnel':
      u32(w, uapi.NFTA_TUNNEL_KEY, e.key);
      u32(w, uapi.NFTA_TUNNEL_DREG, e.dreg);
      return;
    case 'byteorder':
      u32(w, uapi.NFTA_BYTEORDER_SREG, e.sreg);
      u32(w, uapi.NFTA_BYTEORDER_DREG, e.dreg);
      u32(w, uapi.NFTA_BYTEORDER_OP, e.op);
      u32(w, uapi.NFTA_BYTEORDER_LEN, e.len);
      u32(w, uapi.NFTA_BYTEORDER_SIZE, e.size);
      return;
    case 'lookup':
      u32(w, uapi.NFTA_LOOKUP_SREG, e.sreg);
      u32(w, uapi.NFTA_LOOKUP_DREG, e.dreg);
      w.string(uapi.NFTA_LOOKUP_SET, e.set);
      u32(w, uapi.NFTA_LOOKUP_SET_ID, e.setId);
      if (e.flags !== 0) u32(w, uapi.NFTA_LOOKUP_FLAGS, e.flags);
      return;
    case 'dynset':
      u32(w, uapi.NFTA_DYNSET_SREG_KEY, e.sregKey);
      u32(w, uapi.NFTA_DYNSET_SREG_DATA, e.sregData);
      u32(w, uapi.NFTA_DYNSET_OP, e.op);
      if (e.timeout !== undefined) w.beU64(uapi.NFTA_DYNSET_TIMEOUT, e.timeout);
      w.string(uapi.NFTA_DYNSET_SET_NAME, e.set);
      u32(w, uapi.NFTA_DYNSET_SET_ID, e.setId);
      if (e.flags !== 0) u32(w, uapi.NFTA_DYNSET_FLAGS, e.flags);
      if (e.exprs.length === 1) encodeExpr(w, uapi.NFTA_DYNSET_EXPR, e.exprs[0]);
      else if (e.exprs.length > 1)
        w.nest(uapi.NFTA_DYNSET_EXPRESSIONS, (n) => {
          for (const sub of e.exprs) encodeExpr(n, uapi.NFTA_LIST_ELEM, sub);
        });
      return;
    case 'counter':
      w.beU64(uapi.NFTA_COUNTER_BYTES, e.bytes);
      w.beU64(uapi.NFTA_COUNTER_PACKETS, e.packets);
      return;
    case 'quota':
      w.beU64(uapi.NFTA_QUOTA_BYTES, e.bytes);
      w.beU64(uapi.NFTA_QUOTA_CONSUMED, e.consumed);
      u32(w, uapi.NFTA_QUOTA_FLAGS, e.flags);
      return;
    case 'limit':
      w.beU64(uapi.NFTA_LIMIT_RATE, e.rate);
      w.beU64(uapi.NFTA_LIMIT_UNIT, e.unit);
      u32(w, uapi.NFTA_LIMIT_BURST, e.burst);
      u32(w, uapi.NFTA_LIMIT_TYPE, e.type);
      u32(w, uapi.NFTA_LIMIT_FLAGS, e.flags);
      return;
    case 'connlimit':
      u32(w, uapi.NFTA_CONNLIMIT_COUNT, e.count);
      u32(w, uapi.NFTA_CONNLIMIT_FLAGS, e.flags);
      return;
    case 'last':
      u32(w, uapi.NFTA_LAST_SET, e.set);
      if (e.msecs !== undefined) w.beU64(uapi.NFTA_LAST_MSECS, e.msecs);
      return;
    case 'log':
      if (e.group !== undefined) {
        w.beU16(uapi.NFTA_LOG_GROUP, e.group);
        u32(w, uapi.NFTA_LOG_SNAPLEN, e.snaplen);
        if (e.qthreshold !== undefined) w.beU16(uapi.NFTA_LOG_QTHRESHOLD, e.qthreshold);
      }
      if (e.prefix !== undefined) w.string(uapi.NFTA_LOG_PREFIX, e.prefix);
      if (e.group === undefined) {
        u32(w, uapi.NFTA_LOG_LEVEL, e.level);
        u32(w, uapi.NFTA_LOG_FLAGS, e.flags);
      }
      return;
    case 'reject':
      u32(w, uapi.NFTA_REJECT_TYPE, e.type);
      w.u8(uapi.NFTA_REJECT_ICMP_CODE, e.code);
      return;
    case 'nat':
      u32(w, uapi.NFTA_NAT_TYPE, e.type);
      u32(w, uapi.NFTA_NAT_FAMILY, e.family);
      u32(w, uapi.NFTA_NAT_REG_ADDR_MIN, e.addrMin);
      u32(w, uapi.NFTA_NAT_REG_ADDR_MAX, e.addrMax);
      u32(w, uapi.NFTA_NAT_REG_PROTO_MIN, e.protoMin);
      u32(w, uapi.NFTA_NAT_REG_PROTO_MAX, e.protoMax);
      if (e.flags !== 0) u32(w, uapi.NFTA_NAT_FLAGS, e.flags);
      return;
    case 'masq':
      if (e.flags !== 0) u32(w, uapi.NFTA_MASQ_FLAGS, e.flags);
      u32(w, uapi.NFTA_MASQ_REG_PROTO_MIN, e.protoMin);
      u32(w, uapi.NFTA_MASQ_REG_PROTO_MAX, e.protoMax);
      return;
    case 'redir':
      u32(w, uapi.NFTA_REDIR_REG_PROTO_MIN, e.protoMin);
      u32(w, uapi.NFTA_REDIR_REG_PROTO_MAX, e.protoMax);
      if (e.flags !== 0) u32(w, uapi.NFTA_REDIR_FLAGS, e.flags);
      return;
    case 'tproxy':
      u32(w, uapi.NFTA_TPROXY_FAMILY, e.family);
      u32(w, uapi.NFTA_TPROXY_REG_ADDR, e.addr);
      u32(w, uapi.NFTA_TPROXY_REG_PORT, e.port);
      return;
    case 'synproxy':
      w.beU16(uapi.NFTA_SYNPROXY_MSS, e.mss);
      w.u8(uapi.NFTA_SYNPROXY_WSCALE, e.wscale);
      u32(w, uapi.NFTA_SYNPROXY_FLAGS, e.flags);
      return;
    case 'queue':
      if (e.num !== undefined) w.beU16(uapi.NFTA_QUEUE_NUM, e.num);
      if (e.total !== undefined) w.beU16(uapi.NFTA_QUEUE_TOTAL, e.total);
      if (e.flags !== 0) w.beU16(uapi.NFTA_QUEUE_FLAGS, e.flags);
      u32(w, uapi.NFTA_QUEUE_SREG_QNUM, e.sreg);
      return;
    case 'dup':
      u32(w, uapi.NFTA_DUP_SREG_ADDR, e.addr);
      u32(w, uapi.NFTA_DUP_SREG_DEV, e.dev);
      return;
    case 'fwd':
      u32(w, uapi.NFTA_FWD_SREG_DEV, e.dev);
      u32(w, uapi.NFTA_FWD_SREG_ADDR, e.addr);
      u32(w, uapi.NFTA_FWD_NFPROTO, e.nfproto);
      return;
    case 'objref':
      u32(w, uapi.NFTA_OBJREF_IMM_TYPE, e.type);
      if (e.object !== undefined) w.string(uapi.NFTA_OBJREF_IMM_NAME, e.object);
      u32(w, uapi.NFTA_OBJREF_SET_SREG, e.sreg);
      if (e.set !== undefined) w.string(uapi.NFTA_OBJREF_SET_NAME, e.set);
      u32(w, uapi.NFTA_OBJREF_SET_ID, e.setId);
      return;
    case 'flow_offload':
      w.string(uapi.NFTA_FLOW_TABLE_NAME, e.table);
      return;
    case 'match':
    case 'target':
      w.string(uapi.NFTA_MATCH_NAME, e.xt);
      u32(w, uapi.NFTA_MATCH_REV, e.rev);
      w.bytes(uapi.NFTA_MATCH_INFO, e.info);
      return;
    case 'notrack':
    case 'other':
      return;
  }
}

/** Writes one expression as attribute `type`. */
export function encodeExpr(w: AttrWriter, type: number, e: KernelExpr): void {
  w.nest(type, (n) => {
    n.string(uapi.NFTA_EXPR_NAME, e.name === 'other' ? e.kernel : e.name);
    if (e.name === 'other') n.bytes(uapi.NFTA_EXPR_DATA, e.data);
    else n.nest(uapi.NFTA_EXPR_DATA, (d) => fields(d, e));
  });
}

/** Writes a list of expressions (NFTA_RULE_EXPRESSIONS and the like). */
export function encodeExprs(w: AttrWriter, type: number, list: readonly KernelExpr[]): void {
  w.nest(type, (n) => {
    for (const e of list) encodeExpr(n, uapi.NFTA_LIST_ELEM, e);
  });
}
