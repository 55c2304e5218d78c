/**
 * UDP sockets of netloom against those of the running kernel: who may bind beside whom, who gets a datagram, what options
 * answer. Needs root for a namespace of its own; skipped without.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { TestNetwork } from '../../src/lab/test-network.ts';
import { type Socket, sockaddr } from '../../src/socket/socket.ts';
import { parseAddress } from '../../src/wire/address.ts';
import * as s from '../../src/wire/uapi/socket.ts';

type Step = Readonly<Record<string, unknown>> & { readonly do: string };
type Case = readonly Step[];
type Answer = unknown;

const script = fileURLToPath(new URL('sockets.py', import.meta.url));
const SETUP =
  'ip link set lo up; ip tuntap add d0 mode tap; ip link set d0 up; ip addr add 10.0.0.1/24 dev d0; sysctl -qw net.ipv6.conf.all.accept_dad=0; ip addr add fd00::1/64 dev d0 nodad; exec python3 "$0"';

function linux(cases: readonly Case[]): Answer[][] | undefined {
  const { status, stdout } = spawnSync('unshare', ['-n', 'sh', '-c', SETUP, script], {
    input: JSON.stringify(cases),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return status === 0 ? (JSON.parse(stdout) as Answer[][]) : undefined;
}

function world(): TestNetwork {
  const net = new TestNetwork({ slots: 256, largeSlots: 4 });
  net.port('h:d0');
  net.node('h').ip('addr add 10.0.0.1/24 dev d0');
  net.node('h').ip('addr add fd00::1/64 dev d0 nodad');
  net.world.runFor(3e9);
  return net;
}

function netloom(net: TestNetwork, steps: Case): Answer[] {
  const { host } = net.node('h');
  const socks: Socket[] = [];
  const where = (step: Step) => sockaddr(parseAddress(step.address as string)!, step.port as number);
  const out = steps.map((step): Answer => {
    const sock = socks[step.sock as number];
    switch (step.do) {
      case 'socket': {
        const made = host.socket(step.family === 4 ? 2 : 10, s.SOCK_DGRAM);
        if (typeof made === 'number') return made;
        socks.push(made);
        return 0;
      }
      case 'set': {
        const value = typeof step.value === 'string' ? new TextEncoder().encode(`${step.value}\0`) : step.value;
        return sock.setsockopt(step.level as number, step.name as number, value as number | Uint8Array);
      }
      case 'get': {
        const value = sock.getsockopt(step.level as number, step.name as number);
        return typeof value === 'number' ? value : new DataView(value.buffer, value.byteOffset).getInt32(0, true);
      }
      case 'bind':
        return sock.bind(where(step));
      case 'connect':
        return sock.connect(where(step));
      case 'disconnect':
        return sock.connect(undefined);
      case 'send':
      case 'write': {
        const data = Uint8Array.from(step.data as number[]);
        const sent = step.do === 'send' ? sock.sendto(data, where(step)) : sock.send(data);
        net.world.settle();
        return sent;
      }
      case 'recv': {
        const got = sock.recvfrom();
        return typeof got === 'number' ? got : [...got.data];
      }
      case 'close':
        sock.close();
        return 0;
      default:
        throw new Error(`no step ${step.do}`);
    }
  });
  for (const sock of socks) sock.close();
  return out;
}

type End = { readonly family: 4 | 6; readonly address: string; readonly v6only?: boolean };
const ENDS: readonly End[] = [
  { family: 4, address: '0.0.0.0' },
  { family: 4, address: '127.0.0.1' },
  { family: 4, address: '10.0.0.1' },
  { family: 6, address: '::' },
  { family: 6, address: '::', v6only: true },
  { family: 6, address: '::1' },
  { family: 6, address: 'fd00::1' },
  { family: 6, address: '::ffff:127.0.0.1' },
  { family: 6, address: '::ffff:0.0.0.0' },
];
type Flags = { readonly reuse?: boolean; readonly port?: boolean; readonly dev?: string };
const FLAGS: readonly Flags[] = [
  {},
  { reuse: true },
  { port: true },
  { reuse: true, port: true },
  { dev: 'lo' },
  { dev: 'd0', reuse: true },
];

/** Steps that open socket `n` with its options, and bind it. */
function opened(n: number, end: End, flags: Flags, port: number): Step[] {
  const set = (level: number, name: number, value: number | string): Step => ({
    do: 'set',
    sock: n,
    level,
    name,
    value,
  });
  return [
    { do: 'socket', family: end.family },
    ...(end.family === 6 ? [set(s.SOL_IPV6, s.IPV6_V6ONLY, end.v6only === true ? 1 : 0)] : []),
    ...(flags.reuse === true ? [set(s.SOL_SOCKET, s.SO_REUSEADDR, 1)] : []),
    ...(flags.port === true ? [set(s.SOL_SOCKET, s.SO_REUSEPORT, 1)] : []),
    ...(flags.dev === undefined ? [] : [set(s.SOL_SOCKET, s.SO_BINDTODEVICE, flags.dev)]),
    { do: 'bind', sock: n, address: end.address, port },
  ];
}

