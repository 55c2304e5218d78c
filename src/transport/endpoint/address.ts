/**
 * Addresses of sockets: always the four words of an IPv6 address in network order, IPv4 as `::ffff:a.b.c.d` (RFC 4291
 * 2.5.5.2), so that one comparison serves both families and dual-stack sockets. Two addresses stand for "any": `::`
 * and, of IPv4 alone, `::ffff:0.0.0.0`.
 */
import { AF_INET, AF_INET6 } from '../../wire/address.ts';

const MAPPED = 0xffff;

/** An address and port as a program names them (`struct sockaddr_in`, `sockaddr_in6`). */
export type SockAddr = {
  /** AF_INET, AF_INET6, AF_UNSPEC. */
  readonly family: number;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
  /** IPv6: interface index of a link-local address. */
  readonly scopeId?: number;
};

export const isMapped = (a: Uint32Array): boolean => (a[0] | a[1]) === 0 && a[2] === MAPPED;
/** `::` or `::ffff:0.0.0.0`. */
export const isAny = (a: Uint32Array): boolean => (a[0] | a[1] | a[3]) === 0 && (a[2] === 0 || a[2] === MAPPED);
export const isAny6 = (a: Uint32Array): boolean => (a[0] | a[1] | a[2] | a[3]) === 0;
/** 224.0.0.0/4 or ff00::/8. */
export const isMulticast = (a: Uint32Array): boolean => (isMapped(a) ? a[3] >>> 28 === 14 : a[0] >>> 24 === 0xff);
export const isLinkLocal = (a: Uint32Array): boolean => a[0] >>> 22 === 0xfe800000 >>> 22;

/** `::1`. */
export const isLoopback6 = (a: Uint32Array): boolean => (a[0] | a[1] | a[2]) === 0 && a[3] === 1;

/** The "any" address of a family. */
export function anyAddress(family: number): Uint32Array {
  return Uint32Array.of(0, 0, family === AF_INET ? MAPPED : 0, 0);
}

/** Words of 4 or 16 address bytes. */
export function fromBytes(bytes: Uint8Array): Uint32Array {
  const out = new Uint32Array(4);
  if (bytes.length === 4) {
    out[2] = MAPPED;
    for (let i = 0; i < 4; i++) out[3] |= bytes[i] << (24 - i * 8);
    return out;
  }
  for (let i = 0; i < 16; i++) out[i >> 2] |= bytes[i] << (24 - (i & 3) * 8);
  return out;
}

/** The 4 (of a mapped address, when `family` is AF_INET) or 16 bytes. */
export function toBytes(words: Uint32Array, family: number): Uint8Array {
  if (family === AF_INET) return Uint8Array.from({ length: 4 }, (_, i) => words[3] >>> (24 - i * 8));
  return Uint8Array.from({ length: 16 }, (_, i) => words[i >> 2] >>> (24 - (i & 3) * 8));
}

/** Reads an address of packet memory into `out`. */
export function load(out: Uint32Array, dv: DataView, at: number, family: number): void {
  if (family === AF_INET) {
    out[0] = out[1] = 0;
    out[2] = MAPPED;
    out[3] = dv.getUint32(at);
    return;
  }
  for (let i = 0; i < 4; i++) out[i] = dv.getUint32(at + i * 4);
}

/** Writes the 4 or 16 bytes of an address to packet memory. */
export function store(words: Uint32Array, dv: DataView, at: number, family: number): void {
  if (family === AF_INET) dv.setUint32(at, words[3]);
  else for (let i = 0; i < 4; i++) dv.setUint32(at + i * 4, words[i]);
}

/** The words routing and address tables use: IPv4 in the first. */
export function inetWords(words: Uint32Array): Uint32Array {
  return isMapped(words) ? Uint32Array.of(words[3], 0, 0, 0) : words;
}

/** AF_INET of mapped addresses, AF_INET6 of others. */
export const familyOf = (words: Uint32Array): number => (isMapped(words) ? AF_INET : AF_INET6);
