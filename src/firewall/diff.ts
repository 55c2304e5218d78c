/**
 * `netloom diff`: the packets that two rulesets treat differently, found by reasoning over all packets at once (`space/`), each
 * class with an example that was sent through both.
 *
 *     const difference = compare({ text: before, file: 'rules.v4', given }, { text: after, file: 'nftables.conf', given });
 *     difference.verdict; // 'equal', 'different' or 'limit'
 */
import { summaryOfPacket } from '../wire/print.ts';
import type { Decision } from './answer.ts';
import { type FirewallOptions, inputOf, setUp } from './set-up.ts';
import { FALSE, LimitReached, type Node, TRUE } from './space/bdd.ts';
import { type Box, boxesOf, boxText } from './space/boxes.ts';
import { Care } from './space/care.ts';
import { Chains, Natures } from './space/chains.ts';
import { effectsAt, type Unlike, unlike } from './space/difference.ts';
import { domainOf } from './space/domain.ts';
import { type Executed, execute } from './space/execute.ts';
import { phraseOf } from './space/phrase-of.ts';
import { Resources } from './space/resources.ts';
import { type Side, sideOf } from './space/side.ts';
import { Space } from './space/space.ts';
import { usualPacket, type Witness, witnessOf } from './space/witness.ts';
import { type Treatment, treat, type World, worldsOf } from './space/worlds.ts';

export type CompareOptions = {
  /** Most nodes of the diagrams; default 12 million (some 400 MB). */
  readonly maxNodes?: number;
  /** Asked now and then; a text ends the comparison with the verdict "limit". */
  readonly interrupt?: (nodes: number) => string | undefined;
  /** Told what is being done. */
  readonly progress?: (what: string) => void;
  /** Most classes to tell for each pair of outcomes and way; default 12. */
  readonly maxClasses?: number;
};

/** What one ruleset makes of an example. */
export type Treated = {
  /** "accept", "drop", "reject with tcp reset"... */
  readonly outcome: string;
  /** What is done to the packet: "dnat to ...", "mark = 0x1". */
  readonly effects: readonly string[];
  /** The rule or policy that decided, or that did what is unlike. */
  readonly decided?: Decision;
};

export type Example = {
  /** "lan -> wan, ct state new: IP 10.0.0.7.40000 > 203.0.113.9.22: Flags [S]..." */
  readonly text: string;
  /** The packet for `netloom try`, where it can be said. */
  readonly phrase?: string;
  readonly hex: string;
  /** It was sent through both rulesets, and they treated it as said. */
  readonly confirmed: boolean;
  /** Why it was not. */
  readonly why?: string;
};

export type DifferenceClass = {
  /** Ways of packets: "ip forward", "ip6 input"... */
  readonly ways: readonly string[];
  /** Fields and their values in words. */
  readonly packets: string;
  /** Both accept: what is unlike. */
  readonly what?: string;
  readonly old: Treated;
  readonly new: Treated;
  readonly example: Example;
  /** What the class rests on beside the packet. */
  readonly restsOn: readonly string[];
};

export type Difference = {
  readonly verdict: 'equal' | 'different' | 'limit';
  readonly old: string;
  readonly new: string;
  readonly classes: readonly DifferenceClass[];
  /** There are more classes than are told. */
  readonly more: boolean;
  /** The ways that were compared, and those that were not. */
  readonly compared: readonly string[];
  readonly notCompared: readonly string[];
  /** Which limit was reached. */
  readonly limit?: string;
  /** What is not modelled and was taken to be the same on both sides where it provably is, and independent elsewhere. */
  readonly restsOn: readonly string[];
  readonly warnings: readonly string[];
  /** Nodes of the diagrams. */
  readonly nodes: number;
};

/** What holds for every comparison. */
const ALWAYS: readonly string[] = [
  'packets are whole: no IP options, no cut headers; checksums and logging are not compared',
  'packets of connections that are open already are taken as not translated: what NAT makes of them is not compared',
  'each way of a packet (through the host, to it, from it) is compared by itself: routing is taken to be the same',
];

/** Loads a ruleset as a side. Throws BadInput. */
export function loadSide(name: string, options: FirewallOptions): Side {
  const { machine, plan, warnings } = setUp(inputOf(options), options.given, []);
  return sideOf(name, machine, plan, warnings);
}

/** Compares two rulesets. Throws BadInput when one cannot be read. */
export function compare(old: FirewallOptions, fresh: FirewallOptions, options: CompareOptions = {}): Difference {
  options.progress?.('loading');
  return compareSides(loadSide('old', old), loadSide('new', fresh), old.file, fresh.file, options);
}

type Found = {
  readonly world: World;
  readonly old: Treatment;
  readonly new: Treatment;
  readonly unlike: readonly Unlike[];
};

