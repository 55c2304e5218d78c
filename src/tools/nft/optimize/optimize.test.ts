import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { optimize } from '../index.ts';

const table = (rules: readonly string[], family = 'ip'): string =>
  `table ${family} x {\n\tchain other {\n\t}\n\tchain y {\n${rules.map((rule) => `\t\t${rule}\n`).join('')}\t}\n}\n`;

/** The rules of chain y after merging. */
function merged(rules: readonly string[], family = 'ip'): string[] {
  const { text } = optimize(table(rules, family));
  const body = text.slice(text.indexOf('chain y {\n') + 10, text.lastIndexOf('\t}\n}'));
  return body.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
}

test('values of one field become a set', () => {
  expect(merged(['ip daddr 192.168.0.1 counter accept', 'ip daddr 192.168.0.2 counter accept'])).toEqual([
    'ip daddr { 192.168.0.1, 192.168.0.2 } counter accept',
  ]);
});

test('values of several fields become a concatenation, sets taken apart', () => {
  expect(
    merged([
      'meta iifname eth1 ip saddr 1.1.1.1 ip daddr 2.2.2.3 accept',
      'meta iifname eth1 ip saddr { 1.1.1.2, 1.1.1.3 } ip daddr 2.2.3.0/24 accept',
    ]),
  ).toEqual([
    'iifname . ip saddr . ip daddr { eth1 . 1.1.1.1 . 2.2.2.3, eth1 . 1.1.1.2 . 2.2.3.0/24, eth1 . 1.1.1.3 . 2.2.3.0/24 } accept',
  ]);
});

test('verdicts that differ become a verdict map, with the counters in it', () => {
  expect(merged(['tcp dport 22 accept', 'tcp dport { 23, 30-40 } drop', 'tcp dport 24 jump other'])).toEqual([
    'tcp dport vmap { 22 : accept, 23 : drop, 30-40 : drop, 24 : jump other }',
  ]);
  expect(
    merged(['ip saddr 1.1.1.1 ip daddr 2.2.2.2 counter accept', 'ip saddr 1.1.1.2 ip daddr 3.3.3.3 counter drop']),
  ).toEqual(['ip saddr . ip daddr vmap { 1.1.1.1 . 2.2.2.2 counter : accept, 1.1.1.2 . 3.3.3.3 counter : drop }']);
});

test('connection states listed by commas are members', () => {
  expect(merged(['ct state invalid drop', 'ct state established,related accept'])).toEqual([
    'ct state vmap { invalid : drop, established : accept, related : accept }',
  ]);
});

test('verdict maps of one key are joined', () => {
  expect(merged(['tcp dport vmap { 80 : accept }', 'tcp dport vmap { 81 : drop, 90-99 : accept }'])).toEqual([
    'tcp dport vmap { 80 : accept, 81 : drop, 90-99 : accept }',
  ]);
});

test('address translation becomes a map', () => {
  expect(merged(['tcp dport 80 dnat to 1.1.1.1:8001', 'tcp dport 81 dnat to 2.2.2.2:9001'])).toEqual([
    'dnat ip to tcp dport map { 80 : 1.1.1.1 . 8001, 81 : 2.2.2.2 . 9001 }',
  ]);
  expect(merged(['tcp dport 83 redirect to :8083', 'tcp dport 84 redirect to :8084', 'tcp dport 85 redirect'])).toEqual(
    ['redirect to :tcp dport map { 83 : 8083, 84 : 8084 }', 'tcp dport 85 redirect'],
  );
  expect(merged(['ip daddr 72.2.3.66 snat to 10.2.2.2', 'ip daddr 72.2.3.67 snat to 10.2.3.3'], 'inet')).toEqual([
    'snat ip to ip daddr map { 72.2.3.66 : 10.2.2.2, 72.2.3.67 : 10.2.3.3 }',
  ]);
  expect(merged(['ip saddr 10.141.11.0/24 masquerade', 'ip saddr 10.141.13.0/24 masquerade'])).toEqual([
    'ip saddr { 10.141.11.0/24, 10.141.13.0/24 } masquerade',
  ]);
});

test.each([
  ['negations', ['tcp dport != 22 accept', 'tcp dport != 23 accept']],
  ['comparisons by size', ['tcp dport > 22 accept', 'tcp dport > 23 accept']],
  ['named sets', ['tcp dport @a accept', 'tcp dport @b accept']],
  ['limits', ['tcp dport 22 limit rate 3/second accept', 'tcp dport 23 limit rate 3/second accept']],
  ['quotas', ['tcp dport 22 quota 10 bytes accept', 'tcp dport 23 quota 10 bytes accept']],
  ['marks that are set', ['tcp dport 22 meta mark set 1 accept', 'tcp dport 23 meta mark set 1 accept']],
  ['statements in front of a comparison', ['log tcp dport 22 accept', 'log tcp dport 23 accept']],
  ['logs in front of verdicts that differ', ['tcp dport 22 log accept', 'tcp dport 23 log drop']],
  ['log prefixes that differ', ['tcp dport 22 log prefix "a" accept', 'tcp dport 23 log prefix "b" accept']],
  ['rules with another between them', ['tcp dport 22 accept', 'udp dport 22 drop', 'tcp dport 23 accept']],
  ['flags that may be set together', ['tcp flags syn accept', 'tcp flags ack accept']],
  ['verdicts of one key that contradict', ['tcp dport 22 accept', 'tcp dport ssh drop']],
  ['ranges that overlap with other verdicts', ['ip saddr 10.0.0.1 accept', 'ip saddr 10.0.0.0/8 drop']],
  ['counters that would count once instead of twice', ['ip saddr 10.0.0.1 counter', 'ip saddr 10.0.0.0/8 counter']],
  ['answers that depend on the protocol', ['meta l4proto tcp reject', 'meta l4proto udp reject']],
  ['random numbers', ['numgen random mod 2 0 accept', 'numgen random mod 2 1 accept']],
])('%s are not merged', (_, rules) => {
  expect(merged(rules)).toEqual(rules);
});

