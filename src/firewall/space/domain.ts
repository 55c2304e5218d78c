/** What packets there are: combinations of fields that cannot be are left out of the comparison. */
import { NFPROTO_ARP, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import { fragment6 } from './packet-bits.ts';
import type { Side } from './side.ts';
import type { Space } from './space.ts';
import { above, between, equals, number } from './vector.ts';
import type { World } from './worlds.ts';

const ICMPV6 = Uint8Array.of(58);

/** Neighbour discovery and multicast listener messages, which are never tracked. */
const UNTRACKED6: readonly (readonly [number, number])[] = [
  [130, 137],
  [143, 143],
];

/** Headers that may stand between the IPv6 header and the transport header. */
const EXTENSIONS: readonly number[] = [0, 43, 44, 51, 60, 135];

/** Where a combination of fields can be, as far as it has to do with the levels in `support`. */
export function domainOf(space: Space, sides: readonly Side[], world: World, support: ReadonlySet<number>): Node {
  const { bdd, fields } = space;
  const uses = (name: string): boolean => {
    if (!fields.has(name)) return false;
    const { first, width } = fields.field(name);
    for (let i = 0; i < width; i++) if (support.has(first + i)) return true;
    return false;
  };
  let out: Node = TRUE;
  const require = (cond: Node): void => {
    out = bdd.and(out, cond);
  };
  const implies = (a: Node, b: Node): Node => bdd.or(bdd.not(a), b);
  if (uses('iifname')) require(space.ifaces.domain('iifname'));
  if (uses('oifname')) require(space.ifaces.domain('oifname'));
  if (uses('ct state') || uses('ct direction') || uses('first packet') || uses('ct mark') || uses('ct status')) {
    const state = fields.vec('ct state');
    const is = (which: number): Node => equals(bdd, state, Uint8Array.of(which << 5));
    require(bdd.not(above(bdd, state, Uint8Array.of(5 << 5))));
    // Only a connection's packets have a direction; its first packet goes in the original one.
    require(implies(fields.flag('ct direction'), bdd.or(is(1), is(2))));
    require(implies(fields.flag('first packet'), is(2)));
    if (world.l3 === NFPROTO_IPV6) {
      let quiet: Node = FALSE;
      const type = fields.vec('sport').slice(0, 8);
      for (const [low, high] of UNTRACKED6)
        quiet = bdd.or(quiet, between(bdd, type, Uint8Array.of(low), Uint8Array.of(high)));
      quiet = bdd.and(quiet, equals(bdd, fields.vec('protocol'), ICMPV6));
      require(bdd.not(bdd.xor(quiet, is(4))));
    } else require(bdd.not(is(4)));
    const entry = bdd.or(is(1), is(2));
    if (uses('ct mark')) require(implies(bdd.not(entry), equals(bdd, fields.vec('ct mark'), new Uint8Array(4))));
    if (uses('ct status')) {
      require(implies(bdd.not(entry), equals(bdd, fields.vec('ct status'), new Uint8Array(4))));
      // Established: packets were seen in both directions, and the entry is confirmed.
      require(implies(is(1), bdd.and(fields.vec('ct status')[30], fields.vec('ct status')[28])));
    }
  }
  if (world.l3 === NFPROTO_IPV4 && tracks(sides, NFPROTO_IPV4)) {
    // Tracking puts fragments together first. (bits 50: more fragments; 51 to 63: offset)
    const nh = fields.field('nh').first;
    for (let bit = 50; bit < 64; bit++) if (support.has(nh + bit)) require(bdd.not(bdd.variable(nh + bit)));
  }
  if (world.l3 === NFPROTO_IPV4 || world.l3 === NFPROTO_IPV6) {
    // A whole packet has at least its headers.
    const at = fields.field('nh').first + (world.l3 === NFPROTO_IPV4 ? 16 : 32);
    const length = Array.from({ length: 16 }, (_, i) => at + i);
    if (length.some((level) => support.has(level))) {
      const header = world.l3 === NFPROTO_IPV4 ? 20 : 0;
      const atLeast = (n: number): Node =>
        above(
          bdd,
          length.map((level) => bdd.variable(level)),
          Uint8Array.of(0, n),
        );
      const tcp = equals(bdd, fields.vec('protocol'), Uint8Array.of(6));
      require(bdd.ite(tcp, atLeast(header + 20), atLeast(header + 8)));
    }
  }
  if (world.l3 === NFPROTO_IPV6) {
    if (uses('later fragment') && tracks(sides, NFPROTO_IPV6)) require(bdd.not(fragment6(space)));
    const nh = fields.field('nh').first + 48;
    if (Array.from({ length: 8 }, (_, i) => nh + i).some((level) => support.has(level))) {
      const next = Array.from({ length: 8 }, (_, i) => bdd.variable(nh + i));
      const protocol = fields.vec('protocol');
      let same: Node = TRUE;
      next.forEach((bit, i) => {
        same = bdd.and(same, bdd.not(bdd.xor(bit, protocol[i])));
      });
      for (const e of EXTENSIONS) same = bdd.or(same, equals(bdd, next, Uint8Array.of(e)));
      require(same);
    }
  }
  if (uses('protocol') && world.l3 === NFPROTO_IPV6) {
    const protocol = fields.vec('protocol');
    for (const e of EXTENSIONS) require(bdd.not(equals(bdd, protocol, Uint8Array.of(e))));
  }
  if (uses('pkttype')) require(bdd.not(above(bdd, fields.vec('pkttype'), Uint8Array.of(3))));
  if (world.l3 === NFPROTO_IPV4 || world.l3 === NFPROTO_IPV6)
    for (const field of fields.all)
      if (/^fib .* type/.test(field.name) && field.width === 8 && uses(field.name)) {
        const type = fields.vec(field.name);
        require(bdd.and(bdd.not(above(bdd, type, Uint8Array.of(11))), bdd.not(equals(bdd, type, Uint8Array.of(0)))));
      }
  if (world.l3 === NFPROTO_ARP) {
    // Ethernet and IPv4, and nothing else, is what hosts ask for.
    const nh = fields.field('nh').first;
    const fixed = number(0x000108000604, 48);
    for (let bit = 0; bit < 48; bit++)
      if (support.has(nh + bit))
        require(fixed[bit] === TRUE ? bdd.variable(nh + bit) : bdd.not(bdd.variable(nh + bit)));
  }
  return out;
}

/** A side tracks connections of a family. */
export function tracks(sides: readonly Side[], pf: number): boolean {
  return sides.some((side) => side.machine.host.hooks.list(pf, 0).some((entry) => entry.name === 'conntrack'));
}
