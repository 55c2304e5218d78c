/**
 * Runs what `shell-parse.ts` read: expands words, keeps variables and functions, and hands every command of a tool to
 * `run`, with its arguments, standard input and line. It starts no program and touches no file: output goes nowhere, except
 * into /proc/sys, which `run` sees as `sysctl -w`.
 */
import { BadInput } from './problem.ts';
import { type Node, type Part, parseShell, type Redirect, type Simple, type Word } from './shell-parse.ts';

export type Command = {
  /** The tool's name without folder, then its arguments. */
  readonly argv: readonly string[];
  readonly stdin?: string;
  /** Line of the script. */
  readonly line: number;
};

export type ShellHost = {
  /** Runs a tool; undefined when there is none of that name. */
  run(command: Command): { readonly code: number; readonly stdout: string } | undefined;
  readFile?(path: string): string;
  /** Names below /proc/sys that a pattern like `/proc/sys/net/ipv4/conf/*` + `/rp_filter` matches. */
  glob?(pattern: string): string[];
};

/** Something the reader passed over, so that it can be said. */
export type Skipped = { readonly line: number; readonly what: string };

const QUIET = [
  ':',
  'true',
  'echo',
  'printf',
  'set',
  'export',
  'readonly',
  'local',
  'unset',
  'sleep',
  'modprobe',
  'shift',
  'logger',
  'umask',
];
/** Endless recursion ends here, as a shell's would at its stack. */
const MAX_DEPTH = 200;
const MAX_COMMANDS = 1_000_000;

class Leave extends Error {
  readonly how: 'exit' | 'return' | 'break' | 'continue';
  readonly code: number;
  constructor(how: Leave['how'], code: number) {
    super(how);
    this.how = how;
    this.code = code;
  }
}

/** Runs a script with `args` as `$1`...; returns what was passed over. Throws BadInput with the place. */
export function runShell(text: string, file: string, host: ShellHost, args: readonly string[] = []): Skipped[] {
  const shell = new Shell(file, text, host, args);
  shell.script(parseShell(text, file));
  return shell.skipped;
}

class Shell {
  readonly skipped: Skipped[] = [];
  readonly #file: string;
  readonly #lines: string[];
  readonly #host: ShellHost;
  readonly #vars = new Map<string, string>();
  readonly #functions = new Map<string, Node>();
  #args: readonly string[];
  #status = 0;
  #depth = 0;
  #count = 0;
  #errexit = false;

  constructor(file: string, text: string, host: ShellHost, args: readonly string[]) {
    this.#file = file;
    this.#lines = text.split('\n');
    this.#host = host;
    this.#args = args;
  }

  script(node: Node): void {
    try {
      this.#run(node);
    } catch (error) {
      if (!(error instanceof Leave)) throw error;
    }
  }

