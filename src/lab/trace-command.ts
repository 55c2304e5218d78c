/**
 * `netloom trace` as a function: a tracing program over the hosts of a lab, from before it starts.
 *
 *     netloom trace PROGRAM LAB.yml [--on HOST] [--for SECONDS] [--seed N] [NODE -- COMMAND...]
 *     netloom trace -l
 *
 * Exit codes: 0, that of the command if there is one, 2 bad input.
 */
import { TRACE_POINTS, type TypeRef } from '../bpf/btf-types/index.ts';
import { TraceError } from '../bpf/trace/index.ts';
import { KernelError } from '../core/errno.ts';
import { LIVE_POINTS } from '../netns/trace-points.ts';
import { startTrace } from '../netns/trace-session.ts';
import { guarded, type LabIo, open, Usage } from './commands.ts';

const USAGE =
  'usage: netloom trace PROGRAM|-f FILE LAB.yml [--on HOST] [--for SECONDS] [--seed N] [NODE -- COMMAND...]\n       netloom trace -l\n';

type Args = {
  readonly text: string;
  readonly lab: string;
  readonly node: string | undefined;
  readonly command: readonly string[];
  readonly on: string;
  readonly seconds: number;
  readonly seed: number | undefined;
};

function parse(argv: readonly string[], io: LabIo): Args {
  const split = argv.indexOf('--');
  const own = split < 0 ? argv : argv.slice(0, split);
  const words: string[] = [];
  const options = new Map<string, string>();
  for (let i = 0; i < own.length; i++) {
    const word = own[i];
    if (!['--on', '--for', '--seed', '-f'].includes(word)) {
      if (word.startsWith('--')) throw new Usage(`netloom: unknown option ${word}\n${USAGE}`);
      words.push(word);
      continue;
    }
    const value = own[++i];
    if (value === undefined) throw new Usage(`netloom: ${word} needs a value\n${USAGE}`);
    options.set(word, value);
  }
  const number = (name: string): number | undefined => {
    const value = options.get(name);
    if (value === undefined) return undefined;
    if (!/^\d+(\.\d+)?$/.test(value)) throw new Usage(`netloom: ${name} "${value}" is no number\n${USAGE}`);
    return Number(value);
  };
  const file = options.get('-f');
  const text = file === undefined ? words.shift() : read(file, io);
  const [lab, node] = words;
  const command = split < 0 ? [] : argv.slice(split + 1);
  if (text === undefined || lab === undefined || words.length > 2 || (node === undefined) !== (command.length === 0))
    throw new Usage(USAGE);
  return {
    text,
    lab,
    node,
    command,
    on: options.get('--on') ?? '',
    seconds: number('--for') ?? 0,
    seed: number('--seed'),
  };
}

function read(file: string, io: LabIo): string {
  try {
    return io.readFile(file);
  } catch (error) {
    throw new Usage(`netloom: cannot read ${file}: ${(error as Error).message}\n`);
  }
}

/** The line of a program that a mistake is in, with a caret under it. */
function pointOut(text: string, { message, line, column }: TraceError): string {
  const source = text.split('\n')[line - 1] ?? '';
  return `program:${line}:${column}: ${message}\n  ${source}\n  ${' '.repeat(column - 1)}^\n`;
}

/** A C type of the tables. */
function typeText(type: TypeRef | undefined): string {
  if (type === undefined) return 'void';
  if (type.kind === 'pointer') return `${typeText(type.to)}${type.to?.kind === 'pointer' ? '' : ' '}*`;
  return type.kind === 'int' ? type.name : `${type.kind} ${type.name}`;
}

/** The points that programs can be attached to, with their arguments. */
function points(): string {
  return [...TRACE_POINTS.values()]
    .filter((point) => LIVE_POINTS.has(point.name))
    .map(({ name, group, args }) => {
      const list = args.map((arg) => `${typeText(arg.type).replace(/([^*])$/, '$1 ')}${arg.name}`).join(', ');
      return `${group === '' ? 'fentry' : `tracepoint:${group}`}:${name}(${list})\n`;
    })
    .join('');
}

/** `netloom trace`. */
export function runTrace(argv: readonly string[], io: LabIo): number {
  return guarded(io, () => {
    if (argv.length === 1 && argv[0] === '-l') {
      io.stdout(points());
      return 0;
    }
    const args = parse(argv, io);
    const net = open(args.lab, io, args.seed);
    const known = net.hosts.map((host) => host.name);
    for (const name of [args.node, args.on])
      if (name !== undefined && name !== '' && !known.includes(name))
        throw new Usage(`netloom: there is no node "${name}" (known: ${known.join(', ')})\n`);
    try {
      const { world } = net;
      const trace = startTrace(world, args.text, (line) => io.stdout(line), { host: args.on });
      net.start();
      const node = net.hosts.find((host) => host.name === args.node);
      const done = node?.exec(args.command, () => undefined);
      if (done !== undefined && done.stderr !== '') io.stderr(done.stderr);
      if (args.seconds > 0) net.run(args.seconds);
      trace.stop();
      return done?.code ?? 0;
    } catch (error) {
      if (error instanceof TraceError) throw new Usage(pointOut(args.text, error));
      if (error instanceof KernelError) throw new Usage(`netloom: ${error.message}\n`);
      throw error;
    }
  });
}
