/** Tables, chains, sets, maps, flowtables and stateful objects: their blocks and their one-line forms. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Chain, Expr, Family, Flowtable, ObjectDecl, ObjectSpec, Rule, SetDecl, Stmt, Table } from '../ast.ts';
import type { Parser } from './core.ts';
import { basicExpr, concatExpr, initializer, rhsExpr, timeSpec } from './expression.ts';
import type { Token } from './lexer.ts';
import { limitArgs, quotaArgs, synproxyArgs } from './units.ts';

type Place = { readonly family: Family; readonly table: string };
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export const OBJECT_TYPES: Readonly<Record<string, number>> = {
  counter: uapi.NFT_OBJECT_COUNTER,
  quota: uapi.NFT_OBJECT_QUOTA,
  limit: uapi.NFT_OBJECT_LIMIT,
  secmark: uapi.NFT_OBJECT_SECMARK,
  synproxy: uapi.NFT_OBJECT_SYNPROXY,
  'ct helper': uapi.NFT_OBJECT_CT_HELPER,
  'ct timeout': uapi.NFT_OBJECT_CT_TIMEOUT,
  'ct expectation': uapi.NFT_OBJECT_CT_EXPECT,
};

/** `define`, `redefine`, `undefine`, `include`: may stand between anything. True when one was read. */
export function common(p: Parser): boolean {
  const first = p.peek();
  if (first.kind !== 'word') return false;
  if (first.text === 'include' && (p.peek(1).kind === 'quoted' || p.peek(1).kind === 'word')) {
    p.next();
    const path = p.next();
    const loc = p.since(first);
    const sources = p.io.include(path.text);
    if (sources === undefined) p.fail(loc, `File not found: ${path.text}`);
    p.separator();
    // The last one pushed is read first.
    for (const source of [...sources!].reverse()) p.lexer.push({ ...source, includedAt: loc }, loc);
    return true;
  }
  if ((first.text === 'define' || first.text === 'redefine') && p.peek(1).kind === 'word') {
    p.next();
    const name = p.next();
    p.expect('=');
    const value = initializer(p);
    if (first.text === 'define' && p.scope.symbols.has(name.text))
      p.fail(name, `redefinition of symbol '${name.text}'`);
    p.scope.symbols.set(name.text, value);
    p.separator();
    return true;
  }
  if (first.text === 'undefine' && p.peek(1).kind === 'word') {
    p.next();
    const name = p.next();
    if (!p.scope.symbols.delete(name.text)) p.fail(name, `undefined symbol '${name.text}'`);
    p.separator();
    return true;
  }
  return false;
}

/** Runs `line` for every entry of a block whose `{` comes next. */
function block(p: Parser, line: () => void): void {
  p.expect('{');
  p.openScope();
  for (;;) {
    p.skipNewlines();
    if (p.accept(';')) continue;
    if (p.is('}')) break;
    if (p.peek().kind === 'eof') p.unexpected();
    if (!common(p)) line();
  }
  p.next();
  p.closeScope();
}

/** The statements of one rule, up to the end of the line. */
export function rule(p: Parser, place: Place, chain: string, first: Token): Rule {
  const stmts: Stmt[] = [];
  let comment: string | undefined;
  while (!p.atEnd()) {
    if (p.is('comment')) {
      p.next();
      const token = p.peek();
      comment = p.string();
      if (comment.length > 128) p.fail(token, 'comment too long, 128 characters maximum allowed');
      break;
    }
    stmts.push(p.statement(p));
  }
  if (stmts.length === 0) p.unexpected();
  return { kind: 'rule', ...place, chain, stmts, ...(comment !== undefined && { comment }), loc: p.since(first) };
}

/** `filter + 10`, `-5`, `$prio` */
export function priority(p: Parser): Expr {
  const negative = p.is('-') ? p.next() : undefined;
  let expr: Expr;
  if (negative !== undefined) {
    const token = p.peek();
    p.number();
    expr = { kind: 'symbol', text: `-${token.text}`, loc: p.since(negative) };
  } else if (p.is('$')) expr = p.variable();
  else {
    const token = p.peek();
    if (token.kind !== 'number' && token.kind !== 'word' && token.kind !== 'quoted') p.unexpected();
    p.next();
    // `filter-10` lexes as one word.
    expr = { kind: 'symbol', text: token.text, loc: p.loc(token) };
  }
  if (!p.is('+') && !p.is('-')) return expr;
  const sign = p.next().text;
  const number = p.number();
  return {
    kind: 'binary',
    op: '|',
    left: expr,
    right: { kind: 'symbol', text: `${sign === '-' ? '-' : ''}${number}` },
    loc: expr.loc!,
  };
}

