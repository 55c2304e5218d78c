/**
 * One notification of nf_tables as `nft monitor` and `nft -e` write it: on one line, as a command or as JSON.
 */
import { type Attr, attrMap } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Family } from './ast.ts';
import { readElements } from './delinearize/element.ts';
import { jsonElement } from './json/expression.ts';
import { chainJson, flowtableJson, objectJson, ruleJson, setJson, tableJson } from './json/ruleset.ts';
import { jsonStatement } from './json/statement.ts';
import type { Json, JsonContext } from './json/types.ts';
import { element } from './print/expr.ts';
import {
  chainHead,
  contextOf,
  type ListOptions,
  printFlowtable,
  printObject,
  printRule,
  printSet,
} from './print/ruleset.ts';
import {
  type Attrs,
  FAMILIES,
  readChain,
  readFlowtable,
  readObject,
  readRule,
  readSet,
  readTable,
  type SetEntry,
  text,
  u64,
} from './views.ts';

const NFGENMSG_LENGTH = 4;
const NFT_MSG_DESTROY: readonly number[] = [26, 27, 28, 29, 30, 31, 32];

/** What an event is about: the words of `nft monitor`'s filter. */
export type EventKind = 'tables' | 'chains' | 'rules' | 'sets' | 'elements' | 'objects' | 'flowtables';

export type Event = {
  readonly kind: EventKind;
  readonly gone: boolean;
  readonly text: string;
  readonly json: Json;
};

/** Finds the sets that rules and elements name. */
export type SetFinder = (family: Family, table: string, name: string) => SetEntry | undefined;

const KINDS: ReadonlyMap<number, EventKind> = new Map(
  (
    [
      ['tables', U.NFT_MSG_NEWTABLE, U.NFT_MSG_DELTABLE, 26],
      ['chains', U.NFT_MSG_NEWCHAIN, U.NFT_MSG_DELCHAIN, 27],
      ['rules', U.NFT_MSG_NEWRULE, U.NFT_MSG_DELRULE, 28],
      ['sets', U.NFT_MSG_NEWSET, U.NFT_MSG_DELSET, 29],
      ['elements', U.NFT_MSG_NEWSETELEM, U.NFT_MSG_DELSETELEM, 30],
      ['objects', U.NFT_MSG_NEWOBJ, U.NFT_MSG_DELOBJ, 31],
      ['flowtables', U.NFT_MSG_NEWFLOWTABLE, U.NFT_MSG_DELFLOWTABLE, 32],
    ] as const
  ).flatMap(([kind, ...types]) => types.map((type) => [type, kind] as const)),
);
const DELETIONS: ReadonlySet<number> = new Set([
  U.NFT_MSG_DELTABLE,
  U.NFT_MSG_DELCHAIN,
  U.NFT_MSG_DELRULE,
  U.NFT_MSG_DELSET,
  U.NFT_MSG_DELSETELEM,
  U.NFT_MSG_DELOBJ,
  U.NFT_MSG_DELFLOWTABLE,
  ...NFT_MSG_DESTROY,
]);

/** Kind of an nf_tables message; undefined for what is no change of an object. */
export function kindOf(m: Message): EventKind | undefined {
  return KINDS.get(m.type & 255);
}

/** The lines inside a block's braces, on one line. */
function inside(block: string, separator: string): string {
  const lines = block
    .split('\n')
    .slice(1, -2)
    .map((line) => line.trim());
  return lines.length === 0 ? '' : lines.join(separator);
}

/** Reads notifications; interval sets' halves are kept until their interval is whole (`rest`). */
export class EventReader {
  readonly #find: SetFinder;
  readonly #options: ListOptions;
  /** The ends of intervals that wait for each other: one set at a time, in one direction. */
  #half: { readonly set: SetEntry; readonly gone: boolean; readonly op: string; elements: Attr[] } | undefined;

