/**
 * Listings as JSON (libnftables-json(5)), as nft(8) 1.0.6 writes them with -j.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, ObjectSpec, Rule } from '../ast.ts';
import { type Datatype, verdictType } from '../datatype.ts';
import { type ListOptions, protocolName } from '../print/ruleset.ts';
import type { ChainView, FlowtableView, ObjectView, Ruleset, SetEntry, TableView } from '../views.ts';
import { jsonElement } from './expression.ts';
import { jsonLimit, jsonStatement } from './statement.ts';
import type { Json, JsonContext, JsonObject } from './types.ts';

const METAINFO: Json = {
  metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 },
};

const number = (value: bigint | undefined): number => Number(value ?? 0n);

export function tableJson(table: TableView): Json {
  return {
    table: {
      family: table.family,
      name: table.name,
      handle: number(table.handle),
      ...(table.flags & U.NFT_TABLE_F_DORMANT && { flags: 'dormant' }),
      ...(table.comment !== undefined && { comment: table.comment }),
    },
  };
}

/** `nft -j list tables` */
export function jsonTables(ruleset: Ruleset): Json[] {
  return [METAINFO, ...ruleset.tables.map(tableJson)];
}

/** Tables with what is in them: declarations first, then the rules of each table. */
export function jsonRuleset(
  ruleset: Ruleset,
  list: ListOptions,
  parts: { readonly tables: boolean; readonly rules: boolean },
): Json[] {
  const options: JsonContext = { ...list, statement: (s, context) => jsonStatement(s, context, 'ip') };
  const out: Json[] = [METAINFO];
  for (const table of ruleset.tables) {
    if (parts.tables) out.push(tableJson(table));
    const chains = table.chains.filter((chain) => !(chain.flags & U.NFT_CHAIN_BINDING));
    const chainsFirst = list.release === '1.1.0';
    if (chainsFirst) for (const chain of chains) out.push(chainJson(table, chain));
    for (const object of table.objects) out.push(objectJson(table, object, options));
    for (const set of table.sets) if (!(set.flags & U.NFT_SET_ANONYMOUS)) out.push(setJson(table, set, options));
    for (const flowtable of table.flowtables) {
      out.push(flowtableJson(table, flowtable));
    }
    if (!chainsFirst) for (const chain of chains) out.push(chainJson(table, chain));
    if (parts.rules) for (const chain of chains) for (const rule of chain.rules) out.push(ruleJson(rule, options));
  }
  return out;
}

type Place = Pick<TableView, 'family' | 'name'>;

export function flowtableJson(table: Place, flowtable: FlowtableView): Json {
  const { devices } = flowtable;
  return {
    flowtable: {
      family: table.family,
      name: flowtable.name,
      table: table.name,
      handle: number(flowtable.handle),
      hook: 'ingress',
      prio: flowtable.priority,
      ...(devices.length > 0 && { dev: devices.length === 1 ? devices[0] : [...devices] }),
    },
  };
}

export function chainJson(table: Place, chain: ChainView): Json {
  const { base } = chain;
  const devices = base?.devices ?? [];
  return {
    chain: {
      family: table.family,
      table: table.name,
      name: chain.name,
      handle: number(chain.handle),
      ...(chain.comment !== undefined && { comment: chain.comment }),
      ...(base && {
        type: base.type,
        hook: base.hook,
        prio: base.priority,
        ...(devices.length > 0 && { dev: devices.length === 1 ? devices[0] : [...devices] }),
        policy: base.policy ?? 'accept',
      }),
    },
  };
}

export function ruleJson(rule: Rule, options: JsonContext): Json {
  return {
    rule: {
      family: rule.family,
      table: rule.table,
      chain: rule.chain,
      handle: number(rule.handle?.id),
      ...(rule.comment !== undefined && { comment: rule.comment }),
      expr: rule.stmts.map((s) => jsonStatement(s, options, rule.family)),
    },
  };
}

function typeJson(type: Datatype): Json {
  return type.parts === undefined ? type.name : type.parts.map((part) => part.name);
}

