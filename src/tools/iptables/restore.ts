/**
 * The commands `iptables-restore` and `ip6tables-restore`, and the loader behind them, which knows for every rule the
 * line it came from. A table is one batch: all of it or none.
 */
import { NETLINK_NETFILTER } from '../../wire/uapi/netlink.ts';
import type { Tool, ToolIo, ToolResult } from '../io.ts';
import { parseArgs } from './args.ts';
import { builtIn } from './built-in.ts';
import { runCommand, shownChains } from './commands.ts';
import { IptablesError, OTHER_PROBLEM, PARAMETER_PROBLEM, problem } from './errors.ts';
import { DEFAULT_FACE, errorText, type Face, idLookup } from './iptables.ts';
import { ipDialect, Session } from './session.ts';

/** A rule that was loaded: where it is in the kernel and where it stands in the file. */
export type LoadedRule = {
  readonly family: 'ip' | 'ip6';
  readonly table: string;
  readonly chain: string;
  readonly handle: bigint;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly text: string;
};

export type RestoreOptions = {
  readonly family?: 4 | 6;
  /** Name of the file, for answers and errors. */
  readonly file?: string;
  /** Keep what is there (-n). */
  readonly noflush?: boolean;
  /** Take the counters of the file (-c). */
  readonly counters?: boolean;
  /** Say what is done (-v). */
  readonly verbose?: boolean;
  /** Only this table (-T). */
  readonly table?: string;
  /** Check, do not load (--test). */
  readonly test?: boolean;
  /** Which iptables this is; default the nf_tables one. */
  readonly face?: Face;
  /** Ask the kernel for the handles of the rules (`rules` of the result); default true. */
  readonly handles?: boolean;
  readonly io: ToolIo;
};

export type RestoreResult = {
  readonly rules: readonly LoadedRule[];
  /** What the lines printed (-L and -S lines, of all things). */
  readonly stdout: string;
  readonly stderr: string;
};

/** A failure of a restore: its exit status, line and text as the real tool prints it. */
export class RestoreError extends Error {
  readonly code: number;
  readonly file: string;
  /** Line in the file, from 1; 0 when the failure belongs to no line. */
  readonly line: number;
  /** The complete text for stderr. */
  readonly stderr: string;

  constructor(code: number, file: string, line: number, message: string, stderr: string) {
    super(message);
    this.name = 'RestoreError';
    this.code = code;
    this.file = file;
    this.line = line;
    this.stderr = stderr;
  }
}

/** Words of a line: blanks separate, double quotes hold together, a backslash in quotes takes the next character. */
export function words(line: string): string[] {
  const out: string[] = [];
  let word = '';
  let open = false;
  let any = false;
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (open) {
      if (c === '\\' && i + 1 < line.length) word += line[++i];
      else if (c === '"') open = false;
      else word += c;
    } else if (c === '"') {
      open = true;
      any = true;
    } else if (c === ' ' || c === '\t') {
      if (any || word !== '') out.push(word);
      word = '';
      any = false;
    } else word += c;
  }
  if (any || word !== '') out.push(word);
  return out;
}

class Restore {
  readonly #session: Session;
  readonly #o: RestoreOptions;
  readonly #program: string;
  readonly #family: 4 | 6;
  readonly #parse: Omit<Parameters<typeof parseArgs>[1], 'table'>;
  #table: string | undefined;
  /** False while the lines of a table are passed over (-T). */
  #skip = false;
  stdout = '';
  stderr = '';

