/**
 * ARP for Ethernet and IPv4 (RFC 826). Accessors over `(DataView, offset)`.
 *
 *     0      2      4    5    6     8         14        18        24        28
 *     | htype| ptype|hlen|plen| op  | sha     | spa     | tha     | tpa     |
 */
export const LENGTH = 28;
export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;
export const SHA = 8;
export const SPA = 14;
export const THA = 18;
export const TPA = 24;

/** True when the bytes are a whole ARP packet with address lengths of Ethernet and IPv4. */
export function checkLengths(dv: DataView, at: number, length: number): boolean {
  return length >= LENGTH && dv.getUint8(at + 4) === 6 && dv.getUint8(at + 5) === 4;
}

/** True when the bytes are a whole Ethernet/IPv4 ARP packet. */
export function check(dv: DataView, at: number, length: number): boolean {
  return (
    length >= LENGTH &&
    dv.getUint16(at) === 1 &&
    dv.getUint16(at + 2) === 0x0800 &&
    dv.getUint8(at + 4) === 6 &&
    dv.getUint8(at + 5) === 4
  );
}
export function operation(dv: DataView, at: number): number {
  return dv.getUint16(at + 6);
}
export function senderAddr(dv: DataView, at: number): number {
  return dv.getUint32(at + SPA);
}
export function targetAddr(dv: DataView, at: number): number {
  return dv.getUint32(at + TPA);
}
/** Writes the fixed fields for Ethernet and IPv4. */
export function init(dv: DataView, at: number, op: number): void {
  dv.setUint16(at, 1);
  dv.setUint16(at + 2, 0x0800);
  dv.setUint8(at + 4, 6);
  dv.setUint8(at + 5, 4);
  dv.setUint16(at + 6, op);
}
