/**
 * The `ping` tool, with the output of iputils. See ping(8).
 *
 *     ping(['-c', '2', '10.0.0.9'], io, host)
 */
import { EMSGSIZE, ENODEV, strerror } from '../../core/errno.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, formatAddress, parseAddress } from '../../wire/address.ts';
import type { ToolResult } from '../io.ts';
import { errorText } from './icmp-text.ts';
import type { PingHost, PingOptions, PingReply, PingSocket } from './socket.ts';

const MS = 1e6;
const SECOND = 1e9;

type Options = {
  count: number;
  interval: number;
  size: number;
  linger: number | undefined;
  deadline: number | undefined;
  quiet: boolean;
  outstanding: boolean;
  family: number;
  device: string | undefined;
  source: Uint8Array | undefined;
  ttl: number | undefined;
  tos: number | undefined;
  mark: number | undefined;
  mtuDiscover: number | undefined;
  target: string;
};

class Usage extends Error {
  readonly code: number;
  constructor(text: string, code = 1) {
    super(text);
    this.code = code;
  }
}

function integer(text: string, low: number, high: number): number {
  if (!/^-?\d+$/.test(text)) throw new Usage(`ping: invalid argument: '${text}'\n`);
  const n = Number(text);
  const top = high === Number.MAX_SAFE_INTEGER ? '9223372036854775807' : String(high);
  if (n < low || n > high)
    throw new Usage(`ping: invalid argument: '${text}': out of range: ${low} <= value <= ${top}\n`);
  return n;
}

function seconds(text: string): number {
  const n = Number(text);
  if (text === '' || !Number.isFinite(n) || n < 0) throw new Usage(`ping: bad timing interval: '${text}'\n`);
  return n;
}

function parse(argv: readonly string[]): Options {
  const o: Options = {
    count: 0,
    interval: 1,
    size: 56,
    linger: undefined,
    deadline: undefined,
    quiet: false,
    outstanding: false,
    family: AF_UNSPEC,
    device: undefined,
    source: undefined,
    ttl: undefined,
    tos: undefined,
    mark: undefined,
    mtuDiscover: undefined,
    target: '',
  };
  const words: string[] = [];
  const withValue = 'ciswWItQmMp';
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i];
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg);
      continue;
    }
    for (let k = 1; k < arg.length; k++) {
      const letter = arg[k];
      let value = '';
      if (withValue.includes(letter)) {
        value = arg.slice(k + 1) || (argv[++i] ?? '');
        if (value === '') throw new Usage(`ping: option requires an argument -- '${letter}'\n`);
        k = arg.length;
      }
      option(o, letter, value);
    }
  }
  if (words.length === 0) throw new Usage('ping: usage error: Destination address required\n');
  if (words.length > 1) throw new Usage('ping: netloom does not support source routes (several destinations)\n');
  o.target = words[0];
  return o;
}

function option(o: Options, letter: string, value: string): void {
  switch (letter) {
    case 'c':
      o.count = integer(value, 1, Number.MAX_SAFE_INTEGER);
      return;
    case 'i':
      o.interval = seconds(value);
      return;
    case 's':
      o.size = integer(value, 0, 127992);
      return;
    case 'W':
      o.linger = seconds(value);
      return;
    case 'w':
      o.deadline = integer(value, 0, 2147483647);
      return;
    case 'I': {
      const address = parseAddress(value);
      if (address === undefined) o.device = value;
      else o.source = address;
      return;
    }
    case 't':
      o.ttl = integer(value, 0, 255);
      return;
    case 'Q':
      o.tos = Number(value) & 255;
      return;
    case 'm':
      o.mark = integer(value, 0, 4294967295);
      return;
    case 'M':
      o.mtuDiscover = { dont: 0, want: 1, do: 2 }[value];
      if (o.mtuDiscover === undefined) throw new Usage(`ping: invalid -M argument: ${value}\n`);
      return;
    case 'q':
      o.quiet = true;
      return;
    case 'O':
      o.outstanding = true;
      return;
    case '4':
      o.family = AF_INET;
      return;
    case '6':
      o.family = AF_INET6;
      return;
    case 'n':
    case 'p':
    case 'U':
    case 'b':
      return;
    default:
      throw new Usage(`ping: netloom does not support option -${letter}\n`);
  }
}

