/** ipset in a firewall script: the sets decide about packets, type by type. */
import { expect, test } from 'vitest';
import type { Given } from './infer.ts';
import { parseIface, parseRoute } from './infer.ts';
import { Firewall } from './try.ts';

const HOST: Given = {
  ifaces: [parseIface('lan=10.0.0.1/24,2001:db8:1::1/64'), parseIface('wan=192.0.2.2/24')],
  routes: [parseRoute('default via 192.0.2.1')],
};

const dropped = (script: string, packet: string): boolean =>
  new Firewall({ text: script, file: 'fw.sh', kind: 'shell', given: HOST }).ask(packet).request.outcome === 'dropped';

/** A set with one element, a rule that drops what is in it, a packet that is and one that is not. */
const CASES: readonly (readonly [create: string, element: string, sides: string, hit: string, miss: string])[] = [
  ['hash:ip', '10.0.0.7', 'src', 'lan 10.0.0.7 -> 203.0.113.9:80', 'lan 10.0.0.8 -> 203.0.113.9:80'],
  ['hash:ip netmask 28', '203.0.113.9', 'dst', 'lan 10.0.0.7 -> 203.0.113.15:80', 'lan 10.0.0.7 -> 203.0.113.16:80'],
  ['hash:net', '203.0.113.0/25', 'dst', 'lan 10.0.0.7 -> 203.0.113.9:80', 'lan 10.0.0.7 -> 203.0.113.200:80'],
  [
    'hash:ip,port',
    '203.0.113.9,tcp:80',
    'dst,dst',
    'lan 10.0.0.7 -> 203.0.113.9:80',
    'lan udp 10.0.0.7 -> 203.0.113.9:80',
  ],
  [
    'hash:ip,port',
    '10.0.0.7,icmp:echo-request',
    'src,src',
    'lan 10.0.0.7 -> 203.0.113.9',
    'lan 10.0.0.7 -> 203.0.113.9:80',
  ],
  [
    'hash:net,port',
    '10.0.0.0/24,udp:53',
    'src,dst',
    'lan 10.0.0.7 -> 9.9.9.9:53 udp',
    'lan 10.0.0.7 -> 9.9.9.9:54 udp',
  ],
  [
    'hash:ip,port,ip',
    '10.0.0.7,80,203.0.113.9',
    'src,dst,dst',
    'lan 10.0.0.7 -> 203.0.113.9:80',
    'lan 10.0.0.7 -> 203.0.113.8:80',
  ],
  [
    'hash:ip,port,net',
    '10.0.0.7,80-90,203.0.113.0/24',
    'src,dst,dst',
    'lan 10.0.0.7 -> 203.0.113.77:85',
    'lan 10.0.0.7 -> 203.0.112.77:85',
  ],
  [
    'hash:net,net',
    '10.0.0.0/25,203.0.113.0/24',
    'src,dst',
    'lan 10.0.0.7 -> 203.0.113.77:1',
    'lan 10.0.0.200 -> 203.0.113.77:1',
  ],
  [
    'hash:net,port,net',
    '10.0.0.0/25,tcp:1,203.0.113.0/24',
    'src,dst,dst',
    'lan 10.0.0.7 -> 203.0.113.77:1',
    'lan 10.0.0.7 -> 203.0.113.77:2',
  ],
  [
    'hash:net,iface',
    '203.0.113.0/24,wan',
    'dst,dst',
    'lan 10.0.0.7 -> 203.0.113.77:1',
    'lan 10.0.0.7 -> 203.0.114.77:1',
  ],
  ['hash:ip,mark', '10.0.0.7,5', 'src,src', 'lan 10.0.0.7 -> 203.0.113.9:80 mark 5', 'lan 10.0.0.7 -> 203.0.113.9:80'],
  ['hash:mac', '02:00:5e:00:53:ff', 'src', 'lan 10.0.0.7 -> 203.0.113.9:80', ''],
  [
    'bitmap:ip range 10.0.0.0/24',
    '10.0.0.4-10.0.0.9',
    'src',
    'lan 10.0.0.7 -> 203.0.113.9:80',
    'lan 10.0.0.10 -> 203.0.113.9:80',
  ],
  ['bitmap:port range 1-1000', '80', 'dst', 'lan 10.0.0.7 -> 203.0.113.9:80', 'lan 10.0.0.7 -> 203.0.113.9:81'],
];

test.each(CASES)('%s: element %s in %s', (create, element, sides, hit, miss) => {
  const script = `ipset create s ${create}
ipset add s ${element}
iptables -t mangle -A FORWARD -m set --match-set s ${sides} -j DROP
`;
  expect(dropped(script, hit)).toBe(create !== 'hash:mac');
  if (miss !== '') expect(dropped(script, miss)).toBe(false);
});

test('nomatch keeps a part out, a list asks its members, a swap changes what rules see', () => {
  const packet = 'lan 10.0.0.7 -> 203.0.113.9:80';
  const rule = 'iptables -A FORWARD -m set --match-set s src -j DROP\n';
  const nets = 'ipset create s hash:net\nipset add s 10.0.0.0/8\nipset add s 10.0.0.0/28 nomatch\n';
  expect(dropped(nets + rule, packet)).toBe(false);
  expect(dropped(nets + rule, 'lan 10.0.0.77 -> 203.0.113.9:80')).toBe(true);
  const list =
    'ipset create a hash:ip\nipset create b hash:ip\nipset add b 10.0.0.7\nipset create s list:set\nipset add s a\nipset add s b\n';
  expect(dropped(list + rule, packet)).toBe(true);
  const swap = `ipset create s hash:ip\n${rule}ipset create t hash:ip\nipset add t 10.0.0.7\nipset swap s t\n`;
  expect(dropped(swap, packet)).toBe(true);
});

test('IPv6 sets match IPv6 packets, and the SET target adds what the next rule finds', () => {
  const six = `ipset create s hash:net family inet6
ipset add s 2001:db8:1::/48
ip6tables -A INPUT -m set --match-set s src -j DROP
`;
  expect(dropped(six, 'lan 2001:db8:1::7 -> local:22')).toBe(true);
  const added = `ipset create s hash:ip timeout 10
iptables -A FORWARD -j SET --add-set s src
iptables -A FORWARD -m set --match-set s src -j DROP
`;
  expect(dropped(added, 'lan 10.0.0.7 -> 203.0.113.9:80')).toBe(true);
});
