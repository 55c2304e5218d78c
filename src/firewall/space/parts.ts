/**
 * Fields as people know them, for a way and a protocol: which levels make up `ip saddr`, `tcp flags`, `icmp type`, and how their
 * values are written.
 */

import { NFPROTO_ARP, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import type { Fields } from './fields.ts';
import type { World } from './worlds.ts';

export type PartKind =
  | 'number'
  | 'hex'
  | 'ip'
  | 'ip6'
  | 'mac'
  | 'protocol'
  | 'port'
  | 'state'
  | 'direction'
  | 'iface'
  | 'flag'
  | 'tcpflags';

export type Part = {
  readonly name: string;
  readonly levels: readonly number[];
  readonly kind: PartKind;
  /** Not a property of the packet that a person can set. */
  readonly free?: string;
};

const run = (from: number, width: number): number[] => Array.from({ length: width }, (_, i) => from + i);

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;

/** Bits of the network header beside the addresses: name, first bit, width. */
const NETWORK: ReadonlyMap<number, readonly (readonly [string, number, number])[]> = new Map([
  [
    NFPROTO_IPV4,
    [
      ['ip dscp', 8, 6],
      ['ip ecn', 14, 2],
      ['ip length', 16, 16],
      ['ip id', 32, 16],
      ['ip frag flags', 48, 3],
      ['ip frag-off', 51, 13],
      ['ip ttl', 64, 8],
      ['ip checksum', 80, 16],
    ] as const,
  ],
  [
    NFPROTO_IPV6,
    [
      ['ip6 dscp', 4, 6],
      ['ip6 ecn', 10, 2],
      ['ip6 flowlabel', 12, 20],
      ['ip6 length', 32, 16],
      ['ip6 nexthdr', 48, 8],
      ['ip6 hoplimit', 56, 8],
    ] as const,
  ],
  [
    NFPROTO_ARP,
    [
      ['arp htype', 0, 16],
      ['arp ptype', 16, 16],
      ['arp hlen', 32, 8],
      ['arp plen', 40, 8],
      ['arp operation', 48, 16],
      ['arp saddr ether', 64, 48],
      ['arp saddr ip', 112, 32],
      ['arp daddr ether', 144, 48],
      ['arp daddr ip', 192, 32],
    ] as const,
  ],
]);

/** Bits of the transport header behind the ports. */
const TRANSPORT: ReadonlyMap<number, readonly (readonly [string, number, number])[]> = new Map([
  [
    TCP,
    [
      ['tcp sequence', 32, 32],
      ['tcp ackseq', 64, 32],
      ['tcp doff', 96, 4],
      ['tcp reserved', 100, 4],
      ['tcp flags', 104, 8],
      ['tcp window', 112, 16],
      ['tcp checksum', 128, 16],
      ['tcp urgptr', 144, 16],
    ] as const,
  ],
  [
    UDP,
    [
      ['udp length', 32, 16],
      ['udp checksum', 48, 16],
    ] as const,
  ],
  [
    ICMP,
    [
      ['icmp id', 32, 16],
      ['icmp sequence', 48, 16],
    ] as const,
  ],
  [
    ICMPV6,
    [
      ['icmpv6 id', 32, 16],
      ['icmpv6 sequence', 48, 16],
    ] as const,
  ],
]);

function kindOf(name: string): PartKind {
  if (name === 'tcp flags') return 'tcpflags';
  if (name.endsWith(' ether')) return 'mac';
  if (/^arp .addr ip$/.test(name)) return 'ip';
  return 'number';
}

/** The parts of a packet of this way and protocol, in the order in which they are written. */
export function partsOf(fields: Fields, world: World, protocol: number): Part[] {
  const whole = (name: string): Part => {
    const { first, width, kind, free } = fields.field(name);
    return {
      name,
      levels: run(first, width),
      kind: kind === 'bytes' ? 'hex' : kind,
      ...(free !== undefined && { free }),
    };
  };
  const out: Part[] = ['iifname', 'oifname', 'ct state', 'ct direction', 'first packet'].map(whole);
  if (world.l3 === NFPROTO_IPV4) out.push(whole('ip saddr'), whole('ip daddr'));
  if (world.l3 === NFPROTO_IPV6) out.push(whole('ip6 saddr'), whole('ip6 daddr'));
  out.push(whole('protocol'));
  const sport = fields.field('sport').first;
  const dport = fields.field('dport').first;
  const th = fields.field('th').first;
  const icmp = protocol === ICMP || protocol === ICMPV6;
  if (icmp) {
    const name = protocol === ICMP ? 'icmp' : 'icmpv6';
    out.push({ name: `${name} type`, levels: run(sport, 8), kind: 'number' });
    out.push({ name: `${name} code`, levels: run(sport + 8, 8), kind: 'number' });
    out.push({ name: `${name} checksum`, levels: run(dport, 16), kind: 'number' });
  } else {
    out.push({ name: 'sport', levels: run(sport, 16), kind: 'port' });
    out.push({ name: 'dport', levels: run(dport, 16), kind: 'port' });
  }
  const taken = new Set<number>();
  for (const [name, bit, width] of TRANSPORT.get(protocol) ?? []) {
    out.push({ name, levels: run(th + bit - 32, width), kind: kindOf(name) });
    for (const level of run(th + bit - 32, width)) taken.add(level);
  }
  for (let at = 0; at < 2016; at += 8)
    if (!taken.has(th + at)) out.push({ name: `@th,${at + 32},8`, levels: run(th + at, 8), kind: 'hex' });
  const nh = fields.field('nh').first;
  const known = NETWORK.get(world.l3) ?? [];
  for (const [name, bit, width] of known) out.push({ name, levels: run(nh + bit, width), kind: kindOf(name) });
  const isKnown = (bit: number): boolean => known.some(([, from, width]) => bit >= from && bit < from + width);
  for (let bit = 0; bit < 512; bit++)
    if (!isKnown(bit)) out.push({ name: `@nh,${bit},1`, levels: [nh + bit], kind: 'number' });
  const ll = fields.field('ll').first;
  out.push({ name: 'ether daddr', levels: run(ll, 48), kind: 'mac' });
  out.push({ name: 'ether saddr', levels: run(ll + 48, 48), kind: 'mac' });
  out.push({ name: 'ether type', levels: run(ll + 96, 16), kind: 'hex' });
  out.push({ name: 'vlan tag', levels: run(ll + 112, 32), kind: 'hex' });
  const named = [
    'iifname',
    'oifname',
    'ct state',
    'ct direction',
    'first packet',
    'protocol',
    'sport',
    'dport',
    'th',
    'nh',
    'll',
  ];
  for (const field of fields.all)
    if (!named.includes(field.name) && !/^ip6? [sd]addr$/.test(field.name)) out.push(whole(field.name));
  return out;
}
