/**
 * `netloom try`: builds a host that has the ruleset, sends a packet and the reply to it through, and tells what happened.
 *
 *     const firewall = new Firewall({ text, file: 'nftables.conf', given: { ifaces: [], routes: [] } });
 *     firewall.ask('lan 10.0.0.7 -> 203.0.113.9:443').verdict; // 'allowed'
 */
import type { NetDevice } from '../device/device.ts';
import { formatMac, parseAddress } from '../wire/address.ts';
import { readCapture } from '../wire/capture.ts';
import { check as checkIp4 } from '../wire/ipv4.ts';
import { check as checkIp6 } from '../wire/ipv6.ts';
import { type Layer, vlan } from '../wire/layer.ts';
import { parseFrame, parsePacket } from '../wire/parse.ts';
import { LINKTYPE_ETHERNET } from '../wire/pcap.ts';
import type { Answer, Way } from './answer.ts';
import type { RulesKind } from './detect.ts';
import { type Followed, followIn, followOut } from './follow.ts';
import type { PacketHint, Plan } from './infer.ts';
import type { RulesInput } from './load.ts';
import type { Machine } from './machine.ts';
import { answer, confirmation, type Filled, opening, packetOf } from './packet.ts';
import { type PacketSpec, type PhrasePacket, parsePhrase } from './phrase.ts';
import { BadInput } from './problem.ts';
import { type FirewallOptions, inputOf, planHost, setUp } from './set-up.ts';

export type { FirewallOptions };

const SPORT = 40_000;

/** A packet, ready to be sent: by the host itself or into an interface. */
type Ready = {
  readonly layers: readonly Layer[];
  readonly dev: NetDevice | undefined;
  readonly phrase: PhrasePacket | undefined;
  readonly filled: Filled | undefined;
};

/** A ruleset that packets can be tried on. Every packet gets a host of its own, so no answer depends on an earlier one. */
export class Firewall {
  readonly kind: RulesKind;
  readonly #options: FirewallOptions;
  readonly #input: RulesInput;

  constructor(options: FirewallOptions) {
    this.#options = options;
    this.#input = inputOf(options);
    this.kind = this.#input.kind;
  }

  /** What the host for these packets will have: given and inferred interfaces, addresses and routes. */
  plan(phrases: readonly string[]): Plan {
    const hints = phrases.map((text) => this.#hint(parsePhrase(text)));
    return planHost(this.#input, this.#options.given, hints).plan;
  }

  #hint(spec: PacketSpec): PacketHint {
    if (spec.kind === 'phrase')
      return {
        local: spec.local,
        ...(spec.iface !== undefined && { iface: spec.iface }),
        ...(spec.from !== undefined && { saddr: spec.from.addr }),
        ...(spec.to.addr !== 'local' && { daddr: spec.to.addr }),
      };
    const net = this.#bytes(spec).find((l) => l.kind === 'ip' || l.kind === 'ip6');
    return {
      local: false,
      ...(spec.iface !== undefined && { iface: spec.iface }),
      ...(net !== undefined && { saddr: String(net.fields.saddr), daddr: String(net.fields.daddr) }),
    };
  }

  /** Layers of a hex line or a captured frame. */
  #bytes(spec: Exclude<PacketSpec, { kind: 'phrase' }>): Layer[] {
    if (spec.kind === 'hex') return layersOf(spec.bytes, undefined);
    const { readBytes } = this.#options;
    if (readBytes === undefined) throw new BadInput(`${spec.file}: captures cannot be read here`);
    let packets: ReturnType<typeof readCapture>;
    try {
      packets = readCapture(readBytes(spec.file));
    } catch (error) {
      throw new BadInput(`${spec.file}: ${(error as Error).message}`);
    }
    const packet = packets[spec.frame - 1];
    if (packet === undefined)
      throw new BadInput(`${spec.file} has ${packets.length} frames, there is no frame ${spec.frame}`);
    return layersOf(packet.bytes, packet.linkType);
  }

