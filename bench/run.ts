/**
 * `npm run bench`: measures every figure of the README and prints them as its table. `--json` for programs.
 */
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Figure } from './figure.ts';
import { forwarding } from './forwarding.ts';
import { hosts } from './hosts.ts';
import { tryLargeFile } from './try.ts';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const figures: Figure[] = [];
for (const measure of [
  (): Figure[] => [forwarding(join(repository, 'bench'))],
  hosts,
  (): Figure[] => [tryLargeFile(repository)],
]) {
  console.error('measuring...');
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
