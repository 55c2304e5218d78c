/**
 * UDP and UDP-Lite of one host (RFC 768, 3828, 8085; udp(7), udplite(7)): what is theirs alone, over `endpoint/`.
 */
import { DROP } from '../core/drop.ts';
import { EINVAL, EMSGSIZE, EOPNOTSUPP, EPIPE } from '../core/errno.ts';
import { PKT_CSUM_UNNECESSARY, PKT_SK_ASSIGNED } from '../core/slab.ts';
import type { InetHost, TransportHandler } from '../inet/stack.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { checksum, pseudo4, pseudo6 } from '../wire/checksum.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from '../wire/icmp.ts';
import { ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH } from '../wire/icmpv6.ts';
import { IPPROTO_UDP, IPPROTO_UDPLITE } from '../wire/ipv4.ts';
import { RTN_BROADCAST, RTN_MULTICAST } from '../wire/uapi/rtnetlink.ts';
import { MSG_OOB, SHUT_WR } from '../wire/uapi/socket.ts';
import * as udp from '../wire/udp.ts';
import type { SockAddr } from './endpoint/address.ts';
import * as a from './endpoint/address.ts';
import { connectDatagram, destinationOf } from './endpoint/datagram.ts';
import type { Query } from './endpoint/demux.ts';
import { messageOf } from './endpoint/message.ts';
import type { Output } from './endpoint/output.ts';
import type { AddressCall } from './endpoint/programs.ts';
import type { Protocol, SendControl } from './endpoint/protocol.ts';
import type { Sock } from './endpoint/sock.ts';
import type { Sockets } from './endpoint/sockets.ts';
import { newUdpState, UDP_OPTIONS, UDPLITE_OPTIONS, type UdpState } from './udp-options.ts';

/** Most datagrams that one send with UDP_SEGMENT makes. */
const MAX_SEGMENTS = 128;
const PROBES: readonly [v4: string, v6: string] = ['udp_rcv', 'udpv6_rcv'];

const stateOf = (sk: Sock): UdpState => {
  sk.own ??= newUdpState();
  return sk.own as UdpState;
};

export class Udp implements TransportHandler {
  readonly proto: Protocol;
  readonly #host: InetHost;
  readonly #sockets: Sockets;
  readonly #output: Output;
  /** UDP-Lite: the length field says how much the checksum covers. */
  readonly #lite: boolean;
  readonly #protocol: number;

  constructor(sockets: Sockets, output: Output, lite = false) {
    this.#host = sockets.host;
    this.#sockets = sockets;
    this.#output = output;
    this.#lite = lite;
    this.#protocol = lite ? IPPROTO_UDPLITE : IPPROTO_UDP;
    this.proto = {
      name: lite ? 'udplite' : 'udp',
      key: this.#protocol,
      ports: true,
      header: udp.HEADER_LENGTH,
      scores4: { family4: 2, daddr: 4, dport: 4, device: 4 },
      scores6: { family4: 0, daddr: 1, dport: 1, device: 1 },
      mayShare: (x, y) => x.reuse && y.reuse,
      options: lite ? [...UDP_OPTIONS, ...UDPLITE_OPTIONS] : UDP_OPTIONS,
      connect: (sk, to) => connectDatagram(sockets, output, sk, to),
      send: (sk, data, to, control, flags) => this.#send(sk, data, to, control, flags),
    };
  }

  // Sending.

