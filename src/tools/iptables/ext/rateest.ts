/** Match `rateest` and target `RATEEST`: rate estimators that rules feed and compare. */
import * as R from '../../../wire/xt/rateest.ts';
import { type RateestTarget, rateestTarget } from '../../../wire/xt/rateest-target.ts';
import { problem } from '../errors.ts';
import type { Extension, Option } from '../extension.ts';
import { uint } from '../values.ts';

/** Microseconds by unit; a number alone is microseconds. */
const TIME_UNITS: Readonly<Record<string, number>> = {
  s: 1e6,
  sec: 1e6,
  secs: 1e6,
  ms: 1000,
  msec: 1000,
  msecs: 1000,
  us: 1,
  usec: 1,
  usecs: 1,
  '': 1,
};

function microseconds(text: string): number | undefined {
  const m = /^(\d+(?:\.\d*)?|\.\d+)([a-z]*)$/.exec(text.toLowerCase());
  const unit = m === null ? undefined : TIME_UNITS[m[2]];
  return m === null || unit === undefined ? undefined : Math.floor(Number(m[1]) * unit);
}

function timeText(us: number): string {
  if (us >= 1e6) return `${(us / 1e6).toFixed(1)}s`;
  return us >= 1000 ? `${(us / 1000).toFixed(1)}ms` : `${us}us`;
}

/** A target's state while it is read: the times that its two exponents are found from. */
type Reading = RateestTarget & { intervalUs?: number; averageUs?: number };

const signed = (byte: number): number => (byte << 24) >> 24;
const intervalUs = (s: RateestTarget): number => 1e6 * 2 ** signed(s.interval);

export const RATEEST: Extension<Reading> = {
  kind: 'target',
  name: 'RATEEST',
  revision: 0,
  codec: rateestTarget,
  options: [
    {
      name: 'rateest-name',
      mandatory: true,
      parse(s, value) {
        s.name = value.slice(0, 15);
      },
    },
    {
      name: 'rateest-interval',
      parse(s, value) {
        s.intervalUs = microseconds(value);
        if (s.intervalUs === undefined) throw problem(`RATEEST: bad interval value "${value}"`);
      },
    },
    {
      name: 'rateest-ewmalog',
      parse(s, value) {
        s.averageUs = microseconds(value);
        if (s.averageUs === undefined) throw problem(`RATEEST: bad ewmalog value "${value}"`);
      },
    },
  ],
  check(s) {
    const interval = s.intervalUs ?? 0;
    let power = 0;
    while (power <= 5 && interval > (1 << power) * 250000) power++;
    if (power > 5) throw problem('RATEEST: interval value is too large');
    s.interval = (power - 2) & 255;
    let log = 1;
    while (log < 32 && interval / -Math.log(1 - 1 / 2 ** log) <= (s.averageUs ?? 0)) log++;
    s.ewmaLog = log - 1;
    if (s.ewmaLog === 0 || s.ewmaLog >= 31) throw problem('RATEEST: ewmalog value is out of range');
  },
  save: (s) =>
    ` --rateest-name ${s.name} --rateest-interval ${timeText(intervalUs(s))} --rateest-ewmalog ${timeText(intervalUs(s) * 2 ** s.ewmaLog)}`,
  print: (s) =>
    ` name ${s.name} interval ${timeText(intervalUs(s))} ewmalog ${timeText(intervalUs(s) * 2 ** s.ewmaLog)}`,
};

/** Bits per second by unit, as tc(8) writes rates. */
const RATE_UNITS: readonly (readonly [string, number])[] = [
  ['bit', 1],
  ['kibit', 1024],
  ['kbit', 1000],
  ['mibit', 1024 ** 2],
  ['mbit', 1e6],
  ['gibit', 1024 ** 3],
  ['gbit', 1e9],
  ['tibit', 1024 ** 4],
  ['tbit', 1e12],
  ['bps', 8],
  ['kibps', 8 * 1024],
  ['kbps', 8000],
  ['mibps', 8 * 1024 ** 2],
  ['mbps', 8e6],
  ['gibps', 8 * 1024 ** 3],
  ['gbps', 8e9],
  ['tibps', 8 * 1024 ** 4],
  ['tbps', 8e12],
];

/** Bytes per second. */
function rate(text: string): number {
  const m = /^(\d+(?:\.\d*)?)([a-z]*)$/.exec(text.toLowerCase());
  const unit = m === null ? undefined : m[2] === '' ? 1 : RATE_UNITS.find(([name]) => name === m[2])?.[1];
  if (m === null || unit === undefined) throw problem(`rateest: could not parse rate \`${text}'`);
  return Math.floor((Number(m[1]) * unit) / 8);
}

function rateText(bytes: number): string {
  const bits = bytes * 8;
  if (bits >= 1e9) return `${(bits / 1e6).toFixed(0)}Mbit`;
  return bits >= 1e6 ? `${(bits / 1000).toFixed(0)}Kbit` : `${bits}bit`;
}

