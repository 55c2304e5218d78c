/** The contents of a map for people and for JSON: keys and values in hex, small ones as numbers too. */
import type { BpfMap } from '../../bpf/maps/map.ts';
import { MAP_TYPE_NAMES } from '../../wire/uapi/bpf.ts';

export type MapContents = {
  readonly name: string;
  readonly type: string;
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  /** Entries not listed. */
  readonly more: number;
};

const MOST = 1000;
const ARRAY = 2;
const PERCPU_ARRAY = 6;
const QUEUES: readonly number[] = [22, 23];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Hex, with the little-endian number behind it where it is 4 or 8 bytes. */
function text(bytes: Uint8Array): string {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length === 4) return `${hex(bytes)} (${dv.getUint32(0, true)})`;
  if (bytes.length === 8) return `${hex(bytes)} (${dv.getBigUint64(0, true)})`;
  return hex(bytes);
}

/** Records that nobody has consumed. */
function records(map: BpfMap): string[] {
  const out: string[] = [];
  map.ring?.consume((record) => {
    out.push(hex(record));
    return undefined;
  });
  return out;
}

/** Everything in a map; zero values of arrays left out. `events` are records of perf events by map number. */
export function mapContents(
  map: BpfMap,
  events: readonly { readonly map: number; readonly data: string }[] = [],
): MapContents {
  const entries: { key: string; value: string }[] = [];
  const arrays = map.type === ARRAY || map.type === PERCPU_ARRAY;
  let more = 0;
  const add = (key: string, value: string): void => {
    if (entries.length < MOST) entries.push({ key, value });
    else more++;
  };
  for (const event of events) if (event.map === map.id) add('', event.data);
  for (const record of records(map)) add('', record);
  if (map.keySize > 0 && !QUEUES.includes(map.type)) {
    let key = map.userNextKey(undefined);
    for (let n = 0; typeof key !== 'number' && n < map.maxEntries + 1; n++) {
      const value = map.userLookup(key, 0);
      if (typeof value !== 'number' && !(arrays && value.every((b) => b === 0))) add(text(key), text(value));
      key = map.userNextKey(key);
    }
  }
  return { name: map.name, type: MAP_TYPE_NAMES[map.type] ?? String(map.type), entries, more };
}
