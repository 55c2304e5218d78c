/**
 * ICMPv6 (RFC 4443) and Neighbour Discovery (RFC 4861). Accessors over `(DataView, offset)`.
 *
 *     0     1     2         4                8
 *     | type| code| checksum| message body   | ...
 */
export const HEADER_LENGTH = 8;

export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_MGM_QUERY = 130;
export const ICMPV6_MGM_REPORT = 131;
export const ICMPV6_MGM_REDUCTION = 132;
export const NDISC_ROUTER_SOLICITATION = 133;
export const NDISC_ROUTER_ADVERTISEMENT = 134;
export const NDISC_NEIGHBOUR_SOLICITATION = 135;
export const NDISC_NEIGHBOUR_ADVERTISEMENT = 136;
export const NDISC_REDIRECT = 137;
export const ICMPV6_MLD2_REPORT = 143;

// Codes of ICMPV6_DEST_UNREACH.
export const ICMPV6_NOROUTE = 0;
export const ICMPV6_ADM_PROHIBITED = 1;
export const ICMPV6_NOT_NEIGHBOUR = 2;
export const ICMPV6_ADDR_UNREACH = 3;
export const ICMPV6_PORT_UNREACH = 4;
export const ICMPV6_POLICY_FAIL = 5;
export const ICMPV6_REJECT_ROUTE = 6;
// Codes of ICMPV6_TIME_EXCEED and ICMPV6_PARAMPROB.
export const ICMPV6_EXC_HOPLIMIT = 0;
export const ICMPV6_EXC_FRAGTIME = 1;
export const ICMPV6_HDR_FIELD = 0;
export const ICMPV6_UNK_NEXTHDR = 1;
export const ICMPV6_UNK_OPTION = 2;

// Neighbour Discovery: target address in solicitations, advertisements and redirects; options behind it.
export const ND_TARGET = 8;
export const ND_OPTIONS = 24;
export const ND_OPT_SOURCE_LL_ADDR = 1;
export const ND_OPT_TARGET_LL_ADDR = 2;
// Flags of a neighbour advertisement, in its first body byte.
export const NA_ROUTER = 0x80;
export const NA_SOLICITED = 0x40;
export const NA_OVERRIDE = 0x20;

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
export function id(dv: DataView, at: number): number {
  return dv.getUint16(at + 4);
}
export function setId(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 4, value);
}
export function sequence(dv: DataView, at: number): number {
  return dv.getUint16(at + 6);
}
/** MTU of "packet too big". */
export function mtu(dv: DataView, at: number): number {
  return dv.getUint32(at + 4);
}
/** True for error messages (RFC 4443: types below 128). */
export function isError(messageType: number): boolean {
  return messageType < 128;
}

/** Finds a Neighbour Discovery option in `[at, end)`: its offset, -1 when absent, -2 when an option is malformed. */
export function findNdOption(dv: DataView, at: number, end: number, kind: number): number {
  let found = -1;
  while (at < end) {
    if (at + 2 > end) return -2;
    const length = dv.getUint8(at + 1) << 3;
    if (length === 0 || at + length > end) return -2;
    if (found < 0 && dv.getUint8(at) === kind) found = at;
    at += length;
  }
  return found;
}