const setName = (s: R.Rateest, field: 'name1' | 'name2', value: string, invert: boolean): void => {
  if (invert) throw problem("rateest: rateest can't be inverted");
  s[field] = value.slice(0, 15);
};

function compared(name: string, bit: number, field: 'bps1' | 'bps2' | 'pps1' | 'pps2'): Option<R.Rateest> {
  return {
    name,
    arg: 'optional',
    free: true,
    parse(s, value, _invert, ctx) {
      s.flags |= bit;
      if (value !== '') s[field] = bit === R.RATEEST_BPS ? rate(value) : uint(ctx, value);
    },
  };
}
function mode(name: string, value: number): Option<R.Rateest> {
  return {
    name: `rateest-${name}`,
    arg: 'none',
    invert: true,
    parse(s, _value, invert) {
      s.mode = value;
      if (invert) s.flags |= R.RATEEST_INVERT;
    },
  };
}
const MODES: readonly string[] = ['', 'eq', 'lt', 'gt'];

export const rateest: Extension<R.Rateest> = {
  kind: 'match',
  name: 'rateest',
  revision: 0,
  codec: R.rateest,
  options: [
    { name: 'rateest1', invert: true, parse: (s, value, invert) => setName(s, 'name1', value, invert) },
    { name: 'rateest', invert: true, parse: (s, value, invert) => setName(s, 'name1', value, invert) },
    {
      name: 'rateest2',
      invert: true,
      parse(s, value, invert) {
        setName(s, 'name2', value, invert);
        s.flags |= R.RATEEST_REL;
      },
    },
    compared('rateest-bps1', R.RATEEST_BPS, 'bps1'),
    compared('rateest-pps1', R.RATEEST_PPS, 'pps1'),
    compared('rateest-bps2', R.RATEEST_BPS, 'bps2'),
    compared('rateest-pps2', R.RATEEST_PPS, 'pps2'),
    compared('rateest-bps', R.RATEEST_BPS, 'bps2'),
    compared('rateest-pps', R.RATEEST_PPS, 'pps2'),
    {
      name: 'rateest-delta',
      arg: 'none',
      parse(s) {
        s.flags |= R.RATEEST_DELTA;
      },
    },
    mode('lt', R.RATEEST_LT),
    mode('gt', R.RATEEST_GT),
    mode('eq', R.RATEEST_EQ),
  ],
  check(s) {
    if (!(s.flags & R.RATEEST_REL)) s.flags |= R.RATEEST_ABS;
  },
  save(s) {
    const delta = s.flags & R.RATEEST_DELTA;
    const rates = (n: '1' | '2', suffix: string): string => {
      let out = '';
      const plain = s.flags & R.RATEEST_REL && !delta;
      if (s.flags & R.RATEEST_BPS) out += ` --rateest-bps${suffix}${plain ? '' : ` ${rateText(s[`bps${n}`])}`}`;
      if (s.flags & R.RATEEST_PPS) out += ` --rateest-pps${suffix}${plain ? '' : ` ${s[`pps${n}`]}`}`;
      return out;
    };
    const how = `${s.flags & R.RATEEST_INVERT ? ' !' : ''} --rateest-${MODES[s.mode]}`;
    let out = delta ? ' --rateest-delta' : '';
    if (s.flags & R.RATEEST_REL) {
      out += ` --rateest1 ${s.name1}`;
      if (delta) out += rates('1', '1');
      out += how;
      out += delta ? rates('2', '2') : rates('1', '');
      return `${out} --rateest2 ${s.name2}`;
    }
    out += ` --rateest ${s.name1}`;
    if (delta) return out + rates('1', '1') + how + rates('2', '2');
    return out + how + rates('2', '');
  },
  print(s) {
    const delta = s.flags & R.RATEEST_DELTA;
    const how = `${s.flags & R.RATEEST_INVERT ? ' !' : ''} ${MODES[s.mode]}`;
    let out = ` rateest match ${s.name1}${delta ? ' delta' : ''}`;
    const value = (n: '1' | '2', names: boolean): string => {
      const bare = s.flags & R.RATEEST_REL && !delta;
      let text = '';
      if (s.flags & R.RATEEST_BPS) text += `${names ? ' bps' : ''}${bare ? '' : ` ${s[`bps${n}`]}`}`;
      if (s.flags & R.RATEEST_PPS) text += `${names ? ' pps' : ''}${bare ? '' : ` ${s[`pps${n}`]}`}`;
      return text;
    };
    if (s.flags & R.RATEEST_REL) return `${out}${value('1', true)}${how} ${s.name2}${value('2', true)}`;
    if (!delta) return out + value('2', true) + how;
    out += value('1', true);
    // The real tool says the second rate before the comparison for bytes, after it for packets.
    return s.flags & R.RATEEST_BPS ? out + value('2', false) + how : out + how + value('2', false);
  },
};
