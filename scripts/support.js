/**
 * `npm run support`: runs the conformance suites and writes what they show into the README, between its SUPPORT marks:
 * per topic, how many recorded behaviours of the real tools and the real kernel netloom reproduces.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './setup.js';

/** Suites: folder, what one case is, and the topic of a case (its id, and the group that the suite counts it in). */
const SUITES = [
  ['netfilter/wild-nft', 'real nftables files: load, list back', () => ''],
  ['netfilter/wild-iptables-save', 'real iptables-save files: load, save back', () => ''],
  ['netfilter/nft-py-1.0.6', 'nft rules of 1.0.6: bytecode, listing, JSON in and out', (_id, group) => group],
  ['netfilter/nft-py-1.1.0', 'nft rules of 1.1.0: bytecode, listing, JSON in and out', (_id, group) => group],
  ['netfilter/nft-dumps', 'whole rulesets of 1.1.0: text and JSON', (_id, group) => group],
  ['netfilter/nft-sessions', 'nft commands one after another: exit code, text, ruleset', () => ''],
  ['netfilter/nft-monitor', 'nft monitor', () => ''],
  ['netfilter/nft-match-matrix', 'nft rules against recorded packets', (id) => id.split('/')[1]?.split(' ')[0] ?? ''],
  [
    'netfilter/conntrack-sequences',
    'packets of connections: state, NAT, table',
    (id) => id.split('/')[0].replace(/\.jsonl.*/, ''),
  ],
  ['netfilter/conntrack-cli', 'conntrack commands: exit code, output, table', () => ''],
  ['netfilter/iptables-oracle', 'iptables rules: save text, bytecode, listing', () => ''],
  ['netfilter/iptables-t-1.8.9', "iptables' own test lines, 1.8.9 (ebtables and arptables too)", () => ''],
  ['netfilter/iptables-t-1.8.11', "iptables' own test lines, 1.8.11", () => ''],
  ['netfilter/iptables-sessions', 'iptables commands one after another, nft and legacy', () => ''],
  ['netfilter/iptables-txlate-1.8.9', 'iptables-translate 1.8.9 (no ebtables yet)', () => ''],
  ['netfilter/iptables-txlate-1.8.11', 'iptables-translate 1.8.11', () => ''],
  ['ebpf/programs', 'eBPF programs: verdicts and messages; runs in three ways', (_id, group) => group.split(' ')[0]],
  ['ebpf/own', 'C programs compiled by clang: maps, verdicts, runs', () => ''],
  ['ebpf/matrices', 'what may be encoded, accessed, called, created, returned', (_id, group) => group.split(' ')[0]],
  ['ebpf/cbpf', 'classic BPF: refusals, filters', (_id, group) => group],
  ['ebpf/conformance', 'bpf_conformance vectors', (_id, group) => group],
  ['ebpf/core', 'CO-RE relocations', () => ''],
];

ensureInstalled();
ensureBuilt('tsconfig.conformance.json', 'build/conformance/run.js', ['src', 'conformance']);
const shared = process.env.NETLOOM_SHARED ?? join(root, '../shared');
if (!existsSync(join(shared, 'conformance'))) {
  console.error(`support: the conformance data is not at ${shared}`);
  process.exit(2);
}

const rows = [];
for (const [suite, what, topicOf] of SUITES) {
  console.error(`${suite}...`);
  const { stdout } = spawnSync(
    process.execPath,
    ['--max-old-space-size=8192', join(root, 'build/conformance/run.js'), suite, '--json'],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 30,
      env: { ...process.env, NETLOOM_SHARED: shared },
    },
  );
  const topics = new Map();
  for (const line of stdout.split('\n')) {
    if (!line.startsWith('{')) continue;
    const result = JSON.parse(line);
    const topic = topicOf(result.id, result.group ?? '');
    const count = topics.get(topic) ?? { passed: 0, total: 0 };
    count.total++;
    if (result.ok) count.passed++;
    topics.set(topic, count);
  }
  const all = [...topics.values()];
  const sum = (key) => all.reduce((n, t) => n + t[key], 0);
  const whole = [...topics].filter(([name, t]) => name !== '' && t.passed === t.total).map(([name]) => name);
  const part = [...topics]
    .filter(([name, t]) => name !== '' && t.passed < t.total)
    .map(([name, t]) => `${name} ${t.passed}/${t.total}`);
  rows.push(
    `| ${what} | ${sum('passed')} of ${sum('total')} | ${whole.join(', ') || '-'} | ${part.join(', ') || '-'} |`,
  );
}

const table = [
  '| recorded from the real tools and the real kernel | reproduced | topics in full | topics in part |',
  '|---|---|---|---|',
  ...rows,
].join('\n');
const path = join(root, 'README.md');
const readme = readFileSync(path, 'utf8');
const marked = /<!-- SUPPORT -->[\s\S]*<!-- \/SUPPORT -->/;
if (!marked.test(readme)) {
  console.error('support: README.md has no SUPPORT marks');
  process.exit(2);
}
writeFileSync(path, readme.replace(marked, `<!-- SUPPORT -->\n${table}\n<!-- /SUPPORT -->`));
console.log(table);
