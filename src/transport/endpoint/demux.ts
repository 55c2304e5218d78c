/**
 * Which socket gets a packet: connected ones by the four-tuple, then those bound to the address, then those bound to
 * "any"; among equals Linux's scores decide, then who bound last. Both tables are `core/table`.
 *
 * Between bound and any, sk_lookup programs are asked (Documentation/bpf/prog_sk_lookup.rst).
 */
import type { Random } from '../../core/random.ts';
import { HashTable } from '../../core/table.ts';
import { AF_INET, AF_INET6 } from '../../wire/address.ts';
import { TCP_ESTABLISHED } from '../../wire/uapi/socket.ts';
import { anyAddress, isAny } from './address.ts';
import { mix, mixLocal } from './mix.ts';
import type { Protocol } from './protocol.ts';
import type { Selection } from './reuseport.ts';
import type { Sock } from './sock.ts';

/** What is asked: the ends as the packet has them, seen from here. Filled again for every packet. */
export type Query = {
  family: number;
  readonly local: Uint32Array;
  readonly remote: Uint32Array;
  lport: number;
  rport: number;
  /** Device the packet came in on. */
  ifindex: number;
  /** The packet, -1 for none: programs look at it. */
  p: number;
};

export function newQuery(): Query {
  return {
    family: AF_INET,
    local: new Uint32Array(4),
    remote: new Uint32Array(4),
    lport: 0,
    rport: 0,
    ifindex: 0,
    p: -1,
  };
}

/** Asks the sk_lookup programs. */
export type LookupPrograms = (proto: Protocol, query: Query) => Selection;

const same = (a: Uint32Array, b: Uint32Array): boolean =>
  a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];

const ANY: Uint32Array = anyAddress(AF_INET6);

