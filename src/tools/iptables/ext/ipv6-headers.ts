/** Matches on IPv6 extension headers: frag, hbh, dst, ipv6header, rt, mh. */
import { formatAddress } from '../../../wire/address.ts';
import { type Frag, frag as fragCodec } from '../../../wire/xt/frag.ts';
import { type Ipv6header, ipv6header as ipv6headerCodec } from '../../../wire/xt/ipv6header.ts';
import { type Mh, mh as mhCodec } from '../../../wire/xt/mh.ts';
import { type Opts, opts as optsCodec } from '../../../wire/xt/opts.ts';
import { type Rt, rt as rtCodec } from '../../../wire/xt/rt.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { address, number, ports, range, U32_MAX, uint } from '../values.ts';

export const frag: Extension<Frag> = {
  kind: 'match',
  name: 'frag',
  revision: 0,
  family: 6,
  codec: fragCodec,
  init(s) {
    s.ids = [0, U32_MAX];
  },
  options: [
    {
      name: 'fragid',
      invert: true,
      parse(s, value, invert, ctx) {
        s.ids = range(ctx, value);
        s.flags |= 1;
        if (invert) s.invert |= 1;
      },
    },
    {
      name: 'fraglen',
      invert: true,
      parse(s, value, invert, ctx) {
        s.headerLength = uint(ctx, value);
        s.flags |= 2;
        if (invert) s.invert |= 2;
      },
    },
    {
      name: 'fragres',
      arg: 'none',
      parse(s) {
        s.flags |= 4;
      },
    },
    {
      name: 'fragfirst',
      arg: 'none',
      parse(s) {
        s.flags |= 8;
      },
    },
    {
      name: 'fragmore',
      arg: 'none',
      excl: ['fraglast'],
      parse(s) {
        s.flags |= 16;
      },
    },
    {
      name: 'fraglast',
      arg: 'none',
      excl: ['fragmore'],
      parse(s) {
        s.flags |= 32;
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.ids[0] !== 0 || s.ids[1] !== U32_MAX) out += `${bang(s.invert & 1)} --fragid ${ports(s.ids[0], s.ids[1])}`;
    if (s.flags & 2) out += `${bang(s.invert & 2)} --fraglen ${s.headerLength}`;
    if (s.flags & 4) out += ' --fragres';
    if (s.flags & 8) out += ' --fragfirst';
    if (s.flags & 16) out += ' --fragmore';
    if (s.flags & 32) out += ' --fraglast';
    return out;
  },
  print(s) {
    return ` frag${this.save(s, undefined as never).replaceAll('--frag', '')}`;
  },
};

function optionText(opts: readonly number[], count: number): string {
  return opts
    .slice(0, count)
    .map((word) => `${word >> 8}${(word & 0xff) === 0xff ? '' : `:${word & 0xff}`}`)
    .join(',');
}

function options(name: 'hbh' | 'dst'): Extension<Opts> {
  return {
    kind: 'match',
    name,
    revision: 0,
    family: 6,
    codec: optsCodec,
    options: [
      {
        name: `${name}-len`,
        invert: true,
        parse(s, value, invert, ctx) {
          s.headerLength = uint(ctx, value);
          s.flags |= 1;
          if (invert) s.invert |= 1;
        },
      },
      {
        name: `${name}-opts`,
        parse(s, value) {
          const list = value.split(',');
          if (list.length > 16) throw problem('too many arguments specified');
          list.forEach((word, i) => {
            const [type, length] = word.split(':');
            const t = number(type, 255);
            const l = length === undefined ? 0xff : number(length, 255);
            if (t === undefined || l === undefined) throw problem(`invalid option \`${word}' specified`);
            s.opts[i] = (t << 8) | l;
          });
          s.count = list.length;
          s.flags |= 2;
        },
      },
    ],
    save(s) {
      let out = '';
      if (s.flags & 1) out += `${bang(s.invert & 1)} --${name}-len ${s.headerLength}`;
      if (s.count > 0) out += ` --${name}-opts ${optionText(s.opts, s.count)}`;
      return out;
    },
    print(s) {
      let out = ` ${name}`;
      if (s.flags & 1) out += ` length:${s.invert & 1 ? '!' : ''}${s.headerLength}`;
      if (s.count > 0) out += ` opts ${optionText(s.opts, s.count)}`;
      return out;
    },
  };
}
export const hbh: Extension<Opts> = options('hbh');
export const dst: Extension<Opts> = options('dst');

const HEADERS: readonly (readonly [string, string, number, number])[] = [
  ['hop-by-hop', 'hop', 0, 128],
  ['protocol', 'prot', 255, 1],
  ['ipv6-route', 'route', 43, 32],
  ['ipv6-frag', 'frag', 44, 16],
  ['ipv6-nonxt', 'none', 59, 2],
  ['ipv6-opts', 'dst', 60, 64],
  ['esp', 'esp', 50, 4],
  ['ah', 'auth', 51, 8],
];

const headerList = (mask: number): string =>
  [128, 64, 32, 16, 8, 4, 2, 1]
    .filter((bit) => mask & bit)
    .map((bit) => HEADERS.find(([, , , b]) => b === bit)?.[0] ?? '')
    .join(',');

export const ipv6header: Extension<Ipv6header> = {
  kind: 'match',
  name: 'ipv6header',
  revision: 0,
  family: 6,
  codec: ipv6headerCodec,
  options: [
    {
      name: 'header',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        for (const word of value.split(',')) {
          const lower = word.toLowerCase();
          const found = HEADERS.find(([name, short, n]) => name === lower || short === lower || `${n}` === lower);
          if (found === undefined) throw problem(`unknown header \`${word}' specified`);
          s.match |= found[3];
        }
        if (invert) s.invert |= 255;
      },
    },
    {
      name: 'soft',
      arg: 'none',
      parse(s) {
        s.soft = 255;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --header ${headerList(s.match)}${s.soft ? ' --soft' : ''}`,
  print: (s) => ` ipv6header flags:${s.invert ? '!' : ''}${headerList(s.match)}${s.soft ? ' soft' : ''}`,
};

export const rt: Extension<Rt> = {
  kind: 'match',
  name: 'rt',
  revision: 0,
  family: 6,
  codec: rtCodec,
  init(s) {
    s.segsLeft = [0, U32_MAX];
  },
  options: [
    {
      name: 'rt-type',
      invert: true,
      parse(s, value, invert, ctx) {
        s.type = uint(ctx, value);
        s.flags |= 1;
        if (invert) s.invert |= 1;
      },
    },
    {
      name: 'rt-segsleft',
      invert: true,
      parse(s, value, invert, ctx) {
        s.segsLeft = range(ctx, value);
        s.flags |= 2;
        if (invert) s.invert |= 2;
      },
    },
    {
      name: 'rt-len',
      invert: true,
      parse(s, value, invert, ctx) {
        s.headerLength = uint(ctx, value);
        s.flags |= 4;
        if (invert) s.invert |= 4;
      },
    },
    {
      name: 'rt-0-res',
      arg: 'none',
      also: ['rt-type'],
      parse(s) {
        s.flags |= 8;
      },
    },
    {
      name: 'rt-0-addrs',
      also: ['rt-type'],
      parse(s, value) {
        const list = value.split(',');
        if (list.length > 16) throw problem('too many addresses specified');
        list.forEach((word, i) => {
          const found = address(word, 6);
          if (found === undefined) throw problem(`error parsing address ${word}`);
          s.addrs[i] = found;
        });
        s.count = list.length;
        s.flags |= 16;
      },
    },
    {
      name: 'rt-0-not-strict',
      arg: 'none',
      also: ['rt-0-addrs'],
      parse(s) {
        s.flags |= 32;
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.flags & 1) out += `${bang(s.invert & 1)} --rt-type ${s.type}`;
    if (s.segsLeft[0] !== 0 || s.segsLeft[1] !== U32_MAX)
      out += `${bang(s.invert & 2)} --rt-segsleft ${ports(s.segsLeft[0], s.segsLeft[1])}`;
    if (s.flags & 4) out += `${bang(s.invert & 4)} --rt-len ${s.headerLength}`;
    if (s.flags & 8) out += ' --rt-0-res';
    if (s.flags & 16)
      out += ` --rt-0-addrs ${s.addrs
        .slice(0, s.count)
        .map((a) => formatAddress(a))
        .join(',')}`;
    if (s.flags & 32) out += ' --rt-0-not-strict';
    return out;
  },
  print(s) {
    let out = ' rt';
    if (s.flags & 1) out += ` type:${s.invert & 1 ? '!' : ''}${s.type}`;
    if (s.segsLeft[0] !== 0 || s.segsLeft[1] !== U32_MAX)
      out += ` segsleft${s.segsLeft[0] === s.segsLeft[1] ? '' : 's'}:${s.invert & 2 ? '!' : ''}${ports(s.segsLeft[0], s.segsLeft[1])}`;
    if (s.flags & 4) out += ` length:${s.invert & 4 ? '!' : ''}${s.headerLength}`;
    if (s.flags & 8) out += ' reserved';
    if (s.flags & 16)
      out += ` 0-addrs ${s.addrs
        .slice(0, s.count)
        .map((a) => formatAddress(a))
        .join(',')}`;
    return s.flags & 32 ? `${out} 0-not-strict` : out;
  },
};

const MH_TYPES: readonly (readonly [string, number])[] = [
  ['binding-refresh-request', 0],
  ['brr', 0],
  ['home-test-init', 1],
  ['hoti', 1],
  ['careof-test-init', 2],
  ['coti', 2],
  ['home-test', 3],
  ['hot', 3],
  ['careof-test', 4],
  ['cot', 4],
  ['binding-update', 5],
  ['bu', 5],
  ['binding-acknowledgement', 6],
  ['ba', 6],
  ['binding-error', 7],
  ['be', 7],
];

export const mh: Extension<Mh> = {
  kind: 'match',
  name: 'mh',
  revision: 0,
  family: 6,
  codec: mhCodec,
  init(s) {
    s.types = [0, 255];
  },
  options: [
    {
      name: 'mh-type',
      invert: true,
      parse(s, value, invert) {
        const one = (word: string): number => {
          const type = MH_TYPES.find(([name]) => name === word.toLowerCase())?.[1] ?? number(word, 255);
          if (type === undefined) throw problem(`Invalid MH type \`${word}'`);
          return type;
        };
        const colon = value.indexOf(':');
        const from = colon < 0 ? one(value) : value.startsWith(':') ? 0 : one(value.slice(0, colon));
        const to = colon < 0 ? from : value.endsWith(':') ? 255 : one(value.slice(colon + 1));
        if (from > to) throw problem(`Invalid MH type range (min > max): ${value}`);
        s.types = [from, to];
        if (invert) s.invert |= 1;
      },
    },
  ],
  save: (s) =>
    s.types[0] === 0 && s.types[1] === 255 && !s.invert
      ? ''
      : `${bang(s.invert)} --mh-type ${ports(s.types[0], s.types[1])}`,
  print(s) {
    if (s.types[0] === 0 && s.types[1] === 255 && !s.invert) return ' mh';
    return ` mh ${s.invert ? '!' : ''}${ports(s.types[0], s.types[1])}`;
  },
};
