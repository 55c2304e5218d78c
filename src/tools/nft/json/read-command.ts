/** JSON commands to the syntax tree (libnftables-json(5), "COMMAND OBJECTS" and "RULESET ELEMENTS"). */

import { protocolByName } from '../../../wire/services.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import type {
  Chain,
  Command,
  CommandName,
  Elements,
  Expr,
  Family,
  Flowtable,
  Handle,
  ObjectDecl,
  ObjectSpec,
  Rule,
  SetDecl,
  Table,
  Target,
} from '../ast.ts';
import { OBJECT_TYPES } from '../parser/object.ts';
import { isObject, jsonFail, jsonType, numberOf, objectOf, stringOf } from './read-expression.ts';
import { readLimit, readQuota, readSynproxy, StatementReader } from './read-statement.ts';
import type { Json, JsonObject } from './types.ts';

const FAMILIES: ReadonlySet<string> = new Set(['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev']);
const VERBS: ReadonlySet<string> = new Set([
  'add',
  'create',
  'insert',
  'replace',
  'delete',
  'destroy',
  'list',
  'reset',
  'flush',
  'rename',
]);
/** What a list names with one word. */
const PLURALS: ReadonlySet<string> = new Set(
  'tables chains rules sets maps meters counters quotas limits secmarks synproxys flowtables ruleset'
    .split(' ')
    .concat(['ct helpers', 'ct timeouts', 'ct expectations']),
);
const SET_FLAGS: Readonly<Record<string, number>> = {
  constant: U.NFT_SET_CONSTANT,
  interval: U.NFT_SET_INTERVAL,
  timeout: U.NFT_SET_TIMEOUT,
  dynamic: U.NFT_SET_EVAL,
};
const TABLE_FLAGS: Readonly<Record<string, number>> = {
  dormant: U.NFT_TABLE_F_DORMANT,
  owner: U.NFT_TABLE_F_OWNER,
  persist: 4,
};

const listOf = (json: Json | undefined): readonly Json[] =>
  json === undefined ? [] : Array.isArray(json) ? (json as readonly Json[]) : [json];

function flagsOf(json: Json | undefined, table: Readonly<Record<string, number>>, what: string): number {
  return listOf(json).reduce<number>((all, one) => {
    const bit = table[String(one)] ?? jsonFail(`Invalid ${what} flag '${String(one)}'.`);
    return all | bit;
  }, 0);
}

function familyOf(o: JsonObject): Family {
  const family = o.family === undefined ? 'ip' : stringOf(o.family, 'family');
  return FAMILIES.has(family) ? (family as Family) : jsonFail(`Unknown family '${family}'.`);
}

const symbol = (text: string): Expr => ({ kind: 'symbol', text });
const commentOf = (o: JsonObject): { comment?: string } =>
  o.comment === undefined ? {} : { comment: stringOf(o.comment, 'comment') };
const handleOf = (o: JsonObject): Handle | undefined =>
  o.handle === undefined ? undefined : { id: BigInt(numberOf(o.handle, 'handle')) };

class CommandReader {
  readonly #statements: StatementReader = new StatementReader();

  #rule(o: JsonObject, op: CommandName): Rule {
    const index = typeof o.index === 'number' ? { index: o.index } : undefined;
    const handle = op === 'add' || op === 'insert' || op === 'replace' ? (index ?? handleOf(o)) : handleOf(o);
    return {
      kind: 'rule',
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      chain: stringOf(o.chain, 'chain'),
      ...(handle && { handle }),
      stmts: listOf(o.expr).map((one) => this.#statements.read(one)),
      ...commentOf(o),
    };
  }

