import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH, KernelError } from '../core/errno.ts';
import { AF_INET, AF_INET6, parsePrefix } from '../wire/address.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../wire/uapi/netlink.ts';
import {
  FR_ACT_GOTO,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNREACHABLE,
} from '../wire/uapi/rtnetlink.ts';
import { Fib } from './fib.ts';
import type { FibDevices } from './fib-path.ts';
import { makeRule } from './fib-rule.ts';
import { makeNexthop, makeRoute, newFibResult, newFlow, type Route } from './route.ts';
import { maskWords, samePrefix, wordsOf } from './words.ts';

const devices: FibDevices = {
  index: (name) => Number(name.slice(3)) || 0,
  exists: () => true,
  flags: () => 1,
  group: () => 0,
  ignoreLinkdown: () => false,
  hashPolicy: () => 0,
};

function route(text: string, oif: number, extra: Partial<Route> = {}): Route {
  const prefix = parsePrefix(text)!;
  return makeRoute({
    family: prefix.family,
    table: RT_TABLE_MAIN,
    dst: wordsOf(prefix.address),
    dstLength: prefix.length,
    nexthops: [makeNexthop({ oif, scope: 253 })],
    ...extra,
  });
}

function ask(fib: Fib, text: string, extra: Record<string, number> = {}): number {
  const flow = Object.assign(newFlow(), extra);
  flow.dst.set(wordsOf(parsePrefix(text)!.address));
  const out = newFibResult();
  const errno = fib.lookup(flow, out);
  return errno !== 0 ? -errno : out.nexthop!.oif;
}

for (const [family, bits] of [
  [AF_INET, 32],
  [AF_INET6, 128],
] as const) {
  test(`longest-prefix match agrees with a linear search, family ${family}`, () => {
    // Few distinct words, so that prefixes nest and collide.
    const word = fc.constantFrom(0, 0x0a000000, 0x0a000001, 0x0a0000ff, 0xffffffff, 0x80000000);
    const key = fc.tuple(word, word, word, word).map((w) => Uint32Array.from(family === AF_INET ? [w[0], 0, 0, 0] : w));
    const op = fc.record({ key, length: fc.integer({ min: 0, max: bits }), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), fc.array(key, { minLength: 5, maxLength: 5 }), (ops, keys) => {
        const fib = new Fib(family, devices);
        const oracle = new Map<string, Route>();
        ops.forEach(({ key: dst, length, remove }, i) => {
          const masked = maskWords(dst, length);
          const id = `${masked}/${length}`;
          const old = oracle.get(id);
          if (remove && old !== undefined) {
            fib.delete(RT_TABLE_MAIN, masked, length, () => true);
            oracle.delete(id);
          } else if (old === undefined) {
            const r = makeRoute({
              family,
              table: RT_TABLE_MAIN,
              dst: masked,
              dstLength: length,
              nexthops: [makeNexthop({ oif: i + 1 })],
            });
            fib.insert(r, NLM_F_CREATE | NLM_F_EXCL);
            oracle.set(id, r);
          }
        });
        const flow = newFlow();
        const out = newFibResult();
        for (const dst of [...keys, ...ops.map((o) => o.key)]) {
          flow.dst.set(dst);
          const best = [...oracle.values()]
            .filter((r) => samePrefix(dst, r.dst, r.dstLength))
            .sort((a, b) => b.dstLength - a.dstLength)[0];
          expect(fib.lookup(flow, out)).toBe(best === undefined ? ENETUNREACH : 0);
          expect(out.route).toBe(best);
        }
        expect([...fib.routes()].length).toBe(oracle.size);
      }),
    );
  });
}

test('metrics, TOS and the output interface choose among routes of one prefix', () => {
  const fib = new Fib(AF_INET, devices);
  fib.insert(route('10.0.0.0/8', 1, { priority: 20 }), NLM_F_CREATE);
  fib.insert(route('10.0.0.0/8', 2, { priority: 10 }), NLM_F_CREATE);
  fib.insert(route('10.0.0.0/8', 3, { tos: 16, priority: 30 }), NLM_F_CREATE);
  fib.insert(route('0.0.0.0/0', 4), NLM_F_CREATE);
  expect(ask(fib, '10.1.1.1')).toBe(2);
  expect(ask(fib, '10.1.1.1', { tos: 16 })).toBe(3);
  expect(ask(fib, '10.1.1.1', { oif: 1 })).toBe(1);
  expect(ask(fib, '10.1.1.1', { oif: 4 })).toBe(4);
  expect(() => fib.insert(route('10.0.0.0/8', 9, { priority: 10 }), NLM_F_CREATE | NLM_F_EXCL)).toThrow(KernelError);
});

