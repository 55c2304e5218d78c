/** The command line of conntrack(8): one command and what it is about. */
import { familyOf, parseAddress } from '../../wire/address.ts';
import { protocolNumber } from './flow.ts';

export class ConntrackError extends Error {
  readonly code: number;
  constructor(message: string, code = 2) {
    super(message);
    this.code = code;
  }
}

export type Options = {
  command: string;
  family: number | undefined;
  proto: number | undefined;
  /** By option letter and direction: original source and destination, reply source and destination. */
  addresses: Map<'s' | 'd' | 'r' | 'q', { readonly address: Uint8Array; readonly mask: number }>;
  ports: Map<'os' | 'od' | 'rs' | 'rd' | 'type' | 'code' | 'id', number>;
  state: string | undefined;
  mark: { readonly value: number; readonly mask: number } | undefined;
  status: readonly string[];
  timeout: number | undefined;
  zone: number | undefined;
  nat: { readonly kind: 'src' | 'dst' | 'any'; readonly address: string | undefined } | undefined;
  zero: boolean;
  output: ReadonlySet<string>;
};

const COMMANDS: ReadonlyMap<string, string> = new Map([
  ['-L', 'L'],
  ['--dump', 'L'],
  ['-D', 'D'],
  ['--delete', 'D'],
  ['-F', 'F'],
  ['--flush', 'F'],
  ['-C', 'C'],
  ['--count', 'C'],
  ['-G', 'G'],
  ['--get', 'G'],
  ['-I', 'I'],
  ['--create', 'I'],
  ['-U', 'U'],
  ['--update', 'U'],
]);
const LONG: Readonly<Record<string, string>> = {
  '--orig-src': '-s',
  '--src': '-s',
  '--orig-dst': '-d',
  '--dst': '-d',
  '--reply-src': '-r',
  '--reply-dst': '-q',
  '--protonum': '-p',
  '--proto': '-p',
  '--family': '-f',
  '--timeout': '-t',
  '--status': '-u',
  '--mark': '-m',
  '--zone': '-w',
  '--zero': '-z',
  '--output': '-o',
  '--src-nat': '-n',
  '--dst-nat': '-g',
  '--any-nat': '-j',
  '--sport': '--orig-port-src',
  '--dport': '--orig-port-dst',
};
const PORTS: Readonly<Record<string, 'os' | 'od' | 'rs' | 'rd' | 'type' | 'code' | 'id'>> = {
  '--orig-port-src': 'os',
  '--orig-port-dst': 'od',
  '--reply-port-src': 'rs',
  '--reply-port-dst': 'rd',
  '--icmp-type': 'type',
  '--icmp-code': 'code',
  '--icmp-id': 'id',
};

function number(text: string | undefined, what: string): number {
  if (text === undefined || !/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new ConntrackError(`\`${what}' needs a number`);
  return Number(text);
}

/** Reads the arguments; throws ConntrackError with what conntrack would complain about. */
export function parseOptions(argv: readonly string[]): Options {
  const o: Options = {
    command: '',
    family: undefined,
    proto: undefined,
    addresses: new Map(),
    ports: new Map(),
    state: undefined,
    mark: undefined,
    status: [],
    timeout: undefined,
    zone: undefined,
    nat: undefined,
    zero: false,
    output: new Set(),
  };
  const args = argv.flatMap((a) =>
    a.startsWith('--') && a.includes('=') ? [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)] : [a],
  );
  for (let i = 0; i < args.length; i++) {
    const arg = LONG[args[i]] ?? args[i];
    const command = COMMANDS.get(arg);
    if (command !== undefined) {
      if (o.command !== '') throw new ConntrackError("Can't use more than one command");
      o.command = command;
      // The table may be named behind the command.
      if (args[i + 1] === 'conntrack') i++;
      else if (args[i + 1] === 'expect') throw new ConntrackError('netloom does not support expectations');
      continue;
    }
    const value = (): string => {
      const v = args[++i];
      if (v === undefined) throw new ConntrackError(`option \`${arg}' requires an argument`);
      return v;
    };
    switch (arg) {
      case '-s':
      case '-d':
      case '-r':
      case '-q': {
        const [text, length] = value().split('/');
        const address = parseAddress(text);
        if (address === undefined) throw new ConntrackError(`Invalid IP address \`${text}'`);
        const family = familyOf(address);
        if (o.family !== undefined && o.family !== family) throw new ConntrackError('mismatched address family');
        o.family = family;
        const mask = length === undefined ? address.length * 8 : number(length, arg);
        o.addresses.set(arg[1] as 's' | 'd' | 'r' | 'q', { address, mask });
        break;
      }
      case '-p': {
        const text = value();
        o.proto = protocolNumber(text);
        if (o.proto === undefined) throw new ConntrackError(`\`${text}' unsupported protocol`);
        break;
      }
      case '-f': {
        const text = value();
        if (text !== 'ipv4' && text !== 'ipv6') throw new ConntrackError(`\`${text}' unsupported protocol family`);
        o.family = text === 'ipv4' ? 2 : 10;
        break;
      }
      case '-t':
        o.timeout = number(value(), arg);
        break;
      case '-u':
        o.status = value().split(',');
        break;
      case '-m': {
        const [v, m] = value().split('/');
        o.mark = { value: number(v, arg), mask: m === undefined ? 0xffffffff : number(m, arg) };
        break;
      }
      case '-w':
        o.zone = number(value(), arg);
        break;
      case '-z':
        o.zero = true;
        break;
      case '-o':
        o.output = new Set(value().split(','));
        for (const word of o.output)
          if (!['id', 'labels', 'extended', 'timestamp', 'ktimestamp'].includes(word))
            throw new ConntrackError(`netloom does not support conntrack -o ${word}`);
        break;
      case '--state':
        o.state = value().toUpperCase();
        break;
      case '-n':
      case '-g':
      case '-j': {
        const next = args[i + 1];
        const address = next !== undefined && !next.startsWith('-') ? args[++i] : undefined;
        o.nat = { kind: arg === '-n' ? 'src' : arg === '-g' ? 'dst' : 'any', address };
        break;
      }
      default: {
        const port = PORTS[arg];
        if (port === undefined) throw new ConntrackError(`netloom does not support conntrack ${arg}`);
        o.ports.set(port, number(value(), arg));
      }
    }
  }
  if (o.command === '') throw new ConntrackError('You need to supply a command');
  return o;
}
