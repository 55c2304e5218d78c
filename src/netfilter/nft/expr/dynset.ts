/**
 * `dynset`: adds, updates or deletes set elements from the packet path, with a time to live and with expressions of their
 * own (meters).
 */
import { EBUSY, EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { getBeU64, readAttrs } from '../../../wire/netlink/attr.ts';
import {
  NFT_BREAK,
  NFT_CONTINUE,
  NFT_DYNSET_F_INV,
  NFT_DYNSET_OP_DELETE,
  NFT_DYNSET_OP_UPDATE,
  NFT_SET_CONSTANT,
  NFT_SET_MAP,
  NFT_SET_TIMEOUT,
  NFTA_DYNSET_EXPR,
  NFTA_DYNSET_EXPRESSIONS,
  NFTA_DYNSET_FLAGS,
  NFTA_DYNSET_OP,
  NFTA_DYNSET_SET_ID,
  NFTA_DYNSET_SET_NAME,
  NFTA_DYNSET_SREG_DATA,
  NFTA_DYNSET_SREG_KEY,
  NFTA_DYNSET_TIMEOUT,
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  NFTA_LIST_ELEM,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, noUndo, u32Attr } from '../expr.ts';
import { loadRegister, regNumber } from '../regs.ts';
import { bindSet, releaseElement, unbindSet } from '../set/bind.ts';
import type { Element } from '../set/set.ts';

/** The kernel keeps timeouts of rules in ticks, of which most distributions have 250 a second. */
const JIFFY_MS = 4;

const NFT_DYNSET_F_EXPR = 2;
const DEFAULT_SIZE = 0xffff;

export const dynset: ExprKind = {
  name: 'dynset',
  init(attrs, ctx): Expr {
    const set = ctx.set(attrs.get(NFTA_DYNSET_SET_NAME), attrs.get(NFTA_DYNSET_SET_ID));
    if (set.flags & NFT_SET_CONSTANT) throw new KernelError(EBUSY);
    const flags = u32Attr(attrs, NFTA_DYNSET_FLAGS, 0);
    if (flags & ~(NFT_DYNSET_F_INV | NFT_DYNSET_F_EXPR)) throw new KernelError(EOPNOTSUPP);
    const invert = (flags & NFT_DYNSET_F_INV) !== 0;
    const op = u32Attr(attrs, NFTA_DYNSET_OP);
    if (op > NFT_DYNSET_OP_DELETE) throw new KernelError(EOPNOTSUPP);
    const timeoutAttr = attrs.get(NFTA_DYNSET_TIMEOUT);
    if (timeoutAttr && !(set.flags & NFT_SET_TIMEOUT)) throw new KernelError(EOPNOTSUPP);
    const given = timeoutAttr ? Number(getBeU64(timeoutAttr.payload)) : 0;
    const timeoutMs = given - (given % JIFFY_MS);
    const key = loadRegister(attrs.get(NFTA_DYNSET_SREG_KEY), set.keyLength);
    const dataAttr = attrs.get(NFTA_DYNSET_SREG_DATA);
    if ((dataAttr !== undefined) !== ((set.flags & NFT_SET_MAP) !== 0)) throw new KernelError(EOPNOTSUPP);
    const data = dataAttr ? loadRegister(dataAttr, set.dataLength) : -1;
    const nestedAttrs = attrs.has(NFTA_DYNSET_EXPR)
      ? [attrs.get(NFTA_DYNSET_EXPR)!]
      : attrs.has(NFTA_DYNSET_EXPRESSIONS)
        ? readAttrs(attrs.get(NFTA_DYNSET_EXPRESSIONS)!.payload).filter((a) => a.type === NFTA_LIST_ELEM)
        : [];
    const own = nestedAttrs.map((a) => ctx.nested(a));
    if (own.some((e) => e.clone === undefined)) throw new KernelError(EOPNOTSUPP);
    if (set.exprs.length > 0 && own.length > 0 && own.some((e, i) => e.name !== set.exprs[i]?.name)) {
      throw new KernelError(EINVAL);
    }
    const templates = own.length > 0 ? own : set.exprs;
    bindSet(set);
    // A set that packets fill has a limit.
    if (set.maxSize === 0) set.maxSize = DEFAULT_SIZE;

    const create = (u8: Uint8Array, now: number): Element | undefined => {
      if (set.maxSize > 0 && set.count >= set.maxSize) return undefined;
      const ttl = timeoutMs || set.timeoutMs;
      const element: Element = {
        key: u8.slice(key, key + set.keyLength),
        keyEnd: undefined,
        flags: 0,
        data: data < 0 ? undefined : u8.slice(data, data + set.dataLength),
        verdict: undefined,
        object: undefined,
        timeoutMs: ttl,
        expires: ttl > 0 ? now + ttl * 1e6 : Number.POSITIVE_INFINITY,
        userdata: undefined,
        exprs: templates.map((e) => e.clone!()),
      };
      if (set.backend.insert(element, now) !== undefined) return undefined;
      set.count++;
      return element;
    };

    return {
      name: 'dynset',
      eval(regs, pkt) {
        const now = pkt.world.now;
        let element = set.backend.lookup(regs.u8, key, now);
        if (op === NFT_DYNSET_OP_DELETE) {
          if (element === undefined) regs.verdict = NFT_BREAK;
          else {
            set.backend.remove(element);
            set.count--;
            releaseElement(element, noUndo);
          }
          return;
        }
        if (element === undefined) {
          // Elements whose time is up still count until they are collected: make room before giving up.
          if (set.maxSize > 0 && set.count >= set.maxSize) collect();
          element = create(regs.u8, now);
        } else if (op === NFT_DYNSET_OP_UPDATE && element.expires !== Number.POSITIVE_INFINITY) {
          const ttl = timeoutMs || set.timeoutMs;
          element.timeoutMs = ttl;
          element.expires = now + ttl * 1e6;
        }
        if (element === undefined) {
          if (!invert) regs.verdict = NFT_BREAK;
          return;
        }
        const exprs = element.exprs;
        for (let i = 0; i < exprs.length; i++) {
          exprs[i].eval(regs, pkt);
          if (regs.verdict !== NFT_CONTINUE) break;
        }
        if (invert) regs.verdict = regs.verdict === NFT_BREAK ? NFT_CONTINUE : NFT_BREAK;
      },
      dump(w) {
        w.beU32(NFTA_DYNSET_SREG_KEY, regNumber(key));
        if (data >= 0) w.beU32(NFTA_DYNSET_SREG_DATA, regNumber(data));
        w.beU32(NFTA_DYNSET_OP, op).string(NFTA_DYNSET_SET_NAME, set.name);
        w.beU64(NFTA_DYNSET_TIMEOUT, BigInt(timeoutMs));
        const dumpExpr = (type: number, e: Expr): void => {
          w.nest(type, (n) => n.string(NFTA_EXPR_NAME, e.name).nest(NFTA_EXPR_DATA, (d) => e.dump?.(d, false)));
        };
        if (set.exprs.length === 0) {
          if (own.length === 1) dumpExpr(NFTA_DYNSET_EXPR, own[0]);
          else if (own.length > 1) {
            w.nest(NFTA_DYNSET_EXPRESSIONS, () => {
              for (const e of own) dumpExpr(NFTA_LIST_ELEM, e);
            });
          }
        }
        w.beU32(NFTA_DYNSET_FLAGS, flags & NFT_DYNSET_F_INV);
      },
      destroy(undo) {
        for (const e of own) e.destroy?.(undo);
        unbindSet(set, undo);
      },
    };

    function collect(): void {
      const now = ctx.host.world.now;
      for (const e of [...set.backend.elements()]) {
        if (e.expires > now) continue;
        set.backend.remove(e);
        set.count--;
        releaseElement(e, noUndo);
      }
    }
  },
};
