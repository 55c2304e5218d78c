/**
 * Suites `netfilter/nft-py-1.0.6` and `-1.1.0`: rule text against the bytecode that nft makes of it (`.t` and
 * `.t.payload` files; the format is in the README beside the data), against how it is listed, and the same for JSON
 * (`.t.json`, `.t.json.output`). `;fail` rules must be refused. Cases: `FILE:LINE:FAMILY` the bytecode, `...:list` the
 * listing, `...:json` bytecode of the JSON form, `...:json-list` the listing in JSON.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CompiledRule, Workspace } from '../src/tools/nft/compile.ts';
import { debugElement, debugExpr } from '../src/tools/nft/expr/debug.ts';
import { readJsonCommands } from '../src/tools/nft/json/read-command.ts';
import { jsonStatement } from '../src/tools/nft/json/statement.ts';
import type { Json, JsonContext } from '../src/tools/nft/json/types.ts';
import { type ListOptions, printRule } from '../src/tools/nft/print/ruleset.ts';
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
  const release = /-1\.0\.\d+$/.test(root) ? '1.0.6' : '1.1.0';
  const json = jsonBlocks(`${path}.json`);
  const listed = jsonBlocks(`${path}.json.output`);
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
      const payload = blocks.get(table.family);
      yield* rule(id, line, table, space, { release, json, listed, ...(payload && { payload }) });
    }
  }
}

/** What was expected of one rule, in the files beside it. */
type Books = {
  readonly release: '1.0.6' | '1.1.0';
  readonly payload?: Map<string, string>;
  readonly json: Map<string, Json>;
  readonly listed: Map<string, Json>;
};

function* rule(id: string, line: string, table: Table, space: Workspace, books: Books): Generator<CaseResult> {
  const [text, verdict, other] = splitRule(line);
  let compiled: CompiledRule | undefined;
  let message = '';
  try {
    compiled = space.run(`add rule ${table.family} ${table.name} ${table.chains[0]} ${text}`);
  } catch (error) {
    if (!(error instanceof NftError)) {
      yield { id, ok: false, reason: `${text}: exception ${(error as Error).stack}`, group: 'payload' };
      return;
    }
    message = error.message;
  }
  const got = compiled === undefined ? undefined : compiledText(compiled);
  if (verdict === 'fail') {
    yield got === undefined
      ? { id, ok: true, group: 'payload' }
      : { id, ok: false, reason: `${text}: must fail`, got, group: 'payload' };
    return;
  }
  if (got === undefined || compiled === undefined) {
    yield { id, ok: false, reason: `${text}: ${message}`, group: 'payload' };
    return;
  }
  const expected = books.payload?.get(text);
  yield expected === undefined || got === expected
    ? { id, ok: true, group: 'payload' }
    : { id, ok: false, reason: text, expected, got, group: 'payload' };
  yield listing(`${id}:list`, other ?? text, compiled, space, { ...LIST, release: books.release });
  const json = books.json.get(text);
  if (json === undefined) return;
  yield jsonInput(`${id}:json`, text, json, table, space, got);
  const shown = space.listed(compiled, books.release);
  const context: JsonContext = {
    ...LIST,
    release: books.release,
    statement: (s, c) => jsonStatement(s, c, shown.family),
  };
  const out = canonical(shown.stmts.map((s) => jsonStatement(s, context, shown.family)));
  const wanted = canonical(books.listed.get(text) ?? json);
  yield out === wanted
    ? { id: `${id}:json-list`, ok: true, group: 'JSON listing' }
    : { id: `${id}:json-list`, ok: false, reason: text, expected: wanted, got: out, group: 'JSON listing' };
}

/** As the test-suite lists: state is left out, names of users and ports are numbers. */
const LIST: ListOptions = {
  stateless: true,
  numericProtocol: true,
  zone: 7200,
  ifName: (index) => (index === 1 ? 'lo' : undefined),
};

/** Members of sets between braces in one order. */
function ordered(text: string): string {
  const members = (inner: string): string => inner.replaceAll(/\s/g, '').split(',').sort().join(', ');
  return text
    .replace(/\{([^{}]*)\}/g, (_, inner: string) => `{ ${members(inner)} }`)
    .replace(/\s+/g, ' ')
    .trim();
}

function listing(
  id: string,
  expected: string,
  compiled: CompiledRule,
  space: Workspace,
  list: ListOptions,
): CaseResult {
  const got = printRule(space.listed(compiled, list.release), list);
  return ordered(got) === ordered(expected)
    ? { id, ok: true, group: 'listing' }
    : { id, ok: false, reason: 'listing', expected, got, group: 'listing' };
}

function jsonInput(id: string, text: string, json: Json, table: Table, space: Workspace, payload: string): CaseResult {
  try {
    const expr = json as readonly Json[];
    const { family, name, chains } = table;
    const [command] = readJsonCommands({
      nftables: [{ add: { rule: { family, table: name, chain: chains[0], expr } } }],
    });
    const compiled = space.command(command);
    const got = compiled === undefined ? '' : compiledText(compiled);
    return got === payload
      ? { id, ok: true, group: 'JSON input' }
      : { id, ok: false, reason: text, expected: payload, got, group: 'JSON input' };
  } catch (error) {
    if (!(error instanceof NftError))
      return { id, ok: false, reason: `${text}: ${(error as Error).stack}`, group: 'JSON input' };
    return { id, ok: false, reason: `${text}: ${error.message}`, group: 'JSON input' };
  }
}

/** JSON with its keys, and the members of sets, in one order. */
function canonical(json: Json): string {
  const sorted = (value: Json, inSet: boolean): unknown => {
    if (Array.isArray(value)) {
      const list = (value as readonly Json[]).map((one) => sorted(one, false));
      return inSet
        ? list
            .map((one) => JSON.stringify(one))
            .sort()
            .map((one) => JSON.parse(one))
        : list;
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, one]) => [key, sorted(one as Json, key === 'set')] as const);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return JSON.stringify(sorted(json, false));
}

/** Blocks of a JSON file by rule text. */
function jsonBlocks(path: string): Map<string, Json> {
  const out = new Map<string, Json>();
  if (!existsSync(path)) return out;
  let rule: string | undefined;
  let lines: string[] = [];
  const flush = (): void => {
    const text = lines.join('\n').trim();
    if (rule !== undefined && text !== '' && !out.has(rule)) out.set(rule, JSON.parse(text) as Json);
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

function splitRule(line: string): [string, string, string | undefined] {
  const m = /^(.*?);\s*(ok|fail)\s*(?:;(.*))?$/.exec(line);
  return m === null ? [line, 'ok', undefined] : [m[1].trim(), m[2], m[3]?.trim()];
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const folder of readdirSync(root).sort())
    for (const entry of readdirSync(join(root, folder)).sort())
      if (entry.endsWith('.t')) yield* file(root, `${folder}/${entry}`, filter);
}
