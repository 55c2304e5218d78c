/**
 * Options of the iptables command line: short clusters, long options with unambiguous abbreviations, `--name=value`,
 * and `!` before an option (getopt_long(3) with options in order).
 */

export type OptSpec = {
  readonly long: string;
  readonly arg: 'none' | 'required' | 'optional';
  /** The short letter of a built-in option. */
  readonly short?: string;
};

export const BUILT_IN: readonly OptSpec[] = [
  { long: 'append', arg: 'required', short: 'A' },
  { long: 'delete', arg: 'required', short: 'D' },
  { long: 'check', arg: 'required', short: 'C' },
  { long: 'insert', arg: 'required', short: 'I' },
  { long: 'replace', arg: 'required', short: 'R' },
  { long: 'list', arg: 'optional', short: 'L' },
  { long: 'list-rules', arg: 'optional', short: 'S' },
  { long: 'flush', arg: 'optional', short: 'F' },
  { long: 'zero', arg: 'optional', short: 'Z' },
  { long: 'new-chain', arg: 'required', short: 'N' },
  { long: 'delete-chain', arg: 'optional', short: 'X' },
  { long: 'rename-chain', arg: 'required', short: 'E' },
  { long: 'policy', arg: 'required', short: 'P' },
  { long: 'source', arg: 'required', short: 's' },
  { long: 'destination', arg: 'required', short: 'd' },
  { long: 'src', arg: 'required', short: 's' },
  { long: 'dst', arg: 'required', short: 'd' },
  { long: 'protocol', arg: 'required', short: 'p' },
  { long: 'in-interface', arg: 'required', short: 'i' },
  { long: 'jump', arg: 'required', short: 'j' },
  { long: 'table', arg: 'required', short: 't' },
  { long: 'match', arg: 'required', short: 'm' },
  { long: 'numeric', arg: 'none', short: 'n' },
  { long: 'out-interface', arg: 'required', short: 'o' },
  { long: 'verbose', arg: 'none', short: 'v' },
  { long: 'wait', arg: 'optional', short: 'w' },
  { long: 'wait-interval', arg: 'optional', short: 'W' },
  { long: 'exact', arg: 'none', short: 'x' },
  { long: 'fragments', arg: 'none', short: 'f' },
  { long: 'version', arg: 'none', short: 'V' },
  { long: 'help', arg: 'optional', short: 'h' },
  { long: 'line-numbers', arg: 'none', short: '0' },
  { long: 'modprobe', arg: 'required', short: 'M' },
  { long: 'set-counters', arg: 'required', short: 'c' },
  { long: 'goto', arg: 'required', short: 'g' },
  { long: 'ipv4', arg: 'none', short: '4' },
  { long: 'ipv6', arg: 'none', short: '6' },
];

const BY_SHORT: ReadonlyMap<string, OptSpec> = new Map([...BUILT_IN].reverse().map((spec) => [spec.short ?? '', spec]));

export function shortOption(letter: string): OptSpec | undefined {
  return letter === '0' ? undefined : BY_SHORT.get(letter);
}

/** One list of long options (the built-in ones, or those of an extension). */
export type LongOptions<T extends OptSpec> = readonly T[];

/**
 * Finds a long option in several lists, first list first: the exact name, or the only one that begins with it.
 * 'ambiguous' when several do.
 */
export function longOption<T extends OptSpec>(
  name: string,
  lists: readonly LongOptions<T>[],
): T | 'ambiguous' | undefined {
  let partial: T | undefined;
  let several = false;
  for (const list of lists)
    for (const spec of list) {
      if (spec.long === name) return spec;
      if (spec.long.startsWith(name)) {
        if (partial !== undefined && !(partial.short !== undefined && partial.short === spec.short)) several = true;
        partial ??= spec;
      }
    }
  return several ? 'ambiguous' : partial;
}
