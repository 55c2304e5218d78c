/**
 * Link layers: where the type field and the payload are, and how a protocol is told. `vlan`, `mpls`, `pppoes` and `geneve`
 * move these for the rest of an expression.
 */

import { BPF_MEM } from '../cbpf/classic.ts';
import { BPF_JEQ, BPF_LD, BPF_LDX } from '../insn.ts';
import { and, beyond, type Cond, equal, FALSE, greater, not, type Offset, or, TRUE, test } from './cond.ts';
import { isData } from './wlan.ts';

// LINKTYPE_ numbers (pcap-linktype(7)).
export const LINKTYPE_NULL = 0;
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_PPP = 9;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_IEEE802_11 = 105;
export const LINKTYPE_IEEE802_11_RADIOTAP = 127;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_LINUX_SLL2 = 276;

export const ETHERTYPE_IP = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_REVARP = 0x8035;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_MPLS = 0x8847;
export const ETHERTYPE_PPPOED = 0x8863;
export const ETHERTYPE_PPPOES = 0x8864;
const ETHERTYPE_ATALK = 0x809b;
const ETHERTYPE_AARP = 0x80f3;
const ETHERTYPE_IPX = 0x8137;

/** Service access points of 802.2 headers, which stand in for types below 1501. */
export const LLCSAP_ISONS = 0xfe;
export const LLCSAP_8021D = 0x42;
export const LLCSAP_IPX = 0xe0;
export const LLCSAP_NETBEUI = 0xf0;

/** Type fields up to here are lengths of 802.3 frames. */
const ETHERMTU = 1500;
/** Type of an 802.2 frame in the cooked header. */
const SLL_P_802_2 = 4;
const SLL_P_802_3 = 1;

/** Where things are at one point of an expression. */
export type Link = {
  readonly type: number;
  readonly name: string;
  readonly header: Offset;
  /** The field that tells the protocol. */
  readonly typeAt: Offset;
  readonly payload: Offset;
  /** Network header, behind the payload's beginning: MPLS labels lie between. */
  readonly nl: number;
  readonly labels: number;
  /** Inside a tunnel that may or may not carry Ethernet. */
  readonly tunnel: boolean;
};

const at = (k: number): Offset => ({ slot: undefined, k });
const link = (type: number, name: string, typeAt: number, payload: number): Link => ({
  type,
  name,
  header: at(0),
  typeAt: at(typeAt),
  payload: at(payload),
  nl: 0,
  labels: 0,
  tunnel: false,
});

/** The link layer of a LINKTYPE_ number; undefined for those that netloom has no filters for. */
export function linkOf(type: number): Link | undefined {
  switch (type) {
    case LINKTYPE_NULL:
      return link(type, 'BSD loopback', 0, 4);
    case LINKTYPE_ETHERNET:
      return link(type, 'Ethernet', 12, 14);
    case LINKTYPE_PPP:
      return link(type, 'PPP', 2, 4);
    case LINKTYPE_RAW:
    case 12:
    case 14:
      return link(LINKTYPE_RAW, 'Raw IP', 0, 0);
    case LINKTYPE_IPV4:
      return link(type, 'Raw IPv4', 0, 0);
    case LINKTYPE_IPV6:
      return link(type, 'Raw IPv6', 0, 0);
    case LINKTYPE_LINUX_SLL:
      return link(type, 'Linux cooked v1', 14, 16);
    case LINKTYPE_LINUX_SLL2:
      return link(type, 'Linux cooked v2', 0, 20);
    case LINKTYPE_IEEE802_11:
    case LINKTYPE_IEEE802_11_RADIOTAP: {
      // Where the payload begins, the program finds out itself. It has 802.2 and SNAP headers before the network's.
      const frame: Offset = { slot: type === LINKTYPE_IEEE802_11 ? undefined : WLAN_FRAME, k: 0 };
      const payload: Offset = { slot: WLAN_PAYLOAD, k: 0 };
      return { ...link(type, '802.11', 0, 0), header: frame, payload, typeAt: beyond(payload, 6), nl: 8 };
    }
    default:
      return undefined;
  }
}

/** Memory words that hold where the frame and its payload begin, on 802.11. */
export const WLAN_PAYLOAD = 0;
export const WLAN_FRAME = 1;
export const WLAN_WORDS = 2;

export const isWlan = (l: Link): boolean => l.type === LINKTYPE_IEEE802_11 || l.type === LINKTYPE_IEEE802_11_RADIOTAP;

/** The network header. */
export const network = (l: Link): Offset => beyond(l.payload, l.nl);

/** Inside a tunnel: the payload has an Ethernet header. */
export function hasLinkHeader(l: Link): Cond | undefined {
  if (!l.tunnel || l.payload.slot === undefined || l.header.slot === undefined) return undefined;
  const same = test(
    [
      [BPF_LD | BPF_MEM, l.payload.slot],
      [BPF_LDX | BPF_MEM, l.header.slot],
    ],
    BPF_JEQ,
    'x',
  );
  return not(same);
}

/** An 802.2 SNAP header with this organisation and type at the beginning of the payload. */
function snap(l: Link, organisation: number, type: number): Cond {
  const header = equal(l.payload, 4, (0xaaaa_0300 | (organisation >>> 16)) >>> 0);
  return and(equal(beyond(l.payload, 4), 4, (((organisation & 0xffff) << 16) | type) >>> 0), header);
}

