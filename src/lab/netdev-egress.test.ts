import { expect, test } from 'vitest';
import { Lab } from './lab.ts';

const LAB = `name: egress
topology:
  nodes:
    a: { exec: [ip addr add 10.0.0.1/24 dev eth1] }
    b: { exec: [ip addr add 10.0.0.2/24 dev eth1] }
  links:
    - endpoints: [a:eth1, b:eth1]
`;

test('a netdev chain at egress sees what the device sends: link header, network header, verdict', () => {
  const net = Lab.from(LAB, 'lab.yml');
  net.start();
  const a = net.host('a');
  a.run('nft add table netdev t');
  a.run(['nft', 'add chain netdev t out { type filter hook egress device "eth1" priority 0; }']);
  a.run([
    'nft',
    'add rule netdev t out @ll,96,16 0x0800 oifname "eth1" ip daddr 10.0.0.2 icmp type echo-request counter',
  ]);
  expect(a.exec('ping -c 2 10.0.0.2').code).toBe(0);
  expect(a.run('nft list ruleset')).toContain('counter packets 2 bytes 196');
  a.run(['nft', 'add rule netdev t out icmp type echo-request counter drop']);
  expect(a.exec('ping -c 1 -W 1 10.0.0.2').code).toBe(1);
  // Forwarded frames and those of the other direction are not concerned.
  expect(net.host('b').exec('ping -c 1 10.0.0.1').code).toBe(0);
  a.run('nft delete table netdev t');
  expect(a.exec('ping -c 1 10.0.0.2').code).toBe(0);
});
