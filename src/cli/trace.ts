/** `netloom trace`: `src/lab/trace-command.ts` with files. */
import type { Command } from 'commander';
import { runTrace } from '../lab/trace-command.ts';
import { labIo } from './lab.ts';

const HELP = `
Usage: netloom trace PROGRAM LAB.yml [--on HOST] [--for SECONDS] [--seed N] [NODE -- COMMAND...]
       netloom trace -f FILE LAB.yml ...
       netloom trace -l              (the points, with their arguments)

Attaches a tracing program (a part of bpftrace's language) to the hosts of a lab, brings the lab up, runs a command on one
of its nodes, and prints what the program found. The program is eBPF, and checked by the verifier like any other.
  --on HOST      only what happens on this host
  --for SECONDS  let this much more time pass
  --seed N       seed of all randomness

Exit code: that of the command, else 0; 2 bad input.
Examples:  netloom trace 'kfree_skb { @[host, args.reason] = count(); }' lab.yml staff -- ping -c 2 10.0.20.10
           netloom trace 'ip_rcv { printf("%s %s -> %s\\n", host, saddr(args.skb), daddr(args.skb)); }' lab.yml
`;

/** `argv`: the words as they were typed; `--` among them is for the command of the lab. */
export function addTrace(program: Command, argv: readonly string[]): void {
  program
    .command('trace')
    .description('watch what happens inside the hosts of a lab, with a small program')
    .usage("'PROGRAM' LAB.yml ...")
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .argument('[args...]')
    .action(() => {
      const typed = argv.slice(argv.indexOf('trace') + 1);
      const own = typed.includes('--') ? typed.slice(0, typed.indexOf('--')) : typed;
      if (own.includes('--help') || own.includes('-h')) process.stdout.write(HELP.slice(1));
      else process.exitCode = runTrace(typed, labIo);
    });
}
