/**
 * XDP objects that Debian's packages carry (xdp-tools, xdp-tests), attached to a device of a lab and to a veth of this
 * machine's kernel: the same captured frames pass both, and the programs' own counters agree.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadObject } from '../src/bpf/elf/index.ts';
import { Lab } from '../src/lab/lab.ts';
import { readCapture } from '../src/wire/capture.ts';
import { CaptureError, LINKTYPE_ETHERNET } from '../src/wire/pcap.ts';

const FOLDERS = ['/usr/lib/x86_64-linux-gnu/bpf', '/usr/libexec/xdp-tools'];
const shared = process.env.NETLOOM_SHARED ?? fileURLToPath(new URL('../../shared', import.meta.url));
const captures = join(shared, 'conformance/link/pcaps');

const objects = FOLDERS.filter(existsSync).flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /^(?:xdpfilt_.*|xdp_pass|xdp_drop|test_long_func_name)\.o$/.test(name))
    .map((name) => join(folder, name)),
);

const root = process.getuid?.() === 0;
const tools = ['ip', 'bpftool', 'unshare', 'python3'].every((tool) => spawnSync(tool, ['--help']).error === undefined);
const missing =
  objects.length === 0
    ? 'the packages xdp-tools and xdp-tests are not installed'
    : !existsSync(captures)
      ? '../shared/conformance/link/pcaps is not there'
      : !root || !tools
        ? 'needs root, ip, bpftool and unshare'
        : undefined;
if (missing !== undefined) console.warn(`skipped: ${missing}`);

const FRAMES = 3000;
/** What a veth with an MTU of 1500 takes. */
const MAX_FRAME = 1514;
const MIN_FRAME = 14;

function* files(folder: string): Iterable<string> {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else if (/\.(?:pcap|pcapng|cap)$/.test(name)) yield path;
  }
}

/** Ethernet frames of the captures: a few of each file, so that many protocols are among them. */
function frames(): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (const path of files(captures)) {
    let packets: readonly { readonly bytes: Uint8Array; readonly linkType: number }[];
    try {
      packets = readCapture(new Uint8Array(readFileSync(path)));
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      packets = error.packets;
    }
    const ethernet = packets.filter(
      (p) => p.linkType === LINKTYPE_ETHERNET && p.bytes.length >= MIN_FRAME && p.bytes.length <= MAX_FRAME,
    );
    out.push(...ethernet.slice(0, 8).map((p) => p.bytes));
    if (out.length >= FRAMES) break;
  }
  return out.slice(0, FRAMES);
}

/** Bytes as bpftool takes them. */
const words = (bytes: Uint8Array): string[] => [...bytes].map(String);

/** The most common values among the frames, as map keys: what the filters are to look for. */
function common(list: readonly (Uint8Array | undefined)[], count: number): string[][] {
  const seen = new Map<string, number>();
  for (const each of list)
    if (each !== undefined) seen.set(words(each).join(' '), (seen.get(words(each).join(' ')) ?? 0) + 1);
  return [...seen.entries()]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([key]) => key.split(' '));
}

type Update = readonly [map: string, words: readonly string[]];

// xdp-filter's flags in a map value: 1 source, 2 destination, 4 TCP, 8 UDP.
const update = (map: string, key: readonly string[], flags: number): Update => [
  map,
  ['key', ...key, 'value', String(flags), '0', '0', '0', '0', '0', '0', '0'],
];

function updates(list: readonly Uint8Array[]): Update[] {
  const type = (f: Uint8Array): number => (f[12] << 8) | f[13];
  const ip4 = list.filter((f) => type(f) === 0x0800 && f.length >= 38);
  const ip6 = list.filter((f) => type(f) === 0x86dd && f.length >= 58);
  return [
    ...common(
      ip4.map((f) => f.subarray(26, 30)),
      5,
    ).map((key) => update('filter_ipv4', key, 1)),
    ...common(
      ip4.map((f) => f.subarray(30, 34)),
      5,
    ).map((key) => update('filter_ipv4', key, 3)),
    ...common(
      ip6.map((f) => f.subarray(22, 38)),
      5,
    ).map((key) => update('filter_ipv6', key, 1)),
    ...common(
      list.map((f) => f.subarray(6, 12)),
      5,
    ).map((key) => update('filter_ethernet', key, 1)),
    ...common(
      list.map((f) => f.subarray(0, 6)),
      2,
    ).map((key) => update('filter_ethernet', key, 2)),
    // The key of the port array is the port in network order, read as a number of this machine.
    ...common(
      ip4.map((f) => f.subarray(36, 38)),
      8,
    ).map((key, i) => update('filter_ports', [...key, '0', '0'], [6, 10, 15, 5][i % 4])),
  ];
}

