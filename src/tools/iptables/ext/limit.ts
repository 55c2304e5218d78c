/** Match `limit`: a token bucket. Its kernel form in a rule is the native `limit` expression. */
import { limit as codec, type Limit } from '../../../wire/xt/limit.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';
import { uint } from '../values.ts';

export const SCALE = 10000;
const UNITS: readonly (readonly [string, number])[] = [
  ['day', 86400],
  ['hour', 3600],
  ['min', 60],
  ['sec', 1],
];

/** Rate and unit (seconds) that print a period of `avg` ticks, `scale` ticks a second. */
export function rateOf(avg: number, scale: number): { rate: number; unit: number; name: string } {
  let i = 1;
  for (; i < UNITS.length; i++) {
    const ticks = UNITS[i][1] * scale;
    if (avg > ticks || Math.floor(ticks / avg) < ticks % avg) break;
  }
  const [name, unit] = UNITS[i - 1];
  return { rate: Math.floor((unit * scale) / avg), unit, name };
}

/** Ticks between packets of "3/min". */
export function parseRate(text: string, scale: number): number | undefined {
  const slash = text.indexOf('/');
  let unit = 1;
  if (slash >= 0) {
    const word = text.slice(slash + 1).toLowerCase();
    const full = ['second', 'minute', 'hour', 'day'].find((name) => word !== '' && name.startsWith(word));
    if (full === undefined) return undefined;
    unit = { second: 1, minute: 60, hour: 3600, day: 86400 }[full] ?? 1;
  }
  const digits = /^\d+/.exec(text);
  const rate = digits === null ? 0 : Number(digits[0]);
  if (rate === 0 || rate / unit > scale) return undefined;
  return Math.floor((scale * unit) / rate);
}

export const limit: Extension<Limit> = {
  kind: 'match',
  name: 'limit',
  revision: 0,
  codec,
  init(s) {
    s.avg = Math.floor((SCALE * 3600) / 3);
    s.burst = 5;
  },
  options: [
    {
      name: 'limit',
      parse(s, value) {
        const avg = parseRate(value, SCALE);
        if (avg === undefined) throw problem(`bad rate "${value}"`);
        s.avg = avg;
      },
    },
    {
      name: 'limit-burst',
      parse(s, value, _invert, ctx) {
        s.burst = uint(ctx, value, 10000);
      },
    },
  ],
  save(s) {
    const { rate, name } = rateOf(s.avg, SCALE);
    return ` --limit ${rate}/${name}${s.burst !== 5 ? ` --limit-burst ${s.burst}` : ''}`;
  },
  print(s) {
    const { rate, name } = rateOf(s.avg, SCALE);
    return ` limit: avg ${rate}/${name} burst ${s.burst}`;
  },
};