/** Where tracking puts fragments together first, nobody sees one. */
function wholePackets(space: Space, sides: readonly Side[], world: World): Node {
  const nh = space.fields.field('nh').first;
  const levels = Array.from({ length: 14 }, (_, i) => nh + 50 + i);
  const later = space.fields.has('later fragment') ? [space.fields.field('later fragment').first] : [];
  return domainOf(space, sides, world, new Set([...levels, ...later]));
}

/** Treats all ways; ways that a limit kept from being compared are left out. */
function findAll(
  space: Space,
  natures: Natures,
  a: Side,
  b: Side,
  worlds: readonly World[],
  options: CompareOptions,
): { found: Found[]; limit?: string } {
  const resources = [new Resources('old'), new Resources('new')] as const;
  let found: Found[] = [];
  try {
    // Limits and sets that packets fill are told apart at first; those that turn out to be reached by the same packets are the
    // same, which may show that others are.
    const cares = new Care(space, natures, a, b);
    let careless = false;
    for (;;) {
      for (const r of resources) r.begin();
      const next: Found[] = [];
      const chains = new Chains(natures);
      for (const world of worlds) {
        options.progress?.(`${world.name}: aligning`);
        const care = space.bdd.and(wholePackets(space, [a, b], world), careless ? TRUE : cares.of(world));
        options.progress?.(`${world.name}: old rules`);
        const before = treat(space, chains, resources[0], a, world, care);
        options.progress?.(`${world.name}: new rules`);
        const after = treat(space, chains, resources[1], b, world, care);
        options.progress?.(`${world.name}: comparing`);
        next.push({ world, old: before, new: after, unlike: unlike(space, before, after, care) });
        if (resources[0].size === 0 && resources[1].size === 0) found = next;
      }
      found = next;
      if (Resources.match(space, resources[0], resources[1])) {
        found = [];
        continue;
      }
      // A limit that is not the same on both sides may answer differently to packets that no changed rule is about.
      if (careless || (!resources[0].unmatched && !resources[1].unmatched)) return { found };
      careless = true;
      found = [];
    }
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    return { found, limit: error.message };
  }
}

export function compareSides(
  a: Side,
  b: Side,
  oldName: string,
  newName: string,
  options: CompareOptions = {},
): Difference {
  const space = new Space([a, b], {
    ...(options.maxNodes !== undefined && { maxNodes: options.maxNodes }),
    ...(options.interrupt !== undefined && { interrupt: options.interrupt }),
  });
  const natures = new Natures(space.reader);
  const worlds = worldsOf([a, b]);
  const all = findAll(space, natures, a, b, worlds, options);
  let { limit } = all;
  const nodes = space.bdd.size;
  if (limit !== undefined) space.bdd.allowMore(2_000_000);
  const classes: DifferenceClass[] = [];
  const compared: string[] = [];
  let more = false;
  let different = false;
  try {
    for (const found of all.found) {
      for (const each of found.unlike) {
        const told = classesOf(space, natures, a, b, found, each, options);
        if (told === undefined) continue;
        different = true;
        more ||= told.more;
        classes.push(...told.classes);
      }
      compared.push(found.world.name);
    }
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    limit ??= error.message;
  }
  return {
    verdict: limit !== undefined ? 'limit' : different ? 'different' : 'equal',
    old: oldName,
    new: newName,
    classes: merged(classes),
    more,
    compared,
    notCompared: worlds.map((w) => w.name).filter((name) => !compared.includes(name)),
    ...(limit !== undefined && { limit }),
    restsOn: [...new Set([...ALWAYS, ...space.fields.all.flatMap((f) => (f.free === undefined ? [] : [f.free]))])],
    warnings: [...a.warnings.map((w) => `old: ${w}`), ...b.warnings.map((w) => `new: ${w}`)],
    nodes,
  };
}

function classesOf(
  space: Space,
  natures: Natures,
  a: Side,
  b: Side,
  { world, old, new: fresh }: Found,
  each: Unlike,
  options: CompareOptions,
): { classes: DifferenceClass[]; more: boolean } | undefined {
  const { bdd } = space;
  const domain = domainOf(space, [a, b], world, bdd.support(each.node));
  if (bdd.and(each.node, domain) === FALSE) return undefined;
  options.progress?.(`${world.name}: describing`);
  const usual = usualPacket(space, world);
  const { boxes, left } = boxesOf(space, world, each.node, domain, usual, options.maxClasses ?? 12);
  const out = boxes.map((box) => classOf(space, natures, [a, b], [old, fresh], world, each, box));
  return { classes: out, more: left !== FALSE };
}

