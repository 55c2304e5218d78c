/**
 * FTP (RFC 959, RFC 2428): PORT and EPRT of the client, 227 and 229 of the server announce a data connection. Commands count
 * only at the beginning of a line, which is known from where the lines before ended.
 */

import { parseIpv6 } from '../../../wire/address.ts';
import * as ipv4 from '../../../wire/ipv4.ts';
import * as tcp from '../../../wire/tcp.ts';
import { NF_ACCEPT, NF_DROP, NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { before } from '../tcp-window.ts';
import { DST, l3num, sameAddress, setAddress } from '../tuple.ts';
import { dirOf, expectConnection, isEstablished, tcpPayload, textOf } from './payload.ts';
import type { Helper, HelperData } from './types.ts';

/** Sequence numbers behind a line's end, two per direction. */
type FtpData = HelperData & { readonly kind: 'ftp'; readonly newlines: readonly [number[], number[]] };

type Kind = 'PORT' | 'EPRT' | 'PASV' | 'EPSV';
/** What a command announces, and where in the text its arguments are. */
type Found = {
  readonly kind: Kind;
  readonly at: number;
  readonly length: number;
  readonly address: Uint8Array | undefined;
  readonly port: number;
};

/** Six numbers with commas, up to the terminator ('' : any). */
function sixNumbers(text: string, terminator: string): { length: number; numbers: number[] } | undefined {
  const m = /^(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)/.exec(text);
  if (m === null) return undefined;
  const next = text[m[0].length];
  if (next === undefined || (terminator !== '' && next !== terminator)) return undefined;
  const numbers = m.slice(1).map((n) => Number(n) >>> 0);
  return { length: m[0].length, numbers };
}

function hostPort(numbers: readonly number[]): { address: Uint8Array; port: number } {
  return { address: Uint8Array.from(numbers.slice(0, 4)), port: ((numbers[4] << 8) | numbers[5]) & 0xffff };
}

/** `|1|132.235.1.2|6275|`: the delimiter is whatever comes first. */
function extended(text: string, family: number): { length: number; address: Uint8Array; port: number } | undefined {
  const delimiter = text.charCodeAt(0);
  if (text.length <= 3 || delimiter < 33 || delimiter > 126 || /\d/.test(text[0]) || text[2] !== text[0])
    return undefined;
  if (text[1] !== (family === NFPROTO_IPV4 ? '1' : '2')) return undefined;
  const close = text.indexOf(text[0], 3);
  if (close < 0) return undefined;
  const name = text.slice(3, close);
  let address: Uint8Array | undefined;
  if (family === NFPROTO_IPV4) {
    const m = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(name);
    address = m === null ? undefined : Uint8Array.from(m.slice(1).map(Number));
  } else address = parseIpv6(name);
  const port = portUpTo(text, close + 1, text[0]);
  return address === undefined || port === undefined ? undefined : { length: port.end, address, port: port.port };
}

function portUpTo(text: string, from: number, delimiter: string): { port: number; end: number } | undefined {
  const close = text.indexOf(delimiter, from);
  const digits = close < 0 ? '' : text.slice(from, close);
  if (!/^\d+$/.test(digits)) return undefined;
  const port = Number(digits) & 0xffff;
  return port === 0 ? undefined : { port, end: close + 1 };
}

type Pattern = {
  readonly kind: Kind;
  readonly word: string;
  readonly skip: string;
  parse(text: string, family: number): { skip: number; length: number; address?: Uint8Array; port: number } | undefined;
};

const PATTERNS: readonly (readonly Pattern[])[] = [
  [
    {
      kind: 'PORT',
      word: 'PORT',
      skip: ' ',
      parse(text) {
        const six = sixNumbers(text, '\r');
        return six && { skip: 0, length: six.length, ...hostPort(six.numbers) };
      },
    },
    {
      kind: 'EPRT',
      word: 'EPRT',
      skip: ' ',
      parse(text, family) {
        const found = extended(text, family);
        return found && { skip: 0, ...found };
      },
    },
  ],
  [
    {
      kind: 'PASV',
      word: '227 ',
      skip: '',
      parse(text) {
        // The format around the numbers is not agreed on (RFC 1123, 4.1.2.6).
        const skip = text.search(/\d/);
        const six = skip < 0 ? undefined : sixNumbers(text.slice(skip), '');
        return six && { skip, length: six.length, ...hostPort(six.numbers) };
      },
    },
    {
      kind: 'EPSV',
      word: '229 ',
      skip: '(',
      parse(text) {
        const c = text.charCodeAt(0);
        if (text.length <= 3 || c < 33 || c > 126 || /\d/.test(text[0])) return undefined;
        if (text[1] !== text[0] || text[2] !== text[0]) return undefined;
        const port = portUpTo(text, 3, text[0]);
        return port && { skip: 0, length: port.end, port: port.port };
      },
    },
  ],
];

/** 'partial': a command that goes on in the next segment, or is broken; it must not pass half seen. */
function search(text: string, dir: number, family: number): Found | 'partial' | undefined {
  for (const pattern of PATTERNS[dir]) {
    const { word } = pattern;
    if (text.length <= word.length) {
      if (word.toLowerCase().startsWith(text.toLowerCase())) return 'partial';
      continue;
    }
    if (text.slice(0, word.length).toLowerCase() !== word.toLowerCase()) continue;
    let at = word.length;
    if (pattern.skip !== '') {
      at = text.indexOf(pattern.skip, at) + 1;
      if (at === 0 || at >= text.length) return 'partial';
    }
    const found = pattern.parse(text.slice(at), family);
    if (found === undefined) return 'partial';
    return { kind: pattern.kind, at: at + found.skip, length: found.length, address: found.address, port: found.port };
  }
  return undefined;
}

function noteNewline(list: number[], seq: number): void {
  if (list.includes(seq)) return;
  if (list.length < 2) {
    list.push(seq);
    return;
  }
  const oldest = before(list[0], list[1]) ? 0 : 1;
  if (before(list[oldest], seq)) list[oldest] = seq;
}

/** How NAT writes an address and port. */
function format(kind: Kind, family: number, address: readonly number[], port: number): string {
  if (kind === 'EPSV') return `|||${port}|`;
  if (kind !== 'EPRT') return [...dotted(address[0]), port >> 8, port & 255].join(',');
  if (family === NFPROTO_IPV4) return `|1|${dotted(address[0]).join('.')}|${port}|`;
  const groups = address.flatMap((w) => [w >>> 16, w & 0xffff]);
  return `|2|${groups.map((g) => g.toString(16).padStart(4, '0')).join(':')}|${port}|`;
}

function dotted(word: number): number[] {
  return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
}

export const ftp: Helper = {
  name: 'ftp',
  protocol: ipv4.IPPROTO_TCP,
  policies: [{ name: 'ftp', max: 1, timeout: 300 }],
  newData: (): FtpData => ({ kind: 'ftp', newlines: [[], []] }),
  help(table, ct, p, at, ctinfo, state) {
    if (!isEstablished(ctinfo)) return NF_ACCEPT;
    const data = ct.helper?.data as FtpData | undefined;
    const body = tcpPayload(table, p, at, state.pf);
    if (body === undefined || data?.kind !== 'ftp') return NF_ACCEPT;
    const dir = dirOf(ctinfo);
    const seq = tcp.seq(table.slab.dv, at);
    const endsLine = table.slab.dv.getUint8(body.end - 1) === 10;
    const next = (seq + body.end - body.at) >>> 0;
    const known = data.newlines[dir];
    let verdict: number = NF_ACCEPT;
    if (known.includes(seq)) {
      const found = search(textOf(body), dir, l3num(ct.words, ct.at(0)));
      if (found === 'partial') return NF_DROP;
      if (found !== undefined) {
        const family = l3num(ct.words, ct.at(0));
        const own = new Uint32Array(4);
        if (found.address === undefined) own.set(ct.words.subarray(ct.at(dir), ct.at(dir) + 4));
        else setAddress(own, 0, found.address);
        // A data connection to a third party is somebody else's (FTP bounce).
        if (sameAddress(own, 0, ct.words, ct.at(dir))) {
          const e = table.expectations.make(ct, {
            family,
            protocol: ipv4.IPPROTO_TCP,
            src: [ct.words, ct.at(1 - dir)],
            dst: [ct.words, ct.at(1 - dir) + DST],
            dstPort: found.port,
          });
          const to = ct.at(1 - dir) + DST;
          const address = [0, 1, 2, 3].map((k) => ct.words[to + k]);
          verdict = expectConnection(table, ct, p, at, ctinfo, state.pf, e, {
            offset: found.at,
            length: found.length,
            dir: 1 - dir,
            savedPort: found.port,
            text: (port) => format(found.kind, family, address, port),
          });
        }
      }
    }
    if (endsLine) noteNewline(known, next);
    return verdict;
  },
};
