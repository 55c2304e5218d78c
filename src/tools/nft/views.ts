/**
 * What nf_tables messages say, as the nodes that the printers take: tables, chains, rules, sets, objects, flowtables. Dumps
 * (`cache.ts`) and notifications (`monitor.ts`) are read with them.
 */
import {
  type Attr,
  attrMap,
  getBeU16,
  getBeU32,
  getBeU64,
  getString,
  getU8,
  readAttrs,
} from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Family, ObjectSpec, Rule } from './ast.ts';
import { FAMILY_NUMBERS } from './batch.ts';
import * as dt from './datatype.ts';
import { type Part, readElements, type Shape } from './delinearize/element.ts';
import { RuleReader, type SetView } from './delinearize/rule.ts';
import { simpleStmt } from './delinearize/statements.ts';
import { decodeExpr, decodeExprs } from './expr/decode.ts';
import { typeofParts } from './typeof-text.ts';
import {
  parseUdata,
  type Tlv,
  UDATA_COMMENT,
  UDATA_SET_COMMENT,
  UDATA_SET_DATA_INTERVAL,
  UDATA_SET_KEYBYTEORDER,
  UDATA_SET_MERGE_ELEMENTS,
} from './userdata.ts';

export type ChainView = {
  readonly name: string;
  readonly handle: bigint;
  /** NFT_CHAIN_* */
  readonly flags: number;
  readonly comment?: string;
  readonly base?: {
    readonly type: string;
    readonly hook: string;
    readonly priority: number;
    readonly devices: readonly string[];
    readonly policy?: 'accept' | 'drop';
  };
  readonly rules: Rule[];
};
/** A set with the words of its declaration. */
export type SetEntry = SetView & { readonly shape: Shape; readonly keyText: string; readonly dataText?: string };
export type ObjectView = {
  readonly name: string;
  readonly handle: bigint;
  readonly comment?: string;
  readonly spec: ObjectSpec;
};
export type FlowtableView = {
  readonly name: string;
  readonly handle: bigint;
  readonly priority: number;
  readonly devices: readonly string[];
  readonly flags: number;
};
export type TableView = {
  readonly family: Family;
  readonly name: string;
  readonly handle: bigint;
  readonly flags: number;
  readonly comment?: string;
  readonly objects: ObjectView[];
  readonly sets: SetEntry[];
  readonly flowtables: FlowtableView[];
  readonly chains: ChainView[];
};
export type Ruleset = { readonly tables: readonly TableView[] };

export const FAMILIES: ReadonlyMap<number, Family> = new Map(
  Object.entries(FAMILY_NUMBERS).map(([name, number]) => [number, name as Family]),
);
const INET_HOOKS: readonly string[] = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'];
const HOOKS: Readonly<Record<Family, readonly string[]>> = {
  ip: INET_HOOKS,
  ip6: INET_HOOKS,
  inet: INET_HOOKS,
  bridge: INET_HOOKS,
  arp: ['input', 'output', 'forward'],
  netdev: ['ingress', 'egress'],
};

export type Attrs = ReadonlyMap<number, Attr>;
export const text = (a: Attrs, type: number): string => {
  const attr = a.get(type);
  return attr ? getString(attr.payload) : '';
};
export const u32 = (a: Attrs, type: number): number => {
  const attr = a.get(type);
  return attr ? getBeU32(attr.payload) : 0;
};
export const u64 = (a: Attrs, type: number): bigint => {
  const attr = a.get(type);
  return attr ? getBeU64(attr.payload) : 0n;
};
const udata = (a: Attrs, type: number): Tlv[] => {
  const attr = a.get(type);
  return attr ? parseUdata(attr.payload) : [];
};
const commentOf = (list: readonly Tlv[], type: number): { readonly comment?: string } => {
  const found = list.find((tlv) => tlv.type === type);
  return found === undefined ? {} : { comment: getString(found.value) };
};
const devicesOf = (a: Attrs, list: number, one?: number): string[] => {
  const many = a.get(list);
  if (many) return readAttrs(many.payload).map((attr) => getString(attr.payload));
  const single = one === undefined ? undefined : a.get(one);
  return single ? [getString(single.payload)] : [];
};

