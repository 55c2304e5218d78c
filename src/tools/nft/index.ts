/**
 * nft(8) as a function: arguments in, netlink messages to a host, text out. A script is one transaction: all of it is
 * applied, or nothing.
 *
 *     const { code, stderr } = nft(['-f', 'fw.nft'], { netlink, readFile });
 */
import { strerror } from '../../core/errno.ts';
import { attrMap, getBeU64 } from '../../wire/netlink/attr.ts';
import type { NetlinkTransport } from '../../wire/netlink/message.ts';
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { ToolResult } from '../io.ts';
import { NetlinkError } from '../netlink-client.ts';
import type { Command, ElementExpr, Elements, Family } from './ast.ts';
import { readRuleset } from './cache.ts';
import type { Release } from './datatype.ts';
import { dynamicSets } from './dynamic-sets.ts';
import { readJsonCommands } from './json/read-command.ts';
import type { Json } from './json/types.ts';
import { listOptions, runList, showSet } from './list.ts';
import { generation, readEvents, startMonitor } from './monitor.ts';
import { hostNames } from './names.ts';
import { formatMerges, optimizeCommands } from './optimize/index.ts';
import { type Flags, parseArguments, USAGE, VERSION } from './options.ts';
import type { Scope } from './parser/core.ts';
import { newScope, parse } from './parser/index.ts';
import { Session } from './session.ts';
import { formatError, LineIndex, type Location, NftError, type Source } from './source.ts';

export { type Merge, type OptimizeOptions, type OptimizeResult, optimize } from './optimize/index.ts';

export type NftIo = {
  readonly netlink: NetlinkTransport;
  /** The text of a file; undefined (or an exception) when there is none. */
  readonly readFile?: (path: string) => string | undefined;
  /** Names of the files in a folder, for `include "dir/*.nft"`. */
  readonly listDir?: (path: string) => readonly string[];
  readonly stdin?: string;
  /** The release of nftables whose listings are wanted. */
  readonly release?: Release;
  /** Where `nft monitor` goes on writing: called with what begins it and returns what ends it. */
  readonly follow?: (start: (write: (text: string) => void) => () => void) => void;
};

/** Where a rule that was added came from. */
export type RulePlace = {
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  readonly handle?: bigint;
  readonly file: string;
  readonly line: number;
  readonly text: string;
};

export type ScriptResult = ToolResult & { readonly rules: readonly RulePlace[] };

export type ScriptOptions = {
  /** How messages call the script. */
  readonly file?: string;
  readonly check?: boolean;
  /** -o: rules are merged before they are evaluated, and the merges reported. */
  readonly optimize?: boolean;
  readonly includePaths?: readonly string[];
  readonly defines?: ReadonlyMap<string, string>;
  readonly debugNetlink?: boolean;
  readonly flags?: Partial<Flags>;
  /** Definitions that outlive the script (`nft -i`). */
  readonly scope?: Scope;
};

const MONITORED = ['tables', 'chains', 'rules', 'sets', 'elements', 'ruleset'] as const;
const NFNL_TYPE_MASK = 255;
const ENOENT_TEXT = 'No such file or directory';

function reader(io: NftIo): (path: string) => string | undefined {
  return (path) => {
    try {
      return io.readFile?.(path);
    } catch {
      return undefined;
    }
  };
}

/** `*`, `?` and `[...]` of one path part as a regular expression. */
function glob(pattern: string): RegExp {
  const body = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
  return new RegExp(`^${body}$`);
}

