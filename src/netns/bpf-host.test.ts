import { describe, expect, test } from 'vitest';
import { assemble } from '../bpf/asm/index.ts';
import type { MapSpec } from '../bpf/program.ts';
import type { RunMode } from '../bpf/system.ts';
import { TestNetwork, type TestPort } from '../lab/test-network.ts';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_DEVMAP,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_XDP,
} from '../wire/uapi/bpf.ts';
import type { Host } from './host.ts';

const MODES: readonly RunMode[] = ['compiled', 'checking', 'interpreted'];

// UDP from 10.0.0.2 to 10.0.0.1 port 0x1389.
const udp = Uint8Array.from(
  Buffer.from(
    '020000000001' + '0200000000a0' + '0800' + '4500002000010000401166ca0a0000020a000001' + '13881389000c000061626364',
    'hex',
  ),
);

type Setup = { readonly net: TestNetwork; readonly a: TestPort; readonly b: TestPort; readonly host: Host };

function setup(): Setup {
  const net = new TestNetwork({ slots: 128, largeSlots: 4 });
  const a = net.port('r:eth0');
  const b = net.port('r:eth1');
  const r = net.node('r');
  r.ip('addr add 10.0.0.1/24 dev eth0');
  return { net, a, b, host: r.host };
}

function load(host: Host, run: RunMode, type: number, text: string, specs: readonly MapSpec[] = []): number {
  const maps = specs.map((m) => host.bpf.system.createMap(m));
  const { insns, errors } = assemble(text);
  if (errors.length > 0) throw errors[0];
  const spec = { name: 'p', section: '', type, expectedAttachType: 0, flags: 0, license: 'GPL', insns, maps: specs };
  return host.bpf.system.loadProgram(spec, maps, { run }).id;
}

const map = (name: string, type: number, valueSize: number): MapSpec => ({
  name,
  type,
  keySize: 4,
  valueSize,
  maxEntries: 4,
  flags: 0,
});

const le = (n: number, size = 4): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Math.floor(n / 256 ** i) % 256);

/** Drops UDP to port 5001 (0x1389), passes the rest. */
const DROP_PORT = `
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 42
  if r4 > r3 goto pass
  r5 = *(u16 *)(r2 + 36)
  if r5 != 0x8913 goto pass
  r0 = 1
  exit
pass:
  r0 = 2
  exit
`;

describe.each(MODES)('an XDP program, %s,', (mode) => {
  test('drops what it refuses before the host sees it, and passes the rest', () => {
    const { a, host } = setup();
    const dev = host.devices.byName('eth0')!;
    host.bpf.attachXdp(dev, load(host, mode, BPF_PROG_TYPE_XDP, DROP_PORT));
    const other = udp.slice();
    other[37] = 0x8a;
    a.frame(udp);
    a.frame(other);
    expect(host.bpf.hooksOf(dev.ifindex).xdp?.stats).toMatchObject({ packets: 2, drop: 1, pass: 1 });
    expect(dev.stats.rxPackets).toBe(1);
    host.bpf.attachXdp(dev, 0);
    a.frame(udp);
    expect(dev.stats.rxPackets).toBe(2);
  });

  test('sends frames back with XDP_TX, changed as it likes', () => {
    const { a, host } = setup();
    const dev = host.devices.byName('eth0')!;
    const id = load(
      host,
      mode,
      BPF_PROG_TYPE_XDP,
      `r2 = *(u32 *)(r1 + 0)
       r3 = *(u32 *)(r1 + 4)
       r4 = r2
       r4 += 14
       if r4 > r3 goto out
       *(u8 *)(r2 + 0) = 0xaa
       r0 = 3
       exit
     out:
       r0 = 0
       exit`,
    );
    host.bpf.attachXdp(dev, id);
    expect(a.frame(udp).map((f) => f[0])).toEqual([0xaa]);
    expect(a.frame(Uint8Array.of(1, 2, 3))).toEqual([]);
    expect(host.bpf.hooksOf(dev.ifindex).xdp?.stats).toMatchObject({ tx: 1, aborted: 1 });
  });

  test('redirects through a device map', () => {
    const { a, b, host } = setup();
    const dev = host.devices.byName('eth0')!;
    const devmap = map('devs', BPF_MAP_TYPE_DEVMAP, 4);
    const id = load(
      host,
      mode,
      BPF_PROG_TYPE_XDP,
      `r1 = map[id:0]
       r2 = 2
       r3 = 1
       call bpf_redirect_map
       exit`,
      [devmap],
    );
    const made = host.bpf.system.programs.get(id)!.maps[0];
    host.bpf.attachXdp(dev, id);
    a.frame(udp);
    expect(b.sent.length).toBe(0);
    expect(made.userUpdate(le(2), le(host.devices.byName('eth1')!.ifindex), 0)).toBe(0);
    a.frame(udp);
    expect(b.sent).toEqual([udp]);
    expect(host.bpf.hooksOf(dev.ifindex).xdp?.stats).toMatchObject({ drop: 1, redirect: 1 });
  });
});

