/**
 * Captured packets as frames that a host can receive: the link header of whatever was captured becomes Ethernet, what a
 * short snapshot length cut off becomes zeros again.
 */

import { formatIpv4, formatIpv6 } from '../../wire/address.ts';
import { viewOf } from '../../wire/byte-source.ts';
import { HEADER_LENGTH as ETH_HLEN, ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6 } from '../../wire/ethernet.ts';
import { type CapturedPacket, LINKTYPE_ETHERNET, LINKTYPE_RAW } from '../../wire/pcap.ts';

/** A frame and what is known of it without looking deeper. */
export type CapturedFrame = {
  /** From the Ethernet header on; MAC addresses are zero where the capture has none. */
  readonly bytes: Uint8Array;
  /** Offset of the network header. */
  readonly network: number;
  /** EtherType of the network header. */
  readonly protocol: number;
  readonly saddr: string | undefined;
  readonly daddr: string | undefined;
  readonly direction: 'in' | 'out' | undefined;
};

/** What stands before the network header of a link type (https://www.tcpdump.org/linktypes.html). */
type LinkHeader = {
  readonly length: number;
  /** Offset of the EtherType; without one the version of the IP header tells. */
  readonly protocolAt?: number;
  /** Offset of the word that is 4 in packets that the host sent itself. */
  readonly typeAt?: number;
  readonly typeSize?: 1 | 2;
};

const LINK_HEADERS: ReadonlyMap<number, LinkHeader> = new Map<number, LinkHeader>([
  [0, { length: 4 }],
  [12, { length: 0 }],
  [14, { length: 0 }],
  [LINKTYPE_RAW, { length: 0 }],
  [108, { length: 4 }],
  [113, { length: 16, protocolAt: 14, typeAt: 0, typeSize: 2 }],
  [228, { length: 0 }],
  [229, { length: 0 }],
  [276, { length: 20, protocolAt: 0, typeAt: 10, typeSize: 1 }],
]);

const PACKET_OUTGOING = 4;

/** The frame, or undefined for a link type that carries no IP packets netloom knows how to find. */
export function frameOf(packet: CapturedPacket): CapturedFrame | undefined {
  const ethernet = packet.linkType === LINKTYPE_ETHERNET;
  const whole = padded(packet.bytes, packet.length);
  if (ethernet) return whole.length < ETH_HLEN ? undefined : described(whole, packet.direction);
  const link = LINK_HEADERS.get(packet.linkType);
  if (link === undefined || whole.length <= link.length) return undefined;
  const dv = viewOf(whole);
  const version = whole[link.length] >> 4;
  const protocol =
    link.protocolAt !== undefined
      ? dv.getUint16(link.protocolAt)
      : version === 4
        ? ETH_P_IP
        : version === 6
          ? ETH_P_IPV6
          : undefined;
  if (protocol === undefined) return undefined;
  const frame = new Uint8Array(ETH_HLEN + whole.length - link.length);
  frame.set(whole.subarray(link.length), ETH_HLEN);
  viewOf(frame).setUint16(12, protocol);
  const type = link.typeAt === undefined ? 0 : link.typeSize === 1 ? whole[link.typeAt] : dv.getUint16(link.typeAt);
  return described(frame, packet.direction ?? (type === PACKET_OUTGOING ? 'out' : undefined));
}

/** Frames longer than this were merged by an offload that netloom's packet memory does not take. */
const MAX_LENGTH = 65_550;

function padded(bytes: Uint8Array, length: number): Uint8Array {
  if (length <= bytes.length || length > MAX_LENGTH) return bytes;
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
}

function described(bytes: Uint8Array, direction: 'in' | 'out' | undefined): CapturedFrame {
  const dv = viewOf(bytes);
  let network = ETH_HLEN;
  let protocol = dv.getUint16(12);
  while ((protocol === ETH_P_8021Q || protocol === ETH_P_8021AD) && network + 4 <= bytes.length) {
    protocol = dv.getUint16(network + 2);
    network += 4;
  }
  let saddr: string | undefined;
  let daddr: string | undefined;
  if (protocol === ETH_P_IP && network + 20 <= bytes.length) {
    saddr = formatIpv4(bytes, network + 12);
    daddr = formatIpv4(bytes, network + 16);
  } else if (protocol === ETH_P_IPV6 && network + 40 <= bytes.length) {
    saddr = formatIpv6(bytes, network + 8);
    daddr = formatIpv6(bytes, network + 24);
  }
  return { bytes, network, protocol, saddr, daddr, direction };
}
