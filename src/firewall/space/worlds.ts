/**
 * The ways of packets, each looked at by itself: IPv4 and IPv6 through the host, to it and from it; ARP; bridged frames; frames
 * of other kinds at the ingress of a device. Which way a packet takes is routing, and not the ruleset: every way that a
 * packet may take is compared.
 */
import type { HookEntry } from '../../core/hook.ts';
import type { Chain } from '../../netfilter/nft/model.ts';
import * as N from '../../wire/uapi/netfilter.ts';
import { type Node, TRUE } from './bdd.ts';
import type { Chains } from './chains.ts';
import { isFirst } from './conntrack.ts';
import type { Path, Place } from './context.ts';
import type { State } from './fields.ts';
import type { Resources } from './resources.ts';
import { chainsOf, isActive, type Side } from './side.ts';
import type { Space } from './space.ts';

export type Stage = {
  readonly hook: string;
  readonly pf: number;
  readonly number: number;
  readonly iif: boolean;
  readonly oif: boolean;
};

export type World = {
  /** "ip forward". */
  readonly name: string;
  readonly l3: number;
  /** NFPROTO_* of its main hooks. */
  readonly pf: number;
  readonly path: Path;
  readonly stages: readonly Stage[];
};

function ipWorlds(pf: number, name: string): World[] {
  const at = (hook: string, number: number, iif: boolean, oif: boolean): Stage => ({ hook, pf, number, iif, oif });
  const ingress: Stage = { hook: 'ingress', pf: N.NFPROTO_NETDEV, number: 0, iif: true, oif: false };
  const egress: Stage = { hook: 'egress', pf: N.NFPROTO_NETDEV, number: 1, iif: false, oif: true };
  const pre = [ingress, at('prerouting', 0, true, false)];
  return [
    {
      name: `${name} forward`,
      l3: pf,
      pf,
      path: 'forward',
      stages: [...pre, at('forward', 2, true, true), at('postrouting', 4, true, true), egress],
    },
    { name: `${name} input`, l3: pf, pf, path: 'input', stages: [...pre, at('input', 1, true, false)] },
    {
      name: `${name} output`,
      l3: pf,
      pf,
      path: 'output',
      stages: [at('output', 3, false, true), at('postrouting', 4, false, true), egress],
    },
  ];
}

function bridgeWorlds(l3: number, name: string): World[] {
  const pf = N.NFPROTO_BRIDGE;
  const at = (hook: string, number: number, iif: boolean, oif: boolean): Stage => ({ hook, pf, number, iif, oif });
  const pre = at('prerouting', 0, true, false);
  return [
    {
      name: `bridge ${name} forward`,
      l3,
      pf,
      path: 'forward',
      stages: [pre, at('forward', 2, true, true), at('postrouting', 4, false, true)],
    },
    { name: `bridge ${name} input`, l3, pf, path: 'input', stages: [pre, at('input', 1, true, false)] },
    {
      name: `bridge ${name} output`,
      l3,
      pf,
      path: 'output',
      stages: [at('output', 3, false, true), at('postrouting', 4, false, true)],
    },
  ];
}

