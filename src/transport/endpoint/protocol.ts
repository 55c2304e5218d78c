/**
 * What a protocol declares of itself, so that the shared code need not ask which one it is.
 */
import type { SockAddr } from './address.ts';
import type { Row } from './option.ts';
import type { Sock } from './sock.ts';

/** How much each thing that a socket and a packet have in common counts in a look-up. */
export type Scores = {
  /** An IPv4 packet for an AF_INET socket (before dual-stack AF_INET6 ones). */
  readonly family4: number;
  /** Peer's address, peer's port, device. */
  readonly daddr: number;
  readonly dport: number;
  readonly device: number;
};

/** What goes out with one message (msg_control). */
export type SendControl = {
  /** IP_PKTINFO, IPV6_PKTINFO: device and source address. */
  readonly ifindex?: number;
  readonly source?: Uint8Array;
  readonly ttl?: number;
  readonly tos?: number;
  /** UDP_SEGMENT. */
  readonly segment?: number;
  readonly mark?: number;
  readonly priority?: number;
};

export type Protocol = {
  /** As `ss` and /proc/net name it. */
  readonly name: string;
  /** Key of look-ups and of port space: IPPROTO_*, or ETH_P_* beyond. */
  readonly key: number;
  /** Ports: sockets get one at the latest when they send. False: raw and packet sockets. */
  readonly ports: boolean;
  /** Bytes of its header, which programs that number the members of a group do not see. */
  readonly header: number;
  readonly scores4: Scores;
  readonly scores6: Scores;
  /** SO_REUSEADDR of both lets them have one port. */
  mayShare(a: Sock, b: Sock): boolean;
  /** Rows of getsockopt/setsockopt beside the common ones. */
  readonly options: readonly Row[];
  /** 0 or a negative errno. `undefined` address: disconnect. */
  connect(sk: Sock, to: SockAddr | undefined): number;
  bind?(sk: Sock, to: SockAddr): number;
  /** Bytes sent, or a negative errno. */
  send(sk: Sock, data: Uint8Array, to: SockAddr | undefined, control: SendControl, flags: number): number;
  /** The socket is there. */
  opened?(sk: Sock): void;
  /** The socket goes. */
  close?(sk: Sock): void;
};
