/**
 * `nft -o` (nft(8), "-o, --optimize"): neighbouring rules of a chain that compare the same fields become one rule with a
 * set, a concatenation, a verdict map or a map of addresses. It works on what the parser made; only chains written inside
 * tables are looked at, as the real tool does.
 */
import type { Chain, Command, Rule } from '../ast.ts';
import { Workspace } from '../compile.ts';
import type { Names } from '../datatype.ts';
import { parse } from '../parser/index.ts';
import { LineIndex, type Location, NftError, span } from '../source.ts';
import { canDiffer, type Merged, mergeGroup, sameVerdict } from './merge.ts';
import { isSafe, type Writes, writesOf } from './safe.ts';
import { type Shape, shapeOf } from './shape.ts';

/** Rules that became one. */
export type Merge = {
  readonly kind: Merged['kind'];
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  /** The rules as they were written. */
  readonly rules: readonly Rule[];
  /** The rule in their place. */
  readonly text: string;
  /** What `nft -o` prints of it. */
  readonly shown: string;
};

export type Optimized = { readonly commands: readonly Command[]; readonly merges: readonly Merge[] };

type Work = { readonly world: Workspace; readonly writes: Writes; readonly merges: Merge[] };

/** Fields by where a chain names them first: the order of concatenations. */
function fieldOrder(shapes: readonly (Shape | undefined)[]): string[] {
  const order = new Set<string>();
  for (const shape of shapes) for (const { key } of shape?.matches ?? []) order.add(key);
  return [...order];
}

function reread(first: Rule, text: string): Rule | undefined {
  const source = { name: '<optimized>', text: `add rule ${first.family} ${first.table} ${first.chain} ${text}` };
  const { commands, errors } = parse(source, { include: () => undefined });
  const object = commands[0]?.object;
  if (errors.length > 0 || commands.length !== 1 || object?.kind !== 'rule') return undefined;
  return { ...object, ...(first.loc && { loc: first.loc }) };
}

/** Rules that may be one: the group is cut where verdicts change and a map has no room for what else is done. */
function runs(group: readonly Shape[]): Shape[][] {
  if (group[0].nat !== undefined || group[0].vmap !== undefined || canDiffer(group[0].rest)) return [[...group]];
  const out: Shape[][] = [];
  for (const shape of group) {
    const last = out[out.length - 1];
    if (last !== undefined && sameVerdict(last[0], shape)) last.push(shape);
    else out.push([shape]);
  }
  return out;
}

/** One rule for the group, or one for each half when that is not safe. */
function mergeRun(group: readonly Shape[], order: readonly string[], work: Work): Rule[] {
  if (group.length === 1) return [group[0].rule];
  const first = group[0].rule;
  const merged = mergeGroup(group, order);
  const rule = reread(first, merged.text);
  const fields = order.filter((key) => group[0].matches.some((match) => match.key === key));
  if (rule !== undefined && isSafe(group, merged, rule, fields, work.world, work.writes)) {
    const { family, table, chain } = first;
    const { kind, text, shown } = merged;
    work.merges.push({ kind, family, table, chain, rules: group.map((shape) => shape.rule), text, shown });
    return [rule];
  }
  if (group.length === 2) return group.map((shape) => shape.rule);
  const middle = group.length >> 1;
  return [...mergeRun(group.slice(0, middle), order, work), ...mergeRun(group.slice(middle), order, work)];
}

function optimizeChain(chain: Chain, work: Work): Chain {
  const shapes = chain.rules.map(shapeOf);
  const order = fieldOrder(shapes);
  const rules: Rule[] = [];
  for (let i = 0; i < shapes.length; ) {
    const shape = shapes[i];
    let j = i + 1;
    if (shape !== undefined) while (j < shapes.length && shapes[j]?.signature === shape.signature) j++;
    if (shape === undefined || j === i + 1) rules.push(...chain.rules.slice(i, j));
    else for (const run of runs(shapes.slice(i, j) as Shape[])) rules.push(...mergeRun(run, order, work));
    i = j;
  }
  return { ...chain, rules };
}

/** Every rule that the commands bring. */
function* rulesOf(commands: readonly Command[]): Generator<Rule> {
  for (const { object } of commands) {
    if (object.kind === 'table') for (const chain of object.chains) yield* chain.rules;
    else if (object.kind === 'chain') yield* object.rules;
    else if (object.kind === 'rule') yield object;
  }
}

