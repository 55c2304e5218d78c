/**
 * Raw sockets (raw(7)): every packet for this host of one protocol number, with its IP header (IPv4) or without (IPv6),
 * beside whatever else takes it; and packets sent with a header of the program's own (IP_HDRINCL).
 */
import { DROP } from '../core/drop.ts';
import { EAFNOSUPPORT, EINVAL, EMSGSIZE, EOPNOTSUPP, EPIPE } from '../core/errno.ts';
import type { IcmpError, InetHost, QuotedPacket } from '../inet/stack.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../wire/ipv4.ts';
import * as u from '../wire/uapi/socket.ts';
import type { SockAddr } from './endpoint/address.ts';
import * as a from './endpoint/address.ts';
import { connectDatagram, destinationOf } from './endpoint/datagram.ts';
import { messageOf } from './endpoint/message.ts';
import type { Row } from './endpoint/option.ts';
import { flag } from './endpoint/option.ts';
import type { Output } from './endpoint/output.ts';
import type { Protocol, SendControl } from './endpoint/protocol.ts';
import type { Sock } from './endpoint/sock.ts';
import type { Sockets } from './endpoint/sockets.ts';

/** Key of raw sockets among protocols: no port space, no number on the wire. */
const RAW_KEY = 0x10000;

type RawState = {
  /** ICMP_FILTER: bit n, messages of type n are not wanted. */
  filter4: number;
  /** ICMP6_FILTER: the same in eight words. */
  readonly filter6: Uint32Array;
  /** IPV6_CHECKSUM: where a checksum is to be written and checked; -1: none. */
  checksum: number;
};

const stateOf = (sk: Sock): RawState => {
  sk.own ??= { filter4: 0, filter6: new Uint32Array(8), checksum: sk.protocol === IPPROTO_ICMPV6 ? 2 : -1 };
  return sk.own as RawState;
};

const bytesOf = (words: Uint32Array): Uint8Array => new Uint8Array(words.slice().buffer);

const RAW_OPTIONS: readonly Row[] = [
  { ...flag(u.SOL_IP, u.IP_HDRINCL, 'IP_HDRINCL', 'hdrincl', 'loose'), families: [AF_INET] },
  { ...flag(u.SOL_IPV6, u.IPV6_HDRINCL, 'IPV6_HDRINCL', 'hdrincl'), families: [AF_INET6] },
  {
    level: u.SOL_RAW,
    name: u.ICMP_FILTER,
    label: 'ICMP_FILTER',
    codec: 'bytes',
    families: [AF_INET],
    readable: ({ sk }) => (sk.protocol === IPPROTO_ICMP ? 0 : EOPNOTSUPP),
    get: ({ sk }) => bytesOf(Uint32Array.of(stateOf(sk).filter4)),
    set: ({ sk }, _value, bytes) => {
      if (sk.protocol !== IPPROTO_ICMP) return EOPNOTSUPP;
      const word = new Uint8Array(4);
      word.set(bytes.subarray(0, 4));
      stateOf(sk).filter4 = new Uint32Array(word.buffer)[0];
      return 0;
    },
  },
  {
    level: u.SOL_ICMPV6,
    name: u.ICMPV6_FILTER,
    label: 'ICMPV6_FILTER',
    codec: 'bytes',
    families: [AF_INET6],
    readable: ({ sk }) => (sk.protocol === IPPROTO_ICMPV6 ? 0 : EOPNOTSUPP),
    get: ({ sk }) => bytesOf(stateOf(sk).filter6),
    set: ({ sk }, _value, bytes) => {
      if (sk.protocol !== IPPROTO_ICMPV6) return EOPNOTSUPP;
      new Uint8Array(stateOf(sk).filter6.buffer).set(bytes.subarray(0, 32));
      return 0;
    },
  },
  {
    level: u.SOL_IPV6,
    name: u.IPV6_CHECKSUM,
    label: 'IPV6_CHECKSUM',
    codec: 'int',
    families: [AF_INET6],
    get: ({ sk }) => stateOf(sk).checksum,
    set: ({ sk }, value) => {
      if (sk.protocol === IPPROTO_ICMPV6) return EINVAL;
      if (value > 0 && (value & 1) !== 0) return EINVAL;
      stateOf(sk).checksum = value < 0 ? -1 : value;
      return 0;
    },
  },
];

