/** What rules do besides accepting: how refusals are named, and effects that are part of the outcome. */
import { NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import { TRUE } from './bdd.ts';
import type { RuleRun } from './context.ts';

/** Something that a rule does besides deciding; it is part of the outcome. */
export function effect(run: RuleRun, what: string): void {
  run.state = run.state.set(run.here(), run.space.fields.written(`effect ${what}`), [TRUE]);
}

const NAMES4: Readonly<Record<number, string>> = {
  0: 'net-unreachable',
  1: 'host-unreachable',
  2: 'prot-unreachable',
  3: 'port-unreachable',
  9: 'net-prohibited',
  10: 'host-prohibited',
  13: 'admin-prohibited',
};
const NAMES6: Readonly<Record<number, string>> = {
  0: 'no-route',
  1: 'admin-prohibited',
  3: 'addr-unreachable',
  4: 'port-unreachable',
  5: 'policy-fail',
  6: 'reject-route',
};

/** How a refusal is named: the same for nft and iptables. */
export function rejectLabel(l3: number, reset: boolean, code: number): string {
  if (reset) return 'reject with tcp reset';
  return l3 === NFPROTO_IPV6
    ? `reject with icmpv6 ${NAMES6[code] ?? code}`
    : `reject with icmp ${NAMES4[code] ?? code}`;
}
