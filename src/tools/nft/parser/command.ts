/** Commands: what to do with which object (nft(8), "RULESET", "TABLES", "CHAINS", ...). */
import type { Command, CommandName, Elements, Family, Handle, Target } from '../ast.ts';
import type { Parser } from './core.ts';
import { concatExpr, rhsExpr } from './expression.ts';
import type { Token } from './lexer.ts';
import {
  chainBlock,
  flowtableBlock,
  objectSpec,
  objectType,
  rule,
  setBlock,
  tableBlock,
  takeObjectType,
} from './object.ts';

const VERBS: ReadonlySet<string> = new Set([
  'add',
  'create',
  'insert',
  'replace',
  'delete',
  'destroy',
  'get',
  'list',
  'reset',
  'flush',
  'rename',
  'describe',
  'monitor',
  'import',
  'export',
]);

type Verb = CommandName;

/** `handle N`, `index N`, `position N` */
function rulePlace(p: Parser): Handle | undefined {
  if (p.is('handle') && p.peek(1).kind === 'number') {
    p.next();
    return { id: p.bigNumber() };
  }
  if (p.is('index') && p.peek(1).kind === 'number') {
    p.next();
    return { index: p.number() };
  }
  if (p.is('position') && p.peek(1).kind === 'number') {
    p.next();
    return { position: p.bigNumber() };
  }
  return undefined;
}

function addRule(p: Parser, op: Verb, first: Token): Command {
  const family = p.familyOr('ip');
  const table = p.identifier();
  const chain = p.identifier();
  const handle = rulePlace(p);
  const made = rule(p, { family, table }, chain, first);
  return { kind: 'command', op, object: { ...made, ...(handle && { handle }) }, loc: p.since(first) };
}

function elements(p: Parser, family: Family, table: string, first: Token): Elements {
  const set = p.identifier();
  const value = rhsExpr(p);
  return { kind: 'elements', family, table, set, elements: value, loc: p.since(first) };
}

/** add, create, insert, replace. */
function addCommand(p: Parser, op: Verb, first: Token): Command {
  const done = (object: Command['object']): Command => ({ kind: 'command', op, object, loc: p.since(first) });
  const type = objectType(p);
  if (type !== undefined) {
    takeObjectType(p, type);
    const family = p.familyOr('ip');
    const table = p.identifier();
    const name = p.identifier();
    return done({ kind: 'object', family, table, name, ...objectSpec(p, type), loc: p.since(first) });
  }
  switch (p.peek().text) {
    case 'table': {
      p.next();
      const family = p.familyOr('ip');
      const name = p.identifier();
      if (p.is('{')) return done(tableBlock(p, family, name, first));
      return done({
        kind: 'table',
        family,
        name,
        flags: 0,
        chains: [],
        sets: [],
        objects: [],
        flowtables: [],
        loc: p.since(first),
      });
    }
    case 'chain': {
      p.next();
      const family = p.familyOr('ip');
      const table = p.identifier();
      const name = p.identifier();
      if (p.is('{')) return done(chainBlock(p, { family, table }, name, first));
      return done({ kind: 'chain', family, table, name, flags: 0, rules: [], loc: p.since(first) });
    }
    case 'set':
    case 'map': {
      const isMap = p.next().text === 'map';
      const family = p.familyOr('ip');
      const table = p.identifier();
      return done(setBlock(p, { family, table }, p.identifier(), isMap, first));
    }
    case 'flowtable': {
      p.next();
      const family = p.familyOr('ip');
      const table = p.identifier();
      return done(flowtableBlock(p, { family, table }, p.identifier(), first));
    }
    case 'element': {
      p.next();
      const family = p.familyOr('ip');
      return done(elements(p, family, p.identifier(), first));
    }
    case 'rule':
      p.next();
      return addRule(p, op, first);
    default:
      if (p.peek().kind !== 'word') p.unexpected();
      return addRule(p, op, first);
  }
}

const PLURALS: ReadonlySet<string> = new Set([
  'tables',
  'chains',
  'rules',
  'sets',
  'maps',
  'meters',
  'counters',
  'quotas',
  'limits',
  'secmarks',
  'synproxys',
  'flowtables',
  'hooks',
]);

