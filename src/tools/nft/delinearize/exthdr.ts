/**
 * Extension headers and options by the kernel's numbers.
 */
import type { ExthdrExpr } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import type { KernelExpr } from '../expr/types.ts';
import {
  dccpOptionDesc,
  EXTHDR_OPS,
  type ExthdrDesc,
  ipOptions,
  ipv6Headers,
  sctpChunks,
  tcpOptions,
} from '../exthdr.ts';

const TABLES: readonly (readonly [ExthdrDesc['op'], readonly ExthdrDesc[]])[] = [
  ['ipv6', ipv6Headers],
  ['tcpopt', tcpOptions],
  ['ipv4', ipOptions],
  ['sctp', sctpChunks],
];

export function fromExthdr(e: Extract<KernelExpr, { name: 'exthdr' }>): ExthdrExpr {
  if (EXTHDR_OPS[e.op] === 'dccp') return { ...build.exthdrPresent(dccpOptionDesc(e.type)), byteorder: 'big', len: 8 };
  const [op, table] = TABLES[e.op] ?? TABLES[0];
  const present = (e.flags & 1) !== 0;
  const offset = e.offset * 8;
  const len = e.len * 8;
  const common = { kind: 'exthdr', op, hdr: e.type, offset } as const;
  if (present || (e.dreg === undefined && e.sreg === undefined)) {
    const desc = table.find((d) => d.type === e.type) ?? { op, name: String(e.type), type: e.type, fields: [] };
    return { ...common, desc, present: true, type: dt.booleanType, byteorder: 'big', len: 8 };
  }
  const exact = table
    .filter((d) => d.type === e.type)
    .flatMap((desc) => desc.fields.map((field, i) => ({ desc, field, i })))
    .find(({ field }) => field.offset === offset && field.len === len);
  if (exact === undefined) return { ...common, raw: true, type: dt.integerType, byteorder: 'big', len };
  return { ...common, desc: exact.desc, field: exact.i, type: exact.field.type, byteorder: 'big', len };
}

/** The field whose bits `mask` covers in a raw load of an extension header. */
export function trimExthdr(
  e: ExthdrExpr,
  mask: bigint,
): { readonly field: ExthdrExpr; readonly shift: number } | undefined {
  if (mask === 0n) return undefined;
  let shift = 0;
  while (((mask >> BigInt(shift)) & 1n) === 0n) shift++;
  const bits = (mask >> BigInt(shift)).toString(2);
  if (bits.includes('0')) return undefined;
  const at = e.offset + (e.len ?? 0) - shift - bits.length;
  const table = TABLES.find(([op]) => op === e.op)?.[1] ?? [];
  for (const desc of table) {
    if (desc.type !== e.hdr) continue;
    const i = desc.fields.findIndex((f) => f.offset === at && f.len === bits.length);
    if (i >= 0)
      return {
        field: { ...e, desc, field: i, raw: false, offset: at, len: bits.length, type: desc.fields[i].type },
        shift,
      };
  }
  return undefined;
}
