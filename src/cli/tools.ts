/**
 * `netloom ip`, `netloom nft`, ... : the tools by themselves. Without `--lab` they act on a fresh host that has only `lo`
 * and is gone afterwards (what `nft -c -f FILE`, `nft --debug=netlink` and `iptables-restore --test` need); with
 * `--lab LAB.yml --node NAME` on a node of that lab.
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Machine } from '../firewall/machine.ts';
import { TOOLS } from '../tools/run.ts';
import { runInLab } from './lab.ts';
import { guarded, readBytes, readText } from './output.ts';

/** Tools that read standard input when it is not a terminal. */
const READS_STDIN = ['nft', 'iptables-restore', 'ip6tables-restore'];

function wantsStdin(tool: string, args: readonly string[]): boolean {
  if (tool === 'ipset')
    return args.some((a) => a === 'restore' || a === '-R') && !args.some((a) => /^-(?:f|file|-file)$/.test(a));
  if (tool === 'nft') return args.includes('-') || args.includes('/dev/stdin');
  return READS_STDIN.includes(tool) && !args.some((a) => !a.startsWith('-') && a !== '');
}

export function addTools(program: Command): void {
  for (const tool of [...Object.keys(TOOLS), 'ping'])
    program
      .command(tool, { hidden: tool !== 'nft' && tool !== 'iptables' && tool !== 'ip' })
      .description(`the tool ${tool}, on a fresh host or (--lab FILE --node NAME) on a node of a lab`)
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .argument('[args...]')
      .action((args: string[]) =>
        guarded(async () => {
          const { lab, node } = program.opts<{ lab?: string; node?: string }>();
          const stdin = wantsStdin(tool, args) ? readFileSync(0, 'utf8') : undefined;
          if (lab !== undefined) return runInLab(lab, node, [tool, ...args]);
          if (tool === 'ping') {
            process.stderr.write(
              'netloom ping: needs a lab to ping in: netloom --lab LAB.yml --node NAME ping ADDRESS\n',
            );
            return 2;
          }
          const { code, stdout, stderr } = new Machine([]).run(tool, args, {
            readFile: readText,
            readBytes,
            ...(stdin !== undefined && { stdin }),
          });
          process.stdout.write(stdout);
          process.stderr.write(stderr);
          return code;
        }),
      );
}
