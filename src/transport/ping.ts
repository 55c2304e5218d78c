/**
 * Echo sockets: what `ping` sends and gets back, over ICMP (RFC 792) and ICMPv6 (RFC 4443). Each socket has its own
 * identifier, as Linux's ping sockets have (icmp(7)).
 */
import { EMSGSIZE, ENOBUFS, ENODEV } from '../core/errno.ts';
import { PACKET_HOST, PKT_LOCAL } from '../core/slab.ts';
import type { Ip4 } from '../inet/ip4.ts';
import type { Ip6 } from '../inet/ip6.ts';
import type { InetHost } from '../inet/stack.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { checksum } from '../wire/checksum.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import { ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST, ICMPV6_PKT_TOOBIG } from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

const PMTUDISC_DONT = 0;
const PMTUDISC_DO = 2;
const QUEUE = 256;

export type EchoOptions = {
  readonly source?: Uint8Array;
  /** Device to bind to. */
  readonly device?: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly mark?: number;
  /** IP_PMTUDISC_*. */
  readonly mtuDiscover?: number;
};

/** An echo reply, or an error about a request of the socket. */
export type EchoReply = {
  readonly from: Uint8Array;
  readonly type: number;
  readonly code: number;
  readonly seq: number;
  readonly ttl: number;
  /** Message length: header and data. */
  readonly length: number;
  /** World time, nanoseconds. */
  readonly at: number;
  readonly mtu?: number;
};

/** The echo sockets of one host. */
export class EchoPorts {
  readonly #host: InetHost;
  readonly #ip4: Ip4;
  readonly #ip6: Ip6;
  readonly #sockets = new Map<number, EchoSocket>();
  #next = 1;

  constructor(host: InetHost, ip4: Ip4, ip6: Ip6) {
    this.#host = host;
    this.#ip4 = ip4;
    this.#ip6 = ip6;
    ip4.icmp.onReply = (p, type, code) => this.#reply(p, AF_INET, type, code);
    ip6.icmp.onReply = (p, type, code) => this.#reply(p, AF_INET6, type, code);
  }

  /** Opens a socket of a family. */
  open(family: number): EchoSocket {
    while (this.#sockets.has(this.#next)) this.#next = (this.#next % 65_535) + 1;
    const id = this.#next;
    this.#next = (this.#next % 65_535) + 1;
    const socket = new EchoSocket(this.#host, this.#ip4, this.#ip6, family, id, () => this.#sockets.delete(id));
    this.#sockets.set(id, socket);
    return socket;
  }

  #reply(p: number, family: number, type: number, code: number): void {
    const { slab, now } = this.#host.world;
    const { dv, u8 } = slab;
    const six = family === AF_INET6;
    const message = slab.transport(p);
    const echo = type === (six ? ICMPV6_ECHO_REPLY : icmp.ICMP_ECHOREPLY);
    // An error quotes the request's IP header and the first eight bytes of its message.
    let quoted = message;
    if (!echo) {
      quoted += icmp.HEADER_LENGTH;
      quoted += six ? ipv6.HEADER_LENGTH : ipv4.headerLength(dv, quoted);
    }
    if (quoted + icmp.HEADER_LENGTH > slab.end(p)) return;
    if (!echo && icmp.type(dv, quoted) !== (six ? ICMPV6_ECHO_REQUEST : icmp.ICMP_ECHO)) return;
    const socket = this.#sockets.get(icmp.id(dv, quoted));
    if (socket === undefined || socket.family !== family) return;
    const network = slab.network(p);
    const from = six ? network + ipv6.SRC : network + ipv4.SRC;
    socket.push({
      from: u8.slice(from, from + (six ? 16 : 4)),
      type,
      code,
      seq: icmp.sequence(dv, quoted),
      ttl: six ? ipv6.hopLimit(dv, network) : ipv4.ttl(dv, network),
      length: slab.end(p) - message,
      at: now,
      mtu: six && type === ICMPV6_PKT_TOOBIG ? dv.getUint32(message + 4) : icmp.mtu(dv, message),
    });
  }
}

export class EchoSocket {
  readonly family: number;
  readonly id: number;
  readonly #host: InetHost;
  readonly #ip4: Ip4;
  readonly #ip6: Ip6;
  readonly #onClose: () => void;
  readonly #queue: EchoReply[] = [];
  #destination: Uint8Array = new Uint8Array(0);
  #options: EchoOptions = {};
  #oif = 0;

  constructor(host: InetHost, ip4: Ip4, ip6: Ip6, family: number, id: number, onClose: () => void) {
    this.#host = host;
    this.#ip4 = ip4;
    this.#ip6 = ip6;
    this.family = family;
    this.id = id;
    this.#onClose = onClose;
  }

