/**
 * The command lines of arptables and ebtables: all options of all extensions are known from the start, and "!" may stand
 * before an option or before its value.
 */
import { problem } from '../errors.ts';
import type { Context, Extension, Option, Use } from '../extension.ts';
import { noSets } from '../set-names.ts';
import { number } from '../values.ts';
import { emptyLinkRule, type LinkRule } from './rule.ts';
import type { LinkCommand } from './tool.ts';

/** A built-in option that compares a field or a device. */
export type LinkOption = {
  readonly names: readonly string[];
  parse(rule: LinkRule, value: string, invert: boolean): void;
};

export type LinkSyntax = {
  readonly program: string;
  readonly options: readonly LinkOption[];
  readonly matches: readonly Extension<object>[];
  readonly targets: readonly Extension<object>[];
  /** Names of verdicts after -j. */
  readonly verdicts: readonly string[];
  /** Warns of "--option ! value". */
  readonly deprecated: boolean;
  /** Refuses a rule that makes no sense in a chain. */
  check?(rule: LinkRule, chain: string): void;
  /** Protocol that extensions see. */
  proto(rule: LinkRule): number;
};

const VERBS: Readonly<Record<string, string>> = {
  '-A': 'A',
  '--append': 'A',
  '-I': 'I',
  '--insert': 'I',
  '-D': 'D',
  '--delete': 'D',
  '-R': 'R',
  '--replace': 'R',
  '-L': 'L',
  '--list': 'L',
  '-S': 'S',
  '--list-rules': 'S',
  '-F': 'F',
  '--flush': 'F',
  '-Z': 'Z',
  '--zero': 'Z',
  '-N': 'N',
  '--new-chain': 'N',
  '-X': 'X',
  '--delete-chain': 'X',
  '-E': 'E',
  '--rename-chain': 'E',
  '-P': 'P',
  '--policy': 'P',
  '--init-table': 'F',
};
const INTRA =
  'Using intrapositioned negation (`--option ! this`) is deprecated in favor of extrapositioned (`! --option this`).\n';

