/**
 * What waits for a program at a socket: messages received, charged against SO_RCVBUF as Linux charges `sk_buff`s, and
 * errors (the error queue of IP_RECVERR, ip(7)). Bytes are copied out of the packet memory, which is for packets on
 * their way: a program that never reads must not hold slots.
 */
import type { SockAddr } from './address.ts';

/** One message as it was received. */
export type Message = {
  /** Payload, cut to what a socket filter left of it. */
  readonly data: Uint8Array;
  readonly from: SockAddr;
  /** Where it was sent to: IP_PKTINFO, IP_ORIGDSTADDR. */
  readonly to: SockAddr;
  /** Device it came in on. */
  readonly ifindex: number;
  readonly ttl: number;
  readonly tos: number;
  /** World time, nanoseconds. */
  readonly tstamp: number;
  readonly mark: number;
  /** UDP_GRO: size of the segments that were joined; 0 for one datagram. */
  readonly gsoSize: number;
  /** AF_PACKET: what `struct sockaddr_ll` says. */
  readonly link?: LinkInfo;
  /** What the message costs. */
  readonly truesize: number;
};

/** `struct sockaddr_ll` of a frame. */
export type LinkInfo = {
  readonly protocol: number;
  /** ARPHRD_*. */
  readonly hatype: number;
  /** PACKET_HOST... */
  readonly pkttype: number;
  readonly address: Uint8Array;
};

/** `struct sock_extended_err` and what comes with it. */
export type SockError = {
  readonly errno: number;
  /** SO_EE_ORIGIN_*. */
  readonly origin: number;
  readonly type: number;
  readonly code: number;
  /** Path MTU of EMSGSIZE. */
  readonly info: number;
  /** Who reported it. */
  readonly offender: SockAddr | undefined;
  /** Where the packet had been sent. */
  readonly to: SockAddr;
  /** What was quoted of it, behind the transport header. */
  readonly data: Uint8Array;
};

/** Errors a socket keeps. */
const MAX_ERRORS = 64;
/** Most bytes of joined datagrams. */
const MAX_JOINED = 65_507;
const SKB_OVERHEAD = 256;
const SHARED_INFO = 320;

/** `skb->truesize` of a packet with so many bytes: the block kmalloc gives for data and shared info, and the sk_buff. */
export function truesizeOf(bytes: number): number {
  const wanted = Math.max(512, bytes + SHARED_INFO);
  return 2 ** Math.ceil(Math.log2(wanted)) + SKB_OVERHEAD;
}

export class ReceiveQueue {
  readonly #messages: Message[] = [];
  #first = 0;
  /** Bytes charged (sk_rmem_alloc). */
  rmem = 0;

  get length(): number {
    return this.#messages.length - this.#first;
  }

  /** Takes a message, unless the limit is reached; one message always fits. */
  push(message: Message, limit: number): boolean {
    if (this.rmem > 0 && this.rmem + message.truesize > limit) return false;
    this.rmem += message.truesize;
    this.#messages.push(message);
    return true;
  }

  /** Joins a datagram to the last one of the same sender and moment, if segments stay of one size (UDP_GRO). */
  join(message: Message, limit: number): boolean {
    const last = this.length === 0 ? undefined : this.#messages[this.#messages.length - 1];
    if (last === undefined || last.tstamp !== message.tstamp || this.rmem + message.truesize > limit) return false;
    const size = last.gsoSize === 0 ? last.data.length : last.gsoSize;
    const whole = last.data.length % size === 0 && last.data.length + message.data.length <= MAX_JOINED;
    const same =
      last.from.port === message.from.port &&
      last.from.address.every((byte, i) => byte === message.from.address[i]) &&
      last.to.address.every((byte, i) => byte === message.to.address[i]);
    if (size === 0 || !whole || !same || message.data.length > size || message.data.length === 0) return false;
    const data = new Uint8Array(last.data.length + message.data.length);
    data.set(last.data);
    data.set(message.data, last.data.length);
    this.rmem += message.truesize;
    this.#messages[this.#messages.length - 1] = {
      ...last,
      data,
      gsoSize: size,
      truesize: last.truesize + message.truesize,
    };
    return true;
  }

  peek(): Message | undefined {
    return this.#messages[this.#first];
  }

  shift(): Message | undefined {
    const message = this.#messages[this.#first];
    if (message === undefined) return undefined;
    this.#first++;
    if (this.#first > 64 && this.#first * 2 > this.#messages.length) {
      this.#messages.splice(0, this.#first);
      this.#first = 0;
    }
    this.rmem -= message.truesize;
    return message;
  }

  clear(): void {
    this.#messages.length = 0;
    this.#first = 0;
    this.rmem = 0;
  }
}

export class ErrorQueue {
  readonly #errors: SockError[] = [];

  get length(): number {
    return this.#errors.length;
  }
  push(error: SockError): void {
    if (this.#errors.length < MAX_ERRORS) this.#errors.push(error);
  }
  shift(): SockError | undefined {
    return this.#errors.shift();
  }
  peek(): SockError | undefined {
    return this.#errors[0];
  }
}