  constructor(o: RestoreOptions) {
    this.#o = o;
    this.#family = o.family ?? 4;
    this.#program = this.#family === 4 ? 'iptables-restore' : 'ip6tables-restore';
    this.#session = new Session(o.io.netlink.open(NETLINK_NETFILTER), ipDialect(this.#family), o.handles ?? true);
    this.#parse = {
      family: this.#family,
      restore: true,
      legacy: o.face?.legacy ?? false,
      sets: this.#session.sets,
      user: idLookup(o.io, '/etc/passwd'),
      group: idLookup(o.io, '/etc/group'),
      warn: (text) => {
        this.stderr += `${text}\n`;
      },
    };
  }

  #fail(line: number, error: IptablesError): RestoreError {
    const { code } = error;
    const program = this.#program;
    let stderr: string;
    if (error.bare && code === OTHER_PROBLEM) stderr = `${program}: line ${line} failed: ${error.message}\n`;
    else
      stderr = errorText(
        program,
        error,
        code === PARAMETER_PROBLEM ? `Error occurred at line: ${line}\n` : '',
        this.#o.face,
      );
    const at = /line (\d+)/.exec(error.message);
    return new RestoreError(code, this.#o.file ?? '-', at ? Number(at[1]) : line, error.message.trim(), stderr);
  }

  run(text: string): void {
    const lines = text.split('\n');
    if (lines.at(-1) === '') lines.pop();
    lines.forEach((raw, i) => {
      try {
        // Files from elsewhere may end their lines in CR LF.
        this.#line(raw.replace(/\r$/, ''), i + 1);
      } catch (error) {
        throw error instanceof IptablesError ? this.#fail(i + 1, error) : error;
      }
    });
    if (this.#table !== undefined || this.#skip) {
      const stderr = `${this.#program}: COMMIT expected at line ${lines.length + 1}\n`;
      throw new RestoreError(OTHER_PROBLEM, this.#o.file ?? '-', lines.length + 1, 'COMMIT expected', stderr);
    }
  }

  #line(line: string, number: number): void {
    if (line === '' || line.startsWith('#')) return;
    if (line === 'COMMIT' && (this.#table !== undefined || this.#skip)) {
      if (!this.#skip) this.#session.commit(this.#o.test);
      this.#table = undefined;
      this.#skip = false;
      return;
    }
    if (line.startsWith('*') && this.#table === undefined && !this.#skip) {
      this.#startTable(line.slice(1).trim().split(/[ \t]/)[0], number);
      return;
    }
    if (this.#skip) return;
    if (this.#table === undefined) {
      const stderr = `${this.#program}: line ${number} failed\n`;
      throw new RestoreError(OTHER_PROBLEM, this.#o.file ?? '-', number, 'no table yet: "*TABLE" expected', stderr);
    }
    if (line.startsWith(':')) this.#chainLine(this.#table, line.slice(1), number, line);
    else this.#ruleLine(this.#table, line, number);
  }

  #startTable(name: string, number: number): void {
    if (builtIn(name) === undefined) throw problem(`${this.#program}: line ${number} table name '${name}' invalid`);
    if (this.#o.table !== undefined && this.#o.table !== name) {
      this.#skip = true;
      return;
    }
    this.#table = name;
    if (this.#o.noflush) return;
    if (this.#o.verbose && this.#session.table(name).exists) {
      const chains = shownChains(this.#session, name);
      const users = chains.filter((chain) => chain.base === undefined);
      for (const chain of chains) this.stdout += `Flushing chain \`${chain.name}'\n`;
      for (const chain of users) this.stdout += `Deleting chain \`${chain.name}'\n`;
    }
    this.#session.deleteTable(name);
  }

  #chainLine(table: string, text: string, number: number, whole: string): void {
    const [name, policy, counters] = text.trim().split(/[ \t]+/);
    if (name === undefined || name === '') throw problem(`${this.#program}: line ${number} chain name invalid`);
    if (name.length > 28) throw problem(`Invalid chain name \`${name}' (28 chars max)`);
    if (policy === undefined) throw problem(`${this.#program}: line ${number} policy invalid`);
    const origin = { line: number, text: whole };
    const base = builtIn(table)?.some((spec) => spec.name === name);
    if (base) {
      if (policy === '-') {
        this.#session.ensureBase(table, name, origin);
        return;
      }
      if (policy !== 'ACCEPT' && policy !== 'DROP') throw new IptablesError(OTHER_PROBLEM, 'Bad policy name.', true);
      const counts = this.#o.counters ? /^\[(\d+):(\d+)\]$/.exec(counters ?? '') : null;
      if (this.#o.counters && counters !== undefined && counts === null)
        throw problem(`invalid policy counters for chain '${name}'`);
      const [packets, bytes] = counts === null ? [0n, 0n] : [BigInt(counts[1]), BigInt(counts[2])];
      this.#session.setPolicy(table, name, policy === 'DROP' ? 0 : 1, packets, bytes, origin);
      return;
    }
    const chain = this.#session.chain(table, name);
    if (chain === undefined) this.#session.addUserChain(table, name, origin);
    else this.#session.flush(table, chain, origin);
  }

  #ruleLine(table: string, line: string, number: number): void {
    const m = /^\[(\d+):(\d+)\](.*)$/.exec(line);
    const rest = m === null ? line.replace(/^\[[^\]]*\]/, '') : m[3];
    const argv = words(rest);
    if (m !== null && this.#o.counters) argv.push('-c', m[1], m[2]);
    const cmd = parseArgs(argv, { ...this.#parse, table });
    if (cmd === undefined) return;
    if (this.#o.verbose) cmd.verbose ||= 1;
    this.stdout += runCommand(this.#session, cmd, { line: number, text: line });
  }

  get rules(): LoadedRule[] {
    return this.#session.loaded.map(({ table, chain, handle, origin }) => ({
      family: this.#family === 4 ? 'ip' : 'ip6',
      table,
      chain,
      handle,
      file: this.#o.file ?? '-',
      line: origin.line,
      text: origin.text,
    }));
  }
}

/** Loads the text of an iptables-save file. Throws RestoreError; tables before the failing one stay loaded, as on Linux. */
export function restoreScript(text: string, options: RestoreOptions): RestoreResult {
  const restore = new Restore(options);
  restore.run(text);
  return { rules: restore.rules, stdout: restore.stdout, stderr: restore.stderr };
}

/** `iptables-restore` or `ip6tables-restore` of a face. */
export function makeRestore(
  program: 'iptables-restore' | 'ip6tables-restore',
  family: 4 | 6,
  face: Face = DEFAULT_FACE,
): Tool {
  return (argv, io): ToolResult => {
    let file: string | undefined;
    const options: { noflush?: boolean; verbose?: boolean; counters?: boolean; test?: boolean; table?: string } = {};
    for (let i = 0; i < argv.length; i++) {
      const arg = argv[i];
      if (arg === '-n' || arg === '--noflush') options.noflush = true;
      else if (arg === '-c' || arg === '--counters') options.counters = true;
      else if (arg === '-t' || arg === '--test') options.test = true;
      else if (arg === '-T' || arg === '--table') options.table = argv[++i];
      else if (arg.startsWith('--table=')) options.table = arg.slice(8);
      else if (arg === '-v' || arg === '--verbose') options.verbose = true;
      else if (arg === '-w' || arg === '--wait' || arg === '-W' || arg === '--wait-interval') {
        if (/^\d+$/.test(argv[i + 1] ?? '')) i++;
      } else if (arg === '-M' || arg === '--modprobe') i++;
      else if (arg === '-V' || arg === '--version')
        return { code: 0, stdout: `${program} ${face.version}\n`, stderr: '' };
      else if (arg.startsWith('-') && arg !== '-') {
        return { code: 1, stdout: '', stderr: `Try \`${program} -h' for more information.\n` };
      } else if (file !== undefined) return { code: 1, stdout: '', stderr: 'Unknown arguments found on commandline\n' };
      else file = arg;
    }
    let text = io.stdin ?? '';
    if (file !== undefined && file !== '-') {
      try {
        if (io.readFile === undefined) throw new Error('no files');
        text = io.readFile(file);
      } catch {
        return { code: 1, stdout: '', stderr: `Can't open ${file}: No such file or directory\n` };
      }
    }
    try {
      const { stdout, stderr } = restoreScript(text, {
        ...options,
        family,
        io,
        face,
        handles: false,
        ...(file !== undefined && { file }),
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      if (!(error instanceof RestoreError)) throw error;
      return { code: error.code, stdout: '', stderr: error.stderr };
    }
  };
}

export const iptablesRestore: Tool = makeRestore('iptables-restore', 4);
export const ip6tablesRestore: Tool = makeRestore('ip6tables-restore', 6);
