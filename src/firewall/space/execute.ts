/**
 * A packet through the hooks of a loaded ruleset, without routing: the interpreter, connection tracking and NAT as packets meet
 * them, on the way that the packet is said to take. This is what reasoning is held against.
 */
import { PKT_LOCAL, PKT_TRACE } from '../../core/slab.ts';
import type { TraceEvent } from '../../core/trace.ts';
import type { Conn } from '../../netfilter/conntrack/entry.ts';
import { checksum } from '../../wire/checksum.ts';
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 } from '../../wire/ethernet.ts';
import * as N from '../../wire/uapi/netfilter.ts';
import { type Decision, decisionOf, type Step, stepOf } from '../answer.ts';
import type { Side } from './side.ts';
import type { Witness } from './witness.ts';
import type { World } from './worlds.ts';

export type Executed = {
  /** False: dropped, refused, stolen. */
  readonly accepted: boolean;
  /** From the network header on, as it left. */
  readonly bytes: Uint8Array | undefined;
  readonly mark: number;
  readonly ctMark: number;
  /** Rules and policies that the packet met. */
  readonly steps: readonly Step[];
  readonly decided: Decision | undefined;
  /** The packet had not the connection state that was asked for: why. */
  readonly unlike?: string;
};

const PROTOCOLS: ReadonlyMap<number, number> = new Map([
  [N.NFPROTO_IPV4, ETH_P_IP],
  [N.NFPROTO_IPV6, ETH_P_IPV6],
  [N.NFPROTO_ARP, ETH_P_ARP],
]);

const STATE_BIT: Readonly<Record<string, number>> = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 };

/** Runs a packet. Connections that it makes are forgotten afterwards. */
export function execute(side: Side, world: World, witness: Witness): Executed {
  const { machine } = side;
  const { host } = machine;
  const { slab } = host.world;
  const index = (name: string | undefined): number => {
    if (name === undefined) return 0;
    if (name !== 'lo') machine.addInterface(name);
    return host.nftables.host.deviceIndex(name);
  };
  const [iif, oif] = [index(witness.iif), index(witness.oif)];
  const protocol = PROTOCOLS.get(world.l3) ?? 0;
  const steps: Step[] = [];
  let ctMark = 0;
  let unlike: string | undefined;
  host.conntrack.flush();
  const first = host.hooks.list(world.pf, world.path === 'output' ? 3 : 0);
  const tracks = first.some((e) => e.name === 'conntrack');
  let opened: Conn | undefined;
  if (tracks && (witness.state === 'established' || witness.state === 'related')) {
    opened = openConnection(side, world, witness, iif, oif);
    if (opened === undefined) unlike = 'no such connection can be opened';
  }
  const p = makePacket(side, witness, protocol, world.path === 'output');
  if (p < 0)
    return {
      accepted: false,
      bytes: undefined,
      mark: 0,
      ctMark: 0,
      steps,
      decided: undefined,
      unlike: 'no packet memory',
    };
  slab.setIif(p, iif);
  slab.setFlags(p, slab.flags(p) | PKT_TRACE);
  host.world.tracer = (event: TraceEvent, of: number): void => {
    if (of !== p) return;
    const step = stepOf(event, machine.book, '');
    if (step !== undefined) steps.push(step);
  };
  let accepted = true;
  for (const stage of world.stages) {
    const [from, to] = [stage.iif ? iif : 0, stage.oif ? oif : 0];
    slab.setOif(p, to);
    const device = stage.pf === N.NFPROTO_NETDEV ? (stage.number === 0 ? from : to) : 0;
    if (host.hooks.run(stage.pf, stage.number, p, from, to, device) !== N.NF_ACCEPT) {
      accepted = false;
      break;
    }
    if (tracks && (stage.hook === 'prerouting' || stage.hook === 'output')) {
      const bit = host.conntrack.stateBit(p);
      if (bit !== STATE_BIT[witness.state] && unlike === undefined && bit !== 64)
        unlike = `the packet cannot be made ${witness.state}`;
    }
  }
  host.world.tracer = undefined;
  let bytes: Uint8Array | undefined;
  let mark = 0;
  if (accepted) {
    bytes = slab.u8.slice(slab.network(p), slab.end(p));
    mark = slab.mark(p);
    ctMark = host.conntrack.of(p)?.mark ?? 0;
    slab.free(p);
  } else if (opened?.live) ctMark = opened.mark;
  // What the host wants to say about it goes nowhere.
  host.world.runFor(0);
  host.conntrack.flush();
  const decided = decisionOf(steps, accepted ? 'forwarded' : 'dropped', machine.chains);
  return { accepted, bytes, mark, ctMark, steps, decided, ...(unlike !== undefined && { unlike }) };
}

