import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli } from '../program.ts';

const own = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf/own');
const there = existsSync(own);
if (!there) console.warn(`skipped: ${own} is not there`);

let out = '';
beforeEach(() => {
  out = '';
  const take = (text: unknown): boolean => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(take as typeof process.stdout.write);
  vi.spyOn(process.stderr, 'write').mockImplementation(take as typeof process.stderr.write);
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

test('netloom bpf wasm ends with 2 when the file is not there', async () => {
  expect(await runCli(['bpf', 'wasm', 'missing.o'])).toBe(2);
  expect(out).toMatch(/missing\.o: no such file/);
});

describe.skipIf(!there)('netloom bpf wasm', () => {
  test('shows the module of a program', async () => {
    expect(await runCli(['bpf', 'wasm', join(own, 'xdp_drop_udp__clang19_v3.o')])).toBe(0);
    expect(out).toMatch(/^\(module\n/);
    expect(out).toContain('(export "batch"');
    expect(out).toContain('(export "run"');
  });

  test('asks for one program when there are several, and ends with 1 for one that is refused', async () => {
    const bad = join(own, 'bad__clang19_v3.o');
    expect(await runCli(['bpf', 'wasm', bad])).toBe(2);
    const name = /--prog: (\w+)/.exec(out)?.[1] ?? '';
    out = '';
    expect(await runCli(['bpf', 'wasm', bad, '--prog', name])).toBe(1);
    expect(out).toMatch(/refused: /);
  });
});
