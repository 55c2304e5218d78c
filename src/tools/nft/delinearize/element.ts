/**
 * Members of a set from the kernel's dump: bytes to typed values, half-open pieces back to ranges and prefixes, and the
 * order in which nft(8) lists them.
 */
import { type Attr, attrMap, getBeU32, getBeU64, getString, readAttrs } from '../../../wire/netlink/attr.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, Stmt, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import { decodeData, decodeExpr, decodeExprs } from '../expr/decode.ts';
import { parseUdata, UDATA_COMMENT } from '../userdata.ts';
import { verdictExpr } from './rule.ts';
import { simpleStmt } from './statements.ts';

/** One member of a key or of data: its type, its length in bits and the order of its bytes. */
export type Part = { readonly type: dt.Datatype; readonly len: number; readonly byteorder: 'host' | 'big' };

/** What the bytes of a set's members mean. */
export type Shape = {
  /** NFT_SET_* */
  readonly flags: number;
  readonly key: readonly Part[];
  readonly data?: readonly Part[];
  /** Map data are ranges: twice the bytes. */
  readonly dataInterval?: boolean;
};

type Raw = {
  readonly key: Uint8Array | undefined;
  readonly keyEnd: Uint8Array | undefined;
  readonly flags: number;
  readonly rest: Omit<ElementExpr, 'key'>;
};

/** Types whose intervals are written as prefixes where they are one. */
const PREFIX_TYPES: ReadonlySet<number> = new Set([dt.ipaddrType.id, dt.ip6addrType.id, dt.markType.id]);

function constant(part: Part, value: bigint): ValueExpr {
  return { kind: 'value', value, type: part.type, byteorder: part.byteorder, len: part.len };
}

/** The text of a name that is kept as a number with its first byte highest. */
function nameOf(value: bigint, len: number): string {
  return dt.valueString(dt.importValue(dt.exportValue(value, 'big', len), 'host'));
}

function intervalExpr(part: Part, low: bigint, high: bigint): Expr {
  if (dt.isA(part.type, dt.stringType)) {
    const text = nameOf(low, part.len);
    return { kind: 'symbol', text: low === high ? text : `${text}*`, quoted: true, type: part.type };
  }
  const from = constant(part, low);
  if (low === high) return from;
  const size = high - low + 1n;
  if (PREFIX_TYPES.has(part.type.id) && (size & (size - 1n)) === 0n && low % size === 0n) {
    return { kind: 'prefix', expr: from, prefix: part.len - (size.toString(2).length - 1), type: part.type };
  }
  return { kind: 'range', left: from, right: constant(part, high), type: part.type };
}

/** Values of the parts, each at a multiple of four bytes. */
function split(parts: readonly Part[], bytes: Uint8Array, big: boolean): bigint[] {
  let at = 0;
  return parts.map((part) => {
    const size = parts.length === 1 ? bytes.length : (part.len + 7) >> 3;
    const order = big || (part.byteorder === 'big' && !dt.isA(part.type, dt.stringType)) ? 'big' : 'host';
    const value = dt.importValue(bytes.subarray(at, at + size), order);
    at += (size + 3) & ~3;
    return value;
  });
}

function together(parts: readonly Part[], exprs: readonly Expr[]): Expr {
  if (exprs.length === 1) return exprs[0];
  return { kind: 'concat', parts: exprs, type: dt.concatType(parts.map((part) => part.type)) };
}

function dataExpr(shape: Shape, attr: Attr): Expr | undefined {
  const data = decodeData(attr);
  if ('verdict' in data) return verdictExpr(data.verdict);
  const parts = shape.data;
  if (parts === undefined) return undefined;
  if (!shape.dataInterval)
    return together(
      parts,
      split(parts, data.value, false).map((value, i) => constant(parts[i], value)),
    );
  const half = data.value.length >> 1;
  const low = split(parts, data.value.subarray(0, half), true);
  const high = split(parts, data.value.subarray(half), true);
  return together(
    parts,
    parts.map((part, i) => {
      const one = intervalExpr(part, low[i], high[i]);
      // An address among ranges is a net of one.
      return parts.length === 1 && one.kind === 'value' && PREFIX_TYPES.has(part.type.id)
        ? { kind: 'prefix', expr: one, prefix: part.len, type: part.type }
        : one;
    }),
  );
}

