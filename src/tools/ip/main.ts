/**
 * The `ip` tool of iproute2: options, objects, batches. Output and error texts are those of iproute2 6.1.
 *
 *     ip(['-br', 'addr'], { netlink }) // { code: 0, stdout: 'lo  UNKNOWN  127.0.0.1/8 ::1/128 \n', stderr: '' }
 */
import { strerror } from '../../core/errno.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { NetlinkError } from '../netlink-client.ts';
import { ipAddr } from './addr.ts';
import { type Command, Context, IpError, type IpOptions, matchWord } from './context.ts';
import { ipLink } from './link.ts';
import { ipNeigh } from './neigh.ts';
import { ipRoute } from './route.ts';
import { ipRule } from './rule.ts';

// The order decides what an abbreviation stands for.
const OBJECTS: readonly (readonly [string, Command])[] = [
  ['address', ipAddr],
  ['route', ipRoute],
  ['rule', ipRule],
  ['link', ipLink],
  ['neighbor', ipNeigh],
  ['neighbour', ipNeigh],
];
const OTHERS = [
  'addrlabel',
  'maddress',
  'ntable',
  'ntbl',
  'tunnel',
  'tunl',
  'tuntap',
  'tap',
  'token',
  'tcpmetrics',
  'tcp_metrics',
  'monitor',
  'xfrm',
  'mroute',
  'mrule',
  'netns',
  'netconf',
  'vrf',
  'sr',
  'nexthop',
  'mptcp',
  'ioam',
  'stats',
  'fou',
  'ila',
  'macsec',
  'l2tp',
  'amt',
];
const USAGE = `Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
OBJECT  := { address | link | neighbour | route | rule }
OPTIONS := { -4 | -6 | -j[son] | -p[retty] | -br[ief] | -d[etails] | -o[neline] | -s[tatistics] | -b[atch] FILE | -force }
`;

type Parsed = { options: IpOptions; batch: string | undefined; rest: readonly string[] };

function parseOptions(argv: readonly string[]): Parsed | string {
  const options: IpOptions = {
    family: 0,
    json: false,
    pretty: false,
    brief: false,
    details: 0,
    stats: 0,
    oneline: false,
    numeric: false,
    force: false,
  };
  let batch: string | undefined;
  let i = 0;
  for (; i < argv.length && argv[i].startsWith('-') && argv[i] !== '-'; i++) {
    const word = argv[i].replace(/^--?/, '');
    // "s" is statistics, "d" details: the shortest unambiguous form as iproute2 reads it.
    const options_: readonly (readonly [string, () => void])[] = [
      ['loops', () => i++],
      ['family', () => setFamily(options, argv[++i] ?? '')],
      ['4', () => setFamily(options, 'inet')],
      ['6', () => setFamily(options, 'inet6')],
      ['0', () => setFamily(options, 'link')],
      ['stats', () => options.stats++],
      ['statistics', () => options.stats++],
      ['details', () => options.details++],
      ['resolve', () => undefined],
      ['oneline', () => setOneline(options)],
      ['force', () => setForce(options)],
      [
        'batch',
        () => {
          batch = argv[++i] ?? '-';
        },
      ],
      ['brief', () => setBrief(options)],
      ['rcvbuf', () => i++],
      ['color', () => undefined],
      [
        'help',
        () => {
          throw new IpError(USAGE, 255);
        },
      ],
      ['json', () => setJson(options)],
      ['Numeric', () => setNumeric(options)],
      ['pretty', () => setPretty(options)],
    ];
    if (word === 'V' || word === 'Version') return 'version';
    const found =
      options_.find(([name]) => name === word) ?? options_.find(([name]) => name.startsWith(word.split('=')[0]));
    if (found === undefined || word === '') throw new IpError(`Option "${argv[i]}" is unknown, try "ip -help".\n`, 255);
    found[1]();
  }
  return { options, batch, rest: argv.slice(i) };
}

function setFamily(options: IpOptions, name: string): void {
  const family = { inet: 2, inet6: 10, link: 0, any: 0 }[name];
  if (family === undefined) throw new IpError(`Error: argument "${name}" is wrong: invalid protocol family\n\n`, 255);
  options.family = family;
}
function setOneline(options: IpOptions): void {
  options.oneline = true;
}
function setForce(options: IpOptions): void {
  options.force = true;
}
function setBrief(options: IpOptions): void {
  options.brief = true;
}
function setJson(options: IpOptions): void {
  options.json = true;
}
function setPretty(options: IpOptions): void {
  options.pretty = true;
}
function setNumeric(options: IpOptions): void {
  options.numeric = true;
}

