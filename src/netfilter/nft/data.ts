/**
 * Values and verdicts in messages (NFTA_DATA_VALUE, NFTA_DATA_VERDICT).
 */
import { EINVAL, KernelError } from '../../core/errno.ts';
import { type Attr, type AttrWriter, attrMap, getBeU32 } from '../../wire/netlink/attr.ts';
import { NF_ACCEPT, NF_DROP, NF_QUEUE } from '../../wire/uapi/netfilter.ts';
import {
  NFT_BREAK,
  NFT_CONTINUE,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
  NFTA_DATA_VALUE,
  NFTA_DATA_VERDICT,
  NFTA_VERDICT_CHAIN,
  NFTA_VERDICT_CHAIN_ID,
  NFTA_VERDICT_CODE,
} from '../../wire/uapi/nf-tables.ts';
import type { InitContext, Undo } from './expr.ts';
import { need, u32Attr } from './expr.ts';
import type { Chain } from './model.ts';

/** A verdict as rules and verdict maps carry it. */
export type Verdict = { readonly code: number; readonly chain: Chain | undefined };

/** The bytes of a value; EINVAL when it is a verdict or longer than `max`. */
export function readValue(attr: Attr, max = 64): Uint8Array {
  const value = attrMap(attr.payload).get(NFTA_DATA_VALUE);
  if (value === undefined || value.payload.length === 0 || value.payload.length > max) {
    throw new KernelError(EINVAL, undefined, attr.offset);
  }
  return value.payload.slice();
}

/** True when the data attribute holds a verdict. */
export function isVerdict(attr: Attr): boolean {
  return attrMap(attr.payload).has(NFTA_DATA_VERDICT);
}

/** Reads a verdict and takes hold of its chain (give back with `releaseVerdict`). */
export function readVerdict(attr: Attr, ctx: InitContext): Verdict {
  const nested = need(attrMap(attr.payload), NFTA_DATA_VERDICT);
  const attrs = attrMap(nested.payload);
  const code = u32Attr(attrs, NFTA_VERDICT_CODE) | 0;
  switch (code) {
    case NFT_CONTINUE:
    case NFT_BREAK:
    case NFT_RETURN:
      return { code, chain: undefined };
    case NFT_JUMP:
    case NFT_GOTO: {
      const chain = ctx.jumpTarget(attrs.get(NFTA_VERDICT_CHAIN), attrs.get(NFTA_VERDICT_CHAIN_ID));
      chain.use++;
      return { code, chain };
    }
    default: {
      const action = code & 0xff;
      if (action !== NF_ACCEPT && action !== NF_DROP && action !== NF_QUEUE) {
        throw new KernelError(EINVAL, undefined, attr.offset);
      }
      return { code, chain: undefined };
    }
  }
}

/** Gives back the chain of a verdict. */
export function releaseVerdict(verdict: Verdict, undo: Undo): void {
  const chain = verdict.chain;
  if (chain === undefined) return;
  chain.use--;
  undo(() => chain.use++);
}

export function dumpValue(w: AttrWriter, type: number, value: Uint8Array): void {
  w.nest(type, (n) => n.bytes(NFTA_DATA_VALUE, value));
}

export function dumpVerdict(w: AttrWriter, type: number, verdict: Verdict): void {
  w.nest(type, (n) =>
    n.nest(NFTA_DATA_VERDICT, (v) => {
      v.beU32(NFTA_VERDICT_CODE, verdict.code);
      if (verdict.chain) v.string(NFTA_VERDICT_CHAIN, verdict.chain.name);
    }),
  );
}

/** How a trace names a verdict. */
export function verdictName(code: number, chain: Chain | undefined): string {
  switch (code) {
    case NFT_CONTINUE:
      return 'continue';
    case NFT_BREAK:
      return 'break';
    case NFT_RETURN:
      return 'return';
    case NFT_JUMP:
      return `jump ${chain?.name}`;
    case NFT_GOTO:
      return `goto ${chain?.name}`;
    default:
      switch (code & 0xff) {
        case NF_ACCEPT:
          return 'accept';
        case NF_DROP:
          return 'drop';
        case NF_QUEUE:
          return 'queue';
        default:
          return 'stolen';
      }
  }
}

/** Reads a u32 attribute's payload that must have four bytes. */
export function beU32(attr: Attr): number {
  if (attr.payload.length < 4) throw new KernelError(EINVAL, undefined, attr.offset);
  return getBeU32(attr.payload);
}
