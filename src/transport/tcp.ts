/**
 * TCP before its endpoints (they come with the transport layer): a segment for a port where nothing listens is answered
 * with a reset as RFC 9293 3.10.7.1 says; a port noted as open takes the segment and says nothing.
 */
import { DROP } from '../core/drop.ts';
import { PKT_TRACE } from '../core/slab.ts';
import type { Ip4 } from '../inet/ip4.ts';
import type { Ip6 } from '../inet/ip6.ts';
import type { InetHost, TransportHandler } from '../inet/stack.ts';
import { AF_INET } from '../wire/address.ts';
import { checksum, pseudo4, pseudo6 } from '../wire/checksum.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';

export class TcpPorts implements TransportHandler {
  readonly #host: InetHost;
  readonly #ip4: Ip4;
  readonly #ip6: Ip6;
  /** Ports at which something is said to listen. */
  readonly listening: Set<number> = new Set();

  constructor(host: InetHost, ip4: Ip4, ip6: Ip6) {
    this.#host = host;
    this.#ip4 = ip4;
    this.#ip6 = ip6;
  }

  receive(p: number, family: number): void {
    const { world, name } = this.#host;
    const point = family === AF_INET ? 'tcp_v4_rcv' : 'tcp_v6_rcv';
    world.probe?.hit({ point, host: name, p, ifindex: world.slab.iif(p) });
    const { slab } = world;
    const { dv } = slab;
    const at = slab.transport(p);
    const length = slab.end(p) - at;
    const network = slab.network(p);
    if (!tcp.check(dv, at, length)) return world.drop(p, DROP.PKT_TOO_SMALL, name);
    const pseudo =
      family === AF_INET
        ? pseudo4(dv, network, ipv4.IPPROTO_TCP, length)
        : pseudo6(dv, network, ipv4.IPPROTO_TCP, length);
    if (checksum(dv, at, length, pseudo) !== 0) return world.drop(p, DROP.TCP_CSUM, name);
    const port = tcp.dstPort(dv, at);
    if (this.listening.has(port)) {
      if (this.#host.socketGate?.(p, false) === false) return world.drop(p, DROP.SOCKET_FILTER, name);
      if (world.traced(p)) world.trace(p, { kind: 'deliver', host: name, to: `tcp port ${port}` });
      world.probe?.hit({ point: 'consume_skb', host: name, p, ifindex: slab.iif(p) });
      slab.free(p);
      return;
    }
    if ((tcp.flags(dv, at) & tcp.RST) === 0) this.#reset(p, family, network, at, length);
    world.drop(p, DROP.NO_SOCKET, name);
  }

  #reset(p: number, family: number, network: number, from: number, length: number): void {
    const { slab } = this.#host.world;
    const { dv } = slab;
    const v4 = family === AF_INET;
    const head = v4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
    const q = slab.alloc(head + tcp.HEADER_LENGTH);
    if (q < 0) return;
    const at = slab.head(q);
    const to = at + head;
    slab.setLen(q, head + tcp.HEADER_LENGTH);
    slab.u8.fill(0, at, to + tcp.HEADER_LENGTH);
    slab.setNetwork(q, at);
    slab.setTransport(q, to);
    slab.setProtocol(q, v4 ? ETH_P_IP : ETH_P_IPV6);
    slab.setFlags(q, slab.flags(p) & PKT_TRACE);
    if (v4) {
      const ttl = this.#host.sysctls.ip4.ip_default_ttl;
      ipv4.init(
        dv,
        at,
        ipv4.dstAddr(dv, network),
        ipv4.srcAddr(dv, network),
        ipv4.IPPROTO_TCP,
        slab.len(q),
        ttl,
        0,
        ipv4.IP_DF,
        ipv4.tos(dv, network) & 0xfc,
      );
    } else {
      ipv6.init(dv, at, ipv4.IPPROTO_TCP, tcp.HEADER_LENGTH, 64, ipv6.trafficClass(dv, network) & 0xfc);
      ipv6.copyAddress(dv, network + ipv6.DST, at + ipv6.SRC);
      ipv6.copyAddress(dv, network + ipv6.SRC, at + ipv6.DST);
    }
    tcp.setSrcPort(dv, to, tcp.dstPort(dv, from));
    tcp.setDstPort(dv, to, tcp.srcPort(dv, from));
    tcp.setHeaderLength(dv, to, tcp.HEADER_LENGTH);
    const flags = tcp.flags(dv, from);
    if (flags & tcp.ACK) {
      tcp.setSeq(dv, to, tcp.ackSeq(dv, from));
      tcp.setFlags(dv, to, tcp.RST);
    } else {
      const extra = (flags & tcp.SYN ? 1 : 0) + (flags & tcp.FIN ? 1 : 0);
      tcp.setAckSeq(dv, to, (tcp.seq(dv, from) + extra + length - tcp.headerLength(dv, from)) >>> 0);
      tcp.setFlags(dv, to, tcp.RST | tcp.ACK);
    }
    const oif = !v4 && ipv6.isLinkLocal(dv, at + ipv6.DST) ? slab.iif(p) : 0;
    const errno = v4 ? this.#ip4.routeOutput(q) : this.#ip6.routeOutput(q, oif);
    if (errno !== 0) {
      slab.free(q);
      return;
    }
    const pseudo = v4
      ? pseudo4(dv, at, ipv4.IPPROTO_TCP, tcp.HEADER_LENGTH)
      : pseudo6(dv, at, ipv4.IPPROTO_TCP, tcp.HEADER_LENGTH);
    tcp.setChecksum(dv, to, checksum(dv, to, tcp.HEADER_LENGTH, pseudo));
    if (v4) this.#ip4.send(q);
    else this.#ip6.send(q);
  }
}
