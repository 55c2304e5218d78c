/**
 * The `sysctl` tool of procps: reads and writes the kernel's variables through the files below /proc/sys. See sysctl(8).
 *
 *     sysctl(['-w', 'net.ipv4.ip_forward=1'], io) // { code: 0, stdout: 'net.ipv4.ip_forward = 1\n', stderr: '' }
 */
import { strerror } from '../../core/errno.ts';
import type { SysctlTransport, ToolIo, ToolResult } from '../io.ts';

const USAGE = 'Usage: sysctl [-a] [-e] [-n] [-N] [-q] [-b] [-w] [-r PATTERN] [-p [FILE]] [NAME[=VALUE] ...]\n';

type Options = {
  all: boolean;
  ignore: boolean;
  values: boolean;
  names: boolean;
  quiet: boolean;
  binary: boolean;
  write: boolean;
  dryRun: boolean;
  pattern: RegExp | undefined;
  files: string[] | undefined;
};

class Run {
  stdout = '';
  stderr = '';
  code = 0;
  readonly #options: Options;
  readonly #transport: SysctlTransport;

  constructor(options: Options, transport: SysctlTransport) {
    this.#options = options;
    this.#transport = transport;
  }

  complain(text: string): void {
    this.stderr += `sysctl: ${text}\n`;
    this.code = 1;
  }

  #print(name: string, value: string): void {
    const o = this.#options;
    if (o.pattern !== undefined && !o.pattern.test(name)) return;
    if (o.names) this.stdout += `${name}\n`;
    else if (o.binary) this.stdout += value;
    else if (o.values) this.stdout += `${value}\n`;
    else this.stdout += `${name} = ${value}\n`;
  }

  /** Shows one variable, or all below a name. */
  read(text: string): void {
    const name = dotted(text);
    const value = this.#transport.read(name);
    if (value !== undefined) {
      this.#print(name, value);
      return;
    }
    const below = this.#transport.names().filter((n) => n.startsWith(`${name}.`));
    for (const n of below) this.#print(n, this.#transport.read(n) ?? '');
    if (below.length === 0) this.#missing(name);
  }

  #missing(name: string): void {
    if (this.#options.ignore) return;
    this.complain(`cannot stat /proc/sys/${path(name)}: No such file or directory`);
  }

  readAll(): void {
    for (const name of this.#transport.names()) this.#print(name, this.#transport.read(name) ?? '');
  }

  /** Sets one variable; `quiet` failures are those of lines that begin with "-". */
  set(text: string, value: string, forgiving = false): void {
    const name = dotted(text);
    if (this.#transport.read(name) === undefined) {
      this.#missing(name);
      return;
    }
    const errno = this.#options.dryRun ? 0 : this.#transport.write(name, value);
    if (errno !== 0) {
      this.stderr += `sysctl: setting key "${name}"${forgiving ? ', ignoring' : ''}: ${strerror(errno)}\n`;
      if (!forgiving) this.code = 1;
      return;
    }
    if (!this.#options.quiet) this.#print(name, value);
  }

  /** Sets everything a file asks for. */
  load(file: string, text: string): void {
    const wrong: string[] = [];
    text.split('\n').forEach((raw, i) => {
      const line = raw.trim();
      if (line === '' || line.startsWith('#') || line.startsWith(';')) return;
      const forgiving = line.startsWith('-');
      const body = forgiving ? line.slice(1) : line;
      const at = body.indexOf('=');
      if (at < 0) {
        wrong.push(`${file}(${i + 1}): invalid syntax, continuing...`);
        return;
      }
      this.set(body.slice(0, at).trim(), body.slice(at + 1).trim(), forgiving);
    });
    for (const w of wrong) this.stderr += `sysctl: ${w}\n`;
  }
}

// Either separator may be used; the first one met decides, and the other then stands for itself in a device's name.
function dotted(text: string): string {
  const first = /[./]/.exec(text)?.[0];
  if (first !== '/') return text;
  return text.replace(/[./]/g, (c) => (c === '/' ? '.' : '/'));
}

function path(name: string): string {
  return name.replace(/[./]/g, (c) => (c === '.' ? '/' : '.'));
}

const LONG: Readonly<Record<string, string>> = {
  '--all': '-a',
  '--ignore': '-e',
  '--values': '-n',
  '--names': '-N',
  '--quiet': '-q',
  '--binary': '-b',
  '--write': '-w',
  '--pattern': '-r',
  '--load': '-p',
  '--dry-run': '-D',
};

function parse(argv: readonly string[]): { options: Options; words: string[] } | ToolResult {
  const o: Options = {
    all: false,
    ignore: false,
    values: false,
    names: false,
    quiet: false,
    binary: false,
    write: false,
    dryRun: false,
    pattern: undefined,
    files: undefined,
  };
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i];
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg);
      continue;
    }
    const [long, inline] = arg.split(/=(.*)/s);
    const letters = arg.startsWith('--') ? LONG[long] : arg;
    if (letters === undefined) return { code: 1, stdout: '', stderr: `sysctl: unrecognized option '${arg}'\n${USAGE}` };
    for (const letter of letters.slice(1)) {
      if (letter === 'a' || letter === 'A' || letter === 'X') o.all = true;
      else if (letter === 'e') o.ignore = true;
      else if (letter === 'n') o.values = true;
      else if (letter === 'N') o.names = true;
      else if (letter === 'q') o.quiet = true;
      else if (letter === 'b') o.binary = true;
      else if (letter === 'w') o.write = true;
      else if (letter === 'D') o.dryRun = true;
      else if (letter === 'p' || letter === 'f') o.files = inline === undefined ? [] : [inline];
      else if (letter === 'r') {
        const text = inline ?? argv[++i] ?? '';
        try {
          o.pattern = new RegExp(text);
        } catch {
          return { code: 1, stdout: '', stderr: `sysctl: invalid regular expression "${text}"\n` };
        }
      } else if (letter !== 'o' && letter !== 'x')
        return { code: 1, stdout: '', stderr: `sysctl: invalid option -- '${letter}'\n${USAGE}` };
    }
  }
  return { options: o, words };
}

/** Runs the `sysctl` tool. */
export function sysctl(argv: readonly string[], io: ToolIo): ToolResult {
  const parsed = parse(argv);
  if ('code' in parsed) return parsed;
  const { options, words } = parsed;
  if (io.sysctl === undefined) return { code: 1, stdout: '', stderr: 'sysctl: this host has no /proc/sys\n' };
  const run = new Run(options, io.sysctl);
  if (options.files !== undefined) {
    const files = [...options.files, ...words];
    for (const file of files.length > 0 ? files : ['/etc/sysctl.conf']) {
      try {
        run.load(file, file === '-' ? (io.stdin ?? '') : readOrThrow(io, file));
      } catch {
        run.complain(`cannot open "${file}": No such file or directory`);
      }
    }
  } else if (options.all) run.readAll();
  else if (words.length === 0) return { code: 1, stdout: '', stderr: USAGE };
  for (const word of options.files === undefined && !options.all ? words : []) {
    const at = word.indexOf('=');
    if (at > 0) run.set(word.slice(0, at).trim(), word.slice(at + 1).trim());
    else if (options.write) run.complain('command line(0): invalid syntax, continuing...');
    else run.read(word.trim());
  }
  return { code: run.code, stdout: run.stdout, stderr: run.stderr };
}

function readOrThrow(io: ToolIo, file: string): string {
  if (io.readFile === undefined) throw new Error('no file reader');
  return io.readFile(file);
}
