/**
 * Listings of tables and what is in them, exactly as nft(8) 1.0.6 writes them.
 */

import { protocolByNumber } from '../../../wire/services.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Family, ObjectSpec, Rule } from '../ast.ts';
import * as dt from '../datatype.ts';
import { formatTime } from '../time.ts';
import type { ChainView, FlowtableView, ObjectView, Ruleset, SetEntry, TableView } from '../views.ts';
import { element, type PrintContext } from './expr.ts';
import { bytes, limit, stmt } from './stmt.ts';

/** The output options of nft(8). */
export type ListOptions = dt.PrintOptions & {
  /** -a */
  readonly handles?: boolean;
  /** -s */
  readonly stateless?: boolean;
  /** -t */
  readonly terse?: boolean;
  /** -y: priorities as numbers. */
  readonly numericPriority?: boolean;
};

export function contextOf(options: ListOptions): PrintContext & ListOptions {
  return { ...options, stmt };
}

const handle = (options: ListOptions, value: bigint | undefined): string =>
  options.handles && value !== undefined ? ` # handle ${value}` : '';

/** The whole ruleset. */
export function printRuleset(ruleset: Ruleset, options: ListOptions): string {
  return ruleset.tables.map((table) => printTable(table, options)).join('');
}

/** A table with everything in it. */
export function printTable(table: TableView, options: ListOptions): string {
  let out = `${tableHead(table, options)}\n`;
  let between = '';
  const flags = [
    table.flags & U.NFT_TABLE_F_DORMANT ? 'dormant' : '',
    table.flags & U.NFT_TABLE_F_OWNER ? 'owner' : '',
  ].filter((flag) => flag !== '');
  if (flags.length > 0) {
    out += `\tflags ${flags.join(',')}\n`;
    between = '\n';
  }
  if (table.comment !== undefined) {
    out += `\tcomment "${table.comment}"\n`;
    between = '\n';
  }
  const items = [
    ...table.objects.map((object) => printObject(object, options)),
    ...table.sets.filter((set) => !(set.flags & U.NFT_SET_ANONYMOUS)).map((set) => printSet(set, options)),
    ...table.flowtables.map((flowtable) => printFlowtable(flowtable, options)),
    ...table.chains
      .filter((chain) => !(chain.flags & U.NFT_CHAIN_BINDING))
      .map((chain) => printChain(table.family, chain, options)),
  ];
  for (const item of items) {
    out += between + item;
    between = '\n';
  }
  return `${out}}\n`;
}

export function tableHead(table: TableView, options: ListOptions): string {
  return `table ${table.family} ${table.name} {${handle(options, table.handle)}`;
}

const PRIORITIES: readonly (readonly [name: string, value: number, families: readonly Family[], hook?: string])[] = [
  ['raw', -300, ['ip', 'ip6', 'inet']],
  ['mangle', -150, ['ip', 'ip6', 'inet']],
  ['dstnat', -100, ['ip', 'ip6', 'inet'], 'prerouting'],
  ['filter', 0, ['ip', 'ip6', 'inet', 'arp', 'netdev']],
  ['security', 50, ['ip', 'ip6', 'inet']],
  ['srcnat', 100, ['ip', 'ip6', 'inet'], 'postrouting'],
  ['dstnat', -300, ['bridge'], 'prerouting'],
  ['filter', -200, ['bridge']],
  ['out', 100, ['bridge'], 'output'],
  ['srcnat', 300, ['bridge'], 'postrouting'],
];
/** How far a priority may be from a named one to be written with its name. */
const REACH = 10;

/** "filter", "filter + 5", "-250". */
export function priorityText(family: Family, hook: string, value: number, options: ListOptions): string {
  if (options.numericPriority) return String(value);
  for (const [name, at, families, only] of PRIORITIES) {
    const offset = value - at;
    if (!families.includes(family) || (only !== undefined && only !== hook) || Math.abs(offset) > REACH) continue;
    return offset === 0 ? name : `${name} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)}`;
  }
  return String(value);
}

const deviceList = (devices: readonly string[]): string => devices.map((device) => `"${device}"`).join(', ');

