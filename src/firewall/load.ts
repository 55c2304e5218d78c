/**
 * Loads a ruleset into a machine, through the tools that read such files, and notes for every rule the line it was
 * written on.
 */
import { runScript } from '../tools/nft/index.ts';
import { KINDS, type RulesKind } from './detect.ts';
import { type Hints, hints, type IfaceSpec, type RouteSpec } from './infer.ts';
import type { Machine } from './machine.ts';
import { nftPlaces, oneLine } from './nft-places.ts';
import { BadInput } from './problem.ts';
import type { RuleName, RulePlace } from './rule-book.ts';
import { type Command, runShell } from './shell.ts';

export type RulesInput = {
  readonly text: string;
  readonly file: string;
  readonly kind: RulesKind;
  readonly args: readonly string[];
  readonly readFile?: (path: string) => string;
};

/** Tools that a script may call. */
export const SCRIPT_TOOLS: readonly string[] = [
  'ip',
  'nft',
  'iptables',
  'iptables-nft',
  'iptables-legacy',
  'ip6tables',
  'ip6tables-nft',
  'ip6tables-legacy',
  'iptables-restore',
  'ip6tables-restore',
  'iptables-save',
  'ip6tables-save',
  'ipset',
  'sysctl',
];

export type ScriptFacts = {
  readonly hints: Hints;
  /** What a script configures by itself. */
  readonly script: { readonly ifaces: readonly IfaceSpec[]; readonly routes: readonly RouteSpec[] };
  /** Interfaces that the script adds, which must not be there before. */
  readonly created: ReadonlySet<string>;
};

/** What can be seen in the file without loading it. A script is run once with tools that do nothing. */
export function hintsOf(input: RulesInput): ScriptFacts {
  const none = { ifaces: [], routes: [] };
  if (input.kind !== 'shell') return { hints: hints(input.text), script: none, created: new Set() };
  const lines: string[] = [];
  const ifaces = new Map<string, string[]>();
  const routes: RouteSpec[] = [];
  const created = new Set<string>();
  const run = ({ argv, stdin }: Command): { code: number; stdout: string } | undefined => {
    if (!SCRIPT_TOOLS.includes(argv[0])) return undefined;
    lines.push(argv.join(' '));
    if (stdin !== undefined) lines.push(stdin);
    if (argv[0] === 'nft') {
      const at = argv.indexOf('-f');
      if (at > 0 && argv[at + 1] !== '-' && input.readFile !== undefined)
        lines.push(quietly(input.readFile, argv[at + 1]));
    }
    if (argv[0] === 'ip') ipFacts(argv.slice(1), ifaces, routes, created);
    return { code: 0, stdout: '' };
  };
  runShell(
    input.text,
    input.file,
    { run, ...(input.readFile && { readFile: input.readFile }), glob: () => [] },
    input.args,
  );
  const list = [...ifaces].map(([name, addresses]) => ({ name, addresses }));
  return { hints: hints(lines.join('\n')), script: { ifaces: list, routes }, created };
}

function quietly(readFile: (path: string) => string, path: string): string {
  try {
    return readFile(path);
  } catch {
    return ''; // the tool will say so
  }
}