/** A time in iputils' varying precision. */
function elapsed(ns: number): string {
  const us = Math.max(0, Math.floor(ns / 1000));
  if (us >= 100_000) return `${Math.floor(us / 1000)}`;
  const digits = us >= 10_000 ? 1 : us >= 1000 ? 2 : 3;
  const unit = 10 ** (3 - digits);
  return `${Math.floor(us / 1000)}.${String(Math.floor((us % 1000) / unit)).padStart(digits, '0')}`;
}

function millis(ns: number): string {
  const us = Math.floor(ns / 1000);
  return `${Math.floor(us / 1000)}.${String(us % 1000).padStart(3, '0')}`;
}

/** Runs `ping`; `onOutput` gets each piece of output as it comes. */
export function ping(argv: readonly string[], host: PingHost, onOutput?: (text: string) => void): ToolResult {
  let stdout = '';
  let stderr = '';
  const print = (text: string): void => {
    stdout += text;
    onOutput?.(text);
  };
  try {
    const o = parse(argv);
    const code = new Session(o, host, print, (text) => {
      stderr += text;
    }).run();
    return { code, stdout, stderr };
  } catch (error) {
    if (!(error instanceof Usage)) throw error;
    return { code: error.code, stdout, stderr: stderr + error.message };
  }
}

class Session {
  readonly #o: Options;
  readonly #host: PingHost;
  readonly #print: (text: string) => void;
  readonly #complain: (text: string) => void;
  readonly #sent = new Map<number, number>();
  #received = 0;
  #errors = 0;
  #duplicates = 0;
  #transmitted = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  #sum = 0;
  #squares = 0;
  #family = AF_INET;
  #socket!: PingSocket;

  constructor(o: Options, host: PingHost, print: (text: string) => void, complain: (text: string) => void) {
    this.#o = o;
    this.#host = host;
    this.#print = print;
    this.#complain = complain;
  }

  run(): number {
    const o = this.#o;
    const target = parseAddress(o.target) ?? this.#host.resolve?.(o.target, o.family);
    if (target === undefined) throw new Usage(`ping: ${o.target}: Name or service not known\n`, 2);
    this.#family = target.length === 4 ? AF_INET : AF_INET6;
    if (o.family !== AF_UNSPEC && o.family !== this.#family)
      throw new Usage(`ping: ${o.target}: Address family for hostname not supported\n`, 2);
    this.#socket = this.#host.open(this.#family);
    try {
      return this.#loop(target);
    } finally {
      this.#socket.close();
    }
  }

  #loop(target: Uint8Array): number {
    const o = this.#o;
    const { device, source, ttl, tos, mark, mtuDiscover } = o;
    const options: PingOptions = { device, source, ttl, tos, mark, mtuDiscover };
    const connected = this.#socket.connect(target, options);
    if (connected.errno === ENODEV && device !== undefined)
      throw new Usage(`ping: SO_BINDTODEVICE ${device}: No such device\n`, 2);
    if (connected.errno !== 0) throw new Usage(`ping: connect: ${strerror(connected.errno)}\n`, 2);
    this.#header(target, connected.source);
    const begin = this.#host.now();
    const end = o.deadline === undefined ? Number.POSITIVE_INFINITY : begin + o.deadline * SECOND;
    let next = begin;
    for (;;) {
      const now = this.#host.now();
      if (now >= end) break;
      const more = o.count === 0 || this.#transmitted < o.count;
      // With a deadline, the count is of replies.
      if (o.count > 0 && this.#received + this.#errors >= o.count && (!more || o.deadline !== undefined)) break;
      if (more || o.deadline !== undefined) {
        if (now >= next) {
          this.#sendOne();
          next += o.interval * SECOND;
        }
        this.#waitFor(Math.min(next, end));
      } else {
        const wait = this.#lingerNs();
        const limit = Math.min(this.#lastSent + wait, end);
        if (now >= limit) break;
        this.#waitFor(limit);
        if (this.#host.now() >= limit) break;
      }
      // An endless ping is for a person to stop; here nobody can.
      if (o.count === 0 && o.deadline === undefined)
        throw new Usage('ping: netloom needs -c or -w: nobody can press Ctrl-C here\n');
    }
    this.#summary(begin);
    return this.#received > 0 && (o.deadline === undefined || o.count === 0 || this.#received >= o.count) ? 0 : 1;
  }

  #lastSent = 0;
  // The last packet sent or received: where the statistics' time ends.
  #lastEvent = 0;

  // How long to wait for the last replies: twice the longest round trip when there was one, else -W or ten seconds.
  #lingerNs(): number {
    const { linger, interval } = this.#o;
    if (linger !== undefined) return linger * SECOND;
    if (this.#received > 0) return Math.max(2 * this.#max, interval * SECOND);
    return 10 * SECOND;
  }

  #header(target: Uint8Array, source: Uint8Array): void {
    const o = this.#o;
    const address = formatAddress(target);
    const from =
      o.device !== undefined || o.source !== undefined ? ` from ${formatAddress(source)} ${o.device ?? ''}:` : '';
    if (this.#family === AF_INET)
      this.#print(`PING ${o.target} (${address})${from} ${o.size}(${o.size + 28}) bytes of data.\n`);
    else this.#print(`PING ${o.target}(${address})${from} ${o.size} data bytes\n`);
  }

  #sendOne(): void {
    const o = this.#o;
    if (o.outstanding && this.#transmitted > 0 && this.#sent.has(this.#transmitted))
      this.#print(`no answer yet for icmp_seq=${this.#transmitted}\n`);
    const seq = ++this.#transmitted;
    const now = this.#host.now();
    this.#lastSent = now;
    this.#lastEvent = now;
    const payload = Uint8Array.from({ length: o.size }, (_, i) => i & 255);
    this.#sent.set(seq & 0xffff, now);
    const { errno, mtu } = this.#socket.send(seq & 0xffff, payload);
    if (errno === 0) return;
    this.#errors++;
    if (errno === EMSGSIZE)
      this.#complain(`ping: local error: message too long${mtu === undefined ? '' : `, mtu=${mtu}`}\n`);
    else this.#complain(`ping: sendmsg: ${strerror(errno)}\n`);
  }

  #waitFor(until: number): void {
    let reply: PingReply | undefined;
    this.#host.wait(until, () => {
      reply = this.#socket.receive();
      return reply !== undefined;
    });
    while (reply !== undefined) {
      this.#take(reply);
      reply = this.#socket.receive();
    }
  }

