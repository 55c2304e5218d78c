/**
 * Suites `netfilter/iptables-t-VERSION`: lines of the extensions' own tests. A rule must be taken or refused, and
 * iptables-save must print it back as written.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { words } from '../src/tools/iptables/restore.ts';
import { shell } from './iptables-applets.ts';
import type { CaseResult } from './suite.ts';

type Line = { readonly args: string; readonly expect: string; readonly ok: boolean; readonly variants: string[] };

function parse(text: string): Line {
  const [args, expect = '', ok = 'OK', ...rest] = text.split(';').map((part) => part.trim());
  return { args, expect: expect === '=' ? args : expect, ok: ok === 'OK', variants: rest };
}

function tools(file: string, release: string): string[] {
  const name = basename(file);
  if (name.startsWith('libip6t_')) return ['ip6tables'];
  if (name.startsWith('libipt_') || name === 'iptables.t') return ['iptables'];
  if (name.startsWith('libarpt_')) return ['arptables'];
  if (name.startsWith('libebt_')) return ['ebtables'];
  // The tests of 1.8.9 run those of both families with iptables only; later ones are split where they differ.
  return release === '1.8.9' ? ['iptables'] : ['iptables', 'ip6tables'];
}

/** The face that a line speaks of: the fourth field names the only one in which it holds. */
const variantOf = (line: Line): 'nft' | 'legacy' => (line.variants[0] === 'LEGACY' ? 'legacy' : 'nft');

function judge(
  id: string,
  tool: string,
  table: string,
  chain: string,
  before: readonly string[],
  line: Line,
  release: string,
): CaseResult {
  const sh = shell(variantOf(line), [], release);
  for (const command of before) sh.run(words(command));
  const result = sh.run([tool, '-t', table, '-A', chain, ...words(line.args)]);
  if (!line.ok)
    return result.code !== 0
      ? { id, ok: true }
      : { id, ok: false, expected: 'refused', got: 'taken', reason: 'not refused' };
  if (result.code !== 0) return { id, ok: false, expected: 'taken', got: result.stderr.trim(), reason: 'refused' };
  const saved = sh.run([`${tool}-save`]).stdout.split('\n');
  let wanted = `-A ${chain} ${line.expect}`.trim();
  if (tool === 'ebtables' && !/ -j /.test(wanted)) wanted += ' -j CONTINUE';
  const found = saved.some((text) => text.trim() === wanted);
  return found
    ? { id, ok: true }
    : { id, ok: false, expected: wanted, got: saved.filter((s) => s.startsWith('-A')).join('\n') };
}

/** Judges every rule line below `root`, once for each chain and tool. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const release = /-(\d+(\.\d+)+)$/.exec(root)?.[1] ?? '1.8.9';
  for (const file of readdirSync(root).sort()) {
    let chains: string[] = [];
    let table = 'filter';
    const before: string[] = [];
    let n = 0;
    for (const raw of readFileSync(join(root, file), 'utf8').split('\n')) {
      const text = raw.trim();
      n++;
      if (text === '' || text.startsWith('#')) continue;
      if (text.startsWith(':')) chains = text.slice(1).split(',');
      else if (text.startsWith('*')) table = text.slice(1);
      else if (text.startsWith('%')) before.push(text.slice(1));
      else if (!text.startsWith('@')) {
        const line = parse(text);
        const id = `${file}:${n} ${line.args}`;
        if (filter && !filter.test(id)) continue;
        let verdict: CaseResult = { id, ok: true };
        for (const tool of tools(file, release))
          for (const chain of chains) {
            if (!verdict.ok) break;
            try {
              verdict = judge(id, tool, table, chain, before, line, release);
            } catch (error) {
              verdict = { id, ok: false, reason: (error as Error).stack ?? String(error) };
            }
            if (!verdict.ok) verdict = { ...verdict, reason: `${tool} ${chain}: ${verdict.reason ?? 'differs'}` };
          }
        yield verdict;
      }
    }
  }
}
