/** State that the rules of one host share by name: lists of `recent`, tables of `hashlimit`. */

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
}
