/**
 * Tuples (`struct nf_conntrack_tuple`): one direction of a connection as twelve 32-bit words, so that they lie side by side
 * in one array and compare without objects. Every function takes `(words, at)`.
 *
 *     word:  0..3 source  4..7 destination  8 family and protocol  9 ports  10 zone id  11 hash, when stored
 *
 * Addresses are numbers in network order, IPv4 in the first of the four words. "Ports" is what the protocol declares:
 * source << 16 | destination for TCP, UDP, SCTP; id << 16 | type << 8 | code for ICMP; the two keys of GRE.
 */
import { AF_INET, AF_INET6, formatIpv4, formatIpv6 } from '../../wire/address.ts';

export const TUPLE_WORDS = 12;
export const DST = 4;
export const PROTO = 8;
export const PORTS = 9;
export const ZONE = 10;
export const HASH = 11;

export type Words = Uint32Array;

/** A tuple of its own. */
export function newTuple(): Words {
  return new Uint32Array(TUPLE_WORDS);
}

/** NFPROTO_IPV4 or NFPROTO_IPV6. */
export function l3num(t: Words, at: number): number {
  return t[at + PROTO] >>> 8;
}
/** IPPROTO_*. */
export function protonum(t: Words, at: number): number {
  return t[at + PROTO] & 0xff;
}
export function srcPort(t: Words, at: number): number {
  return t[at + PORTS] >>> 16;
}
export function dstPort(t: Words, at: number): number {
  return t[at + PORTS] & 0xffff;
}
export function setSrcPort(t: Words, at: number, value: number): void {
  t[at + PORTS] = (value << 16) | (t[at + PORTS] & 0xffff);
}
export function setDstPort(t: Words, at: number, value: number): void {
  t[at + PORTS] = (t[at + PORTS] & 0xffff0000) | value;
}

/** Same addresses, protocol and ports; the zone apart. */
export function equal(a: Words, i: number, b: Words, j: number): boolean {
  return (
    a[i + PORTS] === b[j + PORTS] &&
    a[i] === b[j] &&
    a[i + 4] === b[j + 4] &&
    a[i + PROTO] === b[j + PROTO] &&
    a[i + 1] === b[j + 1] &&
    a[i + 2] === b[j + 2] &&
    a[i + 3] === b[j + 3] &&
    a[i + 5] === b[j + 5] &&
    a[i + 6] === b[j + 6] &&
    a[i + 7] === b[j + 7]
  );
}

/** True when the four address words are the same. */
export function sameAddress(a: Words, i: number, b: Words, j: number): boolean {
  return a[i] === b[j] && a[i + 1] === b[j + 1] && a[i + 2] === b[j + 2] && a[i + 3] === b[j + 3];
}

export function copyTuple(from: Words, i: number, to: Words, j: number): void {
  for (let k = 0; k < TUPLE_WORDS; k++) to[j + k] = from[i + k];
}

export function copyAddress(from: Words, i: number, to: Words, j: number): void {
  to[j] = from[i];
  to[j + 1] = from[i + 1];
  to[j + 2] = from[i + 2];
  to[j + 3] = from[i + 3];
}

/** Seeded hash over addresses, protocol, ports and zone. */
export function hashTuple(t: Words, at: number, seed: number): number {
  let h = seed;
  for (let k = 0; k <= ZONE; k++) {
    let w = Math.imul(t[at + k], 0xcc9e2d51);
    w = Math.imul((w << 15) | (w >>> 17), 0x1b873593);
    h ^= w;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Text of the address at `at` (source at a tuple's start, destination at +DST). */
export function formatTupleAddress(t: Words, at: number, family: number): string {
  const bytes = addressBytes(t, at, family);
  return family === AF_INET ? formatIpv4(bytes) : formatIpv6(bytes);
}

/** The 4 or 16 bytes of an address. */
export function addressBytes(t: Words, at: number, family: number): Uint8Array {
  const bytes = new Uint8Array(family === AF_INET6 ? 16 : 4);
  for (let i = 0; i < bytes.length; i++) bytes[i] = t[at + (i >> 2)] >>> (24 - (i & 3) * 8);
  return bytes;
}

/** Writes 4 or 16 address bytes as words. */
export function setAddress(t: Words, at: number, bytes: Uint8Array): void {
  for (let k = 0; k < 4; k++)
    t[at + k] =
      k * 4 < bytes.length
        ? ((bytes[k * 4] << 24) | (bytes[k * 4 + 1] << 16) | (bytes[k * 4 + 2] << 8) | bytes[k * 4 + 3]) >>> 0
        : 0;
}
