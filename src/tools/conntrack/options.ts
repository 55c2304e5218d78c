/** The command line of conntrack(8): one command, the table it is about, and options, checked as the tool checks them. */
import { familyOf, parseAddress } from '../../wire/address.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import type { LabelMap } from './labels.ts';
import { hasPorts, type PortKey, protocolNumber, protocolOptions, stateNumber } from './protocols.ts';

/** A complaint; code 2: about the arguments, and the tool points at its help. */
export class ConntrackError extends Error {
  readonly code: number;
  constructor(message: string, code = 2) {
    super(message);
    this.code = code;
  }
}

export type Address = { readonly address: Uint8Array; readonly mask: Uint8Array };
export type NatOption = { readonly address: Uint8Array | undefined; readonly port: number | undefined };
/** Options with an address: original source and destination, reply source and destination, and those of expectations. */
export type AddressKey = 's' | 'd' | 'r' | 'q' | 'tuple-src' | 'tuple-dst';
export type TableName = 'conntrack' | 'expect' | 'dying' | 'unconfirmed';

export type Options = {
  command: string;
  table: TableName;
  family: number | undefined;
  proto: number | undefined;
  readonly addresses: Map<AddressKey, Address>;
  maskSrc: Uint8Array | undefined;
  maskDst: Uint8Array | undefined;
  readonly ports: Map<PortKey, number>;
  state: string | undefined;
  mark: { readonly value: number; readonly mask: number } | undefined;
  secmark: number | undefined;
  id: number | undefined;
  /** Status bits; 0 with `UNSET`. */
  status: number | undefined;
  timeout: number | undefined;
  zone: number | undefined;
  origZone: number | undefined;
  replyZone: number | undefined;
  readonly nat: Map<'src' | 'dst' | 'any', NatOption>;
  zero: boolean;
  /** IPCT groups of `-e`: 1 new, 2 updates, 4 destroy. */
  events: number | undefined;
  bufferSize: number | undefined;
  readonly labels: number[];
  readonly labelAdd: number[];
  /** Empty: all labels. */
  labelDel: number[] | undefined;
  output: ReadonlySet<string>;
  /** File of `-R`. */
  file: string | undefined;
};

const COMMANDS: Readonly<Record<string, string>> = {
  '-L': 'L',
  '--dump': 'L',
  '-I': 'I',
  '--create': 'I',
  '-A': 'A',
  '--add': 'A',
  '-D': 'D',
  '--delete': 'D',
  '-U': 'U',
  '--update': 'U',
  '-G': 'G',
  '--get': 'G',
  '-F': 'F',
  '--flush': 'F',
  '-E': 'E',
  '--event': 'E',
  '-C': 'C',
  '--count': 'C',
  '-S': 'S',
  '--stats': 'S',
  '-R': 'R',
  '--load-file': 'R',
  '-V': 'V',
  '--version': 'V',
  '-h': 'h',
  '--help': 'h',
};

/** Every option by its canonical name; how it is spelled, and whether it takes an argument (2: it may). */
const SPELLINGS: readonly (readonly [name: string, argument: 0 | 1 | 2, ...others: string[]])[] = [
  ['--src', 1, '-s', '--orig-src'],
  ['--dst', 1, '-d', '--orig-dst'],
  ['--reply-src', 1, '-r'],
  ['--reply-dst', 1, '-q'],
  ['--protonum', 1, '-p', '--proto'],
  ['--timeout', 1, '-t'],
  ['--status', 1, '-u'],
  ['--zero', 0, '-z'],
  ['--event-mask', 1, '-e'],
  ['--output', 1, '-o'],
  ['--tuple-src', 1],
  ['--tuple-dst', 1],
  ['--mask-src', 1],
  ['--mask-dst', 1],
  ['--src-nat', 2, '-n'],
  ['--dst-nat', 2, '-g'],
  ['--any-nat', 2, '-j'],
  ['--mark', 1, '-m'],
  ['--secmark', 1, '-c'],
  ['--id', 1, '-i'],
  ['--family', 1, '-f'],
  ['--zone', 1, '-w'],
  ['--buffer-size', 1, '-b'],
  ['--label', 1, '-l'],
  ['--label-add', 1, '<'],
  ['--label-del', 2, '>'],
  ['--orig-zone', 1],
  ['--reply-zone', 1],
];
const ORDER: readonly string[] = SPELLINGS.map(([name]) => name);

