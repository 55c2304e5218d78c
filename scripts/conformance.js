/** `npm run conformance -- SUITE [--root DIR] [--filter RE] [--json]`: builds, then runs conformance/run.ts. */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, run } from './setup.js';

ensureInstalled();
ensureBuilt('tsconfig.conformance.json', 'build/conformance/run.js', ['src', 'conformance']);
run(process.execPath, ['--max-old-space-size=8192', join(root, 'build/conformance/run.js'), ...process.argv.slice(2)], {
  cwd: process.cwd(),
});
