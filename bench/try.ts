/**
 * `netloom try` on a file of 10,000 rules, whole process, beside the real `nft -c -f` of the same file.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Figure, median } from './figure.ts';

function rules(count: number): string {
  const lines = Array.from({ length: count }, (_, i) => {
    const host = `172.${16 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    return `    iifname "lan" ip saddr ${host} tcp dport ${1000 + (i % 50_000)} counter drop`;
  });
  return `table inet filter {\n  chain forward {\n    type filter hook forward priority 0; policy accept;\n${lines.join('\n')}\n  }\n}\n`;
}

function wall(command: string, args: readonly string[], ok: (status: number | null) => boolean): number {
  const t = process.hrtime.bigint();
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (!ok(status)) throw new Error(`${command} ${args.join(' ')}: exit ${status}\n${stderr}`);
  return Number(process.hrtime.bigint() - t) / 1e6;
}

export function tryLargeFile(repository: string): Figure {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
  try {
    const file = join(folder, 'rules.nft');
    writeFileSync(file, rules(10_000));
    const times = (command: string, args: readonly string[], ok: (s: number | null) => boolean): number =>
      median(Array.from({ length: 3 }, () => wall(command, args, ok)));
    const ours = times(
      process.execPath,
      [join(repository, 'bin/netloom.js'), 'try', file, 'lan 10.0.0.7 -> 203.0.113.9:443'],
      (s) => s === 0,
    );
    let real = Number.NaN;
    try {
      real = times('unshare', ['-n', 'nft', '-c', '-f', file], (s) => s === 0);
    } catch {
      // No nft here, or no right to make a namespace: the figure says so.
    }
    return {
      name: 'try on a file of 10,000 rules',
      ours: `${(ours / 1000).toFixed(2)} s`,
      peer: Number.isNaN(real)
        ? 'nft could not be run here'
        : `${(real / 1000).toFixed(2)} s (nft -c -f of the same file)`,
      ratio: ours / real,
      note: 'netloom time over nft time; whole processes, netloom also sends the packet and its reply',
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