  /** Fixes destination and options. Answers an errno, and the source address routing chose. */
  connect(destination: Uint8Array, options: EchoOptions = {}): { readonly errno: number; readonly source: Uint8Array } {
    const none = new Uint8Array(destination.length);
    this.#destination = destination;
    this.#options = options;
    this.#oif = 0;
    if (options.device !== undefined) {
      const dev = this.#host.devices.byName(options.device);
      if (dev === undefined) return { errno: ENODEV, source: none };
      this.#oif = dev.ifindex;
    }
    const p = this.#build(0, new Uint8Array(0));
    if (p < 0) return { errno: ENOBUFS, source: none };
    const errno = this.#route(p);
    const { slab } = this.#host.world;
    const at = slab.network(p) + (this.family === AF_INET6 ? ipv6.SRC : ipv4.SRC);
    const source = slab.u8.slice(at, at + destination.length);
    slab.free(p);
    return { errno, source };
  }

  /** Sends an echo request: 0 or an errno; EMSGSIZE with the MTU when it may not be fragmented. */
  send(seq: number, payload: Uint8Array): { readonly errno: number; readonly mtu?: number } {
    const { slab } = this.#host.world;
    const p = this.#build(seq, payload);
    if (p < 0) return { errno: payload.length > 65_507 ? EMSGSIZE : ENOBUFS };
    const errno = this.#route(p);
    if (errno !== 0) {
      slab.free(p);
      return { errno };
    }
    const { dv } = slab;
    const mtu = slab.rtMtu(p);
    const large = slab.len(p) > mtu;
    if (large && this.#options.mtuDiscover === PMTUDISC_DO) {
      slab.free(p);
      return { errno: EMSGSIZE, mtu };
    }
    const message = slab.transport(p);
    if (this.family === AF_INET6) {
      this.#ip6.icmp.fill(p);
      this.#ip6.send(p);
    } else {
      if (large) ipv4.setFragOff(dv, slab.network(p), 0);
      icmp.setChecksum(dv, message, checksum(dv, message, slab.end(p) - message));
      this.#ip4.send(p);
    }
    return { errno: 0 };
  }

  #route(p: number): number {
    return this.family === AF_INET6 ? this.#ip6.routeOutput(p, this.#oif) : this.#ip4.routeOutput(p, this.#oif);
  }

  #build(seq: number, payload: Uint8Array): number {
    const { world, sysctls } = this.#host;
    const { slab } = world;
    const { dv, u8 } = slab;
    const six = this.family === AF_INET6;
    const head = six ? ipv6.HEADER_LENGTH : ipv4.HEADER_LENGTH;
    const length = icmp.HEADER_LENGTH + payload.length;
    const p = slab.alloc(head + length);
    if (p < 0) return p;
    const at = slab.head(p);
    const message = at + head;
    slab.setLen(p, head + length);
    slab.setNetwork(p, at);
    slab.setTransport(p, message);
    slab.setProtocol(p, six ? ETH_P_IPV6 : ETH_P_IP);
    slab.setPktType(p, PACKET_HOST);
    slab.setSk(p, this.id, 0, 0);
    slab.setMark(p, this.#options.mark ?? 0);
    slab.setFlags(p, slab.flags(p) | PKT_LOCAL);
    const { ttl, tos, source, mtuDiscover } = this.#options;
    if (six) {
      ipv6.init(dv, at, ipv6Next, length, ttl ?? 64);
      u8.fill(0, at + ipv6.SRC, at + ipv6.SRC + 16);
      u8.set(this.#destination, at + ipv6.DST);
      if (source) u8.set(source, at + ipv6.SRC);
    } else {
      const df = mtuDiscover === PMTUDISC_DONT ? 0 : ipv4.IP_DF;
      ipv4.init(
        dv,
        at,
        0,
        0,
        ipv4.IPPROTO_ICMP,
        head + length,
        ttl ?? sysctls.ip4.ip_default_ttl,
        this.#ip4.nextId(),
        df,
        tos ?? 0,
      );
      u8.set(this.#destination, at + ipv4.DST);
      if (source) u8.set(source, at + ipv4.SRC);
    }
    dv.setUint8(message, six ? ICMPV6_ECHO_REQUEST : icmp.ICMP_ECHO);
    dv.setUint8(message + 1, 0);
    dv.setUint16(message + 2, 0);
    icmp.setId(dv, message, this.id);
    dv.setUint16(message + 6, seq);
    u8.set(payload, message + icmp.HEADER_LENGTH);
    return p;
  }

  /** A reply for this socket; the oldest go when nobody reads. */
  push(reply: EchoReply): void {
    if (this.#queue.length >= QUEUE) this.#queue.shift();
    this.#queue.push(reply);
  }

  /** The oldest reply not yet read. */
  receive(): EchoReply | undefined {
    return this.#queue.shift();
  }

  close(): void {
    this.#onClose();
  }
}

const ipv6Next: number = ipv4.IPPROTO_ICMPV6;
