/**
 * The sockets of one host: made, bound, filled and closed here, for all protocols (socket(7), ip(7), ipv6(7)).
 *
 *     const sk = sockets.create(AF_INET, udp, SOCK_DGRAM, IPPROTO_UDP, ROOT);
 *     sockets.bind(sk, { family: AF_INET, address: Uint8Array.of(0, 0, 0, 0), port: 53 }); // 0 or a negative errno
 */
import { DROP } from '../../core/drop.ts';
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EINVAL, ENOBUFS } from '../../core/errno.ts';
import { NO_OFFSET } from '../../core/slab.ts';
import { newFibResult, newFlow } from '../../inet/route.ts';
import type { InetHost } from '../../inet/stack.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '../../wire/address.ts';
import { RTN_BROADCAST, RTN_LOCAL } from '../../wire/uapi/rtnetlink.ts';
import {
  IP_PMTUDISC_DONT,
  SO_EE_ORIGIN_ICMP,
  SO_EE_ORIGIN_ICMP6,
  TCP_CLOSE,
  TCP_ESTABLISHED,
} from '../../wire/uapi/socket.ts';
import type { SockAddr } from './address.ts';
import * as a from './address.ts';
import { Demux, newQuery, type Query } from './demux.ts';
import { type IcmpMeaning, icmpMeaning, isTooBig } from './icmp-error.ts';
import { OptionTable } from './option.ts';
import { COMMON_OPTIONS } from './options.ts';
import { addressesMeet, Ports } from './ports.ts';
import type { AddressCall, SocketPrograms } from './programs.ts';
import type { Protocol } from './protocol.ts';
import type { Message } from './queue.ts';
import { ReuseportGroup } from './reuseport.ts';
import { Sock, type SockOwner } from './sock.ts';

export class Sockets {
  readonly host: InetHost;
  readonly ports: Ports;
  readonly demux: Demux;
  /** What programs decide; the host sets it. */
  readonly programs: SocketPrograms = {};
  /** Path MTU towards a socket's peer; set by what routes for sockets. */
  pathMtu: ((sk: Sock) => number) | undefined;
  /** Makes a filter of what SO_ATTACH_FILTER and its kin are given: set by the host, which has the engine. */
  filters: FilterMaker | undefined;
  readonly #socks = new Map<number, Sock>();
  readonly #options = new Map<Protocol, OptionTable>();
  readonly #query: Query = newQuery();
  #nextId = 1;
  #binds = 0;

