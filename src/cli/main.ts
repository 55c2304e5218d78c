/** The `netloom` command. */
import { Command } from 'commander';
import { addExpect } from './expect.ts';
import { BAD_INPUT } from './output.ts';
import { addTest } from './test.ts';
import { addTry } from './try.ts';

const program = new Command('netloom')
  .description('A Linux-compatible network stack in user space: hand it a firewall and a packet, get the truth.')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : BAD_INPUT))
  .showHelpAfterError('(netloom --help lists the commands)');

addTry(program);
addExpect(program);
addTest(program);

await program.parseAsync();
