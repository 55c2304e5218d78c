import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { build } from '../wire/build.ts';
import { readCapture } from '../wire/capture.ts';
import { ether, ip, tcp } from '../wire/layer.ts';
import { writePcap } from '../wire/pcap.ts';
import { checkExpectFile } from './check.ts';
import { checkLabFile } from './lab-check.ts';
import { runCli } from './program.ts';

const office = resolve(import.meta.dirname, '../../examples/office');
const folder = mkdtempSync(join(tmpdir(), 'netloom-cli-'));
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

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const rules = (): string =>
  file(
    'fw.nft',
    `table inet t {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established accept
    iifname "lan" oifname "wan" tcp dport 443 accept
  }
}
`,
  );
const host = ['--iface', 'lan=10.0.0.1/24', '--iface', 'wan=192.0.2.2/24', '--route', 'default via 192.0.2.1'];

test('try ends with 0 for allowed, 1 for dropped, 2 for bad input', async () => {
  expect(await runCli(['try', rules(), ...host, 'lan 10.0.0.7 -> 203.0.113.9:443'])).toBe(0);
  expect(out).toContain('fw.nft:5  iifname "lan" oifname "wan" tcp dport 443 accept  [accept]');
  expect(await runCli(['try', rules(), ...host, 'lan 10.0.0.7 -> 203.0.113.9:80'])).toBe(1);
  expect(out).toContain('DROPPED by policy drop of inet t forward');
  expect(await runCli(['try', rules(), ...host, 'lan 10.0.0.7 => 203.0.113.9:80'])).toBe(2);
  expect(await runCli(['try', join(folder, 'none'), 'lan 10.0.0.7 -> 203.0.113.9:80'])).toBe(2);
  expect(await runCli(['try'])).toBe(2);
  expect(await runCli(['try', '--help'])).toBe(0);
  expect(out).toContain('Exit code: 0 every packet and its reply pass, 1 one is dropped, 2 bad input.');
});

test('replay counts a capture, says where it is damaged, and writes verdicts as comments', async () => {
  const syn = (dport: number): Uint8Array =>
    build([ether(), ip({ saddr: '10.0.0.7', daddr: '203.0.113.9' }), tcp({ sport: 40000, dport, flags: 2 })]);
  const packets = [443, 80].map((dport, i) => {
    const bytes = syn(dport);
    return { timeNs: BigInt(i) * 1_000_000n, bytes, length: bytes.length, linkType: 1 };
  });
  const whole = writePcap(packets);
  const path = join(folder, 'a.pcap');
  const judged = join(folder, 'judged.pcapng');
  writeFileSync(path, whole);
  expect(await runCli(['replay', rules(), path, ...host, '--limit', '1'])).toBe(0);
  expect(await runCli(['replay', rules(), path, ...host, '--write', judged])).toBe(1);
  expect(out).toMatch(/dropped +1 +50\.0 %/);
  expect(readCapture(readFileSync(judged)).map((p) => p.comments?.[0])).toEqual([
    `forwarded, in on lan by ${rules()}:5 iifname "lan" oifname "wan" tcp dport 443 accept`,
    'dropped, in on lan by policy drop of inet t forward',
  ]);
  writeFileSync(path, whole.subarray(0, whole.length - 7));
  expect(await runCli(['replay', rules(), path, ...host])).toBe(0);
  expect(out).toContain('truncated packet 2: 47 of 54 bytes, at byte 110; replayed what comes before');
  writeFileSync(path, 'no capture');
  expect(await runCli(['replay', rules(), path])).toBe(2);
  expect(out).toContain('neither a pcap nor a pcapng file');
});

test('a mistake in a ruleset is shown with file, line, column and caret', async () => {
  const bad = file('bad.nft', 'table inet t {\n  chain c {\n    tcp dprt 22 accept\n  }\n}\n');
  expect(await runCli(['try', bad, 'lan 10.0.0.7 -> 203.0.113.9:443'])).toBe(2);
  expect(out).toMatch(/bad\.nft:3:\d+-\d+: Error: /);
  expect(out).toMatch(/\n {4}tcp dprt 22 accept\n +\^+/);
});

test('--json holds the same as the text', async () => {
  expect(await runCli(['try', rules(), ...host, '--json', 'lan 10.0.0.7 -> 203.0.113.9:443'])).toBe(0);
  const [answer] = JSON.parse(out) as [{ verdict: string; request: { decided: { line: number } } }];
  expect(answer).toMatchObject({ verdict: 'allowed', request: { decided: { line: 5 } } });
});

test('what expect writes, test checks, and a changed rule is named in text, TAP and JUnit', async () => {
  const path = rules();
  const saved = join(folder, 'fw.yml');
  expect(await runCli(['expect', path, ...host, 'lan 10.0.0.7 -> 203.0.113.9:443', '--save', saved])).toBe(0);
  expect(readFileSync(saved, 'utf8')).toContain('rules: fw.nft\n');
  expect(await runCli(['test', saved])).toBe(0);
  writeFileSync(path, readFileSync(path, 'utf8').replace('443 accept', '443 drop'));
  const junit = join(folder, 'junit.xml');
  expect(await runCli(['test', saved, '--tap', '--junit', junit])).toBe(1);
  expect(out).toContain('not ok 1 - ');
  expect(out).toContain('now dropped, by fw.nft:5 iifname "lan" oifname "wan" tcp dport 443 drop');
  expect(readFileSync(junit, 'utf8')).toContain('failures="1"');
});

test('the tools run by themselves', async () => {
  expect(await runCli(['nft', '-c', '-f', rules()])).toBe(0);
  expect(await runCli(['iptables', '-A', 'INPUT', '-j', 'NOWHERE'])).not.toBe(0);
  expect(await runCli(['ip', '-br', 'link'])).toBe(0);
  expect(out).toContain('lo ');
});

test('the office keeps its expectations, and its lab its checks', () => {
  const changed = checkExpectFile(join(office, 'expectations.yml'), () => {}).filter((r) => !r.ok);
  expect(changed).toEqual([]);
  expect(checkLabFile(join(office, 'lab.yml')).filter((r) => !r.ok)).toEqual([]);
});
