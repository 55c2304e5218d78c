/**
 * `npm run bench [-- NAME...] [--json]`: measures the figures of the README, or those of the names given (forwarding, hosts,
 * try, conntrack, bpf, netfilter), and prints them as its table.
 */
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bpf } from './bpf.ts';
import { conntrack } from './conntrack.ts';
import type { Figure } from './figure.ts';
import { forwarding } from './forwarding.ts';
import { hosts } from './hosts.ts';
import { netfilter } from './netfilter.ts';
import { tryLargeFile } from './try.ts';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const MEASURES: Readonly<Record<string, () => Figure[]>> = {
  forwarding: () => [forwarding(join(repository, 'bench'))],
  hosts,
  try: () => [tryLargeFile(repository)],
  conntrack,
  bpf: () => bpf(join(repository, 'bench')),
  netfilter: () => netfilter(join(repository, 'bench')),
};

const asked = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const unknown = asked.find((name) => MEASURES[name] === undefined);
if (unknown !== undefined) {
  console.error(`no measure '${unknown}': there are ${Object.keys(MEASURES).join(', ')}`);
  process.exit(2);
}
const figures: Figure[] = [];
for (const [name, measure] of Object.entries(MEASURES)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.error(`measuring ${name}...`);
  figures.push(...measure());
}
if (process.argv.includes('--json')) console.log(JSON.stringify(figures, null, 2));
else {
  console.log('| what | netloom | beside it | ratio |');
  console.log('|---|---|---|---|');
  for (const f of figures) {
    console.log(
      `| ${f.name} | ${f.ours} | ${f.peer} | ${Number.isNaN(f.ratio) ? '-' : f.ratio.toFixed(2)} (${f.note}) |`,
    );
  }
}
