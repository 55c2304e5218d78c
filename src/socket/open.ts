/**
 * socket(2): which protocol serves a family, type and protocol number (the kernel's inetsw), and who may have it.
 */
import { EAFNOSUPPORT, EINVAL, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../core/errno.ts';
import type { Protocol } from '../transport/endpoint/protocol.ts';
import { ROOT, type SockOwner } from '../transport/endpoint/sock.ts';
import type { Sockets } from '../transport/endpoint/sockets.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { AF_PACKET } from '../wire/uapi/socket.ts';
import { Socket } from './socket.ts';

/** One kind of socket. */
export type SocketKind = {
  readonly families: readonly number[];
  /** SOCK_*. */
  readonly type: number;
  /** IPPROTO_*; 'any' takes whatever is asked for. */
  readonly protocol: number | 'any';
  readonly proto: Protocol;
  /** CAP_NET_RAW is needed. */
  readonly privileged?: boolean;
};

/** Opens a socket; a negative errno when there is no such kind. `protocol` 0: the first of its type. */
export function openSocket(
  sockets: Sockets,
  kinds: readonly SocketKind[],
  family: number,
  type: number,
  protocol = 0,
  owner: SockOwner = ROOT,
): Socket | number {
  if (family !== AF_INET && family !== AF_INET6 && family !== AF_PACKET) return -EAFNOSUPPORT;
  if (protocol < 0 || protocol > 0xffff) return -EINVAL;
  const ofType = kinds.filter((k) => k.families.includes(family) && k.type === type);
  if (ofType.length === 0) return -ESOCKTNOSUPPORT;
  const kind =
    ofType.find((k) => k.protocol === protocol) ??
    (family !== AF_PACKET && protocol === 0 && ofType[0].protocol !== 'any' ? ofType[0] : undefined) ??
    ofType.find((k) => k.protocol === 'any' && (family === AF_PACKET || protocol !== 0));
  if (kind === undefined) return -EPROTONOSUPPORT;
  if (kind.privileged === true && !owner.privileged) return -EPERM;
  const number = kind.protocol === 'any' ? protocol : kind.protocol;
  const sk = sockets.create(family, kind.proto, type, number, owner);
  return typeof sk === 'number' ? sk : new Socket(sockets, sk);
}