  constructor(find: SetFinder, options: ListOptions) {
    this.#find = find;
    this.#options = options;
  }

  /** The events that a message completes. */
  read(m: Message): Event[] {
    const kind = kindOf(m);
    const family = FAMILIES.get(m.payload[0]);
    if (kind === undefined || family === undefined) return [];
    const a = attrMap(m.payload, NFGENMSG_LENGTH);
    const gone = DELETIONS.has(m.type & 255);
    const created = (m.flags & NLM_F_CREATE) !== 0 && (m.flags & NLM_F_EXCL) !== 0;
    const op = gone ? (NFT_MSG_DESTROY.includes(m.type & 255) ? 'destroy' : 'delete') : created ? 'create' : 'add';
    if (kind === 'elements') return this.#elements(family, a, gone, op);
    const before = this.rest();
    const event = this.#object(kind, family, a, m.flags, gone, op);
    return event === undefined ? before : [...before, event];
  }

  /** What waits for a second half that will not come: intervals up to the highest key. */
  rest(): Event[] {
    const half = this.#half;
    this.#half = undefined;
    return half === undefined ? [] : this.#show(half.set, half.elements, half.gone, half.op);
  }

  #object(kind: EventKind, family: Family, a: Attrs, flags: number, gone: boolean, op: string): Event | undefined {
    const options = this.#options;
    const context: JsonContext = { ...options, statement: (s, c) => jsonStatement(s, c, family) };
    const make = (body: string, handle: bigint | undefined, json: Json, verb: string = op): Event => ({
      kind,
      gone,
      text: `${verb} ${body}${options.handles && handle !== undefined ? ` # handle ${handle}` : ''}`,
      json: { [verb]: json },
    });
    // A block ends in a blank, as the real tool leaves it.
    const block = (words: string, printed: string, separator: string): string => {
      const lines = inside(printed, separator);
      return gone ? words : `${words} { ${lines}${lines !== '' && separator === '; ' ? ';' : ''} } `;
    };
    switch (kind) {
      case 'tables': {
        const table = readTable(family, a);
        const dormant = !gone && table.flags & U.NFT_TABLE_F_DORMANT ? ' { flags dormant; }' : '';
        return make(`table ${family} ${table.name}${dormant}`, table.handle, tableJson(table));
      }
      case 'chains': {
        const chain = readChain(family, a);
        const table = { family, name: text(a, U.NFTA_CHAIN_TABLE) };
        const words = `chain ${family} ${table.name} ${chain.name}`;
        const { comment: _, ...bare } = chain;
        const type = inside(`${chainHead(family, bare, { ...options, handles: false })}\t}\n`, ' ');
        const body = gone || chain.base === undefined ? words : `${words} { ${type} }`;
        return make(body, chain.handle, chainJson(table, gone ? { ...bare, base: undefined } : bare));
      }
      case 'rules': {
        const rule = readRule(family, a, (name) => this.#find(family, text(a, U.NFTA_RULE_TABLE), name));
        const words = `rule ${family} ${rule.table} ${rule.chain}`;
        const json = ruleJson(rule, context);
        if (gone) return make(`${words} handle ${rule.handle!.id}`, undefined, json);
        const beside = a.has(U.NFTA_RULE_POSITION) ? ` handle ${u64(a, U.NFTA_RULE_POSITION)}` : '';
        const verb = flags & NLM_F_APPEND ? 'add' : 'insert';
        return make(
          `${words}${beside} ${printRule(rule, { ...options, handles: false })}`,
          rule.handle!.id,
          json,
          verb,
        );
      }
      case 'sets': {
        const set = readSet(family, text(a, U.NFTA_SET_TABLE), a, () => []);
        if (set.flags & U.NFT_SET_ANONYMOUS) return undefined;
        const words = `${set.isMap ? 'map' : 'set'} ${family} ${set.table} ${set.name}`;
        const body = block(words, printSet(set, { ...options, handles: false }), '; ');
        return make(body, gone ? undefined : set.handle, setJson({ family, name: set.table }, set, context));
      }
      case 'objects': {
        const object = readObject(a);
        if (object === undefined) return undefined;
        const table = { family, name: text(a, U.NFTA_OBJ_TABLE) };
        const words = `${object.spec.type} ${family} ${table.name} ${object.name}`;
        const separator = object.spec.type.startsWith('ct ') ? '; ' : ' ';
        const body = block(words, printObject(object, { ...options, handles: false }), separator);
        return make(body, gone ? undefined : object.handle, objectJson(table, object, context));
      }
      default: {
        const flowtable = readFlowtable(a);
        const table = { family, name: text(a, U.NFTA_FLOWTABLE_TABLE) };
        const words = `flowtable ${family} ${table.name} ${flowtable.name}`;
        const body = block(words, printFlowtable(flowtable, { ...options, handles: false }), '; ');
        return make(body, gone ? undefined : flowtable.handle, flowtableJson(table, flowtable));
      }
    }
  }

