/**
 * IPv4 (RFC 791; ToS as DSCP and ECN: RFC 2474, 3168). Accessors over `(DataView, offset)`, safe after `check`.
 *
 *     0         1     2        4      6               8    9     10        12    16    20
 *     | ver ihl | tos | length | id   | flags, offset | ttl| prot| checksum| src | dst | options ...
 */
import { checksum, update16 } from './checksum.ts';

export const HEADER_LENGTH = 20;
export const MAX_HEADER_LENGTH = 60;
export const SRC = 12;
export const DST = 16;
export const IP_DF = 0x4000;
export const IP_MF = 0x2000;
export const IP_OFFSET = 0x1fff;

export const IPPROTO_HOPOPTS = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ROUTING = 43;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_GRE = 47;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_NONE = 59;
export const IPPROTO_DSTOPTS = 60;
export const IPPROTO_COMP = 108;
export const IPPROTO_SCTP = 132;
export const IPPROTO_MH = 135;
export const IPPROTO_UDPLITE = 136;

/** True when `length` bytes at `at` hold a whole, consistent header (version, header length, total length); no checksum. */
export function check(dv: DataView, at: number, length: number): boolean {
  if (length < HEADER_LENGTH || dv.getUint8(at) >> 4 !== 4) return false;
  const header = headerLength(dv, at);
  const total = totalLength(dv, at);
  return header >= HEADER_LENGTH && header <= length && total >= header && total <= length;
}
export function version(dv: DataView, at: number): number {
  return dv.getUint8(at) >> 4;
}
/** In bytes, options included. */
export function headerLength(dv: DataView, at: number): number {
  return (dv.getUint8(at) & 15) << 2;
}
export function tos(dv: DataView, at: number): number {
  return dv.getUint8(at + 1);
}
export function totalLength(dv: DataView, at: number): number {
  return dv.getUint16(at + 2);
}
export function setTotalLength(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 2, value);
}
export function id(dv: DataView, at: number): number {
  return dv.getUint16(at + 4);
}
export function setId(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 4, value);
}
/** Flags and fragment offset as they lie: IP_DF, IP_MF, offset in units of eight bytes. */
export function fragOff(dv: DataView, at: number): number {
  return dv.getUint16(at + 6);
}
export function setFragOff(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 6, value);
}
/** True for every fragment, the first included. */
export function isFragment(dv: DataView, at: number): boolean {
  return (dv.getUint16(at + 6) & (IP_MF | IP_OFFSET)) !== 0;
}
export function ttl(dv: DataView, at: number): number {
  return dv.getUint8(at + 8);
}
export function setTtl(dv: DataView, at: number, value: number): void {
  dv.setUint8(at + 8, value);
}
export function protocol(dv: DataView, at: number): number {
  return dv.getUint8(at + 9);
}
export function headerChecksum(dv: DataView, at: number): number {
  return dv.getUint16(at + 10);
}
export function setHeaderChecksum(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 10, value);
}
/** Source address as an unsigned 32-bit number. */
export function srcAddr(dv: DataView, at: number): number {
  return dv.getUint32(at + SRC);
}
export function setSrcAddr(dv: DataView, at: number, value: number): void {
  dv.setUint32(at + SRC, value);
}
export function dstAddr(dv: DataView, at: number): number {
  return dv.getUint32(at + DST);
}
export function setDstAddr(dv: DataView, at: number, value: number): void {
  dv.setUint32(at + DST, value);
}
/** True when the header checksum is right. */
export function checksumOk(dv: DataView, at: number): boolean {
  return checksum(dv, at, headerLength(dv, at)) === 0;
}
/** Computes the header checksum anew. */
export function fillChecksum(dv: DataView, at: number): void {
  dv.setUint16(at + 10, 0);
  dv.setUint16(at + 10, checksum(dv, at, headerLength(dv, at)));
}
/** Takes one off the TTL and mends the checksum (RFC 1624). */
export function decrementTtl(dv: DataView, at: number): void {
  const before = dv.getUint16(at + 8);
  dv.setUint16(at + 8, before - 0x100);
  dv.setUint16(at + 10, update16(dv.getUint16(at + 10), before, before - 0x100));
}
/**
 * Writes a header without options. Checksum included.
 */
export function init(
  dv: DataView,
  at: number,
  src: number,
  dst: number,
  proto: number,
  total: number,
  hops: number,
  identification = 0,
  flags = 0,
  typeOfService = 0,
): void {
  dv.setUint16(at, 0x4500 | typeOfService);
  dv.setUint16(at + 2, total);
  dv.setUint16(at + 4, identification);
  dv.setUint16(at + 6, flags);
  dv.setUint8(at + 8, hops);
  dv.setUint8(at + 9, proto);
  dv.setUint32(at + SRC, src);
  dv.setUint32(at + DST, dst);
  fillChecksum(dv, at);
}
