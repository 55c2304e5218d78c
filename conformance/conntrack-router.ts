/**
 * The router of the conntrack-sequences recordings: t0 (10.0.0.1/24, fd00::1/64) towards A, t1 (10.0.1.1/24,
 * fd01::1/64) towards B, default routes by B, and a rule at priority 300 that notes what `ct state` says.
 */
import { World } from '../src/core/world.ts';
import type { NetDevice } from '../src/device/device.ts';
import { inject, portDevice } from '../src/device/simple.ts';
import type { Conn } from '../src/netfilter/conntrack/entry.ts';
import { ZONE_DIR_BOTH } from '../src/netfilter/conntrack/entry.ts';
import { DST, dstPort, formatTupleAddress, l3num, protonum, srcPort } from '../src/netfilter/conntrack/tuple.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { ip } from '../src/tools/ip/main.ts';
import { nft } from '../src/tools/nft/index.ts';
import * as C from '../src/wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_INET_FORWARD, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../src/wire/uapi/netfilter.ts';

export type RecordedTuple = { src: string; dst: string; proto: number; [key: string]: string | number };

export type RecordedEntry = {
  orig: RecordedTuple;
  reply: RecordedTuple;
  status: string[];
  timeout: number;
  [key: string]: unknown;
};

export type Observed = { ct: string[]; outA: string[]; outB: string[]; table: RecordedEntry[] };

const STATUS: readonly (readonly [string, number])[] = [
  ['EXPECTED', C.IPS_EXPECTED],
  ['SEEN_REPLY', C.IPS_SEEN_REPLY],
  ['ASSURED', C.IPS_ASSURED],
  ['CONFIRMED', C.IPS_CONFIRMED],
  ['SRC_NAT', C.IPS_SRC_NAT],
  ['DST_NAT', C.IPS_DST_NAT],
  ['SEQ_ADJUST', C.IPS_SEQ_ADJUST],
  ['SRC_NAT_DONE', C.IPS_SRC_NAT_DONE],
  ['DST_NAT_DONE', C.IPS_DST_NAT_DONE],
];

const ICMP = 1;
const ICMPV6 = 58;
/** Neighbour discovery and listener reports: the recording leaves them out of what a side received, as the router sends its own. */
const CHATTER: ReadonlySet<number> = new Set([133, 134, 135, 136, 143]);

const ETHERNET = 14;
const MAC = { A: '02:00:00:00:00:a0', B: '02:00:00:00:00:a1' } as const;
const SIDE_MAC: Readonly<Record<'A' | 'B', readonly number[]>> = { A: [2, 0, 0, 0, 0, 0xa0], B: [2, 0, 0, 0, 0, 0xa1] };
const ROUTER_MAC: readonly number[][] = [
  [2, 0, 0, 0, 0, 0],
  [2, 0, 0, 0, 0, 1],
];

export class Router {
  readonly world: World = new World({ slots: 128, largeSlots: 1 });
  readonly host: Host = new Host(this.world, 'router');
  readonly #ports: Record<'A' | 'B', NetDevice>;
  #seen: string[] = [];
  #out: Record<'A' | 'B', string[]> = { A: [], B: [] };

