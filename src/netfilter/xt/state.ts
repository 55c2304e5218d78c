/**
 * State that the rules of one host share by name: lists of `recent`, tables of `hashlimit`, rate estimators, timers,
 * accounts. As in the kernel it goes with the last rule that uses it (accounts stay).
 */
import type { Estimator } from './estimator.ts';
import type { IpsetRegistry } from './ipset.ts';

/** One address of a `recent` list. */
export type RecentEntry = {
  ttl: number;
  /** World times (ns) of the last packets, oldest first. */
  readonly stamps: number[];
};

export type RecentList = {
  readonly entries: Map<string, RecentEntry>;
  /** How many stamps an entry keeps. */
  depth: number;
  /** Rules that use the list: it goes with the last one. */
  users: number;
};

/** One bucket of a `hashlimit` table. */
export type HashlimitEntry = { credit: number; prev: number; expires: number; refills: number };

export type HashlimitTable = { readonly entries: Map<string, HashlimitEntry>; users: number };

/** A timer of IDLETIMER targets. */
export type IdleTimer = { expires: number; readonly alarm: boolean; users: number };

/** An accounting object (nfnetlink_acct). */
export type Account = {
  packets: number;
  bytes: number;
  /** 0 for none. */
  readonly quota: number;
  readonly inPackets: boolean;
  users: number;
};

/** Something named that lives as long as a rule uses it. */
type Shared = { users: number };

/** Counts one more rule on `name`; the answer takes it back, and brings it back when that is undone. */
export function hold<T extends Shared>(
  all: Map<string, T>,
  name: string,
  item: T,
): (undo: (step: () => void) => void) => void {
  const take = (): void => {
    item.users++;
    all.set(name, item);
  };
  take();
  return (undo) => {
    if (--item.users === 0) all.delete(name);
    undo(take);
  };
}

export class XtState {
  readonly recent: Map<string, RecentList> = new Map();
  readonly hashlimit: Map<string, HashlimitTable> = new Map();
  readonly rateest: Map<string, Estimator> = new Map();
  readonly idleTimers: Map<string, IdleTimer> = new Map();
  readonly nfacct: Map<string, Account> = new Map();
  /** The ipset sets; undefined while the host has no ipset. */
  sets: IpsetRegistry | undefined;
  /** The socket filter behind a BPF file descriptor; undefined when the host cannot look them up. */
  pinnedFilter: ((fd: number) => ((p: number) => number) | undefined) | undefined;
  /** Extensions that this host does not have ("match ipvs"), as a kernel built without their modules. */
  readonly absent: Set<string> = new Set();
}
