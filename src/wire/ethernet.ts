/**
 * Ethernet II (IEEE 802.3 clause 3) and the 802.1Q / 802.1ad tag. Accessors over `(DataView, offset of the header)`,
 * safe after `check`.
 *
 *     0        6        12        14
 *     | dst    | src    | type    | payload        tag: | TPID 2 | PCP 3 DEI 1 VID 12 | inner type 2 |
 */
export const HEADER_LENGTH = 14;
export const VLAN_HEADER_LENGTH = 4;

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_8021AD = 0x88a8;
/** Type fields below this are lengths (802.3 framing). */
export const ETH_P_802_3_MIN = 0x0600;

/** True when `length` bytes hold a header. */
export function check(length: number): boolean {
  return length >= HEADER_LENGTH;
}
/** Where the destination address lies, relative to the header. */
export const DST = 0;
export const SRC = 6;

export function type(dv: DataView, at: number): number {
  return dv.getUint16(at + 12);
}
export function setType(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 12, value);
}
/** Copies six address bytes from `from` to `to`. */
export function copyAddress(dv: DataView, from: number, to: number): void {
  dv.setUint32(to, dv.getUint32(from));
  dv.setUint16(to + 4, dv.getUint16(from + 4));
}
/** True when the two addresses are the same. */
export function sameAddress(dv: DataView, a: number, b: number): boolean {
  return dv.getUint32(a) === dv.getUint32(b) && dv.getUint16(a + 4) === dv.getUint16(b + 4);
}
/** True for group addresses, broadcast included. */
export function isMulticast(dv: DataView, address: number): boolean {
  return (dv.getUint8(address) & 1) !== 0;
}
export function isBroadcast(dv: DataView, address: number): boolean {
  return dv.getUint32(address) === 0xffffffff && dv.getUint16(address + 4) === 0xffff;
}

// The tag, at the offset of its TCI (the two bytes behind the TPID).
export function vlanTci(dv: DataView, at: number): number {
  return dv.getUint16(at);
}
export function vlanId(dv: DataView, at: number): number {
  return dv.getUint16(at) & 0x0fff;
}
export function vlanType(dv: DataView, at: number): number {
  return dv.getUint16(at + 2);
}
