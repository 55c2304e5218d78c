import { describe, expect, test } from 'vitest';
import { assemble } from '../bpf/asm/index.ts';
import { encodeClassic } from '../bpf/cbpf/index.ts';
import type { BpfMap } from '../bpf/maps/map.ts';
import type { LoadedProgram, RunMode } from '../bpf/system.ts';
import { DROP } from '../core/drop.ts';
import { EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, ENOENT, EPERM } from '../core/errno.ts';
import { TestNetwork } from '../lab/test-network.ts';
import { type Socket, sockaddr } from '../socket/socket.ts';
import { AF_INET } from '../wire/address.ts';
import * as u from '../wire/uapi/bpf.ts';
import * as s from '../wire/uapi/socket.ts';
import type { Host } from './host.ts';

const MODES: readonly RunMode[] = ['compiled', 'checking', 'interpreted'];
const LO = Uint8Array.of(127, 0, 0, 1);
const ANY = new Uint8Array(4);

function host(): { host: Host; settle: () => void } {
  const net = new TestNetwork({ slots: 128, largeSlots: 4 });
  const node = net.node('h');
  net.port('h:eth0');
  node.ip('addr add 10.0.0.1/24 dev eth0');
  return { host: node.host, settle: () => net.world.settle() };
}

function open(h: Host, port?: number, options: readonly number[] = []): Socket {
  const socket = h.socket(AF_INET, s.SOCK_DGRAM);
  if (typeof socket === 'number') throw new Error(`errno ${-socket}`);
  for (const name of options) expect(socket.setsockopt(s.SOL_SOCKET, name, 1)).toBe(0);
  if (port !== undefined) expect(socket.bind(sockaddr(LO, port))).toBe(0);
  return socket;
}

function load(
  h: Host,
  run: RunMode,
  type: number,
  attach: number,
  text: string,
  maps: readonly BpfMap[] = [],
): LoadedProgram {
  const { insns, errors } = assemble(text.replace(/(r\d) = m ll/, '(18) $1 = map[id:0]'));
  if (errors.length > 0) throw errors[0];
  const spec = { name: 'p', section: '', type, expectedAttachType: attach, flags: 0, license: 'GPL', insns, maps };
  return h.bpf.system.loadProgram(spec, maps, { run });
}

const bytes = (socket: Socket): number[] | number => {
  const got = socket.recvfrom();
  return typeof got === 'number' ? got : [...got.data];
};

