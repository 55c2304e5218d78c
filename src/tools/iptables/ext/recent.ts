/** Match `recent`: a list of addresses seen before. */
import { formatAddress } from '../../../wire/address.ts';
import { recent as codec, type Recent } from '../../../wire/xt/recent.ts';
import type { Codec } from '../../../wire/xt/struct.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension, type Option } from '../extension.ts';
import { address, inet, uint, union } from '../values.ts';

const DEFAULT_NAME = 'DEFAULT';
const CHECK = 1;
const SET = 2;
const UPDATE = 4;
const REMOVE = 8;
const TTL = 16;
const REAP = 32;
const COMMANDS: readonly (readonly [string, number])[] = [
  ['set', SET],
  ['rcheck', CHECK],
  ['update', UPDATE],
  ['remove', REMOVE],
];

function command(name: string, bit: number): Option<Recent> {
  return {
    name,
    arg: 'none',
    invert: true,
    excl: COMMANDS.map(([other]) => other).filter((other) => other !== name),
    parse(s, _value, invert) {
      s.checkSet |= bit;
      s.invert = invert ? 1 : 0;
    },
  };
}

function words(s: Recent, ctx: Context, names: (bit: number) => string, prefix: string): string {
  let out = bang(s.invert);
  for (const [, bit] of COMMANDS) if (s.checkSet & bit) out += ` ${names(bit)}`;
  if (s.seconds) out += ` ${prefix}seconds${prefix === '' ? ':' : ''} ${s.seconds}`;
  if (s.checkSet & REAP) out += ` ${prefix}reap`;
  if (s.hitCount) out += ` ${prefix}${prefix === '' ? 'hit_count:' : 'hitcount'} ${s.hitCount}`;
  if (s.checkSet & TTL) out += ` ${prefix === '' ? 'TTL-Match' : '--rttl'}`;
  out += ` ${prefix}name${prefix === '' ? ':' : ''} ${s.name}`;
  out += ` ${prefix}mask${prefix === '' ? ':' : ''} ${formatAddress(inet(s.mask, ctx.family))}`;
  return out;
}

/** iptables writes a name over the default one and leaves what is behind its NUL; so does this. */
const overDefault: Codec<Recent> = {
  ...codec,
  encode(value) {
    const bytes = codec.encode(value);
    const from = codec.offsets.name;
    for (let i = value.name.length + 1; i < DEFAULT_NAME.length; i++) bytes[from + i] = DEFAULT_NAME.charCodeAt(i);
    return bytes;
  },
};

export const recent: Extension<Recent> = {
  kind: 'match',
  name: 'recent',
  revision: 1,
  codec: overDefault,
  init(s) {
    s.name = DEFAULT_NAME;
    s.mask = new Uint8Array(16).fill(0xff);
  },
  options: [
    ...COMMANDS.map(([name, bit]) => command(name, bit)),
    {
      name: 'seconds',
      parse(s, value, _invert, ctx) {
        s.seconds = uint(ctx, value, 0xffffffff, 1);
      },
    },
    {
      name: 'reap',
      arg: 'none',
      also: ['seconds'],
      parse(s) {
        s.checkSet |= REAP;
      },
    },
    {
      name: 'hitcount',
      parse(s, value, _invert, ctx) {
        s.hitCount = uint(ctx, value);
      },
    },
    {
      name: 'rttl',
      arg: 'none',
      parse(s) {
        s.checkSet |= TTL;
      },
    },
    {
      name: 'name',
      parse(s, value) {
        s.name = value.slice(0, 199);
      },
    },
    {
      name: 'rsource',
      arg: 'none',
      parse(s) {
        s.side = 0;
      },
    },
    {
      name: 'rdest',
      arg: 'none',
      parse(s) {
        s.side = 1;
      },
    },
    {
      name: 'mask',
      parse(s, value, _invert, ctx) {
        const found = address(value, ctx.family);
        if (found === undefined) throw problem(`recent: Bad value for "--mask" option: "${value}"`);
        s.mask = union(found);
      },
    },
  ],
  check(s) {
    if (!(s.checkSet & (SET | CHECK | UPDATE | REMOVE)))
      throw problem("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'");
  },
  save: (s, ctx) =>
    words(s, ctx, (bit) => `--${COMMANDS.find(([, b]) => b === bit)?.[0] ?? ''}`, '--') +
    (s.side === 1 ? ' --rdest' : ' --rsource'),
  print: (s, ctx) =>
    ` recent:${words(
      s,
      ctx,
      (bit) => ({ [SET]: 'SET', [CHECK]: 'CHECK', [UPDATE]: 'UPDATE', [REMOVE]: 'REMOVE' })[bit] ?? '',
      '',
    )
      .replace(' name:', `${s.side === 1 ? ' name:' : ' name:'}`)
      .replace(' mask:', `${s.side === 1 ? ' side: dest' : ' side: source'} mask:`)}`,
};