export class Demux {
  /** sk_lookup, while a program is attached. */
  programs: LookupPrograms | undefined;
  readonly #socks: (number: number) => Sock | undefined;
  readonly #seed: number;
  readonly #connected: HashTable;
  readonly #bound: HashTable;
  // The look-up in progress.
  #query: Query = newQuery();
  #proto: Protocol | undefined;
  #wild = false;
  #best: Sock | undefined;
  #score = -1;
  readonly #matchConnected = (id: number): boolean => {
    const sk = this.#socks(id);
    if (sk === undefined || sk.proto !== this.#proto || !this.#isConnection(sk)) return false;
    // Several may be connected alike; the last one gets everything.
    if (this.#best === undefined || sk.bindOrder > this.#best.bindOrder) this.#best = sk;
    return false;
  };
  readonly #weigh = (id: number): boolean => {
    const sk = this.#socks(id);
    if (sk === undefined || sk.proto !== this.#proto) return false;
    const score = this.#scoreOf(sk);
    if (score < 0 || score < this.#score) return false;
    if (score > this.#score || this.#best === undefined || sk.bindOrder > this.#best.bindOrder) {
      this.#best = sk;
      this.#score = score;
    }
    return false;
  };

  constructor(random: Random, socks: (id: number) => Sock | undefined) {
    this.#socks = socks;
    this.#seed = random.u32();
    const draw = (): number => random.u32();
    this.#connected = new HashTable({ hashOf: (id) => this.#hashConnected(socks(id)), random: draw });
    this.#bound = new HashTable({ hashOf: (id) => this.#hashBound(socks(id)), random: draw });
  }

  get count(): number {
    return this.#bound.count;
  }

  #hashConnected(sk: Sock | undefined): number {
    if (sk === undefined) return 0;
    return mix(sk.rcvSaddr, sk.daddr, (sk.sport << 16) | sk.dport, this.#seed ^ sk.proto.key);
  }
  #hashBound(sk: Sock | undefined): number {
    return sk === undefined ? 0 : this.#hashLocal(sk.rcvSaddr, sk.sport, sk.proto);
  }
  #hashLocal(address: Uint32Array, port: number, proto: Protocol): number {
    return mixLocal(isAny(address) ? ANY : address, port, proto.key, this.#seed);
  }

  /** A socket that has its address and port; take it out before either changes. */
  add(sk: Sock): boolean {
    if (!this.#bound.insert(this.#hashBound(sk), sk.id)) return false;
    if (sk.state === TCP_ESTABLISHED && sk.dport !== 0) this.#connected.insert(this.#hashConnected(sk), sk.id);
    return true;
  }

  remove(sk: Sock): void {
    this.#bound.remove(this.#hashBound(sk), sk.id);
    this.#connected.remove(this.#hashConnected(sk), sk.id);
  }

  #isConnection(sk: Sock): boolean {
    const q = this.#query;
    return (
      sk.sport === q.lport &&
      sk.dport === q.rport &&
      same(sk.rcvSaddr, q.local) &&
      same(sk.daddr, q.remote) &&
      sk.onDevice(q.ifindex)
    );
  }

  /** How well a bound socket fits, -1 when it does not. */
  #scoreOf(sk: Sock): number {
    const q = this.#query;
    if (sk.sport !== q.lport || isAny(sk.rcvSaddr) !== this.#wild) return -1;
    const v4 = q.family === AF_INET;
    if (v4 ? sk.ipv6only && sk.family === AF_INET6 : sk.family !== AF_INET6) return -1;
    // `::` takes both families, `0.0.0.0` IPv4 only.
    if (this.#wild ? !v4 && sk.rcvSaddr[2] !== 0 : !same(sk.rcvSaddr, q.local)) return -1;
    const scores = v4 ? sk.proto.scores4 : sk.proto.scores6;
    let score = v4 && sk.family === AF_INET ? scores.family4 : 1;
    if (!isAny(sk.daddr)) {
      if (!same(sk.daddr, q.remote)) return -1;
      score += scores.daddr;
    }
    if (sk.dport !== 0) {
      if (sk.dport !== q.rport) return -1;
      score += scores.dport;
    }
    if (sk.boundDevIf !== 0) {
      if (sk.boundDevIf !== q.ifindex) return -1;
      score += scores.device;
    }
    // There is one processor, number 0.
    return sk.incomingCpu === 0 ? score + 1 : score;
  }

  #search(proto: Protocol, query: Query, wild: boolean): Selection {
    this.#proto = proto;
    this.#query = query;
    this.#wild = wild;
    this.#best = undefined;
    this.#score = -1;
    this.#bound.find(this.#hashLocal(wild ? ANY : query.local, query.lport, proto), this.#weigh);
    const best = this.#best as Sock | undefined;
    if (best?.group === undefined || best.state === TCP_ESTABLISHED) return best;
    return this.#member(best, query);
  }

  /** A member of the socket's group. */
  #member(sk: Sock, query: Query): Selection {
    const hash = mix(query.local, query.remote, (query.lport << 16) | query.rport, this.#seed);
    return sk.group?.select(sk, query.p, hash) ?? sk;
  }

  /** The connected socket of a four-tuple. */
  connection(proto: Protocol, query: Query): Sock | undefined {
    this.#proto = proto;
    this.#query = query;
    const hash = mix(query.local, query.remote, (query.lport << 16) | query.rport, this.#seed ^ proto.key);
    this.#best = undefined;
    this.#connected.find(hash, this.#matchConnected);
    return this.#best as Sock | undefined;
  }

  /** The socket that gets the packet; 'drop' when a program says so. */
  lookup(proto: Protocol, query: Query): Selection {
    const connected = this.connection(proto, query);
    if (connected !== undefined) return connected;
    const bound = this.#search(proto, query, false);
    if (bound !== undefined && bound !== 'drop' && bound.state === TCP_ESTABLISHED) return bound;
    if (this.programs !== undefined) {
      const chosen = this.programs(proto, query);
      if (chosen !== undefined) return chosen;
    }
    return bound ?? this.#search(proto, query, true);
  }

  /** The member of a socket's group for a query (`bpf_sk_assign` asks for one). */
  member(sk: Sock, query: Query): Selection {
    return sk.group === undefined ? sk : this.#member(sk, query);
  }

  /** True when the socket would take the packet of a query whoever else does: multicast goes to all of them. */
  takes(sk: Sock, query: Query): boolean {
    this.#query = query;
    this.#wild = isAny(sk.rcvSaddr);
    return this.#scoreOf(sk) >= 0;
  }
}
