/** `netloom lint RULES` */
import type { Command } from 'commander';
import { type Finding, lint } from '../firewall/lint.ts';
import { guarded, OK, REFUSED } from './output.ts';
import { addRulesOptions, firewallOptions, givenOf, type RulesOptions } from './rules-options.ts';

const LIMIT = 3;

const HELP = `
Exit code: 0 nothing found, 1 something found, 2 bad input, 3 a limit was reached before every rule was looked at.

Examples:
  netloom lint nftables.conf
  netloom lint rules.v4 --annotate github
`;

type LintOptions = RulesOptions & { readonly json?: boolean; readonly annotate?: string };

export function addLint(program: Command): void {
  addRulesOptions(program.command('lint'))
    .description('rules that never match, chains that nothing calls, sets that nothing uses')
    .argument('<rules>', 'nft script, iptables-save file, or shell script')
    .option('--json', 'print the findings as JSON')
    .option('--annotate <system>', 'write annotations: github')
    .addHelpText('after', HELP)
    .action((rules: string, options: LintOptions) =>
      guarded(() => {
        const result = lint(firewallOptions(rules, givenOf(options), options));
        if (options.json) console.log(JSON.stringify(result, null, 2));
        else
          for (const each of result.findings)
            console.log(options.annotate === 'github' ? annotation(each) : line(each));
        if (result.limit !== undefined) process.stderr.write(`not finished: ${result.limit}\n`);
        if (result.limit !== undefined) return LIMIT;
        return result.findings.length === 0 ? OK : REFUSED;
      }),
    );
}

function line({ kind, where, why, rule, file, line: number }: Finding): string {
  return `${file === undefined ? where : `${file}:${number}`}: ${kind}: ${rule ?? where}: ${why}`;
}

function annotation(each: Finding): string {
  const at = each.file === undefined ? '' : ` file=${each.file},line=${each.line}`;
  return `::warning${at}::${each.kind}: ${each.where}: ${each.why}`;
}
