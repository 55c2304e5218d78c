/** Matches `esp`, `ah` (IPv4 and IPv6) and `ipcomp`: the security parameter index. */
import { type Ah, ah as ahCodec } from '../../../wire/xt/ah.ts';
import { type Ah6, ah6 as ah6Codec } from '../../../wire/xt/ah6.ts';
import { type Esp, esp as espCodec } from '../../../wire/xt/esp.ts';
import { type Ipcomp, ipcomp as ipcompCodec } from '../../../wire/xt/ipcomp.ts';
import { bang, type Extension } from '../extension.ts';
import { ports, range, U32_MAX, uint } from '../values.ts';

type Spis = { spis: number[]; invert: number };

const all = (s: Spis): boolean => s.spis[0] === 0 && s.spis[1] === U32_MAX && !(s.invert & 1);

function saveSpi(name: string, s: Spis): string {
  return all(s) ? '' : `${bang(s.invert & 1)} --${name} ${ports(s.spis[0], s.spis[1])}`;
}
function printSpi(label: string, s: Spis): string {
  if (all(s)) return ` ${label}`;
  return ` ${label} spi${s.spis[0] === s.spis[1] ? '' : 's'}:${s.invert & 1 ? '!' : ''}${ports(s.spis[0], s.spis[1])}`;
}

function build<S extends Spis>(
  name: string,
  option: string,
  codec: Extension<S>['codec'],
  more: Partial<Extension<S>>,
): Extension<S> {
  return {
    kind: 'match',
    name,
    revision: 0,
    codec,
    init(s) {
      s.spis = [0, U32_MAX];
    },
    options: [
      {
        name: option,
        invert: true,
        parse(s, value, invert, ctx) {
          s.spis = range(ctx, value);
          if (invert) s.invert |= 1;
        },
      },
    ],
    save: (s) => saveSpi(option, s),
    print: (s) => printSpi(name, s),
    ...more,
  };
}

export const esp: Extension<Esp> = build('esp', 'espspi', espCodec, {});
export const ah: Extension<Ah> = build('ah', 'ahspi', ahCodec, { family: 4 });
export const ipcomp: Extension<Ipcomp> = build('ipcomp', 'ipcompspi', ipcompCodec, {
  options: [
    {
      name: 'ipcompspi',
      invert: true,
      parse(s, value, invert, ctx) {
        s.spis = range(ctx, value);
        if (invert) s.invert |= 1;
      },
    },
    {
      name: 'compres',
      arg: 'none',
      parse(s) {
        s.reserved = 1;
      },
    },
  ],
  save: (s) => saveSpi('ipcompspi', s) + (s.reserved ? ' --compres' : ''),
});
export const ah6: Extension<Ah6> = build('ah', 'ahspi', ah6Codec, {
  family: 6,
  options: [
    {
      name: 'ahspi',
      invert: true,
      parse(s, value, invert, ctx) {
        s.spis = range(ctx, value);
        if (invert) s.invert |= 1;
      },
    },
    {
      name: 'ahlen',
      invert: true,
      parse(s, value, invert, ctx) {
        s.headerLength = uint(ctx, value);
        if (invert) s.invert |= 2;
      },
    },
    {
      name: 'ahres',
      arg: 'none',
      parse(s) {
        s.reserved = 1;
      },
    },
  ],
  save(s) {
    let out = saveSpi('ahspi', s);
    if (s.headerLength || s.invert & 2) out += `${bang(s.invert & 2)} --ahlen ${s.headerLength}`;
    return s.reserved ? `${out} --ahres` : out;
  },
});
