/**
 * `netloom convert`: an iptables ruleset as an nft script that means the same, with the proof. Rules are taken as the kernel
 * half has them, put into the words of nft (`tools/iptables/translate`), merged where neighbours differ in values only
 * (`tools/nft/optimize`), and the script is compared with what it comes from by reasoning over all packets (`diff.ts`).
 *
 *     convert({ text: save, file: 'rules.v4', given }).proof?.verdict; // 'equal'
 */
import { optimize } from '../tools/nft/index.ts';
import { type CompareOptions, compare, type Difference } from './diff.ts';
import { Machine } from './machine.ts';
import { BadInput } from './problem.ts';
import { type FirewallOptions, inputOf, setUp } from './set-up.ts';

export type ConvertOptions = {
  /** Keep a counter in every rule, as iptables has one. */
  readonly counters?: boolean;
  /** Merge neighbouring rules into sets, concatenations and maps; default true. */
  readonly merge?: boolean;
  /** Compare the result with the input; default true. */
  readonly prove?: boolean;
  readonly compare?: CompareOptions;
};

export type Converted = {
  /** The nft script. */
  readonly text: string;
  /** Rules that nft has no words for, as `iptables-save` prints them; they are left out. */
  readonly left: readonly string[];
  readonly warnings: readonly string[];
  /** How the script compares with the input; undefined when that was not asked for. */
  readonly proof: Difference | undefined;
};

const NAME = 'converted.nft';

/** Converts a ruleset. Throws BadInput for one that cannot be read or is nft already. */
export function convert(options: FirewallOptions, how: ConvertOptions = {}): Converted {
  const input = inputOf(options);
  if (input.kind === 'nft') throw new BadInput(`${options.file} is an nft script already`);
  const { machine, warnings } = setUp(input, options.given, []);
  const commands: string[] = [];
  const left: string[] = [];
  for (const tool of ['iptables', 'ip6tables']) {
    const save = run(machine, `${tool}-save`, '');
    if (!save.includes('*')) continue;
    for (const line of run(machine, `${tool}-restore-translate`, save).split('\n')) {
      // What has no translation comes back as a comment that begins with its table.
      if (line.startsWith('# -t ')) left.push(`${tool} ${line.slice(2)}`);
      else if (line !== '' && !line.startsWith('#')) commands.push(how.counters === true ? line : uncounted(line));
    }
  }
  const plain = listed(withoutIdle(commands).join('\n'));
  const text = how.merge === false ? plain : listed(optimize(plain, { file: NAME }).text);
  const fresh: FirewallOptions = { text, file: NAME, given: options.given, kind: 'nft' };
  const proof = how.prove === false ? undefined : compare(options, fresh, how.compare);
  return { text, left, warnings, proof };
}

function run(machine: Machine, tool: string, stdin: string): string {
  const { code, stdout, stderr } = machine.run(tool, [], { stdin });
  if (code !== 0) throw new BadInput(`${tool}: ${stderr.trim()}`);
  return stdout;
}

/** A rule without its counter; the word may stand in a string too. */
function uncounted(command: string): string {
  return command.replace(/^((?:[^"]|"[^"]*")*?) counter(?= |$)/, '$1');
}

/** Without base chains that accept everything, and tables that have nothing else. */
function withoutIdle(commands: readonly string[]): string[] {
  const used = new Set<string>();
  for (const command of commands) {
    const m = /^add rule (\S+ \S+ \S+)/.exec(command);
    if (m !== null) used.add(m[1]);
  }
  const chains = commands.filter((command) => {
    const m = /^add chain (\S+ \S+ \S+) \{.* policy accept; \}$/.exec(command);
    return m === null || used.has(m[1]);
  });
  return chains.filter((command) => {
    const m = /^add table (\S+ \S+)$/.exec(command);
    return m === null || chains.some((other) => other !== command && other.includes(` ${m[1]} `));
  });
}

/** A script's ruleset as nft lists it. */
function listed(script: string): string {
  const machine = new Machine([]);
  const loaded = machine.run('nft', ['-f', '-'], { stdin: `${script}\n` });
  if (loaded.code !== 0) throw new BadInput(`the translation does not load:\n${loaded.stderr.trimEnd()}`);
  return machine.run('nft', ['-s', 'list', 'ruleset']).stdout;
}
