/**
 * The packet phrase: one line that says which packet is meant.
 *
 *     [IFACE | local] [tcp|udp|icmp|icmpv6|sctp|arp] [SRC[:PORT]] -> DST[:PORT] [words]
 *
 * Words: `syn ack fin rst psh urg` (TCP flags), `in state new|established`, `vlan ID`, `mark N`, `ttl N`, `length BYTES`,
 * `payload TEXT|0xHEX`, `dscp N`, `type N|NAME`, `code N`, `mac ADDRESS`, `dev IFACE`, `uid N`, `from ADDR:PORT`, `to ADDR:PORT`.
 * Instead of a phrase: a line of hexadecimal bytes, or `FILE.pcapng#FRAME`; both may have an interface name in front.
 */
import { parseAddress, parseMac } from '../wire/address.ts';
import { BadInput, oneOf } from './problem.ts';

export type Protocol = 'tcp' | 'udp' | 'icmp' | 'icmpv6' | 'sctp' | 'arp';

export type Endpoint = { readonly addr: string; readonly port?: number };

export type PhrasePacket = {
  readonly kind: 'phrase';
  readonly text: string;
  readonly iface?: string;
  /** Sent by the host itself. */
  readonly local: boolean;
  readonly protocol: Protocol;
  readonly from?: Endpoint;
  readonly to: Endpoint;
  /** TCP flags; undefined: SYN for new connections, PSH and ACK in established ones. */
  readonly flags?: number;
  readonly established: boolean;
  readonly vlan?: number;
  readonly mark?: number;
  readonly ttl?: number;
  readonly length?: number;
  readonly dscp?: number;
  readonly payload?: Uint8Array;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly mac?: string;
  readonly uid?: number;
};

export type PacketSpec =
  | PhrasePacket
  | { readonly kind: 'hex'; readonly text: string; readonly iface?: string; readonly bytes: Uint8Array }
  | {
      readonly kind: 'capture';
      readonly text: string;
      readonly iface?: string;
      readonly file: string;
      readonly frame: number;
    };

const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  tcp: 'tcp',
  udp: 'udp',
  icmp: 'icmp',
  icmp6: 'icmpv6',
  icmpv6: 'icmpv6',
  'ipv6-icmp': 'icmpv6',
  sctp: 'sctp',
  arp: 'arp',
  ping: 'icmp',
};

const FLAGS: Readonly<Record<string, number>> = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 };

const ICMP_TYPES: Readonly<Record<string, readonly [v4: number, v6: number]>> = {
  'echo-reply': [0, 129],
  'destination-unreachable': [3, 1],
  redirect: [5, 137],
  'echo-request': [8, 128],
  'router-advertisement': [9, 134],
  'router-solicitation': [10, 133],
  'time-exceeded': [11, 3],
  'parameter-problem': [12, 4],
  'timestamp-request': [13, -1],
  'packet-too-big': [-1, 2],
  'nd-router-solicit': [-1, 133],
  'nd-router-advert': [-1, 134],
  'nd-neighbor-solicit': [-1, 135],
  'nd-neighbor-advert': [-1, 136],
};

/** Words with a number behind them, and the number's largest value. */
const NUMBERS: Readonly<Record<string, number>> = {
  vlan: 4094,
  mark: 0xffffffff,
  ttl: 255,
  length: 65535,
  dscp: 63,
  code: 255,
  uid: 0xfffffffe,
};

/** Well-known ports by name, those of /etc/services that packet phrases are likely to use. */
const SERVICES: Readonly<Record<string, number>> = {
  ssh: 22,
  smtp: 25,
  domain: 53,
  dns: 53,
  http: 80,
  pop3: 110,
  ntp: 123,
  imap: 143,
  snmp: 161,
  https: 443,
  submission: 587,
  imaps: 993,
  mysql: 3306,
  postgresql: 5432,
};

const WORDS = ['a TCP flag', 'in state', 'vlan', 'mark', 'ttl', 'length', 'payload', 'type', 'code', 'from', 'to'];

type Token = { readonly text: string; readonly at: number };

function tokens(text: string): Token[] {
  const out: Token[] = [];
  for (const m of text.matchAll(/"[^"]*"|->|→|(?:(?!->)[^\s"→])+/g)) out.push({ text: m[0], at: m.index });
  return out;
}