  #fail(message: string, line: number, column?: number): never {
    throw new BadInput(message, {
      file: this.#file,
      line,
      source: this.#lines[line - 1] ?? '',
      ...(column !== undefined && { column }),
    });
  }

  #run(node: Node): number {
    switch (node.kind) {
      case 'list':
        for (const each of node.body) {
          this.#status = this.#run(each);
          if (this.#errexit && this.#status !== 0 && each.kind === 'simple') throw new Leave('exit', this.#status);
        }
        return this.#status;
      case 'and':
      case 'or': {
        const left = this.#run(node.left);
        return (left === 0) === (node.kind === 'and') ? this.#run(node.right) : left;
      }
      case 'not':
        return this.#run(node.body) === 0 ? 1 : 0;
      case 'for':
        return this.#for(node);
      case 'if': {
        for (const { test, body } of node.branches) if (this.#run(test) === 0) return this.#run(body);
        return node.otherwise === undefined ? 0 : this.#run(node.otherwise);
      }
      case 'case': {
        const value = this.#join(node.word);
        const item = node.items.find(({ patterns }) => patterns.some((p) => globRegExp(this.#join(p)).test(value)));
        return item === undefined ? 0 : this.#run(item.body);
      }
      case 'function':
        this.#functions.set(node.name, node.body);
        return 0;
      case 'pipe':
        return this.#pipe(node);
      default:
        return this.#simple(node, undefined);
    }
  }

  #for(node: Extract<Node, { kind: 'for' }>): number {
    const values = node.words === undefined ? [...this.#args] : node.words.flatMap((word) => this.#fields(word));
    let status = 0;
    for (const value of values) {
      this.#vars.set(node.name, value);
      try {
        status = this.#run(node.body);
      } catch (error) {
        if (!(error instanceof Leave) || (error.how !== 'break' && error.how !== 'continue')) throw error;
        if (error.how === 'break') break;
      }
    }
    return status;
  }

  /** The one pipe that needs no second process: text, written by echo, printf or cat, into a tool's standard input. */
  #pipe(node: Extract<Node, { kind: 'pipe' }>): number {
    const [from, to] = node.commands;
    if (node.commands.length === 2 && from.kind === 'simple' && to.kind === 'simple' && from.words.length > 0) {
      const words = from.words.flatMap((word) => this.#fields(word));
      const text = this.#output(words, from);
      if (text !== undefined) return this.#simple(to, text);
    }
    return this.#fail('netloom does not support pipes in scripts', node.line);
  }

  /** What echo, printf or cat would print. */
  #output(words: readonly string[], node: Simple): string | undefined {
    const [name, ...args] = words;
    if (name === 'echo') {
      const plain = args.filter((a, i) => !(i === 0 && /^-[en]+$/.test(a))).join(' ');
      const escaped = args[0]?.includes('e') && args[0].startsWith('-') ? plain.replaceAll('\\n', '\n') : plain;
      return `${escaped}\n`;
    }
    if (name === 'printf') {
      let i = 1;
      return (args[0] ?? '').replaceAll('\\n', '\n').replace(/%[sd]/g, () => args[i++] ?? '');
    }
    if (name !== 'cat') return undefined;
    const here = node.redirects.find((r) => r.op.startsWith('<<'));
    if (here !== undefined) return this.#join(here.target);
    return args.map((path) => this.#read(path, node.line)).join('');
  }

  #read(path: string, line: number): string {
    try {
      if (this.#host.readFile !== undefined) return this.#host.readFile(path);
    } catch (error) {
      this.#fail(`${path}: ${(error as Error).message}`, line);
    }
    return this.#fail(`${path}: scripts cannot read files here`, line);
  }

  #simple(node: Simple, stdin: string | undefined): number {
    if (++this.#count > MAX_COMMANDS) this.#fail(`more than ${MAX_COMMANDS} commands`, node.line);
    for (const { name, value } of node.assignments) this.#vars.set(name, this.#join(value));
    let words = node.words.flatMap((word) => this.#fields(word));
    while (words[0] === 'sudo' || words[0] === 'command' || words[0] === 'exec') words = words.slice(1);
    if (words.length === 0) return this.#status === 0 ? 0 : 0;
    const name = words[0].replace(/^.*\//, '');
    const args = words.slice(1);
    const body = this.#functions.get(name);
    if (body !== undefined) return this.#call(body, args, node.line);
    const written = this.#sysctl(name, words, node);
    if (written !== undefined) return written;
    const own = this.#builtin(name, args, node);
    if (own !== undefined) return own;
    const input = stdin ?? this.#input(node.redirects, node.line);
    const result = this.#host.run({
      argv: [name, ...args],
      line: node.line,
      ...(input !== undefined && { stdin: input }),
    });
    if (result !== undefined) return result.code;
    this.skipped.push({ line: node.line, what: name });
    return 0;
  }

  #input(redirects: readonly Redirect[], line: number): string | undefined {
    const from = redirects.find((r) => r.op === '<' || r.op.startsWith('<<'));
    if (from === undefined) return undefined;
    const text = this.#join(from.target);
    if (from.op === '<<<') return `${text}\n`;
    return from.op === '<' ? this.#read(text, line) : text;
  }

  #call(body: Node, args: readonly string[], line: number): number {
    if (this.#depth++ >= MAX_DEPTH) this.#fail('functions call each other without end', line);
    const before = this.#args;
    this.#args = args;
    try {
      return this.#run(body);
    } catch (error) {
      if (error instanceof Leave && error.how === 'return') return error.code;
      throw error;
    } finally {
      this.#args = before;
      this.#depth--;
    }
  }

  /** `echo 1 > /proc/sys/net/ipv4/ip_forward`, in scripts as common as `sysctl -w`. */
  #sysctl(name: string, words: readonly string[], node: Simple): number | undefined {
    const to = node.redirects.find((r) => r.op.startsWith('>'));
    if (to === undefined) return undefined;
    const path = this.#join(to.target);
    if (!path.startsWith('/proc/sys/')) return undefined;
    const value = this.#output(words, node)?.trim();
    if (value === undefined) return this.#fail(`netloom does not support ${name} into ${path}`, node.line);
    let code = 0;
    for (const each of path.includes('*') ? (this.#host.glob?.(path) ?? []) : [path]) {
      const key = each.slice('/proc/sys/'.length).replaceAll('.', '\0').replaceAll('/', '.').replaceAll('\0', '/');
      code = this.#host.run({ argv: ['sysctl', '-w', `${key}=${value}`], line: node.line })?.code ?? 1;
    }
    return code;
  }

  #builtin(name: string, args: readonly string[], node: Simple): number | undefined {
    switch (name) {
      case 'exit':
      case 'return':
        throw new Leave(name, Number(args[0] ?? this.#status));
      case 'break':
      case 'continue':
        throw new Leave(name, 0);
      case 'false':
        return 1;
      case '[':
      case 'test':
      case '[[':
        return this.#test(name === 'test' ? args : args.slice(0, -1), node.line) ? 0 : 1;
      case '.':
      case 'source':
        return this.#run(parseShell(this.#read(args[0] ?? '', node.line), args[0]));
      case 'set':
        if (args.some((a) => /^-[a-z]*e/.test(a))) this.#errexit = true;
        return 0;
      case 'export':
      case 'readonly':
      case 'local':
        for (const arg of args) {
          const m = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(arg);
          if (m !== null) this.#vars.set(m[1], m[2]);
        }
        return 0;
      case 'unset':
        for (const arg of args) this.#vars.delete(arg);
        return 0;
      case 'shift':
        this.#args = this.#args.slice(Number(args[0] ?? 1));
        return 0;
      default:
        return QUIET.includes(name) ? 0 : undefined;
    }
  }

  #test(args: readonly string[], line: number): boolean {
    const or = args.indexOf('-o');
    if (or > 0) return this.#test(args.slice(0, or), line) || this.#test(args.slice(or + 1), line);
    const and = args.indexOf('-a');
    if (and > 0) return this.#test(args.slice(0, and), line) && this.#test(args.slice(and + 1), line);
    if (args[0] === '!') return !this.#test(args.slice(1), line);
    if (args.length <= 1) return (args[0] ?? '') !== '';
    const [a, b, c] = args;
    if (args.length === 2) {
      if (a === '-n') return b !== '';
      if (a === '-z') return b === '';
      if (a === '-e' || a === '-f' || a === '-r' || a === '-s') return this.#exists(b);
      if (a === '-x') return true; // the tools are there
      if (a === '-d') return b.startsWith('/proc/sys');
    }
    const comparisons: Readonly<Record<string, (x: number, y: number) => boolean>> = {
      '-eq': (x, y) => x === y,
      '-ne': (x, y) => x !== y,
      '-lt': (x, y) => x < y,
      '-le': (x, y) => x <= y,
      '-gt': (x, y) => x > y,
      '-ge': (x, y) => x >= y,
    };
    if (args.length === 3) {
      if (b === '=' || b === '==') return a === c;
      if (b === '!=') return a !== c;
      if (b in comparisons) return comparisons[b](Number(a), Number(c));
    }
    return this.#fail(`netloom does not support the test [ ${args.join(' ')} ]`, line);
  }

  #exists(path: string): boolean {
    if (path.startsWith('/proc/sys/')) return true;
    try {
      this.#host.readFile?.(path);
      return this.#host.readFile !== undefined;
    } catch {
      return false;
    }
  }

  /** A word as one string, without splitting. */
  #join(word: Word): string {
    return word.parts.map((part) => this.#part(part, word)).join('');
  }

  #part(part: Part, word: Word): string {
    if (part.kind === 'text') return part.text;
    if (part.kind === 'command') return this.#substitute(part, word);
    const value = this.#parameter(part.name);
    if (part.length) return `${(value ?? '').length}`;
    if (part.op === undefined || part.operand === undefined) return value ?? '';
    const missing = value === undefined || (part.op.startsWith(':') && value === '');
    const op = part.op.replace(':', '');
    if (op === '+') return missing ? '' : this.#join(part.operand);
    if (op === '%' || op === '%%' || op === '#' || op === '##') return cut(value ?? '', op, this.#join(part.operand));
    if (!missing) return value;
    const other = this.#join(part.operand);
    if (op === '?') this.#fail(`${part.name}: ${other || 'parameter not set'}`, word.line, word.column);
    if (op === '=') this.#vars.set(part.name, other);
    return other;
  }

  #parameter(name: string): string | undefined {
    if (name === '@' || name === '*') return this.#args.join(' ');
    if (name === '#') return `${this.#args.length}`;
    if (name === '?') return `${this.#status}`;
    if (name === '0') return this.#file;
    if (/^\d$/.test(name)) return this.#args[Number(name) - 1];
    return this.#vars.get(name);
  }

  /** `$(which iptables)` and the like name a tool; `$(echo ...)` and `$(cat FILE)` are text. Others are refused. */
  #substitute(part: Extract<Part, { kind: 'command' }>, word: Word): string {
    const text = part.text.trim();
    const tool = /^(?:which|command -v|type -p)\s+(\S+)(?:\s+2>.*)?$/.exec(text);
    if (tool !== null) return tool[1];
    const node = parseShell(text, this.#file);
    const only = node.kind === 'list' && node.body.length === 1 ? node.body[0] : node;
    if (only.kind === 'simple') {
      const words = only.words.flatMap((each) => this.#fields(each));
      const output = this.#output(words, { ...only, line: part.line });
      if (output !== undefined) return output.replace(/\n+$/, '');
    }
    return this.#fail(`netloom does not support the command substitution $(${text})`, part.line, word.column);
  }

  /** A word as the fields that splitting makes of it. */
  #fields(word: Word): string[] {
    const out: string[] = [];
    let field: string | undefined;
    for (const part of word.parts) {
      if (part.kind === 'param' && part.quoted && part.name === '@') {
        const [first, ...rest] = this.#args;
        if (first === undefined) continue;
        field = (field ?? '') + first;
        for (const each of rest) {
          out.push(field);
          field = each;
        }
        continue;
      }
      const text = this.#part(part, word);
      if (part.kind === 'text' || part.quoted) {
        if (part.kind !== 'text' || part.quoted) field = (field ?? '') + text;
        else for (const each of braces((field ?? '') + text, out)) field = each;
        continue;
      }
      const pieces = text.split(/[ \t\n]+/);
      pieces.forEach((piece, i) => {
        if (i > 0) {
          if (field !== undefined && field !== '') out.push(field);
          field = undefined;
        }
        if (piece !== '') field = (field ?? '') + piece;
      });
    }
    if (field !== undefined) out.push(field);
    const globbed = out.flatMap((f) => (/^\/proc\/sys\/.*\*/.test(f) ? (this.#host.glob?.(f) ?? [f]) : [f]));
    return globbed;
  }
}

/** `{a,b}` of unquoted text; all but the last go to `out`. */
function braces(text: string, out: string[]): string[] {
  const m = /^(.*?)\{([^{}\s]*,[^{}\s]*)\}(.*)$/.exec(text);
  if (m === null) return [text];
  const all = m[2].split(',').map((each) => m[1] + each + m[3]);
  out.push(...all.slice(0, -1));
  return all.slice(-1);
}

function globRegExp(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[\\s\\S]*')
    .replaceAll('?', '[\\s\\S]');
  return new RegExp(`^${source}$`);
}

/** `${x%pattern}` and its kin. */
function cut(value: string, op: string, pattern: string): string {
  const test = globRegExp(pattern);
  const lengths = Array.from({ length: value.length + 1 }, (_, i) => i);
  if (op === '##' || op === '%%') lengths.reverse();
  for (const n of lengths) {
    const front = op.startsWith('#');
    const piece = front ? value.slice(0, n) : value.slice(value.length - n);
    if (test.test(piece)) return front ? value.slice(n) : value.slice(0, value.length - n);
  }
  return value;
}
