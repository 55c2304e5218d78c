/**
 * Rules of arptables and ebtables: fields of the frame that are compared natively, extensions in the order in which they
 * were given, and a target. One table of fields per tool says where each lies; that is all that writing a rule as
 * expressions and reading it back need.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { KernelExpr } from '../../nft/expr/types.ts';
import type { Use } from '../extension.ts';

export type FieldMatch = { readonly value: Uint8Array; readonly mask: Uint8Array; readonly invert: boolean };

export type LinkRule = {
  readonly fields: Map<string, FieldMatch>;
  /** Interface names by key. */
  readonly devices: Map<string, { readonly name: string; readonly invert: boolean }>;
  uses: Use[];
  target: { readonly use: Use } | { readonly verdict: string } | { readonly chain: string } | undefined;
  packets: bigint;
  bytes: bigint;
  /** The rule stands for the policy of a user chain (ebtables). */
  policy: boolean;
  foreign: boolean;
};

export const emptyLinkRule = (): LinkRule => ({
  fields: new Map(),
  devices: new Map(),
  uses: [],
  target: undefined,
  packets: 0n,
  bytes: 0n,
  policy: false,
  foreign: false,
});

/** Where a field lies. */
export type FieldPlace = {
  readonly key: string;
  readonly base: number;
  readonly offset: number;
  readonly length: number;
};
export type DevicePlace = { readonly key: string; readonly meta: number };

const REG = U.NFT_REG_1;
const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

function cmp(op: number, data: Uint8Array): KernelExpr {
  return { name: 'cmp', sreg: REG, op, data };
}

/** Frames of 802.3 have a length where others have a type: "less than 1536" stands for them. */
export const LENGTH_TYPE = 0x0600;

/** The expressions of a field; a mask of whole leading bytes shortens the load. */
function fieldExprs(place: FieldPlace, match: FieldMatch): KernelExpr[] {
  const op = match.invert ? U.NFT_CMP_NEQ : U.NFT_CMP_EQ;
  if (place.key === 'proto' && match.mask[0] === 0)
    return [
      { name: 'payload', dreg: REG, base: place.base, offset: place.offset, len: 2 },
      cmp(match.invert ? U.NFT_CMP_GTE : U.NFT_CMP_LT, Uint8Array.of(LENGTH_TYPE >> 8, 0)),
    ];
  const { mask } = match;
  const full = mask.findIndex((byte) => byte !== 0xff);
  const lead = full < 0 ? mask.length : full;
  const whole = lead > 0 && mask.subarray(lead).every((byte) => byte === 0);
  const len = whole ? lead : mask.length;
  const load: KernelExpr = { name: 'payload', dreg: REG, base: place.base, offset: place.offset, len };
  if (whole) return [load, cmp(op, match.value.subarray(0, len))];
  return [
    load,
    { name: 'bitwise', sreg: REG, dreg: REG, len, op: 0, mask, xor: new Uint8Array(len) },
    cmp(
      op,
      match.value.map((byte, i) => byte & mask[i]),
    ),
  ];
}

function deviceExprs(place: DevicePlace, match: { name: string; invert: boolean }): KernelExpr[] {
  const load: KernelExpr = { name: 'meta', key: place.meta, dreg: REG };
  const op = match.invert ? U.NFT_CMP_NEQ : U.NFT_CMP_EQ;
  if (!match.name.endsWith('+')) return [load, cmp(op, utf8.encode(`${match.name}\0`))];
  if (match.name.length > 1) return [load, cmp(op, utf8.encode(match.name.slice(0, -1)))];
  return match.invert ? [load, cmp(U.NFT_CMP_EQ, utf8.encode('INVAL/D\0'))] : [];
}

const VERDICTS: readonly (readonly [string, number])[] = [
  ['ACCEPT', 1],
  ['DROP', 0],
  ['RETURN', U.NFT_RETURN],
];

export type Layout = { readonly devices: readonly DevicePlace[]; readonly fields: readonly FieldPlace[] };

