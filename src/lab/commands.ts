/**
 * `netloom up` and `netloom run` as functions: arguments and the outside world in, an exit code out.
 *
 *     netloom up LAB.yml [--real-time] [--for SECONDS] [--capture DIR] [--json]
 *     netloom run LAB.yml NODE [--real-time] [--capture DIR] -- COMMAND...
 *
 * Exit codes of `up`: 0 everything as expected, 1 a command or a check failed, 2 bad input. `run` ends as its command does.
 */
import type { ToolTable } from '../tools/run.ts';
import type { LabCheckResult } from './check.ts';
import type { RealClock } from './clock.ts';
import { Lab, type StartedCommand } from './lab.ts';
import { LabError } from './yaml-reader.ts';

/** What the commands may touch of the outside. */
export type LabIo = {
  /** Reads a text file; throws when it cannot. */
  readonly readFile: (path: string) => string;
  /** Reads a file of bytes (BPF objects). */
  readonly readBytes?: (path: string) => Uint8Array;
  /** Writes a file, its folder included. */
  readonly writeFile: (path: string, bytes: Uint8Array) => void;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** For --real-time. */
  readonly clock?: RealClock;
  /** Commands beside the built-in ones. */
  readonly tools?: ToolTable;
};

const UP_USAGE = 'usage: netloom up LAB.yml [--real-time] [--for SECONDS] [--capture DIR] [--json]\n';
const RUN_USAGE = 'usage: netloom run LAB.yml NODE [--real-time] [--capture DIR] -- COMMAND...\n';

/** Wrong arguments: the message is for the user. */
export class Usage extends Error {}

type Args = {
  readonly words: readonly string[];
  readonly rest: readonly string[];
  readonly realTime: boolean;
  readonly json: boolean;
  readonly seconds: number;
  readonly capture: string | undefined;
  readonly seed: number | undefined;
};

function parse(argv: readonly string[], usage: string): Args {
  const split = argv.indexOf('--');
  const own = split < 0 ? argv : argv.slice(0, split);
  const words: string[] = [];
  let realTime = false;
  let json = false;
  let seconds = 0;
  let capture: string | undefined;
  let seed: number | undefined;
  for (let i = 0; i < own.length; i++) {
    const value = (): string => {
      const text = own[++i];
      if (text === undefined) throw new Usage(`netloom: ${own[i - 1]} needs a value\n${usage}`);
      return text;
    };
    const number = (): number => {
      const name = own[i];
      const text = value();
      if (!/^\d+(\.\d+)?$/.test(text)) throw new Usage(`netloom: ${name} "${text}" is no number\n${usage}`);
      return Number(text);
    };
    if (own[i] === '--real-time') realTime = true;
    else if (own[i] === '--json') json = true;
    else if (own[i] === '--for') seconds = number();
    else if (own[i] === '--seed') seed = number();
    else if (own[i] === '--capture') capture = value();
    else if (own[i].startsWith('-')) throw new Usage(`netloom: unknown option ${own[i]}\n${usage}`);
    else words.push(own[i]);
  }
  return { words, rest: split < 0 ? [] : argv.slice(split + 1), realTime, json, seconds, capture, seed };
}

/** Files that a lab names lie beside the lab file. */
function beside(file: string, path: string): string {
  const slash = file.lastIndexOf('/');
  return path.startsWith('/') || slash < 0 ? path : `${file.slice(0, slash + 1)}${path}`;
}

function readBytes(io: Pick<LabIo, 'readBytes'>, path: string): Uint8Array {
  if (io.readBytes === undefined) throw new Error('there are no files of bytes here');
  return io.readBytes(path);
}

/** Reads and builds a lab; it is not started yet. */
export function open(file: string, io: LabIo, seed: number | undefined): Lab {
  let text: string;
  try {
    text = io.readFile(file);
  } catch (error) {
    throw new Usage(`netloom: cannot read ${file}: ${(error as Error).message}\n`);
  }
  return Lab.from(text, file, {
    readFile: (path) => io.readFile(beside(file, path)),
    readBytes: (path) => readBytes(io, beside(file, path)),
    ...(io.tools === undefined ? {} : { tools: io.tools }),
    ...(seed === undefined ? {} : { seed }),
  });
}

function startCaptures(net: Lab): void {
  for (const host of net.hosts)
    for (const dev of host.namespace.devices) if (dev.kind === 'veth') host.capture(dev.name);
}

function writeCaptures(net: Lab, folder: string, io: LabIo): void {
  for (const host of net.hosts)
    for (const [dev, capture] of host.captures) io.writeFile(`${folder}/${host.name}-${dev}.pcapng`, capture.bytes());
}

function follow(net: Lab, io: LabIo): void {
  if (io.clock === undefined) throw new Usage('netloom: real time is not available here\n');
  net.realTime(io.clock);
}

/** Runs `body`; what is wrong with its arguments or its lab is told, and is 2. */
export function guarded(io: LabIo, body: () => number): number {
  try {
    return body();
  } catch (error) {
    if (error instanceof Usage) io.stderr(error.message);
    else if (error instanceof LabError) io.stderr(`${error.message}\n`);
    else throw error;
    return 2;
  }
}

