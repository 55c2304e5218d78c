/** Sends a packet into a tried host and follows it: what the tracer tells becomes steps, what comes out becomes the outcome. */
import { PKT_TRACE } from '../core/slab.ts';
import type { TraceEvent } from '../core/trace.ts';
import type { NetDevice } from '../device/device.ts';
import { formatMac } from '../wire/address.ts';
import { build } from '../wire/build.ts';
import { ether, type Layer } from '../wire/layer.ts';
import { parseFrame } from '../wire/parse.ts';
import { summary, summaryOfPacket } from '../wire/print.ts';
import { decisionOf, type Outcome, type Step, stepOf, type Way } from './answer.ts';
import type { Arrival } from './far-side.ts';
import type { Machine } from './machine.ts';
import { FAR_MAC } from './packet.ts';
import type { ChainHook } from './rule-book.ts';

/** Long enough for address resolution; nothing of a single packet's way takes longer. */
const SETTLE_NS = 200_000_000;

/** A way, and what is needed to answer the packet. */
export type Followed = {
  readonly way: Way;
  /** Layers above Ethernet (and tags) as the far side, or the host's own socket, got them. */
  readonly got?: readonly Layer[];
  /** The frame's tags and the interface it left by; undefined for packets delivered to the host itself. */
  readonly leftBy?: { readonly dev: string; readonly tags: readonly Layer[] };
  /** The way of an answer that the host gave by itself (echo reply). */
  readonly answered?: Way;
};

export type Extra = { readonly mark?: number; readonly uid?: number };

/** Lets a frame come in on an interface. */
export function followIn(machine: Machine, dev: NetDevice, layers: readonly Layer[], extra: Extra = {}): Followed {
  const own = formatMac(dev.address);
  const group = groupMac(layers);
  const frame =
    layers[0]?.kind === 'ether' ? build(layers) : build([ether({ saddr: FAR_MAC, daddr: group ?? own }), ...layers]);
  return follow(machine, summary(frame), false, () => {
    const { slab } = machine.host.world;
    const p = slab.from(frame);
    if (p < 0) return -1;
    slab.setFlags(p, PKT_TRACE);
    if (extra.mark !== undefined) slab.setMark(p, extra.mark);
    dev.receive(p);
    return p;
  });
}

/** Broadcast or the group's MAC address when the packet is for many. */
function groupMac(layers: readonly Layer[]): string | undefined {
  const net = layers.find((l) => l.kind === 'ip' || l.kind === 'ip6' || l.kind === 'arp');
  if (net?.kind === 'arp') return 'ff:ff:ff:ff:ff:ff';
  const daddr = String(net?.fields.daddr ?? '');
  if (daddr === '255.255.255.255') return 'ff:ff:ff:ff:ff:ff';
  if (net?.kind === 'ip6' && /^ff/i.test(daddr)) {
    const bytes = build([{ kind: 'ip6', fields: { daddr } }]).subarray(36, 40);
    return `33:33:${formatMac(bytes, 0, 4)}`;
  }
  const quad = daddr.split('.').map(Number);
  if (quad.length === 4 && quad[0] >= 224 && quad[0] < 240)
    return formatMac(Uint8Array.of(1, 0, 0x5e, quad[1] & 0x7f, quad[2], quad[3]));
  return undefined;
}

/** Sends a packet of the host's own. `layers` begin with the IP header. */
export function followOut(machine: Machine, layers: readonly Layer[], extra: Extra = {}): Followed {
  const bytes = build(layers);
  return follow(machine, summaryOfPacket(bytes), true, () =>
    machine.sendLocal(bytes, PKT_TRACE, extra.mark, extra.uid),
  );
}

