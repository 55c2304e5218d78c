/** Messages that create tables, chains, sets, elements, rules, objects and flowtables. */
import type { AttrWriter } from '../../wire/netlink/attr.ts';
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { Chain, Expr, Family, Flowtable, ObjectDecl, Table } from './ast.ts';
import * as dt from './datatype.ts';
import type { KernelElement } from './elements.ts';
import { fail } from './eval/context.ts';
import { encodeData, encodeExpr, encodeExprs } from './expr/encode.ts';
import type { KernelExpr } from './expr/types.ts';
import type { SetInfo } from './set-info.ts';
import { typeofUdata } from './typeof-udata.ts';
import {
  ELEM_INTERVAL_OPEN,
  emitUdata,
  type Tlv,
  UDATA_COMMENT,
  UDATA_ELEM_FLAGS,
  UDATA_SET_COMMENT,
  UDATA_SET_DATA_INTERVAL,
  UDATA_SET_DATABYTEORDER,
  UDATA_SET_KEYBYTEORDER,
  UDATA_SET_MERGE_ELEMENTS,
  udataString,
  udataU32,
} from './userdata.ts';

const comment = (w: AttrWriter, attr: number, text: string | undefined): void => {
  if (text !== undefined) w.bytes(attr, emitUdata([udataString(UDATA_COMMENT, text)]));
};

export function writeTable(w: AttrWriter, table: Table): void {
  w.string(uapi.NFTA_TABLE_NAME, table.name);
  w.beU32(uapi.NFTA_TABLE_FLAGS, table.flags);
  comment(w, uapi.NFTA_TABLE_USERDATA, table.comment);
}

const HOOKS: Readonly<Record<Family, readonly string[]>> = {
  ip: ['prerouting', 'input', 'forward', 'output', 'postrouting'],
  ip6: ['prerouting', 'input', 'forward', 'output', 'postrouting'],
  inet: ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'],
  arp: ['input', 'output', 'forward'],
  bridge: ['prerouting', 'input', 'forward', 'output', 'postrouting'],
  netdev: ['ingress', 'egress'],
};
const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
};
const BRIDGE_PRIORITIES: Readonly<Record<string, number>> = { dstnat: -300, filter: -200, out: 100, srcnat: 300 };

/** The words that variables stand for. */
export function wordOf(expr: Expr): string {
  let value = expr;
  while (value.kind === 'variable') value = value.value;
  if (value.kind !== 'symbol') return fail(expr, 'invalid expression, a word is needed here');
  return value.text;
}

function priorityValue(family: Family, hook: string, expr: Expr): number {
  let value = expr;
  while (value.kind === 'variable') value = value.value;
  if (value.kind === 'binary')
    return priorityValue(family, hook, value.left) + priorityValue(family, hook, value.right);
  const m = /^([a-z]+)([+-]\d+)$/.exec(value.kind === 'symbol' ? value.text : '');
  const text = m === null ? wordOf(value) : m[1];
  const extra = m === null ? 0 : Number(m[2]);
  if (/^-?\d+$/.test(text)) return Number(text) + extra;
  const names = family === 'bridge' ? BRIDGE_PRIORITIES : PRIORITIES;
  const found = names[text];
  const wrong =
    found === undefined ||
    (family === 'arp' || family === 'netdev' ? text !== 'filter' : false) ||
    (text === 'dstnat' && hook !== 'prerouting') ||
    (text === 'srcnat' && hook !== 'postrouting') ||
    (text === 'out' && hook !== 'output');
  if (wrong) return fail(expr, 'invalid priority expression value in this context.');
  return found + extra;
}

/** Device names of a chain or flowtable, definitions resolved. */
export function deviceNames(list: readonly Expr[]): string[] {
  return list.flatMap((expr): string[] => {
    let value = expr;
    while (value.kind === 'variable') value = value.value;
    if (value.kind === 'set') return deviceNames(value.elements.map((e) => e.key));
    if (value.kind === 'list') return deviceNames(value.items);
    return [wordOf(value)];
  });
}

