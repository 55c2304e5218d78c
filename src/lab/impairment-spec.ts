/**
 * Impairments of a link as lab files write them: rates, times and shares with units, alike for both directions or apart.
 *
 *     impairments: { rate: 10mbit, delay: 20ms, jitter: 2ms, loss: 0.5%, duplicate: 0.1%, reorder: 1%, corrupt: 0.01% }
 *     impairments: { a-to-b: { delay: 20ms }, b-to-a: { loss: 100% } }
 */
import type { YamlValue } from './yaml-reader.ts';

export type Impairments = {
  /** Bits a second; 0 is unlimited. */
  readonly rate: number;
  /** Nanoseconds. */
  readonly delay: number;
  readonly jitter: number;
  /** Shares between 0 and 1. */
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly corrupt: number;
  /** Frames that may wait for the rate. */
  readonly limit: number;
};

export const NO_IMPAIRMENTS: Impairments = {
  rate: 0,
  delay: 0,
  jitter: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  corrupt: 0,
  limit: 1000,
};

const RATE_UNITS: Readonly<Record<string, number>> = {
  bit: 1,
  kbit: 1e3,
  mbit: 1e6,
  gbit: 1e9,
  tbit: 1e12,
  bps: 8,
  kbps: 8e3,
  mbps: 8e6,
  gbps: 8e9,
};
const TIME_UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

function unit(value: YamlValue, units: Readonly<Record<string, number>>, what: string): number {
  const m = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(value.text());
  const factor = m === null ? undefined : units[m[2].toLowerCase()];
  if (m === null || factor === undefined)
    throw value.error(`"${value.text()}" is no ${what} (units: ${Object.keys(units).join(', ')})`);
  return Number(m[1]) * factor;
}

function share(value: YamlValue): number {
  const m = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(value.text());
  const n = m === null ? Number.NaN : Number(m[1]) / (m[2] === '%' ? 100 : 1);
  if (!(n >= 0 && n <= 1)) throw value.error(`"${value.text()}" is no share between 0% and 100%`);
  return n;
}

const KEYS = ['rate', 'delay', 'jitter', 'loss', 'duplicate', 'reorder', 'corrupt', 'limit'];

function readOne(value: YamlValue): Impairments {
  const parts = value.record(KEYS);
  const out: { -readonly [K in keyof Impairments]: Impairments[K] } = { ...NO_IMPAIRMENTS };
  for (const [key, v] of parts) {
    if (key === 'rate') out.rate = unit(v, RATE_UNITS, 'rate');
    else if (key === 'delay' || key === 'jitter') out[key] = unit(v, TIME_UNITS, 'time');
    else if (key === 'limit') out.limit = v.number();
    else if (key === 'loss' || key === 'duplicate' || key === 'reorder' || key === 'corrupt') out[key] = share(v);
  }
  return out;
}

/** What a link's `impairments:` say for each direction. */
export function readDirections(value: YamlValue | undefined): {
  readonly aToB: Impairments | undefined;
  readonly bToA: Impairments | undefined;
} {
  if (value === undefined || value.isNull) return { aToB: undefined, bToA: undefined };
  const members = value.members().map(({ key }) => key);
  if (!members.includes('a-to-b') && !members.includes('b-to-a')) {
    const both = readOne(value);
    return { aToB: both, bToA: both };
  }
  const parts = value.record(['a-to-b', 'b-to-a']);
  const direction = (key: string): Impairments | undefined => {
    const part = parts.get(key);
    return part === undefined ? undefined : readOne(part);
  };
  return { aToB: direction('a-to-b'), bToA: direction('b-to-a') };
}
