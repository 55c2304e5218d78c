/**
 * The bytes of packets as variables: bits of the link, network and transport headers by offset, and which of them are known
 * beforehand. Packets are whole and without IP options; transport headers have at least the bytes of their protocol.
 */
import * as ip from '../../wire/ipv4.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import type { RuleRun } from './context.ts';
import { transportLevel } from './fields.ts';
import type { Space } from './space.ts';
import { equals } from './vector.ts';

/** A bit of a header: its level, or one of the three below. */
export type Bit = number;
const ZERO: Bit = -1;
const ONE: Bit = -2;
/** Beyond what is modelled. */
const BEYOND: Bit = -3;

const fixed = (one: number): Bit => (one & 1 ? ONE : ZERO);

/** Bit `bit` of the network header. */
export function networkBit(space: Space, l3: number, bit: number): Bit {
  const { fields } = space;
  const nh = fields.field('nh').first;
  if (l3 === NFPROTO_IPV4) {
    if (bit < 8) return fixed(0x45 >> (7 - bit));
    if (bit >= 72 && bit < 80) return fields.field('protocol').first + bit - 72;
    if (bit >= 96 && bit < 128) return fields.field('ip saddr').first + bit - 96;
    if (bit >= 128 && bit < 160) return fields.field('ip daddr').first + bit - 128;
    if (bit >= 160) {
      const level = transportLevel(fields, bit - 160);
      return level < 0 ? BEYOND : level;
    }
  } else if (l3 === NFPROTO_IPV6) {
    if (bit < 4) return fixed(0x6 >> (3 - bit));
    if (bit >= 64 && bit < 192) return fields.field('ip6 saddr').first + bit - 64;
    if (bit >= 192 && bit < 320) return fields.field('ip6 daddr').first + bit - 192;
    if (bit >= 320) return bit < 512 ? nh + bit : BEYOND;
  }
  return bit < 512 ? nh + bit : BEYOND;
}

/** Bit `bit` of the link header. */
export function linkBit(space: Space, bit: number): Bit {
  return bit < 144 ? space.fields.field('ll').first + bit : BEYOND;
}

/** Bytes that every packet of a protocol has behind its network header. */
function minimum(protocol: number): number {
  if (protocol === ip.IPPROTO_TCP) return 20;
  if (protocol === ip.IPPROTO_SCTP || protocol === ip.IPPROTO_DCCP) return 12;
  return 8;
}

const LONGER: readonly number[] = [ip.IPPROTO_TCP, ip.IPPROTO_SCTP, ip.IPPROTO_DCCP];

/** The packet has `bytes` bytes from its transport header on. */
export function longEnough(run: RuleRun, bytes: number): Node {
  const { space } = run;
  if (bytes <= 8) return TRUE;
  const { bdd } = space;
  const protocol = run.state.vec(space.fields.field('protocol'));
  let enough: Node = FALSE;
  for (const p of LONGER) if (minimum(p) >= bytes) enough = bdd.or(enough, equals(bdd, protocol, Uint8Array.of(p)));
  return bdd.or(
    enough,
    space.opaqueFlag(
      `th ${bytes}`,
      `${bytes} bytes behind the network header`,
      'packets are long enough or not, whatever they are',
    ),
  );
}

/** Not a later fragment: there is a transport header. */
export function hasTransport(run: RuleRun): Node {
  const { space, place } = run;
  const { bdd } = space;
  if (place.l3 === NFPROTO_IPV4) {
    let later: Node = FALSE;
    for (let bit = 51; bit < 64; bit++) later = bdd.or(later, run.state.bit(space.fields.field('nh').first + bit));
    return bdd.not(later);
  }
  if (place.l3 === NFPROTO_IPV6) return bdd.not(fragment6(space));
  return FALSE;
}

/** A later fragment of an IPv6 packet. */
export function fragment6(space: Space): Node {
  return space.opaqueFlag('later fragment', 'later fragment', 'fragments are seen as they come');
}

/** Bits of a header as they are now. Undefined: beyond what is modelled. */
export function readBits(run: RuleRun, bits: readonly Bit[]): Node[] | undefined {
  if (bits.includes(BEYOND)) return undefined;
  return bits.map((b) => (b === ZERO ? FALSE : b === ONE ? TRUE : run.state.bit(b)));
}

/** Bits of the transport header from byte `offset` on. */
export function transportBits(space: Space, offset: number, bytes: number): Bit[] {
  return Array.from({ length: bytes * 8 }, (_, i) => {
    const level = transportLevel(space.fields, offset * 8 + i);
    return level < 0 ? BEYOND : level;
  });
}
