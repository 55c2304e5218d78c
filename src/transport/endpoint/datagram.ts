/**
 * connect(2) and addresses of sockets without connections: UDP, raw and ping sockets alike (ip4_datagram_connect,
 * ip6_datagram_connect).
 */
import { EAFNOSUPPORT, EDESTADDRREQ, EINVAL, ENETUNREACH } from '../../core/errno.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '../../wire/address.ts';
import { TCP_ESTABLISHED } from '../../wire/uapi/socket.ts';
import type { SockAddr } from './address.ts';
import * as a from './address.ts';
import type { Output } from './output.ts';
import type { AddressCall } from './programs.ts';
import type { Sock } from './sock.ts';
import type { Sockets } from './sockets.ts';

/** Where a message goes. */
export type Destination = {
  readonly words: Uint32Array;
  readonly port: number;
  readonly scopeId: number;
  /** It is the connected peer. */
  readonly connected: boolean;
};

/** "This host" is meant by the "any" address. */
function target(words: Uint32Array): Uint32Array {
  if (!a.isAny(words)) return words;
  return a.isMapped(words) ? Uint32Array.of(0, 0, 0xffff, 0x7f000001) : Uint32Array.of(0, 0, 0, 1);
}

/** Words of an address a program named to a socket; a negative errno when it is of no use to it. */
export function wordsFor(sk: Sock, to: SockAddr): Uint32Array | number {
  if (to.family === AF_INET || (sk.family === AF_INET && to.family === AF_UNSPEC)) {
    if (to.address.length < 4) return -EINVAL;
    if (sk.family === AF_INET6 && sk.ipv6only) return -ENETUNREACH;
    return a.fromBytes(to.address.subarray(0, 4));
  }
  if (to.family !== AF_INET6 || sk.family !== AF_INET6) return -EAFNOSUPPORT;
  if (to.address.length < 16) return -EINVAL;
  const words = a.fromBytes(to.address);
  return a.isMapped(words) && sk.ipv6only ? -ENETUNREACH : words;
}

/** A socket bound to an address of one family cannot connect to one of the other. */
function familyConflict(sk: Sock, to: Uint32Array): number {
  if (sk.family !== AF_INET6) return 0;
  if (a.isMapped(to)) return a.isAny6(sk.saddr) || a.isMapped(sk.saddr) ? 0 : -ENETUNREACH;
  return a.isMapped(sk.saddr) ? -EAFNOSUPPORT : 0;
}

/** connect(2): 0 or a negative errno. */
export function connectDatagram(sockets: Sockets, output: Output, sk: Sock, to: SockAddr | undefined): number {
  if (to === undefined || to.family === AF_UNSPEC) {
    sockets.disconnect(sk);
    return 0;
  }
  let words = wordsFor(sk, to);
  if (typeof words === 'number') return words;
  const call: AddressCall = {
    kind: 'connect',
    sk,
    family: sk.family,
    address: words,
    port: to.port,
    source: undefined,
  };
  const refused = sockets.programs.address?.(call) ?? 0;
  if (refused !== 0) return refused;
  const unbound = sockets.autobind(sk);
  if (unbound !== 0) return unbound;
  words = target(call.address);
  const way = output.way(sk, words, call.port, to.scopeId ?? 0);
  if (typeof way === 'number') return way;
  const mixed = familyConflict(sk, words);
  if (mixed !== 0) return mixed;
  if (to.scopeId && a.isLinkLocal(words) && sk.boundDevIf === 0) sk.boundDevIf = to.scopeId;
  sockets.setPeer(sk, way.source, words, call.port);
  return 0;
}

/** The destination of one message: named, or the peer; or a negative errno. `needPort`: port 0 is refused. */
export function destinationOf(sk: Sock, to: SockAddr | undefined, needPort: boolean): Destination | number {
  if (to === undefined) {
    if (sk.state !== TCP_ESTABLISHED) return -EDESTADDRREQ;
    return { words: sk.daddr, port: sk.dport, scopeId: sk.boundDevIf, connected: true };
  }
  const words = wordsFor(sk, to);
  if (typeof words === 'number') return words;
  if (needPort && to.port === 0) return -EINVAL;
  return { words: target(words), port: to.port, scopeId: to.scopeId ?? 0, connected: false };
}
