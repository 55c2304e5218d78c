/** `npm run bench [-- --json]`: builds, then measures the README's figures. */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, run } from './setup.js';

ensureInstalled();
ensureBuilt();
ensureBuilt('tsconfig.conformance.json', 'build/bench/run.js', ['src', 'conformance', 'bench']);
run(process.execPath, ['--expose-gc', join(root, 'build/bench/run.js'), ...process.argv.slice(2)]);
