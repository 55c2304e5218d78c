import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli } from '../program.ts';

const shared = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf');
const there = existsSync(join(shared, 'own'));
if (!there) console.warn(`skipped: ${shared}/own is not there`);

let out = '';
beforeEach(() => {
  out = '';
  const take = (text: unknown): boolean => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(take as typeof process.stdout.write);
  vi.spyOn(process.stderr, 'write').mockImplementation(take as typeof process.stderr.write);
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => {
    out += `${String(text)}\n`;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

describe.skipIf(!there)('netloom bpf run', () => {
  const object = join(shared, 'own/xdp_drop_udp__clang19_v3.o');
  const packets = there ? (JSON.parse(readFileSync(join(shared, 'packets.json'), 'utf8')) as { hex: string }[]) : [];

  test('names the return value and shows what the maps hold afterwards', async () => {
    expect(await runCli(['bpf', 'run', object, '--packet', packets[0].hex])).toBe(0);
    expect(out).toMatch(/^packet \(70 bytes\): XDP_DROP \(1\)$/m);
    expect(out).toMatch(/^map cnt \(array\):\n {2}03000000 \(3\): 0100000000000000 \(1\)$/m);
  });

  test('gives the same answer interpreted and checked', async () => {
    for (const how of ['--interp', '--checking']) {
      out = '';
      expect(await runCli(['bpf', 'run', object, '--packet', packets[1].hex, how])).toBe(0);
      expect(out).toMatch(/^packet \(66 bytes\): XDP_PASS \(2\)$/m);
    }
  });

  test('prints JSON', async () => {
    await runCli(['bpf', 'run', object, '--packet', packets[0].hex, '--repeat', '10', '--json']);
    const parsed = JSON.parse(out) as { runs: Record<string, unknown>[]; maps: unknown[] };
    expect(parsed.runs[0]).toMatchObject({ ret: 1, action: 'XDP_DROP', data: packets[0].hex });
    expect(parsed.runs[0].nsPerRun).toBeGreaterThan(0);
  });

  test('ends with 1 when the program is refused', async () => {
    const bad = join(shared, 'own/bad__clang19_v4.o');
    expect(await runCli(['bpf', 'run', bad, '--prog', 'no_bounds', '--packet', packets[0].hex])).toBe(1);
    expect(out).toMatch(/refused: no_bounds: R1 offset is outside of the packet/);
  });

  test('ends with 2 for a packet that is neither hex nor a file', async () => {
    expect(await runCli(['bpf', 'run', object, '--packet', 'nothing.pcap'])).toBe(2);
    expect(out).toMatch(/--packet takes bytes in hex or a capture file, not 'nothing\.pcap'/);
  });
});