export function readTable(family: Family, a: Attrs): TableView {
  return {
    family,
    name: text(a, U.NFTA_TABLE_NAME),
    handle: u64(a, U.NFTA_TABLE_HANDLE),
    flags: u32(a, U.NFTA_TABLE_FLAGS),
    ...commentOf(udata(a, U.NFTA_TABLE_USERDATA), UDATA_COMMENT),
    objects: [],
    sets: [],
    flowtables: [],
    chains: [],
  };
}

/** A named object; undefined for kinds that have no words. */
export function readObject(a: Attrs): ObjectView | undefined {
  const data = a.get(U.NFTA_OBJ_DATA);
  const spec = data && objectSpec(u32(a, U.NFTA_OBJ_TYPE), attrMap(data.payload));
  return (
    spec && {
      name: text(a, U.NFTA_OBJ_NAME),
      handle: u64(a, U.NFTA_OBJ_HANDLE),
      ...commentOf(udata(a, U.NFTA_OBJ_USERDATA), UDATA_COMMENT),
      spec,
    }
  );
}

export function readFlowtable(a: Attrs): FlowtableView {
  const hook = a.get(U.NFTA_FLOWTABLE_HOOK);
  const own = hook ? attrMap(hook.payload) : new Map<number, Attr>();
  return {
    name: text(a, U.NFTA_FLOWTABLE_NAME),
    handle: u64(a, U.NFTA_FLOWTABLE_HANDLE),
    flags: u32(a, U.NFTA_FLOWTABLE_FLAGS),
    priority: u32(own, U.NFTA_FLOWTABLE_HOOK_PRIORITY) | 0,
    devices: devicesOf(own, U.NFTA_FLOWTABLE_HOOK_DEVS),
  };
}

/** A chain, without its rules. */
export function readChain(family: Family, a: Attrs): ChainView {
  const hook = a.get(U.NFTA_CHAIN_HOOK);
  const own = hook && attrMap(hook.payload);
  const policy = a.has(U.NFTA_CHAIN_POLICY) ? u32(a, U.NFTA_CHAIN_POLICY) : undefined;
  return {
    name: text(a, U.NFTA_CHAIN_NAME),
    handle: u64(a, U.NFTA_CHAIN_HANDLE),
    flags: u32(a, U.NFTA_CHAIN_FLAGS),
    ...commentOf(udata(a, U.NFTA_CHAIN_USERDATA), UDATA_COMMENT),
    ...(own && {
      base: {
        type: text(a, U.NFTA_CHAIN_TYPE),
        hook: HOOKS[family][u32(own, U.NFTA_HOOK_HOOKNUM)] ?? 'unknown',
        priority: u32(own, U.NFTA_HOOK_PRIORITY) | 0,
        devices: devicesOf(own, U.NFTA_HOOK_DEVS, U.NFTA_HOOK_DEV),
        ...(policy !== undefined && { policy: policy === 0 ? ('drop' as const) : ('accept' as const) }),
      },
    }),
    rules: [],
  };
}

/** A rule; `set` finds the sets that it names. */
export function readRule(
  family: Family,
  a: Attrs,
  set: (name: string) => SetEntry | undefined,
  release?: dt.Release,
): Rule {
  const exprs = a.get(U.NFTA_RULE_EXPRESSIONS);
  return {
    kind: 'rule',
    family,
    table: text(a, U.NFTA_RULE_TABLE),
    chain: text(a, U.NFTA_RULE_CHAIN),
    handle: { id: u64(a, U.NFTA_RULE_HANDLE) },
    stmts: exprs ? new RuleReader(family, set, release).read(decodeExprs(exprs)) : [],
    ...commentOf(udata(a, U.NFTA_RULE_USERDATA), UDATA_COMMENT),
  };
}

