/**
 * UDP (RFC 768). Accessors over `(DataView, offset)`.
 *
 *     0         2         4        6         8
 *     | sport   | dport   | length | checksum| payload
 */
export const HEADER_LENGTH = 8;

/** True when `length` bytes hold a header and the length field fits them (0 is a jumbogram, RFC 2675, not accepted). */
export function check(dv: DataView, at: number, length: number): boolean {
  return length >= HEADER_LENGTH && dv.getUint16(at + 4) >= HEADER_LENGTH && dv.getUint16(at + 4) <= length;
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
export function length(dv: DataView, at: number): number {
  return dv.getUint16(at + 4);
}
export function setLength(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 4, value);
}
export function checksum(dv: DataView, at: number): number {
  return dv.getUint16(at + 6);
}
export function setChecksum(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 6, value);
}
