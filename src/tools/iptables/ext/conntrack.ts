/** Matches `conntrack` and `state`: the packet's connection (nf_conntrack). */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import { type Conntrack, conntrack as codec } from '../../../wire/xt/conntrack.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension, type Option } from '../extension.ts';
import { protocolNumber } from '../names.ts';
import { inet, masked, number, portRange, ports, range, union } from '../values.ts';

const STATE = 1;
const PROTO = 2;
const ORIGSRC = 4;
const ORIGDST = 8;
const REPLSRC = 16;
const REPLDST = 32;
const STATUS = 64;
const EXPIRES = 128;
const ORIGSRC_PORT = 256;
const ORIGDST_PORT = 512;
const REPLSRC_PORT = 1024;
const REPLDST_PORT = 2048;
const DIRECTION = 4096;
const STATE_ALIAS = 8192;

const STATES: readonly (readonly [string, number])[] = [
  ['INVALID', 1],
  ['NEW', 8],
  ['RELATED', 4],
  ['ESTABLISHED', 2],
  ['UNTRACKED', 256],
  ['SNAT', 64],
  ['DNAT', 128],
];
const STATUSES: readonly (readonly [string, number])[] = [
  ['EXPECTED', 1],
  ['SEEN_REPLY', 2],
  ['ASSURED', 4],
  ['CONFIRMED', 8],
];

function words(text: string, table: readonly (readonly [string, number])[], fallback: (word: string) => Error): number {
  let out = 0;
  for (const word of text.split(',')) {
    const bit = table.find(([name]) => name === word.toUpperCase())?.[1];
    if (bit === undefined) throw fallback(word);
    out |= bit;
  }
  return out;
}

function wordText(bits: number, table: readonly (readonly [string, number])[]): string {
  return table
    .filter(([, bit]) => bits & bit)
    .map(([name]) => name)
    .join(',');
}

function badState(text: string): Error {
  return problem(`Bad ctstate "${text}"`);
}

function setFlag(s: Conntrack, flag: number, invert: boolean): void {
  s.matchFlags |= flag;
  if (invert) s.invertFlags |= flag;
}

type AddressKey = 'origSrc' | 'origDst' | 'replSrc' | 'replDst';

function addressOption(name: string, key: AddressKey, flag: number): Option<Conntrack> {
  return {
    name,
    invert: true,
    parse(s, value, invert, ctx) {
      const { address, mask } = masked(value, ctx.family);
      s[key] = union(address);
      // A plain address gets a mask that fills the whole union.
      s[`${key}Mask`] = value.includes('/') ? union(mask) : new Uint8Array(16).fill(0xff);
      setFlag(s, flag, invert);
    },
  };
}

function portOption(name: string, key: AddressKey, flag: number): Option<Conntrack> {
  return {
    name,
    invert: true,
    parse(s, value, invert, ctx) {
      [s[`${key}Port`], s[`${key}PortHigh`]] = portRange(ctx, value);
      setFlag(s, flag, invert);
    },
  };
}

function addressText(s: Conntrack, key: AddressKey, ctx: Context): string {
  const mask = inet(s[`${key}Mask`], ctx.family);
  const length = maskLength(mask);
  const text = formatAddress(inet(s[key], ctx.family));
  if (length === mask.length * 8) return text;
  return `${text}/${length >= 0 ? length : formatAddress(mask)}`;
}

const ADDRESSES: readonly (readonly [string, AddressKey, number])[] = [
  ['ctorigsrc', 'origSrc', ORIGSRC],
  ['ctorigdst', 'origDst', ORIGDST],
  ['ctreplsrc', 'replSrc', REPLSRC],
  ['ctrepldst', 'replDst', REPLDST],
];
const PORTS: readonly (readonly [string, AddressKey, number])[] = [
  ['ctorigsrcport', 'origSrc', ORIGSRC_PORT],
  ['ctorigdstport', 'origDst', ORIGDST_PORT],
  ['ctreplsrcport', 'replSrc', REPLSRC_PORT],
  ['ctrepldstport', 'replDst', REPLDST_PORT],
];

