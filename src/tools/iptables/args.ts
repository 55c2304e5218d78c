/** Arguments of `iptables` (and of one line of `iptables-restore`) as a command. */
import { IptablesError, PARAMETER_PROBLEM, problem } from './errors.ts';
import type { Context, Extension, Option, Use } from './extension.ts';
import { findExtension } from './extensions.ts';
import { BUILT_IN, longOption, type OptSpec, shortOption } from './getopt.ts';
import { protocolName, protocolNumber } from './names.ts';
import { type AddressMatch, emptyRule, type Rule } from './rule.ts';
import { noSets, type SetNames } from './set-names.ts';
import { masked, number } from './values.ts';

export type Verb = 'A' | 'D' | 'C' | 'I' | 'R' | 'L' | 'S' | 'F' | 'Z' | 'N' | 'X' | 'E' | 'P';

export type Command = {
  verb: Verb;
  /** `-L -Z` together. */
  alsoZero: boolean;
  table: string;
  chain: string | undefined;
  /** Rule number, 0 for none. */
  index: number;
  newName: string | undefined;
  policy: string | undefined;
  /** One rule per pair of source and destination address. */
  rules: Rule[];
  numeric: boolean;
  verbose: number;
  legacy: boolean;
  exact: boolean;
  lineNumbers: boolean;
  /** -V or -h. */
  special: 'version' | 'help' | undefined;
};

export type ParseOptions = {
  readonly family: 4 | 6;
  readonly table: string;
  /** iptables-legacy: a target that is no chain is looked for among the extensions only. */
  readonly legacy?: boolean;
  /** A line of iptables-restore. */
  readonly restore: boolean;
  readonly sets?: SetNames;
  user(name: string): number | undefined;
  group(name: string): number | undefined;
  warn(text: string): void;
};

type ExtOption = OptSpec & { readonly loaded: Loaded; readonly option: Option<object> };
type Loaded = { readonly use: Use; readonly seen: Set<string>; options: ExtOption[] };

const VERBS = 'ADCIRLSFZNXEP';
const STANDARD: readonly string[] = ['ACCEPT', 'DROP', 'RETURN'];
/** Commands that take a rule. */
const RULE_VERBS = 'ADCIR';

/** Options that some commands do not take. */
const NOT_WITH: Readonly<Record<string, string>> = {
  L: 'sdpjio',
  S: 'sdpjio',
  F: 'sdpjio',
  N: 'sdpjio',
  X: 'sdpjio',
  P: 'sdpjio',
};

class Parser {
  readonly #argv: readonly string[];
  readonly #o: ParseOptions;
  readonly #rule: Rule;
  readonly #loaded: Loaded[] = [];
  #at = 0;
  #invert = false;
  #verb: Verb | undefined;
  #sources: string | undefined;
  #destinations: string | undefined;
  #srcInvert = false;
  #dstInvert = false;
  #fragment: 0 | 1 | -1 = 0;
  readonly #seen: Set<string> = new Set();
  readonly #cmd: Command;
  #target: Loaded | undefined;
  #otherFamily = false;