/** By command and table: options that must be there, and the others that may. */
const RULES: Readonly<Record<string, { readonly need?: string; readonly may: string }>> = {
  'L conntrack': {
    may: 'src dst reply-src reply-dst protonum status zero output mask-src mask-dst src-nat dst-nat any-nat mark secmark family zone label orig-zone reply-zone',
  },
  'I conntrack': {
    need: 'protonum timeout',
    may: 'src dst reply-src reply-dst status src-nat dst-nat mark zone label-add orig-zone reply-zone',
  },
  'U conntrack': {
    may: 'src dst reply-src reply-dst protonum timeout status output mask-src mask-dst src-nat dst-nat mark id family label label-add label-del',
  },
  'D conntrack': {
    may: 'src dst reply-src reply-dst protonum timeout status output mask-src mask-dst src-nat dst-nat mark id family zone label orig-zone reply-zone',
  },
  'G conntrack': { need: 'protonum', may: 'src dst reply-src reply-dst output id' },
  'F conntrack': { may: 'family' },
  'E conntrack': {
    may: 'src dst reply-src reply-dst protonum event-mask output mask-src mask-dst src-nat dst-nat any-nat mark secmark family zone buffer-size label orig-zone reply-zone',
  },
  'C conntrack': { may: '' },
  'S conntrack': { may: '' },
  'L expect': { may: 'family output' },
  'I expect': { need: 'src dst protonum timeout tuple-src tuple-dst mask-src mask-dst', may: '' },
  'D expect': { need: 'src dst protonum', may: '' },
  'G expect': { need: 'src dst protonum', may: '' },
  'F expect': { may: '' },
  'E expect': { may: 'output' },
  'C expect': { may: '' },
  'S expect': { may: '' },
};

const STATUS: Readonly<Record<string, number>> = {
  ASSURED: C.IPS_ASSURED,
  SEEN_REPLY: C.IPS_SEEN_REPLY,
  UNSET: 0,
  FIXED_TIMEOUT: C.IPS_FIXED_TIMEOUT,
  EXPECTED: C.IPS_EXPECTED,
  OFFLOAD: C.IPS_OFFLOAD,
  HW_OFFLOAD: C.IPS_HW_OFFLOAD,
};
const EVENTS: Readonly<Record<string, number>> = { ALL: 7, NEW: 1, UPDATES: 2, DESTROY: 4 };
const OUTPUTS: ReadonlySet<string> = new Set([
  'xml',
  'extended',
  'timestamp',
  'id',
  'ktimestamp',
  'labels',
  'userspace',
  'save',
]);

function emptyOptions(): Options {
  return {
    command: '',
    table: 'conntrack',
    family: undefined,
    proto: undefined,
    addresses: new Map(),
    maskSrc: undefined,
    maskDst: undefined,
    ports: new Map(),
    state: undefined,
    mark: undefined,
    secmark: undefined,
    id: undefined,
    status: undefined,
    timeout: undefined,
    zone: undefined,
    origZone: undefined,
    replyZone: undefined,
    nat: new Map(),
    zero: false,
    events: undefined,
    bufferSize: undefined,
    labels: [],
    labelAdd: [],
    labelDel: undefined,
    output: new Set(),
    file: undefined,
  };
}

/** strtoul: as far as it is a number, 0 when it is none. */
function leading(text: string): number {
  const m = /^\s*[+-]?(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|(\d+))/.exec(text);
  if (m === null) return 0;
  const value =
    m[1] !== undefined ? Number.parseInt(m[1], 16) : m[3] !== undefined ? Number(m[3]) : Number(`0o${m[2] || 0}`);
  return text.trimStart().startsWith('-') ? -value : value;
}

function words(text: string, known: Readonly<Record<string, number>>): number {
  let bits = 0;
  for (const word of text.split(',')) {
    const bit = known[word.toUpperCase()];
    if (bit === undefined) throw new ConntrackError(`Bad parameter \`${word}'`);
    bits |= bit;
  }
  return bits;
}

function prefix(size: number, bits: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < bits; i++) out[i >> 3] |= 0x80 >> (i & 7);
  return out;
}

/** Walks over the arguments like getopt_long: options anywhere, words that belong to none left over. */
class Parser {
  readonly o: Options = emptyOptions();
  readonly given: Set<string> = new Set();
  readonly #args: readonly string[];
  readonly #labelMap: LabelMap;
  #at = 0;

  constructor(args: readonly string[], labels: LabelMap) {
    this.#args = args;
    this.#labelMap = labels;
  }

