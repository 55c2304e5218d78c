/**
 * `netloom replay`: a capture through a ruleset, packet by packet, with connections, sets and limits as they come to be,
 * at the times of the capture.
 *
 *     const replay = new Replay(options, sample);
 *     for (const packet of capturePackets(source)) replay.packet(packet).outcome; // 'forwarded', 'dropped', ...
 *     replay.rules; // hits per rule
 */
import { PKT_TRACE } from '../../core/slab.ts';
import type { TraceEvent } from '../../core/trace.ts';
import type { NetDevice } from '../../device/device.ts';
import { parseMac } from '../../wire/address.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../wire/ethernet.ts';
import type { CapturedPacket } from '../../wire/pcap.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import { type Decision, decisionOf, type Outcome, type Step, stepOf } from '../answer.ts';
import type { Arrival } from '../far-side.ts';
import { conclude } from '../follow.ts';
import type { PacketHint, Plan } from '../infer.ts';
import type { Machine } from '../machine.ts';
import { FAR_MAC } from '../packet.ts';
import { BadInput } from '../problem.ts';
import { allRules } from '../rule-book.ts';
import { type FirewallOptions, inputOf, planHost, setUp } from '../set-up.ts';
import { undoNat } from './before-nat.ts';
import { type CapturedFrame, frameOf } from './frame.ts';
import { type RuleHits, Tally } from './tally.ts';

export type ReplayOptions = FirewallOptions & {
  /** The interface that the capture was taken on, when it does not say so itself. */
  readonly dev?: string;
  /** Refuse wrong transport checksums as a host does; captures of a sender with offloads are full of them. */
  readonly checksums?: boolean;
};

/**
 * What became of a packet: an outcome of `try`, `held` (a fragment that waits for the others), or nothing: `copy` (the
 * capture shows it a second time, leaving the host), `unknown` (no frame netloom can read).
 */
export type ReplayOutcome = Outcome | 'held' | 'copy' | 'unknown';

export type Judged = {
  /** From 1. */
  readonly number: number;
  readonly outcome: ReplayOutcome;
  /** Interface it came in on; undefined for those that the host sent. */
  readonly dev: string | undefined;
  readonly reason: string | undefined;
  readonly decided: Decision | undefined;
};

/** Addresses whose interface is remembered. */
const KNOWN_ADDRESSES = 100_000;

export class Replay {
  readonly plan: Plan;
  readonly warnings: readonly string[];
  readonly counts: Map<ReplayOutcome, number> = new Map();
  /** Dropped packets by reason. */
  readonly reasons: Map<string, number> = new Map();
  readonly #machine: Machine;
  readonly #tally: Tally;
  readonly #dev: NetDevice | undefined;
  readonly #own: ReadonlySet<string>;
  /** The interface that an address lies behind. */
  readonly #sides = new Map<string, NetDevice>();
  /** Interfaces that packets were captured on. */
  readonly #captured = new Set<NetDevice>();
  readonly #startNs: bigint;
  readonly #readyNs: number;
  #number = 0;