const SET_FLAGS: readonly (readonly [number, string])[] = [
  [U.NFT_SET_CONSTANT, 'constant'],
  [U.NFT_SET_INTERVAL, 'interval'],
  [U.NFT_SET_TIMEOUT, 'timeout'],
  [U.NFT_SET_EVAL, 'dynamic'],
];

export function setJson(table: Place, set: SetEntry, options: JsonContext): Json {
  const known = options.release === '1.1.0' ? SET_FLAGS : SET_FLAGS.filter(([bit]) => bit !== U.NFT_SET_EVAL);
  const flags = known.filter(([bit]) => set.flags & bit).map(([, name]) => name);
  const data = set.objType !== undefined ? (set.dataText ?? '') : set.dataType;
  const map =
    data === undefined ? undefined : typeof data === 'string' ? data : data === verdictType ? 'verdict' : data.name;
  const member = (element: ElementExpr): Json => jsonElement(element, options);
  return {
    [set.isMap ? 'map' : 'set']: {
      family: table.family,
      name: set.name,
      table: table.name,
      type: typeJson(set.keyType),
      handle: number(set.handle),
      ...(set.comment !== undefined && { comment: set.comment }),
      ...(map !== undefined && { map }),
      ...(!(set.flags & U.NFT_SET_CONSTANT) && set.policy === U.NFT_SET_POL_MEMORY && { policy: 'memory' }),
      ...(!(set.flags & U.NFT_SET_CONSTANT) && set.size !== undefined && { size: set.size }),
      ...(flags.length > 0 && { flags }),
      ...(set.autoMerge && options.release === '1.1.0' && { 'auto-merge': true }),
      ...(set.timeout !== undefined && { timeout: Math.floor(set.timeout / 1000) }),
      ...(set.gcInterval !== undefined && { 'gc-interval': Math.floor(set.gcInterval / 1000) }),
      ...(!options.terse && set.elementList.length > 0 && { elem: set.elementList.map(member) }),
      ...(set.stmts.length > 0 && {
        stmt: set.stmts.map((s) => jsonStatement(s, { ...options, stateless: true }, table.family)),
      }),
    },
  };
}

const L3: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 3: 'arp', 5: 'netdev', 7: 'bridge', 10: 'ip6' };

function specJson(spec: ObjectSpec): JsonObject {
  const l3 = (value: number | undefined): string => L3[value ?? 0] ?? String(value);
  switch (spec.type) {
    case 'counter':
      return { packets: Number(spec.packets), bytes: Number(spec.bytes) };
    case 'quota':
      return { bytes: Number(spec.bytes), used: Number(spec.used), inv: spec.over };
    case 'limit':
      if (spec.limit.burst > 0) return jsonLimit(spec.limit);
      // Objects say nothing of a burst that is not there.
      return (({ burst: _, burst_unit: __, ...rest }: JsonObject): JsonObject => rest)(jsonLimit(spec.limit));
    case 'ct helper':
      return { type: spec.helper, protocol: protocolName(spec.l4proto), l3proto: l3(spec.l3proto) };
    case 'ct timeout':
      return {
        protocol: protocolName(spec.l4proto),
        l3proto: l3(spec.l3proto),
        policy: Object.fromEntries(spec.policy),
      };
    case 'ct expectation':
      return {
        protocol: protocolName(spec.l4proto),
        dport: spec.dport,
        timeout: spec.timeout,
        size: spec.size,
        l3proto: l3(spec.l3proto),
      };
    case 'secmark':
      return { context: spec.context };
    case 'synproxy': {
      const flags = [spec.flags & 8 ? 'timestamp' : '', spec.flags & 4 ? 'sack-perm' : ''].filter(
        (word) => word !== '',
      );
      return {
        mss: spec.mss,
        wscale: spec.wscale,
        ...(flags.length > 0 && { flags }),
      };
    }
  }
}

export function objectJson(table: Place, object: ObjectView, _options: JsonContext): Json {
  return {
    [object.spec.type]: {
      family: table.family,
      name: object.name,
      table: table.name,
      handle: number(object.handle),
      ...(object.comment !== undefined && { comment: object.comment }),
      ...specJson(object.spec),
    },
  };
}
