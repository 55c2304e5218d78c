/** `netloom convert RULES` */
import type { Command } from 'commander';
import { convert } from '../firewall/convert.ts';
import { diffReport } from '../firewall/diff-report.ts';
import { Activity } from './activity.ts';
import { guarded, OK, REFUSED, style } from './output.ts';
import { addRulesOptions, firewallOptions, givenOf, type RulesOptions } from './rules-options.ts';

const LIMIT = 3;

const HELP = `
The nft script goes to standard output, what is to be said of it to standard error: rules that nft has no words for (they
are left out), and how the script compares with RULES, packet by packet, as netloom diff does it.

Exit code: 0 the script treats every packet alike, 1 it does not or rules were left out, 2 bad input, 3 a limit was reached
before everything was compared.

Examples:
  netloom convert rules.v4 > nftables.conf
  netloom convert firewall.sh --arg start --counters
  netloom convert rules.v4 --no-proof
`;

type ConvertCliOptions = RulesOptions & {
  readonly counters?: boolean;
  readonly merge: boolean;
  readonly proof: boolean;
  readonly json?: boolean;
  readonly seconds?: string;
};

export function addConvert(program: Command): void {
  addRulesOptions(program.command('convert'))
    .description('an iptables ruleset as an nft script, with the proof that both treat every packet alike')
    .argument('<rules>', 'iptables-save file, or shell script of iptables and ip lines')
    .option('--counters', 'keep a counter in every rule')
    .option('--no-merge', 'keep every rule apart: no sets, concatenations and maps')
    .option('--no-proof', 'do not compare the script with RULES')
    .option('--seconds <n>', 'give up comparing after this time (default: never)')
    .option('--json', 'print script, left-out rules and comparison as JSON')
    .addHelpText('after', HELP)
    .action((rules: string, options: ConvertCliOptions) =>
      guarded(() => {
        const seconds = options.seconds === undefined ? Number.POSITIVE_INFINITY : Number(options.seconds);
        const activity = new Activity();
        const { text, left, warnings, proof } = convert(firewallOptions(rules, givenOf(options), options), {
          ...(options.counters === true && { counters: true }),
          merge: options.merge,
          prove: options.proof,
          compare: {
            interrupt: (n) => {
              activity.beat(n);
              return activity.seconds > seconds ? `more than ${seconds} seconds` : undefined;
            },
            progress: (what) => activity.now(what),
          },
        });
        activity.done();
        if (options.json) console.log(JSON.stringify({ text, left, warnings, proof }, null, 2));
        else {
          process.stdout.write(text);
          for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
          for (const rule of left) process.stderr.write(`left out: ${rule}\n`);
          if (proof !== undefined) process.stderr.write(diffReport(proof, style()));
        }
        if (proof?.verdict === 'limit') return LIMIT;
        return left.length === 0 && (proof === undefined || proof.verdict === 'equal') ? OK : REFUSED;
      }),
    );
}
