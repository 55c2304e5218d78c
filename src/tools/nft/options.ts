/** The command line of nft(8). */

import type { Release } from './datatype.ts';
export type Flags = {
  /** Listings as this release has them. */
  readonly release?: Release;
  readonly json: boolean;
  readonly handles: boolean;
  readonly stateless: boolean;
  readonly services: boolean;
  readonly terse: boolean;
  readonly numeric: boolean;
  readonly numericProtocol: boolean;
  readonly numericPriority: boolean;
  readonly numericTime: boolean;
  readonly reverseDns: boolean;
  readonly guid: boolean;
  readonly echo: boolean;
};

export type Arguments = {
  readonly files: readonly string[];
  readonly rest: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
  readonly interactive: boolean;
  readonly options: {
    readonly check: boolean;
    readonly optimize: boolean;
    readonly includePaths: readonly string[];
    readonly defines: ReadonlyMap<string, string>;
    readonly debugNetlink: boolean;
    readonly flags: Flags;
  };
};

export const VERSION = 'nftables v1.0.6 (netloom)\n';
export const USAGE = `Usage: nft [ options ] [ cmds... ]

  -h, --help                      Show this help
  -v, --version                   Show version information
  -f, --file <filename>           Read input from <filename> ("-": standard input)
  -D, --define <name=value>       Define a variable
  -I, --includepath <directory>   Add <directory> to the paths searched for include files
  -i, --interactive               Read input from interactive CLI
  -c, --check                     Check commands validity without actually applying the changes
  -a, --handle                    Output rule handle
  -o, --optimize                  Optimize ruleset
  -s, --stateless                 Omit stateful information of ruleset
  -t, --terse                     Omit contents of sets
  -S, --service                   Translate ports to service names
  -n, --numeric                   Print fully numerical output
  -y, --numeric-priority          Print chain priority numerically
  -p, --numeric-protocol          Print layer 4 protocols numerically
  -T, --numeric-time              Print time values numerically
  -u, --guid                      Print UID/GID as names
  -j, --json                      Format output in JSON
  -e, --echo                      Echo what has been added, inserted or replaced
  -d, --debug <netlink>           Print the kernel expressions of rules
`;

const LONG: Readonly<Record<string, string>> = {
  help: 'h',
  version: 'v',
  file: 'f',
  define: 'D',
  includepath: 'I',
  check: 'c',
  handle: 'a',
  stateless: 's',
  terse: 't',
  service: 'S',
  reversedns: 'N',
  numeric: 'n',
  'numeric-priority': 'y',
  'numeric-protocol': 'p',
  'numeric-time': 'T',
  guid: 'u',
  json: 'j',
  echo: 'e',
  debug: 'd',
  optimize: 'o',
  interactive: 'i',
};
const WITH_VALUE: ReadonlySet<string> = new Set(['f', 'D', 'I', 'd']);

export function parseArguments(argv: readonly string[]): Arguments | { readonly error: string } {
  const set = new Set<string>();
  const files: string[] = [];
  const includePaths: string[] = [];
  const defines = new Map<string, string>();
  const rest: string[] = [];
  let debugNetlink = false;
  const take = (letter: string, value: string): string | undefined => {
    switch (letter) {
      case 'f':
        files.push(value);
        return undefined;
      case 'I':
        includePaths.push(value);
        return undefined;
      case 'd':
        if (value.split(',').some((level) => level === 'netlink' || level === 'all')) debugNetlink = true;
        return undefined;
      default: {
        const equals = value.indexOf('=');
        if (equals <= 0) return `Error: invalid definition '${value}'`;
        defines.set(value.slice(0, equals), value.slice(equals + 1));
        return undefined;
      }
    }
  };
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i];
    // As getopt_long with "+": options come before the command.
    if (rest.length > 0 || arg === '--' || !arg.startsWith('-') || arg === '-') {
      if (arg !== '--' || rest.length > 0) rest.push(arg);
      continue;
    }
    if (arg.startsWith('--')) {
      const equals = arg.indexOf('=');
      const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
      const letter = LONG[name];
      if (letter === undefined) return { error: `nft: unrecognized option '--${name}'` };
      if (!WITH_VALUE.has(letter)) {
        set.add(letter);
        continue;
      }
      const value = equals < 0 ? argv[++i] : arg.slice(equals + 1);
      if (value === undefined) return { error: `nft: option '--${name}' requires an argument` };
      const problem = take(letter, value);
      if (problem !== undefined) return { error: problem };
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const letter = arg[at];
      if (!WITH_VALUE.has(letter)) {
        if (!Object.values(LONG).includes(letter)) return { error: `nft: invalid option -- '${letter}'` };
        set.add(letter);
        continue;
      }
      const value = at + 1 < arg.length ? arg.slice(at + 1) : argv[++i];
      if (value === undefined) return { error: `nft: option requires an argument -- '${letter}'` };
      const problem = take(letter, value);
      if (problem !== undefined) return { error: problem };
      break;
    }
  }
  const numeric = set.has('n');
  return {
    files,
    rest,
    help: set.has('h'),
    version: set.has('v'),
    interactive: set.has('i'),
    options: {
      check: set.has('c'),
      optimize: set.has('o'),
      includePaths,
      defines,
      debugNetlink,
      flags: {
        json: set.has('j'),
        handles: set.has('a'),
        stateless: set.has('s'),
        services: set.has('S'),
        terse: set.has('t'),
        numeric,
        numericProtocol: numeric || set.has('p'),
        numericPriority: numeric || set.has('y'),
        numericTime: numeric || set.has('T'),
        reverseDns: set.has('N'),
        guid: set.has('u'),
        echo: set.has('e'),
      },
    },
  };
}
