/**
 * The commands that read: `nft list ...` and `nft reset ...`, from the kernel's dumps to text.
 */
import type { NetlinkSocket } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import type { Command, Target } from './ast.ts';
import { readRuleset } from './cache.ts';
import type { Names } from './datatype.ts';
import { jsonRuleset, jsonTables } from './json/ruleset.ts';
import type { Json } from './json/types.ts';
import type { Flags } from './options.ts';
import {
  chainHead,
  type ListOptions,
  printChain,
  printFlowtable,
  printObject,
  printRuleset,
  printSet,
  printTable,
  tableHead,
} from './print/ruleset.ts';
import { type Location, NftError } from './source.ts';
import type { ObjectView, Ruleset, SetEntry, TableView } from './views.ts';

/** Words for objects, one and many. */
const OBJECTS: Readonly<Record<string, readonly [type: string, number: number]>> = {
  counter: ['counter', U.NFT_OBJECT_COUNTER],
  counters: ['counter', U.NFT_OBJECT_COUNTER],
  quota: ['quota', U.NFT_OBJECT_QUOTA],
  quotas: ['quota', U.NFT_OBJECT_QUOTA],
  limit: ['limit', U.NFT_OBJECT_LIMIT],
  limits: ['limit', U.NFT_OBJECT_LIMIT],
  secmark: ['secmark', U.NFT_OBJECT_SECMARK],
  secmarks: ['secmark', U.NFT_OBJECT_SECMARK],
  synproxy: ['synproxy', U.NFT_OBJECT_SYNPROXY],
  synproxys: ['synproxy', U.NFT_OBJECT_SYNPROXY],
  'ct helper': ['ct helper', U.NFT_OBJECT_CT_HELPER],
  'ct helpers': ['ct helper', U.NFT_OBJECT_CT_HELPER],
  'ct timeout': ['ct timeout', U.NFT_OBJECT_CT_TIMEOUT],
  'ct timeouts': ['ct timeout', U.NFT_OBJECT_CT_TIMEOUT],
  'ct expectation': ['ct expectation', U.NFT_OBJECT_CT_EXPECT],
  'ct expectations': ['ct expectation', U.NFT_OBJECT_CT_EXPECT],
};

const isMeter = (set: SetEntry): boolean =>
  (set.flags & U.NFT_SET_ANONYMOUS) !== 0 && (set.flags & U.NFT_SET_EVAL) !== 0;
const KINDS: Readonly<Record<string, (set: SetEntry) => boolean>> = {
  set: (set) => !set.isMap && !(set.flags & U.NFT_SET_ANONYMOUS),
  map: (set) => set.isMap && !(set.flags & U.NFT_SET_ANONYMOUS),
  meter: isMeter,
};

export function listOptions(flags: Partial<Flags>, names: Names): ListOptions {
  return {
    ...(names.ifName && { ifName: names.ifName }),
    handles: flags.handles === true,
    ...(flags.release && { release: flags.release }),
    stateless: flags.stateless === true,
    terse: flags.terse === true,
    services: flags.services === true && flags.numeric !== true,
    numericPriority: flags.numericPriority === true,
    numericProtocol: flags.numericProtocol === true,
    numericSymbol: flags.numeric === true,
    numericTime: flags.numericTime === true,
  };
}

/** "No such file or directory", at the name in the command. */
function missing(target: Target, name: string): NftError {
  const { loc } = target;
  if (loc === undefined) return new NftError(undefined, 'No such file or directory');
  const at = loc.source.text.lastIndexOf(name, loc.end - 1);
  const place: Location = at < loc.start ? loc : { ...loc, start: at, end: at + name.length };
  return new NftError(place, 'No such file or directory');
}

