/** Match `hashlimit`: a token bucket for each address or port. */
import { hashlimit as codec, type Hashlimit } from '../../../wire/xt/hashlimit.ts';
import { problem } from '../errors.ts';
import { type Context, type Extension, type Option, quoted } from '../extension.ts';
import { number, uint } from '../values.ts';
import { parseRate, rateOf } from './limit.ts';

const DIP = 1;
const DPT = 2;
const SIP = 4;
const SPT = 8;
const INVERT = 16;
const BYTES = 32;
const RATE_MATCH = 64;
const SCALE = 1000000;
/** Bytes of one credit. */
const BYTE_SHIFT = 4n;
const MODES: readonly (readonly [string, number])[] = [
  ['srcip', SIP],
  ['srcport', SPT],
  ['dstip', DIP],
  ['dstport', DPT],
];

/** Bytes a second of "4kb/s"; undefined when it is no byte rate. */
function byteRate(text: string): bigint | undefined {
  const m = /^(\d+)(b|kb|mb)\/s$/.exec(text);
  if (m === null) return undefined;
  return BigInt(m[1]) * (m[2] === 'mb' ? 1048576n : m[2] === 'kb' ? 1024n : 1n);
}

function bytesToCost(rate: bigint): bigint {
  return 0xffffffffn / ((rate >> BYTE_SHIFT) + 1n);
}
function costToBytes(cost: bigint): bigint {
  return ((cost !== 0n ? 0xffffffffn / cost : 0xffffffffn) - 1n) << BYTE_SHIFT;
}

/** Milliseconds an entry lives by default: the rate's unit, or these for byte rates without and with a burst. */
const BYTE_EXPIRE = 15000;
const BYTE_EXPIRE_BURST = 60000;

function defaultExpire(s: Hashlimit): number {
  if (s.mode & BYTES) return s.burst === 0n ? BYTE_EXPIRE : BYTE_EXPIRE_BURST;
  return rateOf(Number(s.avg), SCALE).unit * 1000;
}

const BYTE_UNITS: readonly (readonly [string, bigint])[] = [
  ['mb', 1048576n],
  ['kb', 1024n],
  ['', 1n],
];

function rateText(s: Hashlimit): string {
  if (!(s.mode & BYTES)) {
    const { rate, name } = rateOf(Number(s.avg), SCALE);
    return `${rate}/${name}`;
  }
  const total = costToBytes(s.avg);
  for (const [name, unit] of BYTE_UNITS)
    if (total >= unit && (total % unit === 0n || unit === 1n)) return `${total / unit}${name === '' ? 'b' : name}/s`;
  return `${total}b/s`;
}

function burstText(s: Hashlimit): string {
  const total = costToBytes(s.avg) * s.burst;
  const [name, unit] = BYTE_UNITS.find(([, size]) => total >= size) ?? ['', 1n];
  return `${total / unit}${name === '' ? 'b' : name}`;
}

function rateOption(name: string, invertAlways: boolean | undefined): Option<Hashlimit> {
  return {
    name,
    invert: invertAlways === undefined || name === 'hashlimit-upto' || name === 'hashlimit-above',
    excl: ['hashlimit', 'hashlimit-upto', 'hashlimit-above'].filter((other) => other !== name),
    parse(s, value, invert, ctx) {
      const above = (invertAlways ?? false) !== invert;
      const rate = byteRate(value);
      if (rate !== undefined) {
        s.mode |= BYTES;
        s.avg = rate;
      } else {
        const avg = parseRate(value, SCALE);
        if (avg === undefined) throw problem(`${ctx.ext}: Bad value for "--${name}" option: "${value}"`);
        s.avg = BigInt(avg);
      }
      if (above) s.mode |= INVERT;
    },
  };
}

function burst(s: Hashlimit, value: string, ctx: Context): void {
  const m = /^(\d+)(b|kb|mb)$/.exec(value);
  if (m !== null) {
    s.burst = BigInt(m[1]) * (m[2] === 'mb' ? 1048576n : m[2] === 'kb' ? 1024n : 1n);
    return;
  }
  s.burst = BigInt(uint(ctx, value, 1000000));
}

