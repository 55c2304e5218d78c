/**
 * UDP of one host (RFC 768, 8085): sockets, delivery, port unreachable.
 */
import { DROP } from '../core/drop.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EMSGSIZE, ENETUNREACH, ENOBUFS } from '../core/errno.ts';
import { PACKET_HOST, PKT_LOCAL } from '../core/slab.ts';
import type { Ip4 } from '../inet/ip4.ts';
import type { Ip6 } from '../inet/ip6.ts';
import type { InetHost, TransportHandler } from '../inet/stack.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { checksum, pseudo4, pseudo6 } from '../wire/checksum.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../wire/ethernet.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from '../wire/icmp.ts';
import { ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH } from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';

/** A datagram as a socket hands it out. Addresses are 4 or 16 bytes. */
export type Datagram = {
  readonly data: Uint8Array;
  readonly from: Uint8Array;
  readonly fromPort: number;
  readonly ifindex: number;
};

export type UdpSocket = {
  readonly family: number;
  /** Bound address, undefined for any. */
  readonly address: Uint8Array | undefined;
  readonly port: number;
  /** Peer of a connected socket. */
  peer: { readonly address: Uint8Array; readonly port: number } | undefined;
  readonly received: Datagram[];
  /** Told of each datagram that comes. */
  onData: ((d: Datagram) => void) | undefined;
  /** Told of ICMP errors about what was sent: the errno. */
  onError: ((errno: number) => void) | undefined;
  readonly id: number;
  readonly uid: number;
  readonly gid: number;
};

const EPHEMERAL_FIRST = 32_768;
const EPHEMERAL_LAST = 60_999;
const MAX_DATAGRAM = 65_507;
const ECONNREFUSED = 111;
/** Datagrams a socket keeps for a reader that does not come. */
const MAX_QUEUE = 1024;

const same = (a: Uint8Array, u8: Uint8Array, at: number): boolean => a.every((byte, i) => byte === u8[at + i]);

export class Udp implements TransportHandler {
  readonly #host: InetHost;
  readonly #ip4: Ip4;
  readonly #ip6: Ip6;
  readonly #sockets = new Map<number, UdpSocket[]>();
  #nextId = 1;

  constructor(host: InetHost, ip4: Ip4, ip6: Ip6) {
    this.#host = host;
    this.#ip4 = ip4;
    this.#ip6 = ip6;
  }

