/**
 * Suite `netfilter/nft-py-1.0.6`: rule text against the bytecode that nft makes of it (`.t` and `.t.payload` files; the
 * format is in the README beside the data). `;fail` rules must be refused.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CompiledRule, Workspace } from '../src/tools/nft/compile.ts';
import { debugElement, debugExpr } from '../src/tools/nft/expr/debug.ts';
import { NftError } from '../src/tools/nft/source.ts';
import type { CaseResult } from './suite.ts';

const USERS: Readonly<Record<string, number>> = { root: 0, daemon: 1, bin: 2 };
/** The test-suite runs two hours east of Greenwich. */
const names = {
  zone: 7200,
  ifIndex: (name: string): number | undefined => (name === 'lo' ? 1 : undefined),
  uid: (name: string): number | undefined => USERS[name],
  gid: (name: string): number | undefined => USERS[name],
};

/** Expression and element lines of a block, in a form that does not depend on spacing or on the order of elements. */
function normalize(lines: readonly string[]): string {
  const out: string[] = [];
  const elements: string[] = [];
  for (const line of lines) {
    const text = line
      .trim()
      .replace(/\s+/g, ' ')
      .replace(/ userdata = \{.*?\}/g, '');
    if (text.startsWith('element')) {
      for (const element of text.split(/(?<=\[end\])\s*/)) if (element !== '') elements.push(element);
    } else if (text.startsWith('[')) out.push(text);
  }
  return [...elements.sort(), ...out].join('\n');
}

function compiledText(rule: CompiledRule): string {
  const lines: string[] = [];
  for (const { elements } of rule.sets) for (const element of elements) lines.push(debugElement(element));
  for (const expr of rule.exprs) lines.push(debugExpr(expr));
  return normalize(lines);
}

/** Blocks of a payload file by rule text. */
function payloads(path: string): Map<string, string> {
  const out = new Map<string, string>();
  let rule: string | undefined;
  let lines: string[] = [];
  const flush = (): void => {
    if (rule !== undefined && lines.length > 0 && !out.has(rule)) out.set(rule, normalize(lines));
    lines = [];
  };
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.startsWith('# ')) {
      flush();
      rule = line.slice(2).trim();
    } else lines.push(line);
  }
  flush();
  return out;
}

type Table = { readonly family: string; readonly name: string; readonly chains: readonly string[] };

/** The commands that a set-up line of a test means in one table. */
function setup(line: string, table: Table): { text: string; ok: boolean } | undefined {
  const [body, verdict] = [line.slice(1, line.lastIndexOf(';')), line.slice(line.lastIndexOf(';') + 1).trim()];
  const at = `${table.family} ${table.name}`;
  if (line.startsWith('!')) {
    const m = /^(\S+)\s+(type|typeof)\s+(.*?)(\s+timeout\s+\S+)?(\s+flags\s+.*)?$/.exec(body);
    if (m === null) return undefined;
    const [, name, word, type, timeout, flags] = m;
    const kind = / : /.test(type) ? 'map' : 'set';
    const extra = `${timeout ? `${timeout.trim()}; ` : ''}${flags ? `${flags.trim()}; ` : ''}`;
    return { text: `add ${kind} ${at} ${name} { ${word} ${type}; ${extra}}`, ok: verdict === 'ok' };
  }
  if (line.startsWith('?')) {
    const space = body.indexOf(' ');
    return { text: `add element ${at} ${body.slice(0, space)} { ${body.slice(space + 1)} }`, ok: verdict === 'ok' };
  }
  const m = /^(\S+)\s+type\s+(ct \S+|\S+)\s*(.*)$/.exec(body);
  if (m === null) return undefined;
  return { text: `add ${m[2]} ${at} ${m[1]} ${m[3]}`, ok: verdict === 'ok' };
}

function* file(root: string, name: string, filter?: RegExp): Generator<CaseResult> {
  const path = join(root, name);
  const tables: Table[] = [];
  const spaces = new Map<Table, Workspace>();
  const blocks = new Map<string, Map<string, string>>();
  for (const family of ['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev']) {
    const own = `${path}.payload.${family}`;
    const found = existsSync(own) ? own : existsSync(`${path}.payload`) ? `${path}.payload` : undefined;
    if (found !== undefined) blocks.set(family, payloads(found));
  }
  let number = 0;
  for (const raw of readFileSync(path, 'utf8').split('\n')) {
    number++;
    const line = raw.trim();
    if (line === '' || /^[#:-]/.test(line)) continue;
    if (line.startsWith('*')) {
      const [family, table, chains] = line.slice(1).split(';');
      const made = { family, name: table, chains: chains.split(',') };
      tables.push(made);
      spaces.set(made, new Workspace(names));
      continue;
    }
    for (const table of tables) {
      const space = spaces.get(table)!;
      const id = `${name}:${number}:${table.family}`;
      if (/^[!?%]/.test(line)) {
        const command = setup(line, table);
        if (command === undefined) continue;
        try {
          space.run(command.text);
        } catch (error) {
          if (!(error instanceof NftError)) throw error;
          if (command.ok && (filter === undefined || filter.test(id)))
            yield { id: `${id}:setup`, ok: false, reason: `${command.text}: ${error.message}` };
        }
        continue;
      }
      if (filter !== undefined && !filter.test(id)) continue;
      yield rule(id, line, table, space, blocks.get(table.family));
    }
  }
}

function rule(id: string, line: string, table: Table, space: Workspace, blocks?: Map<string, string>): CaseResult {
  const [text, verdict] = line.split(';').length > 3 ? splitRule(line) : line.split(';').map((part) => part.trim());
  let got: string | undefined;
  let message = '';
  try {
    const compiled = space.run(`add rule ${table.family} ${table.name} ${table.chains[0]} ${text}`);
    got = compiled === undefined ? '' : compiledText(compiled);
  } catch (error) {
    if (!(error instanceof NftError)) return { id, ok: false, reason: `${text}: exception ${(error as Error).stack}` };
    message = error.message;
  }
  if (verdict === 'fail') {
    return got === undefined ? { id, ok: true } : { id, ok: false, reason: `${text}: must fail`, got };
  }
  if (got === undefined) return { id, ok: false, reason: `${text}: ${message}` };
  const expected = blocks?.get(text);
  if (expected === undefined) return { id, ok: true };
  return got === expected ? { id, ok: true } : { id, ok: false, reason: text, expected, got };
}

function splitRule(line: string): [string, string] {
  const m = /^(.*?);\s*(ok|fail)\s*(;.*)?$/.exec(line);
  return m === null ? [line, 'ok'] : [m[1].trim(), m[2]];
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const folder of readdirSync(root).sort())
    for (const entry of readdirSync(join(root, folder)).sort())
      if (entry.endsWith('.t')) yield* file(root, `${folder}/${entry}`, filter);
}
