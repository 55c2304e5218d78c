import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Lab } from './lab.ts';

const folder = fileURLToPath(new URL('../../examples/bpf/', import.meta.url));

function start(): Lab {
  const net = Lab.from(readFileSync(`${folder}lab.yml`, 'utf8'), 'lab.yml', {
    readBytes: (path) => new Uint8Array(readFileSync(`${folder}${path.slice(path.lastIndexOf('/') + 1)}`)),
  });
  for (const c of net.start()) expect(c.stderr).toBe('');
  return net;
}

test('objects attach to the devices of a lab with the words of ip, tc and bpftool', () => {
  const net = start();
  const b = net.host('b');
  expect(b.run('ip link show dev eth1')).toContain(' xdp qdisc');
  expect(b.run('bpftool net list')).toBe('eth1 xdp port_filter id 1\n');
  expect(b.run('tc filter show dev eth1 ingress')).toContain('port_filter.o:[tc] direct-action id 2');
  expect(net.host('a').exec('ping -c 1 b').code).toBe(0);
  const verdicts = JSON.parse(b.run('bpftool -j map dump name verdicts')) as { formatted: { value: number } }[];
  expect(verdicts[2].formatted.value).toBeGreaterThan(0);
  b.run('ip link set dev eth1 xdp off');
  b.run('tc qdisc del dev eth1 clsact');
  expect(b.run('bpftool net list')).toBe('');
  expect(b.run('tc filter show dev eth1 ingress')).toBe('');
});

test('a program that the verifier refuses changes nothing, and the error names the line and what to change', () => {
  const b = start().host('b');
  const before = b.run('bpftool prog list') + b.run('bpftool net list');
  const result = b.exec('ip link set dev eth1 xdp obj port_filter.o program too_trusting');
  expect(result.code).toBe(1);
  expect(result.stderr).toContain('R1 offset is outside of the packet');
  expect(result.stderr).toMatch(/port_filter\.c:\d+: return eth->h_proto/);
  expect(b.run('bpftool prog list') + b.run('bpftool net list')).toBe(before);
  expect(b.exec('bpftool prog unload id 1').stderr).toContain('Device or resource busy');
});
