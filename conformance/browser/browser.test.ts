/**
 * The eBPF suites in headless Chromium, on a sample: what they say there is what they say in Node. `npm run browser` runs
 * them whole.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const shared = process.env.NETLOOM_SHARED ?? resolve(import.meta.dirname, '../../../shared');
const names = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const chromium = names.find((name) => name !== undefined && spawnSync(name, ['--version']).status === 0);

function unable(): string | undefined {
  if (!existsSync(join(shared, 'conformance/ebpf'))) return `${join(shared, 'conformance/ebpf')} is not here`;
  return chromium === undefined ? 'there is no Chromium' : undefined;
}
const reason = unable();
if (reason !== undefined) console.log(`eBPF suites in Chromium skipped: ${reason}`);

test.skipIf(reason !== undefined)(
  'verdicts and runs in Chromium are the recorded ones, interpreted, compiled and checking',
  () => {
    const script = join(import.meta.dirname, '../../scripts/browser.js');
    const { stdout, stderr, status } = spawnSync(process.execPath, [script, '--every', '20', '--minutes', '8'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    expect(`${stderr.replace('Building...\n', '')}${status === 0 ? '' : stdout}`).toBe('');
    for (const suite of ['programs', 'matrices', 'cbpf', 'conformance', 'core', 'own'])
      expect(stdout).toMatch(new RegExp(`^ebpf/${suite}, in Chromium, [0-9.]+ s:\n(.*\n)*?[1-9][0-9]* passed, `, 'm'));
  },
  600_000,
);
