/**
 * What an expression does, as data, for the compiler of chains: the expressions that it has code for say it in
 * `Expr.native`; the others are called. Registers are byte offsets in the register file (regs.ts).
 */
import type { Verdict } from './data.ts';
import type { NftSet } from './set/set.ts';
import type { State } from './state.ts';

export type Native =
  | { readonly op: 'immediate'; readonly to: number; readonly value: Uint8Array }
  | { readonly op: 'verdict'; readonly verdict: Verdict }
  /** `cmp`: NFT_CMP_*. */
  | { readonly op: 'cmp'; readonly from: number; readonly cmp: number; readonly value: Uint8Array }
  | {
      readonly op: 'range';
      readonly from: number;
      readonly low: Uint8Array;
      readonly high: Uint8Array;
      readonly invert: boolean;
    }
  /** (sreg & mask) ^ xor */
  | {
      readonly op: 'bitwise';
      readonly from: number;
      readonly to: number;
      readonly mask: Uint8Array;
      readonly xor: Uint8Array;
    }
  | {
      readonly op: 'byteorder';
      readonly from: number;
      readonly to: number;
      readonly length: number;
      readonly size: number;
    }
  /** A load of header bytes; `fast`: later fragments are read as if they had a transport header. */
  | {
      readonly op: 'payload';
      readonly base: number;
      readonly offset: number;
      readonly length: number;
      readonly to: number;
      readonly fast: boolean;
    }
  | { readonly op: 'meta'; readonly key: number; readonly to: number; readonly l2: boolean }
  | { readonly op: 'meta set'; readonly key: number; readonly from: number }
  | { readonly op: 'ct state'; readonly to: number }
  /** Packets, bytes. */
  | { readonly op: 'counter'; readonly state: State }
  /** Bytes consumed. */
  | { readonly op: 'quota'; readonly state: State; readonly bytes: number; readonly invert: boolean }
  /** Tokens, time of the last packet; a packet costs `cost`, the bucket holds `full`. */
  | {
      readonly op: 'limit';
      readonly state: State;
      readonly cost: number;
      readonly full: number;
      readonly invert: boolean;
    }
  /** The last number given. */
  | {
      readonly op: 'numgen';
      readonly state: State;
      readonly to: number;
      readonly modulus: number;
      readonly offset: number;
    }
  /** `to`: register for the data, -1 for none. */
  | {
      readonly op: 'lookup';
      readonly set: NftSet;
      readonly from: number;
      readonly to: number;
      readonly verdicts: boolean;
      readonly invert: boolean;
    };
