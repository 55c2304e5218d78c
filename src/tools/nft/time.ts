/** Times in nft text: `1d2h3m4s5ms`, dates, hours of the day. `zone`: seconds that local time is ahead of UTC. */

const UNITS: readonly (readonly [string, bigint])[] = [
  ['d', 86_400_000n],
  ['h', 3_600_000n],
  ['m', 60_000n],
  ['s', 1000n],
  ['ms', 1n],
];

/** Milliseconds of "1d2h3m4s5ms"; a bare number is seconds. */
export function parseTime(text: string): bigint | undefined {
  if (/^\d+$/.test(text)) return BigInt(text) * 1000n;
  const m = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (m === null || text === '') return undefined;
  const part = (i: number, unit: bigint): bigint => (m[i] === undefined ? 0n : BigInt(m[i]) * unit);
  return (
    part(1, 604_800_000n) + part(2, 86_400_000n) + part(3, 3_600_000n) + part(4, 60_000n) + part(5, 1000n) + part(6, 1n)
  );
}

/** "1d2h3m4s5ms" of milliseconds. */
export function formatTime(ms: bigint): string {
  let rest = ms;
  let out = '';
  for (const [unit, size] of UNITS) {
    if (rest >= size) out += `${rest / size}${unit}`;
    rest %= size;
  }
  return out === '' ? '0s' : out;
}

/** Nanoseconds since 1970 of "2019-06-21 17:00:00", "2019-06-21 17:00", "2019-06-21", or a number of seconds. */
export function parseDate(text: string, zone = 0): bigint | undefined {
  if (/^\d+$/.test(text)) return BigInt(text) * 1_000_000_000n;
  const m = /^(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?$/.exec(text);
  if (m === null) return undefined;
  const [year, month, day, hour, minute, second] = m.slice(1).map((part) => Number(part ?? 0));
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined;
  return BigInt(Date.UTC(year, month - 1, day, hour, minute, second) - zone * 1000) * 1_000_000n;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** "2019-06-21 17:00:00" of nanoseconds since 1970. */
export function formatDate(ns: bigint, zone = 0): string {
  const date = new Date(Number(ns / 1_000_000n) + zone * 1000);
  if (Number.isNaN(date.getTime())) return 'Error converting timestamp to printed time';
  return (
    `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())} ` +
    `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`
  );
}

/** Seconds of "17:00", "17:00:30", or a number of seconds. */
export function parseHour(text: string, zone = 0): bigint | undefined {
  if (/^\d+$/.test(text)) return Number(text) < 86_400 ? BigInt(text) : undefined;
  const m = /^(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?$/.exec(text);
  if (m === null) return undefined;
  const [hour, minute, second] = [Number(m[1]), Number(m[2]), Number(m[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  return BigInt((hour * 3600 + minute * 60 + second - zone + 86_400) % 86_400);
}

/** "17:00", with seconds when there are some. */
export function formatHour(seconds: bigint, zone = 0): string {
  const total = (Number(seconds % 86_400n) + zone + 86_400) % 86_400;
  const rest = total % 60;
  return `${two(Math.floor(total / 3600))}:${two(Math.floor(total / 60) % 60)}${rest === 0 ? '' : `:${two(rest)}`}`;
}