test('blackhole, unreachable, prohibit and throw answer as Linux does', () => {
  const fib = new Fib(AF_INET, devices);
  for (const [text, type] of [
    ['1.0.0.0/8', RTN_BLACKHOLE],
    ['2.0.0.0/8', RTN_UNREACHABLE],
    ['3.0.0.0/8', RTN_PROHIBIT],
    ['4.0.0.0/8', RTN_THROW],
  ] as const)
    fib.insert(route(text, 0, { type }), NLM_F_CREATE);
  fib.insert(route('0.0.0.0/0', 5, { table: 253 }), NLM_F_CREATE);
  expect(ask(fib, '1.1.1.1')).toBe(-EINVAL);
  expect(ask(fib, '2.1.1.1')).toBe(-EHOSTUNREACH);
  expect(ask(fib, '3.1.1.1')).toBe(-EACCES);
  expect(ask(fib, '4.1.1.1')).toBe(5);
});

test('rules choose the table by source, mark and interface, and goto skips forward', () => {
  const fib = new Fib(AF_INET, devices);
  fib.insert(route('0.0.0.0/0', 1), NLM_F_CREATE);
  fib.insert(route('0.0.0.0/0', 2, { table: 100 }), NLM_F_CREATE);
  fib.insert(route('0.0.0.0/0', 3, { table: 101 }), NLM_F_CREATE);
  fib.addRule(makeRule({ family: AF_INET, priority: 10, action: FR_ACT_GOTO, target: 30, mark: 9, markMask: -1 }));
  fib.addRule(makeRule({ family: AF_INET, priority: 20, table: 100, mark: 0, markMask: 0, iifname: 'dev7' }));
  fib.addRule(makeRule({ family: AF_INET, priority: 30, table: 101, iifname: 'dev7' }));
  expect(ask(fib, '9.9.9.9')).toBe(1);
  expect(ask(fib, '9.9.9.9', { iif: 7 })).toBe(2);
  expect(ask(fib, '9.9.9.9', { iif: 7, mark: 9 })).toBe(3);
  fib.addRule(makeRule({ family: AF_INET, priority: 5, suppressPrefixLength: 0 }));
  expect(ask(fib, '9.9.9.9', { iif: 7 })).toBe(2);
});

test('a multipath route spreads flows by weight and survives the loss of one hop', () => {
  const fib = new Fib(AF_INET, devices);
  const hop = (oif: number, weight: number) =>
    makeNexthop({ oif, weight, gatewayFamily: AF_INET, gateway: wordsOf(Uint8Array.of(10, 0, 0, oif)), scope: 253 });
  fib.insert(route('0.0.0.0/0', 0, { nexthops: [hop(1, 3), hop(2, 1)] }), NLM_F_CREATE);
  const counts = [0, 0, 0];
  for (let i = 0; i < 4000; i++) counts[ask(fib, `9.9.${i >> 8}.${i & 255}`)]++;
  expect(counts[1] / counts[2]).toBeGreaterThan(2.5);
  expect(counts[1] / counts[2]).toBeLessThan(3.6);
  fib.deviceDown(1);
  expect(ask(fib, '9.9.1.1')).toBe(2);
  fib.deviceUp(1);
  fib.carrier(1, true);
  fib.deviceDown(2);
  expect(ask(fib, '9.9.1.1')).toBe(1);
  fib.deviceDown(1);
  expect(ask(fib, '9.9.1.1')).toBe(-ENETUNREACH);
});

test('IPv6 routes are dumped depth first, IPv4 routes by address', () => {
  const six = new Fib(AF_INET6, devices);
  for (const text of ['::/0', '2001:db8::/32', '2001:db8:1::/48', '2001:db8::/48', 'fc00::/7'])
    six.insert(route(text, 1), NLM_F_CREATE);
  expect([...six.routes()].map((r) => r.dstLength)).toEqual([48, 48, 32, 7, 0]);
  const four = new Fib(AF_INET, devices);
  for (const text of ['10.0.0.0/8', '10.0.0.128/25', '0.0.0.0/0', '10.0.0.0/24'])
    four.insert(route(text, 1), NLM_F_CREATE);
  expect([...four.routes()].map((r) => r.dstLength)).toEqual([0, 24, 8, 25]);
});