function readElement(shape: Shape, attr: Attr): Raw {
  const attrs = attrMap(attr.payload);
  const bytes = (type: number): Uint8Array | undefined => {
    const nest = attrs.get(type);
    return nest && attrMap(nest.payload).get(U.NFTA_DATA_VALUE)?.payload;
  };
  const ms = (type: number): number | undefined => {
    const time = attrs.get(type);
    return time === undefined ? undefined : Number(getBeU64(time.payload));
  };
  const data = attrs.get(U.NFTA_SET_ELEM_DATA);
  const object = attrs.get(U.NFTA_SET_ELEM_OBJREF);
  const udata = attrs.get(U.NFTA_SET_ELEM_USERDATA);
  const comment = udata && parseUdata(udata.payload).find((tlv) => tlv.type === UDATA_COMMENT);
  const one = attrs.get(U.NFTA_SET_ELEM_EXPR);
  const many = attrs.get(U.NFTA_SET_ELEM_EXPRESSIONS);
  const exprs = one ? [decodeExpr(one)] : many ? decodeExprs(many) : [];
  const flags = attrs.get(U.NFTA_SET_ELEM_FLAGS);
  const value: Expr | undefined = object
    ? { kind: 'symbol', text: getString(object.payload), quoted: true }
    : data && dataExpr(shape, data);
  const stmts = exprs.flatMap((e): Stmt[] => {
    const stmt = simpleStmt(e);
    return stmt === undefined ? [] : [stmt];
  });
  const timeout = ms(U.NFTA_SET_ELEM_TIMEOUT);
  const expires = ms(U.NFTA_SET_ELEM_EXPIRATION);
  return {
    key: bytes(U.NFTA_SET_ELEM_KEY),
    keyEnd: bytes(U.NFTA_SET_ELEM_KEY_END),
    flags: flags ? getBeU32(flags.payload) : 0,
    rest: {
      kind: 'element',
      ...(value && { data: value }),
      ...(timeout !== undefined && { timeout }),
      ...(expires !== undefined && { expires }),
      ...(comment && { comment: getString(comment.value) }),
      ...(stmts.length > 0 && { stmts }),
    },
  };
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** The pieces of an interval set, joined: every start ends where the next piece or an end element begins. */
function intervals(part: Part, raws: readonly Raw[]): ElementExpr[] {
  const points = raws.map((raw) => ({
    value: dt.importValue(raw.key ?? new Uint8Array(0), 'big'),
    end: (raw.flags & U.NFT_SET_ELEM_INTERVAL_END) !== 0,
    raw,
  }));
  points.sort((a, b) => compare(a.value, b.value) || Number(b.end) - Number(a.end));
  const top = (1n << BigInt((points[0]?.raw.key?.length ?? 0) * 8)) - 1n;
  const out: ElementExpr[] = [];
  points.forEach((point, i) => {
    if (point.end) return;
    const next = points[i + 1];
    out.push({ ...point.raw.rest, key: intervalExpr(part, point.value, next === undefined ? top : next.value - 1n) });
  });
  return out;
}

/** What members are sorted by: the number of the key's bytes; of flags the lowest one. */
function sortKey(parts: readonly Part[], bytes: Uint8Array): bigint {
  if (parts.length > 1) return dt.importValue(bytes, 'host');
  const [value] = split(parts, bytes, false);
  return dt.isA(parts[0].type, dt.bitmaskType) ? value & -value : value;
}

/** The members of a set, of one or more dump messages' NFTA_SET_ELEM_LIST_ELEMENTS, as nft(8) lists them. */
export function readElements(shape: Shape, lists: readonly Attr[]): ElementExpr[] {
  const all = lists.flatMap((list) => readAttrs(list.payload).map((attr) => readElement(shape, attr)));
  const catchall = (raw: Raw): boolean => (raw.flags & U.NFT_SET_ELEM_CATCHALL) !== 0 || raw.key === undefined;
  const raws = all.filter((raw) => !catchall(raw));
  const parts = shape.key;
  let out: ElementExpr[];
  if (shape.flags & U.NFT_SET_INTERVAL && parts.length === 1) out = intervals(parts[0], raws);
  else if (shape.flags & U.NFT_SET_INTERVAL) {
    out = raws.map((raw) => {
      const big = (bytes: Uint8Array): bigint[] => split(parts, bytes, true);
      const low = big(raw.key ?? new Uint8Array(0));
      const high = raw.keyEnd === undefined ? low : big(raw.keyEnd);
      return {
        ...raw.rest,
        key: together(
          parts,
          parts.map((part, i) => intervalExpr(part, low[i], high[i])),
        ),
      };
    });
  } else {
    const keyed = raws.map((raw) => {
      const bytes = raw.key ?? new Uint8Array(0);
      const values = split(parts, bytes, false);
      const key = together(
        parts,
        values.map((value, i) => constant(parts[i], value)),
      );
      return { at: sortKey(parts, bytes), element: { ...raw.rest, key } };
    });
    keyed.sort((a, b) => compare(a.at, b.at));
    out = keyed.map(({ element }) => element);
  }
  for (const raw of all) if (catchall(raw)) out.push({ ...raw.rest, key: { kind: 'catchall' } });
  return out;
}
