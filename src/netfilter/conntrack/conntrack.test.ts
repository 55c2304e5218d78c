import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DROP } from '../../core/drop.ts';
import { Hooks } from '../../core/hook.ts';
import { World } from '../../core/world.ts';
import { parseIpv4 } from '../../wire/address.ts';
import * as checksum from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NFPROTO_INET, NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { Conntrack } from './conntrack.ts';
import { ZONE_DIR_BOTH, ZONE_DIR_ORIG } from './entry.ts';
import { newTuple } from './tuple.ts';

const ip = (text: string): number => new DataView(parseIpv4(text)!.buffer).getUint32(0);
const SECOND = 1e9;
const NAMES: Readonly<Record<number, string>> = {
  1: 'invalid',
  2: 'established',
  4: 'related',
  8: 'new',
  64: 'untracked',
};

class Box {
  readonly world: World = new World({ slots: 64, largeSlots: 1 });
  readonly hooks: Hooks = new Hooks(this.world);
  readonly conntrack: Conntrack = new Conntrack(this.world, this.hooks);

  constructor() {
    this.conntrack.get(NFPROTO_INET);
  }

  /** Receives the packet and passes it on (unless `drop`): what rules would have seen. */
  see(bytes: Uint8Array, options: { before?: (p: number) => void; drop?: boolean } = {}): string {
    const { slab } = this.world;
    const p = slab.from(bytes);
    slab.setNetwork(p, slab.head(p));
    options.before?.(p);
    if (this.hooks.run(NFPROTO_IPV4, 0, p, 1, 0) !== NF_ACCEPT) return 'dropped';
    const seen = NAMES[this.conntrack.stateBit(p)];
    if (options.drop !== true && this.hooks.run(NFPROTO_IPV4, 4, p, 0, 2) !== NF_ACCEPT) return 'dropped';
    slab.free(p);
    return seen;
  }

  entries(): number {
    let n = 0;
    this.conntrack.forEach(() => {
      n++;
    });
    return n;
  }
}

function packet(src: string, dst: string, protocol: number, l4: Uint8Array, checkAt: number): Uint8Array {
  const out = new Uint8Array(20 + l4.length);
  const dv = new DataView(out.buffer);
  out.set(l4, 20);
  ipv4.init(dv, 0, ip(src), ip(dst), protocol, out.length, 64);
  const pseudo = protocol === 1 ? 0 : checksum.pseudo4(dv, 0, protocol, l4.length);
  dv.setUint16(20 + checkAt, checksum.checksum(dv, 20, l4.length, pseudo));
  return out;
}

function udp(src: string, sport: number, dst: string, dport: number): Uint8Array {
  return packet(src, dst, 17, Uint8Array.of(sport >> 8, sport, dport >> 8, dport, 0, 8, 0, 0), 6);
}

function tcp(src: string, sport: number, dst: string, dport: number, flags: number, seq = 0, ack = 0): Uint8Array {
  const l4 = new Uint8Array(20);
  const dv = new DataView(l4.buffer);
  dv.setUint16(0, sport);
  dv.setUint16(2, dport);
  dv.setUint32(4, seq);
  dv.setUint32(8, ack);
  l4[12] = 0x50;
  l4[13] = flags;
  dv.setUint16(14, 1000);
  return packet(src, dst, 6, l4, 16);
}

const out = (): Uint8Array => udp('10.0.0.7', 4000, '192.0.2.1', 53);
const back = (): Uint8Array => udp('192.0.2.1', 53, '10.0.0.7', 4000);

test('the first packet is new, its answer established, and so is what follows', () => {
  const box = new Box();
  expect(box.see(out())).toBe('new');
  expect(box.see(out())).toBe('new');
  expect(box.see(back())).toBe('established');
  expect(box.see(out())).toBe('established');
});

test('of a packet that is dropped on its way no connection stays', () => {
  const box = new Box();
  for (let i = 0; i < 100; i++) box.see(out(), { drop: true });
  expect(box.entries()).toBe(0);
  expect(box.see(back())).toBe('new');
});

test('a UDP flow is a stream, and assured, when it goes on both ways for more than two seconds', () => {
  const box = new Box();
  const timeout = (): string => {
    let text = '';
    box.conntrack.forEach((ct) => {
      text = `${Math.round(box.conntrack.expires(ct))}${ct.status & C.IPS_ASSURED ? ' assured' : ''}`;
    });
    return text;
  };
  box.see(out());
  box.see(back());
  expect(timeout()).toBe('30');
  box.see(out());
  expect(timeout()).toBe('30');
  box.world.runFor(2.1 * SECOND);
  box.see(out());
  expect(timeout()).toBe('120 assured');
});

test('a connection that is silent for its timeout is gone, with and without anybody asking', () => {
  const box = new Box();
  box.see(out());
  box.world.runFor(31 * SECOND);
  expect(box.see(back())).toBe('new');
  box.world.runFor(200 * SECOND);
  expect(box.conntrack.count).toBe(0);
});

test('a wrong checksum makes a packet invalid, unless nobody looks', () => {
  const box = new Box();
  const broken = out();
  broken[27] ^= 1;
  expect(box.see(broken)).toBe('invalid');
  box.conntrack.setSysctl('nf_conntrack_checksum', '0');
  expect(box.see(broken)).toBe('new');
});

