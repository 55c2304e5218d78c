/**
 * Sockets as programs see them: a `struct bpf_sock` (linux/bpf.h) for each one that a program has met, filled anew when it
 * is handed out. Its address is what programs, maps and storage know the socket by.
 */

import type { MapSpec } from '../bpf/program.ts';
import {
  SOCK_BOUND_DEV_IF,
  SOCK_DST_IP4,
  SOCK_DST_IP6,
  SOCK_DST_PORT,
  SOCK_FAMILY,
  SOCK_MARK,
  SOCK_PRIORITY,
  SOCK_PROTOCOL,
  SOCK_RX_QUEUE_MAPPING,
  SOCK_SIZE,
  SOCK_SRC_IP4,
  SOCK_SRC_IP6,
  SOCK_SRC_PORT,
  SOCK_STATE,
  SOCK_TYPE,
} from '../bpf/progtype/sock.ts';
import type { Machine, MachineSockets } from '../bpf/runtime/machine.ts';
import { EBADF, EINVAL, EOPNOTSUPP } from '../core/errno.ts';
import type { Sock } from '../transport/endpoint/sock.ts';
import type { Sockets } from '../transport/endpoint/sockets.ts';
import { AF_INET6 } from '../wire/address.ts';
import { BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, BPF_MAP_TYPE_SK_STORAGE, BPF_MAP_TYPE_XSKMAP } from '../wire/uapi/bpf.ts';

export class BpfSocks implements MachineSockets {
  readonly #machine: Machine;
  readonly #sockets: Sockets;
  readonly #addresses = new Map<Sock, number>();
  readonly #socks = new Map<number, Sock>();
  readonly #closed = (sk: Sock): void => this.#forget(sk);

  constructor(machine: Machine, sockets: Sockets) {
    this.#machine = machine;
    this.#sockets = sockets;
    machine.sockets = this;
  }

  /** The socket behind an address. */
  at(address: number): Sock | undefined {
    return this.#socks.get(address);
  }

  /** Address of the socket's struct, up to date; 0 when memory is full. */
  address(sk: Sock): number {
    let at = this.#addresses.get(sk);
    if (at === undefined) {
      at = this.#machine.heap.alloc(SOCK_SIZE);
      if (at === 0) return 0;
      this.#addresses.set(sk, at);
      this.#socks.set(at, sk);
      sk.onClose.add(this.#closed);
    }
    this.fill(at, sk);
    return at;
  }

  /** Writes a socket's `struct bpf_sock` to `at`. */
  fill(at: number, sk: Sock): void {
    const { dv } = this.#machine.slab;
    const word = (offset: number, value: number): void => dv.setUint32(at + offset, value, true);
    word(SOCK_BOUND_DEV_IF, sk.boundDevIf);
    word(SOCK_FAMILY, sk.family);
    word(SOCK_TYPE, sk.type);
    word(SOCK_PROTOCOL, sk.protocol);
    word(SOCK_MARK, sk.mark);
    word(SOCK_PRIORITY, sk.priority);
    word(SOCK_SRC_PORT, sk.sport);
    word(SOCK_DST_PORT, 0);
    dv.setUint16(at + SOCK_DST_PORT, sk.dport);
    dv.setUint32(at + SOCK_SRC_IP4, sk.rcvSaddr[3]);
    dv.setUint32(at + SOCK_DST_IP4, sk.daddr[3]);
    for (let i = 0; i < 4; i++) {
      const six = sk.family === AF_INET6;
      dv.setUint32(at + SOCK_SRC_IP6 + i * 4, six ? sk.rcvSaddr[i] : 0);
      dv.setUint32(at + SOCK_DST_IP6 + i * 4, six ? sk.daddr[i] : 0);
    }
    word(SOCK_STATE, sk.state);
    word(SOCK_RX_QUEUE_MAPPING, 0xffff_ffff);
  }

  /** A closed socket leaves every map and storage. */
  #forget(sk: Sock): void {
    const at = this.#addresses.get(sk);
    if (at === undefined) return;
    for (const map of this.#machine.maps) {
      map?.storage?.forget(at);
      map?.forgetSocket?.(at);
    }
    this.#addresses.delete(sk);
    this.#socks.delete(at);
    this.#machine.grace.free(at);
  }

  /** A handle of user space: the socket's number. */
  socket(handle: number, map: MapSpec): number {
    const sk = this.#sockets.byId(handle);
    if (sk === undefined) return -EBADF;
    if (map.type === BPF_MAP_TYPE_XSKMAP) return -EOPNOTSUPP;
    if (map.type === BPF_MAP_TYPE_REUSEPORT_SOCKARRAY) {
      if (!sk.proto.ports || sk.group === undefined) return -EINVAL;
    } else if (map.type !== BPF_MAP_TYPE_SK_STORAGE && !sk.proto.ports) return -EOPNOTSUPP;
    return this.address(sk);
  }

  cookie(address: number): bigint {
    return BigInt(this.#socks.get(address)?.id ?? 0);
  }
}
