/**
 * A host without a stack: interfaces by name, netfilter's hooks, connection tracking, NAT and nftables behind nfnetlink,
 * nothing else. Tests and benchmarks of the nftables machine run on it; `netns` has the real one.
 */
import { Hooks } from '../../core/hook.ts';
import { NO_OFFSET, PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST } from '../../core/slab.ts';
import type { World } from '../../core/world.ts';
import { ETH_P_8021AD, ETH_P_8021Q } from '../../wire/ethernet.ts';
import { Conntrack } from '../conntrack/conntrack.ts';
import { Nat } from '../nat/nat.ts';
import type { FibAnswer, LogOptions, NetfilterHost } from './host.ts';
import { Nftables } from './nftables.ts';
import type { PktInfo } from './pkt.ts';

const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;
const ETHERNET = 14;
const RTN_UNICAST = 1;

/** An interface of a bare host; its index is its place in the list, from 1. */
export type BareDevice = {
  readonly name: string;
  readonly mac?: Uint8Array;
  readonly kind?: string;
  readonly group?: number;
  /** Name of the bridge it is a port of. */
  readonly master?: string;
};

/** A route: the first whose prefix covers the address answers. */
export type BareRoute = {
  readonly prefix: Uint8Array;
  readonly bits: number;
  readonly dev: string;
  /** RTN_*. */
  readonly type: number;
};

/** A packet that the host would have sent because of a reject. */
export type BareReply = { readonly bytes?: Uint8Array; readonly type?: number; readonly code?: number };

export class BareHost implements NetfilterHost {
  readonly name: string = 'bare';
  readonly world: World;
  readonly hooks: Hooks;
  readonly conntrack: Conntrack;
  readonly nat: Nat;
  readonly nft: Nftables;
  cpu = 0;
  readonly replies: BareReply[] = [];
  readonly logs: LogOptions[] = [];
  readonly #devices: readonly BareDevice[];
  readonly #routes: readonly BareRoute[];
  readonly #answer: FibAnswer = { oif: 0, type: 0, addressType: RTN_UNICAST };

  constructor(world: World, devices: readonly BareDevice[], routes: readonly BareRoute[] = []) {
    this.world = world;
    this.hooks = new Hooks(world);
    this.conntrack = new Conntrack(world, this.hooks);
    this.nat = new Nat(this.conntrack, this.hooks, {
      masqueradeAddress: () => undefined,
      deviceAddress: () => undefined,
      reroute: () => true,
    });
    this.#devices = devices;
    this.#routes = routes;
    this.nft = new Nftables(this);
  }

  deviceIndex(name: string): number {
    return this.#devices.findIndex((d) => d.name === name) + 1;
  }
  deviceName(ifindex: number): string {
    return this.#devices[ifindex - 1]?.name ?? '';
  }
  deviceType(ifindex: number): number {
    const device = this.#devices[ifindex - 1];
    return device === undefined ? 0 : device.name === 'lo' ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
  }
  deviceGroup(ifindex: number): number {
    return this.#devices[ifindex - 1]?.group ?? 0;
  }
  deviceKind(ifindex: number): string {
    return this.#devices[ifindex - 1]?.kind ?? '';
  }
  bridgeOf(ifindex: number): number {
    const master = this.#devices[ifindex - 1]?.master;
    return master === undefined ? 0 : this.deviceIndex(master);
  }

  /** The route of the address at `at` in packet memory, restricted to `oif` unless that is 0. */
  route(family: number, at: number, oif: number): FibAnswer {
    const { u8 } = this.world.slab;
    const length = family === 2 ? 4 : 16;
    this.#answer.oif = 0;
    this.#answer.type = 0;
    this.#answer.addressType = RTN_UNICAST;
    for (const route of this.#routes) {
      if (route.prefix.length !== length) continue;
      let i = 0;
      while (i < route.bits && ((u8[at + (i >> 3)] ^ route.prefix[i >> 3]) & (0x80 >> (i & 7))) === 0) i++;
      if (i < route.bits) continue;
      const dev = this.deviceIndex(route.dev);
      if (oif !== 0 && dev !== oif) continue;
      this.#answer.oif = dev;
      this.#answer.type = route.type;
      this.#answer.addressType = route.type;
      break;
    }
    return this.#answer;
  }

  fib(family: number, address: number, _pkt: PktInfo, iif: number, oif: number): FibAnswer {
    return this.route(family, address, iif || oif);
  }

  sendReply(_family: number, _p: number, reply: number): void {
    this.replies.push({ bytes: this.world.slab.bytes(reply) });
    this.world.slab.free(reply);
  }
  sendIcmpError(_family: number, _p: number, type: number, code: number): void {
    this.replies.push({ type, code });
  }
  transmit(p: number): void {
    this.replies.push({ bytes: this.world.slab.bytes(p) });
    this.world.slab.free(p);
  }
  routeMss(): number {
    return 1460;
  }
  registerNat(entry: Parameters<Nat['register']>[0]): void {
    this.nat.register(entry);
  }
  unregisterNat(entry: Parameters<Nat['register']>[0]): void {
    this.nat.unregister(entry);
  }
  reroute(): boolean {
    return true;
  }
  log(_p: number, _pkt: PktInfo, options: LogOptions): void {
    this.logs.push(options);
  }

  /** A frame as received on an interface: VLAN tag out, type known, Ethernet header pulled; -1 when it is too short. */
  receive(frame: Uint8Array, ifindex: number): number {
    const { slab } = this.world;
    if (frame.length < ETHERNET) return -1;
    const p = slab.from(frame);
    if (p < 0) return p;
    slab.setIif(p, ifindex);
    const mac = this.#devices[ifindex - 1]?.mac;
    const own = mac?.every((b, i) => frame[i] === b) ?? false;
    const broadcast = frame.subarray(0, 6).every((b) => b === 255);
    slab.setPktType(
      p,
      own ? PACKET_HOST : broadcast ? PACKET_BROADCAST : frame[0] & 1 ? PACKET_MULTICAST : PACKET_OTHERHOST,
    );
    let at = slab.head(p);
    let protocol = slab.dv.getUint16(at + 12);
    if ((protocol === ETH_P_8021Q || protocol === ETH_P_8021AD) && slab.len(p) >= ETHERNET + 4) {
      slab.setVlan(p, protocol, slab.dv.getUint16(at + 14));
      slab.u8.copyWithin(at + 4, at, at + 12);
      slab.pull(p, 4);
      at += 4;
      protocol = slab.dv.getUint16(at + 12);
    }
    slab.setMac(p, at);
    slab.setProtocol(p, protocol);
    slab.pull(p, ETHERNET);
    slab.setNetwork(p, slab.head(p));
    slab.setTransport(p, NO_OFFSET);
    return p;
  }
}