/** Words after each other; `prefix` is "--" when saving. */
function dump(s: Conntrack, ctx: Context, prefix: string): string {
  let out = '';
  const no = (flag: number): string => bang(s.invertFlags & flag);
  if (s.matchFlags & STATE) {
    const name = s.matchFlags & STATE_ALIAS ? 'state' : 'ctstate';
    out += `${no(STATE)} ${prefix}${name} ${wordText(s.stateMask, STATES)}`;
  }
  if (s.matchFlags & PROTO) out += `${no(PROTO)} ${prefix}ctproto ${s.l4proto}`;
  for (const [name, key, flag] of ADDRESSES)
    if (s.matchFlags & flag) out += `${no(flag)} ${prefix}${name} ${addressText(s, key, ctx)}`;
  for (const [name, key, flag] of PORTS)
    if (s.matchFlags & flag) out += `${no(flag)} ${prefix}${name} ${ports(s[`${key}Port`], s[`${key}PortHigh`])}`;
  if (s.matchFlags & STATUS)
    out += `${no(STATUS)} ${prefix}ctstatus ${s.statusMask === 0 ? 'NONE' : wordText(s.statusMask, STATUSES)}`;
  if (s.matchFlags & EXPIRES) out += `${no(EXPIRES)} ${prefix}ctexpire ${ports(s.expiresMin, s.expiresMax)}`;
  if (s.matchFlags & DIRECTION) out += ` ${prefix}ctdir ${s.invertFlags & DIRECTION ? 'REPLY' : 'ORIGINAL'}`;
  return out;
}

const base = { kind: 'match', revision: 3, codec } as const;

export const conntrack: Extension<Conntrack> = {
  ...base,
  name: 'conntrack',
  owns: (s) => (s.matchFlags & STATE_ALIAS) === 0,
  options: [
    {
      name: 'ctstate',
      invert: true,
      parse(s, value, invert) {
        s.stateMask = words(value, STATES, badState);
        setFlag(s, STATE, invert);
      },
    },
    {
      name: 'ctproto',
      invert: true,
      parse(s, value, invert) {
        const proto = protocolNumber(value) ?? number(value, 255);
        if (proto === undefined) throw problem(`unknown protocol "${value}" specified`);
        s.l4proto = proto;
        setFlag(s, PROTO, invert);
        if (proto === 0 && invert) throw problem('conntrack: rule would never match protocol');
      },
    },
    ...ADDRESSES.map(([name, key, flag]) => addressOption(name, key, flag)),
    ...PORTS.map(([name, key, flag]) => portOption(name, key, flag)),
    {
      name: 'ctstatus',
      invert: true,
      parse(s, value, invert) {
        s.statusMask = words(value, [...STATUSES, ['NONE', 0]], (word) => problem(`Bad ctstatus "${word}"`));
        setFlag(s, STATUS, invert);
      },
    },
    {
      name: 'ctexpire',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.expiresMin, s.expiresMax] = range(ctx, value);
        setFlag(s, EXPIRES, invert);
      },
    },
    {
      name: 'ctdir',
      parse(s, value) {
        if (value !== 'ORIGINAL' && value !== 'REPLY')
          throw problem(`conntrack: Bad value for "--ctdir" option: "${value}"`);
        setFlag(s, DIRECTION, value === 'REPLY');
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('conntrack: At least one option is required');
  },
  save: (s, ctx) => dump(s, ctx, '--'),
  print: (s, ctx) => dump(s, ctx, ''),
};

export const state: Extension<Conntrack> = {
  ...base,
  name: 'state',
  realName: 'conntrack',
  owns: (s) => (s.matchFlags & STATE_ALIAS) !== 0,
  options: [
    {
      name: 'state',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        s.stateMask = words(value, STATES.slice(0, 5), (text) => problem(`Bad state "${text}"`));
        s.matchFlags = STATE | STATE_ALIAS;
        s.invertFlags = invert ? STATE : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invertFlags & STATE)} --state ${wordText(s.stateMask, STATES)}`,
  print: (s) => `${bang(s.invertFlags & STATE)} state ${wordText(s.stateMask, STATES)}`,
};
