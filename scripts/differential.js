/** `npm run differential -- [--rulesets N] [--packets N] [--seed N] [--no-kernel]`: builds, then runs conformance/differential/main.ts. */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, run } from './setup.js';

ensureInstalled();
ensureBuilt('tsconfig.conformance.json', 'build/conformance/run.js', ['src', 'conformance']);
run(process.execPath, [join(root, 'build/conformance/differential/main.js'), ...process.argv.slice(2)], { cwd: root });