export const hashlimit: Extension<Hashlimit> = {
  kind: 'match',
  name: 'hashlimit',
  revision: 3,
  codec,
  init(s, ctx) {
    s.burst = 5n;
    s.gcInterval = 1000;
    s.srcMask = ctx.family === 4 ? 32 : 128;
    s.dstMask = s.srcMask;
  },
  options: [
    rateOption('hashlimit', undefined),
    rateOption('hashlimit-upto', false),
    rateOption('hashlimit-above', true),
    { name: 'hashlimit-burst', parse: (s, value, _invert, ctx) => burst(s, value, ctx) },
    {
      name: 'hashlimit-mode',
      parse(s, value) {
        for (const word of value.split(',')) {
          const bit = MODES.find(([name]) => name === word)?.[1];
          if (bit === undefined) throw problem(`hashlimit: Bad value for "--hashlimit-mode" option: "${value}"`);
          s.mode |= bit;
        }
      },
    },
    {
      name: 'hashlimit-srcmask',
      parse(s, value, _invert, ctx) {
        s.srcMask = uint(ctx, value, ctx.family === 4 ? 32 : 128);
      },
    },
    {
      name: 'hashlimit-dstmask',
      parse(s, value, _invert, ctx) {
        s.dstMask = uint(ctx, value, ctx.family === 4 ? 32 : 128);
      },
    },
    {
      name: 'hashlimit-htable-size',
      parse(s, value, _invert, ctx) {
        s.size = uint(ctx, value);
      },
    },
    {
      name: 'hashlimit-htable-max',
      parse(s, value, _invert, ctx) {
        s.max = uint(ctx, value);
      },
    },
    {
      name: 'hashlimit-htable-gcinterval',
      parse(s, value, _invert, ctx) {
        s.gcInterval = uint(ctx, value);
      },
    },
    {
      name: 'hashlimit-htable-expire',
      parse(s, value, _invert, ctx) {
        s.expire = uint(ctx, value);
      },
    },
    {
      name: 'hashlimit-name',
      mandatory: true,
      parse(s, value) {
        s.name = value;
      },
    },
    {
      name: 'hashlimit-rate-match',
      arg: 'none',
      parse(s) {
        s.mode |= RATE_MATCH;
      },
    },
    {
      name: 'hashlimit-rate-interval',
      also: ['hashlimit-rate-match'],
      parse(s, value, _invert, ctx) {
        const seconds = number(value);
        if (seconds === undefined)
          throw problem(`${ctx.ext}: bad value for option "--${ctx.opt}", or out of range (0-4294967295).`);
        s.interval = seconds;
      },
    },
  ],
  check(s, ctx) {
    if (!['hashlimit', 'hashlimit-upto', 'hashlimit-above'].some((name) => ctx.seen.has(name)))
      throw problem('You have to specify --hashlimit');
    if (s.mode & RATE_MATCH && s.interval === 0) s.interval = 1;
    if (s.mode & BYTES) {
      s.avg = bytesToCost(s.avg);
      const second = costToBytes(s.avg);
      if (!ctx.seen.has('hashlimit-burst')) s.burst = 0n;
      else {
        if (s.burst < second) throw problem(`burst cannot be smaller than ${second}b`);
        // The burst is kept in seconds' worth of the rate, rounded up.
        s.burst = (s.burst + second - 1n) / second;
      }
    }
    if (!ctx.seen.has('hashlimit-htable-expire')) s.expire = defaultExpire(s);
  },
  save(s) {
    let out = ` --hashlimit-${s.mode & INVERT ? 'above' : 'upto'} ${rateText(s)}`;
    if (s.mode & BYTES) {
      if (s.burst !== 0n) out += ` --hashlimit-burst ${burstText(s)}`;
    } else out += ` --hashlimit-burst ${s.burst}`;
    const modes = MODES.filter(([, bit]) => s.mode & bit).map(([name]) => name);
    if (modes.length > 0) out += ` --hashlimit-mode ${modes.join(',')}`;
    out += ` --hashlimit-name ${quoted(s.name).replaceAll('"', '')}`;
    if (s.size) out += ` --hashlimit-htable-size ${s.size}`;
    if (s.max) out += ` --hashlimit-htable-max ${s.max}`;
    if (s.gcInterval !== 1000) out += ` --hashlimit-htable-gcinterval ${s.gcInterval}`;
    if (s.expire !== defaultExpire(s)) out += ` --hashlimit-htable-expire ${s.expire}`;
    const full = (mask: number): boolean => mask === 32 || mask === 128;
    if (!full(s.srcMask)) out += ` --hashlimit-srcmask ${s.srcMask}`;
    if (!full(s.dstMask)) out += ` --hashlimit-dstmask ${s.dstMask}`;
    if (s.mode & RATE_MATCH) {
      out += ' --hashlimit-rate-match';
      if (s.interval !== 1) out += ` --hashlimit-rate-interval ${s.interval}`;
    }
    return out;
  },
  print(s) {
    let out = ` limit: ${s.mode & INVERT ? 'above' : 'up to'} ${rateText(s)}`;
    if (!(s.mode & BYTES)) out += ` burst ${s.burst}`;
    const modes = MODES.filter(([, bit]) => s.mode & bit).map(([name]) => name);
    if (modes.length > 0) out += ` mode ${modes.join('-')}`;
    if (s.size) out += ` htable-size ${s.size}`;
    if (s.max) out += ` htable-max ${s.max}`;
    if (s.gcInterval !== 1000) out += ` htable-gcinterval ${s.gcInterval}`;
    if (s.expire !== defaultExpire(s)) out += ` htable-expire ${s.expire}`;
    return out;
  },
};
