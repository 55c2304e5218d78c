/** Values, maps and events of a tracing session as text, as bpftrace prints them. */
import { dropName } from '../../core/drop.ts';
import { isHistogram, type Shape, type TraceMap } from './plan.ts';

const utf8 = new TextDecoder();

/** One value of a key, a map or an event. */
export function valueText(bytes: Uint8Array, shape: Shape): string {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (shape.show) {
    case 'text': {
      const end = bytes.indexOf(0);
      return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
    }
    case 'addr': {
      const family = dv.getUint32(0, true);
      return family === 2 ? ip4(bytes.subarray(8, 12)) : family === 10 ? ip6(bytes.subarray(8, 24)) : '?';
    }
    case 'ip4':
      return ip4(bytes.subarray(0, 4));
    case 'drop reason': {
      const reason = dv.getUint32(0, true);
      return reason === 0 ? 'NOT_DROPPED_YET' : dropName(reason);
    }
    case 'signed':
      return dv.getBigInt64(0, true).toString();
    default:
      return dv.getBigUint64(0, true).toString();
  }
}

const ip4 = (b: Uint8Array): string => b.join('.');

/** RFC 5952: the longest run of zeros is left out. */
function ip6(b: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => ((b[i * 2] << 8) | b[i * 2 + 1]).toString(16));
  let best = { at: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (words[i + length] === '0') length++;
    if (length > best.length) best = { at: i, length };
  }
  if (best.at < 0) return words.join(':');
  return `${words.slice(0, best.at).join(':')}::${words.slice(best.at + best.length).join(':')}`;
}

/** printf with the values of an event. */
export function printf(
  format: string,
  values: readonly { readonly bytes: Uint8Array; readonly shape: Shape }[],
): string {
  let next = 0;
  return format.replace(/%([-0]?)(\d*)(?:ll|l|h)?([duxXscip%])/g, (_, flag: string, width: string, kind: string) => {
    if (kind === '%') return '%';
    const { bytes, shape } = values[next++];
    const text = one(bytes, shape, kind);
    if (width === '') return text;
    if (flag === '-') return text.padEnd(Number(width));
    return text.padStart(Number(width), flag === '0' ? '0' : ' ');
  });
}

function one(bytes: Uint8Array, shape: Shape, kind: string): string {
  if (kind === 's' || shape.show === 'text' || shape.show === 'addr') return valueText(bytes, shape);
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const value = dv.getBigUint64(0, true);
  switch (kind) {
    case 'd':
    case 'i':
      return BigInt.asIntN(64, value).toString();
    case 'x':
      return value.toString(16);
    case 'X':
      return value.toString(16).toUpperCase();
    case 'p':
      return `0x${value.toString(16)}`;
    case 'c':
      return String.fromCharCode(Number(value & 0xffn));
    default:
      return value.toString();
  }
}

export type Entry = { readonly key: Uint8Array; readonly value: Uint8Array };

/** The whole of a map; entries by rising value, histograms by key. */
export function mapText(map: TraceMap, entries: readonly Entry[]): string {
  if (isHistogram(map)) return histograms(map, entries);
  const rows = entries.map(({ key, value }) => ({
    key: keyText(map, key),
    order: order(map, value),
    text: shown(map, value),
  }));
  rows.sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : a.key < b.key ? -1 : 1));
  return rows.map((row) => `@${map.name}${row.key}: ${row.text}\n`).join('');
}

function keyText(map: TraceMap, key: Uint8Array): string {
  if (map.keys.length === 0) return '';
  let at = 0;
  const parts = map.keys.map((shape) => {
    const text = valueText(key.subarray(at, at + shape.bytes), shape);
    at += shape.bytes;
    return text;
  });
  return `[${parts.join(', ')}]`;
}

function average(value: Uint8Array): bigint {
  const dv = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const count = dv.getBigUint64(8, true);
  return count === 0n ? 0n : dv.getBigInt64(0, true) / count;
}

function order(map: TraceMap, value: Uint8Array): bigint {
  if (map.how === 'avg') return average(value);
  const dv = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (map.value.show === 'text' || map.value.show === 'addr') return 0n;
  return map.value.show === 'signed' ? dv.getBigInt64(0, true) : dv.getBigUint64(0, true);
}

const shown = (map: TraceMap, value: Uint8Array): string =>
  map.how === 'avg' ? average(value).toString() : valueText(value, map.value);

const BAR = 52;

function histograms(map: TraceMap, entries: readonly Entry[]): string {
  const groups = new Map<string, Map<number, bigint>>();
  for (const { key, value } of entries) {
    const name = keyText(map, key);
    const group = groups.get(name) ?? new Map<number, bigint>();
    groups.set(name, group);
    const bucket = new DataView(key.buffer, key.byteOffset + key.byteLength - 8).getUint32(0, true);
    group.set(bucket, new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, group]) => `@${map.name}${name}:\n${histogram(map, group)}\n`)
    .join('');
}

function histogram(map: TraceMap, counts: ReadonlyMap<number, bigint>): string {
  const numbers = [...counts.keys()];
  const most = [...counts.values()].reduce((a, b) => (a > b ? a : b), 1n);
  const lines: string[] = [];
  for (let bucket = Math.min(...numbers); bucket <= Math.max(...numbers); bucket++) {
    const count = counts.get(bucket) ?? 0n;
    const bar = '@'.repeat(Number((count * BigInt(BAR)) / most));
    lines.push(`${interval(map, bucket).padEnd(16)} ${count.toString().padStart(8)} |${bar.padEnd(BAR)}|\n`);
  }
  return lines.join('');
}

/** The values that a bucket holds. */
function interval(map: TraceMap, bucket: number): string {
  if (map.buckets !== undefined) {
    const [min, max, step] = map.buckets;
    const from = min + (bucket - 1) * step;
    if (bucket === 0) return `(..., ${min})`;
    return from >= max ? `[${max}, ...)` : `[${from}, ${Math.min(max, from + step)})`;
  }
  if (bucket === 0) return '(..., 0)';
  if (bucket <= 2) return `[${bucket - 1}]`;
  return `[${short(bucket - 2)}, ${short(bucket - 1)})`;
}

/** 2^n with a unit: 1K, 512M. */
function short(power: number): string {
  return `${2 ** (power % 10)}${['', 'K', 'M', 'G', 'T', 'P', 'E'][Math.floor(power / 10)]}`;
}
