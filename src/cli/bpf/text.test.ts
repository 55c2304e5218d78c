import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readPcap, writePcap } from '../../wire/pcap.ts';
import { runCli } from '../program.ts';

const own = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf/own');
const folder = mkdtempSync(join(tmpdir(), 'netloom-bpf-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, content?: string | Uint8Array): string => {
  const path = join(folder, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
};

let out = '';
beforeEach(() => {
  out = '';
  const take = (text: unknown): boolean => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(take as typeof process.stdout.write);
  vi.spyOn(process.stderr, 'write').mockImplementation(take as typeof process.stderr.write);
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => void take(`${String(text)}\n`));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});
const bpf = (...args: string[]): Promise<number> => runCli(['bpf', ...args]);

const frame = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const udp = (port: string): Uint8Array =>
  frame(
    `020000000002 020000000001 0800 4500 0020 0001 0000 40 11 0000 0a000001 c0a80107 1234 ${port} 000c 0000 01020304`,
  );
const capture = file(
  'three.pcap',
  writePcap(
    [udp('0035'), udp('0043'), udp('0035')].map((bytes, i) => ({
      timeNs: 1_700_000_000_000_000_000n + BigInt(i),
      bytes,
      length: bytes.length,
      linkType: 1,
    })),
  ),
);

describe('netloom bpf filter', () => {
  test('prints the packets that match and ends with 0, or with 1 when none does', async () => {
    expect(await bpf('filter', 'dst port domain', capture)).toBe(0);
    expect(out).toMatch(/^1 2023-11-14 22:13:20\.000000000 .*10\.0\.0\.1.*\n3 2023-11-14 22:13:20\.000000002 .*\n$/);
    out = '';
    expect(await bpf('filter', 'tcp', capture)).toBe(1);
    expect(out).toBe('');
    expect(await bpf('filter', 'host dns and udp', capture, '--host', 'dns=192.168.1.7', '--count')).toBe(0);
    expect(out).toBe('3\n');
  });

  test('writes them to a file, and prints JSON', async () => {
    const target = file('out.pcap');
    expect(await bpf('filter', 'dst port 67', capture, '--write', target)).toBe(0);
    expect(readPcap(new Uint8Array(readFileSync(target))).map((p) => p.timeNs)).toEqual([1_700_000_000_000_000_001n]);
    expect(await bpf('filter', 'dst port 67', capture, '--json')).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ number: 2, length: 46, linkType: 1 });
  });

  test('shows the program as tcpdump does, and as eBPF', async () => {
    expect(await bpf('filter', '-d', 'ip')).toBe(0);
    expect(out).toBe(
      '(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n(002) ret      #262144\n(003) ret      #0\n',
    );
    out = '';
    expect(await bpf('filter', '-ddd', 'ip')).toBe(0);
    expect(out).toBe('4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n');
    out = '';
    expect(await bpf('filter', '--ebpf', 'ip')).toBe(0);
    expect(out).toContain('(28) r0 = *(u16 *)skb[12]');
  });

  test('marks the place of a mistake and ends with 2', async () => {
    expect(await bpf('filter', 'tcp port 80 and net 10.1.0.0/8', capture)).toBe(2);
    expect(out).toBe(
      `filter:1:21: non-network bits set in "10.1.0.0/8"\ntcp port 80 and net 10.1.0.0/8\n${' '.repeat(20)}^\n`,
    );
    expect(await bpf('filter', 'ip', file('missing.pcap'))).toBe(2);
    expect(await bpf('filter', 'ip')).toBe(2);
  });
});

describe('netloom bpf asm and disasm', () => {
  const text = file('two.s', 'r0 = 2\nif r1 > 5 goto out\nr0 = 1\nout: exit\n');
  const bytes = 'b700000002000000\n2501010005000000\nb700000001000000\n9500000000000000\n';

  test('turn text into bytes and back', async () => {
    expect(await bpf('asm', text)).toBe(0);
    expect(out).toBe(bytes);
    out = '';
    expect(await bpf('disasm', '--hex', bytes, '--style', 'clang', '--labels')).toBe(0);
    expect(out).toBe('  r0 = 0x2\n  if r1 > 0x5 goto L3\n  r0 = 0x1\nL3:\n  exit\n');
    const raw = file('two.bin');
    expect(await bpf('asm', text, '--out', raw)).toBe(0);
    out = '';
    expect(await bpf('disasm', '--raw', raw)).toBe(0);
    expect(out).toBe('0: (b7) r0 = 2\n1: (25) if r1 > 0x5 goto pc+1\n2: (b7) r0 = 1\n3: (95) exit\n');
  });

  test('verify what was assembled', async () => {
    expect(await bpf('asm', file('ok.s', 'r0 = 2; exit'), '--verify', 'xdp')).toBe(0);
    expect(out).toBe('accepted, 2 instructions walked\n');
    expect(await bpf('asm', file('bad.s', 'r0 = r7; exit'), '--verify', 'xdp')).toBe(1);
    expect(out).toContain('R7 !read_ok');
  });

  test('mark mistakes and end with 2', async () => {
    expect(await bpf('asm', file('wrong.s', 'r0 = 1\n  r1 = frob'))).toBe(2);
    expect(out).toMatch(/wrong\.s:2:12: expected "ll", found end of line\n {2}r1 = frob\n {11}\^\n$/);
    expect(await bpf('disasm', '--hex', 'b7')).toBe(2);
    expect(await bpf('disasm')).toBe(2);
  });

  test.skipIf(!existsSync(own))(
    'show objects with source lines and names of maps, in text that assembles',
    async () => {
      const object = join(own, 'tailmaps__clang19_v3.o');
      expect(await bpf('disasm', object)).toBe(0);
      expect(out).toMatch(/^# \w+ \(\w+\), section /);
      expect(out).toMatch(/\n; /);
      expect(out).toMatch(/\(18\) r\d = map\[id:\d\] {2}; \w+\n/);
      out = '';
      expect(await bpf('disasm', object, '--style', 'clang', '--labels', '--no-source')).toBe(0);
      expect(out).toMatch(/r\d = \w+ ll\n/);
    },
  );
});
