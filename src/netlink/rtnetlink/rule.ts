/**
 * RTM_{NEW,DEL,GET}RULE: policy routing rules. See linux/fib_rules.h, ip-rule(8).
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import type { Fib } from '../../inet/fib.ts';
import { type FibRule, makeRule } from '../../inet/fib-rule.ts';
import { addressSize } from '../../inet/route.ts';
import { bytesOf, sameWords, wordsOf } from '../../inet/words.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getString, getU8, getU16, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitRuleHeader, FIB_RULE_HDR_LENGTH, parseRuleHeader } from '../../wire/netlink/rtnetlink.ts';
import { NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { RtnetlinkHost } from './host.ts';
import { fibOf } from './route.ts';

type Attrs = ReadonlyMap<number, Attr>;

function pair(range: readonly [number, number], size: 2 | 4): Uint8Array {
  const out = new Uint8Array(size * 2);
  const dv = new DataView(out.buffer);
  range.forEach((n, i) => {
    if (size === 2) dv.setUint16(i * 2, n, true);
    else dv.setUint32(i * 4, n, true);
  });
  return out;
}

/** The payload of RTM_NEWRULE for a rule. */
export function rulePayload(fib: Fib, rule: FibRule): Uint8Array {
  const size = addressSize(rule.family);
  let flags = rule.flags & (u.FIB_RULE_INVERT | u.FIB_RULE_PERMANENT);
  if (rule.action === u.FR_ACT_GOTO && !fib.resolved(rule)) flags |= u.FIB_RULE_UNRESOLVED;
  if (rule.iifname !== '' && fib.devices.index(rule.iifname) === 0) flags |= u.FIB_RULE_IIF_DETACHED;
  if (rule.oifname !== '' && fib.devices.index(rule.oifname) === 0) flags |= u.FIB_RULE_OIF_DETACHED;
  const w = new AttrWriter();
  w.raw(
    emitRuleHeader({
      family: rule.family,
      dstLength: rule.dstLength,
      srcLength: rule.srcLength,
      tos: rule.tos,
      table: rule.table < 256 ? rule.table : u.RT_TABLE_COMPAT,
      action: rule.action,
      flags: flags & ~u.FIB_RULE_PERMANENT,
    }),
  );
  w.u32(u.FRA_TABLE, rule.table).u32(u.FRA_SUPPRESS_PREFIXLEN, rule.suppressPrefixLength);
  w.u8(u.FRA_PROTOCOL, rule.protocol);
  if (rule.iifname !== '') w.string(u.FRA_IIFNAME, rule.iifname);
  if (rule.oifname !== '') w.string(u.FRA_OIFNAME, rule.oifname);
  if (rule.priority !== 0) w.u32(u.FRA_PRIORITY, rule.priority);
  if (rule.mark !== 0) w.u32(u.FRA_FWMARK, rule.mark);
  if (rule.markMask !== 0 || rule.mark !== 0) w.u32(u.FRA_FWMASK, rule.markMask);
  if (rule.action === u.FR_ACT_GOTO) w.u32(u.FRA_GOTO, rule.target);
  if (rule.uids !== undefined) w.bytes(u.FRA_UID_RANGE, pair(rule.uids, 4));
  if (rule.suppressIfgroup >= 0) w.u32(u.FRA_SUPPRESS_IFGROUP, rule.suppressIfgroup);
  if (rule.sport !== undefined) w.bytes(u.FRA_SPORT_RANGE, pair(rule.sport, 2));
  if (rule.dport !== undefined) w.bytes(u.FRA_DPORT_RANGE, pair(rule.dport, 2));
  if (rule.ipProtocol !== 0) w.u8(u.FRA_IP_PROTO, rule.ipProtocol);
  if (rule.dstLength > 0) w.bytes(u.FRA_DST, bytesOf(rule.dst, size));
  if (rule.srcLength > 0) w.bytes(u.FRA_SRC, bytesOf(rule.src, size));
  return w.finish();
}

/** RTM_GETRULE: a dump. */
export function getRules(host: RtnetlinkHost, m: Message): Uint8Array[] {
  const { family } = parseRuleHeader(m.payload);
  const out: Uint8Array[] = [];
  for (const f of family === AF_UNSPEC ? [AF_INET, AF_INET6] : [family]) {
    const fib = fibOf(host, f);
    for (const rule of fib.rules()) out.push(rulePayload(fib, rule));
  }
  return out;
}

function range(attr: Attr | undefined, size: 2 | 4): readonly [number, number] | undefined {
  if (attr === undefined) return undefined;
  if (attr.payload.length < size * 2) throw new KernelError(EINVAL, undefined, attr.offset);
  const get = size === 2 ? getU16 : getU32;
  return [get(attr.payload), get(attr.payload.subarray(size))];
}

