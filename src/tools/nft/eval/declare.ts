/** Declarations of sets and maps: types of keys and data. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Expr, Family, SetDecl } from '../ast.ts';
import * as build from '../build.ts';
import * as dt from '../datatype.ts';
import type { SetInfo } from '../set-info.ts';
import { Context, expectNothing, fail, type World } from './context.ts';
import { evaluate } from './expression.ts';

/** An expression that stands for a type: what elements of it look like. */
function typeExpr(expr: Expr): Expr {
  if (expr.kind === 'symbol') {
    const type = dt.datatypeByName(expr.text);
    if (type === undefined) return fail(expr, `syntax error, unknown datatype ${expr.text}`);
    return { ...build.constant(type, 0n), ...(expr.loc && { loc: expr.loc }) };
  }
  if (expr.kind === 'concat') return concatOf(expr, expr.parts.map(typeExpr));
  return fail(expr, 'invalid type');
}

function concatOf(expr: Expr, parts: readonly Expr[]): Expr {
  for (const part of parts)
    if (part.len === 0) fail(part, `can not use variable sized data types (${part.type?.name}) in concat expressions`);
  return {
    kind: 'concat',
    parts,
    type: dt.concatType(parts.map((part) => part.type!)),
    byteorder: 'invalid',
    len: parts.reduce((sum, part) => sum + ((part.len! + 31) & ~31), 0),
    ...(expr.loc && { loc: expr.loc }),
  };
}

/** The type of `typeof EXPR`: the field's own, without masks and dependencies. */
function typeofExpr(ctx: Context, expr: Expr): Expr {
  if (expr.kind === 'concat')
    return concatOf(
      expr,
      expr.parts.map((part) => typeofExpr(ctx, part)),
    );
  if (expr.type !== undefined && expr.type !== dt.invalidType) return expr;
  if (expr.kind === 'symbol') return fail(expr, 'unexpected string');
  const value = evaluate(ctx, expr, expectNothing);
  if (value.type === undefined || value.type === dt.invalidType)
    fail(expr, 'cannot determine the type of this expression');
  return value;
}

export function declareSet(decl: SetDecl, world: World): SetInfo {
  const ctx = new Context(decl.family as Family, decl.table, world);
  if (decl.key === undefined)
    return fail(decl.loc, decl.isMap ? 'map definition does not specify key' : 'set definition does not specify key');
  const key = decl.keyTypeof ? typeofExpr(ctx, decl.key) : typeExpr(decl.key);
  if (key.len === 0)
    fail(
      decl.key,
      `unqualified type ${key.type?.name} specified in set definition. Try "typeof expression" instead of "type datatype".`,
    );
  let { flags } = decl;
  let data: SetInfo['data'];
  if (decl.isMap) {
    if (decl.objType !== undefined) flags |= uapi.NFT_SET_OBJECT;
    else {
      flags |= uapi.NFT_SET_MAP;
      if (decl.data === undefined) return fail(decl.loc, 'map definition does not specify mapping data type');
      const expr = decl.keyTypeof && decl.data.kind !== 'symbol' ? typeofExpr(ctx, decl.data) : typeExpr(decl.data);
      data = { type: expr.type!, len: expr.len ?? 0, byteorder: expr.byteorder ?? 'invalid', expr };
    }
  }
  if (key.kind === 'concat' && flags & uapi.NFT_SET_INTERVAL) flags |= uapi.NFT_SET_CONCAT;
  if (decl.stmts.length > 1) flags |= uapi.NFT_SET_EXPR;
  return {
    family: decl.family,
    table: decl.table,
    name: decl.name,
    id: world.nextSetId(),
    flags,
    key,
    ...(data && { data }),
    ...(decl.objType !== undefined && { objType: decl.objType }),
    empty: true,
    ...(decl.timeout !== undefined && { timeout: decl.timeout }),
    ...(decl.gcInterval !== undefined && { gcInterval: decl.gcInterval }),
    ...(decl.size !== undefined && { size: decl.size }),
    ...(decl.policy !== undefined && { policy: decl.policy }),
    ...(decl.autoMerge && { autoMerge: true }),
    ...(decl.comment !== undefined && { comment: decl.comment }),
    ...(decl.keyTypeof && { keyTypeof: true }),
    ...(decl.dataInterval && { dataInterval: true }),
    stmts: decl.stmts,
  };
}