  #send(sk: Sock, data: Uint8Array, to: SockAddr | undefined, control: SendControl, flags: number): number {
    if (data.length > 0xffff) return -EMSGSIZE;
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if ((sk.shutdown & (1 << SHUT_WR)) !== 0) return -EPIPE;
    const unbound = this.#sockets.autobind(sk);
    if (unbound !== 0) return unbound;
    const where = destinationOf(sk, to, true);
    if (typeof where === 'number') return where;
    let { words, port } = where;
    let sent = control;
    const ask = this.#sockets.programs.address;
    if (ask !== undefined && !where.connected) {
      const family = a.isMapped(words) ? AF_INET : AF_INET6;
      const source = control.source === undefined ? sk.saddr.slice() : a.fromBytes(control.source);
      const call: AddressCall = { kind: 'sendmsg', sk, family, address: words.slice(), port, source };
      const refused = ask(call);
      if (refused !== 0) return refused;
      words = call.address;
      port = call.port;
      if (port === 0) return -EINVAL;
      if (!a.isAny(source)) sent = { ...control, source: a.toBytes(source, family) };
    }
    const failed = sk.takeError();
    if (failed !== 0) return failed;
    const size = control.segment ?? stateOf(sk).segment;
    if (size === 0 || data.length <= size) return this.#datagram(sk, data, words, port, where.scopeId, sent);
    return this.#segments(sk, data, size, words, port, where.scopeId, sent);
  }

  /** UDP_SEGMENT: one buffer, many datagrams. */
  #segments(
    sk: Sock,
    data: Uint8Array,
    size: number,
    words: Uint32Array,
    port: number,
    scopeId: number,
    control: SendControl,
  ): number {
    if (data.length > size * MAX_SEGMENTS) return -EINVAL;
    const way = this.#output.way(sk, words, port, scopeId);
    if (typeof way === 'number') return way;
    if (size + udp.HEADER_LENGTH + (a.isMapped(words) ? 20 : 40) > way.mtu) return -EINVAL;
    for (let at = 0; at < data.length; at += size) {
      const sent = this.#datagram(sk, data.subarray(at, at + size), words, port, scopeId, control);
      if (sent < 0) return sent;
    }
    return data.length;
  }

  #datagram(
    sk: Sock,
    data: Uint8Array,
    words: Uint32Array,
    port: number,
    scopeId: number,
    control: SendControl,
  ): number {
    const { slab } = this.#host.world;
    const { dv, u8 } = slab;
    const length = udp.HEADER_LENGTH + data.length;
    if (length > 0xffff) return -EMSGSIZE;
    const output = this.#output;
    const p = output.start(sk, this.#protocol, words, length, control);
    if (p < 0) return p;
    const at = slab.transport(p);
    udp.setSrcPort(dv, at, sk.sport);
    udp.setDstPort(dv, at, port);
    const state = stateOf(sk);
    const covered = this.#lite && state.sendCoverage !== 0 ? Math.min(length, state.sendCoverage) : length;
    udp.setLength(dv, at, this.#lite ? (covered === length ? 0 : covered) : length);
    udp.setChecksum(dv, at, 0);
    u8.set(data, at + udp.HEADER_LENGTH);
    const failed = output.route(sk, p, words, control, scopeId);
    if (failed !== 0) {
      slab.free(p);
      return failed;
    }
    const none = !this.#lite && (a.isMapped(words) ? sk.noCheckTx : state.noCheck6Tx);
    if (!none) udp.setChecksum(dv, at, output.checksum(p, this.#protocol, length, covered));
    output.send(p);
    return data.length;
  }

  // Receiving.

  receive(p: number, family: number): void {
    const { world, name } = this.#host;
    const { slab } = world;
    world.probe?.hit({ point: PROBES[family === AF_INET ? 0 : 1], host: name, p, ifindex: slab.iif(p) });
    const bad = this.#check(p, family);
    if (bad !== 0) return world.drop(p, bad, name);
    const query = this.#sockets.query(p, family);
    const type = slab.rtType(p);
    if (type === RTN_MULTICAST || type === RTN_BROADCAST) return this.#many(p, family, query);
    const sk = this.#find(p, query);
    if (sk !== undefined) return this.#one(sk, p, family);
    if (this.#zeroChecksum6(p, family)) return world.drop(p, DROP.UDP_CSUM, name);
    if (family === AF_INET) this.#output.ip4.icmp.error(p, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    else this.#output.ip6.icmp.error(p, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0);
    world.drop(p, DROP.NO_SOCKET, name);
  }

  #find(p: number, query: Query): Sock | undefined {
    const { slab } = this.#host.world;
    const { demux } = this.#sockets;
    const flags = slab.flags(p);
    let found = undefined as Sock | 'drop' | undefined;
    if ((flags & PKT_SK_ASSIGNED) !== 0) {
      slab.setFlags(p, flags & ~PKT_SK_ASSIGNED);
      const assigned = this.#sockets.byId(slab.sk(p));
      if (assigned !== undefined) found = demux.member(assigned, query);
    }
    found ??= demux.lookup(this.proto, query);
    return found === 'drop' ? undefined : found;
  }

  /** Lengths and checksum: 0, or the reason to drop. Cuts what lies behind the datagram. */
  #check(p: number, family: number): number {
    const { slab } = this.#host.world;
    const { dv } = slab;
    const at = slab.transport(p);
    const available = slab.end(p) - at;
    if (available < udp.HEADER_LENGTH) return DROP.PKT_TOO_SMALL;
    let length = udp.length(dv, at);
    let covered = length;
    if (this.#lite) {
      if (length === 0) covered = available;
      if (covered < udp.HEADER_LENGTH || covered > available) return DROP.PKT_TOO_SMALL;
      length = available;
      if (udp.checksum(dv, at) === 0) return DROP.UDP_CSUM;
    } else if (!udp.check(dv, at, available)) return DROP.PKT_TOO_SMALL;
    slab.setLen(p, at + length - slab.head(p));
    // Zero: the sender made none (IPv4), or the socket must have agreed to that (IPv6, RFC 6935).
    if (udp.checksum(dv, at) === 0 || (slab.flags(p) & PKT_CSUM_UNNECESSARY) !== 0) return 0;
    const network = slab.network(p);
    const pseudo =
      family === AF_INET ? pseudo4(dv, network, this.#protocol, length) : pseudo6(dv, network, this.#protocol, length);
    return checksum(dv, at, covered, pseudo) === 0 ? 0 : DROP.UDP_CSUM;
  }

  #zeroChecksum6(p: number, family: number): boolean {
    const { slab } = this.#host.world;
    return family === AF_INET6 && udp.checksum(slab.dv, slab.transport(p)) === 0;
  }

  /** A datagram for one socket. Owns the packet. */
  #one(sk: Sock, p: number, family: number): void {
    const { world, name } = this.#host;
    const reason = this.#queue(sk, p, family);
    if (reason !== 0) return world.drop(p, reason, name);
    if (world.traced(p)) world.trace(p, { kind: 'deliver', host: name, to: `${this.proto.name} port ${sk.sport}` });
    world.probe?.hit({ point: 'consume_skb', host: name, p, ifindex: world.slab.iif(p) });
    world.slab.free(p);
  }

  /** A datagram to a group or to all: every socket that takes it gets a copy. Owns the packet. */
  #many(p: number, family: number, query: Query): void {
    const { world, name } = this.#host;
    const { slab } = world;
    const takers = this.#sockets.ports
      .bound(this.proto.key, query.lport)
      .filter((sk) => this.#sockets.demux.takes(sk, query) && inGroup(sk, query));
    const last = takers.pop();
    for (const sk of takers) {
      const copy = slab.copy(p);
      if (copy >= 0) this.#one(sk, copy, family);
    }
    if (last === undefined) world.drop(p, DROP.NO_SOCKET, name);
    else this.#one(last, p, family);
  }

  /** Filters, then the socket's queue: 0 or the reason to drop. The packet is only lent. */
  #queue(sk: Sock, p: number, family: number): number {
    const { slab } = this.#host.world;
    const state = stateOf(sk);
    if (this.#zeroChecksum6(p, family) && !state.noCheck6Rx) return DROP.UDP_CSUM;
    const at = slab.transport(p);
    if (this.#lite && state.receiveCoverage !== 0) {
      const covered = udp.length(slab.dv, at);
      if (covered !== 0 && (state.receiveCoverage === 0xffff || covered < state.receiveCoverage)) return DROP.UDP_CSUM;
    }
    slab.pull(p, at - slab.head(p));
    const reason = this.#sockets.filter(sk, p, udp.HEADER_LENGTH);
    if (reason !== 0) return reason;
    if (this.#sockets.programs.verdict?.(sk, p) === true) return 0;
    const message = messageOf(this.#sockets, sk, p, family, udp.HEADER_LENGTH, udp.srcPort(slab.dv, at));
    if (state.gro && sk.receiveQueue.join(message, sk.rcvbuf)) return 0;
    return this.#sockets.deliver(sk, message, p);
  }

  error(p: number, family: number, network: number, transport: number, type: number, code: number, info: number): void {
    const { slab } = this.#host.world;
    const query = this.#sockets.quotedQuery(family, network, transport, slab.iif(p));
    const sk = this.#sockets.demux.lookup(this.proto, query);
    if (sk === undefined || sk === 'drop') return;
    this.#sockets.icmpError(sk, family, network, transport + udp.HEADER_LENGTH, p, { type, code, info });
  }
}

/** Whether a socket has joined the group a packet was sent to (ip_mc_sf_allow, inet6_mc_check). */
function inGroup(sk: Sock, { local, ifindex }: Query): boolean {
  if (!a.isMulticast(local)) return true;
  const joined = sk.memberships.filter((m) => m.group.every((w, i) => w === local[i]));
  return joined.length === 0 ? sk.multicastAll : joined.some((m) => m.ifindex === ifindex || ifindex === 0);
}