test('a chain that may change the field is called by each rule', () => {
  const text = `table ip x {
	chain a { meta mark set 2; }
	chain y {
		meta mark 1 jump a
		meta mark 2 jump a
	}
}
`;
  expect(optimize(text).text).toBe(text);
});

test('a long group in which two contradict is merged in parts', () => {
  const rules = ['tcp dport 1 accept', 'tcp dport 2 drop', 'tcp dport 1 drop', 'tcp dport 3 accept'];
  expect(merged(rules)).toEqual(['tcp dport vmap { 1 : accept, 2 : drop }', 'tcp dport vmap { 1 : drop, 3 : accept }']);
});

test('what a counter has counted is kept', () => {
  expect(
    merged(['tcp dport 1 counter packets 3 bytes 40 accept', 'tcp dport 2 counter packets 1 bytes 2 accept']),
  ).toEqual(['tcp dport { 1, 2 } counter packets 4 bytes 42 accept']);
});

test('the rest of the text stays as it is', () => {
  const text = `# head
define web = { 80, 443 }
table ip x { # why
	chain y {
		tcp dport $web accept # web
		tcp dport 22 accept comment "ssh"

		# last
		drop; }
}
add rule ip x y tcp dport 1 accept
add rule ip x y tcp dport 2 accept
`;
  expect(optimize(text).text).toBe(`# head
define web = { 80, 443 }
table ip x { # why
	chain y {
		tcp dport { 80, 443, 22 } accept # web

		# last
		drop; }
}
add rule ip x y tcp dport 1 accept
add rule ip x y tcp dport 2 accept
`);
});

test('a merged text has nothing left of the rules, and merging again finds nothing new in them', () => {
  const once = optimize(table(['ip saddr 1.1.1.1 accept', 'ip saddr 1.1.1.2 accept', 'tcp dport 1 drop']));
  expect(once.merges).toHaveLength(1);
  expect(optimize(once.text)).toMatchObject({ text: once.text, merges: [], report: '' });
});

function realTool(): string | undefined {
  try {
    const version = execFileSync('nft', ['--version'], { encoding: 'utf8' });
    execFileSync('unshare', ['-n', 'true'], { stdio: 'ignore' });
    return version.includes('v1.0.6') ? undefined : `the installed nft is ${version.trim()}, not 1.0.6`;
  } catch {
    return 'nft or unshare is not there or not allowed';
  }
}

const missing = realTool();
if (missing !== undefined) console.log(`skipped: messages of the real tool (${missing})`);

test
  .skipIf(missing !== undefined)
  .each([
    [['ip daddr 192.168.0.1 counter accept comment "hi"', 'ip daddr 192.168.0.2 counter accept']],
    [['meta iifname "eth1" ip saddr 1.1.1.1 accept', 'meta iifname "eth2" ip saddr 1.1.1.0/24 accept']],
    [['tcp dport 22 accept', 'tcp dport 23 drop', 'tcp dport { 24, 26-30 } drop']],
    [['udp dport { 51820 } iifname foo accept', 'udp dport { 514, 67 } iifname bar accept']],
    [['meta iif lo ip saddr 1.1.1.1 accept', 'ip saddr 1.1.1.2 meta iif lo accept']],
    [['ct state established,related accept', 'ct state invalid drop']],
    [['ip saddr 1.1.1.5 counter accept', 'ip saddr 1.1.1.6 counter drop']],
    [['tcp dport 22 log prefix "a" accept', 'tcp dport ssh log prefix "a" accept', 'tcp dport 2 log accept']],
    [['tcp dport 1 reject', 'tcp dport 2 reject', 'tcp dport 3 reject with tcp reset']],
    [['iifname "eth*" accept', 'iifname "foo" accept', 'oifname { "a", "b" } drop', 'oifname "c" accept']],
    [['tcp flags & (syn|ack) == syn drop', 'tcp flags & (syn|ack) == ack drop']],
    [['tcp dport 22 dnat to 1.1.1.1', 'tcp dport 23 dnat to 1.1.1.2']],
    [['tcp dport 22 dnat to 1.1.1.1:80', 'tcp dport 23 dnat to 1.1.1.2:81']],
    [['tcp dport 1 ip saddr 1.1.1.5 accept', 'tcp dport 2 ip saddr 1.1.1.6 accept']],
    [['fib saddr type local accept', 'fib saddr type broadcast accept']],
  ])('%j is reported as the real tool reports it', (rules) => {
  const dir = mkdtempSync(join(tmpdir(), 'netloom-optimize-'));
  try {
    const file = join(dir, 'rules.nft');
    const text = table(rules);
    writeFileSync(file, text);
    const real = spawnSync('unshare', ['-n', 'nft', '-c', '-o', '-f', file], { encoding: 'utf8' });
    const { report, merges } = optimize(text, { file });
    // The real tool writes the rules to standard output and all else to standard error.
    expect(merges.map(({ shown }) => shown).join('')).toBe(real.stdout);
    expect(report.replaceAll(/^into:\n\t.*\n/gm, 'into:\n\t\n')).toBe(real.stderr);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
