/**
 * `iptables-translate`, `ip6tables-translate` and their restore forms: iptables commands in the words of nft, rule by rule
 * (xtables-translate(8), version 1.8.9). What nft has no words for comes out as a comment.
 */
import type { Tool, ToolIo, ToolResult } from '../../io.ts';
import { type Command, type ParseOptions, parseArgs } from '../args.ts';
import { builtIn } from '../built-in.ts';
import { IptablesError } from '../errors.ts';
import { errorText, idLookup, VERSION } from '../iptables.ts';
import { words } from '../restore.ts';
import { NOT_IMPLEMENTED, SetNames, translateCommand } from './command.ts';

function parseOptions(
  family: 4 | 6,
  io: ToolIo,
  warn: (text: string) => void,
): Omit<ParseOptions, 'table' | 'restore'> {
  return { family, user: idLookup(io, '/etc/passwd'), group: idLookup(io, '/etc/group'), warn };
}

function failure(program: string, error: unknown, where = ''): ToolResult {
  if (!(error instanceof IptablesError)) throw error;
  if (error.message === NOT_IMPLEMENTED) return { code: 1, stdout: '', stderr: NOT_IMPLEMENTED };
  return { code: error.code, stdout: '', stderr: errorText(program, error, where) };
}

/** A word as the shell needs it. */
const shellWord = (text: string): string => text.replaceAll("'", "'\\''");

function translate(program: string, family: 4 | 6): Tool {
  return (argv, io) => {
    let stderr = '';
    const warn = (text: string): void => {
      stderr += `${text}\n`;
    };
    try {
      const cmd = parseArgs(argv, { ...parseOptions(family, io, warn), table: 'filter', restore: false });
      if (cmd === undefined) return { code: 0, stdout: '', stderr };
      if (cmd.special === 'version') return { code: 0, stdout: `${program} ${VERSION}\n`, stderr };
      if (cmd.special === 'help') return { code: 0, stdout: usage(program), stderr };
      return { code: 0, stdout: lines(cmd, argv, family), stderr };
    } catch (error) {
      return failure(program, error);
    }
  };
}

function lines(cmd: Command, argv: readonly string[], family: 4 | 6): string {
  const found = translateCommand(cmd, family, new SetNames());
  if (found === 'unknown') return `nft # ${argv.join(' ')}\n`;
  return found.commands.map((c) => (found.quoted ? `nft '${shellWord(c)}'\n` : `nft ${c}\n`)).join('');
}

function usage(program: string): string {
  return `${program} ${VERSION}

Usage: ${program} [-t table] -{A|I} chain rule-specification
       ${program} [-t table] -{N|F|X|L} [chain]
       ${program} -h (print this help information)
`;
}

const HOOK_NAMES: Readonly<Record<string, string>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
};

/** The lines of a save file as an nft script. Throws IptablesError with the line in `at`. */
class RestoreTranslation {
  readonly #family: 4 | 6;
  readonly #parse: Omit<ParseOptions, 'table' | 'restore'>;
  readonly #names = new SetNames();
  #table: string | undefined;
  readonly out: string[] = [];

  constructor(family: 4 | 6, parse: Omit<ParseOptions, 'table' | 'restore'>) {
    this.#family = family;
    this.#parse = parse;
  }

  get #ip(): string {
    return this.#family === 4 ? 'ip' : 'ip6';
  }

  line(text: string): void {
    if (text === '' || text.startsWith('#')) return;
    if (text.startsWith('*')) {
      this.#table = text.slice(1).trim();
      this.out.push(`add table ${this.#ip} ${this.#table}`);
    } else if (text === 'COMMIT') this.#table = undefined;
    else if (text.startsWith(':')) this.#chain(text.slice(1).split(/\s+/));
    else this.#command(text);
  }

  #chain([name, policy]: string[]): void {
    const base = builtIn(this.#table ?? '')?.find((chain) => chain.name === name);
    const head = `add chain ${this.#ip} ${this.#table} ${name}`;
    if (base === undefined || policy === '-') this.out.push(head);
    else
      this.out.push(
        `${head} { type ${base.type} hook ${HOOK_NAMES[name]} priority ${base.priority}; policy ${policy.toLowerCase()}; }`,
      );
  }

  #command(text: string): void {
    const argv = words(text.replace(/^\[\d+:\d+\]\s*/, ''));
    const cmd = parseArgs(argv, { ...this.#parse, table: this.#table ?? 'filter', restore: true });
    if (cmd === undefined) return;
    const found = translateCommand(cmd, this.#family, this.#names);
    if (found === 'unknown') this.out.push(`# -t ${this.#table} ${argv.join(' ')}`);
    else this.out.push(...found.commands);
  }
}

function restoreTranslate(program: string, family: 4 | 6): Tool {
  return (argv, io) => {
    let path: string | undefined;
    for (let i = 0; i < argv.length; i++) {
      const arg = argv[i];
      if (arg === '-f' || arg === '--file') path = argv[++i];
      else if (arg.startsWith('--file=')) path = arg.slice(7);
      else if (arg === '-V' || arg === '--version') return { code: 0, stdout: `${program} ${VERSION}\n`, stderr: '' };
      else if (arg === '-h' || arg === '--help') return { code: 0, stdout: restoreUsage(program), stderr: '' };
      else return { code: 1, stdout: '', stderr: `Unknown arguments found on commandline\n` };
    }
    let text: string;
    try {
      if (path === undefined && io.stdin === undefined)
        return { code: 1, stdout: restoreUsage(program), stderr: 'ERROR: missing file name\n' };
      text = path === undefined ? (io.stdin ?? '') : read(io, path);
    } catch {
      return { code: 1, stdout: '', stderr: `Cannot open file ${path}\n` };
    }
    let stderr = '';
    const translation = new RestoreTranslation(
      family,
      parseOptions(family, io, (line) => {
        stderr += `${line}\n`;
      }),
    );
    const input = text.split('\n');
    for (let i = 0; i < input.length; i++)
      try {
        translation.line(input[i].trim());
      } catch (error) {
        return failure(program, error, `Error occurred at line: ${i + 1}\n`);
      }
    const head = `# Translated by ${program} ${VERSION}\n`;
    return { code: 0, stdout: `${head}${translation.out.join('\n')}\n# Completed\n`, stderr };
  };
}

function read(io: ToolIo, path: string): string {
  if (io.readFile === undefined) throw new Error('files cannot be read here');
  return io.readFile(path);
}

function restoreUsage(program: string): string {
  return `Usage: ${program} [-h] [-f <FILE>] [-V]\n\t[ --help ]\n\t[ --file=<FILE> ]\n\t[ --version ]\n`;
}

export const iptablesTranslate: Tool = translate('iptables-translate', 4);
export const ip6tablesTranslate: Tool = translate('ip6tables-translate', 6);
export const iptablesRestoreTranslate: Tool = restoreTranslate('iptables-restore-translate', 4);
export const ip6tablesRestoreTranslate: Tool = restoreTranslate('ip6tables-restore-translate', 6);
