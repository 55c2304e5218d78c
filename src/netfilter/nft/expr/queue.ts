/**
 * `queue`: hands the packet to a userspace queue. No program listens to queues in netloom's hosts, so, as on Linux, the
 * packet is dropped, or passes with the bypass flag (core/hook.ts decides).
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { getBeU16 } from '../../../wire/netlink/attr.ts';
import { NF_QUEUE, NF_VERDICT_FLAG_QUEUE_BYPASS } from '../../../wire/uapi/netfilter.ts';
import {
  NFT_QUEUE_FLAG_BYPASS,
  NFTA_QUEUE_FLAGS,
  NFTA_QUEUE_NUM,
  NFTA_QUEUE_SREG_QNUM,
  NFTA_QUEUE_TOTAL,
} from '../../../wire/uapi/nf-tables.ts';
import type { Expr, ExprKind } from '../expr.ts';
import { loadRegister, regNumber } from '../regs.ts';

export const queue: ExprKind = {
  name: 'queue',
  init(attrs): Expr {
    const u16 = (type: number, fallback: number): number => {
      const attr = attrs.get(type);
      return attr ? getBeU16(attr.payload) : fallback;
    };
    const sreg = attrs.get(NFTA_QUEUE_SREG_QNUM);
    const from = sreg ? loadRegister(sreg, 4) : -1;
    if (from < 0 && !attrs.has(NFTA_QUEUE_NUM)) throw new KernelError(EINVAL);
    const num = u16(NFTA_QUEUE_NUM, 0);
    const total = u16(NFTA_QUEUE_TOTAL, 1);
    const flags = u16(NFTA_QUEUE_FLAGS, 0);
    if (total === 0 || num + total - 1 > 0xffff || flags & ~3) throw new KernelError(EINVAL);
    const bypass = flags & NFT_QUEUE_FLAG_BYPASS ? NF_VERDICT_FLAG_QUEUE_BYPASS : 0;
    return {
      name: 'queue',
      eval(regs) {
        const number = from < 0 ? num : regs.u32[from >> 2] & 0xffff;
        regs.verdict = NF_QUEUE | (number << 16) | bypass;
      },
      dump(w) {
        if (from >= 0) w.beU32(NFTA_QUEUE_SREG_QNUM, regNumber(from));
        else w.beU16(NFTA_QUEUE_NUM, num).beU16(NFTA_QUEUE_TOTAL, total);
        w.beU16(NFTA_QUEUE_FLAGS, flags);
      },
    };
  },
};
