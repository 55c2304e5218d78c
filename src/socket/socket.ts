/**
 * Sockets as programs know them (socket(2), bind(2), connect(2), send(2), recv(2), getsockopt(2)), without waiting: what
 * would block answers -EAGAIN. Results are as the system calls': 0 or a count, or a negative errno.
 *
 *     const sk = host.socket(AF_INET, SOCK_DGRAM); // a Socket, or a negative errno
 *     sk.bind({ family: AF_INET, address: Uint8Array.of(0, 0, 0, 0), port: 53 });
 */
import { EAGAIN, EBADF, EINVAL, ENOTCONN } from '../core/errno.ts';
import type { SockAddr } from '../transport/endpoint/address.ts';
import * as a from '../transport/endpoint/address.ts';
import type { AddressCall } from '../transport/endpoint/programs.ts';
import type { SendControl } from '../transport/endpoint/protocol.ts';
import type { Message, SockError } from '../transport/endpoint/queue.ts';
import type { Sock } from '../transport/endpoint/sock.ts';
import type { Sockets } from '../transport/endpoint/sockets.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { MSG_PEEK, SHUT_RDWR, TCP_ESTABLISHED } from '../wire/uapi/socket.ts';

/** Dotted quad or IPv6 bytes with a port, as a `SockAddr`. */
export function sockaddr(address: Uint8Array, port: number, scopeId?: number): SockAddr {
  return { family: address.length === 4 ? AF_INET : AF_INET6, address, port, scopeId };
}

export class Socket {
  /** The socket in the stack. */
  readonly sk: Sock;
  readonly #sockets: Sockets;

  constructor(sockets: Sockets, sk: Sock) {
    this.#sockets = sockets;
    this.sk = sk;
  }

  bind(to: SockAddr): number {
    return this.sk.dead ? -EBADF : this.#sockets.bind(this.sk, to);
  }

  /** Undefined (or AF_UNSPEC): no longer connected. */
  connect(to: SockAddr | undefined): number {
    return this.sk.dead ? -EBADF : this.sk.proto.connect(this.sk, to);
  }

  send(data: Uint8Array, flags = 0): number {
    return this.sendmsg(data, undefined, {}, flags);
  }
  sendto(data: Uint8Array, to: SockAddr, flags = 0): number {
    return this.sendmsg(data, to, {}, flags);
  }
  sendmsg(data: Uint8Array, to: SockAddr | undefined, control: SendControl = {}, flags = 0): number {
    return this.sk.dead ? -EBADF : this.sk.proto.send(this.sk, data, to, control, flags);
  }

  /** The oldest message (MSG_PEEK leaves it there); a negative errno when there is none. */
  recvmsg(flags = 0): Message | number {
    const { sk } = this;
    if (sk.dead) return -EBADF;
    const failed = sk.takeError();
    if (failed !== 0) return failed;
    const message = (flags & MSG_PEEK) !== 0 ? sk.receiveQueue.peek() : sk.receiveQueue.shift();
    if (message === undefined) return (sk.shutdown & 1) !== 0 ? 0 : -EAGAIN;
    const ask = this.#sockets.programs.address;
    if (ask === undefined || !sk.proto.ports) return message;
    const from = this.#ask('recvmsg', a.fromBytes(message.from.address), message.from.port);
    return typeof from === 'number' ? from : { ...message, from: { ...message.from, ...from } };
  }

  /** Payload and sender of the oldest message. */
  recvfrom(flags = 0): { readonly data: Uint8Array; readonly from: SockAddr } | number {
    return this.recvmsg(flags);
  }

  /** MSG_ERRQUEUE: the oldest error of IP_RECVERR. */
  recverr(): SockError | number {
    return this.sk.errorQueue.shift() ?? -EAGAIN;
  }

  setsockopt(level: number, name: number, value: number | Uint8Array): number {
    return this.sk.dead ? -EBADF : this.#sockets.setsockopt(this.sk, level, name, value);
  }
  getsockopt(level: number, name: number, length?: number): Uint8Array | number {
    return this.sk.dead ? -EBADF : this.#sockets.getsockopt(this.sk, level, name, length);
  }
  /** An option whose value is an int; throws RangeError for an errno. */
  option(level: number, name: number): number {
    const value = this.getsockopt(level, name);
    if (typeof value === 'number') throw new RangeError(`getsockopt: errno ${-value}`);
    return new DataView(value.buffer, value.byteOffset).getInt32(0, true);
  }

  getsockname(): SockAddr | number {
    const { sk } = this;
    const own = a.isAny(sk.saddr) ? sk.rcvSaddr : sk.saddr;
    return this.#ask('getsockname', own.slice(), sk.sport);
  }
  getpeername(): SockAddr | number {
    const { sk } = this;
    if (sk.state !== TCP_ESTABLISHED) return -ENOTCONN;
    return this.#ask('getpeername', sk.daddr.slice(), sk.dport);
  }

  #ask(kind: AddressCall['kind'], address: Uint32Array, port: number): SockAddr | number {
    const call: AddressCall = { kind, sk: this.sk, family: this.sk.family, address, port, source: undefined };
    const refused = this.#sockets.programs.address?.(call) ?? 0;
    return refused !== 0 ? refused : this.#sockets.sockAddr(this.sk, address, call.port, this.sk.boundDevIf);
  }

  shutdown(how: number): number {
    const { sk } = this;
    if (how < 0 || how > SHUT_RDWR) return -EINVAL;
    if (sk.state !== TCP_ESTABLISHED) return -ENOTCONN;
    sk.shutdown |= how === SHUT_RDWR ? 3 : 1 << how;
    return 0;
  }

  close(): void {
    this.#sockets.close(this.sk);
  }
}
