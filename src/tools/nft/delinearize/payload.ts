/**
 * From raw bytes of a header to named fields.
 */
import type { PayloadExpr, ValueExpr } from '../ast.ts';
import { type Datatype, integerType } from '../datatype.ts';
import { BASE_TRANSPORT, type ProtoDesc, proto } from '../proto.ts';
import type { HeaderContext } from './context.ts';

/** Integers of raw payloads print in hexadecimal. */
export const xintegerType: Datatype = { ...integerType, print: (value) => `0x${value.toString(16)}` };

/** A raw load as it comes from the kernel; ports of an unknown transport are `th sport` and `th dport`. */
export function rawPayload(base: number, offset: number, len: number): PayloadExpr {
  const raw: PayloadExpr = { kind: 'payload', base, offset, len, raw: true, type: xintegerType, byteorder: 'big' };
  if (base !== BASE_TRANSPORT || len !== 16 || (offset !== 0 && offset !== 16)) return raw;
  return named(raw, proto('th'), offset === 0 ? 0 : 1);
}

function named(e: PayloadExpr, desc: ProtoDesc, index: number): PayloadExpr {
  const field = desc.fields[index];
  return { ...e, proto: desc, field: index, raw: false, len: field.len, type: field.type, byteorder: 'big' };
}

function allowed(ctx: HeaderContext, icmp: readonly number[] | undefined): boolean {
  if (icmp === undefined) return true;
  return ctx.icmpTypes?.every((t) => icmp.includes(t)) ?? false;
}

/** The field that is exactly these bits; the raw expression when there is none. */
export function complete(e: PayloadExpr, ctx: HeaderContext): PayloadExpr {
  const desc = ctx.desc(e.base);
  if (!desc?.length) return e;
  const offset = e.offset - ctx.layers[e.base].offset;
  // Of two names for the same bits the later one is the one that is written.
  const fits = (f: ProtoDesc['fields'][number]): boolean =>
    f.offset === offset && f.len === e.len && allowed(ctx, f.icmp);
  const first = desc.fields.findIndex(fits);
  const index = first >= 0 && desc.fields[first].icmp ? desc.fields.findLastIndex(fits) : first;
  return index < 0 ? e : named(e, desc, index);
}

/** The fields that these bits hold one after another; undefined when they do not come out even. */
export function expand(e: PayloadExpr, ctx: HeaderContext): PayloadExpr[] | undefined {
  const desc = ctx.desc(e.base);
  if (!desc?.length) return undefined;
  const out: PayloadExpr[] = [];
  let offset = e.offset - ctx.layers[e.base].offset;
  let left = e.len ?? 0;
  while (left > 0) {
    const index = desc.fields.findIndex((f) => f.offset === offset && f.len <= left && allowed(ctx, f.icmp));
    if (index < 0) return undefined;
    const field = desc.fields[index];
    out.push(named({ ...e, offset: offset + ctx.layers[e.base].offset, len: field.len }, desc, index));
    offset += field.len;
    left -= field.len;
  }
  return out;
}

/** Cuts the leading `len` bits of every part off a value of network order. */
export function splice(value: ValueExpr, total: number, fields: readonly PayloadExpr[]): ValueExpr[] {
  let left = total;
  return fields.map((field) => {
    left -= field.len ?? 0;
    const bits = BigInt(field.len ?? 0);
    return {
      ...value,
      value: (value.value >> BigInt(left)) & ((1n << bits) - 1n),
      len: field.len,
      type: field.type,
      byteorder: 'big',
    };
  });
}

/** The field that the set bits of `mask` cover in the loaded bits, and how far its value is shifted. */
export function trim(
  e: PayloadExpr,
  mask: bigint,
  ctx: HeaderContext,
): { readonly field: PayloadExpr; readonly shift: number } | undefined {
  const desc = ctx.desc(e.base);
  if (desc === undefined || mask === 0n) return undefined;
  let shift = 0;
  while (((mask >> BigInt(shift)) & 1n) === 0n) shift++;
  const bits = mask >> BigInt(shift);
  const len = bits.toString(2).length;
  if (bits !== (1n << BigInt(len)) - 1n) return undefined;
  const total = e.len ?? 0;
  const at = e.offset - ctx.layers[e.base].offset + total - shift - len;
  const index = desc.fields.findIndex((f) => f.offset === at && f.len === len && allowed(ctx, f.icmp));
  if (index < 0) return undefined;
  return { field: named({ ...e, offset: at + ctx.layers[e.base].offset }, desc, index), shift };
}
