import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli } from '../program.ts';

const own = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf/own');
const there = existsSync(own);
if (!there) console.warn(`skipped: ${own} is not there`);

const folder = mkdtempSync(join(tmpdir(), 'netloom-bpf-'));
afterAll(() => rmSync(folder, { recursive: true }));

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

describe('netloom bpf verify', () => {
  test('ends with 2 and says where when the file is no BPF object', async () => {
    expect(await runCli(['bpf', 'verify', join(folder, 'missing.o')])).toBe(2);
    expect(out).toMatch(/missing\.o: no such file/);
    const file = join(folder, 'bad.o');
    writeFileSync(file, new Uint8Array(100));
    expect(await runCli(['bpf', 'verify', file])).toBe(2);
    expect(out).toMatch(/bad\.o: ELF\+0x0: no ELF file/);
  });

  test.skipIf(!there)('ends with 0 when every program is accepted', async () => {
    expect(await runCli(['bpf', 'verify', join(own, 'xdp_drop_udp__clang19_v3.o')])).toBe(0);
    expect(out).toMatch(/accepted {3}xdp_drop_udp \(xdp\): \d+ instructions, \d+ walked, .*maps cnt xdp_drop\.rodata/);
  });

  test.skipIf(!there)('ends with 1 and shows the message, the source line and a hint for a refusal', async () => {
    expect(await runCli(['bpf', 'verify', join(own, 'bad__clang19_v4.o'), '--prog', 'no_bounds'])).toBe(1);
    expect(out).toMatch(/REFUSED {4}no_bounds \(xdp\): R1 offset is outside of the packet/);
    expect(out).toMatch(/bad\.c:5:\d+: SEC/);
    expect(out).toMatch(/hint: Compare pointer \+ size with data_end/);
  });

  test.skipIf(!there)('prints annotations for GitHub at the source line', async () => {
    const words = ['bpf', 'verify', join(own, 'bad__clang19_v4.o'), '--prog', 'no_bounds', '--annotate', 'github'];
    expect(await runCli(words)).toBe(1);
    expect(out).toMatch(
      /^::error file=[^,]*bad\.c,line=5,col=\d+,title=BPF verifier%3A no_bounds::R1 offset .*%0ACompare/m,
    );
  });

  test.skipIf(!there)('prints JSON', async () => {
    await runCli(['bpf', 'verify', join(own, 'bad__clang19_v4.o'), '--prog', 'no_bounds', '--json']);
    const { results } = JSON.parse(out) as { results: Record<string, unknown>[] };
    expect(results[0]).toMatchObject({ program: 'no_bounds', type: 'xdp', verdict: 'refused', errno: 13, insn: 1 });
  });

  test.skipIf(!there)('names the programs there are when one is asked for that is not', async () => {
    expect(await runCli(['bpf', 'verify', join(own, 'bad__clang19_v4.o'), '--prog', 'nope'])).toBe(2);
    expect(out).toMatch(/there is no program 'nope'; programs: no_bounds, /);
  });
});