/** Reads a phrase, a hex line or a capture reference. Throws BadInput with position and what was expected. */
export function parsePhrase(text: string): PacketSpec {
  const capture = /^\s*(?:(\S+)\s+)?(\S+\.(?:pcap|pcapng|cap))#(\d+)\s*$/.exec(text);
  if (capture !== null) {
    const [, iface, file, frame] = capture;
    if (Number(frame) === 0) throw new BadInput('frames are counted from 1', { source: text, column: text.length - 1 });
    return { kind: 'capture', text, ...(iface !== undefined && { iface }), file, frame: Number(frame) };
  }
  const hex = /^\s*(?:([^\s:]+)\s+)??(?:hex\s+)?((?:0x)?(?:[0-9a-fA-F]{2}[\s:]*){20,})$/.exec(text);
  if (hex !== null) {
    const digits = hex[2].replace(/^0x/, '').replace(/[\s:]/g, '');
    const bytes = Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    return { kind: 'hex', text, ...(hex[1] !== undefined && { iface: hex[1] }), bytes };
  }
  return new PhraseReader(text).read();
}

class PhraseReader {
  readonly #text: string;
  readonly #tokens: Token[];
  #i = 0;
  #iface: string | undefined;
  #local = false;
  #protocol: Protocol | undefined;
  #from: Endpoint | undefined;
  #to: Endpoint | undefined;
  #flags: number | undefined;
  #established = false;
  #type: Token | undefined;
  readonly #rest: { -readonly [K in keyof PhrasePacket]?: PhrasePacket[K] } = {};

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokens(text);
  }

  #fail(message: string, token?: Token): never {
    throw new BadInput(message, {
      source: this.#text,
      column: token?.at ?? this.#text.length,
      width: token?.text.length ?? 1,
    });
  }

  #next(expected: string): Token {
    const token = this.#tokens[this.#i++];
    if (token === undefined) this.#fail(`the packet ends here; expected ${expected}`);
    return token;
  }

  read(): PhrasePacket {
    if (this.#tokens.length === 0) this.#fail('empty packet; expected something like: lan 10.0.0.7 -> 203.0.113.9:443');
    let arrow = false;
    while (this.#i < this.#tokens.length) {
      const token = this.#tokens[this.#i++];
      const word = token.text.toLowerCase();
      if (word === '->' || word === '→') {
        if (arrow) this.#fail('a second arrow; expected one', token);
        arrow = true;
        this.#to = this.#endpoint(this.#next('a destination address'));
      } else if (word === 'to') this.#to = this.#endpoint(this.#next('a destination address'));
      else if (word === 'from') this.#source(this.#next('a source address'));
      else if (word === 'local') this.#local = true;
      else if (!this.#word(token, word)) this.#bare(token, word);
    }
    return this.#finish();
  }

  #source(token: Token): void {
    if (token.text.toLowerCase() === 'local') this.#local = true;
    else this.#from = this.#endpoint(token);
  }

  /** Keywords; false when the token is none. */
  #word(token: Token, word: string): boolean {
    if (word in PROTOCOLS) {
      if (this.#protocol !== undefined) this.#fail(`a second protocol; it is ${this.#protocol} already`, token);
      this.#protocol = PROTOCOLS[word];
    } else if (/^[a-z|,]+$/.test(word) && word.split(/[|,]/).every((f) => f in FLAGS)) {
      for (const flag of word.split(/[|,]/)) this.#flags = (this.#flags ?? 0) | FLAGS[flag];
    } else if (word in NUMBERS) this.#number(word, this.#next(`a number up to ${NUMBERS[word]}`));
    else if (word === 'in' || word === 'state') this.#state(word);
    else if (word === 'type') this.#type = this.#next('an ICMP type');
    else if (word === 'dev' || word === 'iif') this.#iface = this.#next('an interface name').text;
    else if (word === 'payload') this.#rest.payload = this.#payload(this.#next('text or 0x and hexadecimal digits'));
    else if (word === 'mac') {
      const mac = this.#next('a MAC address');
      if (parseMac(mac.text) === undefined) this.#fail(`${mac.text} is no MAC address`, mac);
      this.#rest.mac = mac.text;
    } else return false;
    return true;
  }

  /** An address is the source; any other word can only be the interface, and comes first. */
  #bare(token: Token, word: string): void {
    if (/^[\d[]/.test(word) || (word.includes(':') && parseAddress(word) !== undefined)) {
      if (this.#from !== undefined) {
        const expected = this.#to === undefined ? '->' : oneOf(WORDS);
        this.#fail(`a second source address; expected ${expected}`, token);
      }
      this.#source(token);
    } else if (this.#i === 1 && /^[^\s/:]{1,15}$/.test(word)) this.#iface = token.text;
    else this.#fail(`unknown word "${token.text}"; expected ${oneOf(WORDS)}`, token);
  }

  #number(word: string, token: Token): void {
    const value = /^(0x[0-9a-f]+|\d+)$/i.test(token.text) ? Number(token.text) : Number.NaN;
    if (!(value <= NUMBERS[word])) this.#fail(`${word} ${token.text}: expected a number up to ${NUMBERS[word]}`, token);
    if (word === 'code') this.#rest.icmpCode = value;
    else this.#rest[word as 'vlan' | 'mark' | 'ttl' | 'length' | 'dscp' | 'uid'] = value;
  }

  #state(word: string): void {
    if (word === 'in') {
      const token = this.#next('state');
      if (token.text !== 'state') this.#fail(`"${token.text}"; expected state`, token);
    }
    const state = this.#next('new or established');
    if (state.text !== 'new' && state.text !== 'established')
      this.#fail(`state ${state.text}: expected new or established`, state);
    this.#established = state.text === 'established';
  }

  #payload(token: Token): Uint8Array {
    const text = token.text;
    if (!text.startsWith('0x')) return new TextEncoder().encode(text.replace(/^"(.*)"$/, '$1'));
    if (!/^0x([0-9a-fA-F]{2})*$/.test(text)) this.#fail('an odd number of hexadecimal digits', token);
    return Uint8Array.from(text.slice(2).match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }

  #endpoint(token: Token): Endpoint {
    const { text } = token;
    const bracket = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
    const quad = /^([^:]*):([^:]*)$/.exec(text);
    const [, addr, port] = bracket ?? quad ?? [text, text, undefined];
    if (addr.toLowerCase() === 'local') {
      // The host's own address: `try` puts in the one of the interface the packet comes in on.
      return { addr: 'local', ...(port !== undefined && { port: this.#port(port, token) }) };
    }
    if (parseAddress(addr) === undefined) {
      const note = addr.includes('/') ? 'a network is no address' : `${addr || text} is no address`;
      this.#fail(`${note}; expected ADDRESS, ADDRESS:PORT or [IPv6]:PORT`, token);
    }
    return { addr, ...(port !== undefined && { port: this.#port(port, token) }) };
  }

  #port(text: string, token: Token): number {
    const port = SERVICES[text.toLowerCase()] ?? (/^\d+$/.test(text) ? Number(text) : Number.NaN);
    if (!(port <= 65535)) {
      const at = token.at + token.text.length - text.length;
      this.#fail(`port "${text}": expected a number up to 65535 or a service name`, { text: text || ' ', at });
    }
    return port;
  }

  #finish(): PhrasePacket {
    const to = this.#to;
    if (to === undefined) this.#fail('no destination; expected -> ADDRESS[:PORT]');
    const from = this.#from;
    const six = to.addr.includes(':') || (to.addr === 'local' && (from?.addr.includes(':') ?? false));
    if (from !== undefined && to.addr !== 'local' && from.addr.includes(':') !== six)
      this.#fail('source and destination are of different families; expected both IPv4 or both IPv6');
    let protocol: Protocol = this.#protocol ?? (to.port !== undefined || this.#flags !== undefined ? 'tcp' : 'icmp');
    if (protocol === 'icmp' && six) protocol = 'icmpv6';
    if (protocol === 'icmpv6' && !six) this.#fail('icmpv6 needs IPv6 addresses; expected icmp');
    if (protocol === 'arp' && six) this.#fail('arp needs IPv4 addresses; expected icmpv6 type nd-neighbor-solicit');
    const ported = protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp';
    if (ported && to.port === undefined) this.#fail(`${protocol} needs a port; expected ${to.addr}:PORT`);
    if (!ported && to.port !== undefined) this.#fail(`${protocol} has no ports`);
    if (this.#flags !== undefined && protocol !== 'tcp') this.#fail(`${protocol} has no TCP flags`);
    if (this.#type !== undefined && protocol !== 'icmp' && protocol !== 'icmpv6')
      this.#fail(`${protocol} has no ICMP type`, this.#type);
    return {
      kind: 'phrase',
      text: this.#text,
      ...(this.#iface !== undefined && { iface: this.#iface }),
      local: this.#local,
      protocol,
      ...(from !== undefined && { from }),
      to,
      ...(this.#flags !== undefined && { flags: this.#flags }),
      established: this.#established,
      ...this.#rest,
      ...(this.#type !== undefined && { icmpType: this.#icmpType(this.#type, six) }),
    };
  }

  #icmpType(token: Token, six: boolean): number {
    const known = ICMP_TYPES[token.text.toLowerCase()]?.[six ? 1 : 0] ?? -1;
    const type = /^\d+$/.test(token.text) ? Number(token.text) : known;
    if (type < 0 || type > 255) {
      const names = Object.keys(ICMP_TYPES).filter((name) => ICMP_TYPES[name][six ? 1 : 0] >= 0);
      this.#fail(`type ${token.text}: expected a number up to 255, ${oneOf(names)}`, token);
    }
    return type;
  }
}