export class Raw {
  readonly proto: Protocol;
  readonly #host: InetHost;
  readonly #sockets: Sockets;
  readonly #output: Output;
  /** Open raw sockets. */
  readonly #open: Sock[] = [];

  constructor(sockets: Sockets, output: Output) {
    this.#host = sockets.host;
    this.#sockets = sockets;
    this.#output = output;
    this.proto = {
      name: 'raw',
      key: RAW_KEY,
      ports: false,
      header: 0,
      scores4: { family4: 0, daddr: 0, dport: 0, device: 0 },
      scores6: { family4: 0, daddr: 0, dport: 0, device: 0 },
      mayShare: () => true,
      options: RAW_OPTIONS,
      opened: (sk) => {
        if (sk.protocol === u.IPPROTO_RAW) sk.hdrincl = true;
        this.#open.push(sk);
        this.#refresh();
      },
      connect: (sk, to) => connectDatagram(sockets, output, sk, to),
      send: (sk, data, to, control, flags) => this.#send(sk, data, to, control, flags),
      close: (sk) => {
        this.#open.splice(this.#open.indexOf(sk), 1);
        this.#refresh();
      },
    };
  }

  #refresh(): void {
    const { length } = this.#open;
    this.#host.rawInput = length === 0 ? undefined : (p, family, protocol) => this.#receive(p, family, protocol);
    this.#host.rawError = length === 0 ? undefined : (p, quoted, error) => this.#error(p, quoted, error);
  }

  #send(sk: Sock, data: Uint8Array, to: SockAddr | undefined, control: SendControl, flags: number): number {
    if (data.length > 0xffff) return -EMSGSIZE;
    if ((flags & u.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if ((sk.shutdown & (1 << u.SHUT_WR)) !== 0) return -EPIPE;
    const where = destinationOf(sk, to, false);
    if (typeof where === 'number') return where;
    const { words, scopeId } = where;
    if ((sk.family === AF_INET6) === a.isMapped(words)) return -EAFNOSUPPORT;
    const failed = sk.takeError();
    if (failed !== 0) return failed;
    if (sk.hdrincl) return this.#sendWhole(sk, data, words, control, scopeId);
    const { slab } = this.#host.world;
    const output = this.#output;
    const p = output.start(sk, sk.protocol, words, data.length, control);
    if (p < 0) return p;
    const at = slab.transport(p);
    slab.u8.set(data, at);
    const refused = output.route(sk, p, words, control, scopeId);
    const { checksum } = stateOf(sk);
    const outside = sk.family === AF_INET6 && checksum >= 0 && checksum + 2 > data.length;
    if (refused !== 0 || outside) {
      slab.free(p);
      return refused !== 0 ? refused : -EINVAL;
    }
    if (sk.family === AF_INET6 && checksum >= 0) {
      slab.dv.setUint16(at + checksum, 0);
      slab.dv.setUint16(at + checksum, output.checksum(p, sk.protocol, data.length));
    }
    output.send(p);
    return data.length;
  }

  /** The program wrote the IP header; length, checksum and, if zero, source and identification are filled in (raw(7)). */
  #sendWhole(sk: Sock, data: Uint8Array, words: Uint32Array, control: SendControl, scopeId: number): number {
    const v4 = a.isMapped(words);
    const head = v4 ? ipv4.HEADER_LENGTH : 40;
    if (data.length < head) return -EINVAL;
    const { slab } = this.#host.world;
    const { dv } = slab;
    const output = this.#output;
    const p = output.start(sk, sk.protocol, words, data.length - head, control);
    if (p < 0) return p;
    const refused = output.route(sk, p, words, control, scopeId);
    const at = slab.network(p);
    const source = dv.getUint32(at + ipv4.SRC);
    if (refused === 0) {
      slab.u8.set(data, at);
      if (v4) {
        const length = ipv4.headerLength(dv, at);
        if (ipv4.version(dv, at) !== 4 || length < head || length > data.length) {
          slab.free(p);
          return -EINVAL;
        }
        ipv4.setTotalLength(dv, at, data.length);
        if (ipv4.srcAddr(dv, at) === 0) ipv4.setSrcAddr(dv, at, source);
        if (ipv4.id(dv, at) === 0) ipv4.setId(dv, at, output.ip4.nextId());
        slab.setTransport(p, at + length);
      }
      output.send(p);
      return data.length;
    }
    slab.free(p);
    return refused;
  }

  /** A packet for this host: raw sockets of its protocol get a copy. True when there was one. */
  #receive(p: number, family: number, protocol: number): boolean {
    const { world, name } = this.#host;
    const { slab } = world;
    const q = this.#sockets.query(p, family);
    let taken = false;
    for (const sk of this.#open) {
      if (sk.protocol !== protocol || sk.family !== family) continue;
      if (!a.isAny(sk.rcvSaddr) && !sk.rcvSaddr.every((w, i) => w === q.local[i])) continue;
      if (!a.isAny(sk.daddr) && !sk.daddr.every((w, i) => w === q.remote[i])) continue;
      if (!sk.onDevice(q.ifindex)) continue;
      taken = true;
      if (this.#unwanted(sk, p)) continue;
      const copy = slab.copy(p);
      if (copy < 0) continue;
      // IPv4: from the IP header on; IPv6: from the transport header on.
      const start = family === AF_INET ? slab.network(copy) : slab.transport(copy);
      slab.pull(copy, start - slab.head(copy));
      const reason = this.#badChecksum(sk, copy) ? DROP.SKB_CSUM : this.#sockets.filter(sk, copy, 0);
      const refused =
        reason !== 0 ? reason : this.#sockets.deliver(sk, messageOf(this.#sockets, sk, copy, family, 0, 0), copy);
      if (refused !== 0) world.drop(copy, refused, name);
      else slab.free(copy);
    }
    return taken;
  }

  #unwanted(sk: Sock, p: number): boolean {
    const { slab } = this.#host.world;
    const at = slab.transport(p);
    if (at >= slab.end(p)) return false;
    const type = slab.dv.getUint8(at);
    if (sk.protocol === IPPROTO_ICMP) return type < 32 && ((stateOf(sk).filter4 >>> type) & 1) !== 0;
    if (sk.protocol === IPPROTO_ICMPV6) return ((stateOf(sk).filter6[type >> 5] >>> (type & 31)) & 1) !== 0;
    return false;
  }

  #badChecksum(sk: Sock, p: number): boolean {
    const { slab } = this.#host.world;
    if (sk.family !== AF_INET6 || stateOf(sk).checksum < 0) return false;
    return this.#output.checksum(p, sk.protocol, slab.end(p) - slab.transport(p)) !== 0xffff;
  }

  /** An ICMP error about a packet of the protocol: raw sockets that sent such hear of it. */
  #error(p: number, { family, protocol, network, payload }: QuotedPacket, error: IcmpError): void {
    const { dv } = this.#host.world.slab;
    const v4 = family === AF_INET;
    const words = new Uint32Array(4);
    a.load(words, dv, network + (v4 ? 16 : 24), family);
    for (const sk of this.#open) {
      if (
        sk.family !== family ||
        sk.protocol !== protocol ||
        (!a.isAny(sk.daddr) && !sk.daddr.every((w, i) => w === words[i]))
      )
        continue;
      this.#sockets.icmpError(sk, family, network, payload, p, error);
    }
  }
}
