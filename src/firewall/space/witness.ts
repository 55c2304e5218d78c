/** A packet out of header space as something that can be sent: bytes with lengths and checksums, interfaces, connection. */
import { checksum } from '../../wire/checksum.ts';
import { NFPROTO_ARP, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import type { Usual } from './boxes.ts';
import { STATES } from './conntrack.ts';
import { networkBit } from './packet-bits.ts';
import { ICMP, ICMPV6, TCP, UDP } from './parts.ts';
import type { Space } from './space.ts';
import type { World } from './worlds.ts';

export type Witness = {
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  /** From the network header on. */
  readonly bytes: Uint8Array;
  readonly state: string;
  readonly reply: boolean;
  readonly mark: number;
  readonly ctMark: number;
  readonly priority: number;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly saddrMac: Uint8Array;
  readonly daddrMac: Uint8Array;
};

const SADDR4 = [198, 51, 100, 7];
const DADDR4 = [203, 0, 113, 9];
const SADDR6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const DADDR6 = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const ETH = [2, 0, 0x5e, 0, 0x53, 0xff, 2, 0, 0x5e, 0, 0x53, 1];

/** What packets are like when nothing asks for something else. */
export function usualPacket(space: Space, world: World): Usual {
  const { fields } = space;
  const at = (name: string): number => fields.field(name).first;
  const [state, protocol, sport, dport, th, nh, ll] = ['ct state', 'protocol', 'sport', 'dport', 'th', 'nh', 'll'].map(
    at,
  );
  const [s4, d4, s6, d6] = ['ip saddr', 'ip daddr', 'ip6 saddr', 'ip6 daddr'].map(at);
  const bitIn = (bytes: readonly number[], i: number): boolean => ((bytes[i >> 3] >> (7 - (i & 7))) & 1) === 1;
  const numberBit = (value: number, width: number, i: number): boolean => ((value >>> (width - 1 - i)) & 1) === 1;
  const within = (level: number, first: number, width: number): boolean => level >= first && level < first + width;
  return (level, chosen) => {
    const read = (first: number, width: number, usual: number): number => {
      let value = 0;
      for (let i = 0; i < width; i++)
        value = value * 2 + ((chosen.get(first + i) ?? numberBit(usual, width, i)) ? 1 : 0);
      return value;
    };
    if (within(level, s4, 32)) return bitIn(SADDR4, level - s4);
    if (within(level, d4, 32)) return bitIn(DADDR4, level - d4);
    if (within(level, s6, 128)) return bitIn(SADDR6, level - s6);
    if (within(level, d6, 128)) return bitIn(DADDR6, level - d6);
    if (within(level, protocol, 8)) return numberBit(TCP, 8, level - protocol);
    const proto = (): number => read(protocol, 8, TCP);
    if (within(level, sport, 16)) {
      const p = proto();
      const value = p === ICMP ? 0x0800 : p === ICMPV6 ? 0x8000 : 40_000;
      return numberBit(value, 16, level - sport);
    }
    if (within(level, dport, 16)) return numberBit(80, 16, level - dport);
    if (within(level, th, 160) && proto() === TCP) {
      const bit = level - th + 32;
      if (bit >= 96 && bit < 100) return numberBit(5, 4, bit - 96);
      if (bit >= 104 && bit < 112)
        return numberBit(read(state, 3, 0) === 0 ? 2 : read(state, 3, 0) === 3 ? 0 : 0x10, 8, bit - 104);
      if (bit >= 32 && bit < 64) return numberBit(1000, 32, bit - 32);
      if (bit >= 64 && bit < 96) return numberBit(read(state, 3, 0) === 0 ? 0 : 5000, 32, bit - 64);
      if (bit >= 112 && bit < 128) return numberBit(64_240, 16, bit - 112);
    }
    if (within(level, nh, 512)) {
      const bit = level - nh;
      if (world.l3 === NFPROTO_IPV4) {
        if (bit >= 64 && bit < 72) return numberBit(64, 8, bit - 64);
        if (bit >= 16 && bit < 32) return numberBit(proto() === TCP ? 40 : 28, 16, bit - 16);
      } else if (world.l3 === NFPROTO_IPV6) {
        if (bit >= 56 && bit < 64) return numberBit(64, 8, bit - 56);
        if (bit >= 48 && bit < 56) return numberBit(proto(), 8, bit - 48);
        if (bit >= 32 && bit < 48) return numberBit(proto() === TCP ? 20 : 8, 16, bit - 32);
      } else if (world.l3 === NFPROTO_ARP) {
        const usual = [0, 1, 8, 0, 6, 4, 0, 1, ...ETH.slice(6), ...SADDR4, 0, 0, 0, 0, 0, 0, ...DADDR4];
        return bit < usual.length * 8 && bitIn(usual, bit);
      }
    }
    if (within(level, ll, 96)) return bitIn(ETH, level - ll);
    const field = fields.at(level);
    // Fib types: unicast. Sockets are there, long packets are long enough, limits let pass.
    if (/^fib .* type/.test(field.name)) return numberBit(1, field.width, level - field.first);
    if (field.width === 1) return /passes$|bytes|socket/.test(field.name);
    return false;
  };
}

/** The packet of a point. */
export function witnessOf(space: Space, world: World, point: ReadonlyMap<number, boolean>, usual: Usual): Witness {
  const { fields } = space;
  const bit = (level: number): boolean => point.get(level) ?? usual(level, point);
  const read = (name: string, width?: number): number => {
    if (!fields.has(name)) return 0;
    const field = fields.field(name);
    let value = 0;
    for (let i = 0; i < (width ?? field.width); i++) value = value * 2 + (bit(field.first + i) ? 1 : 0);
    return value;
  };
  const protocol = read('protocol');
  const header = world.l3 === NFPROTO_IPV4 ? 20 : world.l3 === NFPROTO_IPV6 ? 40 : 28;
  const ip = world.l3 === NFPROTO_IPV4 || world.l3 === NFPROTO_IPV6;
  let transport = !ip ? 0 : protocol === TCP ? 20 : protocol === 132 || protocol === 33 ? 12 : 8;
  const th = fields.field('th').first;
  for (const level of point.keys())
    if (ip && level >= th && level < th + 2016) transport = Math.max(transport, ((level - th + 32) >> 3) + 1);
  const nh = fields.field('nh').first;
  const word = (from: number): number => {
    let value = 0;
    for (let i = 0; i < 16; i++) value = value * 2 + (bit(nh + from + i) ? 1 : 0);
    return value;
  };
  const says = (from: number): boolean => Array.from({ length: 16 }, (_, i) => nh + from + i).some((l) => point.has(l));
  let length = header + transport;
  if (world.l3 === NFPROTO_IPV4 && says(16)) length = Math.max(header, word(16));
  if (world.l3 === NFPROTO_IPV6 && says(32)) length = header + word(32);
  const bytes = new Uint8Array(length);
  const set = (i: number, on: boolean): void => {
    if (on && i >> 3 < bytes.length) bytes[i >> 3] |= 0x80 >> (i & 7);
  };
  for (let i = 0; i < header * 8; i++) {
    const level = networkBit(space, world.l3, i);
    set(i, level === -2 || (level >= 0 && bit(level)));
  }
  const first = fields.field('sport').first;
  const dport = fields.field('dport').first;
  for (let i = 0; i < transport * 8; i++)
    set(header * 8 + i, bit(i < 16 ? first + i : i < 32 ? dport + i - 16 : th + i - 32));
  if (ip) mend(bytes, header, protocol, world.l3, point, fields.field('nh').first, dport, th);
  const macs = Array.from({ length: 12 }, (_, i) => {
    let value = 0;
    for (let k = 0; k < 8; k++) value = value * 2 + (bit(fields.field('ll').first + i * 8 + k) ? 1 : 0);
    return value;
  });
  const inward = world.path !== 'output';
  const name = (which: 'iifname' | 'oifname'): string => space.ifaces.names[read(which)] ?? space.ifaces.names[0];
  const socket = world.path === 'output';
  return {
    iif: inward ? name('iifname') : undefined,
    oif: world.path === 'input' ? undefined : name('oifname'),
    bytes,
    state: STATES[read('ct state')] ?? 'new',
    reply: read('ct direction') === 1,
    mark: read('mark') >>> 0,
    ctMark: read('ct mark') >>> 0,
    priority: read('priority') >>> 0,
    uid: socket && (!fields.has('has a socket') || read('has a socket') === 1) ? read('skuid') : undefined,
    gid: socket && (!fields.has('has a socket') || read('has a socket') === 1) ? read('skgid') : undefined,
    daddrMac: Uint8Array.from(macs.slice(0, 6)),
    saddrMac: Uint8Array.from(macs.slice(6)),
  };
}

/** Lengths and checksums as they should be, unless rules ask for others. */
function mend(
  bytes: Uint8Array,
  header: number,
  protocol: number,
  l3: number,
  point: ReadonlyMap<number, boolean>,
  nh: number,
  dport: number,
  th: number,
): void {
  const dv = new DataView(bytes.buffer);
  const free = (first: number, width: number): boolean =>
    !Array.from({ length: width }, (_, i) => first + i).some((l) => point.has(l));
  const size = bytes.length - header;
  if (l3 === NFPROTO_IPV4) dv.setUint16(2, bytes.length);
  else dv.setUint16(4, size);
  if (protocol === UDP && size >= 8 && free(th, 16)) dv.setUint16(header + 4, size);
  if (protocol === TCP && size >= 20 && free(th + 64, 4)) bytes[header + 12] = (bytes[header + 12] & 15) | 0x50;
  const pseudo = (): Uint8Array => {
    const addresses = l3 === NFPROTO_IPV4 ? bytes.subarray(12, 20) : bytes.subarray(8, 40);
    const out = new Uint8Array(addresses.length + 4 + size + (size & 1));
    out.set(addresses);
    out[addresses.length + 1] = protocol;
    new DataView(out.buffer).setUint16(addresses.length + 2, size);
    out.set(bytes.subarray(header), addresses.length + 4);
    return out;
  };
  const place = protocol === TCP ? 16 : protocol === UDP ? 6 : protocol === ICMP || protocol === ICMPV6 ? 2 : -1;
  const level = protocol === TCP ? th + 96 : protocol === UDP ? th + 16 : dport;
  if (place >= 0 && size >= place + 2 && free(level, 16)) {
    dv.setUint16(header + place, 0);
    const over = protocol === ICMP ? bytes.slice(header) : pseudo();
    const sum = checksum(new DataView(over.buffer), 0, over.length);
    dv.setUint16(header + place, protocol === UDP && sum === 0 ? 0xffff : sum);
  }
  if (l3 === NFPROTO_IPV4 && free(nh + 80, 16)) {
    dv.setUint16(10, 0);
    dv.setUint16(10, checksum(dv, 0, 20));
  }
}
