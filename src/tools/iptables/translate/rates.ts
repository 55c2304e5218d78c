/** Translations of the matches that count, measure time or look at clocks, and of comments. */
import { formatAddress } from '../../../wire/address.ts';
import type { Hashlimit } from '../../../wire/xt/hashlimit.ts';
import type { Limit } from '../../../wire/xt/limit.ts';
import type { Quota } from '../../../wire/xt/quota.ts';
import type { Statistic } from '../../../wire/xt/statistic.ts';
import type { Time } from '../../../wire/xt/time.ts';
import { rateOf, SCALE } from '../ext/limit.ts';
import { protocolName } from '../names.ts';
import { not, quote, type Translate, type TranslateContext, type TranslateTable } from './types.ts';

const UNITS: ReadonlyMap<string, string> = new Map([
  ['sec', 'second'],
  ['min', 'minute'],
]);

/** "3/minute" from the period between packets. */
function rate(avg: number, scale: number): string {
  const { rate: count, name } = rateOf(avg, scale);
  return `${count}/${UNITS.get(name) ?? name}`;
}

const limit: Translate<Limit> = (s) =>
  `limit rate ${rate(s.avg, SCALE)}${s.burst === 0 ? '' : ` burst ${s.burst} packets`}`;

const DIP = 1;
const DPT = 2;
const SIP = 4;
const SPT = 8;
const INVERT = 16;
const BYTES = 32;
const RATE_MATCH = 64;
const HASHLIMIT_SCALE = 1_000_000;
const BYTE_SHIFT = 4n;

/** Bytes a second of a byte rate, which is kept as a cost. */
const costToBytes = (cost: bigint): bigint =>
  (cost > 0xffffffffn ? cost : cost === 0n ? 0xffffffffn : 0xffffffffn / cost) << BYTE_SHIFT;

const BYTE_UNITS: readonly (readonly [string, bigint])[] = [
  ['mbytes', 1_048_576n],
  ['kbytes', 1024n],
];

function bytes(count: bigint): string {
  // Whole units, as the real tool prints them: a rate is kept as a cost, which rounds anyway.
  const unit = BYTE_UNITS.find(([, size]) => count >= size);
  return unit === undefined ? `${count} bytes` : `${count / unit[1]} ${unit[0]}`;
}

const hashlimit: Translate<Hashlimit> = (s, ctx) => {
  // A rate that is matched and not limited has no words.
  if (s.mode & RATE_MATCH) return undefined;
  const keys = hashKeys(s, ctx);
  if (keys === undefined) return undefined;
  const over = s.mode & INVERT ? 'over ' : '';
  let text: string;
  if (s.mode & BYTES) {
    const speed = costToBytes(s.avg);
    text = `limit rate ${over}${bytes(speed)}/second`;
    if (s.burst !== 0n) text += ` burst ${bytes(speed * s.burst)}`;
  } else {
    text = `limit rate ${over}${rate(Number(s.avg), HASHLIMIT_SCALE)}`;
    if (s.burst !== 0n) text += ` burst ${s.burst} packets`;
  }
  const timeout = ` timeout ${Math.floor(s.expire / 1000)}s`;
  return `meter ${s.name} { ${keys}${hasTimeout(s) ? timeout : ''} ${text} }`;
};

/** The expiry is left out where it is what the rate's unit would give anyway. */
function hasTimeout(s: Hashlimit): boolean {
  const usual = s.mode & BYTES ? 0 : rateOf(Number(s.avg), HASHLIMIT_SCALE).unit * 1000;
  return s.expire !== usual;
}

function hashKeys(s: Hashlimit, { rule }: TranslateContext): string | undefined {
  const ip = rule.family === 6 ? 'ip6' : 'ip';
  const protocol = protocolName(rule.proto);
  const keys: string[] = [];
  for (const [bit, side, length] of [
    [SIP, 'saddr', s.srcMask],
    [DIP, 'daddr', s.dstMask],
  ] as const) {
    if (!(s.mode & bit)) continue;
    const full = rule.family === 6 ? 128 : 32;
    const mask = new Uint8Array(full / 8).map((_, i) => 0xff & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))));
    keys.push(`${ip} ${side}${length === full ? '' : ` and ${formatAddress(mask)}`}`);
  }
  for (const [bit, side] of [
    [SPT, 'sport'],
    [DPT, 'dport'],
  ] as const) {
    if (!(s.mode & bit)) continue;
    if (protocol === undefined) return undefined;
    keys.push(`${protocol} ${side}`);
  }
  // Without keys there is one bucket for all: a plain limit, which a meter cannot be.
  return keys.length === 0 ? undefined : keys.join(' . ');
}

const statistic: Translate<Statistic> = (s) => {
  const invert = (s.flags & 1) !== 0;
  if (s.mode === 0) return `meta random & 2147483647 ${invert ? '>=' : '<'} ${s.every}`;
  return `numgen inc mod ${s.every + 1} ${not(invert)}${s.packet}`;
};

const quota: Translate<Quota> = (s) => `quota ${s.flags & 1 ? 'over ' : ''}${s.quota} bytes`;

const ALL_MONTHDAYS = 0xfffffffe;
const ALL_WEEKDAYS = 0xfe;
const LAST_SECOND = 86_399;
const DATE_MAX = 0x7fffffff;

const two = (value: number): string => `${value}`.padStart(2, '0');
const clock = (s: number): string => `"${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}"`;
const date = (stamp: number): string => `"${new Date(stamp * 1000).toISOString().slice(0, 19).replace('T', ' ')}"`;

const time: Translate<Time> = (s) => {
  // Days of the month have no words, nor has the kernel's time zone.
  if (s.monthdays !== ALL_MONTHDAYS || s.flags !== 0) return undefined;
  const out: string[] = [];
  if (s.dateStart !== 0 || s.dateStop !== DATE_MAX) out.push(`meta time ${date(s.dateStart)}-${date(s.dateStop)}`);
  if (s.daytimeStart !== 0 || s.daytimeStop !== LAST_SECOND)
    out.push(`meta hour ${clock(s.daytimeStart)}-${clock(s.daytimeStop)}`);
  if (s.weekdays !== ALL_WEEKDAYS) {
    const days = [1, 2, 3, 4, 5, 6, 7].filter((day) => s.weekdays & (1 << day)).map((day) => day % 7);
    out.push(`meta day ${days.length === 1 ? days[0] : `{ ${days.join(', ')} }`}`);
  }
  return out.join(' ');
};

/** A comment stands at the end of an nft rule. */
export const commentText = (text: string): string => `comment ${quote(text.slice(0, MAX_COMMENT))}`;
const MAX_COMMENT = 254;

export const RATES: TranslateTable = { limit, hashlimit, statistic, quota, time };
