/** `netloom diff OLD NEW` */
import type { Command } from 'commander';
import { compare } from '../firewall/diff.ts';
import { diffReport } from '../firewall/diff-report.ts';
import { BadInput } from '../firewall/problem.ts';
import { Activity } from './activity.ts';
import { guarded, OK, REFUSED, style } from './output.ts';
import { addRulesOptions, firewallOptions, givenOf, type RulesOptions } from './rules-options.ts';

const LIMIT = 3;

const HELP = `
Every packet is compared, by reasoning over header space; each class of packets that are treated differently comes with an
example that was sent through both rulesets. OLD and NEW may be of different kinds: iptables-save and nft, for one.

Exit code: 0 equal, 1 different, 2 bad input, 3 a limit was reached before everything was compared.

Examples:
  netloom diff old.nft new.nft
  netloom diff rules.v4 nftables.conf --json
  netloom diff a.nft b.nft --seconds 60 --nodes 20000000
`;

type DiffOptions = RulesOptions & {
  readonly json?: boolean;
  readonly nodes?: string;
  readonly seconds?: string;
  readonly classes?: string;
};

function count(text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new BadInput(`${what}: a number above 0, not ${text}`);
  return value;
}

export function addDiff(program: Command): void {
  addRulesOptions(program.command('diff'))
    .description('the packets that two rulesets treat differently, or the proof that there are none')
    .argument('<old>', 'nft script, iptables-save file, or shell script')
    .argument('<new>', 'the ruleset to compare it with')
    .option('--json', 'print the difference as JSON')
    .option('--nodes <n>', 'most nodes of the decision diagrams (default 12000000)')
    .option('--seconds <n>', 'give up after this time (default: never)')
    .option('--classes <n>', 'most classes to tell for each pair of outcomes on a way (default 12)')
    .addHelpText('after', HELP)
    .action((old: string, fresh: string, options: DiffOptions) =>
      guarded(() => {
        const given = givenOf(options);
        const nodes = count(options.nodes, '--nodes');
        const seconds = count(options.seconds, '--seconds');
        const classes = count(options.classes, '--classes');
        const activity = new Activity();
        const difference = compare(firewallOptions(old, given, options), firewallOptions(fresh, given, options), {
          ...(nodes !== undefined && { maxNodes: nodes }),
          ...(classes !== undefined && { maxClasses: classes }),
          interrupt: (n) => {
            activity.beat(n);
            return seconds !== undefined && activity.seconds > seconds ? `more than ${seconds} seconds` : undefined;
          },
          progress: (what) => activity.now(what),
        });
        activity.done();
        if (options.json) console.log(JSON.stringify(difference, null, 2));
        else process.stdout.write(diffReport(difference, style()));
        return difference.verdict === 'equal' ? OK : difference.verdict === 'different' ? REFUSED : LIMIT;
      }),
    );
}