  constructor(argv: readonly string[], o: ParseOptions) {
    this.#argv = argv;
    this.#o = o;
    this.#rule = emptyRule(o.family);
    this.#cmd = {
      verb: 'L',
      alsoZero: false,
      table: o.table,
      chain: undefined,
      index: 0,
      newName: undefined,
      policy: undefined,
      rules: [],
      numeric: false,
      verbose: 0,
      legacy: o.legacy ?? false,
      exact: false,
      lineNumbers: false,
      special: undefined,
    };
  }

  /** The command; undefined for a line that is for the other family (-4, -6). */
  run(): Command | undefined {
    while (this.#at < this.#argv.length) this.#step(this.#argv[this.#at++]);
    if (this.#invert) throw problem('nothing appropriate following !');
    if (this.#otherFamily) return undefined;
    if (this.#cmd.special !== undefined) return this.#cmd;
    if (this.#verb === undefined) throw problem('no command specified');
    for (const loaded of this.#loaded) this.#finish(loaded);
    this.#cmd.verb = this.#verb;
    this.#check();
    if (RULE_VERBS.includes(this.#verb)) this.#cmd.rules = this.#expand();
    return this.#cmd;
  }

  #step(arg: string): void {
    if (arg === '!') {
      if (this.#invert) throw problem('multiple consecutive ! not allowed');
      this.#invert = true;
      return;
    }
    if (arg.startsWith('--') && arg.length > 2) {
      const equals = arg.indexOf('=');
      const name = arg.slice(2, equals < 0 ? undefined : equals);
      this.#long(name, equals < 0 ? undefined : arg.slice(equals + 1));
      return;
    }
    if (arg.length < 2 || !arg.startsWith('-')) throw bareProblem(`Bad argument \`${arg}'`);
    for (let i = 1; i < arg.length; i++) {
      const spec = shortOption(arg[i]);
      if (spec === undefined) throw problem(`unknown option "-${arg[i]}"`);
      const rest = arg.slice(i + 1);
      if (spec.arg === 'none') {
        this.#builtIn(spec, '');
        continue;
      }
      if (rest !== '') this.#builtIn(spec, rest);
      else if (spec.arg === 'optional') this.#builtIn(spec, undefined);
      else this.#builtIn(spec, this.#argument(`-${arg[i]}`));
      break;
    }
  }

  #long(name: string, given: string | undefined): void {
    const found = this.#find(name);
    if (found === 'ambiguous') throw problem(`unknown option "--${name}"`);
    if (found === undefined) throw problem(`unknown option "--${name}"`);
    const value =
      found.arg === 'none' ? '' : (given ?? (found.arg === 'optional' ? undefined : this.#argument(`--${name}`)));
    if ('option' in found) this.#extension(found, value ?? (found.option.free ? this.#free() : undefined) ?? '');
    else this.#builtIn(found, value);
  }

  #find(name: string): OptSpec | ExtOption | 'ambiguous' | undefined {
    const lists = (): (readonly (OptSpec | ExtOption)[])[] => [
      BUILT_IN,
      ...[...this.#loaded].reverse().map((l) => l.options),
    ];
    const found = longOption<OptSpec | ExtOption>(name, lists());
    if (found !== undefined) return found;
    // The options of a protocol's match can be used without -m.
    const proto = this.#rule.proto;
    const protocol = proto === 58 ? 'icmp6' : (protocolName(proto) ?? '');
    if (proto === 0 || this.#loaded.some((l) => l.use.ext.kind === 'match' && l.use.ext.name === protocol))
      return undefined;
    const ext = findExtension('match', protocol, this.#o.family);
    if (ext === undefined || !ext.options.some((option) => option.name.startsWith(name))) return undefined;
    this.#load(ext);
    return longOption<OptSpec | ExtOption>(name, lists());
  }

  #argument(option: string): string {
    if (this.#at >= this.#argv.length) throw problem(`option "${option}" requires an argument`);
    return this.#argv[this.#at++];
  }

  /** The next argument when it is no option. */
  #free(): string | undefined {
    const next = this.#argv[this.#at];
    if (next === undefined || next.startsWith('-') || next === '!') return undefined;
    this.#at++;
    return next;
  }

  #setVerb(verb: Verb): void {
    if (this.#invert) throw problem(`unexpected ! flag before --${BUILT_IN.find((s) => s.short === verb)?.long}`);
    const pair = `${this.#verb ?? ''}${verb}`;
    if (pair === 'LZ' || pair === 'SZ' || pair === 'ZL' || pair === 'ZS') {
      this.#cmd.alsoZero = true;
      if (verb !== 'Z') this.#verb = verb;
      return;
    }
    if (this.#verb !== undefined) throw problem(`Cannot use -${verb} with -${this.#verb}`);
    this.#verb = verb;
  }

  #ruleNumber(text: string): number {
    const value = number(text, 0xffffffff, 1);
    if (value === undefined) throw problem(`Invalid rule number \`${text}'`);
    return value;
  }

  #once(letter: string, long: string): void {
    if (this.#seen.has(letter)) throw problem(`multiple -${letter} flags not allowed`);
    this.#seen.add(letter);
    if (this.#invert && !'sdpiof'.includes(letter)) throw problem(`unexpected ! flag before --${long}`);
  }

  #takeInvert(): boolean {
    const invert = this.#invert;
    this.#invert = false;
    return invert;
  }

  #builtIn(spec: OptSpec, value: string | undefined): void {
    const letter = spec.short ?? '';
    const text = value ?? '';
    const cmd = this.#cmd;
    const rule = this.#rule;
    if (VERBS.includes(letter)) {
      this.#setVerb(letter as Verb);
      this.#command(letter as Verb, value);
      return;
    }
    switch (letter) {
      case 's':
        this.#once('s', 'source');
        this.#srcInvert = this.#takeInvert();
        this.#sources = text;
        break;
      case 'd':
        this.#once('d', 'destination');
        this.#dstInvert = this.#takeInvert();
        this.#destinations = text;
        break;
      case 'p': {
        this.#once('p', 'protocol');
        const name = text.toLowerCase();
        const proto = protocolNumber(name) ?? number(name, 255);
        if (proto === undefined) throw problem(`unknown protocol "${name}" specified`);
        rule.proto = proto;
        rule.protoInvert = this.#takeInvert();
        if (proto === 0 && rule.protoInvert) throw problem('rule would never match protocol');
        break;
      }
      case 'i':
      case 'o': {
        this.#once(letter, spec.long);
        if (text.length > 15) throw problem(`interface name \`${text}' must be shorter than 16 characters`);
        const match = { name: text, invert: this.#takeInvert() };
        if (text === '') throw problem('Empty interface is likely to be undesired');
        rule[letter === 'i' ? 'iif' : 'oif'] = match;
        break;
      }
      case 'f':
        if (this.#o.family === 6) throw problem('unknown option "-f"');
        this.#once('f', 'fragments');
        this.#fragment = this.#takeInvert() ? -1 : 1;
        break;
      case 'j':
        this.#once('j', 'jump');
        this.#jump(text);
        break;
      case 'g':
        this.#once('j', 'goto');
        this.#chainName(text);
        rule.target = { chain: text, goto: true };
        break;
      case 'm': {
        if (this.#invert) throw problem('unexpected ! flag before --match');
        const ext = findExtension('match', text, this.#o.family);
        if (ext === undefined) throw problem(unsupported('match', text));
        this.#load(ext);
        break;
      }
      case 't':
        if (this.#o.restore)
          throw problem(`The -t option cannot be used in ${this.#o.family === 6 ? 'ip6' : 'ip'}tables-restore.\n`);
        cmd.table = text;
        break;
      case 'c': {
        this.#once('c', 'set-counters');
        const split = /^(\d+),(\d+)$/.exec(text);
        const bytes = split?.[2] ?? this.#free();
        if (bytes === undefined) throw problem('-c requires packet and byte counter');
        if (!/^\d+$/.test(split?.[1] ?? text)) throw problem('-c packet counter not numeric');
        if (!/^\d+$/.test(bytes)) throw problem('-c byte counter not numeric');
        rule.packets = BigInt(split?.[1] ?? text);
        rule.bytes = BigInt(bytes);
        break;
      }
      case 'n':
        cmd.numeric = true;
        break;
      case 'v':
        cmd.verbose++;
        break;
      case 'x':
        cmd.exact = true;
        break;
      case '0':
        cmd.lineNumbers = true;
        break;
      case 'w':
      case 'W': {
        // There is no lock to wait for in nf_tables; the argument is only read.
        const next = value ?? (/^\d+(\.\d+)?$/.test(this.#argv[this.#at] ?? '') ? this.#argv[this.#at++] : undefined);
        if (next !== undefined && !/^\d+(\.\d+)?$/.test(next)) throw problem('wait seconds not numeric');
        break;
      }
      case '4':
        if (this.#o.family === 6) this.#wrongFamily();
        break;
      case '6':
        if (this.#o.family === 4) this.#wrongFamily();
        break;
      case 'V':
        cmd.special = 'version';
        break;
      case 'h':
        cmd.special = 'help';
        break;
    }
  }

  #wrongFamily(): void {
    // Nothing is said but where to read on.
    if (!this.#o.restore) throw new IptablesError(PARAMETER_PROBLEM, '', true);
    this.#otherFamily = true;
  }

  #command(verb: Verb, value: string | undefined): void {
    const cmd = this.#cmd;
    const chain = value ?? this.#free();
    switch (verb) {
      case 'A':
      case 'C':
        cmd.chain = chain;
        break;
      case 'D':
      case 'R':
      case 'I':
      case 'L':
      case 'S':
      case 'Z': {
        if (verb === 'Z' && cmd.alsoZero) {
          cmd.chain ??= chain;
          break;
        }
        cmd.chain = chain;
        const next = this.#argv[this.#at];
        if (chain !== undefined && next !== undefined && !next.startsWith('-') && next !== '!') {
          this.#at++;
          cmd.index = this.#ruleNumber(next);
        } else if (verb === 'R') throw problem('-R requires a rule number');
        else if (verb === 'I') cmd.index = 1;
        break;
      }
      case 'E':
        cmd.chain = chain;
        cmd.newName = this.#free();
        if (cmd.newName === undefined) throw problem('-E requires old-chain-name and new-chain-name');
        break;
      case 'P':
        cmd.chain = chain;
        cmd.policy = this.#free();
        if (cmd.policy === undefined) throw problem('-P requires a chain and a policy');
        break;
      case 'N':
        if (chain !== undefined) this.#newChainName(chain);
        cmd.chain = chain;
        break;
      default:
        cmd.chain = chain;
    }
    if (cmd.chain !== undefined && cmd.chain.length > 28) {
      throw problem(`chain name \`${cmd.chain}' too long (must be under 29 chars)`);
    }
  }

  #newChainName(name: string): void {
    if (/^[-!]/.test(name)) throw problem(`chain name not allowed to start with \`${name[0]}'\n`);
    if (findExtension('target', name, this.#o.family) !== undefined || STANDARD.includes(name))
      throw problem(`chain name may not clash with target name\n`);
    if (/\s/.test(name)) throw problem(`Invalid chain name \`${name}'\n`);
  }

  #chainName(name: string): void {
    if (name === '') throw problem('Invalid target name (too short)');
    if (name.length > 28) throw problem(`Invalid target name \`${name}' (28 chars max)`);
    if (/\s/.test(name)) throw problem(`Invalid target name \`${name}'`);
  }

  #jump(name: string): void {
    this.#chainName(name);
    if (STANDARD.includes(name)) {
      this.#rule.target = { verdict: name };
      return;
    }
    if (name === 'QUEUE') throw problem('netloom does not support target QUEUE; use NFQUEUE');
    const ext = findExtension('target', name, this.#o.family);
    if (ext === undefined) {
      this.#rule.target = { chain: name, goto: false };
      return;
    }
    this.#target = this.#load(ext);
    this.#rule.target = { use: this.#target.use };
  }

  #load(ext: Extension<object>): Loaded {
    const state = ext.codec.zero();
    const use: Use = { ext, state };
    const loaded: Loaded = { use, seen: new Set(), options: [] };
    loaded.options = ext.options.map((option) => ({
      long: option.name,
      arg: option.arg ?? 'required',
      loaded,
      option,
    }));
    ext.init?.(state, this.#context(loaded, ''));
    this.#loaded.push(loaded);
    if (ext.kind === 'match') this.#rule.matches.push(use);
    return loaded;
  }

  #context(loaded: Loaded, opt: string): Context {
    const o = this.#o;
    return {
      family: o.family,
      table: this.#cmd.table,
      proto: this.#rule.proto,
      protoInvert: this.#rule.protoInvert,
      ext: loaded.use.ext.name,
      opt,
      seen: loaded.seen,
      next: () => this.#free(),
      user: (name) => o.user(name),
      group: (name) => o.group(name),
      sets: o.sets ?? noSets,
      warn: (text) => o.warn(text),
    };
  }

  #extension({ loaded, option }: ExtOption, value: string): void {
    const { ext } = loaded.use;
    const invert = this.#takeInvert();
    if (invert && !option.invert) throw problem(`${ext.name}: option "--${option.name}" cannot be inverted.`);
    if (loaded.seen.has(option.name) && !option.many)
      throw problem(`${ext.name}: option "--${option.name}" can only be used once.`);
    loaded.seen.add(option.name);
    option.parse(loaded.use.state, value, invert, this.#context(loaded, option.name));
  }

  #finish(loaded: Loaded): void {
    const { ext, state } = loaded.use;
    for (const option of ext.options) {
      if (!loaded.seen.has(option.name)) {
        if (option.mandatory) throw problem(`${ext.name}: option "--${option.name}" must be specified`);
        continue;
      }
      for (const other of option.excl ?? [])
        if (loaded.seen.has(other))
          throw problem(`${ext.name}: option "--${option.name}" cannot be used together with "--${other}".`);
      for (const other of option.also ?? [])
        if (!loaded.seen.has(other))
          throw problem(`${ext.name}: option "--${option.name}" also requires "--${other}".`);
    }
    ext.check?.(state, this.#context(loaded, ''));
  }

  #check(): void {
    const { chain } = this.#cmd;
    const verb = this.#verb ?? 'L';
    for (const letter of NOT_WITH[verb] ?? '') {
      if (this.#seen.has(letter)) throw problem(`Illegal option \`-${letter}' with this command`);
    }
    if (this.#rule.iif !== undefined || this.#rule.oif !== undefined) {
      if (chain === 'PREROUTING' || chain === 'INPUT') {
        if (this.#rule.oif !== undefined) throw problem(`Can't use -o with ${chain}\n`);
      }
      if (chain === 'POSTROUTING' || chain === 'OUTPUT') {
        if (this.#rule.iif !== undefined) throw problem(`Can't use -i with ${chain}\n`);
      }
    }
  }

  #addresses(text: string | undefined, invert: boolean): (AddressMatch | undefined)[] {
    if (text === undefined) return [undefined];
    const parts = text.split(',');
    if (invert && parts.length > 1) throw problem('! not allowed with multiple source or destination IP addresses');
    return parts.map((part) => ({ ...masked(part.trim(), this.#o.family), invert }));
  }

  #expand(): Rule[] {
    const rule = this.#rule;
    rule.fragment = this.#fragment;
    const out: Rule[] = [];
    for (const src of this.#addresses(this.#sources, this.#srcInvert))
      for (const dst of this.#addresses(this.#destinations, this.#dstInvert))
        out.push({ ...rule, ...(src && { src }), ...(dst && { dst }) });
    return out;
  }
}

function bareProblem(message: string): IptablesError {
  return new IptablesError(PARAMETER_PROBLEM, message, true);
}

/** The text about an extension that is not there. */
function unsupported(kind: 'match' | 'target', name: string): string {
  return `Couldn't load ${kind} \`${name}':No such file or directory\n`;
}

/** Reads a command line; undefined when it is for the other family. Throws IptablesError. */
export function parseArgs(argv: readonly string[], options: ParseOptions): Command | undefined {
  return new Parser(argv, options).run();
}