/** The part of an 802.2 frame after its length was seen. */
function llcProtocol(l: Link, protocol: number): Cond {
  switch (protocol) {
    case LLCSAP_ISONS:
    case LLCSAP_NETBEUI:
      return equal(l.payload, 2, (protocol << 8) | protocol);
    case LLCSAP_IPX:
      return or(snap(l, 0, ETHERTYPE_IPX), or(equal(l.payload, 1, LLCSAP_IPX), equal(l.payload, 2, 0xffff)));
    case ETHERTYPE_ATALK:
      return snap(l, 0x08_0007, ETHERTYPE_ATALK);
    case ETHERTYPE_AARP:
      return snap(l, 0, ETHERTYPE_AARP);
    default:
      return equal(l.payload, 1, protocol);
  }
}

function ethernetProtocol(l: Link, protocol: number): Cond {
  const llc = and(not(greater(l.typeAt, 2, ETHERMTU)), llcProtocol(l, protocol));
  switch (protocol) {
    case ETHERTYPE_ATALK:
    case ETHERTYPE_AARP:
      return or(equal(l.typeAt, 2, protocol), llc);
    case LLCSAP_IPX:
      return or(equal(l.typeAt, 2, ETHERTYPE_IPX), llc);
    default:
      return protocol <= ETHERMTU ? llc : equal(l.typeAt, 2, protocol);
  }
}

function cookedProtocol(l: Link, protocol: number): Cond {
  const type = (value: number): Cond => equal(l.typeAt, 2, value);
  const llc = type(SLL_P_802_2);
  switch (protocol) {
    case LLCSAP_IPX: {
      const frames = and(llc, or(snap(l, 0, ETHERTYPE_IPX), equal(l.payload, 1, LLCSAP_IPX)));
      return or(type(ETHERTYPE_IPX), or(type(SLL_P_802_3), frames));
    }
    case ETHERTYPE_ATALK:
    case ETHERTYPE_AARP:
      return or(type(protocol), and(llc, llcProtocol(l, protocol)));
    default:
      return protocol <= ETHERMTU ? and(llc, llcProtocol(l, protocol)) : type(protocol);
  }
}

/** In a data frame: the 802.2 header, and behind a SNAP header the Ethernet type. */
function wlanProtocol(l: Link, protocol: number): Cond {
  const told = (): Cond => {
    switch (protocol) {
      case LLCSAP_ISONS:
      case LLCSAP_NETBEUI:
        return equal(l.payload, 2, (protocol << 8) | protocol);
      case ETHERTYPE_ATALK:
        return snap(l, 0x08_0007, ETHERTYPE_ATALK);
      default:
        return protocol <= ETHERMTU ? equal(l.payload, 1, protocol) : equal(l.typeAt, 2, protocol);
    }
  };
  return and(isData(l.header), told());
}

const PPP_TYPES: ReadonlyMap<number, number> = new Map([
  [ETHERTYPE_IP, 0x0021],
  [ETHERTYPE_IPV6, 0x0057],
  [0x6003, 0x0027],
  [ETHERTYPE_ATALK, 0x0029],
  [LLCSAP_ISONS, 0x0023],
  [LLCSAP_8021D, 0x0031],
  [LLCSAP_IPX, 0x002b],
]);

/** Version of an IP packet with nothing before it. */
const version = (l: Link, number: number): Cond => equal(l.payload, 1, number << 4, 0xf0);

function rawProtocol(l: Link, protocol: number): Cond {
  if (protocol !== ETHERTYPE_IP && protocol !== ETHERTYPE_IPV6) return FALSE;
  const ip4 = protocol === ETHERTYPE_IP;
  if (l.type === LINKTYPE_RAW) return version(l, ip4 ? 4 : 6);
  return ip4 === (l.type === LINKTYPE_IPV4) ? TRUE : FALSE;
}

/** AF_ numbers in the byte order of the machine that captured: little-endian ones are taken. */
function loopbackProtocol(l: Link, protocol: number): Cond {
  if (protocol === ETHERTYPE_IP) return equal(l.typeAt, 4, 0x0200_0000);
  return protocol === ETHERTYPE_IPV6 ? equal(l.typeAt, 4, 0x0a00_0000) : FALSE;
}

/** Behind MPLS labels: the last label of the stack, and the version of what follows. Undefined when that tells nothing. */
function labelledProtocol(l: Link, protocol: number): Cond | undefined {
  const number = protocol === ETHERTYPE_IP ? 4 : protocol === ETHERTYPE_IPV6 ? 6 : undefined;
  if (number === undefined) return undefined;
  return and(equal(beyond(network(l), -2), 1, 1, 1), equal(network(l), 1, number << 4, 0xf0));
}

/**
 * The link layer says that the payload is of this protocol: an Ethernet type, or an 802.2 service access point. Undefined
 * when it cannot be told behind MPLS labels.
 */
export function isProtocol(l: Link, protocol: number): Cond | undefined {
  if (l.labels > 0) return labelledProtocol(l, protocol);
  switch (l.type) {
    case LINKTYPE_NULL:
      return loopbackProtocol(l, protocol);
    case LINKTYPE_PPP:
      return equal(l.typeAt, 2, PPP_TYPES.get(protocol) ?? protocol);
    case LINKTYPE_RAW:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6:
      return rawProtocol(l, protocol);
    case LINKTYPE_IEEE802_11:
    case LINKTYPE_IEEE802_11_RADIOTAP:
      return wlanProtocol(l, protocol);
    case LINKTYPE_LINUX_SLL:
    case LINKTYPE_LINUX_SLL2:
      return cookedProtocol(l, protocol);
    default:
      return ethernetProtocol(l, protocol);
  }
}

/** An 802.3 frame with an 802.2 header. */
export function isLlc(l: Link): Cond | undefined {
  if (isWlan(l)) return isData(l.header);
  if (l.type !== LINKTYPE_ETHERNET || l.labels > 0) return undefined;
  return and(not(greater(l.typeAt, 2, ETHERMTU)), not(equal(l.payload, 2, 0xffff)));
}
