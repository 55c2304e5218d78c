/** Entries in words, for traces. The listing in `conntrack -L`'s format is tools/conntrack's, made from netlink. */
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../wire/ipv4.ts';
import type { Conn } from './entry.ts';
import { trackerFor } from './protocols.ts';
import { DST, dstPort, formatTupleAddress, l3num, PORTS, protonum, srcPort, type Words } from './tuple.ts';

/** "10.0.0.7:40000"; for ICMP "10.0.0.7 id 7"; an IPv6 address with a port is in brackets. */
export function endpoint(t: Words, at: number, which: 'src' | 'dst'): string {
  const family = l3num(t, at);
  const protocol = protonum(t, at);
  const address = formatTupleAddress(t, which === 'src' ? at : at + DST, family);
  if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) return `${address} id ${srcPort(t, at)}`;
  if (t[at + PORTS] === 0) return address;
  const port = which === 'src' ? srcPort(t, at) : dstPort(t, at);
  return family === 10 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** "tcp SYN_SENT 10.0.0.7:40000 -> 203.0.113.9:443". */
export function describe(entry: Conn): string {
  const at = entry.at(0);
  const number = protonum(entry.words, at);
  const tracker = trackerFor(number);
  const name = tracker.protocol === 0 ? `protocol ${number}` : tracker.name;
  const state = tracker.stateName?.(entry);
  return `${name}${state === undefined ? '' : ` ${state}`} ${endpoint(entry.words, at, 'src')} -> ${endpoint(entry.words, at, 'dst')}`;
}
