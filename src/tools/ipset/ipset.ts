/** The command `ipset` (ipset(8), version 7.17): words in, nfnetlink messages, text out. */

import { AttrWriter, attrMap, getString } from '../../wire/netlink/attr.ts';
import { emitMessages, type Message, type NetlinkSocket, readAck } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/ipset.ts';
import { type SetType, setTypes } from '../../wire/uapi/ipset-types.ts';
import {
  NETLINK_NETFILTER,
  NLA_F_NET_BYTEORDER,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
} from '../../wire/uapi/netlink.ts';
import { NFNL_SUBSYS_IPSET } from '../../wire/uapi/nfnetlink.ts';
import type { Tool, ToolIo, ToolResult } from '../io.ts';
import { writeElement } from './element.ts';
import { IpsetError, kernelText, syntax } from './errors.ts';
import { listText, readSets, saveText, xmlText } from './list.ts';
import { familyOf, needType, usage, writeCreate, writeExtensions } from './options.ts';

const VERSION = 'ipset v7.17';

const COMMANDS: Readonly<Record<string, string>> = {
  create: 'create',
  '-N': 'create',
  '--create': 'create',
  n: 'create',
  new: 'create',
  add: 'add',
  '-A': 'add',
  '--add': 'add',
  del: 'del',
  '-D': 'del',
  '--del': 'del',
  test: 'test',
  '-T': 'test',
  '--test': 'test',
  destroy: 'destroy',
  '-X': 'destroy',
  '--destroy': 'destroy',
  x: 'destroy',
  list: 'list',
  '-L': 'list',
  '--list': 'list',
  save: 'save',
  '-S': 'save',
  '--save': 'save',
  restore: 'restore',
  '-R': 'restore',
  '--restore': 'restore',
  flush: 'flush',
  '-F': 'flush',
  '--flush': 'flush',
  rename: 'rename',
  '-E': 'rename',
  '--rename': 'rename',
  e: 'rename',
  swap: 'swap',
  '-W': 'swap',
  '--swap': 'swap',
  w: 'swap',
  help: 'help',
  '-H': 'help',
  '--help': 'help',
  '-h': 'help',
  version: 'version',
  '-V': 'version',
  '--version': 'version',
  '-v': 'version',
};

type Global = {
  exist: boolean;
  quiet: boolean;
  sorted: boolean;
  names: boolean;
  terse: boolean;
  output: string | undefined;
  file: string | undefined;
};

type Kernel = { readonly socket: NetlinkSocket; readonly known: Map<string, { type: SetType; family: number }> };

/** Options may stand anywhere; what is left is the command and its words. */
function takeGlobal(argv: readonly string[]): { words: string[]; g: Global } {
  const g: Global = {
    exist: false,
    quiet: false,
    sorted: false,
    names: false,
    terse: false,
    output: undefined,
    file: undefined,
  };
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i];
    const is = (...names: string[]): boolean => names.includes(arg);
    if (is('-!', '-exist', '--exist')) g.exist = true;
    else if (is('-q', '-quiet', '--quiet')) g.quiet = true;
    else if (is('-s', '-sorted', '--sorted')) g.sorted = true;
    else if (is('-n', '-name', '--name')) g.names = true;
    else if (is('-t', '-terse', '--terse')) g.terse = true;
    else if (is('-r', '-resolve', '--resolve')) continue;
    else if (is('-o', '-output', '--output')) g.output = argv[++i];
    else if (is('-f', '-file', '--file')) g.file = argv[++i];
    else words.push(arg);
  }
  return { words, g };
}

function send(
  kernel: Kernel,
  command: number,
  flags: number,
  fill: (w: AttrWriter) => void,
  method?: string,
): Message[] {
  const w = new AttrWriter().raw(Uint8Array.of(2, 0, 0, 0)).u8(U.IPSET_ATTR_PROTOCOL, U.IPSET_PROTOCOL);
  fill(w);
  const type = (NFNL_SUBSYS_IPSET << 8) | command;
  const replies = kernel.socket.send(
    emitMessages([{ type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, seq: 1, port: 0, payload: w.finish() }]),
  );
  for (const m of replies) {
    const ack = readAck(m);
    if (ack !== undefined && ack.errno !== 0)
      throw new KernelRefusal(Math.abs(ack.errno), kernelText(Math.abs(ack.errno), command, method));
  }
  return replies.filter((m) => m.type === type || m.type === ((NFNL_SUBSYS_IPSET << 8) | U.IPSET_CMD_LIST));
}

class KernelRefusal extends IpsetError {
  readonly errno: number;

