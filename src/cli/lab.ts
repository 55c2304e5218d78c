/** Labs on the command line: opening a lab file, `netloom up`, `netloom run`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { BadInput } from '../firewall/problem.ts';
import { TOOLS } from '../firewall/tools.ts';
import { Lab, type RealClock } from '../lab/index.ts';
import { LabError } from '../lab/yaml-reader.ts';
import { guarded, OK, REFUSED, readText, style } from './output.ts';

/** Reads a lab file; files that it names lie beside it. Throws BadInput with line and column. */
export function readLab(file: string, seed?: number): Lab {
  const text = readText(file);
  try {
    return Lab.from(text, file, {
      tools: TOOLS,
      readFile: (path) => readText(resolve(dirname(file), path)),
      ...(seed !== undefined && { seed }),
    });
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    const { line, column } = error;
    const source = text.split('\n')[line - 1];
    throw new BadInput(error.problem, { file, line, column: column - 1, ...(source !== undefined && { source }) });
  }
}

/** Brings a lab up. Throws BadInput with the commands that failed. */
export function openLab(
  file: string,
  options: { readonly seed?: number; readonly capture?: readonly string[] } = {},
): Lab {
  const lab = readLab(file, options.seed);
  for (const place of options.capture ?? []) startCapture(lab, place);
  let failed: { node: string; command: string; code: number; stderr: string; stdout: string }[];
  try {
    failed = lab.start().filter((r) => r.code !== 0);
  } catch (error) {
    if (error instanceof LabError) throw new BadInput(error.message);
    throw error;
  }
  if (failed.length > 0)
    throw new BadInput(
      failed
        .map((r) => `${file}: ${r.node}: "${r.command}" ended with ${r.code}: ${(r.stderr || r.stdout).trim()}`)
        .join('\n'),
    );
  return lab;
}

function startCapture(lab: Lab, place: string): void {
  const m = /^([^:]+):([^:]+)$/.exec(place);
  if (m === null) throw new BadInput(`--capture ${place}: expected NODE:INTERFACE`);
  try {
    lab.host(m[1]).capture(m[2]);
  } catch (error) {
    throw new BadInput(`--capture ${place}: ${(error as Error).message}`);
  }
}

/** Writes all captures of a lab into a folder, `NODE-INTERFACE.pcapng`; returns their names. */
function saveCaptures(lab: Lab, folder: string): string[] {
  const files: string[] = [];
  for (const host of lab.hosts)
    for (const [dev, capture] of host.captures) {
      mkdirSync(folder, { recursive: true });
      const file = join(folder, `${host.name}-${dev}.pcapng`);
      writeFileSync(file, capture.bytes());
      files.push(file);
    }
  return files;
}

const realClock: RealClock = {
  nowMs: () => performance.now(),
  sleep: (ms) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  },
};

type LabOptions = { seed?: string; capture: string[]; captureTo: string; realTime?: boolean };

const collect = (value: string, list: string[]): string[] => [...list, value];

function withLabOptions(command: Command): Command {
  return command
    .option('--seed <number>', 'seed of all randomness (default: the one of the file)')
    .option('--capture <node:interface>', 'capture an interface as pcapng (repeat)', collect, [])
    .option('--capture-to <folder>', 'where captures go', '.')
    .option('--real-time', 'let time pass as the clock on the wall does; without it, as fast as the work allows');
}

function open(file: string, options: LabOptions): Lab {
  const seed = options.seed === undefined ? undefined : Number(options.seed);
  if (seed !== undefined && !Number.isInteger(seed))
    throw new BadInput(`--seed ${options.seed}: expected a whole number`);
  const lab = openLab(file, { capture: options.capture, ...(seed !== undefined && { seed }) });
  if (options.realTime) lab.realTime(realClock);
  return lab;
}

function close(lab: Lab, options: LabOptions): void {
  for (const file of saveCaptures(lab, options.captureTo)) process.stderr.write(`captured: ${file}\n`);
}

/** Runs a command on a node; its output comes as it is made. */
function execute(lab: Lab, node: string, argv: readonly string[], stdin?: string): number {
  let host: ReturnType<Lab['host']>;
  try {
    host = lab.host(node);
  } catch (error) {
    throw new BadInput((error as Error).message);
  }
  let shown = 0;
  const onOutput = (text: string): void => {
    shown += text.length;
    process.stdout.write(text);
  };
  const { code, stdout, stderr } = host.exec(argv, onOutput, stdin);
  process.stdout.write(stdout.slice(shown));
  process.stderr.write(stderr);
  return code;
}

