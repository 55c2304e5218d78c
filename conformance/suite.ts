/**
 * The contract of a conformance suite: one module per data format, each a generator of results over a folder of data.
 */

/** One case of a suite, judged. */
export type CaseResult = {
  /** Stable name of the case: file, and within it line or record. */
  readonly id: string;
  readonly ok: boolean;
  readonly expected?: string;
  readonly got?: string;
  /** Why the case could not run, or what differs in a sentence. */
  readonly reason?: string;
  /** Part of the suite that the case is counted in besides (a file, a mode). */
  readonly group?: string;
  /** Counted in its group only: told, but neither passed nor failed. */
  readonly informal?: boolean;
  /** Something was accepted that Linux refuses. */
  readonly falseAccept?: boolean;
};

export type Suite = {
  /** Judges every case below `root` (the suite's own folder) whose id matches `filter`. */
  run(root: string, filter?: RegExp): Iterable<CaseResult>;
};

/** Accepted differences of one suite: case id to cause. */
export type Known = Readonly<Record<string, string>>;

export type Tally = {
  passed: number;
  failed: number;
  fresh: string[];
  gone: string[];
  falseAccepts: number;
  /** Cases of each group. */
  groups: Map<string, { passed: number; failed: number }>;
};

/** Counts results against the accepted differences: `fresh` failed and is not listed, `gone` is listed and passed. */
export function tally(
  results: Iterable<CaseResult>,
  known: Known,
  each: (r: CaseResult, accepted: boolean) => void,
): Tally {
  const out: Tally = { passed: 0, failed: 0, fresh: [], gone: [], falseAccepts: 0, groups: new Map() };
  for (const result of results) {
    const accepted = Object.hasOwn(known, result.id);
    if (result.informal === true) {
      // Told in its group, below.
    } else if (result.ok) {
      out.passed++;
      if (accepted) out.gone.push(result.id);
    } else {
      out.failed++;
      if (!accepted) out.fresh.push(result.id);
    }
    if (result.falseAccept === true) out.falseAccepts++;
    if (result.group !== undefined) {
      const group = out.groups.get(result.group) ?? { passed: 0, failed: 0 };
      if (result.ok) group.passed++;
      else group.failed++;
      out.groups.set(result.group, group);
    }
    each(result, accepted);
  }
  return out;
}
