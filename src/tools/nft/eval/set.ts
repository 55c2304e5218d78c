/** Sets and maps: references to named ones, evaluation of members, the flags that members demand. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, SetExpr, SetRefExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import type { SetInfo } from '../set-info.ts';
import { type Context, type Expect, expectOf, fail } from './context.ts';

type Evaluate = (ctx: Context, expr: Expr, expect: Expect) => Expr;

/** The set that `@name` means. */
export function checkReference(ctx: Context, expr: SetRefExpr): SetInfo {
  if (expr.set !== undefined) return expr.set;
  const set = ctx.world.set(ctx.family, ctx.table, expr.name);
  if (set === undefined) return fail(expr, 'No such file or directory');
  return set;
}

/** True for ranges, prefixes and string wildcards, also inside concatenations. */
export function isInterval(expr: Expr): boolean {
  return expr.kind === 'range' || expr.kind === 'prefix' || (expr.kind === 'concat' && expr.parts.some(isInterval));
}

/** Sets inside sets and definitions taken apart. */
function* flatten(elements: readonly ElementExpr[]): Generator<ElementExpr> {
  for (const element of elements) {
    let key = element.key;
    while (key.kind === 'variable') key = key.value;
    if (key.kind === 'set' && element.data === undefined) yield* flatten(key.elements);
    else if (key.kind === 'list' && element.data === undefined && element.key.kind === 'variable')
      yield* flatten(key.items.map((item) => ({ kind: 'element' as const, key: item })));
    else yield key === element.key ? element : { ...element, key };
  }
}

/** Evaluates the members of `{ ... }` for a set. */
export function evaluateElements(ctx: Context, set: SetInfo, expr: SetExpr, evaluate: Evaluate): SetExpr {
  const elements: ElementExpr[] = [];
  const keyExpect = expectOf(set.key);
  const isMap = (set.flags & (uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT)) !== 0;
  for (const element of flatten(expr.elements)) {
    const key = evaluate(ctx, element.key, keyExpect);
    if (key.kind === 'set' || key.kind === 'map') fail(key, 'Set member is not constant');
    if (set.key.type!.parts !== undefined && key.kind !== 'concat' && key.kind !== 'catchall')
      fail(
        key,
        `datatype mismatch, expected ${set.key.type!.desc}, expression has type ${key.type?.desc ?? 'integer'}`,
      );
    if (key.kind === 'setref') fail(key, 'Set reference cannot be part of another set');
    if (key.kind !== 'catchall' && !['value', 'prefix', 'range', 'concat'].includes(key.kind))
      fail(key, 'Set member is not constant');
    let data: Expr | undefined;
    if (isMap) {
      if (element.data === undefined) fail(element, 'map mapping expected');
      data = evaluateData(ctx, set, element.data!, evaluate);
    } else if (element.data !== undefined) fail(element, 'mapping outside of map context');
    if (isInterval(key) && (set.flags & (uapi.NFT_SET_ANONYMOUS | uapi.NFT_SET_INTERVAL)) === 0)
      fail(
        key,
        "You must add 'flags interval' to your set declaration if you want to add prefix or range elements to it.",
      );
    elements.push({ ...element, key, ...(data && { data }), ...(key.loc && { loc: key.loc }) });
  }
  return { ...expr, elements, type: set.key.type!, byteorder: set.key.byteorder!, len: set.key.len! };
}

function evaluateData(ctx: Context, set: SetInfo, data: Expr, evaluate: Evaluate): Expr {
  if (set.flags & uapi.NFT_SET_OBJECT)
    return evaluate(ctx, data, { type: dt.stringType, byteorder: 'host', len: 255 * 8 });
  const target = set.data!;
  const got = evaluate(ctx, data, {
    type: target.type,
    byteorder: target.byteorder,
    len: target.len,
    ...(target.expr && { key: target.expr }),
  });
  const verdict = target.type === dt.verdictType;
  if (verdict !== (got.kind === 'verdict')) fail(data, `datatype mismatch, expected ${target.type.desc}`);
  if (got.kind === 'set' || got.kind === 'setref') fail(data, 'map data cannot be a set');
  if (isInterval(got)) set.dataInterval = true;
  return got;
}

/** An anonymous set of the key at hand. */
export function finishSet(ctx: Context, shell: SetInfo, expr: SetExpr, evaluate: Evaluate): SetInfo {
  const set: SetInfo = { ...shell };
  const elements = evaluateElements(ctx, set, expr, evaluate);
  if (elements.elements.length === 0) fail(expr, 'Set is empty');
  if (elements.elements.some((element) => isInterval(element.key))) {
    set.flags |= uapi.NFT_SET_INTERVAL;
    if (set.key.kind === 'concat') set.flags |= uapi.NFT_SET_CONCAT;
  }
  set.elements = elements;
  return set;
}
