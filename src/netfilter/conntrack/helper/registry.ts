/** The helpers by name and protocol. Those that Linux has and netloom only names (H.323) are listed apart. */
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../wire/ipv4.ts';
import { ftp } from './ftp.ts';
import { pptp } from './pptp.ts';
import { sipTcp, sipUdp } from './sip.ts';
import { amanda, irc, netbiosNs, sane, snmp, tftp } from './small.ts';
import type { Helper, HelperState } from './types.ts';

const HELPERS: readonly Helper[] = [ftp, tftp, irc, sane, amanda, pptp, sipTcp, sipUdp, netbiosNs, snmp];

/** Named, and not carried out: connections may have them, and nothing is expected of their packets. */
const NAMED: readonly (readonly [string, number])[] = [
  ['RAS', IPPROTO_UDP],
  ['Q.931', IPPROTO_TCP],
  ['H.245', IPPROTO_TCP],
];

/** The helper of a name and transport protocol. */
export function helperFor(name: string, protocol: number): Helper | undefined {
  return HELPERS.find((h) => h.name === name && h.protocol === protocol);
}

/** True when Linux has such a helper. */
export function helperKnown(name: string, protocol: number): boolean {
  return helperFor(name, protocol) !== undefined || NAMED.some(([n, p]) => n === name && p === protocol);
}

/** What a connection keeps of its helper. */
export function helperState(name: string, protocol: number): HelperState {
  const helper = helperFor(name, protocol);
  return { name, helper, expecting: [], data: helper?.newData?.() };
}
