/** Sets and maps as functions of the key: exact elements, intervals, concatenated ranges, catch-all. */
import type { Element, NftSet } from '../../netfilter/nft/set/set.ts';
import { NFT_SET_ELEM_INTERVAL_END } from '../../wire/uapi/nf-tables.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import type { Space } from './space.ts';
import { between, type Span, spans, type Vec } from './vector.ts';

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

/** The key before this one. */
function before(key: Uint8Array): Uint8Array {
  const out = key.slice();
  for (let i = out.length - 1; i >= 0; i--) {
    if (out[i] > 0) {
      out[i]--;
      break;
    }
    out[i] = 0xff;
  }
  return out;
}

/** Spans of an interval set: every start reaches to the next start or end. */
function intervals(set: NftSet, value: (element: Element) => Node): Span[] {
  const list = [...set.backend.elements()].map((element) => ({
    element,
    end: (element.flags & NFT_SET_ELEM_INTERVAL_END) !== 0,
  }));
  // An end lies before a start of the same key.
  list.sort((a, b) => compare(a.element.key, b.element.key) || Number(b.end) - Number(a.end));
  const out: Span[] = [];
  list.forEach(({ element, end }, i) => {
    if (end) return;
    const next = list[i + 1];
    const high = next === undefined ? new Uint8Array(element.key.length).fill(0xff) : before(next.element.key);
    if (compare(element.key, high) <= 0) out.push({ low: element.key, high, value: value(element) });
  });
  return out;
}

/** Elements whose fields are ranges: the first that holds the key. */
function ranges(
  space: Space,
  set: NftSet,
  key: Vec,
  elements: readonly Element[],
  value: (e: Element) => Node,
  none: Node,
): Node {
  const { bdd } = space;
  const one = (element: Element): Node => {
    const end = element.keyEnd ?? element.key;
    let match: Node = TRUE;
    let at = set.keyLength;
    for (const length of [...set.fields].reverse()) {
      at -= (length + 3) & ~3;
      const low = element.key.subarray(at, at + length);
      const high = end.subarray(at, at + length);
      match = bdd.and(match, between(bdd, key.slice(at * 8, (at + length) * 8), low, high));
    }
    return bdd.ite(match, value(element), none);
  };
  const fold = (from: number, to: number): Node => {
    if (to - from === 1) return one(elements[from]);
    const middle = (from + to) >> 1;
    return bdd.override(fold(from, middle), fold(middle, to), none);
  };
  return elements.length === 0 ? none : fold(0, elements.length);
}

/** The value of the element that a key finds; `none` where it finds none. */
export function lookupIn(space: Space, set: NftSet, key: Vec, value: (element: Element) => Node, none: Node): Node {
  const interval = (set.flags & 4) !== 0;
  const all = set.catchall === undefined ? none : value(set.catchall);
  if (interval && set.fields.length > 1) {
    const exact: Span[] = [];
    const ranged: Element[] = [];
    for (const e of set.backend.elements())
      if (e.keyEnd === undefined || compare(e.key, e.keyEnd) === 0)
        exact.push({ low: e.key, high: e.key, value: value(e) });
      else ranged.push(e);
    const first = spans(space.bdd, key, exact, none);
    const then = space.bdd.override(first, ranges(space, set, key, ranged, value, none), none);
    return space.bdd.override(then, all, none);
  }
  const list = interval
    ? intervals(set, value)
    : [...set.backend.elements()].map((e) => ({ low: e.key, high: e.key, value: value(e) }));
  return space.bdd.override(spans(space.bdd, key, list, none), all, none);
}

/** Where a key is in a set. */
export function memberOf(space: Space, set: NftSet, key: Vec): Node {
  return lookupIn(space, set, key, () => TRUE, FALSE);
}
