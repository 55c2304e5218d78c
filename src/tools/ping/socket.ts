/**
 * What `ping` needs of a host: an ICMP socket, the time, and a way to wait. In virtual time waiting lets the lab's
 * clock run; in real time it runs with the wall clock.
 */

export type PingOptions = {
  /** Source address, or a device to bind to. */
  readonly source?: Uint8Array;
  readonly device?: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly mark?: number;
  /** IP_PMTUDISC_*: undefined leaves the default (want). */
  readonly mtuDiscover?: number;
};

/** A packet that came back: an echo reply, or an ICMP error about one of ours. */
export type PingReply = {
  readonly from: Uint8Array;
  readonly type: number;
  readonly code: number;
  readonly seq: number;
  readonly ttl: number;
  /** ICMP header and data, in bytes. */
  readonly length: number;
  /** World time of arrival, nanoseconds. */
  readonly at: number;
  /** Next-hop MTU of "too big" errors. */
  readonly mtu?: number;
};

export type PingSocket = {
  /** Fixes the destination; answers an errno and the source address chosen. */
  connect(destination: Uint8Array, options: PingOptions): { readonly errno: number; readonly source: Uint8Array };
  /** Sends an echo request with this sequence number. 0 or an errno; EMSGSIZE with the path's MTU. */
  send(seq: number, payload: Uint8Array): { readonly errno: number; readonly mtu?: number };
  receive(): PingReply | undefined;
  close(): void;
};

export type PingHost = {
  /** World time, nanoseconds. */
  now(): number;
  /** Lets time pass until `ready` or until `deadline`. */
  wait(deadline: number, ready: () => boolean): void;
  /** An ICMP or (AF_INET6) ICMPv6 echo socket. */
  open(family: number): PingSocket;
  /** Address of a host name, if there is one. */
  resolve?(name: string, family: number): Uint8Array | undefined;
};
