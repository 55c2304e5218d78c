/**
 * Packets for the differential test: a small universe of addresses and ports, so that flows meet again, in both
 * directions, with the everyday protocols and some that are wrong on purpose. All from a seed.
 */
import type { Random } from '../../src/core/random.ts';
import type { Frame } from './peer.ts';

const ROUTER_MACS = ['020000000000', '020000000001'];
const PEER_MACS = ['0200000000a0', '0200000000a1'];

const A4 = ['10.0.0.2', '10.0.0.2', '10.0.0.2', '10.0.0.77', '10.0.0.130', '192.0.2.9'];
const B4 = ['10.0.1.2', '10.0.1.2', '10.0.1.2', '10.0.1.77', '10.0.1.200', '192.168.7.9', '10.9.9.9'];
const A6 = ['fd00::2', 'fd00::2', 'fd00::77'];
const B6 = ['fd01::2', 'fd01::2', 'fd01::77', 'fd00:1::9'];
export const PORTS: readonly number[] = [22, 53, 80, 443, 1000, 1024, 5060, 8080, 33000, 40000];

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)];
}

function ipv4(text: string): number[] {
  return text.split('.').map(Number);
}

/** IPv6 text to 16 bytes (no embedded IPv4). */
function ipv6(text: string): number[] {
  const [head, tail = ''] = text.split('::');
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((w) => Number.parseInt(w, 16)));
  const left = words(head);
  const right = text.includes('::') ? words(tail) : [];
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return all.flatMap((w) => [w >> 8, w & 255]);
}

function sum(bytes: readonly number[], initial = 0): number {
  let s = initial;
  for (let i = 0; i < bytes.length; i += 2) s += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

const be16 = (n: number): number[] => [(n >> 8) & 255, n & 255];
const be32 = (n: number): number[] => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const hex = (bytes: readonly number[]): string => Buffer.from(bytes).toString('hex');

function withChecksum(segment: number[], at: number, pseudo: readonly number[], zeroIsAllOnes: boolean): number[] {
  const value = sum([...pseudo, ...segment]) ^ 0xffff;
  const [high, low] = be16(value === 0 && zeroIsAllOnes ? 0xffff : value);
  segment[at] = high;
  segment[at + 1] = low;
  return segment;
}

type Flow = { side: 0 | 1; v6: boolean; src: string; dst: string; sport: number; dport: number };

/** Draws frames; remembers flows so that replies and later packets of the same flow come up. */
export class PacketSource {
  readonly #random: Random;
  readonly #flows: Flow[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  #flow(): Flow {
    const r = this.#random;
    if (this.#flows.length > 0 && r.below(10) < 6) {
      const flow = pick(r, this.#flows);
      if (r.below(2) === 0) return flow;
      return {
        ...flow,
        side: flow.side === 0 ? 1 : 0,
        src: flow.dst,
        dst: flow.src,
        sport: flow.dport,
        dport: flow.sport,
      };
    }
    const side = r.below(4) === 0 ? 1 : 0;
    const v6 = r.below(4) === 0;
    const near = side === 0 ? (v6 ? A6 : A4) : v6 ? B6 : B4;
    const far = side === 0 ? (v6 ? B6 : B4) : v6 ? A6 : A4;
    const router = v6 ? `fd0${side}::1` : `10.0.${side}.1`;
    const flow: Flow = {
      side,
      v6,
      src: pick(r, near),
      dst: r.below(6) === 0 ? router : pick(r, far),
      sport: pick(r, PORTS),
      dport: pick(r, PORTS),
    };
    if (this.#flows.length < 64) this.#flows.push(flow);
    else this.#flows[r.below(64)] = flow;
    return flow;
  }

  next(): Frame {
    const r = this.#random;
    const flow = this.#flow();
    const src = flow.v6 ? ipv6(flow.src) : ipv4(flow.src);
    const dst = flow.v6 ? ipv6(flow.dst) : ipv4(flow.dst);
    const kind = r.below(10);
    const proto = kind < 5 ? 6 : kind < 8 ? 17 : kind < 9 ? (flow.v6 ? 58 : 1) : pick(r, [132, 47, 50, 255]);
    const data = Array.from({ length: pick(r, [0, 0, 1, 8, 64]) }, () => r.below(256));
    let segment: number[];
    if (proto === 6) {
      const flags = pick(r, [2, 2, 2, 16, 16, 18, 24, 4, 17, 20, 0, 41]);
      segment = [
        ...be16(flow.sport),
        ...be16(flow.dport),
        ...be32(1000 + r.below(3)),
        ...be32(1000 + r.below(3)),
        0x50,
        flags,
        ...be16(64240),
        0,
        0,
        0,
        0,
        ...data,
      ];
    } else if (proto === 17) {
      segment = [...be16(flow.sport), ...be16(flow.dport), ...be16(8 + data.length), 0, 0, ...data];
    } else if (proto === 1) {
      segment = [
        pick(r, [8, 8, 0, 17, 3, 11, 5]),
        pick(r, [0, 0, 1, 3]),
        0,
        0,
        ...be16(flow.sport),
        ...be16(1),
        ...data,
      ];
    } else if (proto === 58) {
      segment = [pick(r, [128, 128, 129, 1, 3]), 0, 0, 0, ...be16(flow.sport), ...be16(1), ...data];
    } else {
      segment = [
        ...be16(flow.sport),
        ...be16(flow.dport),
        ...be32(1),
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        20,
        ...be32(1),
        ...be32(1500),
        ...be32(0x10001),
        ...be32(1),
      ];
    }
    const pseudo = flow.v6
      ? [...src, ...dst, ...be32(segment.length), 0, 0, 0, proto]
      : [...src, ...dst, 0, proto, ...be16(segment.length)];
    if (proto === 6) withChecksum(segment, 16, pseudo, false);
    else if (proto === 17) withChecksum(segment, 6, pseudo, true);
    else if (proto === 1) withChecksum(segment, 2, [], false);
    else if (proto === 58) withChecksum(segment, 2, pseudo, false);
    const hops = pick(r, [64, 64, 64, 128, 2, 1]);
    let packet: number[];
    if (flow.v6) {
      packet = [
        0x60 | (r.below(3) === 0 ? 1 : 0),
        0,
        0,
        0,
        ...be16(segment.length),
        proto,
        hops,
        ...src,
        ...dst,
        ...segment,
      ];
    } else {
      const tos = pick(r, [0, 0, 0, 0x10, 0xb8, 1]);
      const header = [
        0x45,
        tos,
        ...be16(20 + segment.length),
        ...be16(r.below(0x10000)),
        pick(r, [0, 0x40]),
        0,
        hops,
        proto,
        0,
        0,
        ...src,
        ...dst,
      ];
      const [high, low] = be16(sum(header) ^ 0xffff);
      header[10] = high;
      header[11] = low;
      packet = [...header, ...segment];
    }
    return [flow.side, ROUTER_MACS[flow.side] + PEER_MACS[flow.side] + (flow.v6 ? '86dd' : '0800') + hex(packet)];
  }
}
