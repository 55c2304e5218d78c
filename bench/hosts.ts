/**
 * Hosts started per second (a host with lo and one device, up, with an address; kernel namespaces set up the same way
 * beside it) and the memory of an idle host.
 */
import { spawnSync } from 'node:child_process';
import { World } from '../src/core/world.ts';
import { dummyDevice } from '../src/device/simple.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { ip } from '../src/tools/ip/main.ts';
import { type Figure, median } from './figure.ts';

function start(world: World, n: number): Host {
  const host = new Host(world, `h${n}`);
  host.devices.register(
    dummyDevice(world, { name: 'd0', address: Uint8Array.of(2, 0, 0, n >> 16, (n >> 8) & 255, n & 255) }),
  );
  const io = { netlink: hostNetlink(host) };
  for (const line of ['link set lo up', 'link set d0 up', 'addr add 10.0.0.1/24 dev d0']) {
    const { code, stderr } = ip(line.split(' '), io);
    if (code !== 0) throw new Error(`ip ${line}: ${stderr}`);
  }
  return host;
}

const KERNEL = `
for i in $(seq 1 $1); do
  ip netns add nlbench$$-$i
  ip -n nlbench$$-$i -batch - <<END
link set lo up
link add d0 type veth peer name d1
link set d0 up
addr add 10.0.0.1/24 dev d0
END
done
date +%s%N
for i in $(seq 1 $1); do ip netns del nlbench$$-$i; done
`;

export function hosts(): Figure[] {
  const count = 500;
  const rates: number[] = [];
  for (let round = 0; round < 4; round++) {
    const world = new World();
    const t = process.hrtime.bigint();
    for (let n = 0; n < count; n++) start(world, n);
    if (round > 0) rates.push(count / (Number(process.hrtime.bigint() - t) / 1e9));
  }
  const kernelCount = 40;
  const begin = BigInt(Date.now()) * 1_000_000n;
  const { stdout, status } = spawnSync('bash', ['-c', KERNEL, 'bench', String(kernelCount)], { encoding: 'utf8' });
  const kernel = status === 0 ? kernelCount / (Number(BigInt(stdout.trim()) - begin) / 1e9) : Number.NaN;
  const ours = median(rates);

  const world = new World();
  const kept: Host[] = [];
  globalThis.gc?.();
  const before = process.memoryUsage();
  for (let n = 0; n < 1000; n++) kept.push(start(world, n));
  globalThis.gc?.();
  const after = process.memoryUsage();
  const bytes = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / kept.length;
  return [
    {
      name: 'hosts started, with a device and an address',
      ours: `${Math.round(ours)} hosts/s`,
      peer: Number.isNaN(kernel)
        ? 'namespaces could not be measured here'
        : `${Math.round(kernel)} namespaces/s (ip netns add, ip -batch)`,
      ratio: kernel / ours,
      note: 'netloom time over kernel time',
    },
    {
      name: 'memory of an idle host',
      ours: `${(bytes / 1024).toFixed(1)} KiB`,
      peer: '-',
      ratio: Number.NaN,
      note: 'heap and array buffers, 1,000 hosts, the packet memory they share not counted',
    },
  ];
}
