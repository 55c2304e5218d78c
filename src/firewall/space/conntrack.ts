/**
 * Connection tracking as rules see it, by enumeration: a packet is the first of a connection (new), belongs to one (established,
 * in either direction), is related to one, is invalid, or is not tracked. What else an entry holds is a variable.
 */
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import { isIp, type Place, type RuleRun } from './context.ts';
import { unknownLoad } from './expr-load.ts';
import type { State } from './fields.ts';
import type { ExprData } from './read.ts';
import type { Space } from './space.ts';
import { choose, equals, number, swapped } from './vector.ts';

/** Values of the field "ct state". */
export const STATES: readonly string[] = ['new', 'established', 'related', 'invalid', 'untracked'];

/** Bits of `ct state`, by value of the field. */
const STATE_BITS: readonly number[] = [8, 2, 4, 1, 64];

export const IPS_SRC_NAT_BIT = 4;
export const IPS_DST_NAT_BIT = 5;

/** Where a packet was taken out of tracking by a rule. */
function notracked(space: Space, state: State): Node {
  return state.bit(space.fields.written('notrack').first);
}

/** Where the packet's state is this one. */
export function inState(place: Place, state: State, which: number): Node {
  const { space, tracked } = place;
  const { bdd } = space;
  // Before tracking, packets are untracked when a rule said so; to the others tracking has given no state yet.
  const out = notracked(space, state);
  if (tracked === undefined) return which === 4 ? out : which === 3 ? bdd.not(out) : FALSE;
  const byVariable = equals(bdd, space.fields.vec('ct state'), Uint8Array.of(which << 5));
  return which === 4 ? bdd.or(byVariable, out) : bdd.diff(byVariable, out);
}

/** Where the packet has a connection. */
export function hasEntry(place: Place, state: State): Node {
  const { bdd } = place.space;
  return bdd.diff(bdd.not(inState(place, state, 3)), inState(place, state, 4));
}

/** Where the packet is the first of its connection: chains of type nat are asked for those. */
export function isFirst(place: Place, state: State): Node {
  const { bdd, fields } = place.space;
  return bdd.or(inState(place, state, 0), bdd.and(inState(place, state, 2), fields.flag('first packet')));
}

/** The packet goes in the reply direction. */
export function isReply(space: Space): Node {
  return space.fields.flag('ct direction');
}

export type TuplePart = 'saddr' | 'daddr' | 'sport' | 'dport' | 'protocol';

/** A part of the connection's tuple of a direction: what the packet had when it was tracked, or a variable. */
export function tuplePart(run: RuleRun, part: TuplePart, direction: number): Node[] {
  const { space, place } = run;
  const { bdd, fields } = space;
  const six = place.l3 !== NFPROTO_IPV4;
  const name = part === 'saddr' || part === 'daddr' ? `${six ? 'ip6' : 'ip'} ${part}` : part;
  const field = fields.field(name);
  const then = (place.tracked ?? run.state).vec(field);
  const kind = part === 'saddr' || part === 'daddr' ? (six ? 'ip6' : 'ip') : part === 'protocol' ? 'protocol' : 'port';
  const label = `ct ${direction === 0 ? 'original' : 'reply'} ${six && part.endsWith('addr') ? 'ip6 ' : ''}${part}`;
  // The other direction's tuple depends on translation: equal translation, equal tuple.
  const nat = direction === 0 ? '' : ` ${space.intern(natBits(space, run.state))}`;
  const other = space.opaque(
    `${label}${nat}`,
    label,
    field.width,
    'addresses of connections in their other direction',
    kind,
  );
  if (part === 'protocol') return then;
  const own = direction === 0 ? bdd.not(isReply(space)) : isReply(space);
  // A packet that is related to a connection (an ICMP error) has not the connection's addresses.
  const same = bdd.diff(own, inState(place, run.state, 2));
  return choose(bdd, same, then, other);
}

/** All bits that say how the packet is translated. */
export function natBits(space: Space, state: State): Node[] {
  const out: Node[] = [];
  for (const [level, node] of [...state.bits].sort((a, b) => a[0] - b[0]))
    if (level >= 0x40000000 && /^[sd]nat /.test(space.fields.at(level).name)) out.push(level, node);
  return out;
}

const PARTS: ReadonlyMap<number, TuplePart> = new Map([
  [U.NFT_CT_SRC, 'saddr'],
  [U.NFT_CT_DST, 'daddr'],
  [U.NFT_CT_SRC_IP, 'saddr'],
  [U.NFT_CT_DST_IP, 'daddr'],
  [U.NFT_CT_SRC_IP6, 'saddr'],
  [U.NFT_CT_DST_IP6, 'daddr'],
  [U.NFT_CT_PROTO_SRC, 'sport'],
  [U.NFT_CT_PROTO_DST, 'dport'],
]);

/** Facts about a connection that rules may read: name and bytes. */
const FACTS: ReadonlyMap<number, readonly [string, number]> = new Map([
  [U.NFT_CT_SECMARK, ['ct secmark', 4]],
  [U.NFT_CT_EXPIRATION, ['ct expiration', 4]],
  [U.NFT_CT_HELPER, ['ct helper', 16]],
  [U.NFT_CT_PKTS, ['ct packets', 8]],
  [U.NFT_CT_BYTES, ['ct bytes', 8]],
  [U.NFT_CT_AVGPKT, ['ct avgpkt', 8]],
  [U.NFT_CT_ID, ['ct id', 4]],
]);