  /** Tries one packet. Throws BadInput. */
  ask(text: string): Answer {
    const spec = parsePhrase(text);
    const { machine, plan, warnings } = setUp(this.#input, this.#options.given, [this.#hint(spec)]);
    const notes = [...plan.notes];
    const ready = this.#ready(spec, machine, notes);
    const before = this.#before(machine, ready);
    const request = this.#send(machine, ready);
    const reply = this.#reply(machine, request);
    return {
      rules: this.#options.file,
      packet: text,
      notes,
      warnings,
      ...(before.length > 0 && { before }),
      request: request.way,
      ...reply,
      verdict: passed(request.way) && (reply.reply === undefined || passed(reply.reply)) ? 'allowed' : 'dropped',
    };
  }

  #ready(spec: PacketSpec, machine: Machine, notes: string[]): Ready {
    if (spec.kind !== 'phrase') {
      const layers = this.#bytes(spec);
      const net = layers.find((l) => l.kind === 'ip' || l.kind === 'ip6');
      const dev = this.#device(machine, spec.iface, net === undefined ? undefined : String(net.fields.saddr), notes);
      return { layers: layers.map((l) => readdressed(l, dev)), dev, phrase: undefined, filled: undefined };
    }
    const six = spec.to.addr.includes(':') || (spec.from?.addr.includes(':') ?? false);
    if (spec.local) {
      const daddr = spec.to.addr === 'local' ? (six ? '::1' : '127.0.0.1') : spec.to.addr;
      const saddr = spec.from?.addr ?? machine.sourceFor(daddr);
      if (saddr === undefined)
        throw new BadInput(`the host has no ${six ? 'IPv6' : 'IPv4'} address to send from; give one with --iface`);
      const filled = { saddr, daddr, sport: spec.from?.port ?? SPORT };
      return { layers: packetOf(spec, filled), dev: undefined, phrase: spec, filled };
    }
    const dev = this.#device(machine, spec.iface, spec.from?.addr, notes);
    const daddr = spec.to.addr === 'local' ? machine.addressOn(dev, six) : spec.to.addr;
    if (daddr === undefined)
      throw new BadInput(`${dev.name} has no ${six ? 'IPv6' : 'IPv4'} address; give one with --iface`);
    const wantsSix = daddr.includes(':');
    const saddr = spec.from?.addr ?? machine.neighbourOn(dev, wantsSix) ?? (wantsSix ? '2001:db8::7' : '198.51.100.7');
    if (spec.from === undefined) notes.push(`the packet comes from ${saddr}`);
    const filled = { saddr, daddr, sport: spec.from?.port ?? SPORT };
    const tags = spec.vlan === undefined ? [] : [vlan({ id: spec.vlan })];
    return { layers: [...tags, ...packetOf(spec, filled)], dev, phrase: spec, filled };
  }

  /** The named interface, or the one that the source address belongs to. */
  #device(machine: Machine, name: string | undefined, saddr: string | undefined, notes: string[]): NetDevice {
    if (name !== undefined) {
      const dev = machine.host.devices.byName(name);
      if (dev !== undefined) return dev;
      throw new BadInput(`there is no interface ${name}; there are ${machine.names().join(', ')}`);
    }
    const dev =
      (saddr !== undefined && parseAddress(saddr) ? machine.deviceToward(saddr) : undefined) ?? machine.firstDevice();
    if (dev === undefined) throw new BadInput('no interface to come in on; name one: IFACE SRC -> DST');
    notes.push(`the packet comes in on ${dev.name}`);
    return dev;
  }

  #send(machine: Machine, ready: Ready, layers: readonly Layer[] = ready.layers): Followed {
    const extra = {
      ...(ready.phrase?.mark !== undefined && { mark: ready.phrase.mark }),
      ...(ready.phrase?.uid !== undefined && { uid: ready.phrase.uid }),
    };
    return ready.dev === undefined ? followOut(machine, layers, extra) : followIn(machine, ready.dev, layers, extra);
  }

  /** The handshake of a packet "in state established": SYN, its answer, ACK; or one datagram each way. */
  #before(machine: Machine, ready: Ready): Way[] {
    const { phrase, filled } = ready;
    if (phrase === undefined || filled === undefined) return [];
    const open = opening(phrase, filled);
    if (open === undefined) return [];
    const tags = ready.layers.filter((l) => l.kind === 'vlan');
    const first = this.#send(machine, ready, [...tags, ...open]);
    const ways = [first.way];
    if (!passed(first.way)) return ways;
    const { reply } = this.#reply(machine, first);
    if (reply === undefined) return ways;
    ways.push(reply);
    const third = confirmation(phrase, filled);
    if (third !== undefined && passed(reply)) ways.push(this.#send(machine, ready, [...tags, ...third]).way);
    return ways;
  }

  /** What the other side answers, and its way back. */
  #reply(machine: Machine, request: Followed): { reply?: Way; noReply?: string } {
    if (!passed(request.way)) return {};
    if (request.answered !== undefined) return { reply: request.answered };
    if (request.got === undefined) return { noReply: 'the packet is not answered' };
    const back = answer(request.got);
    if ('none' in back) return { noReply: back.none };
    if (request.leftBy === undefined) return { reply: followOut(machine, back.layers).way };
    const dev = machine.host.devices.byName(request.leftBy.dev);
    if (dev === undefined) return {};
    return { reply: followIn(machine, dev, [...request.leftBy.tags, ...back.layers]).way };
  }
}

/** A captured frame was addressed to whoever was there; here the host is the next hop. */
function readdressed(layer: Layer, dev: NetDevice): Layer {
  if (layer.kind !== 'ether' || Number.parseInt(String(layer.fields.daddr).slice(0, 2), 16) & 1) return layer;
  return { ...layer, fields: { ...layer.fields, daddr: formatMac(dev.address) } };
}

function passed(way: Way): boolean {
  return way.outcome !== 'dropped' && way.outcome !== 'rejected';
}

/** Layers of bytes that begin with an Ethernet or an IP header. */
function layersOf(bytes: Uint8Array, linkType: number | undefined): Layer[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ip = checkIp4(dv, 0, bytes.length) || checkIp6(dv, 0, bytes.length);
  return linkType !== LINKTYPE_ETHERNET && (ip || linkType !== undefined) ? parsePacket(bytes) : parseFrame(bytes);
}
