/**
 * `numgen`: the next number of a counter, or a random one, modulo something, plus an offset; in host order.
 */
import { EINVAL, EOVERFLOW, KernelError } from '../../../core/errno.ts';
import {
  NFT_NG_RANDOM,
  NFTA_NG_DREG,
  NFTA_NG_MODULUS,
  NFTA_NG_OFFSET,
  NFTA_NG_TYPE,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { regNumber, storeRegister } from '../regs.ts';
import { State } from '../state.ts';

export const numgen: ExprKind = {
  name: 'numgen',
  init(attrs): Expr {
    const modulus = u32Attr(attrs, NFTA_NG_MODULUS);
    const offset = u32Attr(attrs, NFTA_NG_OFFSET, 0);
    const type = u32Attr(attrs, NFTA_NG_TYPE);
    if (type > NFT_NG_RANDOM) throw new KernelError(EINVAL);
    if (modulus === 0) throw new KernelError(EINVAL);
    if (offset + modulus - 1 > 0xffffffff) throw new KernelError(EOVERFLOW);
    const to = storeRegister(attrs.get(NFTA_NG_DREG), 4);
    const state = new State(modulus - 1);
    return {
      name: 'numgen',
      native: type === NFT_NG_RANDOM ? undefined : { op: 'numgen', state, to, modulus, offset },
      eval(regs, pkt) {
        if (type === NFT_NG_RANDOM) regs.u32[to >> 2] = pkt.world.random.below(modulus) + offset;
        else {
          const last = state.get(0);
          const next = last + 1 < modulus ? last + 1 : 0;
          state.set(0, next);
          regs.u32[to >> 2] = next + offset;
        }
      },
      dump(w) {
        w.beU32(NFTA_NG_DREG, regNumber(to)).beU32(NFTA_NG_MODULUS, modulus);
        w.beU32(NFTA_NG_TYPE, type).beU32(NFTA_NG_OFFSET, offset);
      },
    };
  },
};
