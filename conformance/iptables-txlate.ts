/**
 * Suites `netfilter/iptables-txlate-*`: what the translate tools of iptables make of a command, from iptables' own tests. A
 * block is a command and the lines that it must print.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tool } from '../src/tools/io.ts';
import { TOOLS } from '../src/tools/run.ts';
import { splitCommand } from '../src/tools/words.ts';
import type { CaseResult } from './suite.ts';

type Block = { readonly command: string; readonly expected: readonly string[] };

/** A replay command may stand behind a semicolon. */
const commandOf = (line: string): string => line.split(';')[0].trim();

function* blocks(text: string): Iterable<Block> {
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    if (!/^\S*tables-translate\s/.test(lines[i])) continue;
    const expected: string[] = [];
    const command = commandOf(lines[i]);
    while (lines[i + 1]?.startsWith('nft ')) expected.push(lines[++i]);
    yield { command, expected };
  }
}

const netlink = {
  open: (): never => {
    throw new Error('a translation asks no kernel');
  },
};

function judge(id: string, { command, expected }: Block): CaseResult {
  const { words } = splitCommand(command);
  const tool: Tool | undefined = TOOLS[words[0]];
  if (tool === undefined) return { id, ok: false, reason: `there is no ${words[0]}` };
  const { stdout, stderr } = tool(words.slice(1), { netlink });
  const wanted = expected.join('\n');
  const got = stdout.trim();
  return got === wanted ? { id, ok: true } : { id, ok: false, expected: wanted, got: got || stderr.trim() };
}

/** Judges every block below `root`. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const file of readdirSync(root).sort()) {
    if (!file.endsWith('.txlate')) continue;
    for (const block of blocks(readFileSync(join(root, file), 'utf8'))) {
      const id = `${file}: ${block.command}`;
      if (filter && !filter.test(id)) continue;
      try {
        yield judge(id, block);
      } catch (error) {
        yield { id, ok: false, reason: (error as Error).stack ?? String(error) };
      }
    }
  }
}
