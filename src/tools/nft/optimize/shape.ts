/**
 * What a rule looks like to `nft -o` (nft(8), "-o, --optimize"): the fields it compares, the values it wants, what it does.
 * Rules that have no such shape stay as they are: negations, named sets, state that is counted per rule (limits, quotas),
 * statements in front of a comparison.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, NatStmt, Rule, Stmt, VerdictExpr } from '../ast.ts';
import { expr, type PrintContext } from '../print/expr.ts';
import { stmt } from '../print/stmt.ts';

/** One field that is compared with constants. */
export type Match = {
  readonly key: string;
  readonly left: Expr;
  /** Written with `==`: an exact comparison also for flags. */
  readonly exact: boolean;
  readonly values: readonly string[];
};

export type Shape = {
  readonly rule: Rule;
  readonly matches: readonly Match[];
  /** Statements between the comparisons and the verdict; a counter is the word alone. */
  readonly rest: readonly Stmt[];
  readonly verdict?: VerdictExpr;
  readonly nat?: NatStmt;
  /** `KEY vmap { ... }` and nothing else. */
  readonly vmap?: { readonly left: Expr; readonly elements: readonly ElementExpr[] };
  /** Rules with the same signature can become one. */
  readonly signature: string;
};

export const printing: PrintContext = { stateless: true, stmt };

export const textOf = (e: Expr): string => expr(e, printing);

export function unwrap(e: Expr): Expr {
  let at = e;
  while (at.kind === 'variable') at = at.value;
  return at;
}

/** Fields that give the same answer whenever they are asked within a rule. */
function isField(e: Expr): boolean {
  switch (e.kind) {
    case 'payload':
      return e.tunnel === undefined;
    case 'exthdr':
      return !e.present && e.field !== undefined;
    case 'meta':
      return e.tunnel === undefined && e.key !== U.NFT_META_PRANDOM;
    case 'ct':
    case 'rt':
    case 'socket':
    case 'fib':
      return true;
    case 'binary':
      return isField(e.left);
    default:
      return false;
  }
}

/** The constants that a field is compared with, as text; undefined when they are of another kind. */
function valuesOf(left: Expr, written: Expr, exact: boolean): string[] | undefined {
  const e = unwrap(written);
  switch (e.kind) {
    case 'symbol':
    case 'value':
      return [textOf(e)];
    case 'range':
    case 'prefix':
      return [textOf(e)];
    case 'list':
      // One packet has one state: a list of states is a set of them. Other flags may be set together.
      if (exact || left.kind !== 'ct' || left.key !== U.NFT_CT_STATE) return undefined;
      return flat(e.items.map((item) => valuesOf(left, item, exact)));
    case 'set':
      return flat(e.elements.map((element) => (isPlain(element) ? valuesOf(left, element.key, true) : undefined)));
    default:
      return undefined;
  }
}

function flat(lists: readonly (string[] | undefined)[]): string[] | undefined {
  const out: string[] = [];
  for (const list of lists) {
    if (list === undefined) return undefined;
    out.push(...list);
  }
  return out;
}

const isPlain = (e: ElementExpr): boolean =>
  e.data === undefined && e.timeout === undefined && e.comment === undefined && !e.stmts?.length;

function matchOf(s: Stmt): Match | undefined {
  if (s.kind !== 'expr' || s.expr.kind !== 'relational') return undefined;
  const { op, left, right } = s.expr;
  if ((op !== 'implicit' && op !== '==') || !isField(left)) return undefined;
  const exact = op === '==';
  if (left.kind === 'binary' && !exact) return undefined;
  // A set is compared exactly, whatever the field is.
  const values = valuesOf(left, right, exact);
  if (values === undefined) return undefined;
  return { key: textOf(left), left, exact: exact || unwrap(right).kind === 'set', values };
}

/** Statements that do the same for one rule as for the rules it stands for. */
function isMergeable(s: Stmt): boolean {
  if (s.kind === 'log') return s.group !== undefined || (s.snaplen === undefined && s.qthreshold === undefined);
  return s.kind === 'counter' || s.kind === 'notrack' || s.kind === 'reject';
}

const CONSTANT_TARGETS: ReadonlySet<string> = new Set(['symbol', 'value']);

function isNatTarget(s: NatStmt): boolean {
  return [s.addr, s.proto].every((e) => e === undefined || CONSTANT_TARGETS.has(unwrap(e).kind));
}

/** Which parts a nat statement has; statements that differ in it cannot share a map. */
const natForm = (s: NatStmt): string =>
  [
    s.nat,
    s.family ?? '',
    s.familyWritten ?? false,
    s.flags,
    s.typeFlags,
    s.addr ? 'addr' : '',
    s.proto ? 'proto' : '',
  ].join(' ');

/** The shape of a rule; undefined when it must stay as it is. */
export function shapeOf(rule: Rule): Shape | undefined {
  if (rule.handle !== undefined) return undefined;
  const matches: Match[] = [];
  let at = 0;
  for (; at < rule.stmts.length; at++) {
    const match = matchOf(rule.stmts[at]);
    if (match === undefined) break;
    if (matches.some(({ key }) => key === match.key)) return undefined;
    matches.push(match);
  }
  const rest: Stmt[] = [];
  for (; at < rule.stmts.length && isMergeable(rule.stmts[at]); at++) rest.push(rule.stmts[at]);
  const last = rule.stmts.length - 1;
  if (at < last) return undefined;
  const end = at === last ? rule.stmts[at] : undefined;
  const keys = matches.map(({ key }) => key).sort();
  const does = rest.map((s) => stmt(s, printing));
  if (end === undefined || (end.kind === 'verdict' && end.expr.kind === 'verdict')) {
    if (matches.length === 0) return undefined;
    const verdict = end?.kind === 'verdict' && end.expr.kind === 'verdict' ? end.expr : undefined;
    const signature = JSON.stringify(['match', keys, does, verdict !== undefined]);
    return { rule, matches, rest, ...(verdict && { verdict }), signature };
  }
  if (end.kind === 'verdict' && end.expr.kind === 'map' && matches.length === 0 && rest.length === 0) {
    const { key, mappings } = end.expr;
    const set = unwrap(mappings);
    if (set.kind !== 'set' || !isField(key) || set.elements.some((e) => e.key.kind === 'catchall')) return undefined;
    const signature = JSON.stringify(['vmap', textOf(key)]);
    return { rule, matches, rest, vmap: { left: key, elements: set.elements }, signature };
  }
  if (end.kind === 'nat' && matches.length > 0 && rest.length === 0 && isNatTarget(end))
    return { rule, matches, rest, nat: end, signature: JSON.stringify(['nat', keys, natForm(end)]) };
  return undefined;
}