export function writeChain(w: AttrWriter, chain: Chain): void {
  w.string(uapi.NFTA_CHAIN_TABLE, chain.table);
  w.string(uapi.NFTA_CHAIN_NAME, chain.name);
  if (chain.name.length >= uapi.NFT_CHAIN_MAXNAMELEN) fail(chain.loc, 'chain name too long');
  const { base } = chain;
  let flags = chain.flags;
  if (base !== undefined) {
    const number = HOOKS[chain.family].indexOf(base.hook);
    if (number < 0) fail(chain.loc, `The ${chain.family} family does not support this hook`);
    if (!['filter', 'nat', 'route'].includes(base.type)) fail(chain.loc, `unknown chain type`);
    const devices = deviceNames(base.devices);
    w.nest(uapi.NFTA_CHAIN_HOOK, (n) => {
      n.beU32(uapi.NFTA_HOOK_HOOKNUM, number);
      n.beU32(uapi.NFTA_HOOK_PRIORITY, priorityValue(chain.family, base.hook, base.priority));
      if (devices.length === 1) n.string(uapi.NFTA_HOOK_DEV, devices[0]);
      else if (devices.length > 1)
        n.nest(uapi.NFTA_HOOK_DEVS, (d) => {
          for (const device of devices) d.string(uapi.NFTA_DEVICE_NAME, device);
        });
    });
    w.string(uapi.NFTA_CHAIN_TYPE, base.type);
  }
  const policy = base?.policy ?? chain.strayPolicy;
  if (policy !== undefined) {
    const text = wordOf(policy);
    if (text !== 'accept' && text !== 'drop') fail(policy, `Invalid policy ${text}`);
    w.beU32(uapi.NFTA_CHAIN_POLICY, text === 'accept' ? 1 : 0);
  }
  if (base !== undefined && flags !== 0) flags |= uapi.NFT_CHAIN_BASE;
  if (flags !== 0) w.beU32(uapi.NFTA_CHAIN_FLAGS, flags);
  comment(w, uapi.NFTA_CHAIN_USERDATA, chain.comment);
}

const BYTEORDERS: Readonly<Record<dt.ByteOrder, number>> = { invalid: 0, host: 1, big: 2 };

/** The number of a type for NFTA_SET_KEY_TYPE. */
const kernelType = (type: dt.Datatype): number => (type === dt.verdictType ? uapi.NFT_DATA_VERDICT : type.id);

export function writeSet(w: AttrWriter, set: SetInfo, stmts: readonly KernelExpr[], count?: number): void {
  w.string(uapi.NFTA_SET_TABLE, set.table);
  w.string(uapi.NFTA_SET_NAME, set.name);
  w.beU32(uapi.NFTA_SET_ID, set.id);
  w.beU32(uapi.NFTA_SET_FLAGS, set.flags);
  w.beU32(uapi.NFTA_SET_KEY_TYPE, kernelType(set.key.type!));
  w.beU32(uapi.NFTA_SET_KEY_LEN, (set.key.len! + 7) >> 3);
  if (set.data !== undefined) {
    w.beU32(uapi.NFTA_SET_DATA_TYPE, kernelType(set.data.type));
    w.beU32(uapi.NFTA_SET_DATA_LEN, ((set.data.len + 7) >> 3) * (set.dataInterval ? 2 : 1));
  }
  if (set.objType !== undefined) w.beU32(uapi.NFTA_SET_OBJ_TYPE, set.objType);
  else if (set.flags & uapi.NFT_SET_OBJECT) w.beU32(uapi.NFTA_SET_OBJ_TYPE, uapi.NFT_OBJECT_UNSPEC);
  if (set.timeout !== undefined) w.beU64(uapi.NFTA_SET_TIMEOUT, BigInt(set.timeout));
  if (set.gcInterval !== undefined) w.beU32(uapi.NFTA_SET_GC_INTERVAL, set.gcInterval);
  if (set.policy !== undefined && set.policy !== uapi.NFT_SET_POL_PERFORMANCE)
    w.beU32(uapi.NFTA_SET_POLICY, set.policy);
  const size = set.size ?? count;
  const parts = set.key.kind === 'concat' && set.flags & uapi.NFT_SET_CONCAT ? set.key.parts : undefined;
  if (size !== undefined || parts !== undefined)
    w.nest(uapi.NFTA_SET_DESC, (n) => {
      if (size !== undefined) n.beU32(uapi.NFTA_SET_DESC_SIZE, size);
      if (parts !== undefined)
        n.nest(uapi.NFTA_SET_DESC_CONCAT, (c) => {
          for (const part of parts)
            c.nest(uapi.NFTA_LIST_ELEM, (e) => {
              e.beU32(uapi.NFTA_SET_FIELD_LEN, (part.len! + 7) >> 3);
            });
        });
    });
  const udata: Tlv[] = [udataU32(UDATA_SET_KEYBYTEORDER, BYTEORDERS[set.key.byteorder ?? 'invalid'])];
  if (set.data !== undefined) udata.push(udataU32(UDATA_SET_DATABYTEORDER, BYTEORDERS[set.data.byteorder]));
  if (set.autoMerge) udata.push(udataU32(UDATA_SET_MERGE_ELEMENTS, 1));
  udata.push(...typeofUdata(set));
  if (set.dataInterval) udata.push(udataU32(UDATA_SET_DATA_INTERVAL, 1));
  if (set.comment !== undefined) udata.push(udataString(UDATA_SET_COMMENT, set.comment));
  w.bytes(uapi.NFTA_SET_USERDATA, emitUdata(udata));
  if (stmts.length === 1) encodeExpr(w, uapi.NFTA_SET_EXPR, stmts[0]);
  else if (stmts.length > 1) encodeExprs(w, uapi.NFTA_SET_EXPRESSIONS, stmts);
}

