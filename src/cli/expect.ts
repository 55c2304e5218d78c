/** `netloom expect RULES PACKET... --save FILE.yml` */
import { writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { formatExpectFile } from '../firewall/expect.ts';
import { guarded, OK } from './output.ts';
import { addRulesOptions, givenOf, openFirewall, type RulesOptions } from './rules-options.ts';

const HELP = `
The file also holds the interfaces and routes that were given or inferred: correct them there.

Exit code: 0 written, 2 bad input.

Example:
  netloom expect nftables.conf 'lan 10.0.0.7 -> 203.0.113.9:443' 'wan 198.51.100.7 -> local:22' --save fw.yml
  netloom test fw.yml
`;

export function addExpect(program: Command): void {
  addRulesOptions(program.command('expect'))
    .description('write down what happens to packets, for `netloom test` to check later')
    .argument('<rules>', 'the ruleset, as for `netloom try`')
    .argument('<packet...>', 'packets, as for `netloom try`')
    .option('--save <file>', 'write to FILE instead of standard output')
    .addHelpText('after', HELP)
    .action((rules: string, packets: string[], options: RulesOptions & { save?: string }) =>
      guarded(() => {
        const firewall = openFirewall(rules, givenOf(options), options);
        const { ifaces, routes } = firewall.plan(packets);
        // The answers are those of the host that is written down, so that checking them later starts from the same.
        const fixed = openFirewall(rules, { ifaces, routes }, options);
        const answers = packets.map((packet) => fixed.ask(packet));
        const folder = options.save === undefined ? '.' : dirname(options.save);
        const name = relative(resolve(folder), resolve(rules)) || rules;
        const text = formatExpectFile(name, options.kind, { ifaces, routes }, answers);
        if (options.save === undefined) process.stdout.write(text);
        else {
          writeFileSync(options.save, text);
          const count = `${answers.length} expectation${answers.length === 1 ? '' : 's'}`;
          console.log(`${count} written to ${options.save}; check with: netloom test ${options.save}`);
        }
        return OK;
      }),
    );
}
