/** The helpers by name and protocol. Those that Linux has and netloom has not (H.323) are refused by name. */
import { ENOENT, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../wire/ipv4.ts';
import { ftp } from './ftp.ts';
import { pptp } from './pptp.ts';
import { sipTcp, sipUdp } from './sip.ts';
import { amanda, irc, netbiosNs, sane, snmp, tftp } from './small.ts';
import type { Helper, HelperState } from './types.ts';

const HELPERS: readonly Helper[] = [ftp, tftp, irc, sane, amanda, pptp, sipTcp, sipUdp, netbiosNs, snmp];

/** The helpers of H.323, which netloom does not have. */
const REFUSED: readonly (readonly [string, number])[] = [
  ['RAS', IPPROTO_UDP],
  ['Q.931', IPPROTO_TCP],
  ['H.245', IPPROTO_TCP],
];

/** The helper of a name and transport protocol. */
export function helperFor(name: string, protocol: number): Helper | undefined {
  return HELPERS.find((h) => h.name === name && h.protocol === protocol);
}

/** Refuses a helper that is not there: ENOENT, or EOPNOTSUPP for those that Linux has and netloom has not. */
export function needHelper(name: string, protocol: number): void {
  if (helperFor(name, protocol) !== undefined) return;
  if (REFUSED.some(([n, p]) => n === name && p === protocol))
    throw new KernelError(EOPNOTSUPP, `netloom does not support the H.323 helper ${name}`);
  throw new KernelError(ENOENT, `No such helper "${name}"`);
}

/** What a connection keeps of its helper. */
export function helperState(name: string, protocol: number): HelperState {
  const helper = helperFor(name, protocol);
  return { name, helper, expecting: [], data: helper?.newData?.() };
}
