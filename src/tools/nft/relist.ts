/**
 * How a compiled rule is listed, without a kernel: its expressions and sets are written as netlink attributes, read back
 * as a dump would be, and turned into statements again.
 */
import { AttrWriter, attrMap } from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import type { Family, Rule } from './ast.ts';
import type { Release } from './datatype.ts';
import { RuleReader } from './delinearize/rule.ts';
import type { KernelElement } from './elements.ts';
import { decodeExprs } from './expr/decode.ts';
import { encodeExprs } from './expr/encode.ts';
import type { KernelExpr } from './expr/types.ts';
import { writeElement, writeSet } from './objects.ts';
import type { SetInfo } from './set-info.ts';
import { readSet, type SetEntry } from './views.ts';

const LISTED_RULE = 1;

/** A set as a dump would show it. */
export function relistSet(set: SetInfo, elements: readonly KernelElement[]): SetEntry {
  const w = new AttrWriter();
  writeSet(w, set, []);
  const list = new AttrWriter().nest(U.NFTA_SET_ELEM_LIST_ELEMENTS, (n) => {
    for (const element of elements) writeElement(n, element);
  });
  const attr = attrMap(list.finish()).get(U.NFTA_SET_ELEM_LIST_ELEMENTS);
  return readSet(set.family, set.table, attrMap(w.finish()), () => (attr === undefined ? [] : [attr]));
}

/** Sets of one batch share their name pattern (`__set%d`): here those are called by their number. */
function named(e: KernelExpr): KernelExpr {
  return 'setId' in e && e.setId !== undefined && e.set?.includes('%d') ? { ...e, set: String(e.setId) } : e;
}

export type CompiledSet = { readonly set: SetInfo; readonly elements: readonly KernelElement[] };

/** The rule as its listing shows it. `own`: the sets it brings along; `sets`: those that were there. */
export function relistRule(
  rule: Rule,
  exprs: readonly KernelExpr[],
  own: readonly CompiledSet[],
  sets: (name: string) => SetEntry | undefined,
  release?: Release,
): Rule {
  const w = new AttrWriter();
  encodeExprs(w, LISTED_RULE, exprs.map(named));
  const attr = attrMap(w.finish()).get(LISTED_RULE);
  if (attr === undefined) return { ...rule, stmts: [] };
  const entries = new Map(
    own.map(({ set, elements }) => [set.name.includes('%d') ? String(set.id) : set.name, relistSet(set, elements)]),
  );
  const find = (name: string): SetEntry | undefined => entries.get(name) ?? sets(name);
  return { ...rule, stmts: new RuleReader(rule.family as Family, find, release).read(decodeExprs(attr)) };
}