/** A frame without its first VLAN tag, which the kernel has taken out when packet sockets get to see it. */
function untagged(hex: string): string {
  return hex.slice(24, 28) === '8100' || hex.slice(24, 28) === '88a8' ? hex.slice(0, 24) + hex.slice(32) : hex;
}

type Outcome = { readonly passed: string[]; readonly stats: number[][] };

function throughNetloom(object: string, program: string, list: readonly Uint8Array[], set: readonly Update[]): Outcome {
  const net = Lab.from(
    'name: xdp\ntopology:\n  nodes:\n    a:\n    b:\n  links:\n    - endpoints: [a:eth1, b:eth1]\n',
    'lab.yml',
    { readBytes: (path) => new Uint8Array(readFileSync(path)) },
  );
  net.start();
  const b = net.host('b');
  b.run(`ip link set dev eth1 xdp obj ${object} program ${program}`);
  for (const [map, text] of set)
    if (b.run('bpftool map').includes(` name ${map} `)) b.run(`bpftool map update name ${map} ${text.join(' ')}`);
  const dev = b.namespace.devices.byName('eth1');
  if (dev === undefined) throw new Error('no eth1');
  const { world } = net;
  const passed: string[] = [];
  dev.taps.add((p, outgoing) => {
    if (!outgoing) passed.push(untagged(Buffer.from(world.slab.bytes(p)).toString('hex')));
  });
  for (const frame of list) {
    const p = world.slab.from(frame);
    dev.receive(p);
    world.settle();
  }
  const stats: number[][] = [];
  if (b.run('bpftool map').includes(' name xdp_stats_map ')) {
    const dump = JSON.parse(b.run('bpftool -j map dump name xdp_stats_map')) as { values: { value: string[] }[] }[];
    for (const { values } of dump) {
      const totals = [0, 0];
      for (const { value } of values) {
        const raw = Buffer.from(value.map((byte) => Number.parseInt(byte, 16)));
        totals[0] += Number(raw.readBigUInt64LE(0));
        totals[1] += Number(raw.readBigUInt64LE(8));
      }
      stats.push(totals);
    }
  }
  return { passed, stats };
}

function throughKernel(object: string, program: string, list: readonly Uint8Array[], set: readonly Update[]): Outcome {
  const script = fileURLToPath(new URL('./packaged-xdp.py', import.meta.url));
  const input = JSON.stringify({
    object,
    program,
    updates: set,
    frames: list.map((frame) => Buffer.from(frame).toString('hex')),
  });
  // ip pins maps in the BPF file system: it gets one of its own, which goes with the mount namespace.
  const command = 'mount -t bpf bpf /sys/fs/bpf && exec python3 "$0"';
  const child = spawnSync('unshare', ['-n', '-m', 'sh', '-c', command, script], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as Outcome;
}

test.skipIf(missing !== undefined)(
  'packaged XDP programs let the same frames of real captures pass, in a lab and in the kernel',
  () => {
    const list = frames();
    const set = updates(list);
    let count = 0;
    for (const path of objects) {
      const { programs } = loadObject(new Uint8Array(readFileSync(path)), { name: basename(path), lenient: true });
      for (const { name } of programs) {
        const kernel = throughKernel(path, name, list, set);
        const netloom = throughNetloom(path, name, list, set);
        expect([path, name, netloom.passed.length, netloom.stats]).toEqual([
          path,
          name,
          kernel.passed.length,
          kernel.stats,
        ]);
        expect(netloom.passed, `${path} ${name}`).toEqual(kernel.passed);
        count++;
        console.log(`${basename(path)} ${name}: ${kernel.passed.length} of ${list.length} frames pass both`);
      }
    }
    expect(count).toBeGreaterThan(0);
  },
  300_000,
);
