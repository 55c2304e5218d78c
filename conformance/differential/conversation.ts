/**
 * Two hosts that talk through the router: each answers what it received last, with the addresses, ports and numbers as it saw
 * them, so that translated and lengthened packets are answered as real hosts would.
 */
import * as checksum from '../../src/wire/checksum.ts';
import type { Frame, Outcome } from './peer.ts';

export type Side = 0 | 1;
/** One end as its host sees it. */
type End = { src: Uint8Array; dst: Uint8Array; sport: number; dport: number; seq: number; ack: number };

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

function address(text: string): Uint8Array {
  if (!text.includes(':')) return Uint8Array.from(text.split('.').map(Number));
  const [head, tail] = text.split('::');
  const groups = (s: string): number[] => (s === '' ? [] : s.split(':').map((g) => Number.parseInt(g, 16)));
  const [a, b] = [groups(head), groups(tail ?? '')];
  const all = [...a, ...new Array<number>(8 - a.length - b.length).fill(0), ...b];
  return Uint8Array.from(all.flatMap((g) => [g >> 8, g & 255]));
}

/** An Ethernet frame towards the router from this side. */
export function frame(side: Side, src: Uint8Array, dst: Uint8Array, protocol: number, l4: Uint8Array): string {
  const six = src.length === 16;
  const at = 14 + (six ? 40 : 20);
  const out = new Uint8Array(at + l4.length);
  const dv = new DataView(out.buffer);
  out.set([2, 0, 0, 0, 0, side, 2, 0, 0, 0, 0, 0xa0 + side, six ? 0x86 : 8, six ? 0xdd : 0]);
  if (six) {
    out.set([0x60, 0, 0, 0, l4.length >> 8, l4.length & 255, protocol, 64], 14);
    out.set(src, 22);
    out.set(dst, 38);
  } else {
    out.set([0x45, 0, (20 + l4.length) >> 8, (20 + l4.length) & 255, 0, 1, 0, 0, 64, protocol], 14);
    out.set(src, 26);
    out.set(dst, 30);
    dv.setUint16(24, checksum.checksum(dv, 14, 20));
  }
  out.set(l4, at);
  const field = protocol === 6 ? 16 : protocol === 17 ? 6 : -1;
  if (field >= 0) {
    const pseudo = six ? checksum.pseudo6(dv, 14, protocol, l4.length) : checksum.pseudo4(dv, 14, protocol, l4.length);
    dv.setUint16(at + field, 0);
    dv.setUint16(at + field, checksum.checksum(dv, at, l4.length, pseudo));
  }
  return Buffer.from(out).toString('hex');
}

export type Send = (frames: readonly Frame[]) => Promise<Outcome>;

export class Conversation {
  readonly #send: Send;
  readonly #protocol: number;
  readonly #ends: [End, End];

  /** Side `opener` speaks first, from `src` to `dst` as it knows it. */
  constructor(send: Send, protocol: 6 | 17, opener: Side, src: string, sport: number, dst: string, dport: number) {
    this.#send = send;
    this.#protocol = protocol;
    const end: End = { src: address(src), dst: address(dst), sport, dport, seq: 1000, ack: 0 };
    const blank: End = { src: end.dst, dst: end.src, sport: dport, dport: sport, seq: 5000, ack: 0 };
    this.#ends = opener === 0 ? [end, blank] : [blank, end];
  }

  /** Sends text (or a TCP segment with flags) from a side; the other side learns what it received. True: it arrived. */
  async say(side: Side, data: string | Uint8Array, flags: number = ACK): Promise<boolean> {
    const end = this.#ends[side];
    const body = typeof data === 'string' ? Uint8Array.from(data, (c) => c.charCodeAt(0)) : data;
    const header = this.#protocol === 6 ? 20 : 8;
    const l4 = new Uint8Array(header + body.length);
    const dv = new DataView(l4.buffer);
    dv.setUint16(0, end.sport);
    dv.setUint16(2, end.dport);
    if (this.#protocol === 6) {
      dv.setUint32(4, end.seq);
      dv.setUint32(8, flags & ACK ? end.ack : 0);
      l4[12] = 0x50;
      l4[13] = flags;
      dv.setUint16(14, 65535);
    } else dv.setUint16(4, l4.length);
    l4.set(body, header);
    end.seq = (end.seq + body.length + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0)) >>> 0;
    const out = await this.#send([[side, frame(side, end.src, end.dst, this.#protocol, l4)]]);
    const arrived = out[1 - side].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
    for (const bytes of arrived) this.#learn((1 - side) as Side, bytes);
    return arrived.length > 0;
  }

  #learn(side: Side, bytes: Uint8Array): void {
    const dv = new DataView(bytes.buffer);
    const six = bytes[12] === 0x86;
    const at = 14 + (six ? 40 : 20);
    const size = six ? 16 : 4;
    const from = 14 + (six ? 8 : 12);
    const end = this.#ends[side];
    end.dst = bytes.slice(from, from + size);
    end.src = bytes.slice(from + size, from + 2 * size);
    end.dport = dv.getUint16(at);
    end.sport = dv.getUint16(at + 2);
    if (this.#protocol !== 6) return;
    const flags = bytes[at + 13];
    const length = (six ? dv.getUint16(18) : dv.getUint16(16) - 20) - (bytes[at + 12] >> 4) * 4;
    end.ack = (dv.getUint32(at + 4) + length + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0)) >>> 0;
  }

  /** The three steps of TCP; true when both ends have met. */
  async open(side: Side): Promise<boolean> {
    const other = (1 - side) as Side;
    if (!(await this.say(side, '', SYN))) return false;
    if (!(await this.say(other, '', SYN | ACK))) return false;
    return this.say(side, '');
  }
}