/** Addresses, routes and interfaces of one `ip` command line. */
function ipFacts(
  words: readonly string[],
  ifaces: Map<string, string[]>,
  routes: RouteSpec[],
  created: Set<string>,
): void {
  const args = words.filter((w) => !/^-(?:4|6|br|j)$/.test(w));
  const [object = '', command = ''] = args;
  const after = (word: string): string | undefined => (args.includes(word) ? args[args.indexOf(word) + 1] : undefined);
  const adds = /^(?:add|a|replace|change)$/.test(command);
  if (/^a(?:d|ddr|ddress)?$/.test(object) && adds) {
    const dev = after('dev');
    const address = args.find((w) => /^[0-9a-f.:]+(?:\/\d+)?$/i.test(w) && /[.:]/.test(w));
    if (dev !== undefined && address !== undefined)
      ifaces.set(dev, [
        ...(ifaces.get(dev) ?? []),
        address.includes('/') ? address : `${address}/${address.includes(':') ? 128 : 32}`,
      ]);
  } else if (/^r(?:o|oute)?$/.test(object) && adds) {
    const [via, dev] = [after('via'), after('dev')];
    const to = args[2];
    if (to !== undefined) routes.push({ to, ...(via !== undefined && { via }), ...(dev !== undefined && { dev }) });
  } else if (/^l(?:ink)?$/.test(object) && adds) {
    const name =
      after('name') ?? args.slice(2).find((w, i, all) => !/^(?:link|dev|name|type)$/.test(w) && all[i - 1] !== 'link');
    if (name !== undefined) created.add(name);
    const peer = args.includes('peer')
      ? after('peer') === 'name'
        ? args[args.indexOf('peer') + 2]
        : after('peer')
      : undefined;
    if (peer !== undefined) created.add(peer);
  }
}

/** Loads the file; returns notes. Throws BadInput with what the tool said when nothing was loaded. */
export function loadRules(machine: Machine, input: RulesInput): string[] {
  switch (input.kind) {
    case 'nft':
      return loadNft(machine, input);
    case 'iptables-save':
    case 'ip6tables-save':
      return loadSave(machine, input);
    case 'shell':
      return loadShell(machine, input);
    default:
      throw new BadInput(`unknown kind of ruleset; expected ${KINDS.join(', ')}`);
  }
}

/** A ruleset may name interfaces by index (`iif lan`), which must be there: those missing are added, up to this many. */
const MAX_MISSING = 64;

function loadNft(machine: Machine, { text, file, readFile }: RulesInput): string[] {
  const notes: string[] = [];
  const read = (path: string): string => {
    if (path === file) return text;
    if (readFile === undefined) throw new Error('No such file or directory');
    return readFile(path);
  };
  for (let i = 0; ; i++) {
    const result = runScript(text, { netlink: machine.netlink, readFile: read }, { file });
    if (result.code === 0) {
      machine.book.put(
        result.rules.map(({ family, table, chain, handle, file: name, line, text: rule }) => ({
          name: { family, table, chain },
          handle: Number(handle),
          place: { file: name, line, text: oneLine(rule) },
        })),
      );
      return notes;
    }
    const missing = /Interface does not exist[\s\S]*?\n(.*)\n( *)\^+/.exec(result.stderr);
    const name = missing === null ? undefined : /^"?([\w.@-]{1,15})/.exec(missing[1].slice(missing[2].length))?.[1];
    if (name === undefined || i >= MAX_MISSING || !machine.addInterface(name))
      throw new BadInput(result.stderr.trimEnd());
    notes.push(`there is an interface ${name}`);
  }
}

/** Rules of one line of iptables: addresses in a list make a rule each. */
function ruleCount(words: readonly string[]): number {
  let count = 1;
  for (let i = 0; i < words.length - 1; i++)
    if (/^(?:-s|-d|--source|--destination|--src|--dst)$/.test(words[i])) count *= words[i + 1].split(',').length;
  return count;
}

function loadSave(machine: Machine, { text, file, kind }: RulesInput): string[] {
  const tool = kind === 'iptables-save' ? 'iptables-restore' : 'ip6tables-restore';
  const family = kind === 'iptables-save' ? 'ip' : 'ip6';
  const result = machine.run(tool, [], { stdin: text });
  if (result.code !== 0) throw new BadInput(saveProblem(result.stderr, text, file));
  machine.book.assignAll(savePlaces(text, file, family));
  return result.stderr.trim() === '' ? [] : result.stderr.trim().split('\n');
}