  #elements(family: Family, a: Attrs, gone: boolean, op: string): Event[] {
    const set = this.#find(family, text(a, U.NFTA_SET_ELEM_LIST_TABLE), text(a, U.NFTA_SET_ELEM_LIST_SET));
    const list = a.get(U.NFTA_SET_ELEM_LIST_ELEMENTS);
    if (set === undefined || list === undefined || set.flags & U.NFT_SET_ANONYMOUS) return this.rest();
    if (!(set.flags & U.NFT_SET_INTERVAL) || set.shape.key.length > 1)
      return [...this.rest(), ...this.#show(set, [list], gone, op)];
    // An interval comes as its first key and the first key behind it, backwards when a set is emptied.
    const half = this.#half;
    const out: Event[] = [];
    if (half !== undefined && half.set === set && half.gone === gone && half.op === op) {
      const pair = this.#join(half.elements[0], list);
      if (pair !== undefined) {
        this.#half = undefined;
        return this.#show(set, pair, gone, op);
      }
    }
    out.push(...this.rest());
    this.#half = { set, gone, op, elements: [list] };
    return out;
  }

  /** Both halves in order, when they are those of one interval. */
  #join(first: Attr, second: Attr): Attr[] | undefined {
    const [a, b] = [half(first), half(second)];
    if (a === undefined || b === undefined || a.end === b.end) return undefined;
    const [start, end] = a.end ? [b, a] : [a, b];
    return compareBytes(start.key, end.key) < 0 ? [first, second] : undefined;
  }

  #show(set: SetEntry, lists: readonly Attr[], gone: boolean, op: string): Event[] {
    const members: ElementExpr[] = readElements(set.shape, lists);
    const words = `${op} element ${set.family} ${set.table} ${set.name}`;
    const context = contextOf(this.#options);
    const json: JsonContext = { ...this.#options, statement: (s, c) => jsonStatement(s, c, set.family) };
    return members.map((one) => ({
      kind: 'elements',
      gone,
      text: `${words} { ${element(one, context)} }`,
      json: {
        [op]: {
          element: { family: set.family, table: set.table, name: set.name, elem: { set: [jsonElement(one, json)] } },
        },
      },
    }));
  }
}

function half(list: Attr): { readonly key: Uint8Array; readonly end: boolean } | undefined {
  const attrs = attrMap(list.payload).get(U.NFTA_LIST_ELEM);
  if (attrs === undefined) return undefined;
  const own = attrMap(attrs.payload);
  const key = own.get(U.NFTA_SET_ELEM_KEY);
  const value = key && attrMap(key.payload).get(U.NFTA_DATA_VALUE);
  const flags = own.get(U.NFTA_SET_ELEM_FLAGS);
  return value && { key: value.payload, end: flags !== undefined && (flags.payload[3] & 1) !== 0 };
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