  constructor(host: InetHost) {
    this.host = host;
    const random = host.world.random.fork();
    this.ports = new Ports(random);
    this.demux = new Demux(random, (id) => this.#socks.get(id));
    const { sysctls } = host;
    sysctls.text.set('net.ipv4.ip_local_port_range', {
      read: () => `${this.ports.range.low}\t${this.ports.range.high}`,
      write: (text) => this.ports.setRange(text),
    });
    sysctls.text.set('net.ipv4.ip_local_reserved_ports', {
      read: () => this.ports.reservedText(),
      write: (text) => this.ports.setReserved(text),
    });
    sysctls.text.set('net.ipv4.ip_unprivileged_port_start', {
      read: () => `${this.ports.unprivilegedStart}`,
      write: (text) => {
        const port = /^\s*\d+\s*$/.test(text) ? Number(text) : -1;
        if (port < 0 || port > 65_535 || port > this.ports.range.low) return EINVAL;
        this.ports.unprivilegedStart = port;
        return 0;
      },
    });
  }

  byId(id: number): Sock | undefined {
    return this.#socks.get(id);
  }
  /** All sockets, oldest first. */
  all(): Iterable<Sock> {
    return this.#socks.values();
  }

  /** A new socket, or a negative errno. */
  create(family: number, proto: Protocol, type: number, protocol: number, owner: SockOwner): Sock | number {
    const sk = new Sock(this.#nextId++, family, proto, type, protocol, owner);
    sk.ipv6only = family === AF_INET6 && this.host.sysctls.ip6.bindv6only !== 0;
    this.#socks.set(sk.id, sk);
    const refused = this.programs.create?.(sk) ?? 0;
    if (refused !== 0) {
      this.#socks.delete(sk.id);
      return refused;
    }
    proto.opened?.(sk);
    return sk;
  }

  close(sk: Sock): void {
    if (sk.dead) return;
    sk.dead = true;
    this.programs.release?.(sk);
    sk.proto.close?.(sk);
    this.unbind(sk);
    for (const told of sk.onClose) told(sk);
    sk.onClose.clear();
    sk.filter?.release();
    sk.filter = undefined;
    sk.receiveQueue.clear();
    this.#socks.delete(sk.id);
  }

  options(proto: Protocol): OptionTable {
    let table = this.#options.get(proto);
    if (table === undefined) {
      table = new OptionTable([...COMMON_OPTIONS, ...proto.options]);
      this.#options.set(proto, table);
    }
    return table;
  }
  setsockopt(sk: Sock, level: number, name: number, value: number | Uint8Array): number {
    return this.options(sk.proto).set({ sockets: this, sk }, level, name, value);
  }
  getsockopt(sk: Sock, level: number, name: number, length?: number): Uint8Array | number {
    return this.options(sk.proto).get({ sockets: this, sk }, level, name, length);
  }

  // Binding.

  /** bind(2): 0 or a negative errno. */
  bind(sk: Sock, to: SockAddr): number {
    if (sk.proto.bind !== undefined) return sk.proto.bind(sk, to);
    const isAnyBytes = to.address.every((byte) => byte === 0);
    if (to.family !== sk.family && !(sk.family === AF_INET && to.family === AF_UNSPEC && isAnyBytes))
      return -EAFNOSUPPORT;
    const words = sk.family === AF_INET && to.address.length !== 4 ? a.anyAddress(AF_INET) : a.fromBytes(to.address);
    const call: AddressCall = {
      kind: 'bind',
      sk,
      family: sk.family,
      address: words,
      port: to.port,
      source: undefined,
    };
    const refused = this.programs.address?.(call) ?? 0;
    if (refused !== 0) return refused;
    const mapped = sk.family === AF_INET6 && a.isMapped(words);
    if (mapped && sk.ipv6only) return -EINVAL;
    const kind = this.#addressKind(sk, words, to.scopeId ?? 0);
    if (typeof kind === 'number') return kind;
    if (call.port !== 0 && call.port < this.ports.unprivilegedStart && !sk.owner.privileged) return -EACCES;
    if (sk.state !== TCP_CLOSE || sk.sport !== 0) return -EINVAL;
    sk.rcvSaddr.set(words);
    sk.saddr.set(kind === 'many' ? a.anyAddress(sk.family) : words);
    const failed = this.#port(sk, call.port, sk.bindAddressNoPort);
    if (failed !== 0) {
      sk.rcvSaddr.set(a.anyAddress(sk.family));
      sk.saddr.set(a.anyAddress(sk.family));
      return failed;
    }
    sk.addressLocked = !a.isAny(words);
    sk.portLocked = call.port !== 0;
    return 0;
  }

  /** Whether the address may be bound: 'one' host's, 'many' (multicast, broadcast), or a negative errno. */
  #addressKind(sk: Sock, words: Uint32Array, scopeId: number): 'one' | 'many' | number {
    if (a.isAny(words)) return 'one';
    if (a.isMulticast(words)) return 'many';
    const { host } = this;
    const v4 = a.isMapped(words);
    if (!v4 && a.isLinkLocal(words)) {
      if (scopeId !== 0) {
        if (sk.boundDevIf !== 0 && sk.boundDevIf !== scopeId) return -EINVAL;
        sk.boundDevIf = scopeId;
      }
      if (sk.boundDevIf === 0) return -EINVAL;
    }
    const nonlocal = v4 ? host.sysctls.ip4.ip_nonlocal_bind : host.sysctls.ip6.ip_nonlocal_bind;
    if (nonlocal !== 0 || sk.freebind || sk.transparent) return 'one';
    if (!v4) {
      // Addresses of a link or of the host alone belong to their device.
      const narrow = sk.boundDevIf !== 0 && (a.isLinkLocal(words) || a.isLoopback6(words));
      const there = narrow
        ? host.addresses.find(AF_INET6, sk.boundDevIf, words) !== undefined
        : host.addresses.isLocal(AF_INET6, words);
      return there ? 'one' : -EADDRNOTAVAIL;
    }
    if (words[3] === 0xffffffff) return 'many';
    const flow = newFlow();
    flow.dst[0] = words[3];
    const result = newFibResult();
    const type = host.fib4.lookup(flow, result) === 0 ? result.type : 0;
    if (type === RTN_LOCAL) return 'one';
    return type === RTN_BROADCAST ? 'many' : -EADDRNOTAVAIL;
  }

  /** Takes a port and enters the tables: 0 or a negative errno. */
  #port(sk: Sock, port: number, later: boolean): number {
    if (sk.proto.ports) {
      if (port === 0 && later) return 0;
      if (this.ports.take(sk, port) !== 0) return -EADDRINUSE;
    }
    const refused = this.programs.postBind?.(sk) ?? 0;
    if (refused !== 0) {
      if (sk.proto.ports) this.ports.release(sk);
      return refused;
    }
    if (!sk.proto.ports) return 0;
    sk.bindOrder = ++this.#binds;
    if (!this.demux.add(sk)) {
      this.ports.release(sk);
      return -ENOBUFS;
    }
    if (sk.reuseport) this.#join(sk);
    return 0;
  }

