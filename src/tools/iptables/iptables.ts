/** The commands `iptables` and `ip6tables` (iptables(8), the nf_tables face of version 1.8.9). */
import { NETLINK_NETFILTER } from '../../wire/uapi/netlink.ts';
import type { Tool, ToolIo, ToolResult } from '../io.ts';
import { parseArgs } from './args.ts';
import { runCommand } from './commands.ts';
import { IptablesError, PARAMETER_PROBLEM } from './errors.ts';
import { Session } from './session.ts';

export const VERSION = 'v1.8.9 (nf_tables)';

/** Numbers of user and group names, from /etc/passwd and /etc/group when files can be read. */
export function idLookup(io: ToolIo, path: string): (name: string) => number | undefined {
  let ids: Map<string, number> | undefined;
  return (name) => {
    if (ids === undefined) {
      ids = new Map([['root', 0]]);
      try {
        for (const line of (io.readFile?.(path) ?? '').split('\n')) {
          const [key, , id] = line.split(':');
          if (id !== undefined) ids.set(key, Number(id));
        }
      } catch {
        // No such file here: numbers still work.
      }
    }
    return ids.get(name);
  };
}

/** How a failure is printed. */
export function errorText(program: string, error: IptablesError, where: string): string {
  const head = error.bare ? '' : `${program} ${VERSION}: `;
  const hint =
    error.code === PARAMETER_PROBLEM ? `Try \`${program} -h' or '${program} --help' for more information.\n` : '';
  return `${head}${error.message}\n${where}${hint}`;
}

function help(program: string): string {
  return `${program} ${VERSION}

Usage: ${program} -[ACD] chain rule-specification [options]
       ${program} -I chain [rulenum] rule-specification [options]
       ${program} -R chain rulenum rule-specification [options]
       ${program} -D chain rulenum [options]
       ${program} -[LS] [chain [rulenum]] [options]
       ${program} -[FZ] [chain] [options]
       ${program} -[NX] chain
       ${program} -E old-chain-name new-chain-name
       ${program} -P chain target [options]
       ${program} -h (print this help information)
`;
}

function build(program: 'iptables' | 'ip6tables', family: 4 | 6): Tool {
  return (argv, io): ToolResult => {
    let stderr = '';
    try {
      const session = new Session(io.netlink.open(NETLINK_NETFILTER), family);
      const cmd = parseArgs(argv, {
        family,
        sets: session.sets,
        table: 'filter',
        restore: false,
        user: idLookup(io, '/etc/passwd'),
        group: idLookup(io, '/etc/group'),
        warn: (text) => {
          stderr += `${text}\n`;
        },
      });
      if (cmd === undefined) return { code: 0, stdout: '', stderr };
      if (cmd.special === 'version') return { code: 0, stdout: `${program} ${VERSION}\n`, stderr };
      if (cmd.special === 'help') return { code: 0, stdout: help(program), stderr };
      const stdout = runCommand(session, cmd);
      session.commit();
      return { code: 0, stdout, stderr };
    } catch (error) {
      if (!(error instanceof IptablesError)) throw error;
      // A command the rules do not allow has its own short form: the name and a sentence.
      const text = error.bare && error.code === 1 ? `${program}: ${error.message}\n` : errorText(program, error, '');
      return { code: error.code, stdout: '', stderr: stderr + text };
    }
  };
}

export const iptables: Tool = build('iptables', 4);
export const ip6tables: Tool = build('ip6tables', 6);
