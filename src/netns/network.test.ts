/**
 * Hosts joined by links: what a person sees when they ping.
 */
import { expect, test } from 'vitest';
import { ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH } from '../core/errno.ts';
import { TestNetwork } from '../lab/test-network.ts';
import { sockaddr } from '../socket/socket.ts';
import { formatAddress } from '../wire/address.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import { SOCK_DGRAM } from '../wire/uapi/socket.ts';

/** a - r - b, IPv4 10.0.1.0/24 and 10.0.2.0/24, IPv6 fd01::/64 and fd02::/64; `mtu` of the second link. */
function router(mtu = 1500): TestNetwork {
  const net = new TestNetwork();
  net.link('a:eth0', 'r:lan');
  net.link('r:wan', 'b:eth0', mtu);
  for (const node of ['a', 'r', 'b']) net.node(node).sysctl('net.ipv6.conf.all.accept_dad=0');
  const [a, r, b] = ['a', 'r', 'b'].map((name) => net.node(name));
  r.sysctl('net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  a.ip('addr add 10.0.1.2/24 dev eth0');
  a.ip('addr add fd01::2/64 dev eth0 nodad');
  r.ip('addr add 10.0.1.1/24 dev lan');
  r.ip('addr add fd01::1/64 dev lan nodad');
  r.ip('addr add 10.0.2.1/24 dev wan');
  r.ip('addr add fd02::1/64 dev wan nodad');
  b.ip('addr add 10.0.2.2/24 dev eth0');
  b.ip('addr add fd02::2/64 dev eth0 nodad');
  a.ip('route add default via 10.0.1.1');
  a.ip('-6 route add default via fd01::1');
  b.ip('route add default via 10.0.2.1');
  b.ip('-6 route add default via fd02::1');
  net.world.runFor(5e9);
  return net;
}

function idle(net: TestNetwork): number {
  net.world.runFor(120e9);
  return net.world.slab.used;
}

test('two hosts on one link ping each other', () => {
  const net = new TestNetwork();
  net.link('a:eth0', 'b:eth0');
  const [a, b] = [net.node('a'), net.node('b')];
  a.ip('addr add 10.0.0.1/24 dev eth0');
  b.ip('addr add 10.0.0.2/24 dev eth0');
  const [reply] = a.ping('10.0.0.2');
  expect(reply).toMatchObject({ errno: 0, type: icmp.ICMP_ECHOREPLY, ttl: 64, length: 64 });
  expect(a.ip('neigh')).toContain('10.0.0.2 dev eth0 lladdr 02:00:00:00:00:02 REACHABLE');
  expect(a.ping('127.0.0.1')).toMatchObject([{ type: icmp.ICMP_ECHOREPLY }]);
  expect(a.ping('10.0.0.1')).toMatchObject([{ type: icmp.ICMP_ECHOREPLY }]);
  expect(a.ping('192.0.2.1')).toEqual([{ errno: ENETUNREACH }]);
  expect(idle(net)).toBe(0);
});

test('link-local addresses made from the MAC answer once duplicate detection is through', () => {
  const net = new TestNetwork();
  net.link('a:eth0', 'b:eth0');
  const [a, b] = [net.node('a'), net.node('b')];
  expect(a.ip('-6 addr show dev eth0')).toContain('fe80::ff:fe00:1/64 scope link tentative');
  net.world.runFor(3e9);
  expect(a.ip('-6 addr show dev eth0')).not.toContain('tentative');
  expect(a.ping('fe80::ff:fe00:2', { device: 'eth0' })).toMatchObject([{ type: icmpv6.ICMPV6_ECHO_REPLY, ttl: 64 }]);
  expect(a.ping('ff02::1', { device: 'eth0' })).toMatchObject([{ type: icmpv6.ICMPV6_ECHO_REPLY }]);
  expect(b.ping('::1')).toMatchObject([{ type: icmpv6.ICMPV6_ECHO_REPLY }]);
  expect(idle(net)).toBe(0);
});

test('an address that another host has fails duplicate detection', () => {
  const net = new TestNetwork();
  net.link('a:eth0', 'b:eth0');
  net.world.runFor(3e9);
  net.node('a').ip('addr add fd00::1/64 dev eth0');
  net.world.runFor(3e9);
  net.node('b').ip('addr add fd00::1/64 dev eth0');
  net.world.runFor(3e9);
  expect(net.node('a').ip('-6 addr show dev eth0')).not.toContain('dadfailed');
  expect(net.node('b').ip('-6 addr show dev eth0')).toContain('fd00::1/64 scope global dadfailed tentative');
});

test('a router forwards and takes one from the TTL', () => {
  const net = router();
  const a = net.node('a');
  expect(a.ping('10.0.2.2')).toMatchObject([{ type: icmp.ICMP_ECHOREPLY, ttl: 63 }]);
  expect(a.ping('fd02::2')).toMatchObject([{ type: icmpv6.ICMPV6_ECHO_REPLY, ttl: 63 }]);
  expect(idle(net)).toBe(0);
});

test('a packet whose TTL ends at the router is reported by the router', () => {
  const net = router();
  const a = net.node('a');
  const [v4] = a.ping('10.0.2.2', { ttl: 1 });
  expect(v4).toMatchObject({ type: icmp.ICMP_TIME_EXCEEDED, code: icmp.ICMP_EXC_TTL });
  expect(formatAddress(v4.from!)).toBe('10.0.1.1');
  const [v6] = a.ping('fd02::2', { ttl: 1 });
  expect(v6).toMatchObject({ type: icmpv6.ICMPV6_TIME_EXCEED, code: icmpv6.ICMPV6_EXC_HOPLIMIT });
  expect(formatAddress(v6.from!)).toBe('fd01::1');
  expect(idle(net)).toBe(0);
});

test('a destination without a route, and one that does not answer, are reported by the router', () => {
  const net = router();
  const a = net.node('a');
  expect(a.ping('192.0.2.1')).toMatchObject([{ type: icmp.ICMP_DEST_UNREACH, code: icmp.ICMP_NET_UNREACH }]);
  expect(a.ping('2001:db8::1')).toMatchObject([{ type: icmpv6.ICMPV6_DEST_UNREACH, code: icmpv6.ICMPV6_NOROUTE }]);
  expect(a.ping('10.0.2.77', { seconds: 5 })).toMatchObject([
    { type: icmp.ICMP_DEST_UNREACH, code: icmp.ICMP_HOST_UNREACH },
  ]);
  expect(a.ping('fd02::77', { seconds: 5 })).toMatchObject([
    { type: icmpv6.ICMPV6_DEST_UNREACH, code: icmpv6.ICMPV6_ADDR_UNREACH },
  ]);
  expect(idle(net)).toBe(0);
});

test('unreachable, prohibit and blackhole routes say what Linux says', () => {
  const net = router();
  const [a, r] = [net.node('a'), net.node('r')];
  r.ip('route add unreachable 192.0.2.1');
  r.ip('route add prohibit 192.0.2.2');
  r.ip('route add blackhole 192.0.2.3');
  const answer = (to: string): unknown => a.ping(to).map(({ type, code }) => [type, code]);
  expect(answer('192.0.2.1')).toEqual([[icmp.ICMP_DEST_UNREACH, icmp.ICMP_HOST_UNREACH]]);
  expect(answer('192.0.2.2')).toEqual([[icmp.ICMP_DEST_UNREACH, icmp.ICMP_PKT_FILTERED]]);
  expect(answer('192.0.2.3')).toEqual([]);
  a.ip('route add unreachable 192.0.2.9');
  expect(a.ping('192.0.2.9')).toEqual([{ errno: EHOSTUNREACH }]);
});

test('a packet too long for the next link and not to be fragmented is reported with the link MTU, which the sender keeps', () => {
  const net = router(1400);
  const a = net.node('a');
  const first = a.ping('10.0.2.2', { size: 1472, mtuDiscover: 2 });
  expect(first).toMatchObject([{ type: icmp.ICMP_DEST_UNREACH, code: icmp.ICMP_FRAG_NEEDED, mtu: 1400 }]);
  expect(a.ping('10.0.2.2', { size: 1472, mtuDiscover: 2 })).toEqual([{ errno: EMSGSIZE, mtu: 1400 }]);
  // Now it is fragmented by the sender itself.
  expect(a.ping('10.0.2.2', { size: 1472 })).toMatchObject([{ type: icmp.ICMP_ECHOREPLY, length: 1480 }]);
  net.world.runFor(601e9);
  expect(a.ping('10.0.2.2', { size: 1472, mtuDiscover: 2 })).toMatchObject([{ type: icmp.ICMP_DEST_UNREACH }]);
  expect(idle(net)).toBe(0);
});

test('IPv6 path MTU: the router reports, the sender fragments from then on', () => {
  const net = router(1400);
  const a = net.node('a');
  expect(a.ping('fd02::2', { size: 1452 })).toMatchObject([{ type: icmpv6.ICMPV6_PKT_TOOBIG, mtu: 1400 }]);
  expect(a.ping('fd02::2', { size: 1452 })).toMatchObject([{ type: icmpv6.ICMPV6_ECHO_REPLY, length: 1460 }]);
  expect(idle(net)).toBe(0);
});

test('large pings go in fragments and come back whole', () => {
  const net = router(1300);
  const a = net.node('a');
  for (const size of [1472, 1473, 5000, 30_000, 65_000]) {
    expect(a.ping('10.0.2.2', { size, mtuDiscover: 0 })).toMatchObject([
      { type: icmp.ICMP_ECHOREPLY, length: size + 8 },
    ]);
  }
  a.ping('fd02::2', { size: 1452 });
  for (const size of [1400, 5000, 60_000]) {
    expect(a.ping('fd02::2', { size })).toMatchObject([{ type: icmpv6.ICMPV6_ECHO_REPLY, length: size + 8 }]);
  }
  expect(idle(net)).toBe(0);
});

test('a host that does not forward keeps silent about packets for others', () => {
  const net = router();
  net.node('r').sysctl('net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0');
  expect(net.node('a').ping('10.0.2.2')).toEqual([]);
  expect(net.node('a').ping('fd02::2')).toEqual([]);
  expect(idle(net)).toBe(0);
});

test('rp_filter drops packets whose way back is another device', () => {
  const net = router();
  const [a, r] = [net.node('a'), net.node('r')];
  a.ip('addr add 10.9.9.9/32 dev eth0');
  r.ip('route add 10.9.9.0/24 dev wan');
  const from = Uint8Array.of(10, 9, 9, 9);
  const before = net.node('b').host.world.drops.slice();
  r.sysctl('net.ipv4.conf.all.rp_filter=1');
  expect(a.ping('10.0.1.1', { source: from })).toEqual([]);
  expect(net.world.drops).not.toEqual(before);
  // Loose: any way back will do.
  r.sysctl('net.ipv4.conf.all.rp_filter=2');
  r.ip('route del 10.9.9.0/24 dev wan');
  r.ip('route add 10.9.9.0/24 dev lan');
  expect(a.ping('10.0.1.1', { source: from })).toMatchObject([{ type: icmp.ICMP_ECHOREPLY }]);
});

test('UDP: a datagram reaches a bound port, a closed one answers port unreachable', () => {
  const net = router();
  const [a, b] = [net.node('a').host, net.node('b').host];
  for (const [dst, any] of [
    [Uint8Array.of(10, 0, 2, 2), 2],
    [Uint8Array.of(0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), 10],
  ] as const) {
    const server = b.socket(any, SOCK_DGRAM);
    const client = a.socket(any, SOCK_DGRAM);
    if (typeof server === 'number' || typeof client === 'number') throw new Error('no socket');
    expect(server.bind(sockaddr(new Uint8Array(dst.length), 53))).toBe(0);
    expect(client.sendto(Uint8Array.of(1, 2, 3), sockaddr(dst, 53))).toBe(3);
    net.world.runFor(1e9);
    expect(server.recvfrom()).toMatchObject({ data: Uint8Array.of(1, 2, 3), from: { port: client.sk.sport } });
    expect(client.connect(sockaddr(dst, 54))).toBe(0);
    expect(client.send(Uint8Array.of(1))).toBe(1);
    net.world.runFor(1e9);
    expect(client.recvfrom()).toBe(-ECONNREFUSED);
    // Larger than any link: in fragments.
    expect(client.sendto(new Uint8Array(20_000).fill(7), sockaddr(dst, 53))).toBe(20_000);
    net.world.runFor(1e9);
    const long = server.recvfrom();
    expect(typeof long === 'number' ? long : long.data.length).toBe(20_000);
    client.close();
    server.close();
  }
  expect(idle(net)).toBe(0);
});
