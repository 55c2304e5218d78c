/**
 * What helpers ask of the network around a program. The attach layer implements it for a host; `NO_NET` is a host with
 * nothing but `lo`, as BPF_PROG_TEST_RUN in an empty namespace sees it.
 */
import { EINVAL, ENODEV, ENOENT } from '../../core/errno.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Run } from './run.ts';

/** A network device as far as helpers see it. */
export type NetDevice = {
  readonly index: number;
  readonly mtu: number;
  /** Interface is up. */
  readonly up: boolean;
  /** Bytes of the link-layer header (14 for Ethernet and `lo`, 0 for tunnels). */
  readonly hardHeaderLen: number;
};

/** Where a socket lookup looks: protocol, and the addresses in memory as `struct bpf_sock_tuple`. */
export type SocketQuery = {
  readonly protocol: 'tcp' | 'udp';
  readonly family: 2 | 10;
  /** Address of the tuple: source address, destination address, source port, destination port, all big endian. */
  readonly tuple: number;
  /** Network namespace id, -1 the program's own. */
  readonly netns: number;
  /** bpf_skc_lookup_tcp: request and time-wait sockets count too. */
  readonly anyState: boolean;
};

/** A connection asked for: addresses and ports in memory as `struct bpf_sock_tuple`. */
export type CtQuery = {
  readonly family: 2 | 10;
  /** Address of the tuple. */
  readonly tuple: number;
  readonly l4proto: number;
  readonly zone: number;
};

/** The host's connections. Entries are the host's own objects; numbers returned are 0 or -errno. */
export type Conntrack = {
  lookup(query: CtQuery): { readonly entry: unknown; readonly dir: number } | number;
  /** An entry that is not in the table yet; undefined when it is full. */
  create(query: CtQuery): unknown;
  insert(entry: unknown): number;
  setTimeout(entry: unknown, ms: number): number;
  setStatus(entry: unknown, status: number): number;
  /** Translates source (`manip` 0) or destination (1) to the address of 16 bytes in memory, and to a port unless 0. */
  setNat(entry: unknown, address: number, port: number, manip: number): number;
};

/** Numbers returned are 0 or -errno unless said otherwise; sockets are addresses of a `struct bpf_sock`, 0 for none. */
export type NetHooks = {
  device(ifindex: number): NetDevice | undefined;
  /** Connection tracking, where there is some. */
  readonly conntrack?: Conntrack;
  /** bpf_fib_lookup over the `struct bpf_fib_lookup` at `params`: BPF_FIB_LKUP_RET_* or -errno. */
  fibLookup(run: Run, params: number, flags: number): number;
  /** The program asked for a copy of its packet to go out (or, BPF_F_INGRESS, come in) on a device; the callee owns `packet`. */
  clone(packet: number, ifindex: number, flags: number): number;
  lookupSocket(run: Run, query: SocketQuery): number;
  /** Full socket behind a request socket, the listener of one, its TCP half (`struct bpf_tcp_sock`); 0 for none. */
  fullSocket(sk: number): number;
  listenerOf(sk: number): number;
  tcpSocket(sk: number): number;
  releaseSocket(sk: number): void;
  /** Steers the packet (or the lookup) to a socket. */
  assignSocket(run: Run, sk: number, flags: number): number;
  /** Chooses a member of the group a sk_reuseport program runs for: 0 or -errno. */
  selectReuseport(run: Run, sk: number, map: BpfMap): number;
  /** Binds the socket of a sock_addr program to a `struct sockaddr` in memory. */
  bindSocket(run: Run, address: number, size: number): number;
  /** The socket a packet belongs to as `struct bpf_sock`, 0 for none. */
  socketOf(packet: number): number;
  /** 64-bit cookies, as two words [low, high]. */
  socketCookie(run: Run, address: number): readonly [number, number];
  netnsCookie(run: Run): readonly [number, number];
  /** Owner of the packet's socket; 65534 (overflowuid) for none. */
  socketUid(packet: number): number;
  getsockopt(run: Run, target: number, level: number, name: number, at: number, length: number): number;
  setsockopt(run: Run, target: number, level: number, name: number, at: number, length: number): number;
  /** SYN cookies of a listener (`tcp_gen_syncookie`: low 32 cookie, high MSS). */
  genSyncookie(run: Run, sk: number, ip: number, ipLen: number, tcp: number, tcpLen: number): readonly [number, number];
  checkSyncookie(run: Run, sk: number, ip: number, ipLen: number, tcp: number, tcpLen: number): number;
};

/** Answer of bpf_fib_lookup for a device that does not forward. */
const BPF_FIB_LKUP_RET_FWD_DISABLED = 5;
const LO: NetDevice = { index: 1, mtu: 65_536, up: true, hardHeaderLen: 14 };

/** A host with `lo` alone: no routes, no sockets. Copies sent to `lo` disappear. */
export const NO_NET: NetHooks = {
  device: (ifindex) => (ifindex === 1 ? LO : undefined),
  fibLookup: (run, params) =>
    run.machine.net.device(run.dv.getUint32(params + 8, true)) === undefined ? -ENODEV : BPF_FIB_LKUP_RET_FWD_DISABLED,
  clone: () => 0,
  lookupSocket: () => 0,
  fullSocket: () => 0,
  listenerOf: () => 0,
  tcpSocket: () => 0,
  releaseSocket: () => undefined,
  assignSocket: () => -ENOENT,
  selectReuseport: () => -ENOENT,
  bindSocket: () => -EINVAL,
  socketOf: () => 0,
  socketCookie: () => [0, 0],
  netnsCookie: () => [1, 0],
  socketUid: () => 65_534,
  getsockopt: () => -22,
  setsockopt: () => -22,
  genSyncookie: () => [-ENOENT, -1],
  checkSyncookie: () => -ENOENT,
};