function devices(p: Parser): Expr[] {
  p.expect('=');
  if (p.is('$')) return [p.variable()];
  p.expect('{');
  const out: Expr[] = [];
  p.skipNewlines();
  while (!p.is('}')) {
    out.push(p.is('$') ? p.variable() : basicExpr(p, 'rhs'));
    p.skipNewlines();
    if (!p.is('}')) p.expect(',');
    p.skipNewlines();
  }
  p.next();
  return out;
}

/** `type T hook H [device D] priority P; [policy X;]` */
function hookSpec(p: Parser): NonNullable<Chain['base']> {
  p.expect('type');
  const type = p.next().text;
  p.expect('hook');
  const hook = p.string();
  let devs: Expr[] = [];
  if (p.accept('device')) devs = [p.is('$') ? p.variable() : basicExpr(p, 'rhs')];
  else if (p.accept('devices')) devs = devices(p);
  p.expect('priority');
  return { type, hook, priority: priority(p), devices: devs };
}

export function chainBlock(p: Parser, place: Place, name: string, first: Token): Chain {
  const rules: Rule[] = [];
  let base: Mutable<NonNullable<Chain['base']>> | undefined;
  let policy: Expr | undefined;
  let devs: Expr[] | undefined;
  let flags = 0;
  let comment: string | undefined;
  block(p, () => {
    const token = p.peek();
    if (p.is('type') && p.is('hook', 2)) base = hookSpec(p);
    else if (p.is('policy')) {
      p.next();
      const word = p.peek();
      policy = p.is('$') ? p.variable() : { kind: 'symbol', text: p.next().text, loc: p.loc(word) };
    } else if (p.is('flags') && p.is('offload', 1)) {
      p.next();
      p.next();
      flags |= uapi.NFT_CHAIN_HW_OFFLOAD;
    } else if (p.is('devices')) {
      p.next();
      devs = devices(p);
    } else if (p.is('comment') && (p.peek(1).kind === 'quoted' || p.peek(1).kind === 'word')) {
      p.next();
      comment = p.string();
    } else rules.push(rule(p, place, name, token));
    p.separator();
  });
  return {
    kind: 'chain',
    ...place,
    name,
    ...(base && { base: { ...base, ...(policy && { policy }), ...(devs && { devices: devs }) } }),
    ...(base === undefined && policy && { strayPolicy: policy }),
    flags,
    ...(comment !== undefined && { comment }),
    rules,
    loc: p.since(first),
  };
}

function dataTypes(p: Parser): Expr {
  const first = p.peek();
  const parts: Expr[] = [];
  do {
    const token = p.peek();
    if (token.kind !== 'word') p.unexpected('string');
    p.next();
    parts.push({ kind: 'symbol', text: token.text, loc: p.loc(token) });
  } while (p.accept('.'));
  return parts.length === 1 ? parts[0] : { kind: 'concat', parts, loc: p.since(first) };
}

const SET_FLAGS: Readonly<Record<string, number>> = {
  constant: uapi.NFT_SET_CONSTANT,
  interval: uapi.NFT_SET_INTERVAL,
  timeout: uapi.NFT_SET_TIMEOUT,
  dynamic: uapi.NFT_SET_EVAL,
};

/** The data part of a map's type: an object type or data types. */
function mapData(p: Parser, out: Mutable<SetDecl>): void {
  const word = p.is('ct') ? `ct ${p.peek(1).text}` : p.peek().text;
  const object = OBJECT_TYPES[word];
  if (object !== undefined && p.peek().kind === 'word') {
    p.next();
    if (word.startsWith('ct ')) p.next();
    out.objType = object;
    return;
  }
  if (p.accept('interval')) out.dataInterval = true;
  out.data = dataTypes(p);
}

