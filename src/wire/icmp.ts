/**
 * ICMP (RFC 792, 1812, 1191, 4884). Accessors over `(DataView, offset)`.
 *
 *     0     1     2         4               8
 *     | type| code| checksum| rest of header| payload (for errors: the offending IP header and 8 bytes or more)
 */
export const HEADER_LENGTH = 8;

export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETERPROB = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMPREPLY = 14;
export const ICMP_INFO_REQUEST = 15;
export const ICMP_INFO_REPLY = 16;
export const ICMP_ADDRESS = 17;
export const ICMP_ADDRESSREPLY = 18;

// Codes of ICMP_DEST_UNREACH.
export const ICMP_NET_UNREACH = 0;
export const ICMP_HOST_UNREACH = 1;
export const ICMP_PROT_UNREACH = 2;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_SR_FAILED = 5;
export const ICMP_NET_UNKNOWN = 6;
export const ICMP_HOST_UNKNOWN = 7;
export const ICMP_HOST_ISOLATED = 8;
export const ICMP_NET_ANO = 9;
export const ICMP_HOST_ANO = 10;
export const ICMP_PKT_FILTERED = 13;
// Codes of ICMP_TIME_EXCEEDED.
export const ICMP_EXC_TTL = 0;
export const ICMP_EXC_FRAGTIME = 1;

export function type(dv: DataView, at: number): number {
  return dv.getUint8(at);
}
export function code(dv: DataView, at: number): number {
  return dv.getUint8(at + 1);
}
export function checksum(dv: DataView, at: number): number {
  return dv.getUint16(at + 2);
}
export function setChecksum(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 2, value);
}
/** Identifier of echo and timestamp messages. */
export function id(dv: DataView, at: number): number {
  return dv.getUint16(at + 4);
}
export function setId(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 4, value);
}
export function sequence(dv: DataView, at: number): number {
  return dv.getUint16(at + 6);
}
/** Next-hop MTU of "fragmentation needed" (RFC 1191). */
export function mtu(dv: DataView, at: number): number {
  return dv.getUint16(at + 6);
}
/** True for messages that carry the packet they complain about. */
export function isError(messageType: number): boolean {
  return (
    messageType === ICMP_DEST_UNREACH ||
    messageType === ICMP_SOURCE_QUENCH ||
    messageType === ICMP_REDIRECT ||
    messageType === ICMP_TIME_EXCEEDED ||
    messageType === ICMP_PARAMETERPROB
  );
}
