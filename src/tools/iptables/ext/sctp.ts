/** Match `sctp`: ports and chunk types. */
import { sctp as codec, type Sctp } from '../../../wire/xt/sctp.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { ports } from '../values.ts';
import { listPorts, tcpPorts } from './tcp.ts';

const SRC = 1;
const DST = 2;
const CHUNKS = 4;
const ANY = 1;
const ALL = 2;
const ONLY = 4;

const TYPES: readonly (readonly [string, number, string])[] = [
  ['DATA', 0, '----IUBE'],
  ['INIT', 1, '--------'],
  ['INIT_ACK', 2, '--------'],
  ['SACK', 3, '--------'],
  ['HEARTBEAT', 4, '--------'],
  ['HEARTBEAT_ACK', 5, '--------'],
  ['ABORT', 6, '-------T'],
  ['SHUTDOWN', 7, '--------'],
  ['SHUTDOWN_ACK', 8, '--------'],
  ['ERROR', 9, '--------'],
  ['COOKIE_ECHO', 10, '--------'],
  ['COOKIE_ACK', 11, '--------'],
  ['ECN_ECNE', 12, '--------'],
  ['ECN_CWR', 13, '--------'],
  ['SHUTDOWN_COMPLETE', 14, '-------T'],
  ['I_DATA', 64, '----IUBE'],
  ['RE_CONFIG', 130, '--------'],
  ['PAD', 132, '--------'],
  ['ASCONF', 193, '--------'],
  ['ASCONF_ACK', 128, '--------'],
  ['FORWARD_TSN', 192, '--------'],
  ['I_FORWARD_TSN', 194, '--------'],
];

const isSet = (s: Sctp, type: number): boolean => (s.chunkMap[type >> 5] & (1 << (type & 31))) !== 0;

function parseChunks(s: Sctp, how: string, list: string): void {
  const mode = { any: ANY, all: ALL, only: ONLY }[how.toLowerCase()];
  if (mode === undefined) throw problem('Match type has to be one of "ALL", "ANY" or "ONLY"');
  s.chunkMatch = mode;
  for (const word of list.split(',')) {
    const [name, flagText] = word.split(':');
    if (name.toUpperCase() === 'ALL') {
      for (const [, type] of TYPES) s.chunkMap[type >> 5] = (s.chunkMap[type >> 5] | (1 << (type & 31))) >>> 0;
      continue;
    }
    if (name.toUpperCase() === 'NONE') continue;
    const found = TYPES.find(([n]) => n === name.toUpperCase());
    if (found === undefined) throw problem(`Unknown sctp chunk \`${name}'`);
    const [, type, letters] = found;
    s.chunkMap[type >> 5] = (s.chunkMap[type >> 5] | (1 << (type & 31))) >>> 0;
    if (flagText === undefined) continue;
    let flag = 0;
    let mask = 0;
    for (const c of flagText) {
      const at = letters.indexOf(c.toUpperCase());
      if (at < 0 || c === '-') throw problem(`Invalid flags for chunk type ${type}\n`);
      mask |= 1 << (7 - at);
      if (c === c.toUpperCase()) flag |= 1 << (7 - at);
    }
    s.flagInfo[s.flagCount++] = { type, flag, mask };
  }
}

function chunkText(s: Sctp): string {
  const mode = { [ANY]: 'any', [ALL]: 'all', [ONLY]: 'only' }[s.chunkMatch] ?? '';
  const full = TYPES.every(([, type]) => isSet(s, type)) && s.chunkMap.every((word) => word === 0xffffffff);
  if (full) return `${mode} ALL`;
  const words: string[] = [];
  for (let type = 0; type < 256; type++) {
    if (!isSet(s, type)) continue;
    const known = TYPES.find(([, t]) => t === type);
    let word = known?.[0] ?? `0x${type.toString(16)}`;
    const info = s.flagInfo.slice(0, s.flagCount).find((f) => f.type === type);
    if (info !== undefined) {
      let flags = '';
      for (let i = 7; i >= 0; i--) {
        const letter = known?.[2][7 - i] ?? '-';
        if (info.mask & (1 << i)) flags += info.flag & (1 << i) ? letter : letter.toLowerCase();
      }
      if (flags !== '') word += `:${flags}`;
    }
    words.push(word);
  }
  return `${mode} ${words.length === 0 ? 'NONE' : words.join(',')}`;
}

export const sctp: Extension<Sctp> = {
  kind: 'match',
  name: 'sctp',
  revision: 0,
  codec,
  init(s) {
    // 255: no chunk type.
    for (const info of s.flagInfo) info.type = 0xff;
  },
  options: [
    ...['source-port', 'sport'].map((name) => ({
      name,
      invert: true,
      parse(s: Sctp, value: string, invert: boolean): void {
        s.spts = tcpPorts(value, 132);
        s.flags |= SRC;
        if (invert) s.invert |= SRC;
      },
    })),
    ...['destination-port', 'dport'].map((name) => ({
      name,
      invert: true,
      parse(s: Sctp, value: string, invert: boolean): void {
        s.dpts = tcpPorts(value, 132);
        s.flags |= DST;
        if (invert) s.invert |= DST;
      },
    })),
    {
      name: 'chunk-types',
      invert: true,
      parse(s, value, invert, ctx) {
        const list = ctx.next();
        if (list === undefined) throw problem('--chunk-types requires two args');
        parseChunks(s, value, list);
        s.flags |= CHUNKS;
        if (invert) s.invert |= CHUNKS;
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.flags & SRC) out += `${bang(s.invert & SRC)} --sport ${ports(s.spts[0], s.spts[1])}`;
    if (s.flags & DST) out += `${bang(s.invert & DST)} --dport ${ports(s.dpts[0], s.dpts[1])}`;
    if (s.flags & CHUNKS) out += `${bang(s.invert & CHUNKS)} --chunk-types ${chunkText(s)}`;
    return out;
  },
  print(s, _ctx, numeric) {
    let out = ' sctp';
    if (s.flags & SRC) out += listPorts('spt', s.spts, (s.invert & SRC) !== 0, 132, numeric);
    if (s.flags & DST) out += listPorts('dpt', s.dpts, (s.invert & DST) !== 0, 132, numeric);
    if (s.flags & CHUNKS) out += `${bang(s.invert & CHUNKS)} ${chunkText(s)}`;
    return out;
  },
};
