/** The helpers by name and protocol. H.323's are only named. */
import { ENOENT, KernelError } from '../../../core/errno.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../wire/ipv4.ts';
import { ftp } from './ftp.ts';
import { pptp } from './pptp.ts';
import { sipTcp, sipUdp } from './sip.ts';
import { amanda, irc, netbiosNs, sane, snmp, tftp } from './small.ts';
import type { Helper, HelperState } from './types.ts';

const HELPERS: readonly Helper[] = [ftp, tftp, irc, sane, amanda, pptp, sipTcp, sipUdp, netbiosNs, snmp];

/**
 * Helpers of H.323: connections may have them, so that rulesets which give them out load as on Linux, but netloom does not
 * read their packets and expects no connection of theirs.
 */
const NAMED: readonly (readonly [string, number])[] = [
  ['RAS', IPPROTO_UDP],
  ['Q.931', IPPROTO_TCP],
  ['H.245', IPPROTO_TCP],
];

/** The helper of a name and transport protocol. */
export function helperFor(name: string, protocol: number): Helper | undefined {
  return HELPERS.find((h) => h.name === name && h.protocol === protocol);
}

/** Refuses a helper that Linux does not have (ENOENT). */
export function needHelper(name: string, protocol: number): void {
  if (helperFor(name, protocol) !== undefined || NAMED.some(([n, p]) => n === name && p === protocol)) return;
  throw new KernelError(ENOENT, `No such helper "${name}"`);
}

/** What a connection keeps of its helper. */
export function helperState(name: string, protocol: number): HelperState {
  const helper = helperFor(name, protocol);
  return { name, helper, expecting: [], data: helper?.newData?.() };
}
