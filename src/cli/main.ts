/** The `netloom` command. */
import { Command } from 'commander';
import { addExpect } from './expect.ts';
import { addLab } from './lab.ts';

import { BAD_INPUT } from './output.ts';
import { addTest } from './test.ts';
import { addTools } from './tools.ts';
import { addTry } from './try.ts';

const program = new Command('netloom')
  .description('A Linux-compatible network stack in user space: hand it a firewall and a packet, get the truth.')
  .option('--lab <file>', 'for the tools: the lab to act in')
  .option('--node <name>', 'for the tools: the node of the lab')
  .enablePositionalOptions()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : BAD_INPUT))
  .showHelpAfterError('(netloom --help lists the commands)');

addTry(program);
addExpect(program);
addTest(program);
addLab(program);
addTools(program);

await program.parseAsync();