function read(host: RtnetlinkHost, m: Message): { fib: Fib; rule: FibRule; attrs: Attrs } {
  const header = parseRuleHeader(m.payload);
  const attrs = attrMap(m.payload, FIB_RULE_HDR_LENGTH);
  const fib = fibOf(host, header.family);
  const size = addressSize(header.family);
  if (header.srcLength > size * 8 || header.dstLength > size * 8)
    throw new KernelError(EINVAL, 'Invalid prefix length');
  for (const type of [u.FRA_L3MDEV, u.FRA_TUN_ID, u.FRA_FLOW])
    if (attrs.has(type))
      throw new KernelError(EOPNOTSUPP, 'netloom does not support this rule attribute', attrs.get(type)?.offset);
  const num = (type: number): number | undefined => {
    const attr = attrs.get(type);
    return attr === undefined ? undefined : getU32(attr.payload);
  };
  const src = attrs.get(u.FRA_SRC);
  const dst = attrs.get(u.FRA_DST);
  const text = (type: number): string => (attrs.has(type) ? getString(attrs.get(type)!.payload) : '');
  const byte = (type: number): number => (attrs.has(type) ? getU8(attrs.get(type)!.payload) : 0);
  const mark = num(u.FRA_FWMARK);
  const rule = makeRule({
    family: header.family,
    priority: num(u.FRA_PRIORITY) ?? fib.defaultPriority(),
    action: header.action,
    table: num(u.FRA_TABLE) ?? header.table,
    flags: header.flags & u.FIB_RULE_INVERT,
    src: src === undefined ? new Uint32Array(4) : wordsOf(src.payload),
    srcLength: header.srcLength,
    dst: dst === undefined ? new Uint32Array(4) : wordsOf(dst.payload),
    dstLength: header.dstLength,
    tos: header.tos,
    iifname: text(u.FRA_IIFNAME),
    oifname: text(u.FRA_OIFNAME),
    mark: mark ?? 0,
    markMask: num(u.FRA_FWMASK) ?? (mark === undefined ? 0 : 0xffffffff),
    ipProtocol: byte(u.FRA_IP_PROTO),
    sport: range(attrs.get(u.FRA_SPORT_RANGE), 2),
    dport: range(attrs.get(u.FRA_DPORT_RANGE), 2),
    uids: range(attrs.get(u.FRA_UID_RANGE), 4),
    suppressPrefixLength: (num(u.FRA_SUPPRESS_PREFIXLEN) ?? 0xffffffff) | 0,
    suppressIfgroup: (num(u.FRA_SUPPRESS_IFGROUP) ?? 0xffffffff) | 0,
    target: num(u.FRA_GOTO) ?? 0,
    protocol: byte(u.FRA_PROTOCOL),
  });
  return { fib, rule, attrs };
}

/** RTM_NEWRULE. A rule may stand twice when its priority was not asked for. */
export function newRule(host: RtnetlinkHost, m: Message): { fib: Fib; rule: FibRule } {
  const { fib, rule, attrs } = read(host, m);
  if (rule.action === u.FR_ACT_UNSPEC) throw new KernelError(EINVAL);
  if (rule.action === u.FR_ACT_GOTO && rule.target === 0) throw new KernelError(EINVAL, 'Invalid goto target');
  if (rule.action === u.FR_ACT_TO_TBL) {
    if (rule.table === 0) throw new KernelError(EINVAL, 'Invalid table');
    fib.table(rule.table);
  }
  fib.addRule(rule, (m.flags & NLM_F_EXCL) !== 0 && attrs.has(u.FRA_PRIORITY));
  return { fib, rule };
}

/** RTM_DELRULE: the first rule that is not contradicted by what the request says. */
export function deleteRule(host: RtnetlinkHost, m: Message): { fib: Fib; rule: FibRule } {
  const { fib, rule: want, attrs } = read(host, m);
  const has = (type: number): boolean => attrs.has(type);
  const gone = fib.deleteRule(
    (r) =>
      (want.action === 0 || r.action === want.action) &&
      (want.table === 0 || r.table === want.table) &&
      (!has(u.FRA_PRIORITY) || r.priority === want.priority) &&
      (!has(u.FRA_IIFNAME) || r.iifname === want.iifname) &&
      (!has(u.FRA_OIFNAME) || r.oifname === want.oifname) &&
      (!has(u.FRA_FWMARK) || r.mark === want.mark) &&
      (!has(u.FRA_FWMASK) || r.markMask === want.markMask) &&
      (!has(u.FRA_UID_RANGE) || String(r.uids) === String(want.uids)) &&
      (!has(u.FRA_IP_PROTO) || r.ipProtocol === want.ipProtocol) &&
      (!has(u.FRA_SPORT_RANGE) || String(r.sport) === String(want.sport)) &&
      (!has(u.FRA_DPORT_RANGE) || String(r.dport) === String(want.dport)) &&
      (!has(u.FRA_PROTOCOL) || r.protocol === want.protocol) &&
      (want.tos === 0 || r.tos === want.tos) &&
      (want.srcLength === 0 || (r.srcLength === want.srcLength && sameWords(r.src, want.src))) &&
      (want.dstLength === 0 || (r.dstLength === want.dstLength && sameWords(r.dst, want.dst))) &&
      ((want.flags & u.FIB_RULE_INVERT) === 0 || (r.flags & u.FIB_RULE_INVERT) !== 0),
  );
  return { fib, rule: gone };
}
