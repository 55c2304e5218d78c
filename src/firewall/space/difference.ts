/** What two rulesets treat differently on one way: by outcome, and for packets that both accept by what they make of them. */
import { FALSE, type Node } from './bdd.ts';
import { STATES } from './conntrack.ts';
import { type State, WRITTEN } from './fields.ts';
import type { Space } from './space.ts';
import { equals } from './vector.ts';
import type { Treatment } from './worlds.ts';

export type Unlike = {
  readonly old: string;
  readonly new: string;
  /** Packets of this kind. */
  readonly node: Node;
  /** Both accept: what is unlike. */
  readonly what?: string;
};

/** Bits that either ruleset changed, by the name of what they belong to. */
function changed(space: Space, states: readonly State[], only: (name: string) => boolean): Map<string, Set<number>> {
  const out = new Map<string, Set<number>>();
  for (const state of states)
    for (const level of state.bits.keys()) {
      const { name } = space.fields.at(level);
      if (!only(name)) continue;
      const levels = out.get(name);
      if (levels === undefined) out.set(name, new Set([level]));
      else levels.add(level);
    }
  return out;
}

/** The packets of `within` for which a bit of these is unlike. */
function unlikeBits(space: Space, within: Node, a: State, b: State, levels: Iterable<number>): Node {
  const { bdd } = space;
  let out: Node = FALSE;
  // Bit by bit within the packets asked about: all bits at once could be a diagram of any size.
  for (const level of levels) out = bdd.or(out, bdd.and(within, bdd.xor(a.bit(level), b.bit(level))));
  return out;
}

/** Bookkeeping that nobody sees when everything else is equal. */
const HIDDEN = /^(?:[sd]nat done|ct status)$/;

/** What is unlike about the packets in `care`. */
export function unlike(space: Space, a: Treatment, b: Treatment, care: Node): Unlike[] {
  if (care === FALSE) return [];
  const { bdd, accept } = space;
  const pairs: [Node, Node][] = [];
  const joined = bdd.apply(a.outcome, b.outcome, (x, y) => {
    let n = pairs.findIndex(([p, q]) => p === x && q === y);
    if (n < 0) n = pairs.push([x, y]) - 1;
    return space.local(n);
  });
  const out: Unlike[] = [];
  pairs.forEach(([x, y], n) => {
    const node = bdd.and(care, bdd.is(joined, space.local(n)));
    if (node === FALSE) return;
    const [from, to] = [space.label(x), space.label(y)];
    if (x !== y) {
      out.push({ old: from, new: to, node });
      return;
    }
    if (x !== accept) {
      // A refused packet of a connection that is there may still have marked the connection.
      const state = space.fields.vec('ct state');
      const known = bdd.or(equals(bdd, state, Uint8Array.of(1 << 5)), equals(bdd, state, Uint8Array.of(2 << 5)));
      for (const levels of changed(space, [a.state, b.state], (name) => name === 'ct mark').values()) {
        const marked = unlikeBits(space, bdd.and(node, known), a.state, b.state, levels);
        if (marked !== FALSE) out.push({ old: from, new: to, node: marked, what: 'ct mark' });
      }
      return;
    }
    let rest = node;
    const told = (name: string, here: Node): void => {
      if (here === FALSE) return;
      out.push({ old: from, new: to, node: here, what: name });
      rest = bdd.diff(rest, here);
    };
    // What is translated differently also looks different: the translation is what is told.
    const rank = (name: string): number =>
      /^[sd]nat [^p]/.test(name) ? (/min|max/.test(name) ? 1 : 0) : name.startsWith('effect') ? 2 : 3;
    const seen = [...changed(space, [a.state, b.state], (name) => !HIDDEN.test(name))].sort(
      (p, q) => rank(p[0]) - rank(q[0]),
    );
    for (const [name, levels] of seen) told(name, unlikeBits(space, rest, a.state, b.state, levels));
    for (const [name, levels] of changed(space, [a.routed, b.routed], (n) => n === 'mark' || /daddr$/.test(n)))
      told(`${name} when routed`, unlikeBits(space, rest, a.routed, b.routed, levels));
  });
  return out;
}

/** What is done to an accepted packet, for one packet: "dnat to 10.0.0.5:80, mark 0x1". */
export function effectsAt(space: Space, state: State, value: (level: number) => boolean): string[] {
  const { bdd, fields } = space;
  const levels = [...state.bits.keys()].sort((a, b) => a - b);
  const names = new Map<string, number>();
  for (const level of levels) {
    const field = fields.at(level);
    names.set(field.name, field.first);
  }
  const bit = (level: number): boolean => bdd.evaluate(state.bit(level), value) === 1;
  const read = (first: number, width: number): bigint => {
    let out = 0n;
    for (let i = 0; i < width; i++) out = out * 2n + (bit(first + i) ? 1n : 0n);
    return out;
  };
  const out: string[] = [];
  for (const [name, first] of names) {
    const field = fields.at(first);
    if (first >= WRITTEN) {
      if (!/^(?:[sd]nat (?:ip6? |port )|[sd]nat done)/.test(name)) {
        const v = read(first, field.width);
        if (v === 0n) continue;
        if (field.width === 1)
          out.push(name.replace(/^[sd]nat (?=snat|dnat|masq|redir|netmap)/, '').replace(/^effect /, ''));
        else out.push(`${name} 0x${v.toString(16)}`);
      }
      continue;
    }
    let before = 0n;
    for (let i = 0; i < field.width; i++) before = before * 2n + (value(field.first + i) ? 1n : 0n);
    const now = read(field.first, field.width);
    if (now !== before && !HIDDEN.test(name)) out.push(`${name} = ${show(field.kind, now)}`);
  }
  return out;
}

function show(kind: string, value: bigint): string {
  if (kind === 'ip') return [24n, 16n, 8n, 0n].map((s) => (value >> s) & 255n).join('.');
  if (kind === 'port' || kind === 'number') return String(value);
  return `0x${value.toString(16)}`;
}

export { STATES };
