/**
 * From bytes to layers. Never throws and never reads outside the bytes: what cannot be read becomes a `malformed` layer
 * with the reason, and `build(parseFrame(bytes))` gives any bytes back as they were.
 */
import { ETH_P_8021AD, ETH_P_8021Q, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 } from './ethernet.ts';
import { readBits, readTable, type Table } from './field.ts';
import {
  NDISC_NEIGHBOUR_ADVERTISEMENT,
  NDISC_NEIGHBOUR_SOLICITATION,
  NDISC_REDIRECT,
  NDISC_ROUTER_ADVERTISEMENT,
  NDISC_ROUTER_SOLICITATION,
} from './icmpv6.ts';
import type { Layer, LayerKind } from './layer.ts';
import { parseChunks, parseOptions } from './option.ts';
import { bodyTable } from './tables.ts';

const BY_ETHERTYPE: ReadonlyMap<number, LayerKind> = new Map([
  [ETH_P_IP, 'ip'],
  [ETH_P_IPV6, 'ip6'],
  [ETH_P_ARP, 'arp'],
  [ETH_P_8021Q, 'vlan'],
  [ETH_P_8021AD, 'vlan'],
]);

/** Layers by IP protocol number; also what `build` writes into protocol and next-header fields. */
export const BY_PROTOCOL: ReadonlyMap<number, LayerKind> = new Map([
  [0, 'hbh'],
  [1, 'icmp'],
  [4, 'ip'],
  [6, 'tcp'],
  [17, 'udp'],
  [41, 'ip6'],
  [43, 'rt'],
  [44, 'frag'],
  [51, 'ah'],
  [58, 'icmpv6'],
  [60, 'dst'],
  [132, 'sctp'],
]);

const BY_ICMPV6: ReadonlyMap<number, LayerKind> = new Map([
  [NDISC_NEIGHBOUR_SOLICITATION, 'neighbour'],
  [NDISC_NEIGHBOUR_ADVERTISEMENT, 'neighbour'],
  [NDISC_ROUTER_SOLICITATION, 'router-solicit'],
  [NDISC_ROUTER_ADVERTISEMENT, 'router-advert'],
  [NDISC_REDIRECT, 'redirect'],
]);

/** A frame that begins with an Ethernet header. */
export function parseFrame(bytes: Uint8Array): Layer[] {
  return parseLayers(bytes, 'ether');
}

/** A packet that begins with an IP header, of either version. */
export function parsePacket(bytes: Uint8Array): Layer[] {
  return parseLayers(bytes, bytes.length > 0 && bytes[0] >> 4 === 6 ? 'ip6' : 'ip');
}

/** Bytes whose first layer is known. */
export function parseLayers(bytes: Uint8Array, first: LayerKind): Layer[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const layers: Layer[] = [];
  let kind: LayerKind = first;
  let at = 0;
  let end = bytes.length;
  while (at < end) {
    const table = bodyTable(kind);
    if (table === undefined) {
      layers.push({ kind: 'payload', fields: {}, data: bytes.slice(at, end) });
      break;
    }
    const step = parseLayer(bytes, dv, kind, table, at, end);
    if (typeof step === 'string') {
      layers.push({ kind: 'malformed', fields: {}, data: bytes.slice(at, end), problem: `${table.title}: ${step}` });
      break;
    }
    layers.push(step.layer);
    kind = step.next;
    at = step.at;
    end = step.end;
  }
  if (end < bytes.length) layers.push({ kind: 'padding', fields: {}, data: bytes.slice(end) });
  return layers;
}

type Step = { readonly layer: Layer; readonly next: LayerKind; readonly at: number; readonly end: number };

/** One layer, or what is wrong with it. */
function parseLayer(
  u8: Uint8Array,
  dv: DataView,
  kind: LayerKind,
  table: Table,
  at: number,
  end: number,
): Step | string {
  if (at + table.length > end) return `${end - at} bytes, the header has ${table.length}`;
  const fields = readTable(dv, at, table);
  const num = (name: string): number => fields[name] as number;
  const body = at + table.length;
  const upper = (protocol: number): LayerKind => BY_PROTOCOL.get(protocol) ?? 'payload';
  switch (kind) {
    case 'ether':
    case 'vlan':
      return { layer: { kind, fields }, next: BY_ETHERTYPE.get(num('type')) ?? 'payload', at: body, end };
    case 'ip': {
      const behind = at + num('hdrlength') * 4;
      const total = at + num('length');
      if (num('version') !== 4) return `version ${num('version')}`;
      if (behind < body || behind > end) return `header length ${num('hdrlength') * 4} in ${end - at} bytes`;
      if (total < behind || total > end) return `total length ${num('length')} in ${end - at} bytes`;
      const later = (num('frag-off') & 0x1fff) !== 0;
      const options = parseOptions(u8, body, behind, 'ip');
      return {
        layer: { kind, fields, options },
        next: later ? 'payload' : upper(num('protocol')),
        at: behind,
        end: total,
      };
    }
    case 'ip6': {
      if (num('version') !== 6) return `version ${num('version')}`;
      if (body + num('length') > end) return `payload length ${num('length')} in ${end - body} bytes`;
      return { layer: { kind, fields }, next: upper(num('nexthdr')), at: body, end: body + num('length') };
    }
    case 'hbh':
    case 'dst':
    case 'rt':
    case 'ah': {
      const behind = at + (kind === 'ah' ? (num('hdrlength') + 2) * 4 : (num('hdrlength') + 1) * 8);
      if (behind < body || behind > end) return `header length ${behind - at} in ${end - at} bytes`;
      const rest =
        kind === 'rt' || kind === 'ah'
          ? { data: u8.slice(body, behind) }
          : { options: parseOptions(u8, body, behind, 'ip6') };
      return { layer: { kind, fields, ...rest }, next: upper(num('nexthdr')), at: behind, end };
    }
    case 'frag':
      return {
        layer: { kind, fields },
        next: num('frag-off') === 0 ? upper(num('nexthdr')) : 'payload',
        at: body,
        end,
      };
    case 'tcp': {
      const behind = at + readBits(dv, at, 96, 4) * 4;
      if (behind < body || behind > end) return `header length ${behind - at} in ${end - at} bytes`;
      return {
        layer: { kind, fields, options: parseOptions(u8, body, behind, 'ip') },
        next: 'payload',
        at: behind,
        end,
      };
    }
    case 'sctp':
      return { layer: { kind, fields, chunks: parseChunks(u8, body, end) }, next: 'payload', at: end, end };
    case 'icmpv6':
      return { layer: { kind, fields }, next: BY_ICMPV6.get(num('type')) ?? 'payload', at: body, end };
    case 'neighbour':
    case 'router-solicit':
    case 'router-advert':
    case 'redirect':
      return {
        layer: { kind, fields, options: parseOptions(u8, body, end, 'nd') },
        next: 'payload',
        at: end,
        end,
      };
    default:
      return { layer: { kind, fields }, next: 'payload', at: body, end };
  }
}