/** Tells the workspace which sets and objects there are; what is wrong with them is said when the script is run. */
function declare(commands: readonly Command[], world: Workspace): void {
  const tell = (command: Command): void => {
    try {
      world.command(command);
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
    }
  };
  for (const command of commands) {
    const { object } = command;
    if (command.op !== 'add' && command.op !== 'create') continue;
    if (object.kind === 'setdecl' || object.kind === 'object') tell(command);
    else if (object.kind === 'table')
      for (const part of [...object.sets, ...object.objects]) tell({ kind: 'command', op: 'add', object: part });
  }
}

/** Interfaces by name where none are known: every name its own number. */
function anyNames(): Names {
  const known = new Map<string, number>([['lo', 1]]);
  return {
    ifIndex: (name) => {
      const index = known.get(name) ?? 0x4000_0000 + known.size;
      known.set(name, index);
      return index;
    },
  };
}

/** Merges rules of commands that have been read. */
export function optimizeCommands(commands: readonly Command[], names: Names = anyNames()): Optimized {
  const work: Work = { world: new Workspace(names), writes: writesOf(rulesOf(commands)), merges: [] };
  declare(commands, work.world);
  const out = commands.map((command): Command => {
    const { object, op } = command;
    if (object.kind !== 'table' || (op !== 'add' && op !== 'create')) return command;
    return { ...command, object: { ...object, chains: object.chains.map((chain) => optimizeChain(chain, work)) } };
  });
  return { commands: out, merges: work.merges };
}

/** From the first to the last statement: a comment is not part of it. */
function ruleSpan(rule: Rule): Location | undefined {
  const { stmts } = rule;
  return span(stmts[0].loc, stmts[stmts.length - 1].loc) ?? rule.loc;
}

/** The report of `nft -c -o`: which rules became which. */
export function formatMerges(merges: readonly Merge[]): string {
  const lines = new LineIndex();
  let out = '';
  for (const { rules, shown } of merges) {
    out += 'Merging:\n';
    for (const rule of rules) {
      const loc = ruleSpan(rule);
      if (loc === undefined) continue;
      const { source, start, end } = loc;
      const from = source.text.lastIndexOf('\n', start - 1) + 1;
      let to = source.text.indexOf('\n', start);
      if (to < 0) to = source.text.length;
      out += `${source.name}:${lines.line(source, start)}:${start - from + 1}-${end - from}: ${source.text.slice(from, to)}\n`;
    }
    out += `into:\n\t${shown}\n`;
  }
  return out;
}

export type OptimizeOptions = {
  /** How places call the script. */
  readonly file?: string;
  /** Interfaces and users, where they are known. */
  readonly names?: Names;
};

export type OptimizeResult = { readonly text: string; readonly merges: readonly Merge[]; readonly report: string };

/** The end of the line that an offset is in, when nothing but space and a comment comes before it. */
function lineAround(text: string, start: number, end: number): { from: number; to: number } {
  const from = text.lastIndexOf('\n', start - 1) + 1;
  const newline = text.indexOf('\n', end);
  const to = newline < 0 ? text.length : newline + 1;
  const alone = text.slice(from, start).trim() === '' && text.slice(end, to).trim() === '';
  if (alone) return { from, to };
  // `rule; rule` on one line: the separator goes with it.
  const separator = /^[ \t]*;[ \t]*/.exec(text.slice(end));
  return { from: start, to: end + (separator?.[0].length ?? 0) };
}

/**
 * A script with its rules merged. Everything else of the text stays as it is, comments included. Throws NftError when the
 * script does not parse; files that it includes cannot be read here.
 */
export function optimize(text: string, options: OptimizeOptions = {}): OptimizeResult {
  const source = { name: options.file ?? '/dev/stdin', text };
  const { commands, errors } = parse(source, { include: () => undefined });
  if (errors.length > 0) throw errors[0];
  const { merges } = optimizeCommands(commands, options.names);
  const edits: { from: number; to: number; put: string }[] = [];
  for (const merge of merges) {
    merge.rules.forEach((rule, i) => {
      const { start, end } = rule.loc as Location;
      if (i === 0) edits.push({ from: start, to: end, put: merge.text });
      else edits.push({ ...lineAround(text, start, end), put: '' });
    });
  }
  edits.sort((a, b) => a.from - b.from);
  let out = '';
  let at = 0;
  for (const { from, to, put } of edits) {
    out += text.slice(at, from) + put;
    at = to;
  }
  return { text: out + text.slice(at), merges, report: formatMerges(merges) };
}