  /** Joins the group of its address and port, or founds one. */
  #join(sk: Sock): void {
    if (sk.group !== undefined) return;
    for (const other of this.ports.bound(sk.proto.key, sk.sport)) {
      const fits =
        other !== sk &&
        other.group !== undefined &&
        other.family === sk.family &&
        other.ipv6only === sk.ipv6only &&
        other.boundDevIf === sk.boundDevIf &&
        other.owner.uid === sk.owner.uid &&
        addressesMeet(sk, other, false);
      if (fits) return other.group?.add(sk);
    }
    new ReuseportGroup(a.isAny(sk.rcvSaddr)).add(sk);
  }

  /** The group of a socket, founded when it has none (SO_ATTACH_REUSEPORT_EBPF before bind). */
  groupOf(sk: Sock): ReuseportGroup | undefined {
    if (!sk.reuseport) return undefined;
    if (sk.group === undefined) new ReuseportGroup(a.isAny(sk.rcvSaddr)).add(sk);
    return sk.group;
  }

  /** A port for a socket that has none: 0 or -EAGAIN. */
  autobind(sk: Sock): number {
    if (!sk.proto.ports || sk.sport !== 0) return 0;
    return this.#port(sk, 0, false) === 0 ? 0 : -EAGAIN;
  }

  unbind(sk: Sock): void {
    sk.group?.remove(sk);
    if (sk.sport === 0 || !sk.proto.ports) return;
    this.demux.remove(sk);
    this.ports.release(sk);
  }

  // Connecting sockets without connections.

  /** Fixes the other end; `source` is what routing chose. */
  setPeer(sk: Sock, source: Uint32Array, to: Uint32Array, port: number): void {
    this.#moved(sk, () => {
      if (a.isAny(sk.saddr)) sk.saddr.set(source);
      if (a.isAny(sk.rcvSaddr)) sk.rcvSaddr.set(source);
      sk.daddr.set(to);
      sk.dport = port;
      sk.state = TCP_ESTABLISHED;
      if (sk.group !== undefined) sk.group.connected = true;
    });
  }

  /** Forgets the other end (connect to AF_UNSPEC). */
  disconnect(sk: Sock): void {
    this.#moved(sk, () => {
      sk.daddr.set(a.anyAddress(sk.family));
      sk.dport = 0;
      sk.state = TCP_CLOSE;
      sk.boundDevIf = 0;
      if (sk.addressLocked) return;
      sk.rcvSaddr.set(a.anyAddress(sk.family));
      sk.saddr.set(a.anyAddress(sk.family));
    });
    if (!sk.portLocked) this.unbind(sk);
  }

  #moved(sk: Sock, change: () => void): void {
    const known = sk.proto.ports && sk.sport !== 0;
    if (known) this.demux.remove(sk);
    change();
    if (!known) return;
    sk.bindOrder = ++this.#binds;
    this.demux.add(sk);
  }

  // Packets.

  /** The question about a received packet of a protocol with ports, whose headers have been found. */
  query(p: number, family: number): Query {
    const { slab } = this.host.world;
    const { dv } = slab;
    const q = this.#query;
    const at = slab.transport(p);
    const network = slab.network(p);
    const v4 = family === AF_INET;
    q.family = family;
    a.load(q.remote, dv, network + (v4 ? 12 : 8), family);
    a.load(q.local, dv, network + (v4 ? 16 : 24), family);
    q.rport = dv.getUint16(at);
    q.lport = dv.getUint16(at + 2);
    q.ifindex = this.inputDevice(p, q.local);
    q.p = p;
    return q;
  }

  /**
   * The device a packet counts as received on (inet_iif): one that this host sent to itself came over lo, but belongs to
   * the device that has the address.
   */
  inputDevice(p: number, local: Uint32Array): number {
    const { host } = this;
    const ifindex = host.world.slab.iif(p);
    if (ifindex !== host.lo.ifindex) return ifindex;
    const v4 = a.isMapped(local);
    for (const own of host.addresses.all(v4 ? AF_INET : AF_INET6)) {
      const found = v4 ? own.local[0] === local[3] : own.local.every((w, i) => w === local[i]);
      if (found) return own.ifindex;
    }
    return ifindex;
  }

  /** The question about a packet of ours that is quoted at these places. */
  quotedQuery(family: number, network: number, transport: number, ifindex: number): Query {
    const { dv } = this.host.world.slab;
    const q = this.#query;
    const v4 = family === AF_INET;
    q.family = family;
    a.load(q.local, dv, network + (v4 ? 12 : 8), family);
    a.load(q.remote, dv, network + (v4 ? 16 : 24), family);
    q.lport = dv.getUint16(transport);
    q.rport = dv.getUint16(transport + 2);
    q.ifindex = ifindex;
    q.p = -1;
    return q;
  }

  /** Filters of the socket and its cgroup: 0 (with the packet cut to what the filter leaves), or the reason to drop. */
  filter(sk: Sock, p: number, cap: number): number {
    const { slab } = this.host.world;
    if (this.programs.ingress !== undefined && slab.network(p) !== NO_OFFSET) {
      const pulled = slab.head(p) - slab.network(p);
      slab.push(p, pulled);
      const pass = this.programs.ingress(sk, p);
      slab.pull(p, pulled);
      if (!pass) return DROP.SOCKET_FILTER;
    }
    if (sk.filter === undefined) return 0;
    const keep = sk.filter.run(p);
    if (keep === 0) return DROP.SOCKET_FILTER;
    const kept = Math.max(cap, keep);
    if (kept < slab.len(p)) slab.setLen(p, kept);
    return 0;
  }

  /** Gives a message to the socket: 0, or the reason it was not taken. */
  deliver(sk: Sock, message: Message, p: number): number {
    const { world, name } = this.host;
    if (sk.onMessage?.(message) === true) return 0;
    if (!sk.receiveQueue.push(message, sk.rcvbuf)) {
      sk.drops++;
      world.probe?.hit({ point: 'sock_rcvqueue_full', host: name, p, args: fullArgs(sk, message) });
      return DROP.SOCKET_RCVBUFF;
    }
    world.probe?.hit({ point: 'sk_data_ready', host: name, p: -1, args: { family: sk.family, protocol: sk.protocol } });
    return 0;
  }

  /** An ICMP error about a packet of the socket: the one way errors of the network reach any protocol's sockets. */
  icmpError(
    sk: Sock,
    family: number,
    network: number,
    payload: number,
    p: number,
    icmp: { readonly type: number; readonly code: number; readonly info: number },
  ): void {
    const { type, code, info } = icmp;
    const meaning: IcmpMeaning | undefined = icmpMeaning(family, type, code);
    if (meaning === undefined) return;
    const v4 = family === AF_INET;
    const tooBig = isTooBig(family, type, code);
    const discover = v4 ? sk.pmtudisc : sk.pmtudisc6;
    if (tooBig && v4 && discover === IP_PMTUDISC_DONT) return;
    const fatal = meaning.fatal || tooBig;
    const wanted = v4 ? sk.recverr : sk.recverr6;
    if (!wanted) {
      if (fatal && sk.state === TCP_ESTABLISHED) sk.report(meaning.errno);
      return;
    }
    const { slab } = this.host.world;
    const word = (at: number): Uint32Array => {
      const words = new Uint32Array(4);
      a.load(words, slab.dv, at, family);
      return words;
    };
    const detail = {
      errno: meaning.errno,
      origin: v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6,
      type,
      code,
      info: tooBig ? (v4 ? info & 0xffff : info) : 0,
      offender: this.sockAddr(sk, word(slab.network(p) + (v4 ? 12 : 8)), 0),
      to: this.sockAddr(sk, word(network + (v4 ? 16 : 24)), sk.proto.ports ? slab.dv.getUint16(payload - 6) : 0),
      data: slab.u8.slice(Math.min(payload, slab.end(p)), slab.end(p)),
    };
    sk.errorQueue.push(detail);
    sk.report(meaning.errno, detail);
  }

  /** An address as a program of this socket sees it. */
  sockAddr(sk: Sock, words: Uint32Array, port: number, ifindex = 0): SockAddr {
    const family = sk.family === AF_INET ? AF_INET : AF_INET6;
    return {
      family,
      address: a.toBytes(words, family),
      port,
      ...(family === AF_INET6 && a.isLinkLocal(words) ? { scopeId: ifindex } : {}),
    };
  }
}

const fullArgs = (sk: Sock, message: Message): Readonly<Record<string, number>> => ({
  rmem_alloc: sk.receiveQueue.rmem,
  truesize: message.truesize,
  sk_rcvbuf: sk.rcvbuf,
});

/** What SO_ATTACH_FILTER (a classic program) and SO_ATTACH_BPF (a program's number) need of the host. */
export type FilterMaker = {
  classic(sk: Sock, program: Uint8Array): number;
  program(sk: Sock, id: number): number;
  reuseportClassic(sk: Sock, program: Uint8Array): number;
  reuseportProgram(sk: Sock, id: number): number;
};
