/**
 * Suite conntrack-cli: commands of conntrack(8), one after another on one table: exit status, what is printed, and the
 * table afterwards. Seconds may have passed in the recording; the order of a listing is chance.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { conntrack } from '../src/tools/conntrack/main.ts';
import type { ToolResult } from '../src/tools/io.ts';
import type { CaseResult } from './suite.ts';

type Step = {
  readonly args: string;
  readonly rc: number;
  readonly stdin?: string | null;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly sed?: string;
  readonly stdout_after_sed?: string;
  readonly table_after?: readonly string[];
};

/** Words of a line as a shell splits it. */
function words(line: string): string[] {
  return line.split(/\s+/).filter((w) => w !== '');
}

/** Sorted lines, timeouts left out: `-t 49`, `tcp      6 49 `. */
function comparable(text: string): string {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^((?:ipv[46]\s+\d+ )?\S+\s+\d+) (?:\d+|T) /, '$1 T ').replace(/-t \d+/g, '-t T'))
    .sort()
    .join('\n');
}

/** The `s/x/y/g` expressions that the data uses. */
function sed(script: string, text: string): string {
  let out = text;
  for (const part of script.replace(/^["']|["']$/g, '').split(';')) {
    const m = /^\s*s\/([^/]*)\/([^/]*)\/(g?)\s*$/.exec(part);
    if (m !== null) out = m[3] === 'g' ? out.replaceAll(m[1], m[2]) : out.replace(m[1], m[2]);
  }
  return out;
}

class Shell {
  readonly #netlink = hostNetlink(new Host(new World({ slots: 16, largeSlots: 1 }), 'gw'));

  run(args: string, stdin: string): ToolResult {
    return conntrack(words(args), { netlink: this.#netlink, stdin });
  }

  table(): string {
    return this.run('-L -o extended', '').stdout;
  }
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').pop() ?? '';
}

function difference(step: Step, got: ToolResult, table: string): readonly [string, string, string] | undefined {
  if (got.code !== step.rc) return ['exit status', `${step.rc} ${step.stderr}`, `${got.code} ${got.stderr}`];
  const out = step.sed === undefined ? got.stdout : sed(step.sed, got.stdout);
  const wanted = step.stdout ?? step.stdout_after_sed;
  if (wanted !== undefined && comparable(wanted) !== comparable(out)) return ['stdout', wanted, out];
  if (step.stderr !== undefined && lastLine(step.stderr) !== lastLine(got.stderr))
    return ['stderr', step.stderr, got.stderr];
  if (step.table_after === undefined) return undefined;
  const after = comparable(step.table_after.join('\n'));
  return after === comparable(table) ? undefined : ['table', after, comparable(table)];
}

/** Judges every command below `root`. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const file of readdirSync(root).sort()) {
    if (!file.endsWith('.jsonl')) continue;
    const name = file.slice(0, -6);
    if (filter && !filter.test(name)) continue;
    const shell = new Shell();
    let piped = '';
    for (const [i, line] of readFileSync(join(root, file), 'utf8').trimEnd().split('\n').entries()) {
      if (line === '') continue;
      const step = JSON.parse(line) as Step;
      const id = `${name}#${i + 1}`;
      try {
        const got = shell.run(step.args, step.stdin ?? piped);
        piped = step.sed === undefined ? '' : sed(step.sed, got.stdout);
        const differs = difference(step, got, shell.table());
        if (differs === undefined) yield { id, ok: true };
        else yield { id, ok: false, reason: `${differs[0]} of ${step.args}`, expected: differs[1], got: differs[2] };
      } catch (error) {
        yield { id, ok: false, reason: `${step.args}: ${(error as Error).stack}` };
      }
    }
  }
}