  constructor(errno: number, text: string) {
    super(text);
    this.errno = errno;
  }
}

/** Type and family of a set that is there. */
function typeOf(kernel: Kernel, name: string): { type: SetType; family: number } {
  const known = kernel.known.get(name);
  if (known !== undefined) return known;
  const [m] = send(kernel, U.IPSET_CMD_HEADER, 0, (w) => w.string(U.IPSET_ATTR_SETNAME, name));
  const attrs = attrMap(m.payload, 4);
  const found = {
    type: needType(getString(attrs.get(U.IPSET_ATTR_TYPENAME)?.payload ?? new Uint8Array())),
    family: attrs.get(U.IPSET_ATTR_FAMILY)?.payload[0] ?? 0,
  };
  kernel.known.set(name, found);
  return found;
}

function need(words: readonly string[], count: number, command: string): void {
  if (words.length < 1 && count >= 1) throw usage(`Missing mandatory argument to command ${command}`);
  if (words.length < 2 && count >= 2) throw usage(`Missing second mandatory argument to command ${command}`);
}

function only(words: readonly string[], count: number): void {
  if (words.length > count) throw usage(`Unknown argument ${words[count]}`);
}

function create(kernel: Kernel, words: readonly string[], exist: boolean): void {
  need(words, 2, 'create');
  const [name, typeName, ...rest] = words;
  if (name.length >= U.IPSET_MAXNAMELEN)
    throw syntax(`setname '${name}' is longer than ${U.IPSET_MAXNAMELEN - 1} characters`);
  const type = needType(typeName);
  const family = familyOf(type, rest);
  const fill = (w: AttrWriter): void => {
    w.string(U.IPSET_ATTR_SETNAME, name)
      .string(U.IPSET_ATTR_TYPENAME, type.name)
      .u8(U.IPSET_ATTR_REVISION, type.revision)
      .u8(U.IPSET_ATTR_FAMILY, family);
    writeCreate(w, type, family, rest);
  };
  send(kernel, U.IPSET_CMD_CREATE, exist ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_EXCL, fill, type.method);
  kernel.known.set(name, { type, family });
}

const ENTRY_COMMANDS: Readonly<Record<string, number>> = {
  add: U.IPSET_CMD_ADD,
  del: U.IPSET_CMD_DEL,
  test: U.IPSET_CMD_TEST,
};

/** add, del, test: answers whether the element was found, for test. */
function entry(kernel: Kernel, command: string, words: readonly string[], exist: boolean): boolean {
  need(words, 2, command);
  const [name, element, ...rest] = words;
  const { type, family } = typeOf(kernel, name);
  const number = ENTRY_COMMANDS[command];
  const fill = (w: AttrWriter): void => {
    w.string(U.IPSET_ATTR_SETNAME, name).nest(U.IPSET_ATTR_DATA, (d) => {
      let flags = 0;
      if (type.method === 'list') d.string(U.CADT_NAME, element);
      else flags = writeElement(d, type, family, element);
      flags |= writeExtensions(d, type, rest);
      if (flags !== 0) d.beU32(U.CADT_FLAGS | NLA_F_NET_BYTEORDER, flags);
    });
  };
  try {
    send(kernel, number, exist || command === 'test' ? 0 : NLM_F_EXCL, fill, type.method);
    return true;
  } catch (error) {
    if (command === 'test' && error instanceof KernelRefusal && error.errno === U.IPSET_ERR_EXIST) return false;
    throw error;
  }
}

function names(kernel: Kernel, command: string, number: number, words: readonly string[]): void {
  need(words, 2, command);
  only(words, 2);
  send(kernel, number, 0, (w) => w.string(U.IPSET_ATTR_SETNAME, words[0]).string(U.IPSET_ATTR_SETNAME2, words[1]));
  kernel.known.clear();
}

function show(kernel: Kernel, command: string, words: readonly string[], g: Global): string {
  only(words, 1);
  const flags = g.names ? U.IPSET_FLAG_LIST_SETNAME : g.terse ? U.IPSET_FLAG_LIST_HEADER : 0;
  const messages = send(kernel, command === 'list' ? U.IPSET_CMD_LIST : U.IPSET_CMD_SAVE, NLM_F_DUMP, (w) => {
    if (words.length > 0) w.string(U.IPSET_ATTR_SETNAME, words[0]);
    if (flags !== 0) w.beU32(U.IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, flags);
  });
  const sets = readSets(messages, g.sorted);
  const mode = g.output ?? (command === 'save' ? 'save' : 'plain');
  if (g.names && mode === 'plain') return sets.map((s) => `${s.name}\n`).join('');
  if (mode === 'save') return saveText(sets);
  if (mode === 'xml') return xmlText(sets, g.names, g.terse);
  if (mode !== 'plain') throw syntax(`unknown output mode '${mode}'`);
  return listText(sets, g.terse);
}