function classOf(
  space: Space,
  natures: Natures,
  sides: readonly [Side, Side],
  treatments: readonly [Treatment, Treatment],
  world: World,
  each: Unlike,
  box: Box,
): DifferenceClass {
  const usual = usualPacket(space, world);
  const value = (level: number): boolean => box.point.get(level) ?? usual(level, box.point);
  const witness = witnessOf(space, world, box.point, usual);
  const runs = [execute(sides[0], world, witness), execute(sides[1], world, witness)] as const;
  const treated = (n: 0 | 1): Treated => {
    const outcome = n === 0 ? each.old : each.new;
    const decided = each.what === undefined ? runs[n].decided : (doer(sides[n], natures, runs[n]) ?? runs[n].decided);
    return {
      outcome,
      effects: outcome === 'accept' ? effectsAt(space, treatments[n].state, value) : [],
      ...(decided !== undefined && { decided }),
    };
  };
  const free = box.parts
    .filter(({ part, set }) => part.free !== undefined && set !== TRUE)
    .map(({ part }) => part.free ?? '');
  const why = disagreement(each, runs, free);
  const phrase = phraseOf(world, witness);
  return {
    ways: [world.name],
    packets: boxText(space, world, box),
    ...(each.what !== undefined && { what: plainName(each.what) }),
    old: treated(0),
    new: treated(1),
    example: {
      text: exampleText(world, witness),
      ...(phrase !== undefined && { phrase }),
      hex: [...witness.bytes].map((x) => x.toString(16).padStart(2, '0')).join(''),
      confirmed: why === undefined,
      ...(why !== undefined && { why }),
    },
    restsOn: [...new Set(free)],
  };
}

function plainName(name: string): string {
  return name.replace(/^effect /, '').replace(/^([sd]nat) .*/, '$1');
}

/** Why the example does not prove the difference; undefined when it does. */
function disagreement(
  each: Unlike,
  [a, b]: readonly [Executed, Executed],
  free: readonly string[],
): string | undefined {
  if (a.unlike !== undefined) return a.unlike;
  if (b.unlike !== undefined) return b.unlike;
  const asSaid = a.accepted === (each.old === 'accept') && b.accepted === (each.new === 'accept');
  if (asSaid && each.what === undefined) return undefined;
  const seen =
    a.mark !== b.mark ||
    a.ctMark !== b.ctMark ||
    (a.bytes !== undefined && b.bytes !== undefined && a.bytes.join() !== b.bytes.join());
  if (asSaid && (seen || /^(?:effect|snat|dnat)/.test(each.what ?? ''))) return undefined;
  if (free.length > 0) return `it rests on ${free.join('; ')}`;
  return 'sending it did not show the difference';
}

/** The last rule met that does something besides deciding. */
function doer(side: Side, natures: Natures, run: Executed): Decision | undefined {
  for (const step of [...run.steps].reverse()) {
    if (step.kind !== 'rule') continue;
    const chain = side.tables.find((t) => t.name === step.table && t.chains.has(step.chain))?.chains.get(step.chain);
    const rule = chain?.rules.find((r) => r.handle === step.handle);
    if (rule === undefined || natures.rule(rule).pure) continue;
    return {
      chain: `${step.family} ${step.table} ${step.chain}`,
      verdict: step.verdict,
      ...(step.text !== undefined && { rule: step.text }),
      ...(step.file !== undefined && { file: step.file, line: step.line }),
    };
  }
  return undefined;
}

function exampleText(world: World, witness: Witness): string {
  const way = [witness.iif ?? 'this host', witness.oif ?? 'this host'].join(' -> ');
  const facts = [
    ...(world.l3 === 2 || world.l3 === 10 ? [`${witness.state}${witness.reply ? ', reply' : ''}`] : []),
    ...(witness.mark !== 0 ? [`mark 0x${witness.mark.toString(16)}`] : []),
    ...(witness.ctMark !== 0 ? [`ct mark 0x${witness.ctMark.toString(16)}`] : []),
    ...(witness.uid !== undefined && witness.uid !== 0 ? [`uid ${witness.uid}`] : []),
  ];
  const ip = world.l3 === 2 || world.l3 === 10;
  const what = ip
    ? summaryOfPacket(witness.bytes)
    : `ARP ${[...witness.bytes].map((x) => x.toString(16).padStart(2, '0')).join('')}`;
  return `${way}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}  ${what}`;
}

/** Classes of several ways that say the same are one. */
function merged(classes: readonly DifferenceClass[]): DifferenceClass[] {
  const out: DifferenceClass[] = [];
  for (const each of classes) {
    const key = (c: DifferenceClass): string => JSON.stringify([c.packets, c.what, c.old, c.new, c.restsOn]);
    const at = out.findIndex((c) => key(c) === key(each));
    if (at < 0) out.push(each);
    else out[at] = { ...out[at], ways: [...out[at].ways, ...each.ways] };
  }
  return out;
}

export type { Node };