test('a TCP connection opens in three steps and ends at a reset', () => {
  const box = new Box();
  const states: string[] = [];
  const step = (bytes: Uint8Array): void => {
    box.see(bytes);
    let state = 'gone';
    box.conntrack.forEach((ct) => {
      state = box.conntrack.tracker(ct).stateName?.(ct) ?? '';
    });
    states.push(state);
  };
  step(tcp('10.0.0.7', 4000, '192.0.2.1', 80, 0x02, 100));
  step(tcp('192.0.2.1', 80, '10.0.0.7', 4000, 0x12, 500, 101));
  step(tcp('10.0.0.7', 4000, '192.0.2.1', 80, 0x10, 101, 501));
  step(tcp('192.0.2.1', 80, '10.0.0.7', 4000, 0x04, 99));
  step(tcp('192.0.2.1', 80, '10.0.0.7', 4000, 0x04, 501));
  expect(states).toEqual(['SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'ESTABLISHED', 'CLOSE']);
});

test('without nf_conntrack_tcp_loose a connection cannot be picked up in its middle', () => {
  const box = new Box();
  expect(box.see(tcp('10.0.0.7', 4000, '192.0.2.1', 80, 0x10, 1, 1))).toBe('new');
  box.conntrack.setSysctl('nf_conntrack_tcp_loose', '0');
  expect(box.see(tcp('10.0.0.8', 4000, '192.0.2.1', 80, 0x10, 1, 1))).toBe('invalid');
});

test('an error is related to the connection it is about, if it is addressed to the sender', () => {
  const box = new Box();
  const quoted = out();
  box.see(quoted);
  const error = (dst: string): Uint8Array =>
    packet('198.51.100.1', dst, 1, Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0, ...quoted), 2);
  expect(box.see(error('10.0.0.7'))).toBe('related');
  expect(box.see(error('10.0.0.8'))).toBe('invalid');
});

test('notrack leaves a packet untracked', () => {
  const box = new Box();
  expect(box.see(out(), { before: (p) => box.conntrack.notrack(p) })).toBe('untracked');
  expect(box.entries()).toBe(0);
});

test('zones keep equal flows apart; a zone of one direction only lets answers find the flow', () => {
  const box = new Box();
  const zone =
    (id: number, dir: number) =>
    (p: number): void => {
      box.conntrack.attachTemplate(p, { id, dir });
    };
  expect(box.see(out(), { before: zone(1, ZONE_DIR_BOTH) })).toBe('new');
  expect(box.see(out(), { before: zone(2, ZONE_DIR_ORIG) })).toBe('new');
  expect(box.entries()).toBe(2);
  expect(box.see(back())).toBe('established');
  expect(box.see(back(), { before: zone(1, ZONE_DIR_BOTH) })).toBe('established');
});

test('a full table makes room by forgetting flows that are not assured, and drops when there are none', () => {
  const box = new Box();
  box.conntrack.setSysctl('nf_conntrack_max', '8');
  for (let port = 1; port <= 20; port++) expect(box.see(udp('10.0.0.7', port, '192.0.2.1', 53))).toBe('new');
  expect(box.conntrack.count).toBeLessThanOrEqual(8);
  box.conntrack.forEach((ct) => {
    ct.status |= C.IPS_ASSURED;
  });
  expect(box.see(udp('10.0.0.7', 100, '192.0.2.1', 53))).toBe('dropped');
  expect(box.world.drops[DROP.NF_CONNTRACK_FULL]).toBe(1);
});

test('events tell a connection’s life in order', () => {
  const box = new Box();
  const seen: number[] = [];
  box.conntrack.listeners.add((_ct, events) => seen.push(events));
  box.see(out());
  box.see(back());
  box.conntrack.flush();
  expect(seen).toEqual([1 << C.IPCT_NEW, 1 << C.IPCT_REPLY, 1 << C.IPCT_DESTROY]);
});

test('the inverse of the inverse is the tuple itself', () => {
  const box = new Box();
  fc.assert(
    fc.property(
      fc.array(fc.nat(0xffffffff), { minLength: 9, maxLength: 9 }),
      fc.constantFrom(6, 17, 132),
      (w, proto) => {
        const t = newTuple();
        for (let k = 0; k < 8; k++) t[k] = w[k];
        t[8] = (2 << 8) | proto;
        t[9] = w[8];
        const twice = newTuple();
        box.conntrack.invert(t, 0, twice, 0);
        const back2 = newTuple();
        box.conntrack.invert(twice, 0, back2, 0);
        expect([...back2]).toEqual([...t]);
      },
    ),
  );
});

test('no packet, however broken, throws', () => {
  const box = new Box();
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 80 }),
      fc.constantFrom(1, 6, 17, 47, 132, 136),
      (bytes, protocol) => {
        bytes[0] = 0x45;
        bytes[6] = 0;
        bytes[7] = 0;
        bytes[9] = protocol;
        box.conntrack.setSysctl('nf_conntrack_checksum', '0');
        expect(typeof box.see(bytes)).toBe('string');
      },
    ),
    { numRuns: 1000 },
  );
});

test('a sysctl reads what was written, and refuses what Linux refuses', () => {
  const { conntrack } = new Box();
  expect(conntrack.sysctl('nf_conntrack_tcp_timeout_established')).toBe('432000');
  expect(conntrack.setSysctl('nf_conntrack_tcp_timeout_established', '600\n')).toBe(0);
  expect(conntrack.sysctl('nf_conntrack_tcp_timeout_established')).toBe('600');
  expect(conntrack.setSysctl('nf_conntrack_tcp_loose', '7')).toBe(22);
  expect(conntrack.setSysctl('nf_conntrack_count', '1')).toBe(13);
  expect(conntrack.sysctl('nf_conntrack_nonsense')).toBeUndefined();
});
