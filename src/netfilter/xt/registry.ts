/**
 * The xt extensions of the kernel: `match NAME rev` and `target NAME rev` by name, revision and family, and the nft
 * expressions that carry them (nft_compat).
 */
import { EINVAL, ENOENT, KernelError } from '../../core/errno.ts';
import { getString } from '../../wire/netlink/attr.ts';
import { NF_DROP, NFPROTO_ARP, NFPROTO_BRIDGE } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, type InitContext, need, u32Attr } from '../nft/expr.ts';
import {
  XT_CONTINUE,
  XT_HOTDROP,
  XT_NO,
  type XtContext,
  type XtExtension,
  type XtMatch,
  type XtTarget,
} from './extension.ts';
import { MATCHES } from './matches.ts';
import { TARGETS } from './targets.ts';

function index<F>(list: readonly XtExtension<object, F>[]): ReadonlyMap<string, readonly XtExtension<object, F>[]> {
  const map = new Map<string, XtExtension<object, F>[]>();
  for (const ext of list) map.set(ext.name, [...(map.get(ext.name) ?? []), ext]);
  return map;
}
const MATCH_INDEX: ReadonlyMap<string, readonly XtMatch<object>[]> = index(MATCHES);
const TARGET_INDEX: ReadonlyMap<string, readonly XtTarget<object>[]> = index(TARGETS);

function lookup<T extends { readonly revision: number; readonly family?: number }>(
  list: readonly T[] | undefined,
  revision: number,
  family: number,
): T | undefined {
  const fits = (ext: T): boolean => ext.revision === revision;
  // An extension of the family's own goes before one for all.
  const own = list?.find((ext) => fits(ext) && ext.family === family);
  return own ?? list?.find((ext) => fits(ext) && ext.family === undefined);
}

/** A match by name, revision and family; undefined when the kernel has none. */
export function findMatch(name: string, revision: number, family: number): XtMatch<object> | undefined {
  return lookup(MATCH_INDEX.get(name), revision, family);
}
export function findTarget(name: string, revision: number, family: number): XtTarget<object> | undefined {
  return lookup(TARGET_INDEX.get(name), revision, family);
}

/** The highest revision up to `wanted` that is there, as NFNL_MSG_COMPAT_GET answers; -1 when the name is unknown. */
export function bestRevision(target: boolean, name: string, family: number): number {
  const list: readonly { revision: number; family?: number }[] = (target ? TARGET_INDEX : MATCH_INDEX).get(name) ?? [];
  let best = -1;
  for (const ext of list) if (ext.family === undefined || ext.family === family) best = Math.max(best, ext.revision);
  return best;
}

/** Extensions that look at nothing in the packet, and so also work on frames and ARP. */
const ANY_FRAME: ReadonlySet<string> = new Set(['MARK', 'CLASSIFY', 'mark', 'limit', 'comment', 'statistic']);

function context(ctx: InitContext): XtContext {
  return {
    init: ctx,
    family: ctx.family,
    proto: ctx.compat?.proto ?? 0,
    protoInvert: ((ctx.compat?.flags ?? 0) & 2) !== 0,
    table: ctx.table.name,
    state: ctx.xt,
  };
}

type Prepared<F> = {
  readonly run: F;
  readonly destroy: Expr['destroy'];
  readonly validate: Expr['validate'];
};

function prepare<F extends (...args: never[]) => unknown>(
  ext: XtExtension<object, F> | undefined,
  name: string,
  revision: number,
  info: Uint8Array,
  ctx: InitContext,
): Prepared<F> {
  const link = ctx.family === NFPROTO_ARP || ctx.family === NFPROTO_BRIDGE;
  if (ext === undefined || ctx.xt.absent.has(name) || (link && ext.family !== ctx.family && !ANY_FRAME.has(name)))
    throw new KernelError(ENOENT, `netloom does not have xt extension ${name} revision ${revision}`);
  const state = ext.codec.decode(info);
  if (state === undefined || info.length !== ext.codec.size) throw new KernelError(EINVAL);
  const xt = context(ctx);
  if (ext.proto !== undefined && (xt.proto !== ext.proto || xt.protoInvert)) throw new KernelError(EINVAL);
  const made = ext.make(state, xt);
  return {
    ...(typeof made === 'function' ? { run: made, destroy: undefined } : { run: made.run, destroy: made.destroy }),
    validate: ext.validate && ((chain) => ext.validate?.(chain, state)),
  };
}

function parts<F extends (...args: never[]) => unknown>(p: Prepared<F>): Pick<Expr, 'destroy' | 'validate'> {
  return { ...(p.destroy && { destroy: p.destroy }), ...(p.validate && { validate: p.validate }) };
}

export const match: ExprKind = {
  name: 'match',
  init(attrs, ctx): Expr {
    const name = getString(need(attrs, U.NFTA_MATCH_NAME).payload);
    const revision = u32Attr(attrs, U.NFTA_MATCH_REV);
    const info = need(attrs, U.NFTA_MATCH_INFO).payload.slice();
    const prepared = prepare(findMatch(name, revision, ctx.family), name, revision, info, ctx);
    const { run } = prepared;
    return {
      name: 'match',
      eval(regs, pkt) {
        const answer = run(pkt);
        if (answer === XT_NO) regs.verdict = U.NFT_BREAK;
        else if (answer === XT_HOTDROP) regs.verdict = NF_DROP;
      },
      dump(w) {
        w.string(U.NFTA_MATCH_NAME, name).beU32(U.NFTA_MATCH_REV, revision).bytes(U.NFTA_MATCH_INFO, info);
      },
      ...parts(prepared),
    };
  },
};

export const target: ExprKind = {
  name: 'target',
  init(attrs, ctx): Expr {
    const name = getString(need(attrs, U.NFTA_TARGET_NAME).payload);
    const revision = u32Attr(attrs, U.NFTA_TARGET_REV);
    const info = need(attrs, U.NFTA_TARGET_INFO).payload.slice();
    const prepared = prepare(findTarget(name, revision, ctx.family), name, revision, info, ctx);
    const { run } = prepared;
    return {
      name: 'target',
      eval(regs, pkt) {
        const verdict = run(pkt);
        if (verdict !== XT_CONTINUE) regs.verdict = verdict;
      },
      dump(w) {
        w.string(U.NFTA_TARGET_NAME, name).beU32(U.NFTA_TARGET_REV, revision).bytes(U.NFTA_TARGET_INFO, info);
      },
      ...parts(prepared),
    };
  },
};