  #table(o: JsonObject): Table {
    return {
      kind: 'table',
      family: familyOf(o),
      name: stringOf(o.name, 'table name'),
      flags: flagsOf(o.flags, TABLE_FLAGS, 'table'),
      ...commentOf(o),
      chains: [],
      sets: [],
      objects: [],
      flowtables: [],
    };
  }

  #chain(o: JsonObject): Chain {
    const base =
      o.type === undefined
        ? undefined
        : {
            type: stringOf(o.type, 'chain type'),
            hook: stringOf(o.hook, 'chain hook'),
            priority: symbol(String(o.prio ?? 0)),
            devices: listOf(o.dev).map((one) => symbol(String(one))),
            ...(o.policy !== undefined && { policy: symbol(stringOf(o.policy, 'chain policy')) }),
          };
    return {
      kind: 'chain',
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      name: stringOf(o.name, 'chain name'),
      ...(base && { base }),
      flags: 0,
      ...commentOf(o),
      rules: [],
    };
  }

  /** The type of keys or data: names of types, or `typeof` expressions. */
  #type(json: Json | undefined): { readonly expr: Expr; readonly typeof: boolean } {
    if (isObject(json)) {
      const written = json.typeof ?? json;
      return { expr: this.#statements.expressions.read(written), typeof: true };
    }
    const names = listOf(json).map((one) => symbol(stringOf(one, 'set type')));
    if (names.length === 0) jsonFail('set definition does not specify key');
    return { expr: names.length === 1 ? names[0] : { kind: 'concat', parts: names }, typeof: false };
  }

  #set(o: JsonObject, isMap: boolean): SetDecl {
    const key = this.#type(o.type);
    const object = typeof o.map === 'string' ? OBJECT_TYPES[o.map] : undefined;
    const data = isMap && object === undefined ? this.#type(o.map) : undefined;
    const timeout = o.timeout === undefined ? undefined : numberOf(o.timeout, 'timeout') * 1000;
    const stmts = listOf(o.stmt).map((one) => this.#statements.read(one));
    const policy =
      o.policy === undefined ? undefined : o.policy === 'memory' ? U.NFT_SET_POL_MEMORY : U.NFT_SET_POL_PERFORMANCE;
    return {
      kind: 'setdecl',
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      name: stringOf(o.name, 'set name'),
      flags: flagsOf(o.flags, SET_FLAGS, 'set') | (timeout === undefined ? 0 : U.NFT_SET_TIMEOUT),
      isMap,
      key: key.expr,
      ...(key.typeof && { keyTypeof: true }),
      ...(data && { data: data.expr }),
      ...(object !== undefined && { objType: object }),
      ...(timeout !== undefined && { timeout }),
      ...(o['gc-interval'] !== undefined && { gcInterval: numberOf(o['gc-interval'], 'gc-interval') * 1000 }),
      ...(o.size !== undefined && { size: numberOf(o.size, 'size') }),
      ...(policy !== undefined && { policy }),
      ...(o['auto-merge'] === true && { autoMerge: true }),
      ...commentOf(o),
      stmts,
      ...(o.elem !== undefined && { elements: this.#statements.expressions.set(o.elem) }),
    };
  }

  #elements(o: JsonObject): Elements {
    return {
      kind: 'elements',
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      set: stringOf(o.name, 'set name'),
      elements: this.#statements.expressions.set(o.elem ?? jsonFail('Invalid set elements.')),
    };
  }

  #flowtable(o: JsonObject): Flowtable {
    return {
      kind: 'flowtable',
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      name: stringOf(o.name, 'flowtable name'),
      ...(o.hook !== undefined && {
        hook: stringOf(o.hook, 'flowtable hook'),
        priority: symbol(String(o.prio ?? 0)),
      }),
      devices: listOf(o.dev).map((one) => symbol(String(one))),
      flags: 0,
    };
  }

  #object(word: string, o: JsonObject): ObjectDecl {
    return {
      kind: 'object',
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      name: stringOf(o.name, `${word} name`),
      ...commentOf(o),
      spec: specOf(word, o),
    };
  }

  #target(what: string, json: Json): Target {
    const o = isObject(json) ? json : {};
    const family = o.family === undefined ? undefined : familyOf(o);
    if (PLURALS.has(what)) {
      return {
        kind: 'target',
        what,
        ...(family && { family }),
        ...(o.table !== undefined && { table: stringOf(o.table, 'table'), family: familyOf(o) }),
      };
    }
    const handle = handleOf(o);
    if (what === 'table') {
      return {
        kind: 'target',
        what,
        family: familyOf(o),
        ...(o.name !== undefined && { table: stringOf(o.name, 'table name') }),
        ...(handle && o.name === undefined && { handle }),
      };
    }
    const name = what === 'rule' ? stringOf(o.chain, 'chain') : o.name;
    return {
      kind: 'target',
      what,
      family: familyOf(o),
      table: stringOf(o.table, 'table'),
      ...(name !== undefined && { name: stringOf(name, `${what} name`) }),
      ...(handle && (what === 'rule' || name === undefined) && { handle }),
    };
  }

  /** One of `add`, `delete`, ... with the thing it is about. */
  command(op: CommandName, json: Json): Command[] {
    const o = objectOf(json, 'command');
    const words = Object.keys(o);
    if (words.length !== 1) jsonFail('Malformed object (too many properties): a command names one thing.');
    const [word] = words;
    const value = o[word];
    const make = (object: Command['object']): Command[] => [{ kind: 'command', op, object }];
    if (word === 'element' && (op === 'add' || op === 'create' || op === 'delete' || op === 'destroy'))
      return make(this.#elements(objectOf(value, word)));
    if (op === 'rename') {
      const target = objectOf(value, word);
      const newName = stringOf(target.newname, 'newname');
      return [{ kind: 'command', op, object: this.#target(word, value), newName }];
    }
    if (op !== 'add' && op !== 'create' && op !== 'insert' && op !== 'replace') return make(this.#target(word, value));
    const of = objectOf(value, word);
    switch (word) {
      case 'table':
        return make(this.#table(of));
      case 'chain':
        return make(this.#chain(of));
      case 'rule':
        return make(this.#rule(of, op));
      case 'set':
      case 'map':
        return make(this.#set(of, word === 'map'));
      case 'flowtable':
        return make(this.#flowtable(of));
      default:
        if (OBJECT_TYPES[word] === undefined) jsonFail(`Unknown object passed to ${op} command.`);
        return make(this.#object(word, of));
    }
  }

  /** One entry of the array: a command, or a thing to add. */
  entry(json: Json): Command[] {
    const o = objectOf(json, 'an entry of the nftables array');
    const words = Object.keys(o);
    if (words.length !== 1) jsonFail('Malformed object (too many properties).');
    const [word] = words;
    if (word === 'metainfo') {
      const version = objectOf(o[word], word).json_schema_version;
      if (typeof version === 'number' && version > 1)
        jsonFail(`Schema version ${version} not supported, maximum supported version is 1`);
      return [];
    }
    if (VERBS.has(word)) return this.command(word as CommandName, o[word]);
    // As listings have them: rules keep no place by handle.
    const value = o[word];
    if (word === 'rule' && isObject(value)) {
      const { handle: _handle, index: _index, ...rest } = value;
      return this.command('add', { rule: rest });
    }
    return this.command('add', o);
  }
}

const L3: Readonly<Record<string, number>> = { ip: 2, ip6: 10, inet: 1 };

function specOf(word: string, o: JsonObject): ObjectSpec {
  const l4 = (): number =>
    protocolByName.get(stringOf(o.protocol, 'protocol')) ?? jsonFail(`Invalid protocol '${String(o.protocol)}'.`);
  const l3 = (): { l3proto?: number } => {
    if (o.l3proto === undefined) return {};
    const value = L3[stringOf(o.l3proto, 'l3proto')] ?? jsonFail(`Invalid l3proto '${String(o.l3proto)}'.`);
    return { l3proto: value };
  };
  switch (word) {
    case 'counter':
      return {
        type: word,
        packets: BigInt(numberOf(o.packets ?? 0, 'packets')),
        bytes: BigInt(numberOf(o.bytes ?? 0, 'bytes')),
      };
    case 'quota':
      return { type: word, ...readQuota({ bytes: 0, ...o }, { value: 'bytes' }) };
    case 'limit':
      return { type: word, limit: readLimit(o) };
    case 'secmark':
      return { type: word, context: stringOf(o.context, 'context') };
    case 'synproxy':
      return { type: word, ...readSynproxy(o) };
    case 'ct helper':
      return { type: word, helper: stringOf(o.type, 'helper type'), l4proto: l4(), ...l3() };
    case 'ct timeout':
      return {
        type: word,
        l4proto: l4(),
        ...l3(),
        policy: Object.entries(isObject(o.policy) ? o.policy : {}).map(([state, seconds]) => [
          state,
          numberOf(seconds, 'timeout'),
        ]),
      };
    default:
      return {
        type: 'ct expectation',
        l4proto: l4(),
        ...l3(),
        dport: numberOf(o.dport, 'dport'),
        timeout: numberOf(o.timeout, 'timeout'),
        size: numberOf(o.size, 'size'),
      };
  }
}

/** The commands of a document: `{ "nftables": [ ... ] }`. Throws NftError. */
export function readJsonCommands(json: Json): Command[] {
  const list = isObject(json) ? json.nftables : undefined;
  if (!Array.isArray(list)) return jsonFail(`Value of property "nftables" (type ${jsonType(list)}) is not an array.`);
  const reader = new CommandReader();
  return (list as readonly Json[]).flatMap((one) => reader.entry(one));
}
