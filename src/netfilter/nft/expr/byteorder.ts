/**
 * `byteorder`: turns values of 2, 4 or 8 bytes between host and network order.
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import {
  NFTA_BYTEORDER_DREG,
  NFTA_BYTEORDER_LEN,
  NFTA_BYTEORDER_OP,
  NFTA_BYTEORDER_SIZE,
  NFTA_BYTEORDER_SREG,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { loadRegister, regNumber, storeRegister } from '../regs.ts';

export const byteorder: ExprKind = {
  name: 'byteorder',
  init(attrs): Expr {
    const op = u32Attr(attrs, NFTA_BYTEORDER_OP);
    const length = u32Attr(attrs, NFTA_BYTEORDER_LEN);
    const size = u32Attr(attrs, NFTA_BYTEORDER_SIZE);
    if (op > 1 || (size !== 2 && size !== 4 && size !== 8)) throw new KernelError(EINVAL);
    const from = loadRegister(attrs.get(NFTA_BYTEORDER_SREG), length);
    const to = storeRegister(attrs.get(NFTA_BYTEORDER_DREG), length);
    return {
      name: 'byteorder',
      native: { op: 'byteorder', from, to, length, size },
      eval(regs) {
        for (let i = 0; i + size <= length; i += size) {
          for (let a = 0, b = size - 1; a <= b; a++, b--) {
            const low = regs.u8[from + i + a];
            regs.u8[to + i + a] = regs.u8[from + i + b];
            regs.u8[to + i + b] = low;
          }
        }
      },
      dump(w) {
        w.beU32(NFTA_BYTEORDER_SREG, regNumber(from)).beU32(NFTA_BYTEORDER_DREG, regNumber(to));
        w.beU32(NFTA_BYTEORDER_OP, op).beU32(NFTA_BYTEORDER_LEN, length).beU32(NFTA_BYTEORDER_SIZE, size);
      },
    };
  },
};
