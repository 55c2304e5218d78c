/**
 * `bitwise`: dreg = (sreg & mask) ^ xor, or a shift of the whole register left or right. Shifts work on 32-bit words in
 * host order with carry between them, the first word being the most significant one.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import {
  NFT_BITWISE_LSHIFT,
  NFT_BITWISE_RSHIFT,
  NFTA_BITWISE_DATA,
  NFTA_BITWISE_DREG,
  NFTA_BITWISE_LEN,
  NFTA_BITWISE_MASK,
  NFTA_BITWISE_OP,
  NFTA_BITWISE_SREG,
  NFTA_BITWISE_XOR,
} from '../../../wire/uapi/nf-tables.ts';
import { dumpValue, readValue } from '../data.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import { loadRegister, regNumber, storeRegister } from '../regs.ts';

const NFT_BITWISE_BOOL = 0;

export const bitwise: ExprKind = {
  name: 'bitwise',
  init(attrs): Expr {
    const length = u32Attr(attrs, NFTA_BITWISE_LEN);
    const from = loadRegister(attrs.get(NFTA_BITWISE_SREG), length);
    const to = storeRegister(attrs.get(NFTA_BITWISE_DREG), length);
    const op = u32Attr(attrs, NFTA_BITWISE_OP, NFT_BITWISE_BOOL);
    if (op === NFT_BITWISE_BOOL) {
      if (attrs.has(NFTA_BITWISE_DATA)) throw new KernelError(EINVAL);
      const mask = readValue(need(attrs, NFTA_BITWISE_MASK));
      const xor = readValue(need(attrs, NFTA_BITWISE_XOR));
      if (mask.length !== length || xor.length !== length) throw new KernelError(EINVAL);
      return {
        name: 'bitwise',
        native: { op: 'bitwise', from, to, mask, xor },
        eval(regs) {
          for (let i = 0; i < length; i++) regs.u8[to + i] = (regs.u8[from + i] & mask[i]) ^ xor[i];
        },
        dump(w) {
          w.beU32(NFTA_BITWISE_SREG, regNumber(from)).beU32(NFTA_BITWISE_DREG, regNumber(to));
          w.beU32(NFTA_BITWISE_LEN, length).beU32(NFTA_BITWISE_OP, op);
          dumpValue(w, NFTA_BITWISE_MASK, mask);
          dumpValue(w, NFTA_BITWISE_XOR, xor);
        },
      };
    }
    if (op !== NFT_BITWISE_LSHIFT && op !== NFT_BITWISE_RSHIFT) {
      throw new KernelError(EOPNOTSUPP, 'netloom does not support bitwise operations on two registers yet');
    }
    const data = readValue(need(attrs, NFTA_BITWISE_DATA), 4);
    if (data.length !== 4) throw new KernelError(EINVAL);
    const shift = new DataView(data.buffer).getUint32(0, true);
    if (shift >= 32) throw new KernelError(EINVAL);
    const words = Math.ceil(length / 4);
    const left = op === NFT_BITWISE_LSHIFT;
    return {
      name: 'bitwise',
      eval(regs) {
        const s = from >> 2;
        const d = to >> 2;
        let carry = 0;
        if (left) {
          for (let i = words - 1; i >= 0; i--) {
            const word = regs.u32[s + i];
            regs.u32[d + i] = shift === 0 ? word : (word << shift) | carry;
            carry = shift === 0 ? 0 : word >>> (32 - shift);
          }
        } else {
          for (let i = 0; i < words; i++) {
            const word = regs.u32[s + i];
            regs.u32[d + i] = shift === 0 ? word : carry | (word >>> shift);
            carry = shift === 0 ? 0 : word << (32 - shift);
          }
        }
      },
      dump(w) {
        w.beU32(NFTA_BITWISE_SREG, regNumber(from)).beU32(NFTA_BITWISE_DREG, regNumber(to));
        w.beU32(NFTA_BITWISE_LEN, length).beU32(NFTA_BITWISE_OP, op);
        dumpValue(w, NFTA_BITWISE_DATA, data);
      },
    };
  },
};
