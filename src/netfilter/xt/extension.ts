/**
 * The contract of an xt extension in the kernel (`struct xt_match`, `struct xt_target`): made from the structure that
 * iptables sent, evaluated on packets. One file per extension in `match/` and `target/`; found through `registry.ts`.
 */
import type { Codec } from '../../wire/xt/struct.ts';
import type { InitContext } from '../nft/expr.ts';
import type { Chain } from '../nft/model.ts';
import type { PktInfo } from '../nft/pkt.ts';
import type { XtState } from './state.ts';

/** Verdicts of a match: no, yes, or drop the packet at once (a header that is not whole). */
export const XT_NO = 0;
export const XT_YES = 1;
export const XT_HOTDROP = 2;

/** A target that lets the rule walk go on. */
export const XT_CONTINUE = -1;

/** What an extension may look up while it is made. */
export type XtContext = {
  readonly init: InitContext;
  /** NFPROTO_* of the table. */
  readonly family: number;
  /** Protocol of the rule (NFTA_RULE_COMPAT), 0 for none, and whether it is negated. */
  readonly proto: number;
  readonly protoInvert: boolean;
  /** Name of the table. */
  readonly table: string;
  /** State that rules share by name (recent lists, hash limits). */
  readonly state: XtState;
};

/** A match on packets: XT_NO, XT_YES or XT_HOTDROP. Never throws. */
export type MatchFn = (pkt: PktInfo) => number;
/** A target: a verdict (NF_ACCEPT, NF_DROP, NF_QUEUE...) or XT_CONTINUE. Never throws. */
export type TargetFn = (pkt: PktInfo) => number;

export type Made<F> = {
  readonly run: F;
  /** Called when the rule is gone for good; `undo` takes a step that brings it back. */
  readonly destroy?: (undo: (step: () => void) => void) => void;
};

export type XtExtension<S, F> = {
  readonly name: string;
  readonly revision: number;
  /** Only for this family (NFPROTO_*). */
  readonly family?: number;
  /** The rule must match this protocol. */
  readonly proto?: number;
  readonly codec: Codec<S>;
  /** Checks the structure (KernelError) and makes the function. */
  make(info: S, ctx: XtContext): F | Made<F>;
  /** Refuses base chains in which the extension makes no sense. */
  validate?(chain: Chain, info: S): void;
};

export type XtMatch<S> = XtExtension<S, MatchFn>;
export type XtTarget<S> = XtExtension<S, TargetFn>;
