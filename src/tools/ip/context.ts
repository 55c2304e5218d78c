/**
 * One run of the `ip` tool: its options, its netlink socket, the names of devices, its output, and the ways it fails.
 */
import { AF_INET, AF_INET6, AF_UNSPEC, type Prefix, parsePrefix } from '../../wire/address.ts';
import { AttrWriter, attrMap, getString } from '../../wire/netlink/attr.ts';
import { emitIfInfo, IFINFOMSG_LENGTH, parseIfInfo } from '../../wire/netlink/rtnetlink.ts';
import { IFLA_EXT_MASK, IFLA_IFNAME, RTM_GETLINK, RTM_NEWLINK } from '../../wire/uapi/rtnetlink.ts';
import type { ToolIo } from '../io.ts';
import { NetlinkClient } from '../netlink-client.ts';
import { Printer } from './printer.ts';

export type IpOptions = {
  /** AF_UNSPEC, AF_INET or AF_INET6. */
  family: number;
  json: boolean;
  pretty: boolean;
  brief: boolean;
  details: number;
  stats: number;
  oneline: boolean;
  numeric: boolean;
  /** `-force`: a batch goes on after an error. */
  force: boolean;
};

/** Plain text for people, any family. */
export const PLAIN: IpOptions = {
  family: AF_UNSPEC,
  json: false,
  pretty: false,
  brief: false,
  details: 0,
  stats: 0,
  oneline: false,
  numeric: false,
  force: false,
};

/** A command that failed with this text and exit code. */
export class IpError extends Error {
  readonly code: number;
  constructor(text: string, code: number) {
    super(text);
    this.name = 'IpError';
    this.code = code;
  }
}

/** A wrong argument, in iproute2's words. */
export function invalidArgument(text: string, why: string): IpError {
  return new IpError(`Error: argument "${text}" is wrong: ${why}\n`, 255);
}

/** `dev` and its kin left out. */
export function missing(what: string, code = 255): IpError {
  return new IpError(`Not enough information: "${what}" argument is required.\n`, code);
}

/** The device as the kernel lists it. */
export type LinkInfo = { readonly index: number; readonly name: string; readonly flags: number };

export class Context {
  readonly options: IpOptions;
  readonly io: ToolIo;
  readonly out: Printer;
  stderr = '';
  #client: NetlinkClient | undefined;
  #links: Map<number, LinkInfo> | undefined;

  constructor(options: IpOptions, io: ToolIo) {
    this.options = options;
    this.io = io;
    this.out = new Printer(options.json, options.oneline);
  }

  /** The NETLINK_ROUTE socket, opened on first use. */
  get netlink(): NetlinkClient {
    this.#client ??= new NetlinkClient(this.io.netlink.open(0));
    return this.#client;
  }

  /** All devices by index; asked for once, until `forgetLinks`. */
  links(): Map<number, LinkInfo> {
    if (this.#links === undefined) {
      this.#links = new Map();
      const payload = new AttrWriter().raw(emitIfInfo({})).u32(IFLA_EXT_MASK, 9).finish();
      for (const m of this.netlink.dump(RTM_GETLINK, payload)) {
        if (m.type !== RTM_NEWLINK) continue;
        const header = parseIfInfo(m.payload);
        const name = attrMap(m.payload, IFINFOMSG_LENGTH).get(IFLA_IFNAME);
        if (name !== undefined)
          this.#links.set(header.index, { index: header.index, name: getString(name.payload), flags: header.flags });
      }
    }
    return this.#links;
  }

  /** Forgets the device list: a batch line may have changed it. */
  forgetLinks(): void {
    this.#links = undefined;
  }

  /** Name of an index; "ifN" when there is no such device. */
  linkName(index: number): string {
    return this.links().get(index)?.name ?? `if${index}`;
  }

  /** Index of a name, or undefined. */
  linkIndex(name: string): number | undefined {
    for (const link of this.links().values()) if (link.name === name) return link.index;
    const n = /^if(\d+)$/.exec(name);
    return n !== null && this.links().has(Number(n[1])) ? Number(n[1]) : undefined;
  }

  /** Index of a device that must exist. */
  needLink(name: string): number {
    checkDeviceName(name, 'dev');
    const index = this.linkIndex(name);
    if (index === undefined) throw new IpError(`Cannot find device "${name}"\n`, 1);
    return index;
  }
}

/** Refuses what cannot be a device's name. */
export function checkDeviceName(name: string, what: string): void {
  if (name.length > 15 || name === '' || /[/\s]/.test(name))
    throw invalidArgument(name, `"${what}" not a valid ifname`);
}

