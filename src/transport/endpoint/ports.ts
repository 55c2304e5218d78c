/**
 * Ports of one host, for all protocols: who may bind what (SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE, IPV6_V6ONLY;
 * socket(7), ip(7)), and which port a socket gets that asked for none (RFC 6056). Randomness is the world's.
 */
import { EADDRINUSE, EINVAL } from '../../core/errno.ts';
import type { Random } from '../../core/random.ts';
import { AF_INET6 } from '../../wire/address.ts';
import { isAny, isAny6, isMapped } from './address.ts';
import { mix } from './mix.ts';
import type { Sock } from './sock.ts';

const MAX_PORT = 65_535;

const same = (a: Uint32Array, b: Uint32Array): boolean =>
  a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];

/**
 * True when packets could be meant for either of two sockets as far as addresses say (inet_rcv_saddr_equal). With
 * `wildcard` "any" overlaps with everything it takes; without, addresses must be one and the same.
 */
export function addressesMeet(a: Sock, b: Sock, wildcard: boolean): boolean {
  const [x, y] = [a.rcvSaddr, b.rcvSaddr];
  const v6 = (sk: Sock): boolean => sk.family === AF_INET6 && !isMapped(sk.rcvSaddr);
  // A socket for IPv6 alone never meets one that has an IPv4 address, not even as "any".
  if (v6(a) !== v6(b)) {
    const [six, four] = v6(a) ? [a, b] : [b, a];
    return !six.ipv6only && isAny6(six.rcvSaddr) && (wildcard || isAny(four.rcvSaddr));
  }
  if (same(x, y)) return true;
  return wildcard && (isAny(x) || isAny(y));
}

export type PortRange = { readonly low: number; readonly high: number };

export class Ports {
  /** net.ipv4.ip_local_port_range, ip_local_reserved_ports, ip_unprivileged_port_start. */
  range: PortRange = { low: 32_768, high: 60_999 };
  reserved: ReadonlySet<number> = new Set();
  unprivilegedStart = 1024;
  readonly #random: Random;
  readonly #secret: number;
  /** RFC 6056 algorithm 3: one counter for all destinations. */
  #next = 0;
  /** Sockets by protocol and port. */
  readonly #bound = new Map<number, Sock[]>();

  constructor(random: Random) {
    this.#random = random;
    this.#secret = random.u32();
  }

  /** Sockets bound to a port of a protocol, the last one first. */
  bound(key: number, port: number): readonly Sock[] {
    return this.#bound.get(key * 65_536 + port) ?? [];
  }

  /** True when `sk` may not have the port. */
  #conflict(sk: Sock, port: number): boolean {
    for (const other of this.bound(sk.proto.key, port)) {
      if (other === sk) continue;
      if (sk.proto.mayShare(sk, other)) continue;
      if (sk.boundDevIf !== 0 && other.boundDevIf !== 0 && sk.boundDevIf !== other.boundDevIf) continue;
      if (!addressesMeet(sk, other, true)) continue;
      // Members of one group: the first that is met decides.
      const group = sk.reuseport && other.reuseport && sk.group === undefined && sk.owner.uid === other.owner.uid;
      return !group;
    }
    return false;
  }

  /** Gives `sk` a port (0: a free one): 0 or an errno. */
  take(sk: Sock, port: number): number {
    if (port !== 0) {
      if (this.#conflict(sk, port)) return EADDRINUSE;
      this.#add(sk, port);
      return 0;
    }
    const { low, high } = this.#rangeOf(sk);
    if (low > high) return EINVAL;
    const count = high - low + 1;
    // Without a destination there is nothing to hash: a random start, which the next one does not follow.
    const offset = isAny(sk.daddr)
      ? this.#random.u32()
      : mix(sk.saddr, sk.daddr, sk.dport, this.#secret) + this.#next++;
    for (let i = 0; i < count; i++) {
      const candidate = low + ((offset + i) % count);
      if (this.reserved.has(candidate) || this.#conflict(sk, candidate)) continue;
      this.#add(sk, candidate);
      return 0;
    }
    return EADDRINUSE;
  }

  #rangeOf(sk: Sock): PortRange {
    const [low, high] = sk.portRange;
    const { range } = this;
    const from = low === 0 ? range.low : Math.max(low, range.low);
    const to = high === 0 ? range.high : Math.min(high, range.high);
    return from > to ? range : { low: from, high: to };
  }

  #add(sk: Sock, port: number): void {
    sk.sport = port;
    const key = sk.proto.key * 65_536 + port;
    const list = this.#bound.get(key);
    if (list === undefined) this.#bound.set(key, [sk]);
    else list.unshift(sk);
  }

  release(sk: Sock): void {
    const key = sk.proto.key * 65_536 + sk.sport;
    const list = this.#bound.get(key)?.filter((other) => other !== sk) ?? [];
    if (list.length === 0) this.#bound.delete(key);
    else this.#bound.set(key, list);
    sk.sport = 0;
  }

  /** All sockets that have a port. */
  *all(): Iterable<Sock> {
    for (const list of this.#bound.values()) yield* list;
  }

  /** "LOW HIGH" of ip_local_port_range: 0 or an errno. */
  setRange(text: string): number {
    const m = /^\s*(\d+)\s+(\d+)\s*$/.exec(text);
    if (m === null) return EINVAL;
    const [low, high] = [Number(m[1]), Number(m[2])];
    if (low < 1 || high > MAX_PORT || high < low || low < this.unprivilegedStart) return EINVAL;
    this.range = { low, high };
    return 0;
  }

  /** "8080,9000-9010" of ip_local_reserved_ports: 0 or an errno. */
  setReserved(text: string): number {
    const out = new Set<number>();
    for (const part of text.trim().split(',')) {
      if (part.trim() === '') continue;
      const m = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
      if (m === null) return EINVAL;
      const [from, to] = [Number(m[1]), Number(m[2] ?? m[1])];
      if (to > MAX_PORT || from > to) return EINVAL;
      for (let port = from; port <= to; port++) out.add(port);
    }
    this.reserved = out;
    return 0;
  }

  /** The reserved ports as the sysctl shows them. */
  reservedText(): string {
    const ports = [...this.reserved].sort((a, b) => a - b);
    const parts: string[] = [];
    for (let i = 0; i < ports.length; ) {
      let end = i;
      while (ports[end + 1] === ports[end] + 1) end++;
      parts.push(end === i ? `${ports[i]}` : `${ports[i]}-${ports[end]}`);
      i = end + 1;
    }
    return parts.join(',');
  }
}
