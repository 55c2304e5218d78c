/**
 * Suite `netfilter/iptables-sessions`: sequences of commands of both faces (nft, legacy), each with its exit status, what
 * it printed, and the saved state after it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { shell } from './iptables-applets.ts';
import type { CaseResult } from './suite.ts';

type Step = {
  readonly tool: 'xtables' | 'nft';
  readonly argv: readonly string[];
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdin?: string;
  readonly save_tool?: string;
  readonly save?: string;
  readonly nft?: string;
};

/** Without the lines that carry the time of day. */
const undated = (text: string): string =>
  text.replace(/^#.* on .*\n/gm, '').replace(/^# (Generated|Completed).*\n/gm, '');

/** Saved state without counters, with which recordings differ. */
const state = (text: string): string => undated(text).replace(/^(:\S+ \S+) \[\d+:\d+\]/gm, '$1');

function* session(file: string, text: string, variant: 'nft' | 'legacy', dumps: string): Iterable<CaseResult> {
  const sh = shell(variant, [], '1.8.9', (path) => readFileSync(join(dumps, path.replace(/^dumps\//, '')), 'utf8'));
  let n = 0;
  for (const raw of text.split('\n')) {
    if (raw === '') continue;
    const step = JSON.parse(raw) as Step;
    n++;
    const id = `${file}:${n} ${step.argv.join(' ')}`.slice(0, 160);
    const group = variant;
    const argv = step.tool === 'nft' ? ['nft', ...step.argv] : step.argv;
    try {
      const result = sh.run(argv, step.stdin);
      const parts: [string, string, string][] = [['status', `${step.rc}`, `${result.code}`]];
      if (step.tool !== 'nft') {
        parts.push(['stdout', undated(step.stdout), undated(result.stdout)]);
        parts.push(['stderr', step.stderr, result.stderr]);
      }
      if (step.save !== undefined && step.save_tool !== undefined)
        parts.push(['save', state(step.save), state(sh.run([step.save_tool]).stdout)]);
      if (step.nft !== undefined) parts.push(['nft', step.nft, sh.run(['nft', '-s', 'list', 'ruleset']).stdout]);
      const wrong = parts.find(([, a, b]) => a !== b);
      if (wrong === undefined) yield { id, group, ok: true };
      else yield { id, group, ok: false, reason: wrong[0], expected: wrong[1], got: wrong[2] };
    } catch (error) {
      yield { id, group, ok: false, reason: (error as Error).stack ?? String(error) };
    }
  }
}

/** Judges every command of every session whose file matches `filter`. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const variant of ['nft', 'legacy'] as const)
    for (const topic of readdirSync(join(root, variant)).sort())
      for (const name of readdirSync(join(root, variant, topic)).sort()) {
        const file = `${variant}/${topic}/${name}`;
        if (!filter || filter.test(file))
          yield* session(file, readFileSync(join(root, file), 'utf8'), variant, join(root, '../iptables-dumps'));
      }
}
