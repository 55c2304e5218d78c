/**
 * What `npm start` and `npm test` need on a fresh clone: dependencies and a current build. Plain JavaScript, because it
 * runs before the TypeScript compiler is there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command in the repository; ends this process with its code when it fails. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

/** A program of an installed package. */
export function bin(name) {
  return join(root, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);
}

/** Installs the dependencies when they are not there. */
export function ensureInstalled() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`netloom needs Node 20.19 or later; this is ${process.versions.node}.`);
    process.exit(2);
  }
  if (existsSync(bin('tsc')) && existsSync(join(root, 'node_modules', 'yaml'))) return;
  console.log('Installing dependencies (once)...');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return time;
}

/** Compiles `folders` with a tsconfig when the result is missing or older than a source file. */
export function ensureBuilt(config = 'tsconfig.build.json', result = 'dist/cli/main.js', folders = ['src']) {
  const out = join(root, result);
  if (existsSync(out) && folders.every((f) => newest(join(root, f)) <= statSync(out).mtimeMs)) return;
  console.error('Building...');
  run(bin('tsc'), ['-p', config]);
}
