/**
 * What the parts of the network layer share and need from the host: one object per host, composed in `netns`.
 */
import type { Hooks } from '../core/hook.ts';
import type { Slab } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import type { DeviceRegistry } from '../device/registry.ts';
import type { NeighbourTable } from '../link/neighbour.ts';
import { IP_CT_IS_REPLY, IP_CT_RELATED, IP_CT_RELATED_REPLY } from '../wire/uapi/ctnetlink.ts';
import type { Addresses } from './address.ts';
import type { Fib } from './fib.ts';
import type { InetSysctls } from './sysctl.ts';

export type InetHost = {
  readonly name: string;
  readonly world: World;
  readonly hooks: Hooks;
  readonly devices: DeviceRegistry;
  readonly fib4: Fib;
  readonly fib6: Fib;
  readonly addresses: Addresses;
  readonly neigh4: NeighbourTable;
  readonly neigh6: NeighbourTable;
  readonly sysctls: InetSysctls;
  /** The loopback device. */
  readonly lo: NetDevice;
  /** Asks whether a socket may get (or, egress, send) a packet whose data begins with the IP header; cgroup programs. */
  socketGate?: ((p: number, egress: boolean) => boolean) | undefined;
  /** Gives raw sockets their copies of a packet for this host; true when some socket is for its protocol. */
  rawInput?: ((p: number, family: number, protocol: number) => boolean) | undefined;
  /** Tells raw sockets of an ICMP error: offsets of the quoted network header and of what is behind it. */
  rawError?: ((p: number, quoted: QuotedPacket, error: IcmpError) => void) | undefined;
  /** Gives packet sockets their copies of a packet that is left for protocols; true when some socket took it. */
  packetInput?: ((dev: NetDevice, p: number) => boolean) | undefined;
  /** Transport protocols by protocol number. */
  readonly protocols: Map<number, TransportHandler>;
};

/** A packet quoted in an ICMP error. */
export type QuotedPacket = {
  readonly family: number;
  readonly protocol: number;
  readonly network: number;
  readonly payload: number;
};
export type IcmpError = { readonly type: number; readonly code: number; readonly info: number };

/** Scratch words (`slab.cb`) of the network layer: where a fragment's own header lies, and the largest fragment a packet was made from. */
export const CB_FRAGMENT_HEADER = 0;
export const CB_LARGEST_FRAGMENT = 1;
/** How many pieces a packet was made from (geometry). */
export const CB_GEOMETRY = 3;
/** What the IPv4 options of a packet still want (options4). */
export const CB_OPTIONS = 2;

/** A transport protocol: gets packets for this host, and ICMP errors about packets it sent. */
export type TransportHandler = {
  /** A packet whose transport header is at `slab.transport(p)`. Owns the packet. `family` is AF_INET or AF_INET6. */
  receive(p: number, family: number): void;
  /** An ICMP error quotes a packet of this protocol: offsets of the quoted network and transport headers. */
  error?(p: number, family: number, network: number, transport: number, type: number, code: number, info: number): void;
};

/**
 * An answer of this host's own to packet `p` belongs to its connection, in the other direction, as RELATED (nf_ct_attach):
 * so it is translated as an answer from the other end would be.
 */
export function attachConnection(slab: Slab, answer: number, p: number): void {
  const entry = slab.nfct(p);
  if (entry === 0) return;
  slab.setNfct(answer, entry, slab.nfctinfo(p) < IP_CT_IS_REPLY ? IP_CT_RELATED_REPLY : IP_CT_RELATED);
}
