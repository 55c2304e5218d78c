/**
 * `fib` and `ipsec` expressions with their types.
 */

import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Expr } from '../ast.ts';
import * as dt from '../datatype.ts';

export function fibExpr(result: number, flags: number): Expr {
  const present = (flags & U.NFTA_FIB_F_PRESENT) !== 0;
  const type =
    result === U.NFT_FIB_RESULT_ADDRTYPE
      ? dt.fibAddrType
      : present
        ? dt.booleanType
        : result === U.NFT_FIB_RESULT_OIF
          ? dt.ifindexType
          : dt.ifnameType;
  return { kind: 'fib', result, flags, type, byteorder: 'host', len: type === dt.ifnameType ? 128 : present ? 8 : 32 };
}

const XFRM_TYPES: readonly (readonly [dt.Datatype, number])[] = [
  [dt.invalidType, 0],
  [dt.ipaddrType, 32],
  [dt.ip6addrType, 128],
  [dt.ipaddrType, 32],
  [dt.ip6addrType, 128],
  [dt.integerType, 32],
  [dt.integerType, 32],
];

export function xfrmExpr(key: number, direction: number, spnum: number): Expr {
  const [type, len] = XFRM_TYPES[key] ?? [dt.integerType, 32];
  const byteorder = key === 5 ? 'host' : 'big'; // the request id is a number of the host
  return { kind: 'xfrm', key, direction, spnum, type, len, byteorder };
}
