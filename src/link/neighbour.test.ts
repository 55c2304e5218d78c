/**
 * Neighbour states over time, seen with `ip neigh`.
 */
import { expect, test } from 'vitest';
import type { VethPair } from '../device/veth.ts';
import { TestNetwork, type TestNode } from '../lab/test-network.ts';

function pair(): { readonly net: TestNetwork; readonly a: TestNode; readonly b: TestNode; readonly link: VethPair } {
  const net = new TestNetwork();
  const link = net.link('a:eth0', 'b:eth0');
  const [a, b] = [net.node('a'), net.node('b')];
  a.ip('addr add 10.0.0.1/24 dev eth0');
  b.ip('addr add 10.0.0.2/24 dev eth0');
  return { net, a, b, link };
}

const states = (node: TestNode, address: string): string =>
  node
    .ip('-4 neigh')
    .split('\n')
    .filter((line) => line.startsWith(`${address} `))
    .map((line) => line.trim().split(' ').at(-1))
    .join();

test('a neighbour is reachable, then stale, then probed and reachable again', () => {
  const { net, a } = pair();
  a.ping('10.0.0.2');
  expect(states(a, '10.0.0.2')).toBe('REACHABLE');
  net.world.runFor(60e9);
  expect(states(a, '10.0.0.2')).toBe('STALE');
  a.ping('10.0.0.2');
  expect(states(a, '10.0.0.2')).toBe('DELAY');
  net.world.runFor(5e9);
  expect(states(a, '10.0.0.2')).toBe('REACHABLE');
});

test('a neighbour that stops answering fails after three probes by unicast', () => {
  const { net, a, link } = pair();
  a.ping('10.0.0.2');
  net.world.runFor(60e9);
  const { slab } = net.world;
  const probes: string[] = [];
  link.impair((p) => {
    if (slab.protocol(p) === 0x0806) probes.push(Buffer.from(slab.bytes(p).slice(0, 6)).toString('hex'));
    slab.free(p);
    return true;
  }, undefined);
  a.ping('10.0.0.2');
  net.world.runFor(5.5e9);
  expect(states(a, '10.0.0.2')).toBe('PROBE');
  net.world.runFor(3e9);
  expect(states(a, '10.0.0.2')).toBe('FAILED');
  expect(probes).toEqual(['020000000002', '020000000002', '020000000002']);
});

test('an address that nobody has is asked for three times, a second apart, then fails', () => {
  const { net, a, link } = pair();
  let asked = 0;
  link.a.taps.add((p, outgoing) => {
    if (outgoing && net.world.slab.protocol(p) === 0x0806) asked++;
  });
  a.ping('10.0.0.9', { seconds: 2.5 });
  expect(asked).toBe(3);
  expect(states(a, '10.0.0.9')).toBe('INCOMPLETE');
  net.world.runFor(1e9);
  expect(states(a, '10.0.0.9')).toBe('FAILED');
  expect(net.world.slab.used).toBe(0);
});

test('a permanent neighbour is believed and never asked for', () => {
  const { a, net, link } = pair();
  let asked = 0;
  link.a.taps.add((p, outgoing) => {
    if (outgoing && net.world.slab.protocol(p) === 0x0806) asked++;
  });
  a.ip('neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent');
  expect(a.ping('10.0.0.2')).toMatchObject([{ type: 0 }]);
  net.world.runFor(300e9);
  expect(states(a, '10.0.0.2')).toBe('PERMANENT');
  // The other side asks; this one does not.
  expect(asked).toBeLessThanOrEqual(2);
});