function follow(machine: Machine, packet: string, local: boolean, start: () => number): Followed {
  const { world } = machine.host;
  const { slab } = world;
  const steps: Step[] = [];
  const others: Step[] = [];
  const arrivals: Arrival[] = [];
  let delivered: Layer[] | undefined;
  let first = -1;
  machine.onArrival = (arrival) => arrivals.push(arrival);
  machine.onDeliver = (layers) => {
    delivered = layers;
  };
  world.tracer = (event: TraceEvent, p: number): void => {
    if (first < 0) first = p;
    const at = slab.network(p);
    const text =
      (event.kind === 'transmit' || event.kind === 'receive') && at < slab.end(p)
        ? summaryOfPacket(slab.u8.slice(at, slab.end(p)))
        : '';
    const step = stepOf(event, machine.book, text);
    if (step !== undefined) (p === first ? steps : others).push(step);
  };
  const sent = start();
  world.runFor(SETTLE_NS);
  world.tracer = undefined;
  machine.onArrival = undefined;
  machine.onDeliver = undefined;
  if (sent < 0 && steps.length === 0) steps.push({ kind: 'drop', reason: 'IP_OUTNOROUTES' });

  const { outcome, own, out, answered, reason, judged } = conclude({ steps, others, arrivals, first, local });
  const told = answered === undefined ? judged : withAnswer(judged, answered);
  const decided = decisionOf(judged, outcome, machine.chains);
  const way: Way = {
    packet,
    steps: told,
    outcome,
    ...(out !== undefined && { left: summary(out.frame), dev: out.dev }),
    ...(!own && out === undefined && reason !== undefined && { reason }),
    ...(decided !== undefined &&
      (outcome !== 'dropped' || reason === undefined || reason === 'NETFILTER_DROP') && { decided }),
  };
  const left = out === undefined ? undefined : parseFrame(out.frame);
  const inner = left?.filter((l) => l.kind !== 'ether' && l.kind !== 'vlan' && l.kind !== 'padding');
  const got = inner ?? delivered;
  const reply = own ? (arrivals.find((a) => a.traced) ?? arrivals[0]) : undefined;
  return {
    way,
    ...(got !== undefined && { got }),
    ...(out !== undefined && {
      leftBy: { dev: out.dev, tags: left?.filter((l) => l.kind === 'vlan') ?? [] },
    }),
    ...(own && (others.length > 0 || reply !== undefined) && { answered: answerWay(others, reply, machine.chains) }),
  };
}

/** What was seen of a packet. */
export type Seen = {
  /** Steps of the packet itself, and of others that came of it. */
  readonly steps: readonly Step[];
  readonly others: readonly Step[];
  readonly arrivals: readonly Arrival[];
  /** The packet's handle. */
  readonly first: number;
  /** The host sent it itself. */
  readonly local: boolean;
};

/** What it comes to. */
export type Conclusion = {
  readonly outcome: Outcome;
  /** The host took it in. */
  readonly own: boolean;
  /** The frame it left as. */
  readonly out: Arrival | undefined;
  /** The frame it was refused with. */
  readonly answered: Arrival | undefined;
  /** Why it was dropped. */
  readonly reason: string | undefined;
  /** The steps that are about the packet. */
  readonly judged: readonly Step[];
};

/** The outcome of what was seen. */
export function conclude({ steps, others, arrivals, first, local }: Seen): Conclusion {
  const drop = steps.find((s) => s.kind === 'drop') ?? others.find((s) => s.kind === 'drop');
  const reason = drop?.kind === 'drop' ? drop.reason : undefined;
  // Once the packet is delivered or dropped, what else is traced is the host's answer to it; before that, pieces and
  // copies are the packet itself.
  const own = steps.some((s) => s.kind === 'deliver') || (reason !== undefined && CONSUMED.includes(reason));
  const gone = !own && steps.some((s) => s.kind === 'drop');
  const out = own || gone ? undefined : (arrivals.find((a) => a.p === first) ?? arrivals.find((a) => a.traced));
  const answered = own || out !== undefined ? undefined : arrivals[0];
  let outcome: Outcome = 'dropped';
  if (own) outcome = 'delivered';
  else if (out !== undefined) outcome = local ? 'sent' : 'forwarded';
  else if (answered !== undefined) outcome = 'rejected';
  const whole = own || gone || steps.some((s) => s.kind === 'transmit');
  const judged = whole ? steps.filter((s) => !isConsumed(s)) : [...steps, ...others];
  return { outcome, own, out, answered, reason, judged };
}

/** Drop reasons that mean that the host took the packet in. */
const CONSUMED: readonly string[] = ['ARP_CONSUMED', 'CONSUMED'];

function isConsumed(step: Step): boolean {
  return step.kind === 'drop' && CONSUMED.includes(step.reason);
}

/** The answer's packet instead of its type, where it was made. */
function withAnswer(steps: readonly Step[], arrival: Arrival): Step[] {
  const answer: Step = { kind: 'reply', text: summary(arrival.frame) };
  const at = steps.findIndex((s) => s.kind === 'reply');
  return at < 0 ? [...steps, answer] : [...steps.slice(0, at), answer, ...steps.slice(at + 1)];
}

/** The way of the host's own answer. */
function answerWay(steps: readonly Step[], out: Arrival | undefined, chains: readonly ChainHook[]): Way {
  const outcome: Outcome = out === undefined ? 'dropped' : 'sent';
  const decided = decisionOf(steps, outcome, chains);
  const drop = steps.find((s) => s.kind === 'drop');
  const transmitted = steps.find((s) => s.kind === 'transmit');
  const packet = out === undefined ? "the host's own answer" : summary(out.frame);
  return {
    packet: transmitted?.kind === 'transmit' ? transmitted.packet : packet,
    steps,
    outcome,
    ...(out !== undefined && { left: summary(out.frame), dev: out.dev }),
    ...(drop?.kind === 'drop' && { reason: drop.reason }),
    ...(decided !== undefined && { decided }),
  };
}
