/**
 * `cmp`: compares a register with a constant, byte by byte from the left (so network order compares as numbers).
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import type { AttrWriter } from '../../../wire/netlink/attr.ts';
import {
  NFT_BREAK,
  NFT_CMP_EQ,
  NFT_CMP_GT,
  NFT_CMP_GTE,
  NFT_CMP_LT,
  NFT_CMP_LTE,
  NFT_CMP_NEQ,
  NFTA_CMP_DATA,
  NFTA_CMP_OP,
  NFTA_CMP_SREG,
} from '../../../wire/uapi/nf-tables.ts';
import { dumpValue, readValue } from '../data.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import type { Native } from '../native.ts';
import { loadRegister, regNumber } from '../regs.ts';

export const cmp: ExprKind = {
  name: 'cmp',
  init(attrs): Expr {
    const value = readValue(need(attrs, NFTA_CMP_DATA));
    const from = loadRegister(attrs.get(NFTA_CMP_SREG), value.length);
    const op = u32Attr(attrs, NFTA_CMP_OP);
    if (op > NFT_CMP_GTE) throw new KernelError(EINVAL, undefined, attrs.get(NFTA_CMP_OP)?.offset);
    const length = value.length;
    const dump = (w: AttrWriter): void => {
      w.beU32(NFTA_CMP_SREG, regNumber(from)).beU32(NFTA_CMP_OP, op);
      dumpValue(w, NFTA_CMP_DATA, value);
    };
    const native: Native = { op: 'cmp', from, cmp: op, value };
    if (length <= 4 && (op === NFT_CMP_EQ || op === NFT_CMP_NEQ)) {
      // Equality within one word: most comparisons of real rulesets.
      const word = from >> 2;
      const mask = length === 4 ? -1 : (1 << (length * 8)) - 1;
      const wanted = value.reduce((sum, byte, i) => sum | (byte << (i * 8)), 0);
      const breakOn = op === NFT_CMP_NEQ;
      return {
        name: 'cmp',
        native,
        eval(regs) {
          if (((regs.u32[word] & mask) === wanted) === breakOn) regs.verdict = NFT_BREAK;
        },
        dump,
      };
    }
    return {
      name: 'cmp',
      native,
      eval(regs) {
        let d = 0;
        for (let i = 0; i < length; i++) {
          d = regs.u8[from + i] - value[i];
          if (d !== 0) break;
        }
        let match: boolean;
        switch (op) {
          case NFT_CMP_EQ:
            match = d === 0;
            break;
          case NFT_CMP_NEQ:
            match = d !== 0;
            break;
          case NFT_CMP_LT:
            match = d < 0;
            break;
          case NFT_CMP_LTE:
            match = d <= 0;
            break;
          case NFT_CMP_GT:
            match = d > 0;
            break;
          default:
            match = d >= 0;
        }
        if (!match) regs.verdict = NFT_BREAK;
      },
      dump,
    };
  },
};