  /** Opens a socket on a port (0: a free one). An errno when the address is taken or not this host's. */
  open(family: number, address: Uint8Array | undefined, port: number, uid = 0, gid = 0): UdpSocket | number {
    if (address) {
      const words = new Uint32Array(4);
      for (let i = 0; i < address.length; i++) words[i >> 2] |= address[i] << (24 - (i & 3) * 8);
      if (!this.#host.addresses.isLocal(family, words) && address[0] !== 127) return EADDRNOTAVAIL;
    }
    let chosen = port;
    if (chosen === 0) {
      const range = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
      const start = this.#host.world.random.below(range);
      for (let i = 0; i < range && chosen === 0; i++) {
        const candidate = EPHEMERAL_FIRST + ((start + i) % range);
        if (!this.#sockets.has(candidate)) chosen = candidate;
      }
      if (chosen === 0) return EADDRINUSE;
    }
    const list = this.#sockets.get(chosen) ?? [];
    const clash = list.some((s) => s.family === family && (!s.address || !address || same(s.address, address, 0)));
    if (clash) return EADDRINUSE;
    const socket: UdpSocket = {
      family,
      address,
      port: chosen,
      peer: undefined,
      received: [],
      onData: undefined,
      onError: undefined,
      id: this.#nextId++,
      uid,
      gid,
    };
    this.#sockets.set(chosen, [...list, socket]);
    return socket;
  }

  close(socket: UdpSocket): void {
    const list = this.#sockets.get(socket.port)?.filter((s) => s !== socket) ?? [];
    if (list.length === 0) this.#sockets.delete(socket.port);
    else this.#sockets.set(socket.port, list);
  }

  /** True when a datagram to this port would find a socket. */
  bound(port: number, family: number): boolean {
    return this.#sockets.get(port)?.some((s) => s.family === family) ?? false;
  }

  /** Sends a datagram; 0 or an errno. */
  send(socket: UdpSocket, data: Uint8Array, address: Uint8Array, port: number): number {
    const { slab } = this.#host.world;
    if (data.length > MAX_DATAGRAM) return EMSGSIZE;
    const v4 = address.length === 4;
    const head = v4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
    const length = udp.HEADER_LENGTH + data.length;
    const p = slab.alloc(head + length);
    if (p < 0) return ENOBUFS;
    const { dv, u8 } = slab;
    const at = slab.head(p);
    const to = at + head;
    slab.setLen(p, head + length);
    slab.setNetwork(p, at);
    slab.setTransport(p, to);
    slab.setProtocol(p, v4 ? ETH_P_IP : ETH_P_IPV6);
    slab.setPktType(p, PACKET_HOST);
    slab.setSk(p, socket.id, socket.uid, socket.gid);
    slab.setFlags(p, slab.flags(p) | PKT_LOCAL);
    udp.setSrcPort(dv, to, socket.port);
    udp.setDstPort(dv, to, port);
    udp.setLength(dv, to, length);
    udp.setChecksum(dv, to, 0);
    u8.set(data, to + udp.HEADER_LENGTH);
    if (v4) {
      const ttl = this.#host.sysctls.ip4.ip_default_ttl;
      ipv4.init(dv, at, 0, 0, ipv4.IPPROTO_UDP, head + length, ttl, this.#ip4.nextId(), ipv4.IP_DF);
      u8.set(address, at + ipv4.DST);
      if (socket.address) u8.set(socket.address, at + ipv4.SRC);
    } else {
      ipv6.init(dv, at, ipv4.IPPROTO_UDP, length, 64);
      u8.fill(0, at + ipv6.SRC, at + ipv6.SRC + 16);
      u8.set(address, at + ipv6.DST);
      if (socket.address) u8.set(socket.address, at + ipv6.SRC);
    }
    const errno = v4 ? this.#ip4.routeOutput(p) : this.#ip6.routeOutput(p);
    if (errno !== 0) {
      slab.free(p);
      return errno === 22 ? ENETUNREACH : errno;
    }
    // A datagram larger than the link goes out in fragments, so it must not say "do not fragment".
    if (v4 && head + length > slab.rtMtu(p)) ipv4.setFragOff(dv, at, 0);
    const pseudo = v4 ? pseudo4(dv, at, ipv4.IPPROTO_UDP, length) : pseudo6(dv, at, ipv4.IPPROTO_UDP, length);
    udp.setChecksum(dv, to, checksum(dv, to, length, pseudo) || 0xffff);
    if (v4) this.#ip4.send(p);
    else this.#ip6.send(p);
    return 0;
  }

  receive(p: number, family: number): void {
    const { world, name } = this.#host;
    const point = family === AF_INET ? 'udp_rcv' : 'udpv6_rcv';
    world.probe?.hit({ point, host: name, p, ifindex: world.slab.iif(p) });
    const { slab } = world;
    const { dv, u8 } = slab;
    const at = slab.transport(p);
    const network = slab.network(p);
    const available = slab.end(p) - at;
    if (!udp.check(dv, at, available)) return world.drop(p, DROP.PKT_TOO_SMALL, name);
    const length = udp.length(dv, at);
    slab.setLen(p, at + length - slab.head(p));
    if (udp.checksum(dv, at) !== 0) {
      const pseudo =
        family === AF_INET
          ? pseudo4(dv, network, ipv4.IPPROTO_UDP, length)
          : pseudo6(dv, network, ipv4.IPPROTO_UDP, length);
      if (checksum(dv, at, length, pseudo) !== 0) return world.drop(p, DROP.UDP_CSUM, name);
    } else if (family === AF_INET6) return world.drop(p, DROP.UDP_CSUM, name);
    const size = family === AF_INET ? 4 : 16;
    const src = network + (family === AF_INET ? ipv4.SRC : ipv6.SRC);
    const dst = network + (family === AF_INET ? ipv4.DST : ipv6.DST);
    const socket = this.find(family, udp.dstPort(dv, at), dst, src, udp.srcPort(dv, at));
    if (socket === undefined) {
      if (family === AF_INET) this.#ip4.icmp.error(p, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
      else this.#ip6.icmp.error(p, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0);
      return world.drop(p, DROP.NO_SOCKET, name);
    }
    if (this.#host.socketGate?.(p, false) === false) return world.drop(p, DROP.SOCKET_FILTER, name);
    if (world.traced(p)) world.trace(p, { kind: 'deliver', host: name, to: `udp port ${socket.port}` });
    const d: Datagram = {
      data: u8.slice(at + udp.HEADER_LENGTH, at + length),
      from: u8.slice(src, src + size),
      fromPort: udp.srcPort(dv, at),
      ifindex: slab.iif(p),
    };
    if (socket.onData === undefined && socket.received.length >= MAX_QUEUE)
      return world.drop(p, DROP.SOCKET_RCVBUFF, name);
    world.probe?.hit({ point: 'consume_skb', host: name, p, ifindex: slab.iif(p) });
    slab.free(p);
    if (socket.onData) socket.onData(d);
    else socket.received.push(d);
  }

  /** The socket for a datagram: connected ones first, then bound to the address, then to any. */
  find(family: number, port: number, dst: number, src: number, sport: number): UdpSocket | undefined {
    const { u8 } = this.#host.world.slab;
    let best: UdpSocket | undefined;
    let score = -1;
    for (const s of this.#sockets.get(port) ?? []) {
      if (s.family !== family) continue;
      if (s.address && !same(s.address, u8, dst)) continue;
      if (s.peer && (s.peer.port !== sport || !same(s.peer.address, u8, src))) continue;
      const points = (s.address ? 1 : 0) + (s.peer ? 2 : 0);
      if (points > score) {
        best = s;
        score = points;
      }
    }
    return best;
  }

  error(_p: number, family: number, network: number, transport: number, type: number, code: number): void {
    const { dv } = this.#host.world.slab;
    const src = network + (family === AF_INET ? ipv4.SRC : ipv6.SRC);
    const dst = network + (family === AF_INET ? ipv4.DST : ipv6.DST);
    // The quoted packet is one of ours: its source is our end.
    const socket = this.find(family, udp.srcPort(dv, transport), src, dst, udp.dstPort(dv, transport));
    const refused =
      family === AF_INET
        ? type === ICMP_DEST_UNREACH && code === ICMP_PORT_UNREACH
        : type === ICMPV6_DEST_UNREACH && code === ICMPV6_PORT_UNREACH;
    if (refused) socket?.onError?.(ECONNREFUSED);
  }
}
