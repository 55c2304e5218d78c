/** A rule as iptables speaks of it, and what all rules can match on: addresses, interfaces, protocol, fragments. */
import type { Use } from './extension.ts';

export type AddressMatch = { readonly address: Uint8Array; readonly mask: Uint8Array; readonly invert: boolean };
export type InterfaceMatch = { readonly name: string; readonly invert: boolean };

export type Rule = {
  readonly family: 4 | 6;
  src?: AddressMatch;
  dst?: AddressMatch;
  iif?: InterfaceMatch;
  oif?: InterfaceMatch;
  /** Protocol number, 0 for every protocol. */
  proto: number;
  protoInvert: boolean;
  /** Second and further fragments (IPv4): 1 only these, -1 all but these. */
  fragment: 0 | 1 | -1;
  matches: Use[];
  /** A target extension, a verdict (ACCEPT, DROP, RETURN, QUEUE) or a chain. */
  target:
    | { readonly use: Use }
    | { readonly verdict: string }
    | { readonly chain: string; readonly goto: boolean }
    | undefined;
  packets: bigint;
  bytes: bigint;
  /** Expressions that iptables cannot show: the rule was made by another tool. */
  foreign: boolean;
};

export function emptyRule(family: 4 | 6): Rule {
  return {
    family,
    proto: 0,
    protoInvert: false,
    fragment: 0,
    matches: [],
    target: undefined,
    packets: 0n,
    bytes: 0n,
    foreign: false,
  };
}
