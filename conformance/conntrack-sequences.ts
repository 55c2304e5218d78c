/**
 * conntrack-sequences: packets from two sides of a router, recorded step by step from Linux: what a rule saw of the
 * connection, what left the router, and the connection table afterwards. One case per step.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Chance } from './conntrack-chance.ts';
import { type Observed, type RecordedEntry, Router } from './conntrack-router.ts';
import type { CaseResult } from './suite.ts';

type Step = {
  readonly what: string;
  readonly side: 'A' | 'B';
  readonly ip: string;
  readonly ct: string[];
  readonly outA: string[];
  readonly outB: string[];
  readonly table: RecordedEntry[];
};

type Sequence = {
  readonly id: number;
  readonly kind: string;
  readonly ruleset_name: string;
  readonly ruleset: string;
  readonly steps: readonly Step[];
};

/** Seconds by which recorded timeouts may be off: the recording took real time. */
const SLACK = 2;
/** Time between two steps, small enough that UDP flows are not yet streams. */
const STEP_NS = 10e6;

function comparable(e: RecordedEntry): string {
  const { timeout: _, ...rest } = e;
  return JSON.stringify(sorted({ ...rest, status: [...e.status].sort() }));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
}

/** What differs between an expected step and what came, or undefined. */
function difference(step: Observed, got: Observed): [string, unknown, unknown] | undefined {
  for (const key of ['ct', 'outA', 'outB'] as const)
    if (JSON.stringify(step[key]) !== JSON.stringify(got[key])) return [key, step[key], got[key]];
  const order = (list: readonly RecordedEntry[]): RecordedEntry[] =>
    [...list].sort((a, b) => (comparable(a) < comparable(b) ? -1 : 1));
  const want = order(step.table);
  const have = order(got.table);
  for (let i = 0; i < Math.max(want.length, have.length); i++) {
    const [w, h] = [want[i], have[i]];
    if (
      w === undefined ||
      h === undefined ||
      comparable(w) !== comparable(h) ||
      Math.abs(w.timeout - h.timeout) > SLACK
    )
      return ['table', w, h];
  }
  return undefined;
}

/** Judges every step below `root`. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const file of readdirSync(root).sort()) {
    if (!file.endsWith('.jsonl')) continue;
    for (const line of readFileSync(join(root, file), 'utf8').split('\n')) {
      if (line === '') continue;
      const sequence = JSON.parse(line) as Sequence;
      const name = `${file.slice(0, -6)}/${sequence.id}`;
      if (filter && !filter.test(`${name} ${sequence.ruleset_name}`)) continue;
      const chance = new Chance();
      let router: Router | undefined;
      let problem: string | undefined;
      try {
        router = new Router(sequence.ruleset);
      } catch (error) {
        problem = (error as Error).message;
      }
      for (let i = 0; i < sequence.steps.length; i++) {
        const id = `${name}#${i}`;
        const step = sequence.steps[i];
        if (router === undefined) {
          yield { id, ok: false, reason: problem };
          continue;
        }
        const raw = router.step(step.side, chance.input(Uint8Array.from(Buffer.from(step.ip, 'hex'))), STEP_NS);
        chance.learn(step.table, raw.table);
        const want = { ...step, outA: chance.recorded(step.outA), outB: chance.recorded(step.outB) };
        const differs = difference(want, chance.observed(raw));
        if (differs === undefined) {
          yield { id, ok: true };
          continue;
        }
        const [what, expected, have] = differs;
        yield {
          id,
          ok: false,
          expected: JSON.stringify(expected),
          got: JSON.stringify(have),
          reason: `${sequence.ruleset_name}: ${what} after "${step.what}"`,
        };
      }
    }
  }
}