/** The restore tool names a line; the line itself is shown with it. */
function saveProblem(stderr: string, text: string, file: string): string {
  const line = /line:? (\d+)/i.exec(stderr)?.[1];
  if (line === undefined) return `${file}: ${stderr.trimEnd()}`;
  return `${file}:${line}: ${stderr.trimEnd()}\n${text.split('\n')[Number(line) - 1] ?? ''}`;
}

function savePlaces(text: string, file: string, family: string): { name: RuleName; place: RulePlace }[] {
  const out: { name: RuleName; place: RulePlace }[] = [];
  let table = 'filter';
  text.split('\n').forEach((raw, i) => {
    const line = raw.trim();
    if (line.startsWith('*')) table = line.slice(1).trim();
    const m = /^(?:\[\d+:\d+\]\s+)?-(?:A|I|-append|-insert)\s+(\S+)/.exec(line);
    if (m === null) return;
    const place = { file, line: i + 1, text: line };
    for (let n = ruleCount(line.split(/\s+/)); n > 0; n--) out.push({ name: { family, table, chain: m[1] }, place });
  });
  return out;
}

function loadShell(machine: Machine, { text, file, args, readFile }: RulesInput): string[] {
  const notes: string[] = [];
  const lines = text.split('\n');
  const run = (command: Command): { code: number; stdout: string } | undefined => {
    const { argv, stdin, line } = command;
    if (!SCRIPT_TOOLS.includes(argv[0])) return undefined;
    const tool = argv[0].replace(/-(?:nft|legacy)$/, '');
    const result = machine.run(tool, argv.slice(1), {
      ...(stdin !== undefined && { stdin }),
      ...(readFile !== undefined && { readFile }),
    });
    if (result.code !== 0) {
      const said = result.stderr.trim().split('\n')[0] || `${tool} ended with code ${result.code}`;
      notes.push(`${file}:${line}: failed, the script went on: ${said}`);
    }
    note(machine, command, tool, file, lines, readFile);
    return { code: result.code, stdout: result.stdout };
  };
  const skipped = runShell(
    text,
    file,
    { run, ...(readFile !== undefined && { readFile }), glob: (pattern) => machine.sysctlPaths(pattern) },
    args,
  );
  const names = [...new Set(skipped.map((s) => s.what))];
  if (names.length > 0) notes.push(`not run: ${names.join(', ')} (line ${skipped.map((s) => s.line).join(', ')})`);
  return notes;
}

/** Gives the rules that a command made their places. */
function note(
  machine: Machine,
  { argv, stdin, line }: Command,
  tool: string,
  file: string,
  lines: readonly string[],
  readFile: ((path: string) => string) | undefined,
): void {
  const { book } = machine;
  // A here-document begins on the line behind its command; one from elsewhere has no lines here.
  const inner = (place: RulePlace): RulePlace => ({ ...place, file, line: line + place.line });
  if (tool === 'nft' && argv.includes('-f')) {
    const path = argv[argv.indexOf('-f') + 1];
    const here = path === '-' || path === '/dev/stdin';
    const body = here ? (stdin ?? '') : readFile === undefined ? '' : quietly(readFile, path);
    const places = nftPlaces(body, here ? file : path, readFile ?? ((p) => p));
    book.assignAll(here ? places.map(({ name, place }) => ({ name, place: inner(place) })) : places);
  } else if (tool.endsWith('-restore') && stdin !== undefined) {
    const places = savePlaces(stdin, file, tool.startsWith('ip6') ? 'ip6' : 'ip');
    book.assignAll(places.map(({ name, place }) => ({ name, place: inner(place) })));
  } else book.assign({ file, line, text: commandText(lines, line) });
}

/** The command as it is written, continuation lines joined. */
function commandText(lines: readonly string[], line: number): string {
  let text = '';
  for (let i = line - 1; i < lines.length; i++) {
    const part = lines[i].trim();
    text += (text === '' ? '' : ' ') + part.replace(/\\$/, '').trim();
    if (!part.endsWith('\\')) break;
  }
  return text;
}