/** The connection's status bits: known for a first packet, and what this packet's own translation added. */
export function statusBits(run: RuleRun): Node[] {
  return run.state.vec(run.space.fields.field('ct status'));
}

/** ct state as a set of bits, in host order. */
export function stateBits(run: RuleRun): Node[] {
  const { bdd } = run.space;
  const bits = number(0, 32);
  STATE_BITS.forEach((bit, which) => {
    const at = 31 - Math.log2(bit);
    bits[at] = bdd.or(bits[at], inState(run.place, run.state, which));
  });
  return swapped(bits);
}

export function ctLoad(run: RuleRun, data: ExprData): void {
  const { space, place, state } = run;
  const { fields, bdd } = space;
  const key = data.u32(U.NFTA_CT_KEY);
  const to = data.register(U.NFTA_CT_DREG);
  if (key === U.NFT_CT_STATE) {
    run.load(to, stateBits(run));
    return;
  }
  run.require(hasEntry(place, state));
  if (!isIp(place)) run.require(FALSE);
  const direction = data.has(U.NFTA_CT_DIRECTION) ? data.u8(U.NFTA_CT_DIRECTION) : undefined;
  const part = PARTS.get(key);
  if (part !== undefined) {
    const wrong = key === U.NFT_CT_SRC_IP || key === U.NFT_CT_DST_IP ? place.l3 !== NFPROTO_IPV4 : false;
    const wrong6 = key === U.NFT_CT_SRC_IP6 || key === U.NFT_CT_DST_IP6 ? place.l3 === NFPROTO_IPV4 : false;
    if (wrong || wrong6) run.require(FALSE);
    run.load(to, tuplePart(run, part, direction ?? 0));
    return;
  }
  switch (key) {
    case U.NFT_CT_DIRECTION:
      run.load(to, [...number(0, 7), isReply(space)]);
      return;
    case U.NFT_CT_STATUS:
      run.load(to, swapped(statusBits(run)));
      return;
    case U.NFT_CT_MARK:
      run.load(to, swapped(state.vec(fields.field('ct mark'))));
      return;
    case U.NFT_CT_L3PROTOCOL:
      run.load(to, number(place.l3, 8));
      return;
    case U.NFT_CT_PROTOCOL:
      run.load(to, tuplePart(run, 'protocol', 0));
      return;
    case U.NFT_CT_ZONE:
      run.load(to, swapped(state.vec(fields.written('ct zone', 16, 'number'))));
      return;
    case U.NFT_CT_LABELS: {
      const stored = space.opaque('ct label', 'ct label', 128, 'labels that connections have');
      const set = state.vec(fields.written('ct label set', 128, 'hex'));
      const first = isFirst(place, state);
      run.load(
        to,
        stored.map((bit, i) => bdd.or(bdd.diff(bit, first), set[i])),
      );
      return;
    }
    default:
  }
  const fact = FACTS.get(key);
  if (fact === undefined) unknownLoad(run, data, U.NFTA_CT_DREG, 16, `ct key ${key}`);
  else {
    const [name, bytes] = fact;
    const label = direction === undefined ? name : `${name} ${direction === 0 ? 'original' : 'reply'}`;
    if (key === U.NFT_CT_HELPER) run.require(space.opaqueFlag('has helper', 'has a helper', 'helpers of connections'));
    const vec = space.opaque(label, label, bytes * 8, `${name}, which is the same for both`, 'number');
    run.load(to, bytes === 16 ? vec : swapped(vec));
  }
}

export function ctStore(run: RuleRun, data: ExprData): void {
  const { space, place, state } = run;
  const { fields, bdd } = space;
  const key = data.u32(U.NFTA_CT_KEY);
  const from = data.register(U.NFTA_CT_SREG);
  const here = run.here();
  const entry = bdd.and(here, hasEntry(place, state));
  switch (key) {
    case U.NFT_CT_MARK:
      run.state = state.set(entry, fields.field('ct mark'), swapped(run.read(from, 4)));
      return;
    case U.NFT_CT_ZONE:
      if (place.tracked === undefined)
        run.state = state.set(here, fields.written('ct zone', 16, 'number'), swapped(run.read(from, 2)));
      return;
    case U.NFT_CT_LABELS: {
      const field = fields.written('ct label set', 128, 'hex');
      const now = state.vec(field);
      const add = run.read(from, 16);
      run.state = state.set(
        entry,
        field,
        now.map((bit, i) => bdd.or(bit, add[i])),
      );
      return;
    }
    default: {
      const field = fields.written(
        `ct ${key === U.NFT_CT_SECMARK ? 'secmark' : key === U.NFT_CT_EVENTMASK ? 'event' : `key ${key}`}`,
        32,
        'hex',
      );
      run.state = state.set(entry, field, run.read(from, 4));
    }
  }
}

/** `notrack`, before tracking. */
export function notrack(run: RuleRun): void {
  if (run.place.tracked !== undefined) return;
  run.state = run.state.set(run.here(), run.space.fields.written('notrack'), [TRUE]);
}