function compare(cases: readonly Case[]): void {
  const theirs = linux(cases);
  if (theirs === undefined) {
    console.log('skipped: no namespace with python3 to be had (root is needed)');
    return;
  }
  const net = world();
  const different = cases.flatMap((steps, i) => {
    const ours = netloom(net, steps);
    return JSON.stringify(ours) === JSON.stringify(theirs[i]) ? [] : [{ steps, ours, theirs: theirs[i] }];
  });
  console.log(`${cases.length} cases, ${different.length} different`);
  if (different.length > 0)
    console.log(
      different
        .slice(0, 12)
        .map((d) => JSON.stringify(d))
        .join('\n'),
    );
  expect(different.length).toBe(0);
}

test('who may bind beside whom is as in Linux', () => {
  const cases: Case[] = [];
  for (const a of ENDS)
    for (const b of ENDS)
      for (const f of FLAGS) for (const g of FLAGS) cases.push([...opened(0, a, f, 5000), ...opened(1, b, g, 5000)]);
  compare(cases);
}, 120_000);

test('who gets a datagram is as in Linux', () => {
  const random = new Random(Number(process.env.SEED ?? 7));
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const SIX = ['::1', 'fd00::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1'];
  const targets: readonly (readonly [4 | 6, string])[] = [
    [4, '127.0.0.1'],
    [4, '10.0.0.1'],
    [6, '::1'],
    [6, 'fd00::1'],
    [6, '::ffff:127.0.0.1'],
  ];
  const cases: Case[] = [];
  for (let i = 0; i < 1500; i++) {
    const count = 2 + random.below(3);
    const steps: Step[] = [];
    const families: number[] = [];
    const reuse = { reuse: true };
    for (let n = 0; n < count; n++) {
      const end = pick(ENDS);
      families.push(end.family);
      steps.push(...opened(n, end, random.below(4) === 0 ? { ...reuse, dev: pick(['lo', 'd0']) } : reuse, 5000));
    }
    // Some are connected to where the datagram will come from.
    for (let n = 0; n < count; n++) {
      if (random.below(3) !== 0) continue;
      const address = pick(families[n] === 4 ? ['127.0.0.1', '10.0.0.1'] : SIX);
      steps.push({ do: 'connect', sock: n, address, port: pick([6000, 6001]) });
    }
    const [family, address] = pick(targets);
    steps.push(...opened(count, { family, address: family === 4 ? '0.0.0.0' : '::' }, reuse, 6000), {
      do: 'send',
      sock: count,
      address,
      port: 5000,
      data: [7],
    });
    for (let n = 0; n <= count; n++) steps.push({ do: 'recv', sock: n });
    cases.push(steps);
  }
  compare(cases);
}, 120_000);