function includeFiles(io: NftIo, paths: readonly string[], path: string): readonly Source[] | undefined {
  const read = reader(io);
  const wild = /[*?[]/.test(path);
  const absolute = path.startsWith('/') || path.startsWith('./') || path.startsWith('../');
  const candidates = absolute ? [path] : [...paths.map((dir) => `${dir.replace(/\/$/, '')}/${path}`), path];
  for (const candidate of candidates) {
    if (!wild) {
      const text = read(candidate);
      if (text !== undefined) return [{ name: candidate, text }];
      continue;
    }
    const slash = candidate.lastIndexOf('/');
    const dir = slash < 0 ? '.' : candidate.slice(0, slash) || '/';
    let names: readonly string[] = [];
    try {
      names = io.listDir?.(dir) ?? [];
    } catch {
      names = [];
    }
    const re = glob(candidate.slice(slash + 1));
    const found = [...names].filter((name) => re.test(name) && !name.startsWith('.')).sort();
    const sources = found.flatMap((name): Source[] => {
      const file = slash < 0 ? name : `${candidate.slice(0, slash)}/${name}`;
      const text = read(file);
      return text === undefined ? [] : [{ name: file, text }];
    });
    if (sources.length > 0) return sources;
  }
  // A pattern may match nothing.
  return wild ? [] : undefined;
}

/** With -j a script may be JSON; what is none is read as nft's own language. */
function jsonDocument(text: string): Json | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Parses a script without running it. */
export function parseScript(
  text: string,
  io: Omit<NftIo, 'netlink'> = {},
  options: ScriptOptions = {},
): ReturnType<typeof parse> {
  if (options.flags?.json) {
    const document = jsonDocument(text);
    if (document !== undefined) return { commands: readJsonCommands(document), errors: [] };
  }
  const paths = [...(options.includePaths ?? []), '/etc'];
  const include = (path: string): readonly Source[] | undefined => includeFiles(io as NftIo, paths, path);
  return parse({ name: options.file ?? '/dev/stdin', text }, { include }, options.scope ?? newScope(options.defines));
}

const READS: ReadonlySet<string> = new Set(['list', 'get', 'reset', 'describe']);

/** Runs a script: one transaction, or what it lists. */
export function runScript(text: string, io: NftIo, options: ScriptOptions = {}): ScriptResult {
  const rules: RulePlace[] = [];
  const failed = (errors: readonly NftError[], stdout = ''): ScriptResult => ({
    code: 1,
    stdout,
    stderr: errors.map(formatError).join(''),
    rules: [],
  });
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parseScript(text, io, options);
  } catch (error) {
    return failed([asError(error)]);
  }
  const socket = io.netlink.open(12);
  const names = hostNames(io.netlink, reader(io));
  let report = '';
  if (options.optimize && parsed.errors.length === 0) {
    const { commands, merges } = optimizeCommands(parsed.commands, names);
    parsed = { ...parsed, commands };
    report = formatMerges(merges);
  }
  const session = new Session(socket, names, options.debugNetlink === true);
  const { flags = {} } = options;
  session.batch.echo = flags.echo === true;
  let echoed = '';
  session.dynamic = dynamicSets(parsed.commands);
  const errors: NftError[] = [...parsed.errors];
  const reads: Command[] = [];
  for (const command of parsed.commands) {
    if (errors.length >= 20) break;
    try {
      if (READS.has(command.op)) reads.push(command);
      else session.command(command);
    } catch (error) {
      errors.push(asError(error));
    }
  }
  if (errors.length > 0) return failed(errors, session.debug);
  if (session.batch.size > 0) {
    const { errors: refused, echoes } = session.send(options.check === true);
    if (refused.length > 0)
      return failed(
        refused.map(({ errno, message, origin }) => {
          const extra = message?.startsWith('netloom') ? ` (${message})` : '';
          return new NftError(
            origin.rule ? withEnd(origin.loc) : origin.loc,
            `Could not process rule: ${strerror(errno)}${extra}`,
          );
        }),
        session.debug,
      );
    if (flags.echo === true) {
      const events = readEvents(
        echoes.map(({ m }) => m),
        [readRuleset(socket)],
        names,
        flags,
      );
      echoed = flags.json
        ? `${JSON.stringify({ nftables: events.map((event) => event.json) })}\n`
        : events.map((event) => `${event.text}\n`).join('') + generation(socket);
    }
    const lines = new LineIndex();
    for (const { m, origin } of echoes) {
      const { rule } = origin;
      if ((m.type & NFNL_TYPE_MASK) !== uapi.NFT_MSG_NEWRULE || rule?.loc === undefined) continue;
      const handle = attrMap(m.payload, 4).get(uapi.NFTA_RULE_HANDLE);
      const { source, start, end } = rule.loc;
      rules.push({
        family: rule.family,
        table: rule.table,
        chain: rule.chain,
        ...(handle && { handle: getBeU64(handle.payload) }),
        file: source.name,
        line: lines.line(source, start),
        text: source.text.slice(start, end).trim(),
      });
    }
  }
  let stdout = session.debug + echoed;
  for (const command of reads) {
    try {
      stdout += read(command, io, options);
    } catch (error) {
      return { ...failed([asError(error, command)], stdout), rules };
    }
  }
  return { code: 0, stdout, stderr: report, rules };
}

function read(command: Command, io: NftIo, options: ScriptOptions): string {
  const { object } = command;
  if (object.kind === 'elements') return readMembers(command, object, io, options);
  return runList(command, io.netlink.open(12), hostNames(io.netlink, reader(io)), {
    ...options.flags,
    ...(io.release && { release: io.release }),
  });
}

