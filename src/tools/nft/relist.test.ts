import { expect, test } from 'vitest';
import { Workspace } from './compile.ts';
import { printRule } from './print/ruleset.ts';

const listed = (rule: string, release?: '1.1.0', family = 'inet'): string => {
  const space = new Workspace();
  return printRule(space.listed(space.run(`add rule ${family} t c ${rule}`)!), {
    stateless: true,
    ...(release && { release }),
  });
};

test('fields of the packet in a tunnel are listed with the tunnel, what they imply is left out', () => {
  expect(listed('udp dport 4789 vxlan ip saddr 10.141.11.0/24')).toBe('udp dport 4789 vxlan ip saddr 10.141.11.0/24');
  expect(listed('gre ip saddr . gre ip daddr { 1.2.3.4 . 4.3.2.1 }')).toBe(
    'gre ip saddr . gre ip daddr { 1.2.3.4 . 4.3.2.1 }',
  );
});

test('a statement between a match and the field that implies it keeps the match', () => {
  expect(listed('meta nfproto ipv4 ip saddr 1.2.3.4')).toBe('ip saddr 1.2.3.4');
  expect(listed('meta nfproto ipv4 counter ip saddr 1.2.3.4')).toBe('meta nfproto ipv4 counter ip saddr 1.2.3.4');
});

test('the segments of srh, and the ICMP types in front of an id, are listed as written', () => {
  expect(listed('srh sid[1] dead::beef', undefined, 'ip6')).toBe('srh sid[1] dead::beef');
  expect(listed('icmpv6 id 1', undefined, 'ip6')).toBe('icmpv6 type { echo-request, echo-reply } icmpv6 id 1');
});

test('a release lists in its own words', () => {
  expect(listed('limit rate 5/second')).toBe('limit rate 5/second');
  expect(listed('limit rate 5/second', '1.1.0')).toBe('limit rate 5/second burst 5 packets');
});
