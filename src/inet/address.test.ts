import { beforeEach, expect, test } from 'vitest';
import { World } from '../core/world.ts';
import { AF_INET, AF_INET6, formatAddress, parsePrefix } from '../wire/address.ts';
import { type AddressDevice, Addresses } from './address.ts';
import { Fib } from './fib.ts';
import type { FibDevices } from './fib-path.ts';
import { newFibResult, newFlow, type Route } from './route.ts';
import { resultSource4, selectSource6 } from './source.ts';
import { bytesOf, wordsOf } from './words.ts';

const UP = 1 | 2 | 4096;
let world: World;
let fib4: Fib;
let fib6: Fib;
let addresses: Addresses;
let flags: number[];

beforeEach(() => {
  world = new World({ slots: 4, largeSlots: 0 });
  flags = [0, 1 | 8, UP, UP];
  const devices: FibDevices = {
    index: () => 0,
    exists: () => true,
    flags: (i) => flags[i],
    group: () => 0,
    ignoreLinkdown: () => false,
    hashPolicy: () => 0,
  };
  fib4 = new Fib(AF_INET, devices);
  fib6 = new Fib(AF_INET6, devices);
  const device = (ifindex: number): AddressDevice => ({
    ifindex,
    name: ['', 'lo', 'd1', 'd2'][ifindex],
    flags: flags[ifindex],
    address: Uint8Array.of(2, 0, 0, 0, 0, ifindex),
  });
  addresses = new Addresses({ world, device, conf: () => undefined }, fib4, fib6);
  addresses.deviceUp(1);
  addresses.deviceUp(2);
});

function add(text: string, ifindex = 2, extra: Record<string, unknown> = {}): void {
  const p = parsePrefix(text)!;
  addresses.add(
    addresses.make({ family: p.family, ifindex, local: wordsOf(p.address), prefixLength: p.length, ...extra }),
  );
}

function drop(text: string): void {
  const p = parsePrefix(text)!;
  const local = wordsOf(p.address);
  addresses.remove(addresses.find(p.family, 2, local)!);
}

const TYPES = ['', 'unicast', 'local', 'broadcast', '', 'multicast'];
function show(fib: Fib): string[] {
  const text = (r: Route): string =>
    `${TYPES[r.type]} ${formatAddress(bytesOf(r.dst, fib.family === AF_INET ? 4 : 16))}/${r.dstLength} dev ${r.nexthops[0].oif}` +
    (r.prefsrc ? ` src ${formatAddress(bytesOf(r.prefsrc, 4))}` : ` metric ${r.priority}`);
  return [...fib.routes()].filter((r) => r.nexthops[0].oif !== 1).map(text);
}

test('an IPv4 address brings a local entry, a prefix route and a broadcast entry, a secondary one only the first', () => {
  add('10.0.0.1/24');
  add('10.0.0.2/24');
  expect(show(fib4)).toEqual([
    'unicast 10.0.0.0/24 dev 2 src 10.0.0.1',
    'local 10.0.0.1/32 dev 2 src 10.0.0.1',
    'local 10.0.0.2/32 dev 2 src 10.0.0.1',
    'broadcast 10.0.0.255/32 dev 2 src 10.0.0.1',
  ]);
  drop('10.0.0.1');
  expect(addresses.list(AF_INET, 2)).toEqual([]);
  expect(show(fib4)).toEqual([]);
});

test('loopback gets 127.0.0.1/8 and ::1 as it comes up', () => {
  const four = [...fib4.routes()].map((r) => `${TYPES[r.type]} ${r.dst[0].toString(16)}/${r.dstLength}`);
  expect(four).toEqual(['local 7f000000/8', 'local 7f000001/32', 'broadcast 7fffffff/32']);
  expect(addresses.list(AF_INET6, 1).length).toBe(1);
});

test('routes go with a device that goes down and IPv4 addresses bring them back', () => {
  add('10.0.0.1/24');
  add('2001:db8::1/64');
  flags[2] = UP & ~1;
  addresses.deviceDown(2);
  expect(show(fib4)).toEqual(['local 10.0.0.1/32 dev 2 src 10.0.0.1']);
  expect(show(fib6)).toEqual([]);
  expect(addresses.list(AF_INET6, 2)).toEqual([]);
  flags[2] = UP;
  addresses.deviceUp(2);
  expect(show(fib4).length).toBe(3);
  expect(show(fib6)).toEqual([
    'unicast fe80::/64 dev 2 metric 256',
    'local fe80::ff:fe00:2/128 dev 2 metric 0',
    'multicast ff00::/8 dev 2 metric 256',
  ]);
});

test('a tentative IPv6 address has its prefix route but no local entry until detection is done', () => {
  const waiting: (() => void)[] = [];
  addresses.onTentative = (a) => waiting.push(() => addresses.dadDone(a));
  add('2001:db8::1/64');
  expect(show(fib6).filter((line) => line.includes('2001'))).toEqual(['unicast 2001:db8::/64 dev 2 metric 256']);
  for (const done of waiting) done();
  expect(show(fib6)).toContain('local 2001:db8::1/128 dev 2 metric 0');
});

test('two addresses of one prefix share its route; it goes with the last of them', () => {
  add('2001:db8::1/64');
  add('2001:db8::2/64');
  drop('2001:db8::1');
  expect(show(fib6)).toContain('unicast 2001:db8::/64 dev 2 metric 256');
  drop('2001:db8::2');
  expect(show(fib6)).not.toContain('unicast 2001:db8::/64 dev 2 metric 256');
});

test('an address goes when its lifetime is over', () => {
  add('10.0.0.1/24', 2, { valid: 10, preferred: 5 });
  world.runFor(6e9);
  expect(addresses.list(AF_INET, 2)[0].flags & 32).toBe(32);
  world.runFor(6e9);
  expect(addresses.list(AF_INET, 2)).toEqual([]);
});

test('sources are chosen by subnet for IPv4 and by RFC 6724 for IPv6', () => {
  addresses.deviceUp(3);
  add('10.0.0.1/24');
  add('10.1.0.1/24', 3);
  add('2001:db8::1/64');
  add('2001:db8:1::1/64', 3);
  add('fd00::1/64', 3);
  const flow = newFlow();
  const out = newFibResult();
  flow.dst.set(wordsOf(parsePrefix('10.1.0.9')!.address));
  expect(fib4.lookup(flow, out)).toBe(0);
  expect(resultSource4(addresses, out)[0]).toBe(0x0a010001);
  const six = (dst: string, dev: number): string =>
    formatAddress(bytesOf(selectSource6(addresses, dev, wordsOf(parsePrefix(dst)!.address))!, 16));
  expect(six('2001:db8::9', 2)).toBe('2001:db8::1');
  expect(six('2001:db8:1::9', 3)).toBe('2001:db8:1::1');
  expect(six('fd00:1::9', 3)).toBe('fd00::1');
  expect(six('fe80::9', 3)).toBe('fe80::ff:fe00:3');
  expect(six('2001:4860::1', 2)).toBe('2001:db8::1');
});