export function setBlock(p: Parser, place: Place, name: string, isMap: boolean, first: Token): SetDecl {
  const stmts: Stmt[] = [];
  const out: Mutable<SetDecl> = { kind: 'setdecl', ...place, name, flags: 0, isMap, stmts };
  block(p, () => {
    const token = p.peek();
    if (p.accept('type')) {
      out.key = dataTypes(p);
      if (isMap) {
        p.expect(':');
        mapData(p, out);
      }
    } else if (p.accept('typeof')) {
      out.key = concatExpr(p, 'any');
      out.keyTypeof = true;
      if (isMap) {
        p.expect(':');
        const word = p.peek().text;
        if (p.accept('interval')) out.dataInterval = true;
        if (
          OBJECT_TYPES[word] !== undefined ||
          (word === 'ct' && OBJECT_TYPES[`ct ${p.peek(1).text}`] !== undefined && !p.is('helper', 1))
        )
          mapData(p, out);
        else if (p.is('verdict')) out.data = dataTypes(p);
        else out.data = concatExpr(p, 'any');
      }
    } else if (p.accept('flags')) {
      do {
        const flag = SET_FLAGS[p.peek().text];
        if (flag === undefined) p.unexpected();
        p.next();
        out.flags |= flag;
      } while (p.accept(','));
    } else if (p.accept('timeout')) {
      out.timeout = timeSpec(p);
      out.flags |= uapi.NFT_SET_TIMEOUT;
    } else if (p.accept('gc-interval')) out.gcInterval = timeSpec(p);
    else if (p.accept('size')) out.size = p.number();
    else if (p.accept('policy')) {
      const word = p.next();
      if (word.text !== 'performance' && word.text !== 'memory') p.unexpected(undefined, word);
      out.policy = word.text === 'performance' ? uapi.NFT_SET_POL_PERFORMANCE : uapi.NFT_SET_POL_MEMORY;
    } else if (p.accept('auto-merge')) out.autoMerge = true;
    else if (p.accept('comment')) out.comment = p.string();
    else if (p.accept('elements')) {
      p.expect('=');
      out.elements = p.is('{') || p.is('$') ? rhsExpr(p) : p.unexpected();
    } else if (['counter', 'quota', 'limit', 'last', 'ct'].includes(token.text)) {
      while (!p.atEnd()) stmts.push(p.statement(p));
    } else p.unexpected();
    p.separator();
  });
  out.loc = p.since(first);
  return out;
}

export function flowtableBlock(p: Parser, place: Place, name: string, first: Token): Flowtable {
  const out: Mutable<Flowtable> = { kind: 'flowtable', ...place, name, devices: [], flags: 0 };
  block(p, () => {
    if (p.accept('hook')) {
      out.hook = p.string();
      p.expect('priority');
      out.priority = priority(p);
    } else if (p.accept('devices')) out.devices = devices(p);
    else if (p.accept('counter')) out.flags |= uapi.NFT_FLOWTABLE_COUNTER;
    else if (p.accept('flags')) {
      p.expect('offload');
      out.flags |= uapi.NFT_FLOWTABLE_HW_OFFLOAD;
    } else p.unexpected();
    p.separator();
  });
  out.loc = p.since(first);
  return out;
}

const L4: Readonly<Record<string, number>> = { tcp: 6, udp: 17 };
const L3: Readonly<Record<string, number>> = { ip: 2, ip6: 10, inet: 1 };

function l4proto(p: Parser): number {
  const value = L4[p.peek().text];
  if (value === undefined) p.unexpected();
  p.next();
  return value;
}