  run(): Options {
    while (this.#at < this.#args.length) {
      const arg = this.#args[this.#at++];
      if (arg === '--') break;
      if (arg.startsWith('--')) this.#long(arg);
      else if (arg.startsWith('-') && arg.length > 1) this.#short(arg);
    }
    if (this.o.command === 'R' || this.o.command === 'V' || this.o.command === 'h' || this.o.command === '')
      return this.o;
    check(this.o, this.given);
    return this.o;
  }

  #long(arg: string): void {
    const equals = arg.indexOf('=');
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const attached = equals < 0 ? undefined : arg.slice(equals + 1);
    const own = protocolOptions(this.o.proto ?? -1);
    const all = [...Object.keys(COMMANDS), ...SPELLINGS.flatMap(([n, , ...o]) => [n, ...o]), ...Object.keys(own)];
    const fits = all.includes(name) ? [name] : all.filter((n) => n.startsWith('--') && n.startsWith(name));
    if (fits.length !== 1) throw new ConntrackError(`unknown option \`${name}'`);
    this.#option(fits[0], attached);
  }

  #short(arg: string): void {
    const name = arg.slice(0, 2);
    const rest = arg.slice(2);
    if (COMMANDS[name] === undefined && !SPELLINGS.some((s) => s.includes(name)))
      throw new ConntrackError(`unknown option \`${name}'`);
    const flag = name === '-z' || (COMMANDS[name] !== undefined && name !== '-R');
    this.#option(name, rest === '' || flag ? undefined : rest);
    if (flag && rest !== '' && COMMANDS[name] === undefined) this.#short(`-${rest}`);
  }

  #option(spelling: string, attached: string | undefined): void {
    const command = COMMANDS[spelling];
    if (command !== undefined) return this.#command(command, spelling, attached);
    const own = protocolOptions(this.o.proto ?? -1)[spelling];
    if (own !== undefined) return this.#port(own, spelling, attached);
    const [name, argument] = SPELLINGS.find((s) => s.includes(spelling))!;
    const value =
      argument === 0 ? '' : argument === 1 ? this.#argument(spelling, attached) : (attached ?? this.#optional());
    this.given.add(name);
    this.#set(name, value);
  }

  #argument(spelling: string, attached: string | undefined): string {
    const value = attached ?? this.#args[this.#at++];
    if (value === undefined) throw new ConntrackError(`option \`${spelling}' requires an argument`);
    return value;
  }

  #optional(): string | undefined {
    const next = this.#args[this.#at];
    if (next === undefined || next.startsWith('-') || next.startsWith('!')) return undefined;
    this.#at++;
    return next;
  }

  #command(command: string, spelling: string, attached: string | undefined): void {
    if (this.o.command !== '') throw new ConntrackError('Invalid commands combination');
    this.o.command = command;
    if (command === 'R') {
      const file = attached ?? this.#args[this.#at++];
      if (file === undefined) throw new ConntrackError(`unknown option \`${spelling}'`);
      this.o.file = file;
      return;
    }
    if (command === 'V' || command === 'h') return;
    const table = this.#optional();
    if (table === undefined) return;
    if (table !== 'conntrack' && table !== 'expect' && table !== 'dying' && table !== 'unconfirmed')
      throw new ConntrackError(`unknown type \`${table}'`);
    this.o.table = table;
    if (table === 'expect' && (command === 'U' || command === 'A'))
      throw new ConntrackError(`Can't do ${command === 'U' ? '--update' : '--add'} on expectations`);
    if ((table === 'dying' || table === 'unconfirmed') && command !== 'L')
      throw new ConntrackError("Can't do that command with tables `dying' and `unconfirmed'");
  }

  #port(key: PortKey, spelling: string, attached: string | undefined): void {
    const value = this.#argument(spelling, attached);
    this.given.add(spelling);
    if (key === 'state') {
      if (stateNumber(this.o.proto!, value) < 0) {
        const name = this.o.proto === 6 ? 'TCP' : this.o.proto === 33 ? 'DCCP' : 'SCTP';
        throw new ConntrackError(`unknown ${name} state \`${value}'`);
      }
      this.o.state = value.toUpperCase();
    } else if (key === 'role') {
      if (value !== 'client' && value !== 'server') throw new ConntrackError(`unknown role \`${value}'`);
      this.o.ports.set(key, value === 'client' ? 0 : 1);
    } else this.o.ports.set(key, key.endsWith('vtag') ? leading(value) >>> 0 : leading(value) & 0xffff);
  }

  #family(address: Uint8Array): void {
    const family = familyOf(address);
    if (this.o.family !== undefined && this.o.family !== family) throw new ConntrackError('mismatched address family');
    this.o.family = family;
  }

  #address(text: string): Address {
    const slash = text.indexOf('/');
    const name = slash < 0 ? text : text.slice(0, slash);
    const address = parseAddress(name);
    if (address === undefined) throw new ConntrackError(`Invalid IP address \`${name}'`);
    this.#family(address);
    const bits = slash < 0 ? address.length * 8 : leading(text.slice(slash + 1));
    if (bits < 0 || bits > address.length * 8 || (slash >= 0 && !/^\d+$/.test(text.slice(slash + 1))))
      throw new ConntrackError('Invalid netmask');
    return { address, mask: prefix(address.length, bits) };
  }

  #labels(text: string): number[] {
    return text.split(',').map((name) => {
      const bit = this.#labelMap.bit(name);
      if (bit === undefined) throw new ConntrackError(`unknown label '${name}'`);
      return bit;
    });
  }

  #nat(kind: 'src' | 'dst' | 'any', text: string | undefined): void {
    if (text === undefined) {
      this.o.nat.set(kind, { address: undefined, port: undefined });
      return;
    }
    // An IPv6 address with a port is in brackets.
    const bracket = /^\[([^\]]*)\](.*)$/.exec(text);
    const colons = text.split(':').length - 1;
    let name = text;
    let port: string | undefined;
    if (bracket !== null) {
      name = bracket[1];
      if (bracket[2] !== '') port = bracket[2];
    } else if (colons === 1) {
      name = text.slice(0, text.indexOf(':'));
      port = text.slice(text.indexOf(':'));
    }
    const address = parseAddress(name);
    if (port !== undefined) {
      if (port === ':') throw new ConntrackError("No port specified after `:'");
      if (!/^:\d+$/.test(port) || Number(port.slice(1)) > 65535)
        throw new ConntrackError(`Invalid port \`${port.slice(1)}'`);
    }
    if (address === undefined) throw new ConntrackError(`Invalid IP address \`${text}'`);
    this.#family(address);
    this.o.nat.set(kind, { address, port: port === undefined ? undefined : Number(port.slice(1)) });
  }

  #set(name: string, text: string | undefined): void {
    const { o } = this;
    const value = text ?? '';
    switch (name) {
      case '--src':
        o.addresses.set('s', this.#address(value));
        break;
      case '--dst':
        o.addresses.set('d', this.#address(value));
        break;
      case '--reply-src':
        o.addresses.set('r', this.#address(value));
        break;
      case '--reply-dst':
        o.addresses.set('q', this.#address(value));
        break;
      case '--tuple-src':
        o.addresses.set('tuple-src', this.#address(value));
        break;
      case '--tuple-dst':
        o.addresses.set('tuple-dst', this.#address(value));
        break;
      case '--mask-src':
        o.maskSrc = this.#address(value).address;
        break;
      case '--mask-dst':
        o.maskDst = this.#address(value).address;
        break;
      case '--protonum':
        o.proto = protocolNumber(value);
        if (o.proto === undefined) throw new ConntrackError(`\`${value}' unsupported protocol`);
        break;
      case '--family':
        if (value !== 'ipv4' && value !== 'ipv6') throw new ConntrackError(`\`${value}' unsupported protocol`);
        if (o.family !== undefined && o.family !== (value === 'ipv4' ? 2 : 10))
          throw new ConntrackError('mismatched address family');
        o.family = value === 'ipv4' ? 2 : 10;
        break;
      case '--timeout':
        o.timeout = leading(value) >>> 0;
        break;
      case '--status':
        o.status = words(value, STATUS);
        if (o.status & C.IPS_ASSURED) o.status |= C.IPS_SEEN_REPLY;
        break;
      case '--zero':
        o.zero = true;
        break;
      case '--event-mask':
        o.events = words(value, EVENTS);
        break;
      case '--output':
        o.output = outputs(value);
        break;
      case '--mark': {
        const [v, m] = value.split('/');
        o.mark = { value: leading(v) >>> 0, mask: m === undefined ? 0xffffffff : leading(m) >>> 0 };
        break;
      }
      case '--secmark':
        o.secmark = leading(value) >>> 0;
        break;
      case '--id':
        o.id = leading(value) >>> 0;
        break;
      case '--zone':
        o.zone = leading(value) & 0xffff;
        break;
      case '--orig-zone':
        o.origZone = leading(value) & 0xffff;
        break;
      case '--reply-zone':
        o.replyZone = leading(value) & 0xffff;
        break;
      case '--buffer-size':
        o.bufferSize = leading(value);
        break;
      case '--label':
        o.labels.push(...this.#labels(value));
        break;
      case '--label-add':
        o.labelAdd.push(...this.#labels(value));
        break;
      case '--label-del':
        o.labelDel = [...(o.labelDel ?? []), ...(text === undefined ? [] : this.#labels(value))];
        break;
      default:
        this.#nat(name.slice(2, 5) as 'src' | 'dst' | 'any', text);
    }
  }
}

function outputs(text: string): ReadonlySet<string> {
  const all = new Set(text.split(','));
  for (const word of all) if (!OUTPUTS.has(word)) throw new ConntrackError(`Bad parameter \`${word}'`);
  if (all.has('save') && all.size > 1)
    throw new ConntrackError('cannot combine save output with any other output type, use -o save only', 1);
  return all;
}

/** What a command needs and what it may not have, in the order in which the tool looks. */
function check(o: Options, given: ReadonlySet<string>): void {
  const { command, table } = o;
  const rule = RULES[`${command === 'A' ? 'I' : command} ${table === 'expect' ? 'expect' : 'conntrack'}`];
  const need = new Set((rule.need ?? '').split(' ').map((n) => `--${n}`));
  const may = new Set(rule.may.split(' ').map((n) => `--${n}`));
  for (const name of ORDER) {
    if (need.has(name) && !given.has(name))
      throw new ConntrackError(`You need to supply the \`${name}' option for this command`);
    if (given.has(name) && !need.has(name) && !may.has(name))
      throw new ConntrackError(`Illegal option \`${name}' with this command`);
  }
  if (o.maskSrc !== undefined && !o.addresses.has('s') && table !== 'expect')
    throw new ConntrackError("Can't use --mask-src without --src");
  if (o.maskDst !== undefined && !o.addresses.has('d') && table !== 'expect')
    throw new ConntrackError("Can't use --mask-dst without --dst");
  if (o.nat.has('any') && o.nat.size > 1)
    throw new ConntrackError("cannot specify `--src-nat' or `--dst-nat' with `--any-nat'");
  if (command === 'I' || command === 'A' || command === 'G') complete(o, given);
}

/** An entry that is to be made or asked for must be named in full, in one direction at least. */
function complete(o: Options, given: ReadonlySet<string>): void {
  const { addresses, ports, proto, command } = o;
  const whole = (a: AddressKey, b: AddressKey): boolean => addresses.has(a) && addresses.has(b);
  if (!whole('s', 'd') && !whole('r', 'q')) throw new ConntrackError("you have to specify `--src' and `--dst'");
  const lacking = (name: string): never => {
    throw new ConntrackError(`You need to supply the \`${name}' option for this command`);
  };
  if (proto === 1 || proto === 58) {
    const name = proto === 1 ? '--icmp' : '--icmpv6';
    if (!ports.has('type')) lacking(`${name}-type`);
    if (!ports.has('code')) lacking(`${name}-code`);
    return;
  }
  if (o.table === 'expect' && command === 'I' && hasPorts(proto!)) {
    for (const [key, name] of [
      ['ms', '--mask-port-src'],
      ['md', '--mask-port-dst'],
      ['ts', '--tuple-port-src'],
      ['td', '--tuple-port-dst'],
    ] as const)
      if (!ports.has(key)) lacking(name);
  }
  if (!hasPorts(proto!) || proto === 33) return;
  const pair = (a: PortKey, b: PortKey): boolean => ports.has(a) && ports.has(b);
  if (!pair('os', 'od') && !pair('rs', 'rd'))
    throw new ConntrackError(
      proto === 47 ? "you have to specify `--srckey' and `--dstkey'" : "you have to specify `--sport' and `--dport'",
    );
  const stated = proto === 6 || proto === 132;
  if (stated && command !== 'G' && o.table === 'conntrack' && !given.has('--state')) lacking('--state');
}

/** Reads the arguments; throws ConntrackError with what conntrack would complain about. */
export function parseOptions(argv: readonly string[], labels: LabelMap): Options {
  return new Parser(argv, labels).run();
}
