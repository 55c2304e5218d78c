/**
 * `objref`: uses a named stateful object, directly or by a map.
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import {
  NFT_BREAK,
  NFT_SET_OBJECT,
  NFTA_OBJREF_IMM_NAME,
  NFTA_OBJREF_IMM_TYPE,
  NFTA_OBJREF_SET_ID,
  NFTA_OBJREF_SET_NAME,
  NFTA_OBJREF_SET_SREG,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { loadRegister, regNumber } from '../regs.ts';
import { bindSet, unbindSet } from '../set/bind.ts';
import { lookup } from '../set/set.ts';

export const objref: ExprKind = {
  name: 'objref',
  init(attrs, ctx): Expr {
    if (attrs.has(NFTA_OBJREF_SET_SREG)) {
      const set = ctx.set(attrs.get(NFTA_OBJREF_SET_NAME), attrs.get(NFTA_OBJREF_SET_ID));
      if (!(set.flags & NFT_SET_OBJECT)) throw new KernelError(EINVAL);
      const from = loadRegister(attrs.get(NFTA_OBJREF_SET_SREG), set.keyLength);
      bindSet(set);
      return {
        name: 'objref',
        eval(regs, pkt) {
          const element = lookup(set, regs.u8, from, pkt.world.now);
          if (element?.object) element.object.impl.eval(regs, pkt);
          else regs.verdict = NFT_BREAK;
        },
        dump(w) {
          w.beU32(NFTA_OBJREF_SET_SREG, regNumber(from)).string(NFTA_OBJREF_SET_NAME, set.name);
        },
        destroy(undo) {
          unbindSet(set, undo);
        },
      };
    }
    const name = attrs.get(NFTA_OBJREF_IMM_NAME);
    if (name === undefined) throw new KernelError(EINVAL);
    const object = ctx.object(u32Attr(attrs, NFTA_OBJREF_IMM_TYPE), name);
    object.use++;
    return {
      name: 'objref',
      native: object.impl.native,
      aloof: object.impl.aloof,
      eval(regs, pkt) {
        object.impl.eval(regs, pkt);
      },
      dump(w) {
        w.string(NFTA_OBJREF_IMM_NAME, object.name).beU32(NFTA_OBJREF_IMM_TYPE, object.type);
      },
      destroy(undo) {
        object.use--;
        undo(() => object.use++);
      },
    };
  },
};
