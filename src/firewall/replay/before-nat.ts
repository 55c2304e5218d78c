/**
 * A capture of one side of a gateway shows the answers of the other side as they left, translated. Those of a connection
 * that the host knows get back the addresses and ports they had on the other side, so that they can come in there.
 */
import type { Conntrack } from '../../netfilter/conntrack/conntrack.ts';
import { addressesFromHeader, locate, newLocated } from '../../netfilter/conntrack/packet.ts';
import { trackerFor } from '../../netfilter/conntrack/protocols.ts';
import { equal, newTuple, PORTS, TUPLE_WORDS } from '../../netfilter/conntrack/tuple.ts';
import { manipulate } from '../../netfilter/nat/manip.ts';
import { MANIP_DST, MANIP_SRC } from '../../netfilter/nat/range.ts';

/** Rewrites packet `p`, whose network header is set; false when nothing was translated. */
export function undoNat(conntrack: Conntrack, p: number, pf: number): boolean {
  const { slab } = conntrack;
  const ip = slab.network(p);
  const end = slab.end(p);
  const found = newLocated();
  if (!locate(slab.dv, pf, ip, end, found)) return false;
  const seen = newTuple();
  const other = newTuple();
  addressesFromHeader(slab.dv, pf, ip, found.protocol, seen);
  if (!trackerFor(found.protocol).ports(slab.dv, found.at, end, seen, PORTS)) return false;
  if (!conntrack.invert(seen, 0, other, 0)) return false;
  const n = conntrack.find(other);
  if (n < 0) return false;
  const ct = conntrack.entry(n);
  const expected = ct.at(1 - (n & 1));
  if (equal(ct.words, expected, seen, 0)) return false;
  const whole = ct.words.slice(expected, expected + TUPLE_WORDS);
  return (
    manipulate(slab, p, pf, ip, end, whole, 0, MANIP_SRC, false) &&
    manipulate(slab, p, pf, ip, end, whole, 0, MANIP_DST, false)
  );
}
