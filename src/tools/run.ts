/**
 * Runs a command line on a host without a shell: the first word names a tool of netloom. What is no tool is refused by
 * name, as a shell would, with exit code 127.
 */
import { strerror } from '../core/errno.ts';
import { bpftool } from './bpftool/bpftool.ts';
import type { Tool, ToolIo, ToolResult } from './io.ts';
import { ip } from './ip/main.ts';
import { ipset } from './ipset/ipset.ts';
import {
  ip6tables,
  ip6tablesRestore,
  ip6tablesRestoreTranslate,
  ip6tablesSave,
  ip6tablesTranslate,
  iptables,
  iptablesRestore,
  iptablesRestoreTranslate,
  iptablesSave,
  iptablesTranslate,
} from './iptables/index.ts';
import { nft } from './nft/index.ts';
import { ping } from './ping/ping.ts';
import type { PingHost } from './ping/socket.ts';
import { sysctl } from './sysctl/sysctl.ts';
import { tc } from './tc/tc.ts';
import { splitCommand, WordsError } from './words.ts';

/** What a command may touch: netlink, sysctls, files, echo sockets, and the time. */
export type CommandIo = ToolIo & {
  readonly ping?: PingHost;
  /** Gets output as it comes, before the result holds all of it. */
  readonly onOutput?: (text: string) => void;
};

/** Tools that need netlink, sysctls and files only, by name. */
export type ToolTable = Readonly<Record<string, Tool>>;

/** The tools of this folder. */
export const TOOLS: ToolTable = {
  bpftool,
  ip,
  ipset,
  ip6tables,
  'ip6tables-restore': ip6tablesRestore,
  'ip6tables-restore-translate': ip6tablesRestoreTranslate,
  'ip6tables-save': ip6tablesSave,
  'ip6tables-translate': ip6tablesTranslate,
  iptables,
  'iptables-restore': iptablesRestore,
  'iptables-restore-translate': iptablesRestoreTranslate,
  'iptables-save': iptablesSave,
  'iptables-translate': iptablesTranslate,
  nft,
  sysctl,
  tc,
};

const OWN = ['echo', 'ping', 'ping6', 'sleep', 'true', 'false', ':'];

/** Runs one command line. `tools`: what can be called beside ping and a few shell words. */
export function runLine(line: string, io: CommandIo, tools: ToolTable = TOOLS): ToolResult {
  try {
    const { words, output } = splitCommand(line);
    return runWords(words, io, tools, output);
  } catch (error) {
    if (error instanceof WordsError) return { code: 2, stdout: '', stderr: `netloom: ${error.message}: ${line}\n` };
    throw error;
  }
}

/** Runs a command given as words; `output` is the file that `>` named. */
export function runWords(
  words: readonly string[],
  io: CommandIo,
  tools: ToolTable = TOOLS,
  output: string | undefined = undefined,
): ToolResult {
  if (words.length === 0) return { code: 0, stdout: '', stderr: '' };
  const name = words[0].replace(/^(?:\/usr)?(?:\/local)?\/s?bin\//, '');
  const argv = words.slice(1);
  if (output !== undefined && name !== 'echo')
    return refuse(`output can only go to files below /proc/sys ("${words[0]}")`);
  switch (name) {
    case 'true':
    case ':':
      return { code: 0, stdout: '', stderr: '' };
    case 'false':
      return { code: 1, stdout: '', stderr: '' };
    case 'echo':
      return echo(argv, io, output);
    case 'ping':
    case 'ping6':
      if (io.ping === undefined) return refuse('this host has no ICMP sockets');
      return ping(name === 'ping6' ? ['-6', ...argv] : argv, io.ping, io.onOutput);
    case 'sleep':
      return sleep(argv, io);
  }
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) {
    const known = [...Object.keys(tools), ...OWN].sort().join(', ');
    return { code: 127, stdout: '', stderr: `netloom does not have the command "${words[0]}" (it has: ${known})\n` };
  }
  const result = tool(argv, io);
  if (result.stdout !== '') io.onOutput?.(result.stdout);
  return result;
}

function refuse(problem: string): ToolResult {
  return { code: 2, stdout: '', stderr: `netloom: ${problem}\n` };
}

// `echo 1 > /proc/sys/net/ipv4/ip_forward`, the other way to set a sysctl.
function echo(argv: readonly string[], io: CommandIo, output: string | undefined): ToolResult {
  const text = argv[0] === '-n' ? argv.slice(1).join(' ') : argv.join(' ');
  if (output === undefined) return { code: 0, stdout: argv[0] === '-n' ? text : `${text}\n`, stderr: '' };
  const m = /^\/proc\/sys\/(.+)$/.exec(output);
  if (m === null || io.sysctl === undefined) return refuse(`"${output}" is no file below /proc/sys`);
  const name = m[1].replace(/[./]/g, (c) => (c === '/' ? '.' : '/'));
  const errno = io.sysctl.write(name, text.trim());
  return errno === 0
    ? { code: 0, stdout: '', stderr: '' }
    : { code: 1, stdout: '', stderr: `echo: ${output}: ${strerror(errno)}\n` };
}

function sleep(argv: readonly string[], io: CommandIo): ToolResult {
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, '': 1 };
  const m = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(argv[0] ?? '');
  if (m === null || argv.length !== 1)
    return { code: 1, stdout: '', stderr: `sleep: invalid time interval "${argv.join(' ')}"\n` };
  const host = io.ping;
  if (host === undefined) return refuse('this host has no clock');
  host.wait(host.now() + Number(m[1]) * units[m[2]] * 1e9, () => false);
  return { code: 0, stdout: '', stderr: '' };
}