/** `nft get element`, `nft reset element`: the set with the members asked for. */
function readMembers(command: Command, object: Elements, io: NftIo, options: ScriptOptions): string {
  const { family, table, set } = object;
  const socket = io.netlink.open(12);
  const names = hostNames(io.netlink, reader(io));
  const one = readRuleset(socket, { family, table }).tables[0];
  const view = one?.sets.find((entry) => entry.name === set);
  if (view === undefined) throw new NftError(object.loc, ENOENT_TEXT);
  const session = new Session(socket, names, false);
  let elementList: readonly ElementExpr[];
  try {
    elementList = session.get(object, view, command.op === 'reset');
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    throw new NftError(withEnd(command.loc), `Could not process rule: ${strerror(error.errno)}`);
  }
  return showSet(one, { ...view, elementList }, listOptions(options.flags ?? {}, names), options.flags?.json === true);
}

/** The real tool reads a line end behind the command line, and counts it to the command. */
function withEnd(loc: Location | undefined): Location | undefined {
  return loc?.source.name === '<cmdline>' && loc.end === loc.source.text.length ? { ...loc, end: loc.end + 1 } : loc;
}

function asError(error: unknown, command?: Command): NftError {
  if (error instanceof NftError) return error;
  if (error instanceof NetlinkError) return new NftError(command?.loc, strerror(error.errno));
  if (error instanceof RangeError) return new NftError(undefined, 'the script nests too deeply or is too large');
  throw error;
}

/** `nft -i`: every line is a script of its own; definitions stay. Ends with the input or "quit". */
function interactive(io: NftIo, options: ScriptOptions): ToolResult {
  const scope = newScope(options.defines);
  let [stdout, stderr] = ['', ''];
  for (const line of (io.stdin ?? '').split('\n')) {
    if (line.trim() === 'quit') break;
    const ran = runScript(line, io, { ...options, file: '<cli>', scope });
    stdout += ran.stdout;
    stderr += ran.stderr;
  }
  return { code: 0, stdout, stderr };
}

/** `nft monitor [trace | [new | destroy] [tables | chains | rules | sets | elements | ruleset]]` */
function monitor(words: readonly string[], io: NftIo, options: ScriptOptions): ToolResult {
  const rest = [...words];
  const events = rest[0] === 'new' || rest[0] === 'destroy' ? (rest.shift() as 'new' | 'destroy') : undefined;
  const what = MONITORED.find((one) => one === rest[0]);
  if (what !== undefined) rest.shift();
  const fail = (text: string): ToolResult => ({ code: 1, stdout: '', stderr: `Error: ${text}\n` });
  if (rest[0] === 'trace') return fail('netloom does not support nft monitor trace');
  if (rest.length > 0) return fail(`syntax error, unexpected ${rest[0]}`);
  if (io.follow === undefined) return fail('nft monitor goes on until it is stopped: netloom does not support it here');
  const filter = { ...(events && { events }), ...(what && { what }) };
  const names = hostNames(io.netlink, reader(io));
  io.follow((write) => startMonitor(filter, io.netlink.open(12), names, options.flags ?? {}, write));
  return { code: 0, stdout: '', stderr: '' };
}

/** The `nft` command. */
export function nft(argv: readonly string[], io: NftIo): ToolResult {
  const args = parseArguments(argv);
  if ('error' in args) return { code: 1, stdout: '', stderr: `${args.error}\n` };
  const { options } = args;
  if (args.help) return { code: 0, stdout: USAGE, stderr: '' };
  if (args.version) return { code: 0, stdout: VERSION, stderr: '' };
  if (args.interactive) return interactive(io, options);
  const words = args.rest.join(' ').trim().split(/\s+/);
  if (args.files.length === 0 && words[0] === 'monitor') return monitor(words.slice(1), io, options);
  if (args.files.length === 0) {
    if (args.rest.length === 0) return { code: 1, stdout: '', stderr: 'Error: no command specified\n' };
    const { rules: _, ...result } = runScript(args.rest.join(' '), io, { ...options, file: '<cmdline>' });
    return result;
  }
  let text = '';
  let name = '';
  for (const file of args.files) {
    name = file === '-' ? '/dev/stdin' : file;
    const read = file === '-' || file === '/dev/stdin' ? (io.stdin ?? '') : reader(io)(file);
    if (read === undefined)
      return { code: 1, stdout: '', stderr: `internal:0:0-0: Error: Could not open file "${file}": ${ENOENT_TEXT}\n` };
    text += read;
  }
  const { rules: _, ...result } = runScript(text, io, { ...options, file: name });
  return result;
}
