/** The `netloom` command as a function: words in, exit code out. */
import { Command, CommanderError } from 'commander';
import { addBpf } from './bpf.ts';
import { addConvert } from './convert.ts';
import { addDiff } from './diff.ts';
import { addExpect } from './expect.ts';
import { addLab } from './lab.ts';
import { addLint } from './lint.ts';
import { BAD_INPUT, OK } from './output.ts';
import { addReplay } from './replay.ts';
import { addTest } from './test.ts';
import { addTools } from './tools.ts';
import { addTrace } from './trace.ts';
import { addTry } from './try.ts';

const HELP = `
Exit codes: 0 allowed or as expected, 1 dropped or changed, 2 bad input.

Examples:
  netloom try /etc/nftables.conf 'eth0 198.51.100.7 -> local:22'
  netloom expect rules.v4 'lan 10.0.0.7 -> 203.0.113.9:443' --save office.yml
  netloom test office.yml --junit results.xml
  netloom replay nftables.conf capture.pcapng
  netloom diff rules.v4 nftables.conf
  netloom run lab.yml gateway -- nft list ruleset
  netloom nft -c -f nftables.conf
  netloom bpf verify xdp_filter.o
`;

/** Runs the command with these words (without "netloom"). */
export async function runCli(argv: readonly string[]): Promise<number> {
  const program = new Command('netloom')
    .description('A Linux-compatible network stack in user space: hand it a firewall and a packet, get the truth.')
    .option('--lab <file>', 'for the tools: the lab to act in')
    .option('--node <name>', 'for the tools: the node of the lab')
    .enablePositionalOptions()
    .exitOverride()
    .addHelpText('after', HELP)
    .showHelpAfterError('(netloom --help lists the commands)');
  addTry(program);
  addExpect(program);
  addReplay(program);
  addDiff(program);
  addConvert(program);
  addLint(program);
  addTest(program);
  addLab(program, argv);
  addTrace(program, argv);
  addTools(program);
  addBpf(program);
  for (const command of program.commands) command.exitOverride();
  process.exitCode = OK;
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? OK : BAD_INPUT;
  }
  return Number(process.exitCode ?? OK);
}