/** A tool on a node of a lab (`netloom --lab FILE --node NAME TOOL ...`). */
export function runInLab(
  file: string,
  node: string | undefined,
  argv: readonly string[],
  stdin: string | undefined,
): number {
  if (node === undefined) throw new BadInput('--lab needs --node NAME');
  return execute(openLab(file), node, argv, stdin);
}

const UP_HELP = `
Then it reads commands, one a line, from standard input: NODE COMMAND, e.g. gateway nft list ruleset.

Exit code: 0 up and its checks hold, 1 a check does not, 2 bad input.

Examples:
  netloom up lab.yml
  netloom up lab.yml --capture gateway:uplink --capture-to captures
  echo 'staff ping -c 2 10.0.20.10' | netloom up lab.yml
`;

const RUN_HELP = `
Exit code: that of the command; 2 bad input.

Examples:
  netloom run lab.yml staff -- ping -c 2 10.0.20.10
  netloom run lab.yml gateway -- nft list ruleset
`;

export function addLab(program: Command): void {
  withLabOptions(program.command('up'))
    .description('bring a lab up and run its checks')
    .argument('<lab>', "a lab file: a subset of containerlab's YAML")
    .addHelpText('after', UP_HELP)
    .action((file: string, options: LabOptions) =>
      guarded(async () => {
        const lab = open(file, options);
        printHosts(lab);
        const ok = printChecks(lab);
        await readCommands(lab);
        close(lab, options);
        return ok ? OK : REFUSED;
      }),
    );
  withLabOptions(program.command('run'))
    .description('bring a lab up and run a command on one of its nodes')
    .argument('<lab>', 'a lab file')
    .argument('<node>', 'where to run')
    .argument('<command...>', 'what to run, behind --')
    .addHelpText('after', RUN_HELP)
    .action((file: string, node: string, argv: string[], options: LabOptions) =>
      guarded(() => {
        const lab = open(file, options);
        const code = execute(lab, node, argv);
        close(lab, options);
        return code;
      }),
    );
}

function printHosts(lab: Lab): void {
  const { bold, dim } = style();
  console.log(bold(`${lab.topology.name}: ${lab.hosts.length} nodes, ${lab.topology.links.length} links`));
  for (const host of lab.hosts) {
    const { stdout } = host.exec('ip -br addr');
    const devices = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    const shown = devices
      .filter(([name]) => name !== 'lo')
      .map(
        ([name, , ...addresses]) =>
          `${name?.replace(/@.*/, '')} ${addresses.filter((a) => a !== '' && !a.startsWith('fe80:')).join(' ') || dim('no address')}`,
      );
    console.log(`  ${host.name.padEnd(12)} ${shown.join(', ')}`);
  }
}

function printChecks(lab: Lab): boolean {
  const { good, bad } = style();
  const results = lab.check();
  for (const r of results) {
    console.log(`  ${r.ok ? good('ok    ') : bad('FAILED')} ${r.name}`);
    if (!r.ok) for (const line of r.problem.split('\n')) console.log(`         ${line}`);
  }
  return results.every((r) => r.ok);
}

async function readCommands(lab: Lab): Promise<void> {
  const { stdin } = process;
  if (stdin.isTTY) console.log('NODE COMMAND, one a line; end with Ctrl-D');
  const lines = createInterface({ input: stdin, ...(stdin.isTTY && { output: process.stdout, prompt: '> ' }) });
  if (stdin.isTTY) lines.prompt();
  for await (const line of lines) {
    const [, node, command] = /^\s*(\S+)\s+(.+?)\s*$/.exec(line) ?? [];
    if (node !== undefined && command !== undefined)
      try {
        const { stdout, stderr } = lab.host(node).exec(command);
        process.stdout.write(stdout);
        process.stderr.write(stderr);
      } catch (error) {
        process.stderr.write(`${(error as Error).message}\n`);
      }
    else if (line.trim() !== '') process.stderr.write('expected: NODE COMMAND\n');
    if (stdin.isTTY) lines.prompt();
  }
}
