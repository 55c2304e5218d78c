import { expect, test } from 'vitest';
import { readTopology } from './topology.ts';
import { LabError } from './yaml-reader.ts';

const GOOD = `name: demo
topology:
  defaults:
    kind: linux
    exec: ["ip link set lo up"]
    sysctls: { net.ipv4.ip_forward: 1 }
  kinds:
    linux: { image: "alpine:3" }
  nodes:
    a:
      exec: ["ip addr add 10.0.0.1/24 dev eth1"]
      sysctls: { net.ipv4.ip_forward: 0 }
    b: { kind: host }
    sw: { kind: bridge, exec: [] }
    c:
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      impairments: { rate: 10mbit, delay: 5ms, loss: 1% }
    - type: veth
      mtu: 1400
      endpoints:
        - { node: a, interface: eth2, mac: "02:00:00:00:00:0a" }
        - { node: c, interface: eth1 }
      impairments: { a-to-b: { delay: 1us } }
checks:
  - { node: a, ping: 10.0.0.2 }
  - { name: closed, node: b, ping: 10.9.9.9, reachable: false }
  - { node: b, exec: ip route, contains: 10.0.0.0/24 }
`;

test('a containerlab file with brief and extended links is read', () => {
  const t = readTopology(GOOD.replace('sw: { kind: bridge, exec: [] }', 'd: { kind: linux }'), 'lab.yml');
  expect(t.name).toBe('demo');
  expect(t.nodes.map((n) => [n.name, n.kind])).toEqual([
    ['a', 'linux'],
    ['b', 'host'],
    ['d', 'linux'],
    ['c', 'linux'],
  ]);
  expect(t.nodes[0].exec).toEqual(['ip link set lo up', 'ip addr add 10.0.0.1/24 dev eth1']);
  expect(t.nodes[0].sysctls.get('net.ipv4.ip_forward')).toBe('0');
  expect(t.links[0].aToB).toMatchObject({ rate: 10e6, delay: 5e6, loss: 0.01 });
  expect(t.links[1]).toMatchObject({ mtu: 1400, bToA: undefined });
  expect(t.links[1].a.mac).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 10));
  expect(t.checks.map((c) => [c.name, c.exit])).toEqual([
    ['10.0.0.2 is reachable from a', 0],
    ['closed', -1],
    ['ip route', 0],
  ]);
});

/** The error of a lab file whose text has `from` replaced by `to`. */
function fault(from: string, to: string): string {
  const base = GOOD.replace('sw: { kind: bridge, exec: [] }', 'd: { kind: linux }');
  try {
    readTopology(base.replace(from, to), 'lab.yml');
  } catch (error) {
    if (error instanceof LabError) return error.message;
    throw error;
  }
  return 'no error';
}

test('unknown kinds and keys, wrong values and unknown nodes are named with line and column', () => {
  expect(fault('kind: host', 'kind: srl')).toBe(
    'lab.yml:13:16: netloom does not support kind "srl" (known: linux, bridge, host)',
  );
  expect(fault('mtu: 1400', 'mtoo: 1400')).toContain('lab.yml:20:7: unknown key "mtoo" in topology.links[1]');
  expect(fault('mtu: 1400', 'mtu: 3')).toBe('lab.yml:20:12: mtu must be between 68 and 65535');
  expect(fault('kind: host', 'kind: host, binds: [x]')).toBe('lab.yml:13:22: netloom does not support "binds" here');
  expect(fault('"b:eth1"]', '"z:eth1"]')).toBe('lab.yml:17:29: there is no node "z"');
  expect(fault('"b:eth1"]', '"a:eth1"]')).toBe('lab.yml:17:29: interface "a:eth1" is used twice');
  expect(fault('loss: 1%', 'loss: 200%')).toContain('lab.yml:18:54: "200%" is no share between 0% and 100%');
  expect(fault('type: veth', 'type: vxlan')).toBe(
    'lab.yml:19:13: netloom does not support link type "vxlan" (known: veth)',
  );
  expect(fault('delay: 5ms', 'delay: 5')).toContain('"5" is no time');
  expect(fault('name: demo', 'name: [')).toMatch(/^lab\.yml:\d+:\d+: /);
});