test('options and connecting answer as in Linux', () => {
  const cases: Case[] = [];
  const options: readonly (readonly [number, number])[] = [
    ...[s.SO_REUSEADDR, s.SO_TYPE, s.SO_BROADCAST, s.SO_SNDBUF, s.SO_RCVBUF, s.SO_PRIORITY, s.SO_MARK].map(
      (n) => [s.SOL_SOCKET, n] as const,
    ),
    ...[s.SO_PROTOCOL, s.SO_DOMAIN, s.SO_ACCEPTCONN, s.SO_ERROR, s.SO_NO_CHECK].map((n) => [s.SOL_SOCKET, n] as const),
    ...[s.SO_SNDBUFFORCE, s.SO_TIMESTAMP, s.SO_RXQ_OVFL, s.SO_BINDTOIFINDEX, s.SO_LOCK_FILTER, s.SO_DONTROUTE].map(
      (n) => [s.SOL_SOCKET, n] as const,
    ),
    ...[s.IP_TOS, s.IP_TTL, s.IP_PKTINFO, s.IP_MTU_DISCOVER, s.IP_RECVERR, s.IP_RECVTTL, s.IP_FREEBIND].map(
      (n) => [s.SOL_IP, n] as const,
    ),
    ...[s.IP_MTU, s.IP_MULTICAST_TTL, s.IP_MULTICAST_LOOP, s.IP_TRANSPARENT].map((n) => [s.SOL_IP, n] as const),
    ...[s.IPV6_V6ONLY, s.IPV6_UNICAST_HOPS, s.IPV6_TCLASS, s.IPV6_MTU_DISCOVER, s.IPV6_RECVERR].map(
      (n) => [s.SOL_IPV6, n] as const,
    ),
    ...[s.IPV6_MULTICAST_HOPS, s.IPV6_MULTICAST_LOOP, s.IPV6_MTU].map((n) => [s.SOL_IPV6, n] as const),
    ...[s.UDP_NO_CHECK6_TX, s.UDP_NO_CHECK6_RX, s.UDP_SEGMENT, s.UDP_GRO].map((n) => [s.SOL_UDP, n] as const),
    [s.SOL_SOCKET, 999],
  ];
  for (const family of [4, 6])
    for (const [level, name] of options)
      for (const value of [-2, -1, 0, 1, 2, 3, 5, 6, 7, 64, 255, 256, 1000, 70_000, 1_000_000])
        cases.push([
          { do: 'socket', family },
          { do: 'get', sock: 0, level, name },
          { do: 'set', sock: 0, level, name, value },
          { do: 'get', sock: 0, level, name },
        ]);
  const lo = { address: '127.0.0.1', port: 5000 };
  cases.push(
    [
      { do: 'socket', family: 4 },
      { do: 'write', sock: 0, data: [1] },
      { do: 'connect', sock: 0, ...lo },
      { do: 'write', sock: 0, data: [1] },
      { do: 'recv', sock: 0 },
      { do: 'recv', sock: 0 },
      { do: 'get', sock: 0, level: s.SOL_IP, name: s.IP_MTU },
      { do: 'disconnect', sock: 0 },
      { do: 'write', sock: 0, data: [1] },
    ],
    [
      { do: 'socket', family: 4 },
      { do: 'send', sock: 0, address: '255.255.255.255', port: 9, data: [1] },
      { do: 'send', sock: 0, address: '10.0.0.255', port: 9, data: [1] },
      { do: 'send', sock: 0, address: '192.0.2.1', port: 9, data: [1] },
      { do: 'send', sock: 0, address: '127.0.0.1', port: 0, data: [1] },
      { do: 'connect', sock: 0, address: '192.0.2.1', port: 9 },
      { do: 'bind', sock: 0, address: '192.0.2.1', port: 9 },
      { do: 'bind', sock: 0, address: '127.0.0.1', port: 9 },
      { do: 'bind', sock: 0, address: '127.0.0.1', port: 9 },
    ],
    [
      { do: 'socket', family: 4 },
      { do: 'set', sock: 0, level: s.SOL_IP, name: s.IP_MTU_DISCOVER, value: s.IP_PMTUDISC_DO },
      { do: 'send', sock: 0, address: '10.0.0.9', port: 9, data: new Array(1473).fill(1) },
      { do: 'send', sock: 0, address: '10.0.0.9', port: 9, data: new Array(1472).fill(1) },
      { do: 'send', sock: 0, address: '10.0.0.1', port: 9, data: new Array(65_508).fill(1) },
    ],
  );
  compare(cases);
}, 120_000);
