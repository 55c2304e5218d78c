/**
 * Whether a merged rule means what its parts mean. It is evaluated as any rule is: what does not evaluate is not merged.
 * Members of maps, and of sets whose rules go on afterwards, must not overlap: the first rule would have won, or both
 * would have matched.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Command, Expr, Rule, Stmt, VerdictExpr } from '../ast.ts';
import type { Workspace } from '../compile.ts';
import * as dt from '../datatype.ts';
import { bounds } from '../eval/value.ts';
import { NftError } from '../source.ts';
import type { Merged } from './merge.ts';
import { type Shape, unwrap } from './shape.ts';

const LASTING: ReadonlySet<string> = new Set(['accept', 'drop', 'goto', 'return']);

/** Packets go on with the next rule, at once or after a chain returns. */
function goesOn(verdict: Expr | undefined): boolean {
  return verdict?.kind !== 'verdict' || !LASTING.has((verdict as VerdictExpr).verdict);
}

/** What the statements of a script write to. */
export type Writes = { readonly meta: Set<number>; ct: boolean; packet: boolean };

function noteWrites(s: Stmt, writes: Writes): void {
  if (s.kind === 'metaset') writes.meta.add(s.key);
  else if (s.kind === 'ctset' || s.kind === 'notrack' || s.kind === 'nat' || s.kind === 'objref') writes.ct = true;
  if (s.kind === 'payloadset' || s.kind === 'exthdrset' || s.kind === 'optstrip' || s.kind === 'nat')
    writes.packet = true;
}

/** Collects what any rule of the commands may change in a packet on its way. */
export function writesOf(rules: Iterable<Rule>): Writes {
  const writes: Writes = { meta: new Set(), ct: false, packet: false };
  for (const rule of rules) for (const s of rule.stmts) noteWrites(s, writes);
  return writes;
}

function isWritten(e: Expr, writes: Writes): boolean {
  switch (e.kind) {
    case 'meta':
      return writes.meta.has(e.key);
    case 'ct':
      return writes.ct;
    case 'payload':
    case 'exthdr':
      return writes.packet;
    case 'binary':
      return isWritten(e.left, writes);
    case 'fib':
      return writes.packet || writes.meta.has(U.NFT_META_MARK);
    default:
      return writes.packet;
  }
}

type Box = readonly { readonly low: bigint; readonly high: bigint }[];

const boxOf = (key: Expr): Box => (key.kind === 'concat' ? key.parts : [key]).map((part) => bounds(part));

/** How many keys that share their first field are compared pair by pair. */
const MAX_PAIRS = 1_000_000;

function overlap(keys: readonly Expr[]): boolean {
  const boxes = keys.map(boxOf);
  if (boxes.every((box) => box.every(({ low, high }) => low === high))) {
    const seen = new Set(boxes.map((box) => box.map(({ low }) => low).join(' ')));
    return seen.size < boxes.length;
  }
  boxes.sort((a, b) => (a[0].low < b[0].low ? -1 : a[0].low > b[0].low ? 1 : 0));
  let pairs = 0;
  for (let i = 0; i < boxes.length; i++)
    for (let j = i + 1; j < boxes.length && boxes[j][0].low <= boxes[i][0].high; j++) {
      if (++pairs > MAX_PAIRS) return true;
      if (boxes[i].every((side, at) => side.low <= boxes[j][at].high && boxes[j][at].low <= side.high)) return true;
    }
  return false;
}

/** Names a protocol: what the rest of the rule may mean by it changes when there are several. */
function isProtocol(e: Expr): boolean {
  if (e.kind === 'meta')
    return e.key === U.NFT_META_L4PROTO || e.key === U.NFT_META_NFPROTO || e.key === U.NFT_META_PROTOCOL;
  return e.kind === 'payload' && /(protocol|nexthdr|type)$/.test(e.proto?.fields[e.field ?? 0].name ?? '');
}

const isFlags = (type: dt.Datatype | undefined): boolean => type !== undefined && dt.isA(type, dt.bitmaskType);

/** True when packets meet the same fate with the merged rule in place of its parts. */
export function isSafe(
  group: readonly Shape[],
  merged: Merged,
  rule: Rule,
  order: readonly string[],
  world: Workspace,
  writes: Writes,
): boolean {
  const [first] = group;
  const fields = first.vmap === undefined ? first.matches.map(({ left }) => left) : [first.vmap.left];
  if (first.rest.some((s) => s.kind === 'reject') && fields.some(isProtocol)) return false;
  const on =
    first.vmap !== undefined
      ? group.some(({ vmap }) => vmap?.elements.some(({ data }) => goesOn(data && unwrap(data))))
      : first.nat === undefined &&
        !first.rest.some((s) => s.kind === 'reject') &&
        group.some(({ verdict }) => goesOn(verdict));
  if (on && fields.some((e) => isWritten(e, writes))) return false;
  try {
    const command: Command = { kind: 'command', op: 'add', object: rule };
    const set = world.command(command)?.sets[0]?.set;
    if (set?.elements === undefined) return false;
    const keys = set.elements.elements.map(({ key }) => key);
    const parts = set.key.kind === 'concat' ? set.key.parts : [set.key];
    for (const { left, key } of first.matches) {
      if (!isFlags(parts[order.indexOf(key)]?.type)) continue;
      const oneHot = left.kind === 'ct' && left.key === U.NFT_CT_STATE;
      if (!oneHot && !group.every(({ matches }) => matches.find((m) => m.key === key)?.exact)) return false;
    }
    const intervals = keys.some((key) => key.kind === 'concat' && boxOf(key).some(({ low, high }) => low !== high));
    if (merged.kind === 'set' && !on && !intervals) return true;
    return !overlap(keys);
  } catch (error) {
    if (error instanceof NftError || error instanceof RangeError) return false;
    throw error;
  }
}