/** `netloom up`. */
export function runUp(argv: readonly string[], io: LabIo): number {
  return guarded(io, () => {
    const args = parse(argv, UP_USAGE);
    if (args.words.length !== 1) throw new Usage(UP_USAGE);
    const net = open(args.words[0], io, args.seed);
    if (args.capture !== undefined) startCaptures(net);
    const commands = net.start();
    if (args.realTime) follow(net, io);
    const checks = net.check();
    if (args.seconds > 0) net.run(args.seconds);
    if (args.capture !== undefined) writeCaptures(net, args.capture, io);
    const failed = commands.some((c) => c.code !== 0) || checks.some((c) => !c.ok);
    io.stdout(
      args.json ? `${JSON.stringify(summary(net, commands, checks), null, 2)}\n` : describe(net, commands, checks),
    );
    if (args.capture !== undefined && !args.json) io.stdout(`captures: ${args.capture}/\n`);
    return failed ? 1 : 0;
  });
}

/** `netloom run`. */
export function runRun(argv: readonly string[], io: LabIo): number {
  return guarded(io, () => {
    const args = parse(argv, RUN_USAGE);
    if (args.words.length !== 2 || args.rest.length === 0) throw new Usage(RUN_USAGE);
    const net = open(args.words[0], io, args.seed);
    const node = net.hosts.find((host) => host.name === args.words[1]);
    if (node === undefined)
      throw new Usage(
        `netloom: there is no node "${args.words[1]}" (known: ${net.hosts.map((h) => h.name).join(', ')})\n`,
      );
    if (args.capture !== undefined) startCaptures(net);
    for (const { node: name, command, code, stderr } of net.start())
      if (code !== 0) io.stderr(`netloom: ${name}: "${command}" ended with ${code}: ${stderr.trim()}\n`);
    if (args.realTime) follow(net, io);
    let shown = '';
    const { code, stdout, stderr } = node.exec(args.rest, (text) => {
      shown += text;
      io.stdout(text);
    });
    // Tools that do not stream have their output here only.
    if (stdout.length > shown.length) io.stdout(stdout.slice(shown.length));
    if (stderr !== '') io.stderr(stderr);
    if (args.capture !== undefined) writeCaptures(net, args.capture, io);
    return code;
  });
}

/** Runs a lab file's checks, for `netloom test`. A command of the lab that fails is a result of its own. */
export function checkLab(
  text: string,
  file: string,
  io: Pick<LabIo, 'readFile' | 'readBytes' | 'tools'>,
): LabCheckResult[] {
  const net = Lab.from(text, file, {
    readFile: (path) => io.readFile(beside(file, path)),
    readBytes: (path) => readBytes(io, beside(file, path)),
    ...(io.tools === undefined ? {} : { tools: io.tools }),
  });
  const failed = net
    .start()
    .filter((c) => c.code !== 0)
    .map((c) => ({
      name: `${c.node}: ${c.command}`,
      ok: false,
      problem: `ended with ${c.code}\n${c.stdout}${c.stderr}`.trimEnd(),
      line: net.topology.nodes.find((node) => node.name === c.node)?.at.error('').line ?? 0,
    }));
  return [...failed, ...net.check()];
}

function describe(net: Lab, commands: readonly StartedCommand[], checks: readonly LabCheckResult[]): string {
  const { topology } = net;
  let out = `lab ${topology.name}: ${count(topology.nodes.length, 'node')}, ${count(topology.links.length, 'link')}\n`;
  for (const host of net.hosts) {
    const kind = topology.nodes.find((node) => node.name === host.name)?.kind ?? '';
    const addresses = host
      .exec('ip -br addr')
      .stdout.split('\n')
      .filter((line) => line !== '' && !line.startsWith('lo '))
      .map((line) => line.trim().split(/\s+/))
      .map(([dev, , ...list]) => `${dev.split('@')[0]} ${list.filter((a) => !a.startsWith('fe80')).join(' ')}`.trim());
    out += `  ${host.name} (${kind}): ${addresses.join(', ') || 'no interfaces'}\n`;
  }
  for (const { node, command, code, stdout, stderr } of commands)
    if (code !== 0) out += `${node}: "${command}" ended with ${code}\n${indent(stdout + stderr)}`;
  for (const check of checks)
    out += `${check.ok ? 'ok' : 'NOT OK'}: ${check.name}\n${check.ok ? '' : indent(check.problem)}`;
  if (checks.length > 0) out += `${checks.filter((c) => c.ok).length} of ${count(checks.length, 'check')} ok\n`;
  return out;
}

function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}\n`)
    .join('');
}

function summary(net: Lab, commands: readonly StartedCommand[], checks: readonly LabCheckResult[]): unknown {
  return {
    name: net.topology.name,
    nodes: net.hosts.map((host) => ({
      name: host.name,
      addresses: JSON.parse(host.exec('ip -j addr').stdout) as unknown,
    })),
    commands,
    checks,
  };
}