function objectSpec(type: number, a: Attrs): ObjectSpec | undefined {
  const u16 = (at: number): number => {
    const attr = a.get(at);
    return attr ? getBeU16(attr.payload) : 0;
  };
  const u8 = (at: number): number => {
    const attr = a.get(at);
    return attr ? getU8(attr.payload) : 0;
  };
  switch (type) {
    case U.NFT_OBJECT_COUNTER:
      return { type: 'counter', packets: u64(a, U.NFTA_COUNTER_PACKETS), bytes: u64(a, U.NFTA_COUNTER_BYTES) };
    case U.NFT_OBJECT_QUOTA:
      return {
        type: 'quota',
        bytes: u64(a, U.NFTA_QUOTA_BYTES),
        used: u64(a, U.NFTA_QUOTA_CONSUMED),
        over: (u32(a, U.NFTA_QUOTA_FLAGS) & U.NFT_QUOTA_F_INV) !== 0,
      };
    case U.NFT_OBJECT_LIMIT:
      return {
        type: 'limit',
        limit: {
          kind: 'limit',
          rate: u64(a, U.NFTA_LIMIT_RATE),
          unit: u64(a, U.NFTA_LIMIT_UNIT),
          burst: u32(a, U.NFTA_LIMIT_BURST),
          type: u32(a, U.NFTA_LIMIT_TYPE),
          over: (u32(a, U.NFTA_LIMIT_FLAGS) & U.NFT_LIMIT_F_INV) !== 0,
        },
      };
    case U.NFT_OBJECT_CT_HELPER:
      return {
        type: 'ct helper',
        helper: text(a, U.NFTA_CT_HELPER_NAME),
        l3proto: u16(U.NFTA_CT_HELPER_L3PROTO),
        l4proto: u8(U.NFTA_CT_HELPER_L4PROTO),
      };
    case U.NFT_OBJECT_CT_TIMEOUT: {
      const data = a.get(U.NFTA_CT_TIMEOUT_DATA);
      const l4proto = u8(U.NFTA_CT_TIMEOUT_L4PROTO);
      const usual = TIMEOUTS[l4proto] ?? [];
      const policy = (data ? readAttrs(data.payload) : []).flatMap((attr): (readonly [string, number])[] => {
        const state = usual[attr.type - 1];
        const seconds = getBeU32(attr.payload);
        return state === undefined || state[1] === seconds ? [] : [[state[0], seconds]];
      });
      return { type: 'ct timeout', l3proto: u16(U.NFTA_CT_TIMEOUT_L3PROTO), l4proto, policy };
    }
    case U.NFT_OBJECT_CT_EXPECT:
      return {
        type: 'ct expectation',
        l3proto: u16(U.NFTA_CT_EXPECT_L3PROTO),
        l4proto: u8(U.NFTA_CT_EXPECT_L4PROTO),
        dport: u16(U.NFTA_CT_EXPECT_DPORT),
        timeout: u32(a, U.NFTA_CT_EXPECT_TIMEOUT),
        size: u8(U.NFTA_CT_EXPECT_SIZE),
      };
    case U.NFT_OBJECT_SECMARK:
      return { type: 'secmark', context: text(a, U.NFTA_SECMARK_CTX) };
    case U.NFT_OBJECT_SYNPROXY:
      return {
        type: 'synproxy',
        mss: u16(U.NFTA_SYNPROXY_MSS),
        wscale: u8(U.NFTA_SYNPROXY_WSCALE),
        flags: u32(a, U.NFTA_SYNPROXY_FLAGS),
      };
    default:
      return undefined;
  }
}

/** States of a protocol's timeouts with the seconds that are usual: only others are listed. */
const TIMEOUTS: Readonly<Record<number, readonly (readonly [string, number])[]>> = {
  6: [
    ['syn_sent', 120],
    ['syn_recv', 60],
    ['established', 432000],
    ['fin_wait', 120],
    ['close_wait', 60],
    ['last_ack', 30],
    ['time_wait', 120],
    ['close', 10],
    ['syn_sent2', 120],
    ['retrans', 300],
    ['unack', 300],
  ],
  17: [
    ['unreplied', 30],
    ['replied', 180],
  ],
};

const OBJECT_WORDS: Readonly<Record<number, string>> = {
  [U.NFT_OBJECT_COUNTER]: 'counter',
  [U.NFT_OBJECT_QUOTA]: 'quota',
  [U.NFT_OBJECT_CT_HELPER]: 'ct helper',
  [U.NFT_OBJECT_LIMIT]: 'limit',
  [U.NFT_OBJECT_CT_TIMEOUT]: 'ct timeout',
  [U.NFT_OBJECT_SECMARK]: 'secmark',
  [U.NFT_OBJECT_CT_EXPECT]: 'ct expectation',
  [U.NFT_OBJECT_SYNPROXY]: 'synproxy',
};

/** The members of a key or of data of a set. */
function partsOf(
  type: dt.Datatype,
  bits: number,
  lengths: readonly number[],
  big: boolean,
  written: readonly { readonly len?: number }[] | undefined,
): Part[] {
  const types = type.parts ?? [type];
  return types.map((part, i) => {
    const len = written?.[i]?.len ?? (part.size || lengths[i] || (types.length === 1 ? bits : 32));
    const byteorder =
      part.byteorder !== 'invalid' ? part.byteorder : types.length > 1 ? ('big' as const) : big ? 'big' : 'host';
    return { type: part, len, byteorder };
  });
}

