/**
 * IPv6 (RFC 8200) and the walk over its extension headers. Accessors over `(DataView, offset)`, safe after `check`.
 *
 *     0                    4         6      7      8       24      40
 *     | ver, class, label  | payload | next | hops | src   | dst   | extension headers, upper layer ...
 */
import {
  IPPROTO_AH,
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
} from './ipv4.ts';

export const HEADER_LENGTH = 40;
export const SRC = 8;
export const DST = 24;

export function check(dv: DataView, at: number, length: number): boolean {
  return length >= HEADER_LENGTH && dv.getUint8(at) >> 4 === 6 && HEADER_LENGTH + payloadLength(dv, at) <= length;
}
export function version(dv: DataView, at: number): number {
  return dv.getUint8(at) >> 4;
}
export function trafficClass(dv: DataView, at: number): number {
  return (dv.getUint16(at) >> 4) & 0xff;
}
export function flowLabel(dv: DataView, at: number): number {
  return dv.getUint32(at) & 0xfffff;
}
export function payloadLength(dv: DataView, at: number): number {
  return dv.getUint16(at + 4);
}
export function setPayloadLength(dv: DataView, at: number, value: number): void {
  dv.setUint16(at + 4, value);
}
export function nextHeader(dv: DataView, at: number): number {
  return dv.getUint8(at + 6);
}
export function setNextHeader(dv: DataView, at: number, value: number): void {
  dv.setUint8(at + 6, value);
}
export function hopLimit(dv: DataView, at: number): number {
  return dv.getUint8(at + 7);
}
export function setHopLimit(dv: DataView, at: number, value: number): void {
  dv.setUint8(at + 7, value);
}
/** True when the 16 bytes at `a` and `b` are the same. */
export function sameAddress(dv: DataView, a: number, b: number): boolean {
  return (
    dv.getUint32(a) === dv.getUint32(b) &&
    dv.getUint32(a + 4) === dv.getUint32(b + 4) &&
    dv.getUint32(a + 8) === dv.getUint32(b + 8) &&
    dv.getUint32(a + 12) === dv.getUint32(b + 12)
  );
}
/** Copies 16 address bytes. */
export function copyAddress(dv: DataView, from: number, to: number): void {
  dv.setUint32(to, dv.getUint32(from));
  dv.setUint32(to + 4, dv.getUint32(from + 4));
  dv.setUint32(to + 8, dv.getUint32(from + 8));
  dv.setUint32(to + 12, dv.getUint32(from + 12));
}
/** True when the address is `::`. */
export function isUnspecified(dv: DataView, address: number): boolean {
  return (
    dv.getUint32(address) === 0 &&
    dv.getUint32(address + 4) === 0 &&
    dv.getUint32(address + 8) === 0 &&
    dv.getUint32(address + 12) === 0
  );
}
/** ff00::/8 (RFC 4291, 2.7). */
export function isMulticast(dv: DataView, address: number): boolean {
  return dv.getUint8(address) === 0xff;
}
/** fe80::/10 (RFC 4291, 2.5.6). */
export function isLinkLocal(dv: DataView, address: number): boolean {
  return (dv.getUint16(address) & 0xffc0) === 0xfe80;
}
/** Writes the fixed header but for the two addresses. */
export function init(
  dv: DataView,
  at: number,
  next: number,
  payload: number,
  hops: number,
  tclass = 0,
  label = 0,
): void {
  dv.setUint32(at, 0x60000000 | (tclass << 20) | label);
  dv.setUint16(at + 4, payload);
  dv.setUint8(at + 6, next);
  dv.setUint8(at + 7, hops);
}

/** True for headers that carry a next-header field and are walked over (RFC 8200 section 4, RFC 4302 AH). As in Linux, the
 * mobility header (RFC 6275) counts as an upper layer. */
export function isExtensionHeader(next: number): boolean {
  return (
    next === IPPROTO_HOPOPTS ||
    next === IPPROTO_ROUTING ||
    next === IPPROTO_FRAGMENT ||
    next === IPPROTO_AH ||
    next === IPPROTO_DSTOPTS ||
    next === IPPROTO_NONE
  );
}

/** Bytes of the extension header of type `next` at `at`. */
export function extensionLength(dv: DataView, next: number, at: number): number {
  if (next === IPPROTO_FRAGMENT) return 8;
  if (next === IPPROTO_AH) return (dv.getUint8(at + 1) + 2) << 2;
  return (dv.getUint8(at + 1) + 1) << 3;
}

/** Where a walk over the extension headers ended. Reuse one object for many walks. */
export type Walk = {
  /** Protocol found (an upper layer, or the header that could not be passed); -1 when the packet is truncated. */
  protocol: number;
  /** Offset of that header. */
  at: number;
  /** Fragment offset in bytes, of the fragment header met; 0 without one. */
  fragOffset: number;
  /** Offset of the fragment header met, 0 for none. */
  fragmentAt: number;
};

/**
 * Walks from the fixed header at `at` to the upper layer, as the kernel's `ipv6_find_hdr` does for netfilter: stops at a
 * later fragment (whose payload has no header) and at No Next Header. `end` is one past the last byte.
 * Never reads outside `[at, end)`; a truncated chain gives protocol -1. `stopAtAh`: an authentication header is the end of
 * the walk, as nftables sees it.
 */
export function walk(dv: DataView, at: number, end: number, out: Walk, stopAtAh = false): Walk {
  let next = dv.getUint8(at + 6);
  let cursor = at + HEADER_LENGTH;
  out.fragOffset = 0;
  out.fragmentAt = 0;
  for (;;) {
    if (!isExtensionHeader(next) || next === IPPROTO_NONE) break;
    if (cursor + (next === IPPROTO_FRAGMENT ? 4 : 2) > end) {
      next = -1;
      break;
    }
    if (next === IPPROTO_AH && stopAtAh) break;
    if (next === IPPROTO_FRAGMENT) {
      out.fragmentAt = cursor;
      const offset = dv.getUint16(cursor + 2) & 0xfff8;
      if (offset !== 0) {
        // A later fragment: the bytes behind belong to a header that is elsewhere.
        out.fragOffset = offset;
        next = dv.getUint8(cursor);
        cursor += 8;
        break;
      }
    }
    const length = extensionLength(dv, next, cursor);
    next = dv.getUint8(cursor);
    cursor += length;
  }
  out.protocol = next;
  out.at = cursor;
  return out;
}