export function writeElement(w: AttrWriter, element: KernelElement): void {
  w.nest(uapi.NFTA_LIST_ELEM, (n) => {
    if (element.flags !== 0) n.beU32(uapi.NFTA_SET_ELEM_FLAGS, element.flags);
    if (element.key !== undefined) encodeData(n, uapi.NFTA_SET_ELEM_KEY, { value: element.key });
    if (element.keyEnd !== undefined) encodeData(n, uapi.NFTA_SET_ELEM_KEY_END, { value: element.keyEnd });
    if (element.timeout !== undefined) n.beU64(uapi.NFTA_SET_ELEM_TIMEOUT, BigInt(element.timeout));
    if (element.expiration !== undefined) n.beU64(uapi.NFTA_SET_ELEM_EXPIRATION, BigInt(element.expiration));
    if (element.data !== undefined) encodeData(n, uapi.NFTA_SET_ELEM_DATA, element.data);
    if (element.objref !== undefined) n.string(uapi.NFTA_SET_ELEM_OBJREF, element.objref);
    const udata: Tlv[] = element.comment === undefined ? [] : [udataString(UDATA_COMMENT, element.comment)];
    if (element.open) udata.push(udataU32(UDATA_ELEM_FLAGS, ELEM_INTERVAL_OPEN));
    if (udata.length > 0) n.bytes(uapi.NFTA_SET_ELEM_USERDATA, emitUdata(udata));
    if (element.exprs.length === 1) encodeExpr(n, uapi.NFTA_SET_ELEM_EXPR, element.exprs[0]);
    else if (element.exprs.length > 1) encodeExprs(n, uapi.NFTA_SET_ELEM_EXPRESSIONS, element.exprs);
  });
}

/** Number of states of a protocol's timeouts, by name, as the kernel's attributes count them. */
const TIMEOUT_STATES: Readonly<Record<number, readonly string[]>> = {
  6: [
    'syn_sent',
    'syn_recv',
    'established',
    'fin_wait',
    'close_wait',
    'last_ack',
    'time_wait',
    'close',
    'syn_sent2',
    'retrans',
    'unack',
  ],
  17: ['unreplied', 'replied'],
};

const L3: Readonly<Record<Family, number>> = { ip: 2, ip6: 10, inet: 1, arp: 3, bridge: 7, netdev: 5 };

