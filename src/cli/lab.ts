/** `netloom up`, `netloom run`, and the tools on a node of a lab: `src/lab/commands.ts` with files and a clock. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { BadInput } from '../firewall/problem.ts';
import { type LabIo, runRun, runUp } from '../lab/commands.ts';
import { readBytes, readText } from './output.ts';

/** The outside world of a lab. */
export const labIo: LabIo = {
  readFile: readText,
  readBytes,
  writeFile: (path, bytes) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  },
  stdout: (text) => {
    process.stdout.write(text);
  },
  stderr: (text) => {
    process.stderr.write(text);
  },
  clock: {
    nowMs: () => performance.now(),
    sleep: (ms) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    },
  },
};

/** A tool on a node of a lab (`netloom --lab FILE --node NAME TOOL ...`). */
export function runInLab(file: string, node: string | undefined, argv: readonly string[]): number {
  if (node === undefined) throw new BadInput('--lab needs --node NAME');
  return runRun([file, node, '--', ...argv], labIo);
}

const UP_HELP = `
Usage: netloom up LAB.yml [--real-time] [--for SECONDS] [--capture DIR] [--seed N] [--json]

Brings up the hosts and links of a lab file (a subset of containerlab's YAML) and runs its checks.
  --real-time    let time pass as on the wall; without it, as fast as the work allows
  --for SECONDS  let this much more time pass
  --capture DIR  capture every interface as pcapng, with the reason of every drop
  --seed N       seed of all randomness
  --json         the same as JSON

Exit code: 0 everything as expected, 1 a command or a check failed, 2 bad input.
Example:   netloom up lab.yml --capture captures
`;

const RUN_HELP = `
Usage: netloom run LAB.yml NODE [--real-time] [--capture DIR] [--seed N] -- COMMAND...

Brings up a lab and runs a command on one of its nodes.

Exit code: that of the command; 2 bad input.
Examples:  netloom run lab.yml staff -- ping -c 2 10.0.20.10
           netloom run lab.yml gateway -- nft list ruleset
`;

/** `argv`: the words as they were typed; `--` among them is for the command of the lab, not for ours. */
export function addLab(program: Command, argv: readonly string[]): void {
  for (const [name, run, help, description] of [
    ['up', runUp, UP_HELP, 'bring up the hosts of a lab file and run its checks'],
    ['run', runRun, RUN_HELP, 'bring up a lab and run a command on one of its nodes'],
  ] as const)
    program
      .command(name)
      .description(description)
      .usage('LAB.yml ...')
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .argument('[args...]')
      .action((_args: string[], _options: unknown, command: Command) => {
        const typed = argv.slice(argv.indexOf(command.name()) + 1);
        const own = typed.includes('--') ? typed.slice(0, typed.indexOf('--')) : typed;
        if (own.includes('--help') || own.includes('-h')) process.stdout.write(help.slice(1));
        else process.exitCode = run(typed, labIo);
      });
}
