/**
 * `auto-merge`: new intervals are joined with those that the set has. Ranges that are touched are taken out and the
 * union is put in, in the same transaction.
 */
import { attrMap, getBeU32, readAttrs } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { ElementExpr, ValueExpr } from './ast.ts';
import * as dt from './datatype.ts';
import { exportValue, importValue } from './datatype.ts';
import type { SetInfo } from './set-info.ts';

export type Range = { readonly low: bigint; readonly high: bigint };

/** The ranges of an interval set in a dump of its elements. */
export function readRanges(messages: readonly Message[], len: number): Range[] {
  const points: { at: bigint; end: boolean }[] = [];
  for (const m of messages) {
    const list = attrMap(m.payload, 4).get(uapi.NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const element of list === undefined ? [] : readAttrs(list.payload)) {
      const attrs = attrMap(element.payload);
      const key = attrs.get(uapi.NFTA_SET_ELEM_KEY);
      const value = key && attrMap(key.payload).get(uapi.NFTA_DATA_VALUE);
      if (value === undefined) continue;
      const flags = attrs.get(uapi.NFTA_SET_ELEM_FLAGS);
      const end = flags !== undefined && (getBeU32(flags.payload) & uapi.NFT_SET_ELEM_INTERVAL_END) !== 0;
      points.push({ at: importValue(value.payload, 'big'), end });
    }
  }
  // At one key the end of the range below comes first.
  points.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : Number(b.end) - Number(a.end)));
  const out: Range[] = [];
  let open: bigint | undefined;
  for (const { at, end } of points) {
    if (open !== undefined) out.push({ low: open, high: at - 1n });
    open = end ? undefined : at;
  }
  if (open !== undefined) out.push({ low: open, high: (1n << BigInt(len)) - 1n });
  return out;
}

/** What to take out and what to put in so that `have` becomes the union with `more`; `have` is brought up to date. */
export function mergeRanges(have: Range[], more: readonly Range[]): { gone: Range[]; fresh: Range[] } {
  const old = new Set(have);
  const all = [...have, ...more].sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
  const gone: Range[] = [];
  const fresh: Range[] = [];
  const kept: Range[] = [];
  for (let i = 0; i < all.length; ) {
    const group = [all[i]];
    let { high } = all[i++];
    while (i < all.length && all[i].low <= high + 1n) {
      if (all[i].high > high) high = all[i].high;
      group.push(all[i++]);
    }
    const before = group.filter((range) => old.has(range));
    const low = group[0].low;
    const same = before.length === group.length || before.some((range) => range.low === low && range.high === high);
    if (same) {
      kept.push(...before);
      continue;
    }
    const made = { low, high };
    gone.push(...before);
    fresh.push(made);
    kept.push(made);
  }
  have.length = 0;
  for (const range of kept) have.push(range);
  return { gone, fresh };
}

/** A range as an evaluated member of a set. */
export function rangeElement(set: SetInfo, { low, high }: Range): ElementExpr {
  const len = set.key.len!;
  // Text types are compared as memory.
  const back = (value: bigint): bigint =>
    dt.rootType(set.key.type!) === dt.stringType ? importValue(exportValue(value, 'big', len), 'host') : value;
  const constant = (value: bigint): ValueExpr => ({
    kind: 'value',
    value: back(value),
    type: set.key.type!,
    byteorder: set.key.byteorder!,
    len,
  });
  const shared = { type: set.key.type!, byteorder: set.key.byteorder!, len };
  return { kind: 'element', key: { kind: 'range', left: constant(low), right: constant(high), ...shared } };
}
