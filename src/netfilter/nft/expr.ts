/**
 * The contract of a kernel expression (what `struct nft_expr_ops` is in Linux): made from netlink attributes, evaluated
 * on packets, dumped back as the same attributes. One file per expression in `expr/`.
 */
import { EINVAL, ENOENT, KernelError } from '../../core/errno.ts';
import { type Attr, type AttrWriter, getBeU32 } from '../../wire/netlink/attr.ts';
import type { XtState } from '../xt/state.ts';
import type { NetfilterHost } from './host.ts';
import type { Chain, NftObject, Table } from './model.ts';
import type { Native } from './native.ts';
import type { PktInfo } from './pkt.ts';
import type { Regs } from './regs.ts';
import type { NftSet } from './set/set.ts';

/** Records a step that takes back a change, for an aborted transaction. */
export type Undo = (step: () => void) => void;

/** For changes that nothing will take back. */
export const noUndo: Undo = () => {};

/** An expression instance inside a rule, a set element or an object. */
export type Expr = {
  readonly name: string;
  /** Works on the registers; sets `regs.verdict` to NFT_BREAK when it does not match. Never throws, never allocates. */
  eval(regs: Regs, pkt: PktInfo): void;
  /** Writes the children of NFTA_EXPR_DATA; without it there is none. `reset` zeroes counters after reading them. */
  dump?(w: AttrWriter, reset: boolean): void;
  /**
   * Gives back what `init` took hold of (chain uses, set bindings, conntrack reference). Called once, when the rule goes;
   * `undo` takes the steps that bring it back if the transaction is aborted.
   */
  destroy?(undo: Undo): void;
  /** Refuses hooks and chain types in which the expression makes no sense (EOPNOTSUPP). `chain.base` is set. */
  validate?(chain: Chain): void;
  /** The chains this expression may jump to, for loop detection. */
  targets?(): Iterable<Chain>;
  /** What `eval` does, for the compiler of chains; without it compiled code calls `eval`. */
  readonly native?: Native;
  /** `eval` reads or writes no register. */
  readonly aloof?: boolean;
  /** A fresh instance with the same settings and zeroed state, for set elements. Stateful expressions have it. */
  clone?(): Expr;
};

/** What an expression may look up while it is made. Lookups see the batch's own additions. */
export type InitContext = {
  readonly host: NetfilterHost;
  readonly table: Table;
  /** NFPROTO_* of the table. */
  readonly family: number;
  /** The chain of the rule; undefined for set elements and objects. */
  readonly chain: Chain | undefined;
  /** A set by name, or by batch id (NFTA_*_SET_ID) when the name is still unknown. ENOENT when there is none. */
  set(name: Attr | undefined, id: Attr | undefined): NftSet;
  /** A chain by name or batch id, as jump target; ENOENT when there is none. */
  jumpTarget(name: Attr | undefined, id: Attr | undefined): Chain;
  object(type: number, name: Attr): NftObject;
  /** What the rule says of itself for xt extensions (NFTA_RULE_COMPAT). */
  readonly compat: { readonly proto: number; readonly flags: number } | undefined;
  /** State shared by xt extensions of the host. */
  readonly xt: XtState;
  /** Makes a nested expression (dynset, set element expressions). */
  nested(attr: Attr): Expr;
};

/** How a kind of expression is made. */
export type ExprKind = {
  readonly name: string;
  init(attrs: ReadonlyMap<number, Attr>, ctx: InitContext): Expr;
};

/** An attribute that must be there; EINVAL otherwise. */
export function need(attrs: ReadonlyMap<number, Attr>, type: number): Attr {
  const attr = attrs.get(type);
  if (attr === undefined) throw new KernelError(EINVAL);
  return attr;
}

/** A big-endian u32 attribute; `fallback` when it is absent (EINVAL when there is no fallback). */
export function u32Attr(attrs: ReadonlyMap<number, Attr>, type: number, fallback?: number): number {
  const attr = attrs.get(type);
  if (attr === undefined) {
    if (fallback === undefined) throw new KernelError(EINVAL);
    return fallback;
  }
  if (attr.payload.length < 4) throw new KernelError(EINVAL, undefined, attr.offset);
  return getBeU32(attr.payload);
}

/** ENOENT about an attribute. */
export function notFound(attr: Attr | undefined): KernelError {
  return new KernelError(ENOENT, undefined, attr?.offset);
}
