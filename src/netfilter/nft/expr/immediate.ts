/**
 * `immediate`: loads a constant, or says a verdict.
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG } from '../../../wire/uapi/nf-tables.ts';
import { dumpValue, dumpVerdict, isVerdict, readValue, readVerdict, releaseVerdict } from '../data.ts';
import { type Expr, type ExprKind, need, noUndo } from '../expr.ts';
import { isVerdictRegister, regNumber, storeRegister } from '../regs.ts';
import { takeOut } from '../transaction.ts';

const NFT_CHAIN_BINDING = 4;

export const immediate: ExprKind = {
  name: 'immediate',
  init(attrs, ctx): Expr {
    const dreg = need(attrs, NFTA_IMMEDIATE_DREG);
    const data = need(attrs, NFTA_IMMEDIATE_DATA);
    if (isVerdictRegister(dreg)) {
      if (!isVerdict(data)) throw new KernelError(EINVAL, undefined, data.offset);
      const verdict = readVerdict(data, ctx);
      const { chain } = verdict;
      return {
        name: 'immediate',
        native: { op: 'verdict', verdict },
        eval(regs) {
          regs.verdict = verdict.code;
          regs.chain = verdict.chain;
        },
        dump(w) {
          w.beU32(NFTA_IMMEDIATE_DREG, 0);
          dumpVerdict(w, NFTA_IMMEDIATE_DATA, verdict);
        },
        destroy(undo) {
          releaseVerdict(verdict, undo);
          if (chain === undefined || (chain.flags & NFT_CHAIN_BINDING) === 0 || undo === noUndo) return;
          // A chain written inside the rule goes with it.
          for (const rule of chain.rules) for (const expr of rule.exprs) expr.destroy?.(undo);
          takeOut(chain.table.chains, chain.name, undo);
        },
        targets: chain === undefined ? undefined : () => [chain],
      };
    }
    const value = readValue(data);
    const to = storeRegister(dreg, value.length);
    return {
      name: 'immediate',
      native: { op: 'immediate', to, value },
      eval(regs) {
        for (let i = 0; i < value.length; i++) regs.u8[to + i] = value[i];
      },
      dump(w) {
        w.beU32(NFTA_IMMEDIATE_DREG, regNumber(to));
        dumpValue(w, NFTA_IMMEDIATE_DATA, value);
      },
    };
  },
};