/** Walks a command's arguments. */
export class Args {
  readonly #argv: readonly string[];
  #at = 0;

  constructor(argv: readonly string[]) {
    this.#argv = argv;
  }

  get done(): boolean {
    return this.#at >= this.#argv.length;
  }

  /** The next word without taking it. */
  peek(): string {
    return this.#argv[this.#at] ?? '';
  }

  /** Takes the next word; the command line is incomplete without one. */
  next(): string {
    if (this.done) throw new IpError('Command line is not complete. Try option "help"\n', 255);
    return this.#argv[this.#at++];
  }

  /** Takes the next word if it is one of these. */
  accept(...words: string[]): boolean {
    if (this.done || !words.includes(this.peek())) return false;
    this.#at++;
    return true;
  }

  rest(): string[] {
    return this.#argv.slice(this.#at);
  }
}

/** iproute2's abbreviations: a word stands for the first of `words` that begins with it. */
export function matchWord(word: string, words: readonly string[]): string | undefined {
  return words.find((w) => w === word) ?? words.find((w) => word !== '' && w.startsWith(word));
}

/** A prefix of the wanted family; "default", "any" and "all" are the empty one (`length` 0, no bytes). */
export function readPrefix(text: string, family: number): Prefix {
  if (text === 'default' || text === 'any' || text === 'all')
    return {
      family: family === AF_UNSPEC && text !== 'default' ? AF_UNSPEC : family,
      address: new Uint8Array(0),
      length: 0,
    };
  // "10/8" is "10.0.0.0/8".
  const short = /^(\d+(?:\.\d+){0,2})(\/\d+)?$/.exec(text);
  const full =
    short !== null && family !== AF_INET6
      ? `${short[1]}${'.0'.repeat(3 - (short[1].match(/\./g)?.length ?? 0))}${short[2] ?? '/32'}`
      : text;
  const prefix = parsePrefix(full) ?? maskedPrefix(full);
  if (prefix === undefined || (family !== AF_UNSPEC && prefix.family !== family)) {
    const kind = family === AF_INET ? 'inet' : family === AF_INET6 ? 'inet6' : 'any valid';
    throw new IpError(`Error: ${kind} prefix is expected rather than "${text}".\n`, 1);
  }
  return prefix;
}

// "10.0.0.0/255.0.0.0"
function maskedPrefix(text: string): Prefix | undefined {
  const m = /^([\d.]+)\/(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (m === null) return undefined;
  const mask = parsePrefix(m[2])?.address;
  const base = parsePrefix(m[1]);
  if (mask === undefined || base === undefined) return undefined;
  const bits = ((mask[0] << 24) | (mask[1] << 16) | (mask[2] << 8) | mask[3]) >>> 0;
  const length = bits === 0 ? 0 : Math.clz32(~bits >>> 0);
  return bits === (length === 0 ? 0 : (-1 << (32 - length)) >>> 0) ? { ...base, length } : undefined;
}

/** An address of the wanted family. */
export function readAddress(text: string, family: number): Prefix {
  const prefix = text.includes('/') ? undefined : parsePrefix(text);
  if (prefix === undefined || (family !== AF_UNSPEC && prefix.family !== family)) {
    const kind = family === AF_INET ? 'inet' : family === AF_INET6 ? 'inet6' : 'any valid';
    throw new IpError(`Error: ${kind} address is expected rather than "${text}".\n`, 1);
  }
  return prefix;
}

/** A command of an object ("show" of "link"). */
export type Command = (ctx: Context, argv: readonly string[]) => void;

/** Runs `argv[0]` (may be abbreviated; "show" when missing) of an object's commands. */
export function runCommand(
  ctx: Context,
  object: string,
  argv: readonly string[],
  commands: readonly (readonly [string, Command])[],
): void {
  const word = argv.length === 0 ? 'show' : argv[0];
  const names = commands.map(([name]) => name);
  if (word === 'help')
    throw new IpError(`Usage: ip ${object} { ${names.join(' | ')} } ... (see ip-${object}(8))\n`, 255);
  const name = matchWord(word, names);
  const command = commands.find(([n]) => n === name)?.[1];
  if (command === undefined) throw new IpError(`Command "${word}" is unknown, try "ip ${object} help".\n`, 255);
  command(ctx, argv.slice(1));
}

/** A command netloom does not have. */
export function unsupported(what: string): Command {
  return () => {
    throw new IpError(`netloom does not support "${what}".\n`, 255);
  };
}
