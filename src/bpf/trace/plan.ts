/**
 * What the programs of one tracing session share: the maps behind `@name`, and what the events say that they send to the
 * outside (printf, print, clear, exit).
 */
import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERF_EVENT_ARRAY } from '../../wire/uapi/bpf.ts';
import type { MapSpec } from '../program.ts';
import { type Position, TraceError } from './ast.ts';

/** How a value is shown. `addr`: eight bytes of family (2, 10), sixteen of address. */
export type Show = 'unsigned' | 'signed' | 'drop reason' | 'ip4' | 'text' | 'addr';

export type Shape = { readonly bytes: number; readonly show: Show };

export type Aggregation = 'value' | 'count' | 'sum' | 'avg' | 'min' | 'max' | 'hist' | 'lhist';

export type TraceMap = {
  readonly name: string;
  /** Index in the programs' maps. */
  readonly index: number;
  /** Keys as written; histograms have the bucket's number behind them. */
  readonly keys: readonly Shape[];
  readonly how: Aggregation;
  readonly value: Shape;
  /** lhist: lowest value, highest, and the width of a bucket. */
  readonly buckets?: readonly [min: number, max: number, step: number];
};

export type Event =
  | { readonly kind: 'printf'; readonly format: string; readonly args: readonly Shape[] }
  | { readonly kind: 'print' | 'clear'; readonly map: string }
  | { readonly kind: 'exit' };

/** Entries of a map at most. */
const MAX_ENTRIES = 4096;
/** The map that events go through. */
export const EVENTS = 0;

export const keyBytes = (map: TraceMap): number =>
  Math.max(8, map.keys.reduce((sum, key) => sum + key.bytes, 0) + (isHistogram(map) ? 8 : 0));

export const isHistogram = (map: TraceMap): boolean => map.how === 'hist' || map.how === 'lhist';

export class Plan {
  readonly maps: Map<string, TraceMap> = new Map();
  readonly events: Event[] = [];

  /** The map of a name; the first use says what it is like, and the others must agree. */
  map(
    at: Position,
    name: string,
    keys: readonly Shape[],
    how: Aggregation | undefined,
    value: Shape,
    buckets?: readonly [number, number, number],
  ): TraceMap {
    const known = this.maps.get(name);
    if (known === undefined) {
      const map: TraceMap = { name, index: this.maps.size + 1, keys, how: how ?? 'value', value, buckets };
      this.maps.set(name, map);
      return map;
    }
    const same = known.keys.length === keys.length && known.keys.every((k, i) => k.bytes === keys[i].bytes);
    if (!same) throw new TraceError(`@${name} has other keys elsewhere`, at);
    if (how !== undefined && known.how !== how)
      throw new TraceError(`@${name} is used as ${known.how}() elsewhere`, at);
    return known;
  }

  /** The number of an event. */
  event(event: Event): number {
    return this.events.push(event) - 1;
  }

  specs(): MapSpec[] {
    const events: MapSpec = {
      ...{ name: 'events', type: BPF_MAP_TYPE_PERF_EVENT_ARRAY, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 },
    };
    return [
      events,
      ...[...this.maps.values()].map((map): MapSpec => {
        const valueSize = map.how === 'avg' ? 16 : map.value.bytes;
        const name = `at_${map.name}`.slice(0, 15);
        return { name, type: BPF_MAP_TYPE_HASH, keySize: keyBytes(map), valueSize, maxEntries: MAX_ENTRIES, flags: 0 };
      }),
    ];
  }
}
