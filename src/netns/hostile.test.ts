/**
 * Nothing that comes over a link may throw or keep packet memory.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TestNetwork, type TestPort } from '../lab/test-network.ts';
import { NFPROTO_INET } from '../wire/uapi/netfilter.ts';

const frame = (hex: string): number[] => [...Buffer.from(hex, 'hex')];

/** Real frames for 02:00:00:00:00:01 (10.0.0.1, fd00::1): ARP, echo, UDP, TCP, a fragment, ND, extension headers. */
const REAL: readonly number[][] = [
  'ffffffffffff0200000000a008060001080006040001020000000 0a00a00000200000000000000a000001',
  '0200000000010200000000a0080045000020000100004001 66da0a0000020a000001 0800f3fd0001000361626364',
  '0200000000010200000000a00800450000200001000040116 6ca0a0000020a000001 13881389000c00006162636 4',
  '0200000000010200000000a008004500002800010000400665cc0a0000020a0001020400001600000000000000005002200076c90000',
  '0200000000010200000000a00800450000240001200040014 6d60a0000020a000001 0800f3fd00010003616263646566 6768',
  '3333ff0000010200000000a086dd60000000002 03afffd000000000000000000000000000002ff0200000000000000000001ff000001870000000000 0000fd0000000000000000000000000000010101 0200000000a0',
  '0200000000010200000000a086dd6000000000180040fd000000000000000000000000000002fd0000000000000000000000000000013a000502000001008000000000010001 6162636465666768',
  '0200000000010200000000a086dd6000000000182c40fd000000000000000000000000000002fd0000000000000000000000000000013a000001000000078000000000010001 6162636465666768',
].map((hex) => frame(hex.replaceAll(' ', '')));

function network(tracked: boolean): { readonly net: TestNetwork; readonly port: TestPort } {
  const net = new TestNetwork({ slots: 256, largeSlots: 4 });
  const port = net.port('r:eth0');
  net.port('r:eth1');
  const r = net.node('r');
  r.sysctl('net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  r.ip('addr add 10.0.0.1/24 dev eth0');
  r.ip('addr add 10.0.1.1/24 dev eth1');
  r.ip('addr add fd00::1/64 dev eth0 nodad');
  r.ip('addr add fd01::1/64 dev eth1 nodad');
  r.ip('link add link eth0 name eth0.5 type vlan id 5');
  r.ip('link set eth0.5 up');
  if (tracked) r.host.conntrack.get(NFPROTO_INET);
  return { net, port };
}

const mutated = fc
  .tuple(
    fc.constantFrom(...REAL),
    fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
    fc.option(fc.nat(120), { nil: undefined }),
    fc.uint8Array({ maxLength: 40 }),
  )
  .map(([bytes, changes, cut, tail]) => {
    const out = [...bytes];
    for (const [at, value] of changes) if (at < out.length) out[at] = value;
    if (cut !== undefined) out.length = Math.min(out.length, cut);
    return Uint8Array.from([...out, ...tail]);
  });
const random = fc.uint8Array({ maxLength: 1600 });

for (const tracked of [false, true]) {
  const how = tracked ? ', connections tracked' : '';
  test(`random and damaged frames never throw and leave no packet behind${how}`, () => {
    const { net, port } = network(tracked);
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 4, arbitrary: mutated }, random), { maxLength: 30 }), (frames) => {
        for (const bytes of frames) port.frame(bytes);
      }),
      { numRuns: 150 },
    );
    // Neighbours that do not answer and datagrams that stay incomplete are given up.
    net.world.runFor(300e9);
    expect(net.world.slab.used).toBe(0);
  });
}

/** The fragment `index` of datagram `id`, 8 bytes each. */
function fragment(id: number, index: number): Uint8Array {
  const bytes = frame('0200000000010200000000a00800450000240000000040110000');
  bytes.length = 24;
  const header = [...bytes.slice(14), 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
  header.length = 20;
  header[2] = 0;
  header[3] = 28;
  header[4] = id >> 8;
  header[5] = id & 255;
  header[6] = 0x20 | (index >> 8);
  header[7] = index & 255;
  header[9] = 17;
  header[10] = header[11] = 0;
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += header[i] * 256 + header[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header[10] = (~sum >> 8) & 255;
  header[11] = ~sum & 255;
  return Uint8Array.from([...bytes.slice(0, 14), ...header, 1, 2, 3, 4, 5, 6, 7, 8]);
}

test('a fragment bomb takes a quarter of the packet memory at most, and nothing once its time is up', () => {
  const { net, port } = network(false);
  let most = 0;
  for (let i = 0; i < 20_000; i++) {
    port.frame(fragment(i % 7 === 0 ? i & 0xffff : 1, i % 7 === 0 ? 0 : (i * 3) & 0x1fff));
    most = Math.max(most, net.world.slab.used);
  }
  expect(most).toBeGreaterThan(32);
  expect(most).toBeLessThanOrEqual(66);
  // Others still get through.
  expect(net.node('r').ping('127.0.0.1')).toMatchObject([{ errno: 0, type: 0 }]);
  net.world.runFor(40e9);
  expect(net.world.slab.used).toBe(0);
});

test('packets for neighbours that do not answer wait in bounds and are given back', () => {
  const { net, port } = network(false);
  const udp = REAL[3].slice();
  for (let i = 0; i < 2000; i++) {
    udp[33] = 10 + (i % 200);
    udp[24] = udp[25] = 0;
    let sum = 0;
    for (let k = 14; k < 34; k += 2) sum += udp[k] * 256 + udp[k + 1];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    udp[24] = (~sum >> 8) & 255;
    udp[25] = ~sum & 255;
    port.frame(Uint8Array.from(udp));
  }
  expect(net.world.slab.used).toBeGreaterThan(10);
  expect(net.world.slab.used).toBeLessThanOrEqual(130);
  expect(net.node('r').ping('127.0.0.1')).toMatchObject([{ errno: 0, type: 0 }]);
  net.world.runFor(10e9);
  expect(net.world.slab.used).toBe(0);
});
