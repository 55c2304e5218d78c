/**
 * What eBPF programs decide about sockets, as the socket layer asks it: the host sets what is attached
 * (`netns/bpf-sockets.ts`). Nothing attached: the fields are undefined, and cost one look.
 */
import type { Sock } from './sock.ts';

/** A system call whose address a program may look at and change (`struct bpf_sock_addr`). */
export type AddressCall = {
  readonly kind: 'bind' | 'connect' | 'sendmsg' | 'recvmsg' | 'getpeername' | 'getsockname';
  readonly sk: Sock;
  /** AF_INET or AF_INET6: which programs run. */
  readonly family: number;
  readonly address: Uint32Array;
  port: number;
  /** sendmsg: source address. */
  readonly source: Uint32Array | undefined;
};

/** Answers are 0 or a negative errno. */
export type SocketPrograms = {
  create?: (sk: Sock) => number;
  release?: (sk: Sock) => void;
  postBind?: (sk: Sock) => number;
  address?: (call: AddressCall) => number;
  /** Lets a packet into a socket's queue (cgroup_skb); its data begins with the IP header. */
  ingress?: (sk: Sock, p: number) => boolean;
  /** A datagram for a socket in a sockmap: true when a verdict program has taken care of it. The packet is only lent. */
  verdict?: (sk: Sock, p: number) => boolean;
};