/** The ways that base chains of the rulesets lie on. */
export function worldsOf(sides: readonly Side[]): World[] {
  const out: World[] = [];
  const families = new Set<number>();
  for (const side of sides)
    for (const { base, table } of chainsOf(side)) {
      if (base === undefined || !isActive(table)) continue;
      if (table.family === N.NFPROTO_INET) families.add(N.NFPROTO_IPV4).add(N.NFPROTO_IPV6);
      else if (table.family === N.NFPROTO_NETDEV)
        for (const f of [N.NFPROTO_IPV4, N.NFPROTO_IPV6, N.NFPROTO_NETDEV]) families.add(f);
      else families.add(table.family);
    }
  if (families.has(N.NFPROTO_IPV4)) out.push(...ipWorlds(N.NFPROTO_IPV4, 'ip'));
  if (families.has(N.NFPROTO_IPV6)) out.push(...ipWorlds(N.NFPROTO_IPV6, 'ip6'));
  const arp = (hook: string, number: number, input: boolean): World => ({
    name: `arp ${hook}`,
    l3: N.NFPROTO_ARP,
    pf: N.NFPROTO_ARP,
    path: input ? 'input' : 'output',
    stages: [{ hook, pf: N.NFPROTO_ARP, number, iif: input, oif: !input }],
  });
  if (families.has(N.NFPROTO_ARP)) out.push(arp('input', 0, true), arp('output', 1, false));
  if (families.has(N.NFPROTO_BRIDGE))
    out.push(
      ...bridgeWorlds(N.NFPROTO_IPV4, 'ip'),
      ...bridgeWorlds(N.NFPROTO_IPV6, 'ip6'),
      ...bridgeWorlds(N.NFPROTO_ARP, 'arp'),
    );
  if (families.has(N.NFPROTO_NETDEV)) {
    const ingress: Stage = { hook: 'ingress', pf: N.NFPROTO_NETDEV, number: 0, iif: true, oif: false };
    const egress: Stage = { hook: 'egress', pf: N.NFPROTO_NETDEV, number: 1, iif: false, oif: true };
    out.push({ name: 'arp ingress', l3: N.NFPROTO_ARP, pf: N.NFPROTO_NETDEV, path: 'input', stages: [ingress] });
    out.push({ name: 'arp egress', l3: N.NFPROTO_ARP, pf: N.NFPROTO_NETDEV, path: 'output', stages: [egress] });
  }
  // A way on which nobody has a chain has nothing to compare.
  return out.filter((world) => sides.some((side) => world.stages.some((stage) => entriesAt(side, stage).length > 0)));
}

type Entry = { readonly kind: 'conntrack' } | { readonly kind: 'chain'; readonly chain: Chain };

/** What packets meet at a hook, in order. Chains of type nat stand where the NAT hook is. */
function entriesAt(side: Side, stage: Stage): Entry[] {
  const byEntry = new Map<HookEntry, Chain>();
  const nat: Chain[] = [];
  const netdev: Chain[] = [];
  for (const chain of chainsOf(side)) {
    const { base, table } = chain;
    if (base === undefined || !isActive(table)) continue;
    if (stage.pf === N.NFPROTO_NETDEV) {
      const own = table.family === N.NFPROTO_NETDEV && base.hook === stage.number;
      const inet = table.family === N.NFPROTO_INET && base.hook === N.NF_INET_INGRESS && stage.number === 0;
      if (own || inet) netdev.push(chain);
      continue;
    }
    for (const entry of base.entries) byEntry.set(entry, chain);
    if (base.type === 'nat' && base.entries.some((e) => e.pf === stage.pf && e.hook === stage.number)) nat.push(chain);
  }
  const priority = (c: Chain): number => c.base?.priority ?? 0;
  if (stage.pf === N.NFPROTO_NETDEV)
    return netdev.sort((a, b) => priority(a) - priority(b)).map((chain) => ({ kind: 'chain', chain }));
  nat.sort((a, b) => priority(a) - priority(b));
  const out: Entry[] = [];
  for (const entry of side.machine.host.hooks.list(stage.pf, stage.number)) {
    const chain = byEntry.get(entry);
    if (chain !== undefined) out.push({ kind: 'chain', chain });
    else if (entry.name === 'nat') out.push(...nat.map((c): Entry => ({ kind: 'chain', chain: c })));
    else if (entry.name === 'conntrack') out.push({ kind: 'conntrack' });
  }
  return out;
}

/** What a ruleset makes of all packets of a way. */
export type Treatment = {
  /** Terminals: `space.accept`, `space.drop`, other outcomes. */
  readonly outcome: Node;
  /** Accepted packets as they leave. */
  readonly state: State;
  /** Packets as they were routed. */
  readonly routed: State;
};

