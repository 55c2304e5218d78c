/**
 * SCTP common header and chunks (RFC 9260 section 3). Accessors over `(DataView, offset)`.
 *
 *     0      2      4     8         12                     chunk: 0     1      2       4
 *     | sport| dport| vtag| CRC32c  | chunks ...                  | type| flags| length| value, padded to 4
 */
import { crc32c } from './checksum.ts';

export const HEADER_LENGTH = 12;
export const CHUNK_HEADER_LENGTH = 4;

export const SCTP_CID_DATA = 0;
export const SCTP_CID_INIT = 1;
export const SCTP_CID_INIT_ACK = 2;
export const SCTP_CID_SACK = 3;
export const SCTP_CID_HEARTBEAT = 4;
export const SCTP_CID_HEARTBEAT_ACK = 5;
export const SCTP_CID_ABORT = 6;
export const SCTP_CID_SHUTDOWN = 7;
export const SCTP_CID_SHUTDOWN_ACK = 8;
export const SCTP_CID_ERROR = 9;
export const SCTP_CID_COOKIE_ECHO = 10;
export const SCTP_CID_COOKIE_ACK = 11;
export const SCTP_CID_ECNE = 12;
export const SCTP_CID_CWR = 13;
export const SCTP_CID_SHUTDOWN_COMPLETE = 14;
export const SCTP_CID_AUTH = 15;
export const SCTP_CID_ASCONF_ACK = 0x80;
export const SCTP_CID_RECONF = 0x82;
export const SCTP_CID_FWD_TSN = 0xc0;
export const SCTP_CID_ASCONF = 0xc1;

export function check(length: number): boolean {
  return length >= HEADER_LENGTH;
}
export function srcPort(dv: DataView, at: number): number {
  return dv.getUint16(at);
}
export function setSrcPort(dv: DataView, at: number, value: number): void {
  dv.setUint16(at, value);
}
export function dstPort(dv: DataView, at: number): number {
  return dv.getUint16(at + 2);
}
export function setDstPort(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 2, value);
}
export function vtag(dv: DataView, at: number): number {
  return dv.getUint32(at + 4);
}
export function setVtag(dv: DataView, at: number, value: number): void {
  dv.setUint32(at + 4, value);
}
/** CRC32c, which SCTP stores least significant byte first. */
export function checksum(dv: DataView, at: number): number {
  return dv.getUint32(at + 8, true);
}
/** Computes the CRC32c over the packet `[at, at+length)` with a zero checksum field. */
export function computeChecksum(dv: DataView, u8: Uint8Array, at: number, length: number): number {
  const before = dv.getUint32(at + 8);
  dv.setUint32(at + 8, 0);
  const crc = crc32c(u8, at, length);
  dv.setUint32(at + 8, before);
  return crc;
}
export function setChecksum(dv: DataView, at: number, crc: number): void {
  dv.setUint32(at + 8, crc, true);
}
export function chunkType(dv: DataView, at: number): number {
  return dv.getUint8(at);
}
export function chunkFlags(dv: DataView, at: number): number {
  return dv.getUint8(at + 1);
}
/** Length of the chunk without padding, its header included. */
export function chunkLength(dv: DataView, at: number): number {
  return dv.getUint16(at + 2);
}
/** Offset of the chunk behind the one at `at`, or -1 when its length is impossible or it is the last before `end`. */
export function nextChunk(dv: DataView, at: number, end: number): number {
  const length = chunkLength(dv, at);
  if (length < CHUNK_HEADER_LENGTH) return -1;
  const next = at + ((length + 3) & ~3);
  return next + CHUNK_HEADER_LENGTH <= end ? next : -1;
}
