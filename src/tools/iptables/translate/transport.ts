/** Translations of the matches on transport headers. */
import type { Ah } from '../../../wire/xt/ah.ts';
import type { Dccp } from '../../../wire/xt/dccp.ts';
import type { Esp } from '../../../wire/xt/esp.ts';
import type { Icmp } from '../../../wire/xt/icmp.ts';
import type { Ipcomp } from '../../../wire/xt/ipcomp.ts';
import type { Multiport } from '../../../wire/xt/multiport.ts';
import type { Sctp } from '../../../wire/xt/sctp.ts';
import type { Tcp } from '../../../wire/xt/tcp.ts';
import type { Tcpmss } from '../../../wire/xt/tcpmss.ts';
import type { Udp } from '../../../wire/xt/udp.ts';
import { protocolName } from '../names.ts';
import { hex, not, span, type Translate, type TranslateContext, type TranslateTable, words } from './types.ts';

/** "tcp dport != 1-9", '' when every port matches. */
function ports(protocol: string, side: string, range: readonly number[], invert: boolean): string {
  if (range[0] === 0 && range[1] === 65535 && !invert) return '';
  return `${protocol} ${side} ${not(invert)}${span(range)}`;
}

/** What is left of `-p tcp -m tcp` without options. */
function anyOf(protocol: string, ctx: TranslateContext): string {
  return ctx.rule.family === 4 ? `ip protocol ${protocol}` : `meta l4proto ${protocol}`;
}

const TCP_FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg'];
const flagList = (bits: number): string => TCP_FLAGS.filter((_, i) => bits & (1 << i)).join(',') || '0x0';

const tcp: Translate<Tcp> = (s, ctx) => {
  const option = s.option === 0 ? '' : `tcp option ${s.option} ${s.invert & 8 ? 'missing' : 'exists'}`;
  const flags =
    s.flagMask === 0 && !(s.invert & 4)
      ? ''
      : s.invert & 4
        ? `tcp flags != ${flagList(s.flagCmp)} / ${flagList(s.flagMask)}`
        : `tcp flags ${flagList(s.flagCmp)} / ${flagList(s.flagMask)}`;
  const text = words(
    ports('tcp', 'sport', s.spts, (s.invert & 1) !== 0),
    ports('tcp', 'dport', s.dpts, (s.invert & 2) !== 0),
    option,
    flags,
  );
  return text === '' ? anyOf('tcp', ctx) : text;
};

const udp: Translate<Udp> = (s, ctx) => {
  const text = words(
    ports('udp', 'sport', s.spts, (s.invert & 1) !== 0),
    ports('udp', 'dport', s.dpts, (s.invert & 2) !== 0),
  );
  return text === '' ? anyOf('udp', ctx) : text;
};

const CHUNKS: ReadonlyMap<number, string> = new Map([
  [0, 'data'],
  [1, 'init'],
  [2, 'init-ack'],
  [3, 'sack'],
  [4, 'heartbeat'],
  [5, 'heartbeat-ack'],
  [6, 'abort'],
  [7, 'shutdown'],
  [8, 'shutdown-ack'],
  [9, 'error'],
  [10, 'cookie-echo'],
  [11, 'cookie-ack'],
  [12, 'ecne'],
  [13, 'cwr'],
  [14, 'shutdown-complete'],
  [64, 'i-data'],
  [128, 'asconf-ack'],
  [130, 're-config'],
  [132, 'pad'],
  [192, 'forward-tsn'],
  [193, 'asconf'],
  [194, 'i-forward-tsn'],
]);
const CHUNK_ALL = 2;

const sctp: Translate<Sctp> = (s, ctx) => {
  const chunks: string[] = [];
  if (s.flags & 4) {
    // One expression asks for one chunk; nft has no words for "any of" and "none but".
    if (s.chunkMatch !== CHUNK_ALL || s.invert & 4) return undefined;
    for (let type = 0; type < 256; type++) {
      if (!(s.chunkMap[type >> 5] & (1 << (type & 31)))) continue;
      const name = CHUNKS.get(type);
      if (name === undefined) return undefined;
      const info = s.flagInfo.slice(0, s.flagCount).find((f) => f.type === type);
      chunks.push(
        info === undefined || info.mask === 0
          ? `sctp chunk ${name} exists`
          : `sctp chunk ${name} flags & ${hex(info.mask)} == ${hex(info.flag)}`,
      );
    }
  }
  const text = words(
    ports('sctp', 'sport', s.flags & 1 ? s.spts : [0, 65535], (s.invert & 1) !== 0),
    ports('sctp', 'dport', s.flags & 2 ? s.dpts : [0, 65535], (s.invert & 2) !== 0),
    ...chunks,
  );
  return text === '' ? anyOf('sctp', ctx) : text;
};