function makePacket(side: Side, witness: Witness, protocol: number, local: boolean): number {
  const { slab } = side.machine.host.world;
  const frame = new Uint8Array(14 + witness.bytes.length);
  frame.set(witness.daddrMac);
  frame.set(witness.saddrMac, 6);
  new DataView(frame.buffer).setUint16(12, protocol);
  frame.set(witness.bytes, 14);
  const p = slab.from(frame);
  if (p < 0) return p;
  if (!local) slab.setMac(p, slab.head(p));
  slab.pull(p, 14);
  slab.setNetwork(p, slab.head(p));
  slab.setProtocol(p, protocol);
  if (protocol !== ETH_P_ARP) {
    const six = protocol === ETH_P_IPV6;
    slab.setTransport(p, slab.head(p) + (six ? 40 : 20));
  }
  slab.setMark(p, witness.mark);
  slab.setPriority(p, witness.priority);
  if (local) slab.setFlags(p, PKT_LOCAL);
  if (witness.uid !== undefined) slab.setSk(p, 1, witness.uid, witness.gid ?? 0);
  return p;
}

/** Opens the connection that an established packet belongs to: tracking sees both directions, rules see nothing. */
function openConnection(side: Side, world: World, witness: Witness, iif: number, oif: number): Conn | undefined {
  const { host } = side.machine;
  const { conntrack } = host;
  const { slab } = host.world;
  const six = world.l3 === N.NFPROTO_IPV6;
  const at = six ? 40 : 20;
  const protocol = six ? witness.bytes[6] : witness.bytes[9];
  const state = { pf: world.l3, hook: 0, iif, oif };
  const local = world.path === 'output';
  const dv = new DataView(witness.bytes.buffer, witness.bytes.byteOffset);
  const sequence = protocol === 6 ? dv.getUint32(at + 4) : 0;
  const ack = protocol === 6 ? dv.getUint32(at + 8) : 0;
  /** One packet of the handshake; `back`: against the direction of the witness. */
  const send = (back: boolean, flags: number, seq: number, acked: number): Conn | undefined => {
    const p = makePacket(
      side,
      { ...witness, bytes: turned(witness.bytes, at, six, protocol, back, flags, seq, acked) },
      six ? ETH_P_IPV6 : ETH_P_IP,
      local,
    );
    if (p < 0) return undefined;
    if (conntrack.in(p, state) !== N.NF_ACCEPT) return undefined;
    if (conntrack.confirm(p, { ...state, hook: 4 }) !== N.NF_ACCEPT) return undefined;
    const entry = conntrack.of(p);
    if (entry !== undefined) entry.mark = witness.ctMark;
    slab.free(p);
    return entry;
  };
  const reply = witness.reply;
  // The opener's numbers are the witness's when it goes in the original direction.
  const [mine, theirs] = reply ? [ack, sequence] : [sequence, ack];
  if (!send(reply, 2, mine - 1, 0) || !send(!reply, 0x12, theirs - 1, mine)) return undefined;
  return send(reply, 0x10, mine, theirs);
}

function turned(
  bytes: Uint8Array,
  at: number,
  six: boolean,
  protocol: number,
  back: boolean,
  flags: number,
  seq: number,
  ack: number,
): Uint8Array {
  const out = bytes.slice(0, Math.max(bytes.length, at + (protocol === 6 ? 20 : 8)));
  const dv = new DataView(out.buffer);
  const [from, size] = six ? [8, 16] : [12, 4];
  if (back) {
    out.set(bytes.subarray(from + size, from + 2 * size), from);
    out.set(bytes.subarray(from, from + size), from + size);
    if (protocol !== 1 && protocol !== 58) {
      out.set(bytes.subarray(at + 2, at + 4), at);
      out.set(bytes.subarray(at, at + 2), at + 2);
    }
  }
  if (protocol === 1 || protocol === 58) {
    const request = protocol === 1 ? 8 : 128;
    out[at] = flags === 2 ? request : protocol === 1 ? 0 : 129;
    out[at + 1] = 0;
  }
  if (protocol === 6) {
    dv.setUint32(at + 4, seq >>> 0);
    dv.setUint32(at + 8, ack >>> 0);
    out[at + 12] = 0x50;
    out[at + 13] = flags;
    dv.setUint16(at + 14, 64_240);
  }
  const place = protocol === 6 ? 16 : protocol === 17 ? 6 : protocol === 1 || protocol === 58 ? 2 : -1;
  if (place >= 0) {
    dv.setUint16(at + place, 0);
    const length = out.length - at;
    const pseudo = new Uint8Array(size * 2 + 4 + length);
    pseudo.set(out.subarray(from, from + 2 * size));
    pseudo[size * 2 + 1] = protocol;
    new DataView(pseudo.buffer).setUint16(size * 2 + 2, length);
    pseudo.set(out.subarray(at), size * 2 + 4);
    const over = protocol === 1 ? out.slice(at) : pseudo;
    dv.setUint16(at + place, checksum(new DataView(over.buffer), 0, over.length) || (protocol === 17 ? 0xffff : 0));
  }
  if (!six) {
    dv.setUint16(2, out.length);
    dv.setUint16(10, 0);
    dv.setUint16(10, checksum(dv, 0, 20));
  } else dv.setUint16(4, out.length - 40);
  return out;
}
