/**
 * Members of sets as the kernel takes them: keys and data as bytes, intervals cut into half-open pieces (a start and an
 * end element), ranges of concatenations as two keys.
 */
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, ValueExpr, VerdictExpr } from './ast.ts';
import * as dt from './datatype.ts';
import { exportValue } from './datatype.ts';
import { bounds } from './eval/value.ts';
import type { Data, KernelExpr } from './expr/types.ts';
import { constantBytes, linearizeStatements, verdictData } from './linearize.ts';
import type { SetInfo } from './set-info.ts';
import { NftError } from './source.ts';

/** NFTA_SET_ELEM_* */
export type KernelElement = {
  readonly key?: Uint8Array;
  readonly keyEnd?: Uint8Array;
  readonly data?: Data;
  readonly flags: number;
  readonly timeout?: number;
  readonly expiration?: number;
  readonly comment?: string;
  /** An interval without an end: it reaches the highest value. */
  readonly open?: boolean;
  readonly objref?: string;
  readonly exprs: readonly KernelExpr[];
};

type Piece = { low: bigint; high: bigint; element: ElementExpr };

function extras(element: ElementExpr): Omit<KernelElement, 'key' | 'keyEnd' | 'flags' | 'data' | 'objref'> {
  return {
    ...(element.timeout !== undefined && { timeout: element.timeout }),
    ...(element.expires !== undefined && { expiration: element.expires }),
    ...(element.comment !== undefined && { comment: element.comment }),
    exprs: element.stmts === undefined ? [] : linearizeStatements(element.stmts),
  };
}

function rangeEnds(expr: Expr): { low: Uint8Array; high: Uint8Array } {
  if (expr.kind === 'concat') {
    const ends = expr.parts.map(rangeEnds);
    const glue = (side: 'low' | 'high'): Uint8Array => {
      const out = new Uint8Array(ends.reduce((sum, end) => sum + ((end.low.length + 3) & ~3), 0));
      let at = 0;
      for (const end of ends) {
        out.set(end[side], at);
        at += (end[side].length + 3) & ~3;
      }
      return out;
    };
    return { low: glue('low'), high: glue('high') };
  }
  const { low, high, len } = bounds(expr);
  // Ranges are compared as memory: most significant byte first.
  if (expr.kind === 'value' && dt.rootType(expr.type!) === dt.stringType) {
    const bytes = constantBytes(expr);
    return { low: bytes, high: bytes };
  }
  return { low: exportValue(low, 'big', len), high: exportValue(high, 'big', len) };
}

function dataOf(set: SetInfo, element: ElementExpr): { data?: Data; objref?: string } {
  const { data } = element;
  if (data === undefined) return {};
  if (set.flags & uapi.NFT_SET_OBJECT) return { objref: dt.valueString((data as ValueExpr).value) };
  if (data.kind === 'verdict') return { data: { verdict: verdictData(data as VerdictExpr) } };
  if (set.dataInterval) {
    const { low, high } = rangeEnds(data);
    const both = new Uint8Array(low.length + high.length);
    both.set(low);
    both.set(high, low.length);
    return { data: { value: both } };
  }
  return { data: { value: constantBytes(data) } };
}

function sameData(a: ElementExpr, b: ElementExpr): boolean {
  return a.data === undefined && b.data === undefined && a.stmts === undefined && b.stmts === undefined;
}

/** Sorted pieces of an interval set; overlapping ones are joined or refused. */
function pieces(set: SetInfo, elements: readonly ElementExpr[]): Piece[] {
  const merge = set.autoMerge === true || (set.flags & uapi.NFT_SET_ANONYMOUS) !== 0;
  const list = elements.map((element): Piece => ({ ...bounds(element.key), element }));
  list.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : a.high > b.high ? -1 : a.high < b.high ? 1 : 0));
  const out: Piece[] = [];
  for (const piece of list) {
    const last = out[out.length - 1];
    if (last === undefined || piece.low > last.high + (merge && sameData(last.element, piece.element) ? 1n : 0n)) {
      out.push(piece);
      continue;
    }
    const same = piece.low === last.low && piece.high === last.high;
    if (!merge || !sameData(last.element, piece.element)) {
      if (same && last.element.data === undefined) continue;
      if (piece.low > last.high) {
        out.push(piece);
        continue;
      }
      throw new NftError(piece.element.key.loc, 'conflicting intervals specified', last.element.key.loc);
    }
    if (piece.high > last.high) last.high = piece.high;
  }
  return out;
}

/** Kernel elements of evaluated members. `first`: nothing was in the set before, an interval set needs its lower bound. */
export function kernelElements(set: SetInfo, elements: readonly ElementExpr[], first: boolean): KernelElement[] {
  const out: KernelElement[] = [];
  const plain = elements.filter((element) => element.key.kind !== 'catchall');
  if (set.flags & uapi.NFT_SET_INTERVAL && !(set.key.type?.parts !== undefined)) {
    const len = set.key.len!;
    const limit = 1n << BigInt(len);
    const key = (value: bigint): Uint8Array => exportValue(value, 'big', len);
    const list = pieces(set, plain);
    if (first && list.length > 0 && list[0].low !== 0n)
      out.push({ key: key(0n), flags: uapi.NFT_SET_ELEM_INTERVAL_END, exprs: [] });
    list.forEach((piece, i) => {
      const open = piece.high + 1n >= limit;
      out.push({
        key: key(piece.low),
        flags: 0,
        ...(open && { open }),
        ...dataOf(set, piece.element),
        ...extras(piece.element),
      });
      const end = piece.high + 1n;
      const next = list[i + 1];
      // Neighbours in a named set keep their boundary; in an anonymous one the next start is the end.
      const joined = next?.low === end && (set.flags & uapi.NFT_SET_ANONYMOUS) !== 0;
      if (end < limit && !joined) out.push({ key: key(end), flags: uapi.NFT_SET_ELEM_INTERVAL_END, exprs: [] });
    });
  } else if (set.flags & uapi.NFT_SET_INTERVAL) {
    for (const element of plain) {
      const { low, high } = rangeEnds(element.key);
      out.push({ key: low, keyEnd: high, flags: 0, ...dataOf(set, element), ...extras(element) });
    }
  } else {
    const seen = new Set<string>();
    for (const element of plain) {
      const key = constantBytes(element.key);
      const text = key.join();
      if (seen.has(text) && element.data === undefined && set.flags & uapi.NFT_SET_ANONYMOUS) continue;
      seen.add(text);
      out.push({ key, flags: 0, ...dataOf(set, element), ...extras(element) });
    }
  }
  for (const element of elements)
    if (element.key.kind === 'catchall')
      out.push({ flags: uapi.NFT_SET_ELEM_CATCHALL, ...dataOf(set, element), ...extras(element) });
  return out;
}