/** A base chain that packets of a way meet: its place, and the packets that it is for. */
type Met = {
  readonly place: (tracked: State | undefined) => Place;
  readonly chain: Chain;
  readonly stage: Stage;
  readonly tracked: boolean;
};

/** What packets of a way meet, in order. `onTracking`: where connection tracking sees them. */
function metOn(
  space: Space,
  resources: Resources,
  side: Side,
  world: World,
  care: Node,
): (Met | 'conntrack' | 'stage')[] {
  const out: (Met | 'conntrack' | 'stage')[] = [];
  let seen = false;
  for (const stage of world.stages) {
    for (const entry of entriesAt(side, stage)) {
      if (entry.kind === 'conntrack') {
        if (stage.number !== N.NF_INET_PRE_ROUTING && stage.number !== N.NF_INET_LOCAL_OUT) continue;
        seen = true;
        out.push('conntrack');
        continue;
      }
      const { chain } = entry;
      const { table } = chain;
      const place = (tracked: State | undefined): Place => ({
        space,
        side,
        resources,
        care,
        world: world.name,
        path: world.path,
        pf: stage.pf === N.NFPROTO_NETDEV && table.family === N.NFPROTO_INET ? world.l3 : stage.pf,
        l3: world.l3,
        hook: stage.number,
        base: chain,
        iif: stage.iif,
        oif: stage.oif,
        tracked,
      });
      if (table.family === N.NFPROTO_INET && stage.pf === N.NFPROTO_NETDEV && world.l3 === N.NFPROTO_ARP) continue;
      out.push({ place, chain, stage, tracked: seen });
    }
    out.push('stage');
  }
  return out;
}

/** The places of the base chains that packets of a way meet, for packets that nothing has changed. */
export function placesOf(space: Space, resources: Resources, side: Side, world: World): Place[] {
  return metOn(space, resources, side, world, TRUE).flatMap((met) =>
    typeof met === 'string' ? [] : [met.place(met.tracked ? space.fresh() : undefined)],
  );
}

/** What a ruleset makes of the packets of a way that are in `care`; nothing is said of others. */
export function treat(
  space: Space,
  chains: Chains,
  resources: Resources,
  side: Side,
  world: World,
  care: Node = TRUE,
): Treatment {
  const { bdd, none, accept, ret } = space;
  let outcome = none;
  let state = space.fresh();
  let tracked: State | undefined;
  let routed: State | undefined;
  let n = 0;
  for (const met of metOn(space, resources, side, world, care)) {
    if (met === 'conntrack') {
      tracked = state;
      continue;
    }
    if (met === 'stage') {
      const { hook } = world.stages[n];
      if (n === 0 || hook === 'prerouting' || hook === 'output') routed = state;
      n++;
      continue;
    }
    const { chain, stage } = met;
    const { base, table } = chain;
    if (base === undefined) continue;
    const place = met.place(tracked);
    // Packets that the chain is for.
    let own: Node = TRUE;
    if (base.devices.length > 0)
      own = space.ifaces.among(
        stage.number === 0 || table.family === N.NFPROTO_INET ? 'iifname' : 'oifname',
        base.devices,
      );
    if (base.type === 'nat') {
      const which =
        stage.number === N.NF_INET_POST_ROUTING || stage.number === N.NF_INET_LOCAL_IN ? 'snat done' : 'dnat done';
      own = bdd.diff(isFirst(place, state), state.bit(space.fields.written(which).first));
    }
    const entry = bdd.and(bdd.and(bdd.is(outcome, none), own), care);
    const result = chains.evaluate(place, chain, state, entry);
    const policy = base.policy === N.NF_DROP ? space.drop : accept;
    const verdict = bdd.map(result.decision, (t) => {
      const decided = t === none || t === ret ? policy : t;
      return decided === accept ? none : decided;
    });
    outcome = bdd.override(outcome, bdd.ite(own, verdict, none), none);
    state = result.state;
  }
  return { outcome: bdd.map(outcome, (t) => (t === none ? accept : t)), state, routed: routed ?? state };
}