describe.each(MODES)('programs at sockets (%s)', (run) => {
  test('a socket filter decides how much of a datagram a socket gets', () => {
    const { host: h, settle } = host();
    const server = open(h, 5000);
    const client = open(h);
    // From port 7777: the UDP header and two bytes; from others nothing.
    const filter = load(
      h,
      run,
      u.BPF_PROG_TYPE_SOCKET_FILTER,
      0,
      'r6 = r1\nr0 = *(u16 *)skb[0]\nif r0 == 7777 goto +2\nr0 = 0\nexit\nr0 = 10\nexit',
    );
    expect(server.setsockopt(s.SOL_SOCKET, s.SO_ATTACH_BPF, filter.id)).toBe(0);
    expect(client.sendto(Uint8Array.of(1, 2, 3, 4), sockaddr(LO, 5000))).toBe(4);
    settle();
    expect(bytes(server)).toBe(-EAGAIN);
    expect(h.world.drops[DROP.SOCKET_FILTER]).toBe(1);
    const other = open(h, 7777);
    other.sendto(Uint8Array.of(1, 2, 3, 4), sockaddr(LO, 5000));
    settle();
    expect(bytes(server)).toEqual([1, 2]);
    expect(() => h.bpf.unload(filter.id)).toThrow('attached to a socket');
    expect(server.setsockopt(s.SOL_SOCKET, s.SO_LOCK_FILTER, 1)).toBe(0);
    expect(server.setsockopt(s.SOL_SOCKET, s.SO_DETACH_FILTER, 0)).toBe(-EPERM);
    server.close();
    h.bpf.unload(filter.id);
  });

  test('sk_lookup sends packets for any port to one socket, and refuses others', () => {
    const { host: h, settle } = host();
    const map = h.bpf.system.createMap({
      name: 'm',
      type: u.BPF_MAP_TYPE_SOCKMAP,
      keySize: 4,
      valueSize: 8,
      maxEntries: 1,
      flags: 0,
    });
    const server = open(h, 5000);
    const client = open(h);
    expect(map.userUpdate(new Uint8Array(4), wide(server.sk.id), 0)).toBe(0);
    expect(map.userLookup(new Uint8Array(4), 0)).toEqual(wide(server.sk.id));
    const program = load(
      h,
      run,
      u.BPF_PROG_TYPE_SK_LOOKUP,
      u.BPF_SK_LOOKUP,
      `
      r6 = r1
      r2 = *(u32 *)(r6 + 60)
      if r2 == 6666 goto drop
      if r2 s< 7000 goto pass
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = m ll
      call bpf_map_lookup_elem
      if r0 == 0 goto pass
      r7 = r0
      r1 = r6
      r2 = r0
      r3 = 0
      call bpf_sk_assign
      r1 = r7
      call bpf_sk_release
    pass:
      r0 = 1
      exit
    drop:
      r0 = 0
      exit`,
      [map],
    );
    const link = h.bpf.system.links.create(program, { attachType: u.BPF_SK_LOOKUP });
    client.sendto(Uint8Array.of(9), sockaddr(LO, 7001));
    settle();
    expect(bytes(server)).toEqual([9]);
    const wild = h.socket(AF_INET, s.SOCK_DGRAM) as Socket;
    expect(wild.bind(sockaddr(ANY, 6666))).toBe(0);
    client.connect(sockaddr(LO, 6666));
    client.send(Uint8Array.of(1));
    settle();
    expect(bytes(client)).toBe(-ECONNREFUSED);
    h.bpf.system.links.release(link.id);
    client.send(Uint8Array.of(2));
    settle();
    expect(bytes(wild)).toEqual([2]);
    server.close();
    expect(map.userLookup(new Uint8Array(4), 0)).toBe(-ENOENT);
  });

  test('sk_reuseport chooses a member of a group from a map', () => {
    const { host: h, settle } = host();
    const map = h.bpf.system.createMap({
      name: 'm',
      type: u.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
      keySize: 4,
      valueSize: 8,
      maxEntries: 4,
      flags: 0,
    });
    const members = [0, 1, 2].map(() => open(h, 5000, [s.SO_REUSEPORT]));
    members.forEach((m, i) => {
      expect(map.userUpdate(word(i), wide(m.sk.id), 0)).toBe(0);
    });
    // The first byte of the payload is the member's number; 255 drops.
    const program = load(
      h,
      run,
      u.BPF_PROG_TYPE_SK_REUSEPORT,
      u.BPF_SK_REUSEPORT_SELECT,
      `
      r6 = r1
      r2 = *(u64 *)(r6 + 0)
      r3 = *(u64 *)(r6 + 8)
      r4 = r2
      r4 += 9
      if r4 > r3 goto drop
      r5 = *(u8 *)(r2 + 8)
      if r5 == 255 goto drop
      *(u32 *)(r10 - 4) = r5
      r3 = r10
      r3 += -4
      r1 = r6
      r2 = m ll
      r4 = 0
      call bpf_sk_select_reuseport
      r0 = 1
      exit
    drop:
      r0 = 0
      exit`,
      [map],
    );
    expect(members[0].setsockopt(s.SOL_SOCKET, s.SO_ATTACH_REUSEPORT_EBPF, program.id)).toBe(0);
    const client = open(h);
    for (const n of [2, 0, 1, 255]) client.sendto(Uint8Array.of(n), sockaddr(LO, 5000));
    settle();
    expect(members.map(bytes)).toEqual([[0], [1], [2]]);
    expect(members.map(bytes)).toEqual([-EAGAIN, -EAGAIN, -EAGAIN]);
  });

  test('cgroup programs refuse sockets, and move connect and bind to other addresses', () => {
    const { host: h, settle } = host();
    const attach = (type: number, at: number, text: string): number =>
      h.bpf.system.links.create(load(h, run, type, at, text), { attachType: at }).id;
    const ADDR = u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    const server = open(h, 5000);
    // connect: port 80 becomes port 5000; sendmsg: the same, from 127.0.0.9.
    const swap = (more: string): string =>
      `r2 = *(u32 *)(r1 + 24)\nif r2 != 0x5000 goto out\nr2 = 0x8813\n*(u32 *)(r1 + 24) = r2\n${more}\nout:\nr0 = 1\nexit`;
    attach(ADDR, u.BPF_CGROUP_INET4_CONNECT, swap(''));
    attach(ADDR, u.BPF_CGROUP_UDP4_SENDMSG, swap('r2 = 0x0900007f\n*(u32 *)(r1 + 40) = r2'));
    const client = open(h);
    expect(client.connect(sockaddr(LO, 80))).toBe(0);
    expect(client.getpeername()).toMatchObject({ port: 5000 });
    client.send(Uint8Array.of(1));
    const free = open(h);
    expect(free.sendto(Uint8Array.of(2), sockaddr(LO, 80))).toBe(1);
    settle();
    expect(bytes(server)).toEqual([1]);
    expect(server.recvfrom()).toMatchObject({ from: { address: Uint8Array.of(127, 0, 0, 9) } });
    attach(ADDR, u.BPF_CGROUP_INET4_BIND, 'r2 = 0x08080808\n*(u32 *)(r1 + 4) = r2\nr0 = 1\nexit');
    expect(open(h).bind(sockaddr(LO, 1234))).toBe(-EADDRNOTAVAIL);
    const id = attach(
      u.BPF_PROG_TYPE_CGROUP_SOCK,
      u.BPF_CGROUP_INET_SOCK_CREATE,
      'r2 = *(u32 *)(r1 + 12)\nr0 = 0\nif r2 == 17 goto +1\nr0 = 1\nexit',
    );
    expect(h.socket(AF_INET, s.SOCK_DGRAM)).toBe(-EPERM);
    expect(typeof h.socket(AF_INET, s.SOCK_DGRAM, 136)).toBe('object');
    h.bpf.system.links.release(id);
    expect(typeof h.socket(AF_INET, s.SOCK_DGRAM)).toBe('object');
  });

  test('sk_storage and cookies belong to a socket and go with it', () => {
    const { host: h, settle } = host();
    const map = h.bpf.system.createMap({
      name: 'm',
      type: u.BPF_MAP_TYPE_SK_STORAGE,
      keySize: 4,
      valueSize: 8,
      maxEntries: 0,
      flags: 1,
      btfKeyType: 1,
      btfValueType: 1,
    });
    const program = load(
      h,
      run,
      u.BPF_PROG_TYPE_CGROUP_SKB,
      u.BPF_CGROUP_INET_INGRESS,
      `
      r6 = r1
      call bpf_get_socket_cookie
      r7 = r0
      r2 = *(u64 *)(r6 + 168)
      if r2 == 0 goto out
      r1 = r2
      call bpf_sk_fullsock
      if r0 == 0 goto out
      r2 = r0
      r1 = m ll
      r3 = 0
      r4 = 1
      call bpf_sk_storage_get
      if r0 == 0 goto out
      *(u64 *)(r0 + 0) = r7
    out:
      r0 = 1
      exit`,
      [map],
    );
    h.bpf.system.links.create(program, { attachType: u.BPF_CGROUP_INET_INGRESS });
    const server = open(h, 5000);
    open(h).sendto(Uint8Array.of(1), sockaddr(LO, 5000));
    settle();
    expect(map.userLookup(word(server.sk.id), 0)).toEqual(wide(server.sk.id));
  });
});

