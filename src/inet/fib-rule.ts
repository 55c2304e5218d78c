/**
 * Policy routing rules (`ip rule`): an ordered list that says which table answers for which packets.
 * See ip-rule(8), linux/fib_rules.h.
 */
import { AF_INET } from '../wire/address.ts';
import {
  FIB_RULE_INVERT,
  FIB_RULE_PERMANENT,
  FR_ACT_TO_TBL,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTPROT_KERNEL,
} from '../wire/uapi/rtnetlink.ts';
import type { FibDevices } from './fib-path.ts';
import type { Flow } from './route.ts';
import { newWords, samePrefix } from './words.ts';

export type FibRule = {
  readonly family: number;
  readonly priority: number;
  /** FR_ACT_*. */
  readonly action: number;
  readonly table: number;
  /** FIB_RULE_* flags: INVERT is `not`, PERMANENT cannot be deleted. */
  readonly flags: number;
  readonly src: Uint32Array;
  readonly srcLength: number;
  readonly dst: Uint32Array;
  readonly dstLength: number;
  /** 0: any. */
  readonly tos: number;
  /** Interface names, "" for any. "lo" as iif means packets of this host. */
  readonly iifname: string;
  readonly oifname: string;
  readonly mark: number;
  readonly markMask: number;
  /** Transport protocol, 0 for any. */
  readonly ipProtocol: number;
  /** Inclusive port ranges, undefined for any. */
  readonly sport: readonly [number, number] | undefined;
  readonly dport: readonly [number, number] | undefined;
  readonly uids: readonly [number, number] | undefined;
  /** Routes of at most this prefix length do not count; -1 for off. */
  readonly suppressPrefixLength: number;
  readonly suppressIfgroup: number;
  /** Priority to go on at, for FR_ACT_GOTO. */
  readonly target: number;
  readonly protocol: number;
};

/** A rule with the defaults of rtnetlink for what is left out. */
export function makeRule(fields: Partial<FibRule> & Pick<FibRule, 'family' | 'priority'>): FibRule {
  return {
    action: FR_ACT_TO_TBL,
    table: RT_TABLE_MAIN,
    flags: 0,
    src: newWords(),
    srcLength: 0,
    dst: newWords(),
    dstLength: 0,
    tos: 0,
    iifname: '',
    oifname: '',
    mark: 0,
    markMask: 0,
    ipProtocol: 0,
    sport: undefined,
    dport: undefined,
    uids: undefined,
    suppressPrefixLength: -1,
    suppressIfgroup: -1,
    target: 0,
    protocol: 0,
    ...fields,
  };
}

/** The rules every host begins with: local, main, and for IPv4 default. */
export function defaultRules(family: number): FibRule[] {
  const rule = (priority: number, table: number, flags: number): FibRule =>
    makeRule({ family, priority, table, flags, protocol: RTPROT_KERNEL });
  const rules = [rule(0, RT_TABLE_LOCAL, FIB_RULE_PERMANENT), rule(32766, RT_TABLE_MAIN, 0)];
  if (family === AF_INET) rules.push(rule(32767, RT_TABLE_DEFAULT, 0));
  return rules;
}

/** True when the rule speaks about this flow. */
export function ruleMatches(rule: FibRule, flow: Flow, devices: FibDevices): boolean {
  return matches(rule, flow, devices) !== ((rule.flags & FIB_RULE_INVERT) !== 0);
}

function matches(rule: FibRule, flow: Flow, devices: FibDevices): boolean {
  if (rule.iifname !== '' && (flow.iif === 0 || devices.index(rule.iifname) !== flow.iif)) return false;
  if (rule.oifname !== '' && (flow.oif === 0 || devices.index(rule.oifname) !== flow.oif)) return false;
  if (((rule.mark ^ flow.mark) & rule.markMask) !== 0) return false;
  if (rule.srcLength > 0 && !samePrefix(rule.src, flow.src, rule.srcLength)) return false;
  if (rule.dstLength > 0 && !samePrefix(rule.dst, flow.dst, rule.dstLength)) return false;
  if (rule.tos !== 0 && rule.tos !== flow.tos) return false;
  if (rule.ipProtocol !== 0 && rule.ipProtocol !== flow.protocol) return false;
  if (rule.sport !== undefined && (flow.sport < rule.sport[0] || flow.sport > rule.sport[1])) return false;
  if (rule.dport !== undefined && (flow.dport < rule.dport[0] || flow.dport > rule.dport[1])) return false;
  if (rule.uids !== undefined && (flow.uid < rule.uids[0] || flow.uid > rule.uids[1])) return false;
  return true;
}
