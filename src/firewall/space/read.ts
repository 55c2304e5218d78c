/**
 * Kernel expressions as attributes: what an expression says of itself in a dump, read back. So the reasoning depends on the
 * interface that `nft` uses, and not on how expressions are made.
 */

import type { Verdict } from '../../netfilter/nft/data.ts';
import type { Expr } from '../../netfilter/nft/expr.ts';
import type { Table } from '../../netfilter/nft/model.ts';
import { type Attr, AttrWriter, attrMap, getBeU32, getString } from '../../wire/netlink/attr.ts';
import {
  NFT_GOTO,
  NFT_JUMP,
  NFTA_DATA_VALUE,
  NFTA_DATA_VERDICT,
  NFTA_VERDICT_CHAIN,
  NFTA_VERDICT_CODE,
} from '../../wire/uapi/nf-tables.ts';

/** Byte offset of a register by its number. */
function registerAt(reg: number): number {
  return reg <= 4 ? reg * 16 : (reg - 8 + 4) * 4;
}

export class ExprData {
  readonly name: string;
  readonly attrs: ReadonlyMap<number, Attr>;
  readonly #bytes: Uint8Array;

  constructor(expr: Expr) {
    this.name = expr.name;
    const w = new AttrWriter(0);
    expr.dump?.(w, false);
    const bytes = w.finish();
    this.attrs = attrMap(bytes);
    this.#bytes = bytes;
  }

  /** The dump as text: equal for expressions that say the same. */
  get key(): string {
    return `${this.name} ${hex(this.#bytes)}`;
  }

  has(type: number): boolean {
    return this.attrs.has(type);
  }
  u32(type: number, fallback = 0): number {
    const attr = this.attrs.get(type);
    return attr === undefined ? fallback : getBeU32(attr.payload);
  }
  u8(type: number, fallback = 0): number {
    return this.attrs.get(type)?.payload[0] ?? fallback;
  }
  /** Byte offset of the register that an attribute names; -1 without, or for the verdict register. */
  register(type: number): number {
    const attr = this.attrs.get(type);
    if (attr === undefined) return -1;
    const reg = getBeU32(attr.payload);
    return reg === 0 ? -1 : registerAt(reg);
  }
  text(type: number): string {
    const attr = this.attrs.get(type);
    return attr === undefined ? '' : getString(attr.payload);
  }
  bytes(type: number): Uint8Array {
    return this.attrs.get(type)?.payload ?? new Uint8Array(0);
  }
  /** The bytes of a value (NFTA_DATA_VALUE). */
  value(type: number): Uint8Array {
    const attr = this.attrs.get(type);
    return (attr && attrMap(attr.payload).get(NFTA_DATA_VALUE)?.payload) ?? new Uint8Array(0);
  }
  /** A verdict (NFTA_DATA_VERDICT), with its chain found in the table. */
  verdict(type: number, table: Table): Verdict | undefined {
    const attr = this.attrs.get(type);
    const nested = attr && attrMap(attr.payload).get(NFTA_DATA_VERDICT);
    if (nested === undefined) return undefined;
    const attrs = attrMap(nested.payload);
    const code = attrs.get(NFTA_VERDICT_CODE);
    const name = attrs.get(NFTA_VERDICT_CHAIN);
    const number = code === undefined ? 0 : getBeU32(code.payload) | 0;
    const jumps = number === NFT_JUMP || number === NFT_GOTO;
    return { code: number, chain: jumps && name ? table.chains.get(getString(name.payload)) : undefined };
  }
}

/** Expressions read once. */
export class Reader {
  readonly #known = new Map<Expr, ExprData>();

  read(expr: Expr): ExprData {
    let data = this.#known.get(expr);
    if (data === undefined) {
      data = new ExprData(expr);
      this.#known.set(expr, data);
    }
    return data;
  }
}

export function hex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += byte.toString(16).padStart(2, '0');
  return out;
}
