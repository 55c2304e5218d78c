/**
 * Suite `netfilter/nft-sessions`: sequences of nft commands on one host, judged command by command: exit code, what is
 * printed, and `nft -s list ruleset` afterwards. The text of errors is told (group `stderr`) and not counted, as it is in
 * the recording's own rules. Case ids are `FILE#STEP`, and `FILE` for the whole session.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { nft } from '../src/tools/nft/index.ts';
import type { CaseResult } from './suite.ts';

type Step = {
  readonly argv: readonly string[];
  readonly stdin?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ruleset?: string;
  readonly ruleset_unchanged?: boolean;
};

/** Remaining times run; generations and processes have other numbers. */
function steady(text: string): string {
  return text.replace(/ expires [0-9a-z]+/g, '').replace(/^(# new generation) .*$/gm, '$1');
}

function json(text: string): unknown {
  const metainfo = (one: unknown): boolean => !Object.hasOwn(one as object, 'metainfo');
  try {
    const parsed = JSON.parse(text) as { nftables?: unknown[] };
    return JSON.stringify(parsed.nftables?.filter(metainfo));
  } catch {
    return text;
  }
}

function same(a: string, b: string): boolean {
  const [x, y] = [steady(a), steady(b)];
  return x === y || (x.startsWith('{') && json(x) === json(y));
}

function firstDifference(expected: string, got: string): Pick<CaseResult, 'expected' | 'got'> {
  const [e, g] = [steady(expected).split('\n'), steady(got).split('\n')];
  const at = Math.max(
    0,
    e.findIndex((line, i) => line !== g[i]),
  );
  return { expected: e.slice(at, at + 4).join('\n'), got: g.slice(at, at + 4).join('\n') };
}

function* session(id: string, steps: readonly Step[]): Iterable<CaseResult> {
  const netlink = hostNetlink(new Host(new World({ slots: 64 }), 'host'));
  const files = new Map<string, string>();
  let ruleset = '';
  let good = true;
  for (const [i, step] of steps.entries()) {
    for (const [path, text] of Object.entries(step.files ?? {})) files.set(path, text);
    const judge = (what: string, expected: string, got: string): CaseResult => ({
      id: `${id}#${i + 1}`,
      ok: false,
      reason: `${what} of nft ${step.argv.join(' ').slice(0, 200)}`,
      ...firstDifference(expected, got),
    });
    // Included files were recorded under other names, in order; folders that are not there stand for theirs.
    const renamed = Object.keys(step.files ?? {}).filter((path) => /\/f[1-9]\d*\.nft$/.test(path));
    const ran = nft(step.argv, {
      netlink,
      ...(step.stdin !== undefined && { stdin: step.stdin }),
      readFile: (path) =>
        files.get(path) ?? files.get(renamed.find((one) => one.endsWith(path.slice(path.lastIndexOf('/')))) ?? ''),
      listDir: () => renamed.map((path) => path.slice(path.lastIndexOf('/') + 1)),
    });
    const listed = nft(['-s', 'list', 'ruleset'], { netlink });
    if (step.ruleset !== undefined) ruleset = step.ruleset;
    let result: CaseResult = { id: `${id}#${i + 1}`, ok: true };
    if ((ran.code === 0) !== (step.rc === 0))
      result = judge('exit code', `${step.rc} ${step.stderr}`, `${ran.code} ${ran.stderr}`);
    else if (step.rc === 0 && !same(step.stdout, ran.stdout)) result = judge('output', step.stdout, ran.stdout);
    else if (!same(ruleset, listed.stdout)) result = judge('ruleset after', ruleset, listed.stdout);
    if (!result.ok) good = false;
    yield { ...result, group: 'steps' };
    if (step.rc !== 0)
      yield {
        ...(step.stderr === ran.stderr ? { id: `${id}#${i + 1}!`, ok: true } : judge('text', step.stderr, ran.stderr)),
        id: `${id}#${i + 1}!`,
        group: 'stderr',
        informal: true,
      };
  }
  yield { id, ok: good, group: 'sessions', ...(!good && { reason: 'a step differs' }) };
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  if (!existsSync(root)) return;
  for (const topic of readdirSync(root).sort())
    for (const name of readdirSync(join(root, topic)).sort()) {
      const id = `${topic}/${name.replace(/\.jsonl$/, '')}`;
      if (filter !== undefined && !filter.test(id)) continue;
      const lines = readFileSync(join(root, topic, name), 'utf8')
        .trim()
        .split('\n');
      yield* session(
        id,
        lines.map((line) => JSON.parse(line) as Step),
      );
    }
}
