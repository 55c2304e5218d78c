/**
 * conntrack(8) as a function: connections and expectations over netlink, as conntrack-tools 1.4.7 lists, makes, changes,
 * deletes, counts and loads them.
 *
 *     const { stdout } = conntrack(['-L', '-p', 'tcp'], io);
 */
import { NETLINK_NETFILTER } from '../../wire/uapi/netlink.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { NetlinkClient } from '../netlink-client.ts';
import { Commands, type Output, VERSION } from './commands.ts';
import { HELP } from './help.ts';
import { type LabelMap, labelMap } from './labels.ts';
import { ConntrackError, type Options, parseOptions } from './options.ts';
import type { Show } from './print.ts';

const COMMANDS_OF_FILES: ReadonlySet<string> = new Set(['I', 'A', 'D', 'U', 'F']);

/** Splits a line of a file into words; double quotes hold words together. */
function split(line: string): string[] {
  const words: string[] = [];
  for (const m of line.matchAll(/"([^"]*)"|(\S+)/g)) words.push(m[1] ?? m[2]);
  return words;
}

/** What the tool reads to answer: the label names when asked for, and the time. */
export function showOf(o: Options, labels: LabelMap, io: ToolIo): Show {
  if (o.output.has('labels')) void labels.found;
  return { output: o.output, labels, nowMs: io.now?.() ?? 0 };
}

function load(o: Options, io: ToolIo, client: NetlinkClient, labels: LabelMap, out: Output): void {
  let text: string;
  try {
    text = o.file === '-' ? (io.stdin ?? '') : (io.readFile?.(o.file!) ?? '');
    if (o.file !== '-' && io.readFile === undefined) throw new Error('no files');
  } catch {
    throw new ConntrackError(`Failed to open file ${o.file} for reading`, 1);
  }
  const commands: Options[] = [];
  for (const line of text.split('\n')) {
    const words = split(line);
    if (words.length === 0 || words[0].startsWith('#')) continue;
    if (words[0] === 'conntrack') words.shift();
    const own = parseOptions(words, labels);
    if (!COMMANDS_OF_FILES.has(own.command))
      throw new ConntrackError(`Cannot use command \`-${own.command}' with --load-file`);
    commands.push(own);
  }
  for (const own of commands) new Commands(client, own, showOf(own, labels, io), out, true).run();
}

/** Runs `conntrack ARGV`. */
export function conntrack(argv: readonly string[], io: ToolIo): ToolResult {
  const out: Output = { stdout: '', stderr: '', code: 0 };
  const labels = labelMap(io.readFile, () => {
    out.stderr += 'nfct_labelmap_new: No such file or directory\n';
  });
  try {
    const o = parseOptions(argv, labels);
    if (o.command === '' || o.command === 'h') out.stdout += HELP;
    else if (o.command === 'V') out.stdout += `${VERSION}\n`;
    else {
      const client = new NetlinkClient(io.netlink.open(NETLINK_NETFILTER));
      if (o.command === 'R') load(o, io, client, labels, out);
      else if (o.command === 'E')
        throw new ConntrackError('netloom runs conntrack -E as a session (conntrackEvents)', 1);
      else new Commands(client, o, showOf(o, labels, io), out).run();
    }
  } catch (error) {
    if (!(error instanceof ConntrackError)) throw error;
    out.stderr += `${VERSION}: ${error.message}\n`;
    if (error.code === 2) out.stderr += "Try `conntrack -h' or 'conntrack --help' for more information.\n";
    out.code = error.code;
  }
  return out;
}
