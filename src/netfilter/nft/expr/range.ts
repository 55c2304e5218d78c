/**
 * `range`: a register lies (eq) or does not lie (neq) between two constants, both included.
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import {
  NFT_BREAK,
  NFT_RANGE_NEQ,
  NFTA_RANGE_FROM_DATA,
  NFTA_RANGE_OP,
  NFTA_RANGE_SREG,
  NFTA_RANGE_TO_DATA,
} from '../../../wire/uapi/nf-tables.ts';
import { dumpValue, readValue } from '../data.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import { loadRegister, regNumber } from '../regs.ts';

export const range: ExprKind = {
  name: 'range',
  init(attrs): Expr {
    const low = readValue(need(attrs, NFTA_RANGE_FROM_DATA));
    const high = readValue(need(attrs, NFTA_RANGE_TO_DATA));
    if (low.length !== high.length) throw new KernelError(EINVAL);
    const from = loadRegister(attrs.get(NFTA_RANGE_SREG), low.length);
    const op = u32Attr(attrs, NFTA_RANGE_OP);
    if (op > NFT_RANGE_NEQ) throw new KernelError(EINVAL);
    return {
      name: 'range',
      native: { op: 'range', from, low, high, invert: op === NFT_RANGE_NEQ },
      eval(regs) {
        let below = 0;
        let above = 0;
        for (let i = 0; i < low.length && below === 0; i++) below = regs.u8[from + i] - low[i];
        for (let i = 0; i < high.length && above === 0; i++) above = regs.u8[from + i] - high[i];
        const inside = below >= 0 && above <= 0;
        if (inside === (op === NFT_RANGE_NEQ)) regs.verdict = NFT_BREAK;
      },
      dump(w) {
        w.beU32(NFTA_RANGE_SREG, regNumber(from)).beU32(NFTA_RANGE_OP, op);
        dumpValue(w, NFTA_RANGE_FROM_DATA, low);
        dumpValue(w, NFTA_RANGE_TO_DATA, high);
      },
    };
  },
};
