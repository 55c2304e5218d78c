import { expect, test } from 'vitest';
import { Hooks } from '../../core/hook.ts';
import { jhash2 } from '../../core/jhash.ts';
import { World } from '../../core/world.ts';
import { parseIpv4 } from '../../wire/address.ts';
import * as checksum from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import { NF_ACCEPT, NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { Conntrack } from '../conntrack/conntrack.ts';
import { setAddress } from '../conntrack/tuple.ts';
import { Nat } from './nat.ts';
import { type NatRange, newRange, setSingleAddress } from './range.ts';

const ip = (text: string): number => new DataView(parseIpv4(text)!.buffer).getUint32(0);

/** A router whose every packet goes through PRE_ROUTING, FORWARD and POST_ROUTING. */
class Box {
  readonly world: World = new World({ slots: 64, largeSlots: 1 });
  readonly hooks: Hooks = new Hooks(this.world);
  readonly conntrack: Conntrack = new Conntrack(this.world, this.hooks);
  readonly nat: Nat = new Nat(this.conntrack, this.hooks, {
    masqueradeAddress: () => parseIpv4('203.0.113.1'),
    deviceAddress: () => parseIpv4('10.0.0.1'),
    reroute: () => true,
  });

  rule(hook: number, fn: (p: number) => number): void {
    this.nat.register({ pf: NFPROTO_IPV4, hook, priority: hook === 0 ? -100 : 100, name: 'test', fn });
  }

  /** The packet as it leaves, "src:port > dst:port", with its checksums checked; '' when it was dropped. */
  forward(bytes: Uint8Array): string {
    const { slab } = this.world;
    const p = slab.from(bytes);
    slab.setNetwork(p, slab.head(p));
    for (const hook of [0, 2, 4])
      if (this.hooks.run(NFPROTO_IPV4, hook, p, hook === 4 ? 0 : 1, hook === 0 ? 0 : 2) !== NF_ACCEPT) return '';
    const at = slab.head(p);
    const l4 = at + 20;
    expect(ipv4.checksumOk(slab.dv, at)).toBe(true);
    if (ipv4.protocol(slab.dv, at) === 17) {
      const length = slab.end(p) - l4;
      expect(checksum.fold(checksum.partial(slab.dv, l4, length, checksum.pseudo4(slab.dv, at, 17, length)))).toBe(
        0xffff,
      );
    } else expect(checksum.checksum(slab.dv, l4, slab.end(p) - l4)).toBe(0);
    const out = text(slab.dv, at);
    this.last = slab.bytes(p);
    slab.free(p);
    return out;
  }

  last: Uint8Array = new Uint8Array();
}

function text(dv: DataView, at: number): string {
  const dotted = (v: number): string => [24, 16, 8, 0].map((s) => (v >>> s) & 255).join('.');
  const [s, d] = [dotted(ipv4.srcAddr(dv, at)), dotted(ipv4.dstAddr(dv, at))];
  if (ipv4.protocol(dv, at) !== 17) return `${s} > ${d}`;
  return `${s}:${dv.getUint16(at + 20)} > ${d}:${dv.getUint16(at + 22)}`;
}

function udp(src: string, sport: number, dst: string, dport: number): Uint8Array {
  const out = new Uint8Array(32);
  const dv = new DataView(out.buffer);
  dv.setUint16(20, sport);
  dv.setUint16(22, dport);
  dv.setUint16(24, 12);
  ipv4.init(dv, 0, ip(src), ip(dst), 17, 32, 64);
  dv.setUint16(26, checksum.checksum(dv, 20, 12, checksum.pseudo4(dv, 0, 17, 12)));
  return out;
}

/** An ICMP port unreachable from `src` to `dst` that quotes `inner`. */
function unreachable(src: string, dst: string, inner: Uint8Array): Uint8Array {
  const out = new Uint8Array(28 + inner.length);
  const dv = new DataView(out.buffer);
  out[20] = 3;
  out[21] = 3;
  out.set(inner, 28);
  ipv4.init(dv, 0, ip(src), ip(dst), 1, out.length, 64);
  dv.setUint16(22, checksum.checksum(dv, 20, out.length - 20));
  return out;
}

function to(address: string, flags = 0, min = 0, max = min): NatRange {
  const range = newRange();
  const words = new Uint32Array(4);
  setAddress(words, 0, parseIpv4(address)!);
  setSingleAddress(range, words, 0);
  range.flags |= flags | (min ? 2 : 0);
  range.minPort = min;
  range.maxPort = max;
  return range;
}

test('snat keeps the source port, and answers find their way back', () => {
  const box = new Box();
  box.rule(4, (p) => box.nat.snat(p, to('203.0.113.1')));
  expect(box.forward(udp('10.0.0.7', 4000, '192.0.2.1', 53))).toBe('203.0.113.1:4000 > 192.0.2.1:53');
  expect(box.forward(udp('192.0.2.1', 53, '203.0.113.1', 4000))).toBe('192.0.2.1:53 > 10.0.0.7:4000');
});

test('a port that is taken is replaced by one of the same class', () => {
  for (const [port, min, max] of [
    [100, 1, 511],
    [700, 600, 1023],
    [40000, 1024, 65535],
  ]) {
    const box = new Box();
    box.rule(4, (p) => box.nat.snat(p, to('203.0.113.1')));
    box.forward(udp('10.0.0.7', port, '192.0.2.1', 53));
    const second = box.forward(udp('10.0.0.8', port, '192.0.2.1', 53));
    const chosen = Number(/:(\d+) >/.exec(second)?.[1]);
    expect(chosen).not.toBe(port);
    expect(chosen).toBeGreaterThanOrEqual(min);
    expect(chosen).toBeLessThanOrEqual(max);
    expect(box.forward(udp('192.0.2.1', 53, '203.0.113.1', chosen))).toBe(`192.0.2.1:53 > 10.0.0.8:${port}`);
  }
});

test('while nat is on, an untranslated connection keeps its port to itself', () => {
  const box = new Box();
  box.rule(4, (p) =>
    ipv4.srcAddr(box.world.slab.dv, box.world.slab.network(p)) === ip('10.0.0.8')
      ? box.nat.snat(p, to('203.0.113.1'))
      : NF_ACCEPT,
  );
  expect(box.forward(udp('203.0.113.1', 4000, '192.0.2.1', 53))).toBe('203.0.113.1:4000 > 192.0.2.1:53');
  expect(box.forward(udp('10.0.0.8', 4000, '192.0.2.1', 53))).not.toContain(':4000 >');
});

test('dnat and masquerade together make a hairpin', () => {
  const box = new Box();
  box.rule(0, (p) => box.nat.dnat(p, to('10.0.0.9', 0, 8080)));
  box.rule(4, (p) => box.nat.masquerade(p, NFPROTO_IPV4, 2, newRange()));
  expect(box.forward(udp('10.0.0.7', 4000, '203.0.113.1', 80))).toBe('203.0.113.1:4000 > 10.0.0.9:8080');
  expect(box.forward(udp('10.0.0.9', 8080, '203.0.113.1', 4000))).toBe('203.0.113.1:80 > 10.0.0.7:4000');
});

test('an ICMP error about a translated packet is translated, and so is its quotation', () => {
  const box = new Box();
  box.rule(4, (p) => box.nat.snat(p, to('203.0.113.1')));
  box.forward(udp('10.0.0.7', 4000, '192.0.2.1', 53));
  expect(box.forward(unreachable('192.0.2.1', '203.0.113.1', box.last))).toBe('192.0.2.1 > 10.0.0.7');
  const dv = new DataView(box.last.buffer, 28);
  expect(text(dv, 0)).toBe('10.0.0.7:4000 > 192.0.2.1:53');
  expect(ipv4.checksumOk(dv, 0)).toBe(true);
});

test('masqueraded connections go with the device', () => {
  const box = new Box();
  box.rule(4, (p) => box.nat.masquerade(p, NFPROTO_IPV4, 2, newRange()));
  box.forward(udp('10.0.0.7', 4000, '192.0.2.1', 53));
  expect(box.conntrack.count).toBe(1);
  box.nat.flushMasquerade(2, parseIpv4('203.0.113.2'));
  expect(box.conntrack.count).toBe(1);
  box.nat.flushMasquerade(2);
  expect(box.conntrack.count).toBe(0);
});

test('when the last nat chain goes, tracking ends', () => {
  const box = new Box();
  const entry = { pf: NFPROTO_IPV4, hook: 4, priority: 100, name: 'test', fn: (): number => NF_ACCEPT };
  box.nat.register(entry);
  expect(box.hooks.list(NFPROTO_IPV4, 0).map((e) => e.name)).toEqual(['conntrack', 'nat']);
  box.nat.unregister(entry);
  expect(box.hooks.list(NFPROTO_IPV4, 0)).toEqual([]);
});

test('jhash2 of no words is its start value, as recorded from the kernel', () => {
  expect(jhash2([], 1)).toBe(3735928560);
  expect(jhash2([], 0x12345678)).toBe(4041348455);
});