  /**
   * A host with the ruleset, ready for the first packet. `sample`: some first packets, from which interfaces and networks
   * are inferred that nothing else tells. Throws BadInput.
   */
  constructor(options: ReplayOptions, sample: readonly CapturedPacket[]) {
    const input = inputOf(options);
    const bare = planHost(input, options.given, []).plan;
    this.#startNs = sample[0]?.timeNs ?? 0n;
    const wallClockMs = Number(this.#startNs / 1_000_000n);
    const hints = hintsOf(sample, options.dev, new Set(bare.ifaces.map((i) => i.name)));
    const { machine, plan, warnings } = setUp(input, options.given, hints, { wallClockMs });
    this.#machine = machine;
    this.plan = plan;
    this.warnings = warnings;
    this.#readyNs = machine.host.world.now;
    this.#tally = new Tally(allRules(machine.netlink), machine.book);
    this.#own = new Set(plan.ifaces.flatMap((i) => i.addresses.map((a) => a.split('/')[0])));
    if (options.dev !== undefined) {
      this.#dev = machine.host.devices.byName(options.dev);
      if (this.#dev === undefined)
        throw new BadInput(`there is no interface ${options.dev}; there are ${machine.names().join(', ')}`);
    }
    // The host's own answers to a captured request are in the capture, if anywhere.
    machine.host.setSysctl('net.ipv4.icmp_echo_ignore_all', '1');
    machine.host.setSysctl('net.ipv6.icmp.echo_ignore_all', '1');
    if (options.checksums !== true) machine.host.setSysctl('net.netfilter.nf_conntrack_checksum', '0');
  }

  /** Hits per rule. */
  get rules(): RuleHits[] {
    return this.#tally.rules();
  }

  /** Hits per policy. */
  get policies(): (RuleHits & { readonly verdict: string })[] {
    return this.#tally.policies();
  }

  /** Packets so far. */
  get packets(): number {
    return this.#number;
  }

  /** Lets time pass until the packet's, and sends it through. */
  packet(packet: CapturedPacket): Judged {
    this.#number++;
    const { world } = this.#machine.host;
    const frame = frameOf(packet);
    const at = this.#readyNs + Number(packet.timeNs - this.#startNs);
    if (at > world.now) world.run(at);
    if (frame === undefined) return this.#judged('unknown', undefined);
    if (frame.saddr !== undefined && this.#own.has(frame.saddr) && frame.direction !== 'in')
      return this.#follow(undefined, () => this.#sendLocal(frame));
    const named = packet.dev === undefined ? undefined : this.#machine.host.devices.byName(packet.dev);
    const captured = this.#dev ?? named;
    if (captured !== undefined) this.#captured.add(captured);
    const leaving = this.#leaving(frame, captured);
    // Where the other side is captured too, the packet has come in there before.
    if (leaving && this.#captured.size > 1) return this.#judged('copy', undefined);
    const dev = captured === undefined || leaving ? this.#toward(frame.saddr) : captured;
    return this.#follow(dev, () => this.#receive(dev, frame));
  }

  /** Whether the host sent the packet on: the capture says so, or it goes to where it was captured, from elsewhere. */
  #leaving({ direction, saddr, daddr }: CapturedFrame, captured: NetDevice | undefined): boolean {
    if (direction !== undefined || captured === undefined) return direction === 'out';
    if (saddr === undefined || daddr === undefined) return false;
    return this.#toward(daddr) === captured && this.#toward(saddr) !== captured;
  }

  /** The interface that an address lies behind. */
  #toward(address = ''): NetDevice {
    let dev = this.#sides.get(address);
    if (dev === undefined) {
      dev = (address === '' ? undefined : this.#machine.deviceToward(address)) ?? this.#machine.firstDevice();
      if (dev === undefined) throw new BadInput('no interface to come in on; name one with --iface');
      if (this.#sides.size < KNOWN_ADDRESSES) this.#sides.set(address, dev);
    }
    return dev;
  }

  #follow(dev: NetDevice | undefined, send: () => number): Judged {
    const machine = this.#machine;
    const { world } = machine.host;
    const steps: Step[] = [];
    const others: Step[] = [];
    const arrivals: Arrival[] = [];
    let first = -1;
    machine.onArrival = (arrival) => {
      if (arrival.traced) arrivals.push(arrival);
    };
    world.tracer = (event: TraceEvent, p: number): void => {
      if (first < 0) first = p;
      const step = stepOf(event, machine.book, '');
      if (step === undefined) return;
      this.#tally.count(step, this.#number);
      (p === first ? steps : others).push(step);
    };
    const sent = send();
    world.settle();
    world.tracer = undefined;
    machine.onArrival = undefined;
    const name = dev?.name;
    if (sent < 0 && steps.length === 0)
      return dev === undefined ? this.#judged('dropped', name, 'IP_OUTNOROUTES') : this.#judged('unknown', name);
    const { outcome, reason, judged } = conclude({ steps, others, arrivals, first, local: dev === undefined });
    if (outcome === 'dropped' && reason === undefined) return this.#judged('held', name);
    return this.#judged(outcome, name, reason, decisionOf(judged, outcome, machine.chains));
  }

  #sendLocal(frame: CapturedFrame): number {
    return this.#machine.sendLocal(frame.bytes.subarray(frame.network), PKT_TRACE, undefined, undefined);
  }

  /** Lets a frame come in; it was addressed to whoever was there, here the host is the next hop. */
  #receive(dev: NetDevice, { bytes, network, protocol, direction }: CapturedFrame): number {
    const { slab } = dev.world;
    const p = slab.from(bytes);
    if (p < 0) return -1;
    const at = slab.head(p);
    if (!(bytes[0] & 1)) slab.u8.set(dev.address, at);
    if (NO_MAC.every((byte, i) => bytes[6 + i] === byte)) slab.u8.set(FAR, at + 6);
    slab.setFlags(p, PKT_TRACE);
    if (direction !== 'in' && (protocol === ETH_P_IP || protocol === ETH_P_IPV6)) {
      slab.setNetwork(p, at + network);
      undoNat(this.#machine.host.conntrack, p, protocol === ETH_P_IP ? NFPROTO_IPV4 : NFPROTO_IPV6);
    }
    dev.receive(p);
    return p;
  }

  #judged(outcome: ReplayOutcome, dev: string | undefined, reason?: string, decided?: Decision): Judged {
    this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + 1);
    if (outcome === 'dropped' && reason !== undefined) this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
    return { number: this.#number, outcome, dev, reason, decided };
  }
}

const FAR = parseMac(FAR_MAC) as Uint8Array;
const NO_MAC = new Uint8Array(6);

/** What the first packets tell of the host: one hint for each pair of interface and source network. */
function hintsOf(sample: readonly CapturedPacket[], dev: string | undefined, known: ReadonlySet<string>): PacketHint[] {
  const out = new Map<string, PacketHint>();
  for (const packet of sample) {
    const frame = frameOf(packet);
    if (frame?.saddr === undefined || frame.daddr === undefined || frame.direction === 'out') continue;
    const iface = dev ?? (packet.dev !== undefined && known.has(packet.dev) ? packet.dev : undefined);
    const key = `${iface} ${network(frame.saddr)} ${network(frame.daddr)}`;
    if (out.size < MAX_HINTS && !out.has(key))
      out.set(key, {
        local: false,
        saddr: frame.saddr,
        daddr: frame.daddr,
        ...(iface !== undefined && { iface }),
      });
  }
  return [...out.values()];
}

const MAX_HINTS = 500;

function network(address: string): string {
  return address.slice(0, Math.max(address.lastIndexOf('.'), address.lastIndexOf(':')));
}