/** The configuration of an object: in a block, or in a line. */
export function objectSpec(p: Parser, type: string): { spec: ObjectSpec; comment?: string } {
  let comment: string | undefined;
  const inBlock = p.is('{');
  const body = (line: () => void): void => {
    const each = (): void => {
      if (p.is('comment')) {
        const token = p.next();
        const again = comment !== undefined;
        comment = p.string();
        if (again) p.fail(p.since(token), 'You can only specify this once. This statement is duplicated.');
      } else line();
      if (inBlock) {
        const token = p.peek();
        if (token.kind === 'newline' || p.is(';')) p.separator();
      }
    };
    if (inBlock) block(p, each);
    else while (!p.atEnd()) each();
  };
  const finish = (spec: ObjectSpec): { spec: ObjectSpec; comment?: string } => ({
    spec,
    ...(comment !== undefined && { comment }),
  });
  switch (type) {
    case 'counter': {
      let packets = 0n;
      let bytes = 0n;
      body(() => {
        p.expect('packets');
        packets = p.bigNumber();
        p.expect('bytes');
        bytes = p.bigNumber();
      });
      return finish({ type, packets, bytes });
    }
    case 'quota': {
      let args = { bytes: 0n, used: 0n, over: false };
      body(() => {
        args = quotaArgs(p);
      });
      return finish({ type, ...args });
    }
    case 'limit': {
      let limit: ReturnType<typeof limitArgs> | undefined;
      body(() => {
        limit = limitArgs(p);
      });
      if (limit === undefined) p.unexpected();
      return finish({ type, limit: limit! });
    }
    case 'secmark': {
      let context = '';
      body(() => {
        context = p.string();
      });
      return finish({ type, context });
    }
    case 'synproxy': {
      let args = { mss: 0, wscale: 0, flags: 0 };
      body(() => {
        const more = synproxyArgs(p);
        if (more.flags === 0) p.unexpected();
        args = { mss: args.mss || more.mss, wscale: args.wscale || more.wscale, flags: args.flags | more.flags };
      });
      return finish({ type, ...args });
    }
    case 'ct helper': {
      let helper = '';
      let l4 = 0;
      let l3: number | undefined;
      body(() => {
        if (p.accept('type')) {
          helper = p.string();
          p.expect('protocol');
          l4 = l4proto(p);
        } else {
          p.expect('l3proto');
          l3 = L3[p.peek().text] ?? p.unexpected();
          p.next();
        }
      });
      return finish({ type, helper, l4proto: l4, ...(l3 !== undefined && { l3proto: l3 }) });
    }
    case 'ct timeout': {
      let l4 = 0;
      let l3: number | undefined;
      const policy: [string, number][] = [];
      body(() => {
        if (p.accept('protocol')) l4 = l4proto(p);
        else if (p.accept('l3proto')) {
          l3 = L3[p.peek().text] ?? p.unexpected();
          p.next();
        } else {
          p.expect('policy');
          p.expect('=');
          p.expect('{');
          p.skipNewlines();
          while (!p.is('}')) {
            const state = p.identifier();
            p.expect(':');
            policy.push([state, Math.floor(timeSpec(p) / 1000)]);
            p.skipNewlines();
            if (!p.is('}')) p.expect(',');
            p.skipNewlines();
          }
          p.next();
        }
      });
      return finish({ type, l4proto: l4, policy, ...(l3 !== undefined && { l3proto: l3 }) });
    }
    default: {
      let l4 = 0;
      let l3: number | undefined;
      let dport = 0;
      let timeout = 0;
      let size = 0;
      body(() => {
        if (p.accept('protocol')) l4 = l4proto(p);
        else if (p.accept('dport')) dport = p.number();
        else if (p.accept('timeout')) timeout = timeSpec(p);
        else if (p.accept('size')) size = p.number();
        else {
          p.expect('l3proto');
          l3 = L3[p.peek().text] ?? p.unexpected();
          p.next();
        }
      });
      return finish({
        type: 'ct expectation',
        l4proto: l4,
        dport,
        timeout,
        size,
        ...(l3 !== undefined && { l3proto: l3 }),
      });
    }
  }
}

/** The word(s) of an object type at this place, untaken. */
export function objectType(p: Parser): string | undefined {
  const token = p.peek();
  if (token.kind !== 'word') return undefined;
  const word = token.text === 'ct' ? `ct ${p.peek(1).text}` : token.text;
  return OBJECT_TYPES[word] === undefined ? undefined : word;
}

export function takeObjectType(p: Parser, type: string): void {
  p.next();
  if (type.startsWith('ct ')) p.next();
}

export function tableBlock(p: Parser, family: Family, name: string, first: Token): Table {
  const place: Place = { family, table: name };
  const chains: Chain[] = [];
  const sets: SetDecl[] = [];
  const objects: ObjectDecl[] = [];
  const flowtables: Flowtable[] = [];
  let flags = 0;
  let comment: string | undefined;
  block(p, () => {
    const token = p.peek();
    const type = objectType(p);
    if (p.accept('chain')) chains.push(chainBlock(p, place, p.identifier(), token));
    else if (p.is('set') || p.is('map')) {
      const isMap = p.next().text === 'map';
      sets.push(setBlock(p, place, p.identifier(), isMap, token));
    } else if (p.accept('flowtable')) flowtables.push(flowtableBlock(p, place, p.identifier(), token));
    else if (p.accept('flags')) {
      do {
        const flag = p.next();
        if (flag.text === 'dormant') flags |= uapi.NFT_TABLE_F_DORMANT;
        else if (flag.text === 'owner') flags |= uapi.NFT_TABLE_F_OWNER;
        else p.fail(flag, 'unknown table option');
      } while (p.accept(','));
    } else if (p.accept('comment')) comment = p.string();
    else if (type !== undefined) {
      takeObjectType(p, type);
      const object = p.identifier();
      const spec = objectSpec(p, type);
      objects.push({ kind: 'object', ...place, name: object, ...spec, loc: p.since(token) });
    } else p.unexpected();
    const end = p.peek();
    if (end.kind === 'newline' || p.is(';')) p.separator();
  });
  return {
    kind: 'table',
    family,
    name,
    flags,
    ...(comment !== undefined && { comment }),
    chains,
    sets,
    objects,
    flowtables,
    loc: p.since(first),
  };
}
