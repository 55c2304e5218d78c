import { expect, test } from 'vitest';
import { EAGAIN, EPERM, EPROTONOSUPPORT } from '../core/errno.ts';
import { TestNetwork, type TestNode } from '../lab/test-network.ts';
import { type Socket, sockaddr } from '../socket/socket.ts';
import { ETH_P_ALL, linkaddr } from '../transport/packet.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import * as s from '../wire/uapi/socket.ts';
import type { Host } from './host.ts';

const ICMP = 1;

function pair(): { net: TestNetwork; a: TestNode; b: TestNode } {
  const net = new TestNetwork({ slots: 256, largeSlots: 4 });
  net.link('a:eth0', 'b:eth0');
  net.node('a').ip('addr add 10.0.0.1/24 dev eth0');
  net.node('b').ip('addr add 10.0.0.2/24 dev eth0');
  net.world.runFor(3e9);
  return { net, a: net.node('a'), b: net.node('b') };
}

function open(host: Host, family: number, type: number, protocol: number): Socket {
  const socket = host.socket(family, type, protocol);
  if (typeof socket === 'number') throw new Error(`errno ${-socket}`);
  return socket;
}

test('a raw socket gets a copy of each packet of its protocol, with the IP header, beside the protocol itself', () => {
  const { a, b } = pair();
  const raw = open(b.host, AF_INET, s.SOCK_RAW, ICMP);
  expect(a.ping('10.0.0.2')).toMatchObject([{ type: 0 }]);
  const got = raw.recvfrom();
  if (typeof got === 'number') throw new Error(`errno ${-got}`);
  expect([got.data[0], got.data[9], got.data[20]]).toEqual([0x45, ICMP, 8]);
  expect(got.from).toMatchObject({ address: Uint8Array.of(10, 0, 0, 1) });
  // ICMP_FILTER: no echo requests.
  expect(raw.setsockopt(s.SOL_RAW, s.ICMP_FILTER, 1 << 8)).toBe(0);
  a.ping('10.0.0.2');
  expect(raw.recvfrom()).toBe(-EAGAIN);
  expect(b.host.socket(AF_INET, s.SOCK_RAW, 0)).toBe(-EPROTONOSUPPORT);
  expect(b.host.socket(AF_INET, s.SOCK_RAW, ICMP, { uid: 1, gid: 1, privileged: false })).toBe(-EPERM);
});

test('with IP_HDRINCL a program writes the header, and length, checksum, source and identification are filled in', () => {
  const { net, a, b } = pair();
  const sender = open(a.host, AF_INET, s.SOCK_RAW, s.IPPROTO_RAW);
  const receiver = open(b.host, AF_INET, s.SOCK_RAW, 200);
  const packet = new Uint8Array(24);
  packet.set([0x45, 0, 0, 0, 0, 0, 0, 0, 9, 200]);
  packet.set([10, 0, 0, 2], 16);
  packet.set([1, 2, 3, 4], 20);
  expect(sender.sendto(packet, sockaddr(Uint8Array.of(10, 0, 0, 2), 0))).toBe(24);
  net.world.runFor(1e9);
  const got = receiver.recvfrom();
  if (typeof got === 'number') throw new Error(`errno ${-got}`);
  expect([...got.data.subarray(20)]).toEqual([1, 2, 3, 4]);
  expect([got.data[3], got.data[8], ...got.data.subarray(12, 16)]).toEqual([24, 9, 10, 0, 0, 1]);
});

test('IPv6 raw sockets begin behind the IP header, and ICMPv6 ones have their checksums made', () => {
  const { net, a } = pair();
  const raw = open(a.host, AF_INET6, s.SOCK_RAW, 58);
  const me = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  expect(raw.sendto(Uint8Array.of(128, 0, 0, 0, 0, 7, 0, 1), sockaddr(me, 0))).toBe(8);
  net.world.runFor(1e9);
  const types = [raw.recvfrom(), raw.recvfrom()].map((got) => (typeof got === 'number' ? got : got.data[0]));
  expect(types).toEqual([128, 129]);
});

test('a packet socket for all protocols sees both directions, one for an ethertype what comes in', () => {
  const { a, b } = pair();
  const all = open(b.host, s.AF_PACKET, s.SOCK_RAW, 0x0300);
  expect(all.bind(linkaddr(b.host.devices.byName('eth0')!.ifindex, ETH_P_ALL))).toBe(0);
  const ip = open(b.host, s.AF_PACKET, s.SOCK_DGRAM, 0x0008);
  expect(a.ping('10.0.0.2')).toMatchObject([{ type: 0 }]);
  const seen: unknown[] = [];
  for (let m = all.recvmsg(); typeof m !== 'number'; m = all.recvmsg())
    seen.push([m.link?.protocol.toString(16), m.link?.pkttype, m.data.length]);
  expect(seen).toEqual([
    ['806', 1, 42],
    ['806', 4, 42],
    ['800', 0, 98],
    ['800', 4, 98],
  ]);
  const inner = ip.recvmsg();
  expect(typeof inner === 'number' ? inner : [inner.data[0], inner.data.length]).toEqual([0x45, 84]);
  expect(ip.recvmsg()).toBe(-EAGAIN);
});

test('a packet socket sends frames as they are, and sets promiscuous mode while it wants it', () => {
  const { net, a, b } = pair();
  const eth0 = a.host.devices.byName('eth0')!;
  const sender = open(a.host, s.AF_PACKET, s.SOCK_DGRAM, 0);
  const receiver = open(b.host, s.AF_PACKET, s.SOCK_RAW, 0x0300);
  const to = linkaddr(eth0.ifindex, 0x88b5, Uint8Array.of(255, 255, 255, 255, 255, 255));
  expect(sender.sendto(Uint8Array.of(1, 2, 3), to)).toBe(3);
  net.world.runFor(1e9);
  const got = receiver.recvmsg();
  if (typeof got === 'number') throw new Error(`errno ${-got}`);
  expect([...got.data.subarray(12)]).toEqual([0x88, 0xb5, 1, 2, 3]);
  const mreq = new Uint8Array(16);
  new DataView(mreq.buffer).setUint32(0, eth0.ifindex, true);
  mreq[4] = s.PACKET_MR_PROMISC;
  expect(sender.setsockopt(s.SOL_PACKET, s.PACKET_ADD_MEMBERSHIP, mreq)).toBe(0);
  expect(a.ip('link show eth0')).toContain('PROMISC');
  sender.close();
  expect(a.ip('link show eth0')).not.toContain('PROMISC');
});