/** One command; text for stdout and stderr. */
function run(
  kernel: Kernel,
  name: string,
  words: readonly string[],
  g: Global,
): { out: string; err?: string; code: number } {
  switch (name) {
    case 'create':
      create(kernel, words, g.exist);
      break;
    case 'add':
    case 'del':
      entry(kernel, name, words, g.exist);
      break;
    case 'test': {
      const hit = entry(kernel, name, words, g.exist);
      const [set, element] = words;
      if (hit) return { out: '', code: 0, ...(!g.quiet && { err: `Warning: ${element} is in set ${set}.\n` }) };
      return { out: '', code: 1, ...(!g.quiet && { err: `${element} is NOT in set ${set}.\n` }) };
    }
    case 'destroy':
    case 'flush':
      only(words, 1);
      send(kernel, name === 'flush' ? U.IPSET_CMD_FLUSH : U.IPSET_CMD_DESTROY, 0, (w) => {
        if (words.length > 0) w.string(U.IPSET_ATTR_SETNAME, words[0]);
      });
      kernel.known.clear();
      break;
    case 'rename':
      names(kernel, name, U.IPSET_CMD_RENAME, words);
      break;
    case 'swap':
      names(kernel, name, U.IPSET_CMD_SWAP, words);
      break;
    case 'list':
    case 'save':
      return { out: show(kernel, name, words, g), code: 0 };
    case 'version':
      return { out: `${VERSION}, protocol version: ${U.IPSET_PROTOCOL}\n`, code: 0 };
    default:
      return { out: help(), code: 0 };
  }
  return { out: '', code: 0 };
}

/** Words of a restore line: blanks separate, double quotes hold together. */
function splitLine(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]);
}

function restore(kernel: Kernel, text: string, g: Global): void {
  text.split('\n').forEach((line, i) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#') || trimmed === 'COMMIT') return;
    try {
      const { words, g: own } = takeGlobal(splitLine(trimmed));
      const name = COMMANDS[words[0]];
      if (name === undefined || ['restore', 'list', 'save', 'help', 'version'].includes(name))
        throw new IpsetError(`No command specified: unknown argument ${words[0]}`);
      run(kernel, name, words.slice(1), { ...g, exist: g.exist || own.exist });
    } catch (error) {
      if (error instanceof IpsetError) throw new IpsetError(`Error in line ${i + 1}: ${error.message}`, 1);
      throw error;
    }
  });
}

function help(): string {
  return `${VERSION}

Usage: ipset [options] COMMAND

Commands:
create SETNAME TYPENAME [type-specific-options]
add SETNAME ENTRY
del SETNAME ENTRY
test SETNAME ENTRY
destroy [SETNAME]
list [SETNAME]
save [SETNAME]
restore
flush [SETNAME]
rename FROM-SETNAME TO-SETNAME
swap FROM-SETNAME TO-SETNAME
help
version

Options: -o plain|save|xml, -s (sorted), -q (quiet), -! (exist), -n (names), -t (terse), -f FILE

Types: ${setTypes()
    .map((type) => type.name)
    .join(' ')}
`;
}

/** The command as a function. */
export const ipset: Tool = (argv: readonly string[], io: ToolIo): ToolResult => {
  const { words, g } = takeGlobal(argv);
  try {
    const name = COMMANDS[words[0] ?? ''];
    if (words.length === 0) throw usage('No command specified.');
    if (name === undefined) throw usage(`No command specified: unknown argument ${words[0]}`);
    const kernel: Kernel = { socket: io.netlink.open(NETLINK_NETFILTER), known: new Map() };
    if (name === 'restore') {
      const text = g.file === undefined ? io.stdin : io.readFile?.(g.file);
      if (text === undefined) throw new IpsetError(`Cannot open ${g.file ?? 'standard input'} for reading`);
      restore(kernel, text, g);
      return { code: 0, stdout: '', stderr: '' };
    }
    if (g.file !== undefined) throw new IpsetError('netloom does not write files');
    const { out, err, code } = run(kernel, name, words.slice(1), g);
    return { code, stdout: out, stderr: err ?? '' };
  } catch (error) {
    if (!(error instanceof IpsetError)) throw error;
    return { code: error.code, stdout: '', stderr: g.quiet ? '' : `${VERSION}: ${error.message}\n` };
  }
};
