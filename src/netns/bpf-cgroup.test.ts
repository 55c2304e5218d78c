import { describe, expect, test } from 'vitest';
import { assemble } from '../bpf/asm/index.ts';
import type { RunMode } from '../bpf/system.ts';
import { DROP } from '../core/drop.ts';
import { TestNetwork } from '../lab/test-network.ts';
import { type Socket, sockaddr } from '../socket/socket.ts';
import { AF_INET } from '../wire/address.ts';
import { BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_INGRESS, BPF_PROG_TYPE_CGROUP_SKB } from '../wire/uapi/bpf.ts';
import { SOCK_DGRAM } from '../wire/uapi/socket.ts';
import type { Host } from './host.ts';

const MODES: readonly RunMode[] = ['compiled', 'checking', 'interpreted'];

// UDP from 10.0.0.2 to 10.0.0.1 port 5001.
const udp = Uint8Array.from(
  Buffer.from(
    '020000000001' + '0200000000a0' + '0800' + '4500002000010000401166ca0a0000020a000001' + '13881389000c000061626364',
    'hex',
  ),
);

/** Lets pass what is not for (or from) port 5001: the packet begins with its IP header. */
const notPort = (offset: number): string => `
  r2 = *(u32 *)(r1 + 76)
  r3 = *(u32 *)(r1 + 80)
  *(u32 *)(r1 + 48) = 7
  r0 = 1
  r4 = r2
  r4 += 28
  if r4 > r3 goto +3
  r2 = *(u16 *)(r2 + ${offset})
  if r2 != 0x8913 goto +1
  r0 = 0
  exit`;

function setup(): { net: TestNetwork; host: Host; port: { frame(bytes: Uint8Array): Uint8Array[] } } {
  const net = new TestNetwork({ slots: 128, largeSlots: 4 });
  const port = net.port('r:eth0');
  const r = net.node('r');
  r.ip('addr add 10.0.0.1/24 dev eth0');
  r.ip('neigh add 10.0.0.2 lladdr 02:00:00:00:00:a0 dev eth0');
  return { net, host: r.host, port };
}

/** A UDP socket on a port. */
function bound(host: Host, port: number): Socket {
  const socket = host.socket(AF_INET, SOCK_DGRAM);
  if (typeof socket === 'number') throw new Error(`errno ${socket}`);
  expect(socket.bind(sockaddr(new Uint8Array(4), port))).toBe(0);
  return socket;
}

function load(host: Host, run: RunMode, attach: number, text: string): number {
  const { insns, errors } = assemble(text);
  if (errors.length > 0) throw errors[0];
  const type = BPF_PROG_TYPE_CGROUP_SKB;
  const spec = { name: 'p', section: '', type, expectedAttachType: attach, flags: 0, license: 'GPL', insns, maps: [] };
  return host.bpf.system.loadProgram(spec, [], { run }).id;
}

describe.each(MODES)('cgroup_skb (%s)', (run) => {
  test('keeps packets from a socket', () => {
    const { host, port } = setup();
    const { sk } = bound(host, 5001);
    port.frame(udp);
    expect(sk.receiveQueue.length).toBe(1);
    const id = load(host, run, BPF_CGROUP_INET_INGRESS, notPort(22));
    host.bpf.attachCgroup(id, BPF_CGROUP_INET_INGRESS);
    port.frame(udp);
    expect(sk.receiveQueue.length).toBe(1);
    expect(host.world.drops[DROP.SOCKET_FILTER]).toBe(1);
    host.bpf.detachCgroup(id, BPF_CGROUP_INET_INGRESS);
    port.frame(udp);
    expect(sk.receiveQueue.length).toBe(2);
  });

  test('keeps a socket from sending', () => {
    const { host, net } = setup();
    host.bpf.attachCgroup(load(host, run, BPF_CGROUP_INET_EGRESS, notPort(20)), BPF_CGROUP_INET_EGRESS);
    const to = sockaddr(Uint8Array.of(10, 0, 0, 2), 53);
    for (const port of [5001, 5002]) expect(bound(host, port).sendto(Uint8Array.of(1), to)).toBe(1);
    net.world.settle();
    expect(host.world.drops[DROP.BPF_CGROUP_EGRESS]).toBe(1);
  });
});

test('a program is attached in the direction it was verified for', () => {
  const { host } = setup();
  const id = load(host, 'compiled', BPF_CGROUP_INET_EGRESS, 'r0 = 3\nexit');
  expect(() => host.bpf.attachCgroup(id, BPF_CGROUP_INET_INGRESS)).toThrow('the other direction');
  host.bpf.attachCgroup(id, BPF_CGROUP_INET_EGRESS);
  expect(() => host.bpf.attachCgroup(id, BPF_CGROUP_INET_EGRESS)).toThrow('attached already');
  expect(() => host.bpf.unload(id)).toThrow('attached to the cgroup');
  host.bpf.detachCgroup(id, BPF_CGROUP_INET_EGRESS);
  expect(host.socketGate).toBeUndefined();
  host.bpf.unload(id);
});