test('a classic filter is checked, translated and run', () => {
  const { host: h, settle } = host();
  const server = open(h, 5000);
  expect(server.setsockopt(s.SOL_SOCKET, s.SO_ATTACH_FILTER, new Uint8Array(8).fill(0xff))).toBe(-22);
  expect(
    server.setsockopt(
      s.SOL_SOCKET,
      s.SO_ATTACH_FILTER,
      classic([0x30, 0, 0, 8], [0x15, 0, 1, 7], [6, 0, 0, 65_535], [6, 0, 0, 0]),
    ),
  ).toBe(0);
  const client = open(h);
  for (const n of [6, 7]) client.sendto(Uint8Array.of(n), sockaddr(LO, 5000));
  settle();
  expect(bytes(server)).toEqual([7]);
  expect(server.setsockopt(s.SOL_SOCKET, s.SO_DETACH_FILTER, 0)).toBe(0);
  expect(server.setsockopt(s.SOL_SOCKET, s.SO_DETACH_FILTER, 0)).toBe(-ENOENT);
});

test('a classic program numbers the members of a group by the payload', () => {
  const { host: h, settle } = host();
  const members = [0, 1].map(() => open(h, 5000, [s.SO_REUSEPORT]));
  const program = classic([0x30, 0, 0, 0], [0x16, 0, 0, 0]);
  expect(members[1].setsockopt(s.SOL_SOCKET, s.SO_ATTACH_REUSEPORT_CBPF, program)).toBe(0);
  const client = open(h);
  for (const n of [1, 0, 1]) client.sendto(Uint8Array.of(n), sockaddr(LO, 5000));
  settle();
  expect(members.map((m) => [bytes(m), bytes(m)])).toEqual([
    [[0], -EAGAIN],
    [[1], [1]],
  ]);
});

/** A classic program: code, jt, jf, k of each instruction. */
function classic(...insns: readonly (readonly [number, number, number, number])[]): Uint8Array {
  return encodeClassic(insns.map(([code, jt, jf, k]) => ({ code, jt, jf, k })));
}
function word(n: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(n).buffer);
}
function wide(n: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(n)).buffer);
}
