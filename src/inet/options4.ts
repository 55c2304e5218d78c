/**
 * IPv4 options of received packets (RFC 791 3.1, RFC 1812 5.2.4 and 5.3.13): checked, record route and timestamps filled
 * in, source routes refused (accept_source_route is 0 unless somebody sets it; netloom does not follow source routes).
 */
import * as ip from '../wire/ipv4.ts';
import { RTN_LOCAL, RTN_UNICAST } from '../wire/uapi/rtnetlink.ts';
import type { Ip4 } from './ip4.ts';
import { CB_OPTIONS } from './stack.ts';

const END = 0;
const NOOP = 1;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
const LOOSE_ROUTE = 131;
const STRICT_ROUTE = 137;
const ROUTER_ALERT = 148;
const TS_ONLY = 0;
const TS_AND_ADDRESS = 1;
const TS_PRESPECIFIED = 3;
const MS_PER_DAY = 86_400_000;

// CB_OPTIONS: | changed 1 bit at 16 | end of the timestamp's address 8 | end of the recorded address 8 |
const CHANGED = 0x10000;

/** What `readOptions` found. */
export const OPTIONS_OK = -1;
/** A source route: the packet goes without a word. */
export const OPTIONS_SOURCE_ROUTE = -2;

/**
 * Goes through the options of a routed packet. OPTIONS_OK, OPTIONS_SOURCE_ROUTE, or the offset in the header of what is
 * wrong, for the parameter problem.
 */
export function readOptions(ip4: Ip4, p: number): number {
  const { world } = ip4.host;
  const { slab } = world;
  const { dv, u8 } = slab;
  const at = slab.network(p);
  const end = at + ip.headerLength(dv, at);
  const local = slab.rtType(p) !== RTN_UNICAST;
  let recorded = 0;
  let stamped = 0;
  let changed = 0;
  let sourceRoute = false;
  // The address of this host that the packet met: for packets to be forwarded it is known when they leave.
  const own = (): number => {
    const dst = ip.dstAddr(dv, at);
    return slab.rtType(p) === RTN_LOCAL ? dst : local ? ip4.addressOn(slab.iif(p), ip.srcAddr(dv, at)) : 0;
  };
  for (let o = at + ip.HEADER_LENGTH; o < end; ) {
    const kind = u8[o];
    if (kind === END) {
      for (o++; o < end; o++) {
        if (u8[o] === 0) continue;
        u8[o] = 0;
        changed = CHANGED;
      }
      break;
    }
    if (kind === NOOP) {
      o++;
      continue;
    }
    if (o + 2 > end) return o - at;
    const length = u8[o + 1];
    if (length < 2 || o + length > end) return o - at;
    if (kind === STRICT_ROUTE || kind === LOOSE_ROUTE) {
      if (length < 3) return o + 1 - at;
      if (u8[o + 2] < 4) return o + 2 - at;
      if (sourceRoute) return o - at;
      sourceRoute = true;
    } else if (kind === RECORD_ROUTE) {
      if (recorded !== 0) return o - at;
      if (length < 3) return o + 1 - at;
      const pointer = u8[o + 2];
      if (pointer < 4) return o + 2 - at;
      recorded = 255;
      if (pointer <= length) {
        if (pointer + 3 > length) return o + 2 - at;
        dv.setUint32(o + pointer - 1, own());
        u8[o + 2] = pointer + 4;
        recorded = o + pointer + 3 - at;
        changed = CHANGED;
      }
    } else if (kind === TIMESTAMP) {
      if (stamped !== 0) return o - at;
      if (length < 4) return o + 1 - at;
      const pointer = u8[o + 2];
      if (pointer < 5) return o + 2 - at;
      stamped = 255;
      const mode = u8[o + 3] & 15;
      if (pointer > length) {
        // No room: the hosts that could not write are counted.
        if (mode !== TS_PRESPECIFIED) {
          if (u8[o + 3] >> 4 === 15) return o + 3 - at;
          u8[o + 3] += 16;
          changed = CHANGED;
        }
      } else {
        if (pointer + 3 > length) return o + 2 - at;
        const address = mode === TS_AND_ADDRESS || mode === TS_PRESPECIFIED;
        if (address && pointer + 7 > length) return o + 2 - at;
        const where = o + pointer - 1;
        if (mode === TS_AND_ADDRESS) {
          dv.setUint32(where, own());
          stamped = where + 4 - at;
        }
        if (mode === TS_ONLY || mode === TS_AND_ADDRESS || (mode === TS_PRESPECIFIED && ip4.ownAddress(where))) {
          const ms = Math.floor((world.epochMs + world.now / 1e6) % MS_PER_DAY);
          dv.setUint32(address ? where + 4 : where, ms);
          u8[o + 2] = pointer + (address ? 8 : 4);
          changed = CHANGED;
        }
      }
    } else if (kind === ROUTER_ALERT && length < 4) return o + 1 - at;
    o += length;
  }
  slab.setCb(p, CB_OPTIONS, changed | ((stamped === 255 ? 0 : stamped) << 8) | (recorded === 255 ? 0 : recorded));
  return sourceRoute ? OPTIONS_SOURCE_ROUTE : OPTIONS_OK;
}

/** A forwarded packet leaves: the address of the outgoing device goes into its options, and the checksum is made right. */
export function finishOptions(ip4: Ip4, p: number): void {
  const { slab } = ip4.host.world;
  const found = slab.cb(p, CB_OPTIONS);
  if ((found & CHANGED) === 0) return;
  const at = slab.network(p);
  for (const end of [found & 255, (found >> 8) & 255]) {
    if (end === 0) continue;
    slab.dv.setUint32(at + end - 4, ip4.addressOn(slab.oif(p), slab.dv.getUint32(slab.gatewayAt(p))));
  }
  slab.setCb(p, CB_OPTIONS, 0);
  ip.fillChecksum(slab.dv, at);
}