/** Runs a command that reads. Throws NftError when what it names does not exist. */
export function runList(command: Command, socket: NetlinkSocket, names: Names, flags: Partial<Flags>): string {
  const { object } = command;
  if (object.kind !== 'target' || (command.op !== 'list' && command.op !== 'reset')) {
    throw new NftError(command.loc, `netloom does not support nft ${command.op}`);
  }
  const named = OBJECTS[object.what];
  if (command.op === 'reset' && named?.[1] !== U.NFT_OBJECT_COUNTER && named?.[1] !== U.NFT_OBJECT_QUOTA) {
    throw new NftError(command.loc, `netloom does not support nft reset ${object.what}`);
  }
  const single = object.table !== undefined;
  const ruleset = readRuleset(socket, {
    ...(object.family && { family: object.family }),
    ...(single && { table: object.table }),
    ...(flags.release && { release: flags.release }),
    ...(command.op === 'reset' && {
      reset: { type: named[1], ...(object.name !== undefined && { name: object.name }) },
    }),
  });
  if (single && ruleset.tables.length === 0) throw missing(object, object.table ?? '');
  const options = listOptions(flags, names);
  const chosen = select(object, ruleset);
  if (flags.json) return `${JSON.stringify({ nftables: jsonOf(object.what, chosen, options) })}\n`;
  return textOf(object, chosen, options);
}

/** One set of a table, with the members that it has in the view. */
export function showSet(table: TableView, set: SetEntry, options: ListOptions, json: boolean): string {
  const only: TableView = { ...table, objects: [], sets: [set], flowtables: [], chains: [] };
  if (json) {
    const shown = jsonRuleset({ tables: [only] }, options, { tables: false, rules: false });
    return `${JSON.stringify({ nftables: shown })}\n`;
  }
  return `${tableHead(table, { ...options, handles: false })}\n${printSet(set, options)}}\n`;
}

/** The ruleset with what the command names, and nothing else. */
function select(target: Target, ruleset: Ruleset): Ruleset {
  const { what, name } = target;
  if (what === 'ruleset' || what === 'table' || what === 'tables') return ruleset;
  const bare = (table: TableView): TableView => ({ ...table, objects: [], sets: [], flowtables: [], chains: [] });
  const keep = <T extends { readonly name: string }>(list: readonly T[]): T[] => {
    const found = name === undefined ? [...list] : list.filter((one) => one.name === name);
    if (name !== undefined && found.length === 0) throw missing(target, name);
    return found;
  };
  const kind = KINDS[what.replace(/s$/, '')];
  const object = OBJECTS[what];
  const tables = ruleset.tables.flatMap((table): TableView[] => {
    if (what === 'chain' || what === 'chains') return [{ ...bare(table), chains: keep(table.chains) }];
    if (kind !== undefined) return [{ ...bare(table), sets: keep(table.sets.filter(kind)) }];
    if (what === 'flowtable' || what === 'flowtables') return [{ ...bare(table), flowtables: keep(table.flowtables) }];
    if (object === undefined) throw new NftError(target.loc, `netloom does not support nft list ${what}`);
    if (name === undefined && table.objects.length === 0) return [];
    return [{ ...bare(table), objects: keep(table.objects.filter((one: ObjectView) => one.spec.type === object[0])) }];
  });
  return { tables };
}

function textOf(target: Target, ruleset: Ruleset, options: ListOptions): string {
  const { what } = target;
  if (what === 'ruleset') return printRuleset(ruleset, options);
  if (what === 'tables') return ruleset.tables.map((table) => `table ${table.family} ${table.name}\n`).join('');
  if (what === 'table') return ruleset.tables.map((table) => printTable(table, options)).join('');
  const whole = what === 'chain';
  // One thing of a table stands in the table's braces, without blank lines.
  return ruleset.tables
    .map((table) => {
      const head = tableHead(table, { ...options, handles: false });
      const items = [
        ...table.objects.map((one) => printObject(one, options)),
        ...table.sets.map((one) => printSet(one, options)),
        ...table.flowtables.map((one) => printFlowtable(one, options)),
        ...table.chains
          .filter((one) => !(one.flags & U.NFT_CHAIN_BINDING))
          .map((one) =>
            whole ? printChain(table.family, one, options) : `${chainHead(table.family, one, options)}\t}\n`,
          ),
      ];
      return `${head}\n${items.join('')}}\n`;
    })
    .join('');
}

function jsonOf(what: string, ruleset: Ruleset, options: ListOptions): Json[] {
  if (what === 'tables') return jsonTables(ruleset);
  const only = what !== 'ruleset' && what !== 'table';
  return jsonRuleset(ruleset, options, { tables: !only, rules: what !== 'chains' });
}