describe.each(MODES)('a tc program, %s,', (mode) => {
  test('counts and marks on the way in, and the packet goes on', () => {
    const { a, host } = setup();
    const dev = host.devices.byName('eth0')!;
    const id = load(
      host,
      mode,
      BPF_PROG_TYPE_SCHED_CLS,
      `r6 = r1
       *(u32 *)(r10 - 4) = 0
       r1 = map[id:0]
       r2 = r10
       r2 += -4
       call bpf_map_lookup_elem
       if r0 == 0 goto out
       r1 = *(u32 *)(r6 + 0)
       lock *(u64 *)(r0 + 0) += r1
     out:
       *(u32 *)(r6 + 8) = 7
       r0 = 0
       exit`,
      [map('hits', BPF_MAP_TYPE_ARRAY, 8)],
    );
    host.bpf.tc(dev, 'ingress').attach(host.bpf.tcProgram(id));
    host.bpf.refresh(dev);
    const marks: number[] = [];
    host.hooks.register({
      pf: 2,
      hook: 0,
      priority: 0,
      name: 'test',
      fn: (p) => {
        marks.push(host.world.slab.mark(p));
        return 1;
      },
    });
    a.frame(udp);
    expect(marks).toEqual([7]);
    // len counts the Ethernet header at tc.
    expect(host.bpf.system.programs.get(id)!.maps[0].userLookup(le(0), 0)).toEqual(le(udp.length, 8));
  });

  test('redirects to another device, and drops on the way out', () => {
    const { a, b, host } = setup();
    const [eth0, eth1] = ['eth0', 'eth1'].map((n) => host.devices.byName(n)!);
    const redirect = load(host, mode, BPF_PROG_TYPE_SCHED_CLS, `r1 = ${eth1.ifindex}\nr2 = 0\ncall bpf_redirect\nexit`);
    host.bpf.tc(eth0, 'ingress').attach(host.bpf.tcProgram(redirect));
    host.bpf.refresh(eth0);
    a.frame(udp);
    expect(b.sent).toEqual([udp]);
    const shot = load(host, mode, BPF_PROG_TYPE_SCHED_CLS, 'r0 = 2\nexit');
    host.bpf.tc(eth1, 'egress').attach(host.bpf.tcProgram(shot));
    host.bpf.refresh(eth1);
    a.frame(udp);
    expect(b.sent.length).toBe(1);
  });
});

test('a refused program is not loaded, and the error says what the kernel says', () => {
  const { host } = setup();
  const text = 'r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 0)\nexit';
  expect(() => load(host, 'compiled', BPF_PROG_TYPE_XDP, text)).toThrow('R2 offset is outside of the packet');
  expect(host.bpf.system.programs.size).toBe(0);
});
