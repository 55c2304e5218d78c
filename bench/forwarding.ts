/**
 * Forwarding through two hosts, 60-byte UDP: netloom in this process, the kernel's veth forwarding beside it (which pays
 * one write and one read system call a packet, from Python).
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { inject, portDevice } from '../src/device/simple.ts';
import { vethPair } from '../src/device/veth.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { ip } from '../src/tools/ip/main.ts';
import { type Figure, median } from './figure.ts';

const PACKETS = 200_000;
const FRAME = Uint8Array.from(
  Buffer.from(
    `0200000000000200000000a00800${'4500002e00004000401126c20a0000020a000102'}${'03e80035001a0000'}${'78'.repeat(18)}`,
    'hex',
  ),
);

/** Nanoseconds per packet through tap, router A, veth, router B, tap. */
export function netloomForwarding(rounds: number): number[] {
  const world = new World();
  const a = new Host(world, 'a');
  const b = new Host(world, 'b');
  let out = 0;
  const t0 = portDevice(world, { name: 't0', address: Uint8Array.of(2, 0, 0, 0, 0, 0) }, () => {});
  const t1 = portDevice(world, { name: 't1', address: Uint8Array.of(2, 0, 0, 0, 0, 1) }, () => {
    out++;
  });
  const veth = vethPair(
    world,
    { name: 'va', address: Uint8Array.of(2, 0, 0, 0, 1, 0) },
    { name: 'vb', address: Uint8Array.of(2, 0, 0, 0, 1, 1) },
  );
  a.devices.register(t0);
  a.devices.register(veth.a);
  b.devices.register(veth.b);
  b.devices.register(t1);
  const run = (host: Host, lines: readonly string[]): void => {
    const io = { netlink: hostNetlink(host) };
    for (const line of lines) {
      const { code, stderr } = ip(line.split(' '), io);
      if (code !== 0) throw new Error(`ip ${line}: ${stderr}`);
    }
    host.setSysctl('net.ipv4.ip_forward', '1');
  };
  run(a, ['link set t0 up', 'link set va up', 'addr add 10.0.0.1/24 dev t0', 'addr add 10.1.0.1/30 dev va']);
  run(b, [
    'link set t1 up',
    'link set vb up',
    'addr add 10.0.1.1/24 dev t1',
    'addr add 10.1.0.2/30 dev vb',
    'neigh add 10.0.1.2 lladdr 02:00:00:00:00:a1 dev t1',
  ]);
  run(a, ['route add 10.0.1.0/24 via 10.1.0.2']);
  run(b, ['route add 10.0.0.0/24 via 10.1.0.1']);
  world.runFor(3e9);
  // The header checksum of the frame is filled in once.
  let sum = 0;
  for (let i = 14; i < 34; i += 2) if (i !== 24) sum += (FRAME[i] << 8) | FRAME[i + 1];
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
  FRAME[24] = sum >> 8;
  FRAME[25] = sum & 255;
  const results: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    out = 0;
    const start = process.hrtime.bigint();
    for (let i = 0; i < PACKETS; i += 64) {
      for (let k = 0; k < 64; k++) inject(t0, FRAME);
      world.settle();
    }
    const spent = Number(process.hrtime.bigint() - start) / out;
    if (out < PACKETS) throw new Error(`only ${out} of ${PACKETS} packets came out`);
    if (round > 0) results.push(spent);
  }
  return results;
}

export function forwarding(folder: string): Figure {
  const ours = median(netloomForwarding(5));
  const { stdout, status } = spawnSync('/usr/bin/python3', [join(folder, 'kernel-forward.py'), '20000', '5'], {
    encoding: 'utf8',
  });
  const kernel = status === 0 ? Number(stdout) : Number.NaN;
  return {
    name: 'forwarding through two hosts, 60-byte frames',
    ours: `${Math.round(1e6 / ours)} k packets/s`,
    peer: Number.isNaN(kernel)
      ? 'the kernel could not be measured here'
      : `${Math.round(1e6 / kernel)} k packets/s (kernel, veth between two namespaces, one write and one read a packet)`,
    ratio: ours / kernel,
    note: 'netloom time over kernel time',
  };
}
