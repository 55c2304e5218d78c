/** The commands `iptables` and `ip6tables` (iptables(8), the nf_tables face of version 1.8.9). */

import { EBUSY, ELOOP, ENOENT, strerror } from '../../core/errno.ts';
import { NETLINK_NETFILTER } from '../../wire/uapi/netlink.ts';
import type { Tool, ToolIo, ToolResult } from '../io.ts';
import { parseArgs } from './args.ts';
import { runCommand } from './commands.ts';
import { IptablesError, OTHER_PROBLEM, PARAMETER_PROBLEM, RESOURCE_PROBLEM } from './errors.ts';
import { ipDialect, Session } from './session.ts';

/** Which iptables a tool is: its release, and the face it shows. */
export type Face = {
  /** "v1.8.9 (nf_tables)". */
  readonly version: string;
  /** The complaints and listings of iptables-legacy. The rules lie in the same tables as those of the other face. */
  readonly legacy: boolean;
  /** Prints as 1.8.10 and later do. */
  readonly recent: boolean;
};

/** The face of a release. */
export function faceOf(variant: 'nft' | 'legacy', release = '1.8.9'): Face {
  const minor = Number(release.split('.')[2] ?? 0);
  return {
    version: `v${release} (${variant === 'nft' ? 'nf_tables' : 'legacy'})`,
    legacy: variant === 'legacy',
    recent: minor >= 10,
  };
}

export const DEFAULT_FACE: Face = faceOf('nft');
export const VERSION: string = DEFAULT_FACE.version;

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
export function errorText(program: string, error: IptablesError, where: string, face: Face = DEFAULT_FACE): string {
  const head = error.bare ? '' : `${program} ${face.version}: `;
  const hint =
    error.code === PARAMETER_PROBLEM ? `Try \`${program} -h' or '${program} --help' for more information.\n` : '';
  return `${head}${error.message}${error.message === '' ? '' : '\n'}${where}${hint}`;
}

/** What iptables-legacy says of an error of the kernel. */
function legacyReason(error: IptablesError): string {
  if (error.errno === ENOENT) return 'No chain/target/match by that name.';
  if (error.errno === EBUSY) return 'Too many links.';
  if (error.errno === ELOOP) return 'Too many levels of symbolic links.';
  return `${error.errno === undefined ? error.message : strerror(error.errno)}. Run \`dmesg' for more information.`;
}

/** A failed command: exit status and text. */
export function failure(program: string, error: IptablesError, face: Face): { code: number; stderr: string } {
  if (face.legacy && error.code === RESOURCE_PROBLEM)
    return { code: OTHER_PROBLEM, stderr: `${program}: ${legacyReason(error)}\n` };
  // A command the rules do not allow has its own short form: the name and a sentence.
  if (error.bare && error.code === OTHER_PROBLEM) return { code: error.code, stderr: `${program}: ${error.message}\n` };
  return { code: error.code, stderr: errorText(program, error, '', face) };
}

function help(program: string, face: Face): string {
  return `${program} ${face.version}

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

/** `iptables` or `ip6tables` of a face. */
export function makeIptables(program: 'iptables' | 'ip6tables', family: 4 | 6, face: Face = DEFAULT_FACE): Tool {
  return (argv, io): ToolResult => {
    let stderr = '';
    try {
      const session = new Session(io.netlink.open(NETLINK_NETFILTER), ipDialect(family));
      const cmd = parseArgs(argv, {
        family,
        sets: session.sets,
        table: 'filter',
        restore: false,
        legacy: face.legacy,
        user: idLookup(io, '/etc/passwd'),
        group: idLookup(io, '/etc/group'),
        warn: (text) => {
          stderr += `${text}\n`;
        },
      });
      if (cmd === undefined) return { code: 0, stdout: '', stderr };
      if (cmd.special === 'version') return { code: 0, stdout: `${program} ${face.version}\n`, stderr };
      if (cmd.special === 'help') return { code: 0, stdout: help(program, face), stderr };
      const stdout = runCommand(session, cmd);
      session.commit();
      return { code: 0, stdout, stderr };
    } catch (error) {
      if (!(error instanceof IptablesError)) throw error;
      const { code, stderr: text } = failure(program, error, face);
      return { code, stdout: '', stderr: stderr + text };
    }
  };
}

export const iptables: Tool = makeIptables('iptables', 4);
export const ip6tables: Tool = makeIptables('ip6tables', 6);
