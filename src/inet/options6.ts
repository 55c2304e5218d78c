/**
 * Hop-by-hop and destination options (RFC 8200 4.2): each option must be known, or its type says what to do.
 */
import { DROP } from '../core/drop.ts';
import { ICMPV6_HDR_FIELD, ICMPV6_PARAMPROB, ICMPV6_UNK_OPTION } from '../wire/icmpv6.ts';
import * as ip from '../wire/ipv6.ts';
import type { Ip6 } from './ip6.ts';

const PAD1 = 0;
const PADN = 1;
const ROUTER_ALERT = 5;
const CALIPSO = 7;
const JUMBO = 0xc2;
const HOME_ADDRESS = 0xc9;

/** Looks through the options header at `at`. False: the packet has been dropped (and answered where it must be). */
export function checkOptions(ip6: Ip6, p: number, at: number, hopByHop: boolean): boolean {
  const { world, name } = ip6.host;
  const { slab } = world;
  const { dv } = slab;
  const bad = (): false => {
    world.drop(p, DROP.IPV6_BAD_EXTHDR, name);
    return false;
  };
  if (at + 8 > slab.end(p)) return bad();
  const end = at + ((dv.getUint8(at + 1) + 1) << 3);
  if (end > slab.end(p)) return bad();
  const network = slab.network(p);
  let padding = 0;
  for (let i = at + 2; i < end; ) {
    const type = dv.getUint8(i);
    if (type === PAD1) {
      // More than seven bytes of padding in a row serve nobody but a covert channel.
      if (++padding > 7) return bad();
      i++;
      continue;
    }
    if (i + 2 > end) return bad();
    const length = dv.getUint8(i + 1) + 2;
    if (i + length > end) return bad();
    if (type === PADN) {
      padding += length;
      if (padding > 7) return bad();
      for (let k = i + 2; k < i + length; k++) if (dv.getUint8(k) !== 0) return bad();
    } else {
      padding = 0;
      if (hopByHop && type === ROUTER_ALERT) {
        if (length !== 4) return bad();
      } else if (hopByHop && type === JUMBO) {
        // A packet this long cannot be here: what claims it is wrong (RFC 2675 section 3).
        if (length !== 6 || ((i - network) & 3) !== 2) return bad();
        const wrong = dv.getUint32(i + 2) <= 0xffff ? i + 2 : ip.payloadLength(dv, network) !== 0 ? i : 0;
        if (wrong !== 0) ip6.icmp.error(p, ICMPV6_PARAMPROB, ICMPV6_HDR_FIELD, wrong - network);
        return bad();
      } else if (hopByHop && type === CALIPSO) {
        // A label of a domain that this host does not know (RFC 5570): there are none here.
        return bad();
      } else if (hopByHop || type !== HOME_ADDRESS) {
        const action = type >> 6;
        if (action === 1) return bad();
        if (action === 2 || (action === 3 && !ip.isMulticast(dv, network + ip.DST))) {
          ip6.icmp.error(p, ICMPV6_PARAMPROB, ICMPV6_UNK_OPTION, i - network);
          return bad();
        }
        if (action === 3) return bad();
      }
    }
    i += length;
  }
  return true;
}
