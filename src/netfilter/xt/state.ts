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
};

/** One bucket of a `hashlimit` table. */
export type HashlimitEntry = { credit: number; prev: number; expires: number; refills: number };

export class XtState {
  readonly recent: Map<string, RecentList> = new Map();
  readonly hashlimit: Map<string, Map<string, HashlimitEntry>> = new Map();
}