/** Writes a rule; `native` gives the own form of an extension that has one. */
export function toLinkKernel(
  rule: LinkRule,
  layout: Layout,
  native: (use: Use) => KernelExpr[] | undefined,
): KernelExpr[] {
  const out: KernelExpr[] = [];
  for (const place of layout.devices) {
    const match = rule.devices.get(place.key);
    if (match) out.push(...deviceExprs(place, match));
  }
  for (const place of layout.fields) {
    const match = rule.fields.get(place.key);
    if (match) out.push(...fieldExprs(place, match));
  }
  const xt = (use: Use): KernelExpr => ({
    name: use.ext.kind,
    xt: use.ext.realName ?? use.ext.name,
    rev: use.ext.revision,
    info: use.ext.codec.encode(use.state),
  });
  for (const use of rule.uses) out.push(...(native(use) ?? [xt(use)]));
  out.push({ name: 'counter', packets: rule.packets, bytes: rule.bytes });
  const t = rule.target;
  if (t === undefined) return out;
  if ('use' in t) out.push(xt(t.use));
  else {
    const verdict =
      'chain' in t
        ? { code: U.NFT_JUMP, chain: t.chain }
        : { code: VERDICTS.find(([name]) => name === t.verdict)?.[1] ?? U.NFT_RETURN };
    out.push({ name: 'immediate', dreg: U.NFT_REG_VERDICT, data: { verdict } });
  }
  return out;
}

/** Reads a rule; `extension` makes what is no field. An extension after the counter is the target. */
export function fromLinkKernel(
  exprs: readonly KernelExpr[],
  layout: Layout,
  extension: (e: KernelExpr) => Use | undefined,
): LinkRule {
  const rule = emptyLinkRule();
  let load: KernelExpr | undefined;
  let mask: Uint8Array | undefined;
  let counted = false;
  for (const e of exprs) {
    if ((e.name === 'meta' && e.sreg === undefined) || e.name === 'payload') {
      load = e;
      mask = undefined;
    } else if (e.name === 'bitwise') mask = e.mask;
    else if (e.name === 'cmp') {
      if (!compare(rule, layout, load, mask, e.op, e.data)) rule.foreign = true;
    } else if (e.name === 'counter') {
      rule.packets = e.packets;
      rule.bytes = e.bytes;
      counted = true;
    } else if (e.name === 'immediate' && 'verdict' in e.data) {
      const { code, chain } = e.data.verdict;
      const verdict = VERDICTS.find(([, value]) => value === code)?.[0];
      rule.target = chain !== undefined ? { chain } : verdict === undefined ? undefined : { verdict };
    } else {
      const use = extension(e);
      if (use === undefined) rule.foreign = true;
      else if (counted) rule.target = { use };
      else rule.uses.push(use);
    }
  }
  return rule;
}

function compare(
  rule: LinkRule,
  layout: Layout,
  load: KernelExpr | undefined,
  mask: Uint8Array | undefined,
  op: number,
  data: Uint8Array,
): boolean {
  const invert = op === U.NFT_CMP_NEQ;
  if (load?.name === 'meta') {
    const place = layout.devices.find((d) => d.meta === load.key);
    if (place === undefined) return false;
    const end = data.indexOf(0);
    const name = fromUtf8.decode(end < 0 ? data : data.subarray(0, end));
    if (name === 'INVAL/D') rule.devices.set(place.key, { name: '+', invert: true });
    else rule.devices.set(place.key, { name: end < 0 ? `${name}+` : name, invert });
    return true;
  }
  if (load?.name !== 'payload') return false;
  const place = layout.fields.find((f) => f.base === load.base && f.offset === load.offset);
  if (place === undefined) return false;
  if (op === U.NFT_CMP_LT || op === U.NFT_CMP_GTE) {
    rule.fields.set(place.key, { value: new Uint8Array(2), mask: new Uint8Array(2), invert: op === U.NFT_CMP_GTE });
    return true;
  }
  const value = new Uint8Array(place.length);
  value.set(data);
  const full = new Uint8Array(place.length);
  if (mask !== undefined) full.set(mask);
  else full.fill(0xff, 0, load.len);
  rule.fields.set(place.key, { value, mask: full, invert });
  return true;
}
