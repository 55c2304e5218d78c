import { expect, test } from 'vitest';
import { detectKind } from './detect.ts';
import { hints, parseAddrJson, parseIface, parseRoute, parseRouteJson, plan } from './infer.ts';

test('a ruleset is known by its content', () => {
  expect(detectKind('table inet filter {\n}\n', 'x')).toBe('nft');
  expect(detectKind('#!/usr/sbin/nft -f\nflush ruleset\n', 'x')).toBe('nft');
  expect(detectKind('add rule ip f c drop', 'x')).toBe('nft');
  expect(detectKind('*filter\n:INPUT DROP [0:0]\nCOMMIT\n', 'rules.v4')).toBe('iptables-save');
  expect(detectKind('*filter\n:INPUT DROP [0:0]\nCOMMIT\n', 'rules.v6')).toBe('ip6tables-save');
  expect(detectKind('*filter\n:INPUT DROP [0:0]\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n', 'x')).toBe(
    'ip6tables-save',
  );
  expect(detectKind('#!/bin/sh\nnft -f - <<E\ntable ip x {}\nE\n', 'x')).toBe('shell');
  expect(detectKind('iptables -P INPUT DROP\n', 'x')).toBe('shell');
  expect(detectKind('IPT=/sbin/iptables\n$IPT -F\n', 'x')).toBe('shell');
  expect(() => detectKind('hello world', 'x')).toThrow('neither an nft script');
});

test('interfaces, networks and the uplink are found in the text of the rules', () => {
  const found = hints(`define LAN = "lan0"
table inet f {
  chain fwd { type filter hook forward priority 0; policy drop;
    iifname $LAN ip saddr 10.1.0.0/16 oifname { "wan", "dmz*" } accept
    iif != lo drop
  }
  chain post { oifname "wan" masquerade }
}`);
  expect(found.names).toEqual(['lan0', 'wan', 'dmz0']);
  expect(found.networks.get('lan0')).toEqual(['10.1.0.0/16']);
  expect(found.uplinks).toEqual(['wan']);
  expect(found.forwards).toBe(true);
  const xt = hints(
    '-A FORWARD -i br0 -s 192.168.7.0/24 -o ppp0 -j ACCEPT\n-A POSTROUTING -o ppp0 -j SNAT --to-source 198.51.100.7\n',
  );
  expect(xt.names).toEqual(['br0', 'ppp0']);
  expect(xt.natAddress.get('ppp0')).toBe('198.51.100.7');
});

test('what is inferred is said, and flags come first', () => {
  const found = hints('iifname "lan" oifname "wan" accept\noifname "wan" masquerade');
  const packet = { iface: 'lan', local: false, saddr: '10.0.0.7', daddr: '203.0.113.9' };
  const p = plan({ ifaces: [], routes: [] }, found, [packet]);
  expect(p.ifaces).toEqual([
    { name: 'lan', addresses: ['10.0.0.1/24'] },
    { name: 'wan', addresses: ['192.0.2.2/24'] },
  ]);
  expect(p.routes).toEqual([{ to: '0.0.0.0/0', via: '192.0.2.1', dev: 'wan' }]);
  expect(p.notes).toHaveLength(3);
  const flags = {
    ifaces: [parseIface('lan=10.0.0.254/24'), parseIface('wan=198.51.100.2/30')],
    routes: [parseRoute('default via 198.51.100.1')],
  };
  expect(plan(flags, found, [packet]).notes).toEqual([]);
});

test('a host that forwards nothing is the destination', () => {
  const found = hints('chain in { type filter hook input priority 0; policy drop; }');
  const p = plan({ ifaces: [], routes: [] }, found, [
    { iface: 'eth0', local: false, saddr: '198.51.100.1', daddr: '203.0.113.5' },
  ]);
  expect(p.ifaces[0].addresses).toContain('203.0.113.5/24');
});

test('saved output of ip -j is read', () => {
  expect(parseAddrJson('[{"ifname":"lo"},{"ifname":"lan","addr_info":[{"local":"10.0.0.1","prefixlen":24}]}]')).toEqual(
    [{ name: 'lan', addresses: ['10.0.0.1/24'] }],
  );
  expect(
    parseRouteJson('[{"dst":"default","gateway":"10.0.0.2","dev":"lan"},{"dst":"10.0.0.0/24","protocol":"kernel"}]'),
  ).toEqual([{ to: 'default', via: '10.0.0.2', dev: 'lan' }]);
  expect(() => parseAddrJson('{')).toThrow('--addr-json');
  expect(() => parseIface('lan=10.0.0.1')).toThrow('is no ADDRESS/LENGTH');
  expect(() => parseRoute('x via y')).toThrow('is no network');
});
