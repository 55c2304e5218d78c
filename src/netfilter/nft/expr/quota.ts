/**
 * `quota`: matches until (or, with "over", once) so many bytes have passed. Also the named quota object.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { getBeU64 } from '../../../wire/netlink/attr.ts';
import {
  NFT_BREAK,
  NFT_QUOTA_F_DEPLETED,
  NFT_QUOTA_F_INV,
  NFTA_QUOTA_BYTES,
  NFTA_QUOTA_CONSUMED,
  NFTA_QUOTA_FLAGS,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import { State } from '../state.ts';

function newQuota(quotaBytes: bigint, flags: number, start: number): Expr {
  const limit = Number(quotaBytes);
  const invert = (flags & NFT_QUOTA_F_INV) !== 0;
  const state = new State(start);
  return {
    name: 'quota',
    native: { op: 'quota', state, bytes: limit, invert },
    aloof: true,
    eval(regs, pkt) {
      state.add(0, pkt.slab.len(pkt.p));
      if (state.get(0) >= limit !== invert) regs.verdict = NFT_BREAK;
    },
    dump(w, reset) {
      const consumed = state.get(0);
      w.beU64(NFTA_QUOTA_BYTES, quotaBytes).beU64(NFTA_QUOTA_CONSUMED, BigInt(Math.min(consumed, limit)));
      w.beU32(NFTA_QUOTA_FLAGS, flags | (consumed >= limit ? NFT_QUOTA_F_DEPLETED : 0));
      if (reset) state.set(0, 0);
    },
    clone() {
      return newQuota(quotaBytes, flags, 0);
    },
  };
}

export const quota: ExprKind = {
  name: 'quota',
  init(attrs): Expr {
    const bytes = getBeU64(need(attrs, NFTA_QUOTA_BYTES).payload);
    if (bytes > 0x7fffffffffffffffn) throw new KernelError(EINVAL);
    const consumed = attrs.get(NFTA_QUOTA_CONSUMED);
    const flags = u32Attr(attrs, NFTA_QUOTA_FLAGS, 0);
    if (flags & ~(NFT_QUOTA_F_INV | NFT_QUOTA_F_DEPLETED)) throw new KernelError(EOPNOTSUPP);
    return newQuota(bytes, flags & NFT_QUOTA_F_INV, consumed ? Number(getBeU64(consumed.payload)) : 0);
  },
};
