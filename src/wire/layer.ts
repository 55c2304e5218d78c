/**
 * The plain-object form of a packet: a list of layers, outermost first. `parse.ts` makes it from bytes, `build.ts` makes
 * bytes from it; every layer can be written by hand, with lengths, checksums and next-protocol fields left out:
 *
 *     build([ether(), ip({ saddr: '10.0.0.7', daddr: '10.0.0.1' }), tcp({ dport: 443, flags: SYN }, [mss(1460)])])
 */
import type { FieldValue } from './field.ts';
import { TCPOPT_MSS, TCPOPT_SACK_PERM, TCPOPT_TIMESTAMP, TCPOPT_WINDOW } from './tcp.ts';

export type Fields = Readonly<Record<string, FieldValue>>;

/**
 * One option of IPv4, TCP, an IPv6 options header or Neighbour Discovery. `data` is what follows kind and length; for the
 * end-of-list option it is the padding behind it. Kind -1 holds bytes that are no well-formed option.
 */
export type Option = { readonly kind: number; readonly data: Uint8Array };

/** An SCTP chunk; `value` without its padding. Type -1 holds bytes that are no well-formed chunk. */
export type Chunk = { readonly type: number; readonly flags: number; readonly value: Uint8Array };

export type LayerKind =
  | 'ether'
  | 'vlan'
  | 'arp'
  | 'ip'
  | 'ip6'
  | 'hbh'
  | 'dst'
  | 'rt'
  | 'frag'
  | 'ah'
  | 'icmp'
  | 'icmpv6'
  | 'udp'
  | 'tcp'
  | 'sctp'
  | 'neighbour'
  | 'router-solicit'
  | 'router-advert'
  | 'redirect'
  | 'payload'
  | 'padding'
  | 'malformed';

export type Layer = {
  readonly kind: LayerKind;
  /** By the names of the protocol's table. */
  readonly fields: Fields;
  readonly options?: readonly Option[];
  readonly chunks?: readonly Chunk[];
  /** Bytes without structure: payload, padding, routing data, integrity check value. */
  readonly data?: Uint8Array;
  /** What is wrong, in a `malformed` layer. */
  readonly problem?: string;
};

export function ether(fields: Fields = {}): Layer {
  return { kind: 'ether', fields };
}
export function vlan(fields: Fields): Layer {
  return { kind: 'vlan', fields };
}
export function arp(fields: Fields): Layer {
  return { kind: 'arp', fields };
}
export function ip(fields: Fields, options: readonly Option[] = []): Layer {
  return { kind: 'ip', fields, options };
}
export function ip6(fields: Fields): Layer {
  return { kind: 'ip6', fields };
}
export function icmp(fields: Fields): Layer {
  return { kind: 'icmp', fields };
}
export function icmpv6(fields: Fields): Layer {
  return { kind: 'icmpv6', fields };
}
export function udp(fields: Fields): Layer {
  return { kind: 'udp', fields };
}
export function tcp(fields: Fields, options: readonly Option[] = []): Layer {
  return { kind: 'tcp', fields, options };
}
export function sctp(fields: Fields, chunks: readonly Chunk[] = []): Layer {
  return { kind: 'sctp', fields, chunks };
}
/** Body of a neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4). */
export function neighbour(target: string, options: readonly Option[] = []): Layer {
  return { kind: 'neighbour', fields: { target }, options };
}
export function payload(data: Uint8Array | string): Layer {
  return { kind: 'payload', fields: {}, data: typeof data === 'string' ? new TextEncoder().encode(data) : data };
}

// TCP options by name (RFC 9293, 7323, 2018).
export function mss(value: number): Option {
  return { kind: TCPOPT_MSS, data: Uint8Array.of(value >> 8, value & 0xff) };
}
export function windowScale(shift: number): Option {
  return { kind: TCPOPT_WINDOW, data: Uint8Array.of(shift) };
}
export const sackPermitted: Option = Object.freeze({ kind: TCPOPT_SACK_PERM, data: new Uint8Array(0) });
export function timestamp(value: number, echo: number): Option {
  const data = new Uint8Array(8);
  const dv = new DataView(data.buffer);
  dv.setUint32(0, value);
  dv.setUint32(4, echo);
  return { kind: TCPOPT_TIMESTAMP, data };
}