/** Runs one object's command in a context; the error text goes to `ctx.stderr`. Returns the exit code. */
function runLine(ctx: Context, argv: readonly string[]): number {
  try {
    const name = matchWord(argv[0], [...OBJECTS.map(([n]) => n), ...OTHERS]);
    const object = OBJECTS.find(([n]) => n === name)?.[1];
    if (object === undefined) {
      if (argv[0] === 'help') throw new IpError(USAGE, 255);
      if (name !== undefined) throw new IpError(`netloom does not support "ip ${name}".\n`, 255);
      throw new IpError(`Object "${argv[0]}" is unknown, try "ip help".\n`, 1);
    }
    object(ctx, argv.slice(1));
    return 0;
  } catch (error) {
    if (error instanceof IpError) {
      ctx.stderr += error.message;
      return error.code;
    }
    if (error instanceof NetlinkError) {
      ctx.stderr +=
        error.extack !== undefined && error.extack !== ''
          ? `Error: ${error.extack}${error.extack.endsWith('.') ? '' : '.'}\n`
          : `RTNETLINK answers: ${strerror(error.errno)}\n`;
      if (error.dump) ctx.stderr += 'Dump terminated\n';
      return 2;
    }
    throw error;
  }
}

/** Runs the `ip` tool. */
export function ip(argv: readonly string[], io: ToolIo): ToolResult {
  let parsed: Parsed | string;
  try {
    parsed = parseOptions(argv);
  } catch (error) {
    if (error instanceof IpError) return { code: error.code, stdout: '', stderr: error.message };
    throw error;
  }
  if (typeof parsed === 'string') return { code: 0, stdout: 'ip utility, netloom\n', stderr: '' };
  const { options, batch, rest } = parsed;
  if (batch !== undefined) return runBatch(batch, options, io);
  if (rest.length === 0) return { code: 255, stdout: '', stderr: USAGE };
  const ctx = new Context(options, io);
  const code = runLine(ctx, rest);
  // JSON is written as a whole: nothing of it when the command failed before it printed.
  const stdout =
    code !== 0 && options.json ? '' : printsJson(rest) || !options.json ? ctx.out.finish(options.pretty) : '';
  return { code, stdout, stderr: ctx.stderr };
}

// Only commands that show something print a JSON array.
function printsJson(rest: readonly string[]): boolean {
  const command = rest[1] ?? 'show';
  return ['show', 'list', 'lst', 'get'].some((word) => word.startsWith(command));
}

function runBatch(path: string, options: IpOptions, io: ToolIo): ToolResult {
  let text: string;
  try {
    text = path === '-' ? (io.stdin ?? '') : (io.readFile?.(path) ?? missingReader());
  } catch {
    return { code: 1, stdout: '', stderr: `Cannot open file "${path}" for reading: No such file or directory\n` };
  }
  const ctx = new Context(options, io);
  let stdout = '';
  let stderr = '';
  let code = 0;
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    let line = lines[i];
    while (line.endsWith('\\') && i + 1 < lines.length) line = line.slice(0, -1) + lines[++i];
    const words = splitWords(line);
    if (words.length === 0) continue;
    const one = options.json ? new Context(options, io) : ctx;
    one.stderr = '';
    one.out.text = '';
    const result = runLine(one, words);
    stdout += options.json && (result !== 0 || !printsJson(words)) ? '' : one.out.finish(options.pretty);
    stderr += one.stderr;
    if (result !== 0) {
      stderr += `Command failed ${path}:${i + 1}\n`;
      code = 1;
      if (!options.force) return { code, stdout, stderr };
    }
  }
  return { code, stdout, stderr };
}

function missingReader(): never {
  throw new Error('no file reader');
}

/** Words of a batch line: quotes hold blanks, "#" begins a comment. */
function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const m of line.matchAll(/"([^"]*)"|'([^']*)'|(#.*)|(\S+)/g)) {
    if (m[3] !== undefined) break;
    words.push(m[1] ?? m[2] ?? m[4]);
  }
  return words;
}
