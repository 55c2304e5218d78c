/**
 * A set of packets as few boxes that people can read: each box names, for some fields, the values they may have, and is as large as
 * it can be (a prime implicant in fields). Boxes may overlap; together they are the set.
 */
import { FALSE, type Node, TRUE } from './bdd.ts';
import { type Part, partsOf } from './parts.ts';
import type { Space } from './space.ts';
import { partText } from './words.ts';
import type { World } from './worlds.ts';

export type Box = {
  /** The fields that matter, and their values. */
  readonly parts: readonly { readonly part: Part; readonly set: Node }[];
  /** The packets of the box. */
  readonly node: Node;
  /** A packet in it: what it says about the bits it names. */
  readonly point: ReadonlyMap<number, boolean>;
};

/** What a bit is when nothing asks for something else, given the bits above. */
export type Usual = (level: number, chosen: ReadonlyMap<number, boolean>) => boolean;

/** A packet of a set that is as usual as can be. */
export function usualPoint(space: Space, set: Node, usual: Usual): Map<number, boolean> {
  const { bdd } = space;
  const out = new Map<number, boolean>();
  for (let n = set; n !== TRUE; ) {
    const level = bdd.level(n);
    const wanted = usual(level, out);
    const child = wanted ? bdd.high(n) : bdd.low(n);
    const up = child === FALSE ? !wanted : wanted;
    out.set(level, up);
    n = up ? bdd.high(n) : bdd.low(n);
  }
  return out;
}

/** The protocol of a point, -1 when it leaves it open. */
export function protocolOf(space: Space, point: ReadonlyMap<number, boolean>, usual: Usual): number {
  const { first } = space.fields.field('protocol');
  let value = 0;
  for (let i = 0; i < 8; i++) value = value * 2 + ((point.get(first + i) ?? usual(first + i, point)) ? 1 : 0);
  return value;
}

/** Order in which fields are freed: the ones that say least to a person first. */
function weight(part: Part): number {
  if (part.free !== undefined) return 0;
  const order = [
    'sport',
    'ct direction',
    'ct state',
    'oifname',
    'iifname',
    'ip saddr',
    'ip6 saddr',
    'ip daddr',
    'ip6 daddr',
    'protocol',
    'dport',
  ];
  const at = order.indexOf(part.name);
  return at < 0 ? 1 : at + 2;
}

/**
 * Covers `set` with boxes inside of `set or not domain`, at most `most`; `left` are the packets that no box holds.
 */
export function boxesOf(
  space: Space,
  world: World,
  set: Node,
  domain: Node,
  usual: Usual,
  most: number,
): { readonly boxes: Box[]; readonly left: Node } {
  const { bdd } = space;
  const boxes: Box[] = [];
  const outside = bdd.diff(domain, set);
  let left = bdd.and(set, domain);
  const support = bdd.support(bdd.or(left, outside));
  for (const level of bdd.support(left)) support.add(level);
  for (const level of bdd.support(outside)) support.add(level);
  while (left !== FALSE && boxes.length < most) {
    const point = usualPoint(space, left, usual);
    const value = (level: number): boolean => point.get(level) ?? usual(level, point);
    const parts = partsOf(space.fields, world, protocolOf(space, point, usual)).filter((p) =>
      p.levels.some((l) => support.has(l)),
    );
    const sets = new Map<Part, Node>();
    for (const part of parts) {
      let only: Node = TRUE;
      for (const level of [...part.levels].reverse())
        if (support.has(level)) only = bdd.and(only, value(level) ? bdd.variable(level) : bdd.not(bdd.variable(level)));
      sets.set(part, only);
    }
    const order = [...parts].sort((a, b) => weight(a) - weight(b));
    for (const part of order) {
      let others: Node = TRUE;
      for (const [other, only] of sets) if (other !== part) others = bdd.and(others, only);
      const own = new Set(part.levels);
      const bad = bdd.andExists(others, outside, (level) => !own.has(level));
      sets.set(part, bdd.not(bad));
    }
    let node: Node = TRUE;
    for (const only of sets.values()) node = bdd.and(node, only);
    boxes.push({ parts: said(space, parts, sets, domain), node, point });
    left = bdd.diff(left, node);
  }
  return { boxes, left };
}

/** What has to be said of a box: of each field, the values that it can have there; nothing when it can have no others. */
function said(
  space: Space,
  parts: readonly Part[],
  sets: ReadonlyMap<Part, Node>,
  domain: Node,
): { part: Part; set: Node }[] {
  const { bdd } = space;
  const out: { part: Part; set: Node }[] = [];
  for (const part of parts) {
    const set = sets.get(part) ?? TRUE;
    if (set === TRUE) continue;
    let others: Node = TRUE;
    for (const [other, only] of sets) if (other !== part) others = bdd.and(others, only);
    const own = new Set(part.levels);
    const can = bdd.andExists(others, domain, (level) => !own.has(level));
    if (bdd.diff(can, set) !== FALSE) out.push({ part, set: bdd.and(set, can) });
  }
  return out;
}

const NEEDS_PORTS: ReadonlySet<string> = new Set(['sport', 'dport']);

/** A box in words: "iifname wan ct state new ip saddr 10.0.0.0/8 tcp dport 22". */
export function boxText(space: Space, world: World, box: Box): string {
  const { bdd, ifaces } = space;
  const six = world.l3 === 10;
  const words: string[] = [];
  let protocol: string | undefined;
  for (const { part, set } of box.parts) {
    const text = partText(bdd, part, set, ifaces.shown, six);
    if (text === undefined) continue;
    if (part.kind === 'protocol') {
      protocol = text.slice('protocol '.length);
      continue;
    }
    // "tcp dport 22" when the protocol is one; otherwise the protocol stands by itself.
    const single = protocol !== undefined && !/[{!-]/.test(protocol);
    if (NEEDS_PORTS.has(part.name) && single) {
      words.push(`${protocol} ${text}`);
      protocol = `said ${protocol}`;
    } else if (protocol?.startsWith('said ') && NEEDS_PORTS.has(part.name)) words.push(`${protocol.slice(5)} ${text}`);
    else {
      if (protocol !== undefined && !protocol.startsWith('said ')) {
        if (!text.startsWith(protocol.replace('ipv6-icmp', 'icmpv6'))) words.push(`protocol ${protocol}`);
        protocol = `said ${protocol}`;
      }
      words.push(text);
    }
  }
  if (protocol !== undefined && !protocol.startsWith('said ')) words.push(`protocol ${protocol}`);
  return words.length === 0 ? 'every packet' : words.join(' ');
}