export function writeObject(w: AttrWriter, object: ObjectDecl): void {
  const { spec } = object;
  w.string(uapi.NFTA_OBJ_TABLE, object.table);
  w.string(uapi.NFTA_OBJ_NAME, object.name);
  comment(w, uapi.NFTA_OBJ_USERDATA, object.comment);
  const typed = (type: number, fill: (n: AttrWriter) => void): void => {
    w.beU32(uapi.NFTA_OBJ_TYPE, type);
    w.nest(uapi.NFTA_OBJ_DATA, fill);
  };
  const l3 = ('l3proto' in spec ? spec.l3proto : undefined) ?? L3[object.family];
  switch (spec.type) {
    case 'counter':
      typed(uapi.NFT_OBJECT_COUNTER, (n) => {
        n.beU64(uapi.NFTA_COUNTER_BYTES, spec.bytes).beU64(uapi.NFTA_COUNTER_PACKETS, spec.packets);
      });
      return;
    case 'quota':
      typed(uapi.NFT_OBJECT_QUOTA, (n) => {
        n.beU64(uapi.NFTA_QUOTA_BYTES, spec.bytes);
        if (spec.used > 0n) n.beU64(uapi.NFTA_QUOTA_CONSUMED, spec.used);
        n.beU32(uapi.NFTA_QUOTA_FLAGS, spec.over ? uapi.NFT_QUOTA_F_INV : 0);
      });
      return;
    case 'limit': {
      const { limit } = spec;
      typed(uapi.NFT_OBJECT_LIMIT, (n) => {
        n.beU64(uapi.NFTA_LIMIT_RATE, limit.rate).beU64(uapi.NFTA_LIMIT_UNIT, limit.unit);
        n.beU32(uapi.NFTA_LIMIT_BURST, limit.burst).beU32(uapi.NFTA_LIMIT_TYPE, limit.type);
        n.beU32(uapi.NFTA_LIMIT_FLAGS, limit.over ? uapi.NFT_LIMIT_F_INV : 0);
      });
      return;
    }
    case 'ct helper':
      typed(uapi.NFT_OBJECT_CT_HELPER, (n) => {
        n.string(uapi.NFTA_CT_HELPER_NAME, spec.helper);
        n.beU16(uapi.NFTA_CT_HELPER_L3PROTO, l3).u8(uapi.NFTA_CT_HELPER_L4PROTO, spec.l4proto);
      });
      return;
    case 'ct timeout': {
      const states = TIMEOUT_STATES[spec.l4proto] ?? [];
      const values = spec.policy.map(([state, seconds]): readonly [number, number] => {
        const at = states.indexOf(state);
        if (at < 0) fail(object.loc, `invalid state name ${state}`);
        return [at + 1, seconds];
      });
      typed(uapi.NFT_OBJECT_CT_TIMEOUT, (n) => {
        n.beU16(uapi.NFTA_CT_TIMEOUT_L3PROTO, l3).u8(uapi.NFTA_CT_TIMEOUT_L4PROTO, spec.l4proto);
        n.nest(uapi.NFTA_CT_TIMEOUT_DATA, (d) => {
          for (const [at, seconds] of values) d.beU32(at, seconds);
        });
      });
      return;
    }
    case 'ct expectation':
      typed(uapi.NFT_OBJECT_CT_EXPECT, (n) => {
        n.beU16(uapi.NFTA_CT_EXPECT_L3PROTO, l3).u8(uapi.NFTA_CT_EXPECT_L4PROTO, spec.l4proto);
        n.beU16(uapi.NFTA_CT_EXPECT_DPORT, spec.dport).beU32(uapi.NFTA_CT_EXPECT_TIMEOUT, spec.timeout);
        n.u8(uapi.NFTA_CT_EXPECT_SIZE, spec.size);
      });
      return;
    case 'secmark':
      typed(uapi.NFT_OBJECT_SECMARK, (n) => {
        n.string(uapi.NFTA_SECMARK_CTX, spec.context);
      });
      return;
    case 'synproxy':
      typed(uapi.NFT_OBJECT_SYNPROXY, (n) => {
        n.beU16(uapi.NFTA_SYNPROXY_MSS, spec.mss).u8(uapi.NFTA_SYNPROXY_WSCALE, spec.wscale);
        n.beU32(uapi.NFTA_SYNPROXY_FLAGS, spec.flags);
      });
      return;
  }
}

export function writeFlowtable(w: AttrWriter, flowtable: Flowtable): void {
  w.string(uapi.NFTA_FLOWTABLE_TABLE, flowtable.table);
  w.string(uapi.NFTA_FLOWTABLE_NAME, flowtable.name);
  w.nest(uapi.NFTA_FLOWTABLE_HOOK, (n) => {
    if (flowtable.priority !== undefined) {
      n.beU32(uapi.NFTA_FLOWTABLE_HOOK_NUM, 0);
      n.beU32(uapi.NFTA_FLOWTABLE_HOOK_PRIORITY, priorityValue('netdev', 'ingress', flowtable.priority));
    }
    n.nest(uapi.NFTA_FLOWTABLE_HOOK_DEVS, (d) => {
      for (const device of deviceNames(flowtable.devices)) d.string(uapi.NFTA_DEVICE_NAME, device);
    });
  });
  if (flowtable.flags !== 0) w.beU32(uapi.NFTA_FLOWTABLE_FLAGS, flowtable.flags);
}