const DCCP_TYPES = ['request', 'response', 'data', 'ack', 'dataack', 'closereq', 'close', 'reset', 'sync', 'syncack'];

const dccp: Translate<Dccp> = (s, ctx) => {
  if (s.flags & 8) return undefined;
  let types = '';
  if (s.flags & 4) {
    const list = [...DCCP_TYPES, '10-15'].filter((_, i) => s.typeMask & (1 << i));
    if (list.length > 0)
      types = `dccp type ${not(s.invert & 4)}${list.length > 1 ? `{ ${list.join(', ')} }` : list[0]}`;
  }
  const text = words(
    ports('dccp', 'sport', s.flags & 1 ? s.spts : [0, 65535], (s.invert & 1) !== 0),
    ports('dccp', 'dport', s.flags & 2 ? s.dpts : [0, 65535], (s.invert & 2) !== 0),
    types,
  );
  return text === '' ? anyOf('dccp', ctx) : text;
};

const SIDES = ['sport', 'dport'];

const multiport: Translate<Multiport> = (s, { rule }) => {
  const protocol = protocolName(rule.proto);
  if (protocol === undefined) return undefined;
  const list: string[] = [];
  for (let i = 0; i < s.count; i++) {
    if (s.pflags[i]) list.push(`${s.ports[i]}-${s.ports[++i]}`);
    else list.push(`${s.ports[i]}`);
  }
  if (s.flags === 2) {
    // Either side: two concatenations for each port.
    const pairs = list.flatMap((port) => [`0-65535 . ${port}`, `${port} . 0-65535`]);
    return `${protocol} sport . ${protocol} dport ${not(s.invert)}{ ${pairs.join(', ')} }`;
  }
  const values = list.length > 1 ? `{ ${list.join(', ')} }` : list[0];
  return `${protocol} ${SIDES[s.flags]} ${not(s.invert)}${values}`;
};

/** nft's names of types, where it has one and no code is asked for. */
const ICMP_NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'echo-reply'],
  [3, 'destination-unreachable'],
  [4, 'source-quench'],
  [5, 'redirect'],
  [8, 'echo-request'],
  [9, 'router-advertisement'],
  [10, 'router-solicitation'],
  [11, 'time-exceeded'],
  [12, 'parameter-problem'],
  [13, 'timestamp-request'],
  [14, 'timestamp-reply'],
  [17, 'address-mask-request'],
  [18, 'address-mask-reply'],
]);
const ICMP6_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'destination-unreachable'],
  [2, 'packet-too-big'],
  [3, 'time-exceeded'],
  [4, 'parameter-problem'],
  [128, 'echo-request'],
  [129, 'echo-reply'],
  [130, 'mld-listener-query'],
  [131, 'mld-listener-report'],
  [132, 'mld-listener-done'],
  [133, 'nd-router-solicit'],
  [134, 'nd-router-advert'],
  [135, 'nd-neighbor-solicit'],
  [136, 'nd-neighbor-advert'],
  [137, 'nd-redirect'],
]);

function icmp(protocol: 'icmp' | 'icmpv6', names: ReadonlyMap<number, string>): Translate<Icmp> {
  return (s, ctx) => {
    if (protocol === 'icmp' && s.type === 255) return s.invert ? undefined : anyOf('icmp', ctx);
    const whole = s.code[0] === 0 && s.code[1] === 255;
    // The opposite of "this type and this code" is no list of matches.
    if (!whole && s.invert & 1) return undefined;
    const type = `${protocol} type ${not(s.invert & 1)}${names.get(s.type) ?? s.type}`;
    return whole ? type : `${type} ${protocol} code ${span(s.code)}`;
  };
}

/** "ah spi 1-2", '' when every number matches. */
function spi(key: string, spis: readonly number[], invert: boolean): string {
  return spis[0] === 0 && spis[1] === 0xffffffff && !invert ? '' : `${key} ${not(invert)}${span(spis)}`;
}

const ah: Translate<Ah> = (s) => spi('ah spi', s.spis, (s.invert & 1) !== 0) || 'meta l4proto ah';
const esp: Translate<Esp> = (s) => spi('esp spi', s.spis, (s.invert & 1) !== 0) || 'meta l4proto esp';

const ipcomp: Translate<Ipcomp> = (s) => `comp cpi ${not(s.invert & 1)}${span(s.spis)}`;

const tcpmss: Translate<Tcpmss> = (s) => `tcp option maxseg size ${not(s.invert)}${span([s.min, s.max])}`;

export const TRANSPORT: TranslateTable = {
  tcp,
  udp,
  sctp,
  dccp,
  multiport,
  icmp: icmp('icmp', ICMP_NAMES),
  icmp6: icmp('icmpv6', ICMP6_NAMES),
  ah,
  esp,
  ipcomp,
  tcpmss,
};