/** Reads a line. `warn` takes what goes to stderr. */
export function parseLink(
  argv: readonly string[],
  syntax: LinkSyntax,
  table: string,
  warn: (text: string) => void,
): LinkCommand {
  const cmd: LinkCommand = {
    verb: '',
    table,
    chain: undefined,
    index: 0,
    last: 0,
    newName: undefined,
    policy: undefined,
    rule: emptyLinkRule(),
    verbose: false,
    numeric: false,
    lineNumbers: false,
    counters: false,
  };
  const seen = new Map<Use, Set<string>>();
  let at = 0;
  let invert = false;
  const isOption = (word: string | undefined): boolean => word === undefined || word.startsWith('-') || word === '!';
  const free = (): string | undefined => (isOption(argv[at]) ? undefined : argv[at++]);
  const value = (option: string, given: string | undefined): string => {
    if (given !== undefined) return given;
    if (argv[at] === '!' && at + 1 < argv.length) {
      if (syntax.deprecated) warn(INTRA);
      invert = true;
      at++;
    }
    if (at >= argv.length) throw problem(`option "${option}" requires an argument`);
    return argv[at++];
  };
  const context = (use: Use, opt: string): Context => ({
    family: 4,
    table: cmd.table,
    proto: syntax.proto(cmd.rule),
    protoInvert: false,
    ext: use.ext.name,
    opt,
    seen: seen.get(use) ?? new Set(),
    next: free,
    user: () => undefined,
    group: () => undefined,
    sets: noSets,
    warn,
  });
  const start = (ext: Extension<object>): Use => {
    const use = { ext, state: ext.codec.zero() };
    ext.init?.(use.state, context(use, ''));
    seen.set(use, new Set());
    return use;
  };
  const take = (use: Use, option: Option<object>, given: string | undefined): void => {
    const text = option.arg === 'none' ? '' : value(`--${option.name}`, given);
    if (invert && !option.invert) throw problem(`${use.ext.name}: option "--${option.name}" cannot be inverted.`);
    seen.get(use)?.add(option.name);
    const inverted = invert;
    invert = false;
    option.parse(use.state, text, inverted, context(use, option.name));
  };
  const extension = (name: string, given: string | undefined): boolean => {
    const t = cmd.rule.target;
    if (t !== undefined && 'use' in t) {
      const option = t.use.ext.options.find((o) => o.name === name);
      if (option) {
        take(t.use, option, given);
        return true;
      }
    }
    for (const ext of syntax.matches) {
      const option = ext.options.find((o) => o.name === name);
      if (option === undefined) continue;
      let use = cmd.rule.uses.find((one) => one.ext === ext);
      if (use === undefined) {
        use = start(ext);
        cmd.rule.uses.push(use);
      }
      take(use, option, given);
      return true;
    }
    return false;
  };
  while (at < argv.length) {
    const word = argv[at++];
    if (word === '!') {
      invert = true;
      continue;
    }
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const option = equals < 0 ? word : word.slice(0, equals);
    const given = equals < 0 ? undefined : word.slice(equals + 1);
    const verb = VERBS[option];
    if (verb !== undefined && !(verb === 'P' && cmd.verb === 'N')) {
      cmd.verb = verb;
      cmd.chain = free();
      if (verb === 'E') cmd.newName = free();
      else if (verb === 'P') cmd.policy = policyOf(free());
      else if ('IDR'.includes(verb) && /^\d+(:\d+)?$/.test(argv[at] ?? '')) {
        const [from, to] = argv[at++].split(':').map(Number);
        cmd.index = from;
        cmd.last = to ?? from;
      } else if (verb === 'I') cmd.index = 1;
      continue;
    }
    if (verb === 'P') {
      cmd.policy = policyOf(free());
      continue;
    }
    const builtIn = syntax.options.find((o) => o.names.includes(option));
    if (builtIn !== undefined) {
      const text = value(option, given);
      const inverted = invert;
      invert = false;
      builtIn.parse(cmd.rule, text, inverted);
      continue;
    }
    switch (option) {
      case '-t':
      case '--table':
        cmd.table = value(option, given);
        continue;
      case '-j':
      case '--jump': {
        const name = value(option, given);
        const ext = syntax.targets.find((one) => one.name === name);
        if (ext) cmd.rule.target = { use: start(ext) };
        else if (name === 'CONTINUE' && syntax.verdicts.includes(name)) cmd.rule.target = undefined;
        else cmd.rule.target = syntax.verdicts.includes(name) ? { verdict: name } : { chain: name };
        continue;
      }
      case '-m':
      case '--match':
        value(option, given);
        continue;
      case '-c':
      case '--set-counters': {
        cmd.rule.packets = BigInt(number(value(option, given)) ?? 0);
        cmd.rule.bytes = BigInt(number(value(option, undefined)) ?? 0);
        continue;
      }
      case '-v':
      case '--verbose':
        cmd.verbose = true;
        continue;
      case '-n':
      case '--numeric':
        cmd.numeric = true;
        continue;
      case '--Ln':
      case '--line-numbers':
        cmd.lineNumbers = true;
        continue;
      case '--Lc':
        cmd.counters = true;
        continue;
      case '--concurrent':
      case '--Lmac2':
      case '--Lx':
        continue;
    }
    if (!option.startsWith('--') || !extension(option.slice(2), given)) {
      throw problem(option.startsWith('-') ? `unknown option "${option}"` : `Bad argument : '${option}'`);
    }
  }
  const t = cmd.rule.target;
  for (const use of [...cmd.rule.uses, ...(t !== undefined && 'use' in t ? [t.use] : [])]) {
    for (const one of use.ext.options)
      if (one.mandatory && !seen.get(use)?.has(one.name))
        throw problem(`${use.ext.name}: option "--${one.name}" must be specified`);
    use.ext.check?.(use.state, context(use, ''));
  }
  if (cmd.verb === '') throw problem('No command specified');
  if (cmd.chain !== undefined) syntax.check?.(cmd.rule, cmd.chain);
  return cmd;
}

function policyOf(name: string | undefined): string {
  if (name === undefined || !['ACCEPT', 'DROP', 'RETURN'].includes(name))
    throw problem(`Unknown policy '${name ?? ''}'`);
  return name;
}