/** Commands that name things: delete, list, flush, reset, get, rename. */
function targetCommand(p: Parser, op: Verb, first: Token): Command {
  const token = p.next();
  let what = token.text;
  if (token.kind !== 'word') p.unexpected(undefined, token);
  if (what === 'ct' || what === 'flow') what = `${what} ${p.next().text}`;
  const target = (rest: Partial<Target>): Command => ({
    kind: 'command',
    op,
    object: { kind: 'target', what, ...rest, loc: p.since(first) },
    loc: p.since(first),
  });
  const isFamily = (): boolean => p.peek().text !== p.peek().text.toUpperCase() && p.peek().kind === 'word';
  if (what === 'ruleset' || PLURALS.has(what) || /^ct .*s$/.test(what)) {
    const before = p.peek();
    const family = isFamily() ? p.familyOr('ip') : undefined;
    const written = family !== undefined && p.peek() !== before ? family : undefined;
    if (p.accept('table')) {
      const tableFamily = p.familyOr('ip');
      return target({ family: tableFamily, table: p.identifier() });
    }
    if (!p.atEnd() && p.peek().kind === 'word') return target({ family: written ?? 'ip', table: p.identifier() });
    return target(written === undefined ? {} : { family: written });
  }
  const family = p.familyOr('ip');
  if (p.is('handle') && p.peek(1).kind === 'number' && what === 'table') {
    p.next();
    return target({ family, handle: { id: p.bigNumber() } });
  }
  const table = p.identifier();
  if (what === 'table') {
    if (p.is('{')) tableBlock(p, family, table, first);
    return target({ family, table });
  }
  if (p.is('handle') && p.peek(1).kind === 'number') {
    p.next();
    return target({ family, table, handle: { id: p.bigNumber() } });
  }
  if (what === 'element') {
    const object = elements(p, family, table, first);
    return { kind: 'command', op, object, loc: p.since(first) };
  }
  const name = p.identifier();
  if (op === 'rename') {
    const newName = p.identifier();
    return { ...target({ family, table, name }), newName };
  }
  if (what === 'rule') {
    const handle = rulePlace(p);
    if (handle === undefined && op !== 'list') p.unexpected(op === 'delete' || op === 'destroy' ? 'handle' : undefined);
    return target({ family, table, name, ...(handle && { handle }) });
  }
  // `delete set ip t s { ... }` and the like carry a body that says nothing new.
  if (p.is('{') && (what === 'chain' || what === 'flowtable')) {
    if (what === 'chain') chainBlock(p, { family, table }, name, first);
    else flowtableBlock(p, { family, table }, name, first);
  }
  const rest: string[] = [];
  while (op === 'delete' && !p.atEnd() && objectTypeWord(what)) rest.push(p.next().text);
  return target({ family, table, name });
}

const objectTypeWord = (what: string): boolean =>
  ['counter', 'quota', 'limit', 'ct helper', 'ct timeout', 'ct expectation', 'secmark', 'synproxy'].includes(what);

/** Reads one command, its separator not included. */
export function command(p: Parser): Command {
  const first = p.peek();
  if (first.kind !== 'word') p.unexpected();
  if (!VERBS.has(first.text)) return addCommand(p, 'add', first);
  p.next();
  const op = first.text as Verb;
  switch (op) {
    case 'add':
    case 'create':
    case 'insert':
      return addCommand(p, op, first);
    case 'replace': {
      p.accept('rule');
      const made = addRule(p, op, first);
      if (made.object.kind === 'rule' && made.object.handle?.id === undefined) p.unexpected('handle');
      return made;
    }
    case 'describe': {
      const expr = concatExpr(p, 'any');
      return { kind: 'command', op, object: { kind: 'target', what: 'describe' }, expr, loc: p.since(first) };
    }
    case 'monitor':
    case 'import':
    case 'export':
      return p.fail(first, `netloom does not support nft ${op}`);
    default:
      return targetCommand(p, op, first);
  }
}
