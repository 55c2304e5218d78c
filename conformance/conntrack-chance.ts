/**
 * What Linux draws at random and a recording therefore fixes: the source port that NAT picks when the wanted one is taken, and
 * the identification of the router's own packets. Recorded and own packets are brought to the same choice.
 */
import * as checksum from '../src/wire/checksum.ts';
import * as ipv4 from '../src/wire/ipv4.ts';
import type { Observed, RecordedEntry } from './conntrack-router.ts';

const ROUTER: ReadonlySet<number> = new Set([0x0a000001, 0x0a000101]);
/** Where a transport keeps its checksum, for those whose ports NAT may change. */
const CHECKSUM: ReadonlyMap<number, number> = new Map([
  [ipv4.IPPROTO_TCP, 16],
  [ipv4.IPPROTO_UDP, 6],
]);

type Choice = { readonly proto: number; readonly address: string; readonly own: number; readonly recorded: number };

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** The same bytes with the identification of the router's own packets taken out. */
function withoutId(hex: string): string {
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
  const dv = view(bytes);
  if (ipv4.version(dv, 0) !== 4 || !ROUTER.has(ipv4.srcAddr(dv, 0)) || ipv4.protocol(dv, 0) !== ipv4.IPPROTO_ICMP)
    return hex;
  ipv4.setId(dv, 0, 0);
  ipv4.fillChecksum(dv, 0);
  return Buffer.from(bytes).toString('hex');
}

export class Chance {
  #choices: Choice[] = [];

  /** Learns from two tables: the same flow, two ports, neither of them the one that was asked for. */
  learn(recorded: readonly RecordedEntry[], own: readonly RecordedEntry[]): void {
    for (const r of recorded) {
      const flow = JSON.stringify([r.orig.proto, r.orig.src, r.orig.dst, r.orig.sport, r.orig.dport]);
      for (const o of own) {
        if (JSON.stringify([o.orig.proto, o.orig.src, o.orig.dst, o.orig.sport, o.orig.dport]) !== flow) continue;
        if (!CHECKSUM.has(r.orig.proto) || !r.status.includes('SRC_NAT') || r.reply.dst !== o.reply.dst) continue;
        const [a, b] = [Number(o.reply.dport), Number(r.reply.dport)];
        if (a === b || a === r.orig.sport || b === r.orig.sport) continue;
        const known = this.#choices.some((c) => c.proto === r.orig.proto && c.address === r.reply.dst && c.own === a);
        if (!known) this.#choices.push({ proto: r.orig.proto, address: r.reply.dst, own: a, recorded: b });
      }
    }
  }

  /** A recorded packet, as it would have to come to answer what our router sent. */
  input(packet: Uint8Array): Uint8Array {
    return this.#replace(packet, 16, 2, (c) => [c.recorded, c.own]);
  }

  /** What our router did, in the recording's choices. */
  observed(got: Observed): Observed {
    const out = (list: readonly string[]): string[] =>
      list.map((hex) => {
        const bytes = this.#replace(Uint8Array.from(Buffer.from(hex, 'hex')), 12, 0, (c) => [c.own, c.recorded]);
        return withoutId(Buffer.from(bytes).toString('hex'));
      });
    const table = got.table.map((e) => {
      const choice = this.#choices.find(
        (c) => c.proto === e.reply.proto && c.address === e.reply.dst && c.own === e.reply.dport,
      );
      return choice === undefined ? e : { ...e, reply: { ...e.reply, dport: choice.recorded } };
    });
    return { ct: got.ct, outA: out(got.outA), outB: out(got.outB), table };
  }

  /** What was recorded, without what is chance. */
  recorded(list: readonly string[]): string[] {
    return list.map(withoutId);
  }

  #replace(
    packet: Uint8Array,
    addressAt: number,
    portAt: number,
    ports: (c: Choice) => readonly [number, number],
  ): Uint8Array {
    const dv = view(packet);
    if (this.#choices.length === 0 || ipv4.version(dv, 0) !== 4) return packet;
    const l4 = ipv4.headerLength(dv, 0);
    const at = CHECKSUM.get(ipv4.protocol(dv, 0));
    if (at === undefined || l4 + at + 2 > packet.length) return packet;
    const address = dotted(dv.getUint32(addressAt));
    const port = dv.getUint16(l4 + portAt);
    for (const choice of this.#choices) {
      const [from, to] = ports(choice);
      if (choice.proto !== ipv4.protocol(dv, 0) || choice.address !== address || port !== from) continue;
      const out = packet.slice();
      const w = view(out);
      w.setUint16(l4 + portAt, to);
      w.setUint16(l4 + at, checksum.update16(w.getUint16(l4 + at), from, to));
      return out;
    }
    return packet;
  }
}