  constructor(ruleset: string) {
    const { host, world } = this;
    const port = (name: string, side: 'A' | 'B', n: number): NetDevice => {
      const dev = portDevice(world, { name, address: Uint8Array.from(ROUTER_MAC[n]) }, (frame) =>
        this.#sent(side, frame),
      );
      host.devices.register(dev);
      return dev;
    };
    this.#ports = { A: port('t0', 'A', 0), B: port('t1', 'B', 1) };
    const netlink = hostNetlink(host);
    const run = (line: string): void => {
      const { code, stderr } = ip(line.split(' '), { netlink });
      if (code !== 0) throw new Error(`ip ${line}: ${stderr}`);
    };
    for (const line of SETUP) run(line);
    for (const family of ['ipv4', 'ipv6']) host.sysctls.write(`net.${family}.conf.all.forwarding`, '1');
    if (ruleset !== '') {
      const { code, stderr } = nft(['-f', '-'], { netlink, stdin: ruleset });
      if (code !== 0) throw new Error(`nft: ${stderr}`);
    }
    host.conntrack.get(NFPROTO_INET);
    for (const pf of [NFPROTO_IPV4, NFPROTO_IPV6])
      host.hooks.register({ pf, hook: NF_INET_FORWARD, priority: 300, name: 'observer', fn: (p) => this.#observe(p) });
    world.runFor(3e9);
    this.#out = { A: [], B: [] };
  }

  #sent(side: 'A' | 'B', frame: Uint8Array): void {
    const type = (frame[12] << 8) | frame[13];
    if (type === 0x0806 && frame[21] === 1) this.#answerArp(side, frame);
    if (type !== 0x0800 && type !== 0x86dd) return;
    const packet = frame.subarray(ETHERNET);
    if (type === 0x86dd && packet[6] === ICMPV6 && CHATTER.has(packet[40])) return;
    this.#out[side].push(Buffer.from(packet).toString('hex'));
  }

  /** Every address asked for lives on the side where it is asked for. */
  #answerArp(side: 'A' | 'B', request: Uint8Array): void {
    const reply = request.slice();
    reply.set(request.subarray(6, 12));
    reply.set(SIDE_MAC[side], 6);
    reply[21] = 2;
    reply.set(SIDE_MAC[side], 22);
    reply.set(request.subarray(38, 42), 28);
    reply.set(request.subarray(22, 32), 32);
    inject(this.#ports[side], reply);
  }

  #observe(p: number): number {
    const { conntrack, world } = this.host;
    const dir = world.slab.nfctinfo(p) >= C.IP_CT_IS_REPLY ? 'reply' : 'orig';
    const names: Record<number, string> = {
      1: 'invalid',
      64: 'untracked',
      8: 'new',
      4: 'related',
      2: `established ${dir}`,
    };
    this.#seen.push(names[conntrack.stateBit(p)]);
    return NF_ACCEPT;
  }

  /** Injects a packet from a side, `ns` after the last one. */
  step(side: 'A' | 'B', packet: Uint8Array, ns: number): Observed {
    this.world.runFor(ns);
    this.#seen = [];
    this.#out = { A: [], B: [] };
    const frame = new Uint8Array(ETHERNET + packet.length);
    frame.set(ROUTER_MAC[side === 'A' ? 0 : 1]);
    frame.set(SIDE_MAC[side], 6);
    frame.set(packet[0] >> 4 === 4 ? [0x08, 0x00] : [0x86, 0xdd], 12);
    frame.set(packet, ETHERNET);
    inject(this.#ports[side], frame);
    this.world.settle();
    const table: RecordedEntry[] = [];
    this.host.conntrack.forEach((ct) => {
      table.push(this.#record(ct));
    });
    return { ct: this.#seen, outA: this.#out.A, outB: this.#out.B, table };
  }

  #tuple(ct: Conn, dir: number): RecordedTuple {
    const t = ct.words;
    const at = ct.at(dir);
    const proto = protonum(t, at);
    const rest: Record<string, number> =
      proto === ICMP || proto === ICMPV6
        ? { type: dstPort(t, at) >> 8, code: dstPort(t, at) & 255, id: srcPort(t, at) }
        : { sport: srcPort(t, at), dport: dstPort(t, at) };
    const family = l3num(t, at);
    return { src: formatTupleAddress(t, at, family), dst: formatTupleAddress(t, at + DST, family), proto, ...rest };
  }

  #record(ct: Conn): RecordedEntry {
    const { conntrack } = this.host;
    const state = conntrack.tracker(ct).stateName?.(ct);
    return {
      orig: this.#tuple(ct, 0),
      reply: this.#tuple(ct, 1),
      status: STATUS.filter(([, bit]) => ct.status & bit).map(([name]) => name),
      timeout: Math.floor(conntrack.expires(ct)),
      ...(state !== undefined && { state }),
      ...(ct.tcp && {
        wscale: [ct.tcp.seen[0].scale, ct.tcp.seen[1].scale],
        flags: [ct.tcp.seen[0].flags, ct.tcp.seen[1].flags],
      }),
      ...(ct.mark && { mark: ct.mark }),
      // The recording reads the zone that both directions share (CTA_ZONE).
      ...(ct.zone && ct.zoneDir === ZONE_DIR_BOTH && { zone: ct.zone }),
    };
  }
}

const SETUP: readonly string[] = [
  'link set lo up',
  ...(['t0 0', 't1 1'] as const).flatMap((both) => {
    const [dev, n] = both.split(' ');
    return [`link set ${dev} up`, `addr add 10.0.${n}.1/24 dev ${dev}`, `-6 addr add fd0${n}::1/64 dev ${dev} nodad`];
  }),
  `-6 neigh add fd00::2 lladdr ${MAC.A} dev t0 nud permanent`,
  `-6 neigh add fd01::2 lladdr ${MAC.B} dev t1 nud permanent`,
  'route add default via 10.0.1.2',
  '-6 route add default via fd01::2',
];