/** A set; `lists` gets the elements of its dump. */
export function readSet(family: Family, table: string, a: Attrs, lists: () => Attr[]): SetEntry {
  const flags = u32(a, U.NFTA_SET_FLAGS);
  const user = udata(a, U.NFTA_SET_USERDATA);
  const desc = a.get(U.NFTA_SET_DESC);
  const described = desc ? attrMap(desc.payload) : new Map<number, Attr>();
  const concat = described.get(U.NFTA_SET_DESC_CONCAT);
  const lengths = concat
    ? readAttrs(concat.payload).map((one) => u32(attrMap(one.payload), U.NFTA_SET_FIELD_LEN) * 8)
    : [];
  const keyType = dt.datatypeById(u32(a, U.NFTA_SET_KEY_TYPE)) ?? dt.integerType;
  const keyLen = u32(a, U.NFTA_SET_KEY_LEN) * 8;
  const order = user.find((tlv) => tlv.type === UDATA_SET_KEYBYTEORDER)?.value[0];
  const keyWritten = typeofParts(user, 'key');
  const dataWritten = typeofParts(user, 'data');
  const isMap = (flags & (U.NFT_SET_MAP | U.NFT_SET_OBJECT)) !== 0;
  const verdicts = u32(a, U.NFTA_SET_DATA_TYPE) === U.NFT_DATA_VERDICT;
  const dataType =
    (flags & U.NFT_SET_MAP) === 0
      ? undefined
      : verdicts
        ? dt.verdictType
        : (dt.datatypeById(u32(a, U.NFTA_SET_DATA_TYPE)) ?? dt.integerType);
  const dataBits = u32(a, U.NFTA_SET_DATA_LEN) * 8;
  const objType = flags & U.NFT_SET_OBJECT ? u32(a, U.NFTA_SET_OBJ_TYPE) : undefined;
  const dataInterval = user.some((tlv) => tlv.type === UDATA_SET_DATA_INTERVAL && tlv.value[0] !== 0);
  const shape: Shape = {
    flags,
    key: partsOf(keyType, keyLen, lengths, order === 2, keyWritten),
    ...(dataType && !verdicts && { data: partsOf(dataType, dataBits, [], false, dataWritten) }),
    dataInterval,
  };
  const one = a.get(U.NFTA_SET_EXPR);
  const many = a.get(U.NFTA_SET_EXPRESSIONS);
  const exprs = one ? [decodeExpr(one)] : many ? decodeExprs(many) : [];
  const elements = readElements(shape, lists());
  const timeout = u64(a, U.NFTA_SET_TIMEOUT);
  const gcInterval = u32(a, U.NFTA_SET_GC_INTERVAL);
  const size = u32(described, U.NFTA_SET_DESC_SIZE);
  const dataText =
    objType !== undefined
      ? (OBJECT_WORDS[objType] ?? 'unknown')
      : dataWritten && keyWritten
        ? `${dataInterval ? 'interval ' : ''}${dataWritten.map((part) => part.text).join(' . ')}`
        : dataType && `${dataInterval ? 'interval ' : ''}${dataType.name}`;
  return {
    kind: 'setdecl',
    shape,
    family,
    table,
    name: text(a, U.NFTA_SET_NAME),
    handle: u64(a, U.NFTA_SET_HANDLE),
    flags,
    isMap,
    ...(objType !== undefined && { objType }),
    ...(timeout > 0n && { timeout: Number(timeout) }),
    ...(gcInterval > 0 && { gcInterval }),
    ...(size > 0 && { size }),
    policy: u32(a, U.NFTA_SET_POLICY),
    autoMerge: user.some((tlv) => tlv.type === UDATA_SET_MERGE_ELEMENTS && tlv.value[0] !== 0),
    ...commentOf(user, UDATA_SET_COMMENT),
    stmts: exprs.flatMap((e) => simpleStmt(e) ?? []),
    keyTypeof: keyWritten !== undefined,
    keyType,
    dataType,
    keyLen,
    dataInterval,
    elementList: elements as readonly ElementExpr[],
    keyText: keyWritten?.map((part) => part.text).join(' . ') ?? keyType.name,
    ...(dataText !== undefined && { dataText }),
  };
}
