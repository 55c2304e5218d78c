/**
 * A socket as the stack knows it: what `struct sock` and `inet_sock` hold for every protocol. What only one protocol
 * needs hangs on `proto` (`protocol.ts`) and in `own`.
 */
import { IP_PMTUDISC_WANT, TCP_CLOSE } from '../../wire/uapi/socket.ts';
import { anyAddress } from './address.ts';
import type { Protocol } from './protocol.ts';
import { ErrorQueue, type Message, ReceiveQueue, type SockError } from './queue.ts';
import type { ReuseportGroup } from './reuseport.ts';

/** net.core.rmem_default, wmem_default. */
export const RMEM_DEFAULT = 212_992;

/** SO_ATTACH_FILTER, SO_ATTACH_BPF: how many bytes of a packet a socket gets, 0 for none. The packet is only lent. */
export type SocketFilter = {
  /** Data of the packet begins where the protocol lets filters begin. */
  run(p: number): number;
  /** The program is not used any more. */
  release(): void;
};

/** A multicast group joined (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP). */
export type Membership = { readonly group: Uint32Array; readonly ifindex: number };

export type SockOwner = {
  readonly uid: number;
  readonly gid: number;
  /** CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE. */
  readonly privileged: boolean;
};

export const ROOT: SockOwner = { uid: 0, gid: 0, privileged: true };

export class Sock {
  /** Number on its host; what `slab.sk` of its packets says. */
  readonly id: number;
  /** AF_INET, AF_INET6, AF_PACKET. */
  readonly family: number;
  readonly proto: Protocol;
  /** SOCK_*. */
  readonly type: number;
  /** IPPROTO_*; of packet sockets the ethertype. */
  protocol: number;
  readonly owner: SockOwner;
  /** TCP_CLOSE, TCP_ESTABLISHED (connected), TCP_LISTEN. */
  state: number = TCP_CLOSE;
  /** Closed for good. */
  dead = false;

  /** Address packets must be for (`inet_rcv_saddr`); "any" until bound or connected. */
  readonly rcvSaddr: Uint32Array;
  /** Address it sends from (`inet_saddr`): as `rcvSaddr`, but not a multicast group. */
  readonly saddr: Uint32Array;
  readonly daddr: Uint32Array;
  /** Own port in host order (`inet_num`), 0 for none. */
  sport = 0;
  dport = 0;
  /** SO_BINDTODEVICE. */
  boundDevIf = 0;
  /** bind() named the address, the port (`SOCK_BINDADDR_LOCK`, `SOCK_BINDPORT_LOCK`): disconnecting keeps them. */
  addressLocked = false;
  portLocked = false;
  /** Later binds have larger numbers. */
  bindOrder = 0;

  reuse = false;
  reuseport = false;
  group: ReuseportGroup | undefined;
  ipv6only = false;
  freebind = false;
  transparent = false;
  broadcast = false;
  dontroute = false;
  bindAddressNoPort = false;
  /** IP_LOCAL_PORT_RANGE, [0, 0] for the sysctl's. */
  portRange: readonly [number, number] = [0, 0];
  mark = 0;
  priority = 0;
  rcvbuf: number = RMEM_DEFAULT;
  sndbuf: number = RMEM_DEFAULT;
  timestamp: 'none' | 'us' | 'ns' = 'none';
  rxqOverflow = false;
  recvMark = false;
  noCheckTx = false;
  incomingCpu = -1;

  // IP and IPv6 levels; -1: the host's default.
  ttl = -1;
  tos = 0;
  tclass = -1;
  hops = -1;
  multicastTtl = 1;
  multicastHops = 1;
  multicastLoop = true;
  multicastLoop6 = true;
  multicastAll = true;
  multicastIf = 0;
  readonly multicastAddr: Uint32Array = new Uint32Array(4);
  multicastIf6 = 0;
  unicastIf = 0;
  /** IPV6_MTU: packets of this socket are no longer than this; 0: as the path takes them. */
  fragSize6 = 0;
  pmtudisc: number = IP_PMTUDISC_WANT;
  pmtudisc6: number = IP_PMTUDISC_WANT;
  recverr = false;
  recverr6 = false;
  pktinfo = false;
  recvPktinfo6 = false;
  recvTtl = false;
  recvTos = false;
  recvHops = false;
  recvTclass = false;
  recvOrigDst = false;
  hdrincl = false;
  readonly memberships: Membership[] = [];

  filter: SocketFilter | undefined;
  filterLocked = false;

  readonly receiveQueue: ReceiveQueue = new ReceiveQueue();
  readonly errorQueue: ErrorQueue = new ErrorQueue();
  /** Pending error (`sk_err`), positive errno. */
  err = 0;
  /** Packets that found no room. */
  drops = 0;
  shutdown = 0;
  /** Told of a message (`sk_data_ready`). When it answers true the message is its own and is not queued. */
  onMessage: ((message: Message) => boolean) | undefined;
  /** Told that `err` or the error queue has something (`sk_error_report`). */
  onError: ((error: number, detail: SockError | undefined) => void) | undefined;
  /** What the protocol alone needs. */
  own: unknown = undefined;
  /** Called when the socket goes: programs' storage, maps that hold it. */
  readonly onClose: Set<(sk: Sock) => void> = new Set();

  constructor(id: number, family: number, proto: Protocol, type: number, protocol: number, owner: SockOwner) {
    this.id = id;
    this.family = family;
    this.proto = proto;
    this.type = type;
    this.protocol = protocol;
    this.owner = owner;
    this.rcvSaddr = anyAddress(family);
    this.saddr = anyAddress(family);
    this.daddr = anyAddress(family);
  }

  /** Bound to a device, or to none: whether packets of the device are for it. */
  onDevice(ifindex: number): boolean {
    return this.boundDevIf === 0 || this.boundDevIf === ifindex;
  }

  /** Takes the pending error (`sock_error`): a negative errno or 0. */
  takeError(): number {
    const { err } = this;
    this.err = 0;
    return err === 0 ? 0 : -err;
  }

  report(errno: number, detail?: SockError): void {
    this.err = errno;
    this.onError?.(errno, detail);
  }
}
