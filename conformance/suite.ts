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
};

export type Suite = {
  /** Judges every case below `root` (the suite's own folder) whose id matches `filter`. */
  run(root: string, filter?: RegExp): Iterable<CaseResult>;
};

/** Accepted differences of one suite: case id to cause. */
export type Known = Readonly<Record<string, string>>;

export type Tally = { passed: number; failed: number; fresh: string[]; gone: string[] };

/** Counts results against the accepted differences: `fresh` failed and is not listed, `gone` is listed and passed. */
export function tally(
  results: Iterable<CaseResult>,
  known: Known,
  each: (r: CaseResult, accepted: boolean) => void,
): Tally {
  const out: Tally = { passed: 0, failed: 0, fresh: [], gone: [] };
  for (const result of results) {
    const accepted = Object.hasOwn(known, result.id);
    if (result.ok) {
      out.passed++;
      if (accepted) out.gone.push(result.id);
    } else {
      out.failed++;
      if (!accepted) out.fresh.push(result.id);
    }
    each(result, accepted);
  }
  return out;
}
