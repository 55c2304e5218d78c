/** `FIELD set VALUE`: which statement that is hangs on what the field is. The text and the JSON grammar share it. */
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { Expr, Stmt } from './ast.ts';
import type { Location } from './source.ts';

/** The statement; undefined when this is nothing that can be set. */
export function fieldSetStmt(target: Expr, expr: Expr, loc?: Location): Stmt | undefined {
  const at = loc === undefined ? {} : { loc };
  switch (target.kind) {
    case 'meta':
      if (target.key === uapi.NFT_META_SECMARK && (expr.kind === 'symbol' || expr.kind === 'map'))
        return { kind: 'objref', type: uapi.NFT_OBJECT_SECMARK, expr, ...at };
      return { kind: 'metaset', key: target.key, expr, ...at };
    case 'ct':
      if (target.key === uapi.NFT_CT_HELPER) return { kind: 'objref', type: uapi.NFT_OBJECT_CT_HELPER, expr, ...at };
      return {
        kind: 'ctset',
        key: target.key,
        ...(target.direction !== undefined && { direction: target.direction }),
        expr,
        ...at,
      };
    case 'payload':
      return { kind: 'payloadset', target, expr, ...at };
    case 'exthdr':
      return { kind: 'exthdrset', target, expr, ...at };
    default:
      return undefined;
  }
}
