/** Match `statistic`: every nth packet, or packets at random. */
import { statistic as codec, type Statistic } from '../../../wire/xt/statistic.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { uint } from '../values.ts';

const RANDOM = 0;
const NTH = 1;
const INVERT = 1;
const FULL = 0x80000000;

export const statistic: Extension<Statistic> = {
  kind: 'match',
  name: 'statistic',
  revision: 0,
  codec,
  options: [
    {
      name: 'mode',
      mandatory: true,
      parse(s, value) {
        if (value !== 'random' && value !== 'nth')
          throw problem(`statistic: Bad value for "--mode" option: "${value}"`);
        s.mode = value === 'nth' ? NTH : RANDOM;
      },
    },
    {
      name: 'probability',
      invert: true,
      also: ['mode'],
      parse(s, value, invert) {
        const p = /^\d*\.?\d+([eE][-+]?\d+)?$/.test(value) ? Number(value) : -1;
        if (p < 0 || p > 1) throw problem('statistic: bad value for option "--probability", or out of range (0-1).');
        // The union's first word; half to even, as lround on a scaled double.
        s.every = Math.round(p * FULL) >>> 0;
        if (invert) s.flags |= INVERT;
      },
    },
    {
      name: 'every',
      invert: true,
      also: ['packet', 'mode'],
      parse(s, value, invert, ctx) {
        s.every = uint(ctx, value, 0xffffffff, 1) - 1;
        if (invert) s.flags |= INVERT;
      },
    },
    {
      name: 'packet',
      also: ['every', 'mode'],
      parse(s, value, _invert, ctx) {
        s.packet = uint(ctx, value);
      },
    },
  ],
  check(s, ctx) {
    if (s.mode === RANDOM && !ctx.seen.has('probability'))
      throw problem('--probability must be specified when using random mode');
    if (s.mode === NTH && !ctx.seen.has('every')) throw problem('--every must be specified when using nth mode');
    if (s.mode === NTH) {
      if (s.packet >= s.every + 1) throw problem('the --packet p must be 0 <= p <= n-1');
      s.count = s.every - s.packet;
    }
  },
  save(s) {
    if (s.mode === RANDOM)
      return ` --mode random${bang(s.flags & INVERT)} --probability ${(s.every / FULL).toFixed(11)}`;
    return ` --mode nth${bang(s.flags & INVERT)} --every ${s.every + 1} --packet ${s.packet}`;
  },
  print(s) {
    if (s.mode === RANDOM)
      return ` statistic mode random${bang(s.flags & INVERT)} probability ${(s.every / FULL).toFixed(11)}`;
    return ` statistic mode nth${bang(s.flags & INVERT)} every ${s.every + 1}${s.packet ? ` packet ${s.packet}` : ''}`;
  },
};
