/**
 * What the nftables machine needs from the host it runs in. `netns` implements it from the layers below; tests implement
 * it in a few lines. Every method works on the packet path: it does not throw and does not allocate.
 */
import type { HookEntry, Hooks } from '../../core/hook.ts';
import type { World } from '../../core/world.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { FlowRoute } from '../flowtable/flowtable.ts';
import type { Nat } from '../nat/nat.ts';
import type { CompileMode } from './compile/chains.ts';
import type { PktInfo } from './pkt.ts';

/** Answer of a `fib` query; one object per host, overwritten by each query. */
export type FibAnswer = {
  /** Output interface, 0 for none. */
  oif: number;
  /** Route type (RTN_*), RTN_UNSPEC (0) when there is no route. */
  type: number;
  /** What kind of address it is (RTN_*): unicast unless the host's own tables say more. */
  addressType: number;
};

/** What the `socket` expression may learn of a socket. */
export type SocketAnswer = {
  readonly transparent: boolean;
  readonly mark: number;
  /** Bound to no address. */
  readonly wildcard: boolean;
};

export type NetfilterHost = {
  readonly name: string;
  readonly world: World;
  readonly hooks: Hooks;
  readonly conntrack: Conntrack;
  readonly nat: Nat;
  /** Number of the processor that handles packets (`meta cpu`); default 0. */
  readonly cpu?: number;
  /** When chains are compiled; default 'lazy'. */
  readonly compile?: CompileMode;
  /** Interface index by name, 0 when there is none. */
  deviceIndex(name: string): number;
  /** Interface name by index, '' when there is none. */
  deviceName(ifindex: number): string;
  /** ARPHRD_* of an interface, 0 when there is none. */
  deviceType(ifindex: number): number;
  deviceGroup(ifindex: number): number;
  /** Link kind ("veth", "bridge", ...), '' for none. */
  deviceKind(ifindex: number): string;
  /** Interface index of the bridge that has this port, 0 for none. */
  bridgeOf(ifindex: number): number;
  /**
   * Looks an address up in the routing tables, as the fib expression does. `address` is the offset of the 4 or 16 bytes in
   * the slab's memory; `iif` and `oif` restrict the answer (0: no restriction); `source` says that it is a source address.
   */
  fib(
    family: number,
    address: number,
    pkt: PktInfo,
    iif: number,
    oif: number,
    mark: number,
    source: boolean,
  ): FibAnswer;
  /**
   * Sends a packet that answers `p` (a reject): an L3 packet, or for the bridge and netdev families a frame out of
   * `ifindex`. Takes ownership of `reply`.
   */
  sendReply(family: number, p: number, reply: number, hook: number): void;
  /** Sends an ICMP or ICMPv6 error for `p` (rate limited as the host's other errors). */
  sendIcmpError(family: number, p: number, type: number, code: number, hook: number): void;
  /** Routing metrics and next hop of a routed packet, for `rt`: MSS, or 0. */
  routeMss(p: number): number;
  /** Adds and removes a chain of type nat: called for the first packet of a connection only, by the NAT hooks. */
  registerNat(entry: HookEntry): void;
  unregisterNat(entry: HookEntry): void;
  /** Routes a locally sent packet again after an output chain of type route changed it; false when it has no route now. */
  reroute(p: number, pf: number): boolean;
  /** Sends a frame out of a device as it is, link header included. Takes ownership. */
  transmit(p: number, ifindex: number): void;
  /**
   * Sends a copy of an IP packet to a gateway (the TEE target, `dup`): routed to `gateway` (4 or 16 bytes), out of `oif`
   * unless that is 0. The copy belongs to no connection.
   */
  duplicate?(family: number, p: number, gateway: Uint8Array, oif: number, hook: number): void;
  /** The fast path of flowtables: see `FlowHost`. Without them nothing is offloaded. */
  flowRoute?(pf: number, dst: Uint32Array, src: Uint32Array, iif: number, mark: number, out: FlowRoute): boolean;
  flowGeneration?(pf: number): number;
  flowTransmit?(p: number, pf: number, route: FlowRoute): void;
  /** The local socket that a packet belongs to; undefined when there is none. */
  socket?(pkt: PktInfo): SocketAnswer | undefined;
  /** Records a `log` statement. */
  log(p: number, pkt: PktInfo, options: LogOptions): void;
};

export type LogOptions = {
  readonly prefix: string;
  readonly level: number;
  readonly flags: number;
  readonly group: number | undefined;
  readonly snaplen: number;
  readonly qthreshold: number;
};
