/**
 * `lookup`: set membership, map data, verdict maps.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import {
  NFT_BREAK,
  NFT_LOOKUP_F_INV,
  NFT_SET_MAP,
  NFTA_LOOKUP_DREG,
  NFTA_LOOKUP_FLAGS,
  NFTA_LOOKUP_SET,
  NFTA_LOOKUP_SET_ID,
  NFTA_LOOKUP_SREG,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import type { Chain } from '../model.ts';
import { isVerdictRegister, loadRegister, regNumber, storeRegister } from '../regs.ts';
import { bindSet, unbindSet } from '../set/bind.ts';
import { lookup as find } from '../set/set.ts';

export const lookup: ExprKind = {
  name: 'lookup',
  init(attrs, ctx): Expr {
    const set = ctx.set(attrs.get(NFTA_LOOKUP_SET), attrs.get(NFTA_LOOKUP_SET_ID));
    const from = loadRegister(attrs.get(NFTA_LOOKUP_SREG), set.keyLength);
    const flags = u32Attr(attrs, NFTA_LOOKUP_FLAGS, 0);
    if (flags & ~NFT_LOOKUP_F_INV) throw new KernelError(EINVAL);
    const invert = (flags & NFT_LOOKUP_F_INV) !== 0;
    const dreg = attrs.get(NFTA_LOOKUP_DREG);
    if (dreg !== undefined && (invert || !(set.flags & NFT_SET_MAP))) throw new KernelError(EINVAL);
    const verdicts = isVerdictRegister(dreg);
    const to = dreg === undefined || verdicts ? -1 : storeRegister(dreg, set.dataLength);
    if (to >= 0 && set.dataLength === 0) throw new KernelError(EOPNOTSUPP);
    bindSet(set);
    return {
      name: 'lookup',
      native: { op: 'lookup', set, from, to, verdicts, invert },
      eval(regs, pkt) {
        const element = find(set, regs.u8, from, pkt.world.now);
        if ((element !== undefined) === invert) {
          regs.verdict = NFT_BREAK;
          return;
        }
        if (element === undefined) return;
        if (verdicts) {
          const verdict = element.verdict;
          if (verdict) {
            regs.verdict = verdict.code;
            regs.chain = verdict.chain;
          }
        } else if (to >= 0) {
          const data = element.data;
          if (data) for (let i = 0; i < data.length; i++) regs.u8[to + i] = data[i];
        }
        const exprs = element.exprs;
        for (let i = 0; i < exprs.length; i++) {
          const before = regs.verdict;
          exprs[i].eval(regs, pkt);
          if (regs.verdict === NFT_BREAK && before !== NFT_BREAK) return;
        }
      },
      dump(w) {
        w.string(NFTA_LOOKUP_SET, set.name).beU32(NFTA_LOOKUP_SREG, regNumber(from));
        if (dreg !== undefined) w.beU32(NFTA_LOOKUP_DREG, verdicts ? 0 : regNumber(to));
        w.beU32(NFTA_LOOKUP_FLAGS, flags);
      },
      destroy(undo) {
        unbindSet(set, undo);
      },
      *targets(): Iterable<Chain> {
        if (!verdicts) return;
        for (const element of set.backend.elements()) if (element.verdict?.chain) yield element.verdict.chain;
        if (set.catchall?.verdict?.chain) yield set.catchall.verdict.chain;
      },
    };
  },
};
