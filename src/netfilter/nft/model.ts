/**
 * The objects of nftables and what they hold: tables, chains, rules, sets, stateful objects, flowtables. Plain data;
 * changed only by transactions (`transaction.ts`), read by the packet path and by dumps.
 */
import type { HookEntry } from '../../core/hook.ts';
import type { FlowPath } from '../flowtable/flowtable.ts';
import type { Expr } from './expr.ts';
import type { NftSet } from './set/set.ts';

export type Table = {
  readonly family: number;
  readonly name: string;
  readonly handle: bigint;
  flags: number;
  readonly userdata: Uint8Array | undefined;
  /** Netlink port of the owner, for tables with the owner flag; 0 otherwise. */
  readonly owner: number;
  readonly chains: Map<string, Chain>;
  readonly sets: Map<string, NftSet>;
  /** By "type name". */
  readonly objects: Map<string, NftObject>;
  readonly flowtables: Map<string, Flowtable>;
  /** Last handle given to a chain, rule, set or object of this table. */
  lastHandle: number;
};

export type Chain = {
  readonly table: Table;
  name: string;
  readonly handle: number;
  readonly userdata: Uint8Array | undefined;
  readonly flags: number;
  /** Batch id (NFTA_CHAIN_ID) of a chain made in the running batch. */
  readonly id: number;
  /** Rules in order. Replaced, never changed, so that a packet in flight keeps what it began with. */
  rules: readonly Rule[];
  /** Jumps and verdict map elements that point here. */
  use: number;
  readonly base: BaseChain | undefined;
};

export type BaseChain = {
  readonly type: string;
  readonly hook: number;
  readonly priority: number;
  /** NF_ACCEPT or NF_DROP. */
  policy: number;
  /** Devices of netdev chains and inet ingress chains, by name. */
  devices: readonly string[];
  /** Counters of the policy, when asked for. */
  counters: { packets: number; bytes: number } | undefined;
  /** What is registered now. */
  entries: readonly HookEntry[];
};

export type Rule = {
  readonly chain: Chain;
  readonly handle: number;
  readonly exprs: readonly Expr[];
  readonly userdata: Uint8Array | undefined;
  /** NFTA_RULE_COMPAT, as it came. */
  readonly compat: { readonly proto: number; readonly flags: number } | undefined;
  /** Batch id (NFTA_RULE_ID). */
  readonly id: number;
};

/** A named stateful object. */
export type NftObject = {
  readonly table: Table;
  readonly name: string;
  readonly type: number;
  readonly handle: number;
  readonly userdata: Uint8Array | undefined;
  /** What it does to a packet and how it dumps its NFTA_OBJ_DATA. */
  readonly impl: Expr;
  use: number;
};

export type Flowtable = {
  readonly table: Table;
  readonly name: string;
  readonly handle: number;
  readonly hook: number;
  readonly priority: number;
  devices: readonly string[];
  readonly flags: number;
  use: number;
  /** Where its packets go. */
  readonly path: FlowPath;
  /** Ingress hooks of its devices, by name. */
  readonly hooks: Map<string, HookEntry>;
};
