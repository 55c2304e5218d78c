/**
 * TCP (RFC 9293; ECN bits RFC 3168; options RFC 7323, 2018). Accessors over `(DataView, offset)`, safe after `check`.
 *
 *     0      2      4     8     12          13     14      16        18      20
 *     | sport| dport| seq | ack | off, rsvd | flags| window| checksum| urgent| options ...
 */
export const HEADER_LENGTH = 20;
export const MAX_HEADER_LENGTH = 60;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

export const TCPOPT_EOL = 0;
export const TCPOPT_NOP = 1;
export const TCPOPT_MSS = 2;
export const TCPOPT_WINDOW = 3;
export const TCPOPT_SACK_PERM = 4;
export const TCPOPT_SACK = 5;
export const TCPOPT_TIMESTAMP = 8;
export const TCPOPT_MD5SIG = 19;
export const TCPOPT_MPTCP = 30;
export const TCPOPT_FASTOPEN = 34;

/** True when `length` bytes hold a header with its options. */
export function check(dv: DataView, at: number, length: number): boolean {
  if (length < HEADER_LENGTH) return false;
  const header = headerLength(dv, at);
  return header >= HEADER_LENGTH && header <= length;
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
export function seq(dv: DataView, at: number): number {
  return dv.getUint32(at + 4);
}
export function setSeq(dv: DataView, at: number, value: number): void {
  dv.setUint32(at + 4, value);
}
export function ackSeq(dv: DataView, at: number): number {
  return dv.getUint32(at + 8);
}
export function setAckSeq(dv: DataView, at: number, value: number): void {
  dv.setUint32(at + 8, value);
}
/** In bytes, options included. */
export function headerLength(dv: DataView, at: number): number {
  return (dv.getUint8(at + 12) >> 4) << 2;
}
export function setHeaderLength(dv: DataView, at: number, bytes: number): void {
  dv.setUint8(at + 12, (bytes >> 2) << 4);
}
/** FIN, SYN, RST, PSH, ACK, URG, ECE, CWR. */
export function flags(dv: DataView, at: number): number {
  return dv.getUint8(at + 13);
}
export function setFlags(dv: DataView, at: number, value: number): void {
  dv.setUint8(at + 13, value);
}
export function window(dv: DataView, at: number): number {
  return dv.getUint16(at + 14);
}
export function setWindow(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 14, value);
}
export function checksum(dv: DataView, at: number): number {
  return dv.getUint16(at + 16);
}
export function setChecksum(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 16, value);
}
export function urgent(dv: DataView, at: number): number {
  return dv.getUint16(at + 18);
}
export function setUrgent(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 18, value);
}

/**
 * Finds the option of `kind` between the fixed header and `headerLength`: its offset, or -1. Stops at EOL and at a
 * malformed length, as the kernel's option walks do.
 */
export function findOption(dv: DataView, at: number, kind: number): number {
  const end = at + headerLength(dv, at);
  let i = at + HEADER_LENGTH;
  while (i < end) {
    const k = dv.getUint8(i);
    if (k === kind)
      return k === TCPOPT_EOL || k === TCPOPT_NOP || (i + 1 < end && i + dv.getUint8(i + 1) <= end) ? i : -1;
    if (k === TCPOPT_EOL) return -1;
    if (k === TCPOPT_NOP) {
      i++;
      continue;
    }
    if (i + 1 >= end) return -1;
    const length = dv.getUint8(i + 1);
    if (length < 2) return -1;
    i += length;
  }
  return -1;
}
