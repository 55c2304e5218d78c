/**
 * ICMP and ICMPv6 errors in ping's words.
 */
import { AF_INET } from '../../wire/address.ts';

const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'Destination Net Unreachable',
  1: 'Destination Host Unreachable',
  2: 'Destination Protocol Unreachable',
  3: 'Destination Port Unreachable',
  5: 'Source Route Failed',
  6: 'Destination Net Unknown',
  7: 'Destination Host Unknown',
  8: 'Source Host Isolated',
  9: 'Destination Net Prohibited',
  10: 'Destination Host Prohibited',
  11: 'Destination Net Unreachable for Type of Service',
  12: 'Destination Host Unreachable for Type of Service',
  13: 'Packet filtered',
  14: 'Precedence Violation',
  15: 'Precedence Cutoff',
};

const UNREACHABLE6: Readonly<Record<number, string>> = {
  0: 'No route',
  1: 'Administratively prohibited',
  2: 'Beyond scope of source address',
  3: 'Address unreachable',
  4: 'Port unreachable',
};

/** The text after "icmp_seq=N" for an error message. */
export function errorText(family: number, type: number, code: number, mtu: number | undefined): string {
  if (family === AF_INET) {
    if (type === 3) {
      if (code === 4) return `Frag needed and DF set (mtu = ${mtu ?? 0})`;
      return UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`;
    }
    if (type === 4) return 'Source Quench';
    if (type === 5) return ['Redirect Network', 'Redirect Host'][code] ?? `Redirect, Bad Code: ${code}`;
    if (type === 11) return code === 0 ? 'Time to live exceeded' : 'Frag reassembly time exceeded';
    if (type === 12) return `Parameter problem: pointer = ${mtu ?? 0}`;
    return `Bad ICMP type: ${type}`;
  }
  if (type === 1) return `Destination unreachable: ${UNREACHABLE6[code] ?? `Unknown code ${code}`}`;
  if (type === 2) return `Packet too big: mtu=${mtu ?? 0}`;
  if (type === 3) return `Time exceeded: ${code === 0 ? 'Hop limit' : 'Defragmentation failure'}`;
  if (type === 4) return `Parameter problem: code ${code}`;
  return `unknown icmp type: ${type}`;
}