/** A chain with its rules. */
export function printChain(family: Family, chain: ChainView, options: ListOptions): string {
  return `${chainHead(family, chain, options)}${chain.rules.map((rule) => `\t\t${printRule(rule, options)}\n`).join('')}\t}\n`;
}

export function chainHead(family: Family, chain: ChainView, options: ListOptions): string {
  let out = `\tchain ${chain.name} {${handle(options, chain.handle)}\n`;
  if (chain.comment !== undefined) out += `\t\tcomment "${chain.comment}"\n`;
  const { base } = chain;
  if (base === undefined) return out;
  const devices =
    base.devices.length === 0
      ? ''
      : base.devices.length === 1
        ? ` device "${base.devices[0]}"`
        : ` devices = { ${deviceList(base.devices)} }`;
  const priority = priorityText(family, base.hook, base.priority, options);
  const policy = base.policy === undefined ? '' : ` policy ${base.policy};`;
  const flags = chain.flags & U.NFT_CHAIN_HW_OFFLOAD ? ' flags offload;' : '';
  return `${out}\t\ttype ${base.type} hook ${base.hook}${devices} priority ${priority};${policy}${flags}\n`;
}

/** A rule on one line. */
export function printRule(rule: Rule, options: ListOptions): string {
  const context = contextOf(options);
  const family: Family = rule.family;
  const words = rule.stmts.map((s) =>
    stmt(s.kind === 'tproxy' && family === 'inet' ? { ...s, tableFamily: 1 } : s, context),
  );
  if (rule.comment !== undefined) words.push(`comment "${rule.comment}"`);
  return `${words.join(' ')}${handle(options, rule.handle?.id)}`;
}

/** How many members stand on one line, by type. */
const FIVE: ReadonlySet<dt.Datatype> = new Set([
  dt.integerType,
  dt.nfprotoType,
  dt.arpopType,
  dt.inetProtoType,
  dt.inetServiceType,
  dt.tcpFlagType,
  dt.dccpPkttypeType,
  dt.markType,
  dt.ifindexType,
  dt.classidType,
  dt.uidType,
  dt.gidType,
]);
const TWO: ReadonlySet<dt.Datatype> = new Set([
  dt.ipaddrType,
  dt.ctStateType,
  dt.ctDirType,
  dt.ctStatusType,
  dt.pkttypeType,
]);

/** The members of a named set, some on a line, as many as its type takes. */
export function elementLines(set: SetEntry, options: ListOptions): string {
  const context = contextOf(options);
  const perLine = FIVE.has(set.keyType) ? 5 : TWO.has(set.keyType) ? 2 : 1;
  let out = '';
  set.elementList.forEach((one, i) => {
    if (i > 0) out += i % perLine === 0 ? ',\n\t\t\t     ' : ', ';
    out += element(one, context);
  });
  return `{ ${out} }`;
}

const SET_FLAGS: readonly (readonly [number, string])[] = [
  [U.NFT_SET_CONSTANT, 'constant'],
  [U.NFT_SET_EVAL, 'dynamic'],
  [U.NFT_SET_INTERVAL, 'interval'],
  [U.NFT_SET_TIMEOUT, 'timeout'],
];

/** A set, a map or a meter. */
export function printSet(set: SetEntry, options: ListOptions): string {
  const context = contextOf(options);
  const meter = (set.flags & U.NFT_SET_ANONYMOUS) !== 0 && (set.flags & U.NFT_SET_EVAL) !== 0;
  const word = meter ? 'meter' : set.isMap ? 'map' : 'set';
  const lines = [
    `${set.keyTypeof ? 'typeof' : 'type'} ${set.keyText}${set.dataText === undefined ? '' : ` : ${set.dataText}`}`,
  ];
  if (!(set.flags & U.NFT_SET_CONSTANT)) {
    if (set.policy === U.NFT_SET_POL_MEMORY) lines.push('policy memory');
    if (set.size) lines.push(`size ${set.size}`);
  }
  const flags = SET_FLAGS.filter(([bit]) => set.flags & bit).map(([, name]) => name);
  // A timeout says by itself what the flag would.
  const implied = flags.length === 1 && flags[0] === 'timeout' && set.timeout !== undefined;
  if (flags.length > 0 && !implied) lines.push(`flags ${flags.join(',')}`);
  if (set.stmts.length > 0) lines.push(set.stmts.map((s) => stmt(s, { ...context, stateless: true })).join(' '));
  if (set.autoMerge) lines.push('auto-merge');
  if (set.timeout) lines.push(`timeout ${formatTime(BigInt(set.timeout))}`);
  if (set.gcInterval) lines.push(`gc-interval ${formatTime(BigInt(set.gcInterval))}`);
  if (set.comment !== undefined) lines.push(`comment "${set.comment}"`);
  if (!options.terse && set.elementList.length > 0) lines.push(`elements = ${elementLines(set, options)}`);
  const body = lines.map((line) => `\t\t${line}\n`).join('');
  return `\t${word} ${set.name} {${handle(options, set.handle)}\n${body}\t}\n`;
}

