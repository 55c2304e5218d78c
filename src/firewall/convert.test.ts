import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { convert } from './convert.ts';
import { BadInput } from './problem.ts';
import type { FirewallOptions } from './set-up.ts';

const rules = (text: string, more: Partial<FirewallOptions> = {}): FirewallOptions => ({
  text,
  file: 'rules.v4',
  given: { ifaces: [], routes: [] },
  ...more,
});

test('the office in iptables becomes an nft script that treats every packet alike', () => {
  const file = new URL('../../examples/office/iptables.rules', import.meta.url);
  const { text, left, proof } = convert(rules(readFileSync(file, 'utf8')));
  expect(left).toEqual([]);
  expect(proof?.verdict).toBe('equal');
  expect(text).toContain('dnat to iifname . tcp dport map { "uplink" . 25 : 10.0.20.25, "uplink" . 80 : 10.0.20.10,');
  const apart = convert(rules(readFileSync(file, 'utf8')), { merge: false, prove: false }).text;
  expect(apart).toContain('iifname "uplink" tcp dport { 80, 443 } dnat to 10.0.20.10\n');
  expect(text).not.toContain('counter');
  // A base chain that accepts everything says nothing.
  expect(text).not.toContain('hook output');
});

test('a script of both families is converted, counters stay when they are asked for', () => {
  const script = `iptables -P INPUT DROP
ip6tables -P INPUT DROP
iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
iptables -A INPUT -p tcp -m multiport --dports 22,80:90 -m comment --comment "a counter here" -j ACCEPT
ip6tables -A INPUT -p tcp --dport 22 -s 2001:db8::/32 -j ACCEPT
`;
  const plain = convert(rules(script, { kind: 'shell' }));
  expect(plain.proof?.verdict).toBe('equal');
  expect(plain.text).toContain('tcp dport { 22, 80-90 } accept comment "a counter here"');
  expect(plain.text).toContain('ip6 saddr 2001:db8::/32 tcp dport 22 accept');
  const counted = convert(rules(script, { kind: 'shell' }), { counters: true, prove: false });
  expect(counted.text).toContain('tcp dport { 22, 80-90 } counter accept comment "a counter here"');
});

test('a rule that nft has no words for is told, and the difference that leaving it out makes is found', () => {
  const save = `*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -m string --algo bm --string "attack" -j DROP
-A INPUT -p tcp --dport 23 -j DROP
COMMIT
`;
  const { left, proof, text } = convert(rules(save));
  expect(left).toEqual(['iptables -t filter -A INPUT -p tcp -m string --string attack --algo bm -j DROP']);
  expect(text).toContain('tcp dport 23 drop');
  expect(proof?.verdict).toBe('different');
});

test('where nothing puts fragments together, nft finds ports in the middle of packets and iptables does not', () => {
  const save = '*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT\nCOMMIT\n';
  const { proof } = convert(rules(save));
  expect(proof?.verdict).toBe('different');
  expect(proof?.classes.every((each) => each.packets.includes('ip frag-off 1-8191'))).toBe(true);
  expect(proof?.classes[0].example.confirmed).toBe(true);
});

test('an nft script is refused', () => {
  expect(() => convert(rules('table ip f { }', { kind: 'nft' }))).toThrow(BadInput);
});
