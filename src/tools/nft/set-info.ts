/** A set or map as evaluation, linearization and the netlink writer know it: declared in this run or read from the kernel. */
import type { Expr, Family, SetExpr, Stmt } from './ast.ts';
import type { ByteOrder, Datatype } from './datatype.ts';

export type SetInfo = {
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  /** NFTA_SET_ID of this batch; 0 for sets that were there before. */
  readonly id: number;
  /** NFT_SET_* */
  flags: number;
  readonly key: Expr & { readonly type?: Datatype };
  readonly data?: {
    readonly type: Datatype;
    readonly len: number;
    readonly byteorder: ByteOrder;
    readonly expr?: Expr;
  };
  readonly objType?: number;
  /** Elements of an anonymous set, evaluated. */
  elements?: SetExpr;
  /** True until elements were added: an interval set gets its first boundary then. */
  empty: boolean;
  readonly timeout?: number;
  readonly gcInterval?: number;
  readonly size?: number;
  readonly policy?: number;
  readonly autoMerge?: boolean;
  /** What an auto-merge set holds, once it was asked for. */
  ranges?: { readonly low: bigint; readonly high: bigint }[];
  readonly comment?: string;
  readonly keyTypeof?: boolean;
  /** Map data are ranges. */
  dataInterval?: boolean;
  readonly stmts: readonly Stmt[];
};