const L3: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 3: 'arp', 5: 'netdev', 7: 'bridge', 10: 'ip6' };
/** The name of a transport protocol. */
export const protocolName = (number: number): string => protocolByNumber.get(number) ?? String(number);

function objectLines(spec: ObjectSpec, options: ListOptions): string[] {
  const l3 = (value: number | undefined): string => `l3proto ${L3[value ?? 0] ?? value}`;
  switch (spec.type) {
    case 'counter':
      return [options.stateless ? '' : `packets ${spec.packets} bytes ${spec.bytes}`];
    case 'quota': {
      const used = !options.stateless && spec.used > 0n ? ` used ${bytes(spec.used)}` : '';
      return [`${spec.over ? 'over ' : ''}${bytes(spec.bytes)}${used}`];
    }
    case 'limit':
      return [limit(spec.limit, {}).replace(/^limit /, '')];
    case 'ct helper':
      return [`type "${spec.helper}" protocol ${protocolName(spec.l4proto)}`, l3(spec.l3proto)];
    case 'ct timeout': {
      const time = (seconds: number): string =>
        options.release === '1.1.0' ? formatTime(BigInt(seconds) * 1000n) : String(seconds);
      const policy = spec.policy.map(([state, seconds]) => `${state} : ${time(seconds)}`).join(', ');
      return [
        `protocol ${protocolName(spec.l4proto)}`,
        l3(spec.l3proto),
        `policy = { ${policy}${policy === '' ? '' : ' '}}`,
      ];
    }
    case 'ct expectation':
      return [
        `protocol ${protocolName(spec.l4proto)}`,
        `dport ${spec.dport}`,
        `timeout ${formatTime(BigInt(spec.timeout))}`,
        `size ${spec.size}`,
        l3(spec.l3proto),
      ];
    case 'secmark':
      return [`"${spec.context}"`];
    case 'synproxy': {
      const lines: string[] = [];
      if (spec.flags & 1) lines.push(`mss ${spec.mss}`);
      if (spec.flags & 2) lines.push(`wscale ${spec.wscale}`);
      const options = [spec.flags & 8 ? 'timestamp' : '', spec.flags & 4 ? 'sack-perm' : ''].filter((word) => word);
      return options.length > 0 ? [...lines, options.join(' ')] : lines;
    }
  }
}

/** A named counter, quota, limit, helper... */
export function printObject(object: ObjectView, options: ListOptions): string {
  const comment = object.comment === undefined ? [] : [`comment "${object.comment}"`];
  const lines = [...comment, ...objectLines(object.spec, options)].filter((line) => line !== '');
  const body = lines.map((line) => `\t\t${line}\n`).join('');
  return `\t${object.spec.type} ${object.name} {${handle(options, object.handle)}\n${body}\t}\n`;
}

/** A flowtable. */
export function printFlowtable(flowtable: FlowtableView, options: ListOptions): string {
  const lines = [`hook ingress priority ${priorityText('netdev', 'ingress', flowtable.priority, options)}`];
  if (flowtable.devices.length > 0) lines.push(`devices = { ${flowtable.devices.join(', ')} }`);
  if (flowtable.flags & U.NFT_FLOWTABLE_HW_OFFLOAD) lines.push('flags offload');
  if (flowtable.flags & U.NFT_FLOWTABLE_COUNTER) lines.push('counter');
  const body = lines.map((line) => `\t\t${line}\n`).join('');
  return `\tflowtable ${flowtable.name} {${handle(options, flowtable.handle)}\n${body}\t}\n`;
}