  #take(reply: PingReply): void {
    const o = this.#o;
    this.#lastEvent = reply.at;
    const from = formatAddress(reply.from);
    const echo = this.#family === AF_INET ? reply.type === 0 : reply.type === 129;
    if (!echo) {
      this.#errors++;
      if (!o.quiet)
        this.#print(
          `From ${from} icmp_seq=${reply.seq} ${errorText(this.#family, reply.type, reply.code, reply.mtu)}\n`,
        );
      return;
    }
    const sent = this.#sent.get(reply.seq);
    const time = sent === undefined ? 0 : reply.at - sent;
    const duplicate = sent === undefined || time < 0;
    if (duplicate) this.#duplicates++;
    else {
      this.#received++;
      this.#sent.delete(reply.seq);
      this.#min = Math.min(this.#min, time);
      this.#max = Math.max(this.#max, time);
      this.#sum += time;
      this.#squares += time * time;
    }
    if (o.quiet) return;
    this.#print(
      `${reply.length} bytes from ${from}: icmp_seq=${reply.seq} ttl=${reply.ttl}${duplicate ? '' : ` time=${elapsed(time)} ms`}${duplicate ? ' (DUP!)' : ''}\n`,
    );
  }

  #summary(begin: number): void {
    const lost = this.#transmitted - this.#received;
    const percent = this.#transmitted === 0 ? 0 : (lost * 100) / this.#transmitted;
    const parts = [`${this.#transmitted} packets transmitted`, `${this.#received} received`];
    if (this.#duplicates > 0) parts.push(`+${this.#duplicates} duplicates`);
    if (this.#errors > 0) parts.push(`+${this.#errors} errors`);
    parts.push(`${Number(percent.toPrecision(6))}% packet loss`);
    const time = Math.floor((this.#lastEvent - begin) / MS);
    this.#print(`\n--- ${this.#o.target} ping statistics ---\n${parts.join(', ')}, time ${time}ms\n`);
    if (this.#received === 0) {
      this.#print('\n');
      return;
    }
    const mean = this.#sum / this.#received;
    const deviation = Math.sqrt(Math.max(0, this.#squares / this.#received - mean * mean));
    this.#print(
      `rtt min/avg/max/mdev = ${millis(this.#min)}/${millis(mean)}/${millis(this.#max)}/${millis(deviation)} ms\n`,
    );
  }
}
