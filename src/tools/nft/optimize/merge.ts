/** The text of the rule that stands for several of one shape: a set, a verdict map or a map of addresses. */
import type { CounterStmt, NatStmt, Stmt } from '../ast.ts';
import { element } from '../print/expr.ts';
import { stmt } from '../print/stmt.ts';
import { type Match, printing, type Shape, textOf, unwrap } from './shape.ts';

/** `nft -o` shows words without their quotes. */
const bare = (text: string): string => text.replaceAll('"', '');

/** What became of a group of rules. */
export type Merged = {
  readonly kind: 'set' | 'vmap' | 'map';
  /** The rule, complete. */
  readonly text: string;
  /** The rule as `nft -o` shows it: without the counters of elements. */
  readonly shown: string;
};

/** The values of one rule in the order of the fields, every combination. */
function keysOf(shape: Shape, fields: readonly string[]): string[] {
  let keys: string[] = [''];
  for (const field of fields) {
    const { values } = shape.matches.find(({ key }) => key === field) as Match;
    keys = keys.flatMap((head) => values.map((value) => (head === '' ? value : `${head} . ${value}`)));
  }
  return keys;
}

const braces = (items: readonly string[]): string => `{ ${items.join(', ')} }`;

/** A counter with what it has counted so far, when it has. */
function counter(counters: readonly CounterStmt[]): string {
  const packets = counters.reduce((sum, c) => sum + c.packets, 0n);
  const bytes = counters.reduce((sum, c) => sum + c.bytes, 0n);
  return packets === 0n && bytes === 0n ? 'counter' : `counter packets ${packets} bytes ${bytes}`;
}

function restText(group: readonly Shape[], complete: boolean): string[] {
  return group[0].rest.map((s, i) =>
    s.kind === 'counter' && complete ? counter(group.map(({ rest }) => rest[i] as CounterStmt)) : stmt(s, printing),
  );
}

const verdictText = (shape: Shape): string => (shape.verdict === undefined ? '' : textOf(shape.verdict));

/** Verdicts that differ need a map, which has room for counters only. */
export function canDiffer(rest: readonly Stmt[]): boolean {
  return rest.length === 0 || (rest.length === 1 && rest[0].kind === 'counter');
}

export const sameVerdict = (a: Shape, b: Shape): boolean => verdictText(a) === verdictText(b);

const natWord: Readonly<Record<NatStmt['nat'], string>> = {
  snat: 'snat',
  dnat: 'dnat',
  masq: 'masquerade',
  redir: 'redirect',
};

const FLAGS: readonly (readonly [bit: number, word: string])[] = [
  [4, 'random'],
  [16, 'fully-random'],
  [8, 'persistent'],
];

function natMap(group: readonly Shape[], left: string, fields: readonly string[], inet: boolean): string {
  const first = group[0].nat as NatStmt;
  const items = group.flatMap((shape) => {
    const { addr, proto } = shape.nat as NatStmt;
    const target = [addr, proto].flatMap((e) => (e === undefined ? [] : [textOf(unwrap(e))])).join(' . ');
    return keysOf(shape, fields).map((key) => `${key} : ${target}`);
  });
  const family =
    first.familyWritten || (first.addr && first.proto) || inet ? (first.family === 10 ? ' ip6' : ' ip') : '';
  const to = first.addr ? `${family} to ` : ' to :';
  const flags = FLAGS.filter(([bit]) => first.flags & bit).map(([, word]) => word);
  return `${natWord[first.nat]}${to}${left} map ${braces(items)}${flags.length > 0 ? ` ${flags.join(',')}` : ''}`;
}

/** One rule for the group, its fields in the order given. */
export function mergeGroup(group: readonly Shape[], order: readonly string[]): Merged {
  const [first] = group;
  if (first.vmap !== undefined) {
    const items = group.flatMap(({ vmap }) => vmap?.elements ?? []);
    const write = (stateless: boolean): string =>
      `${textOf(first.vmap!.left)} vmap ${braces(items.map((e) => element(e, { ...printing, stateless })))}`;
    return { kind: 'vmap', text: write(false), shown: bare(write(true)) };
  }
  const fields = order.filter((key) => first.matches.some((match) => match.key === key));
  const left = fields.join(' . ');
  if (first.nat !== undefined && (first.nat.addr || first.nat.proto)) {
    const text = natMap(group, left, fields, first.rule.family === 'inet');
    // 1.0.6 leaves out the family that the table has.
    const implied = first.rule.family !== 'inet' && !first.nat.familyWritten;
    return { kind: 'map', text, shown: bare(implied ? text.replace(/^(\w+) ip6? to /, '$1 to ') : text) };
  }
  if (group.every((shape) => sameVerdict(shape, first))) {
    const op = first.matches[0].left.kind === 'binary' ? ' == ' : ' ';
    const head = `${left}${op}${braces(group.flatMap((shape) => keysOf(shape, fields)))}`;
    const tail = first.nat === undefined ? verdictText(first) : stmt(first.nat, printing);
    const write = (complete: boolean): string =>
      [complete ? head : bare(head), ...restText(group, complete), tail].filter((part) => part !== '').join(' ');
    return { kind: 'set', text: write(true), shown: write(false) };
  }
  const counted = first.rest.length > 0;
  const items = (complete: boolean): string[] =>
    group.flatMap((shape) =>
      keysOf(shape, fields).map((key, i) => {
        // What a rule has counted goes to the first of its elements.
        const own = i === 0 ? (shape.rest as CounterStmt[]) : [];
        return `${key}${counted && complete ? ` ${counter(own)}` : ''} : ${verdictText(shape)}`;
      }),
    );
  const write = (complete: boolean): string => `${left} vmap ${braces(items(complete))}`;
  return { kind: 'vmap', text: write(true), shown: bare(write(false)) };
}
