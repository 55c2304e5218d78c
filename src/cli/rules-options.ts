/** Options that say which host a ruleset is on: the same for `try` and `expect`. */
import { dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { KINDS, type RulesKind } from '../firewall/detect.ts';
import { type Given, parseAddrJson, parseIface, parseRoute, parseRouteJson } from '../firewall/infer.ts';
import { Firewall, type FirewallOptions } from '../firewall/try.ts';
import { readBytes, readText } from './output.ts';

export type RulesOptions = {
  readonly iface: string[];
  readonly route: string[];
  readonly addrJson?: string;
  readonly routeJson: string[];
  readonly kind?: RulesKind;
  readonly ipv6?: boolean;
  readonly arg: string[];
};

const collect = (value: string, list: string[]): string[] => [...list, value];

/** Adds the options to a command. */
export function addRulesOptions(command: Command): Command {
  return command
    .option('--iface <name=addr/len>', 'an interface and its addresses, e.g. lan=10.0.0.1/24 (repeat)', collect, [])
    .option('--route <route>', 'a route, e.g. "default via 192.0.2.1 dev wan" (repeat)', collect, [])
    .option('--addr-json <file>', 'interfaces and addresses: saved output of `ip -j addr`')
    .option('--route-json <file>', 'routes: saved output of `ip -j route` or `ip -j -6 route` (repeat)', collect, [])
    .addOption(new Option('--kind <kind>', 'what RULES is, when its content does not say').choices(KINDS))
    .option('--ipv6', 'RULES is a file of ip6tables-save')
    .option('--arg <word>', 'an argument of a shell script, e.g. start (repeat)', collect, []);
}

/** What flags and saved output say. */
export function givenOf(options: RulesOptions): Given {
  const addr = options.addrJson === undefined ? [] : parseAddrJson(readText(options.addrJson));
  return {
    ifaces: [...addr, ...options.iface.map(parseIface)],
    routes: [...options.routeJson.flatMap((f) => parseRouteJson(readText(f))), ...options.route.map(parseRoute)],
  };
}

type FileOptions = Pick<RulesOptions, 'kind' | 'ipv6' | 'arg'>;

/** A ruleset file, with its includes read from beside it. `file` is what it is called, `path` where it lies. */
export function firewallOptions(
  file: string,
  given: Given,
  options: FileOptions,
  path: string = file,
): FirewallOptions {
  const beside = (name: string): string => resolve(dirname(path), name);
  return {
    text: readText(path),
    file,
    given,
    readFile: (name) => readText(name === file ? path : beside(name)),
    readBytes: (name) => readBytes(name),
    args: options.arg,
    ...(options.kind !== undefined && { kind: options.kind }),
    ...(options.ipv6 === true && { six: true }),
  };
}

/** The ruleset file, ready for packets. */
export function openFirewall(file: string, given: Given, options: FileOptions, path: string = file): Firewall {
  return new Firewall(firewallOptions(file, given, options, path));
}
