/**
 * Addresses as text: IPv4, IPv6 (RFC 4291 in, RFC 5952 out) and MAC. Parsing is inet_pton(3)'s, output inet_ntop(3)'s:
 * what every Linux tool reads and prints. Bytes are in network order.
 */

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

/** Four bytes of a dotted quad, as inet_pton: four decimal parts, no leading zeros; undefined when it is none. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (m === null) return undefined;
  const out = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = m[i + 1];
    if ((part.length > 1 && part[0] === '0') || Number(part) > 255) return undefined;
    out[i] = Number(part);
  }
  return out;
}

function groups(text: string): number[] | undefined {
  if (text === '') return [];
  const out: number[] = [];
  const parts = text.split(':');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part.includes('.')) {
      const quad = i === parts.length - 1 ? parseIpv4(part) : undefined;
      if (quad === undefined) return undefined;
      out.push((quad[0] << 8) | quad[1], (quad[2] << 8) | quad[3]);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      out.push(Number.parseInt(part, 16));
    }
  }
  return out;
}

/** Sixteen bytes of an IPv6 address, without zone; undefined when it is none. */
export function parseIpv6(text: string): Uint8Array | undefined {
  if (!text.includes(':')) return undefined;
  const gap = text.indexOf('::');
  let words: number[];
  if (gap < 0) {
    const all = groups(text);
    if (all === undefined || all.length !== 8) return undefined;
    words = all;
  } else {
    if (text.slice(0, gap).includes('.')) return undefined;
    const front = groups(text.slice(0, gap));
    const back = groups(text.slice(gap + 2));
    if (front === undefined || back === undefined || front.length + back.length > 7) return undefined;
    words = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  }
  const out = new Uint8Array(16);
  words.forEach((word, i) => {
    out[i * 2] = word >> 8;
    out[i * 2 + 1] = word & 0xff;
  });
  return out;
}

/** Either kind; the length (4 or 16) says which. */
export function parseAddress(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** AF_INET or AF_INET6 of address bytes. */
export function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

/** "10.0.0.1" of the four bytes at `at`. */
export function formatIpv4(bytes: Uint8Array, at = 0): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** The RFC 5952 form of the 16 bytes at `at`; IPv4-mapped and IPv4-compatible addresses end in a dotted quad. */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  const words: number[] = [];
  for (let i = 0; i < 8; i++) words.push((bytes[at + i * 2] << 8) | bytes[at + i * 2 + 1]);
  let best = -1;
  let bestLength = 1; // a single zero group is written out (RFC 5952, 4.2.2)
  for (let i = 0; i < 8; ) {
    let end = i;
    while (end < 8 && words[end] === 0) end++;
    if (end - i > bestLength) {
      best = i;
      bestLength = end - i;
    }
    i = Math.max(end, i + 1);
  }
  if (best === 0 && (bestLength === 6 || (bestLength === 5 && words[5] === 0xffff)))
    return `${bestLength === 6 ? '::' : '::ffff:'}${formatIpv4(bytes, at + 12)}`;
  const hex = (list: number[]): string => list.map((word) => word.toString(16)).join(':');
  return best < 0 ? hex(words) : `${hex(words.slice(0, best))}::${hex(words.slice(best + bestLength))}`;
}

/** Text of 4 or 16 address bytes. */
export function formatAddress(bytes: Uint8Array): string {
  return bytes.length === 4 ? formatIpv4(bytes) : formatIpv6(bytes);
}

/** Six bytes of "02:00:00:00:00:01" (one or two hex digits a part); undefined when it is none. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(/[:-]/), (part) => Number.parseInt(part, 16));
}

/** "02:00:00:00:00:01" of `length` bytes at `at`. */
export function formatMac(bytes: Uint8Array, at = 0, length = 6): string {
  let out = '';
  for (let i = 0; i < length; i++) out += (i ? ':' : '') + bytes[at + i].toString(16).padStart(2, '0');
  return out;
}

export type Prefix = {
  /** AF_INET or AF_INET6. */
  readonly family: number;
  readonly address: Uint8Array;
  readonly length: number;
};

/** "10.0.0.0/8" or a bare address (a full-length prefix); undefined when it is neither. The host bits stay. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const full = address.length * 8;
  if (slash < 0) return { family: familyOf(address), address, length: full };
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > full) return undefined;
  return { family: familyOf(address), address, length: Number(digits) };
}

/** A copy with all bits behind the first `length` cleared. */
export function maskAddress(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, i) => byte & prefixByte(length, i));
}

/** Byte `i` of the netmask of a prefix length. */
export function prefixByte(length: number, i: number): number {
  const bits = Math.min(8, Math.max(0, length - i * 8));
  return (0xff00 >> bits) & 0xff;
}

/** The netmask of a prefix length, `size` bytes. */
export function netmask(length: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => prefixByte(length, i));
}

/** Prefix length of a netmask; -1 when its bits are not contiguous. */
export function maskLength(mask: Uint8Array): number {
  let length = 0;
  while (length < mask.length * 8 && mask[length >> 3] & (0x80 >> (length & 7))) length++;
  return netmask(length, mask.length).every((byte, i) => byte === mask[i]) ? length : -1;
}

/** True when both are the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
