/** The key that a packet stands for in a set: its addresses, ports, marks and interfaces, as the rule's src and dst say. */
import { NO_OFFSET } from '../../core/slab.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { IPSET_FLAG_PHYSDEV } from '../../wire/uapi/ipset.ts';
import { dimensionLength, IFACE_LENGTH, type SetType } from '../../wire/uapi/ipset-types.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import type { PktInfo } from '../nft/pkt.ts';
import type { IpsetOptions } from '../xt/ipset.ts';

/** What the sets ask of their host. */
export type IpsetHost = {
  deviceName(ifindex: number): string;
};

const WITH_PORTS: readonly number[] = [ipv4.IPPROTO_TCP, ipv4.IPPROTO_UDP, ipv4.IPPROTO_SCTP, ipv4.IPPROTO_UDPLITE];

/**
 * Fills `key` from the packet; false when the packet has no such part (another family, a later fragment, no MAC header).
 * Prefix bytes are set to the full length.
 */
export function keyFromPacket(
  type: SetType,
  family: number,
  markMask: number,
  pkt: PktInfo,
  options: IpsetOptions,
  host: IpsetHost,
  key: Uint8Array,
): boolean {
  if (family !== 0 && pkt.pf !== (family === 2 ? NFPROTO_IPV4 : NFPROTO_IPV6)) return false;
  let at = 0;
  for (let i = 0; i < type.dimensions.length; i++) {
    const dimension = type.dimensions[i];
    const source = (options.flags & (1 << (i + 1))) !== 0;
    switch (dimension) {
      case 'ip':
      case 'net':
        copyAddress(pkt, family, source, key, at);
        if (dimension === 'net') key[at + dimensionLength(dimension, family) - 1] = family === 10 ? 128 : 32;
        break;
      case 'port':
        if (!copyPort(pkt, source, key, at, true)) return false;
        break;
      case 'bare-port':
        if (!copyPort(pkt, source, key, at, false)) return false;
        break;
      case 'mac':
        if (!copyMac(pkt, source, key, at)) return false;
        break;
      case 'mark': {
        const mark = (pkt.slab.mark(pkt.p) & markMask) >>> 0;
        for (let b = 0; b < 4; b++) key[at + b] = mark >>> (24 - b * 8);
        break;
      }
      default:
        if (!copyName(deviceOf(pkt, options, source), host, key, at)) return false;
        key[at + IFACE_LENGTH] = options.command & IPSET_FLAG_PHYSDEV ? 1 : 0;
    }
    at += dimensionLength(dimension, family);
  }
  return true;
}

function copyAddress(pkt: PktInfo, family: number, source: boolean, key: Uint8Array, at: number): void {
  const { u8 } = pkt.slab;
  const six = family === 10;
  const from = pkt.nhoff + (six ? (source ? ipv6.SRC : ipv6.DST) : source ? ipv4.SRC : ipv4.DST);
  const length = six ? 16 : 4;
  for (let i = 0; i < length; i++) key[at + i] = u8[from + i];
}

/** Ports of protocols that have them, type and code of ICMP, 0 of the rest; `withProtocol` writes the protocol first. */
function copyPort(pkt: PktInfo, source: boolean, key: Uint8Array, at: number, withProtocol: boolean): boolean {
  if (!pkt.hasTransport || pkt.fragoff !== 0) return false;
  const { u8 } = pkt.slab;
  const protocol = pkt.tprot;
  let high = 0;
  let low = 0;
  if (WITH_PORTS.includes(protocol)) {
    const from = pkt.thoff + (source ? 0 : 2);
    if (from + 2 > pkt.end) return false;
    high = u8[from];
    low = u8[from + 1];
  } else if (protocol === ipv4.IPPROTO_ICMP || protocol === ipv4.IPPROTO_ICMPV6) {
    if (pkt.thoff + 2 > pkt.end) return false;
    high = u8[pkt.thoff];
    low = u8[pkt.thoff + 1];
  } else if (!withProtocol) return false;
  if (withProtocol) key[at++] = protocol;
  key[at] = high;
  key[at + 1] = low;
  return true;
}

function copyMac(pkt: PktInfo, source: boolean, key: Uint8Array, at: number): boolean {
  const mac = pkt.slab.mac(pkt.p);
  if (mac === NO_OFFSET || pkt.iif === 0) return false;
  const from = mac + (source ? 6 : 0);
  let any = 0;
  for (let i = 0; i < 6; i++) {
    key[at + i] = pkt.slab.u8[from + i];
    any |= key[at + i];
  }
  return any !== 0;
}

/** The interface, or the port of a bridge when the rule asks for that. */
function deviceOf(pkt: PktInfo, options: IpsetOptions, source: boolean): number {
  if (options.command & IPSET_FLAG_PHYSDEV) return source ? pkt.slab.physin(pkt.p) : pkt.slab.physout(pkt.p);
  return source ? pkt.iif : pkt.oif;
}

function copyName(ifindex: number, host: IpsetHost, key: Uint8Array, at: number): boolean {
  const name = ifindex === 0 ? '' : host.deviceName(ifindex);
  if (name === '') return false;
  for (let i = 0; i < IFACE_LENGTH; i++) key[at + i] = i < name.length ? name.charCodeAt(i) : 0;
  return true;
}
