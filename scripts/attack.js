/** `npm run attack -- [--programs N] [--kernel N] [--seed N] [--from N] [--json]`: builds, then runs conformance/ebpf-attack/main.ts. */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, run } from './setup.js';

ensureInstalled();
ensureBuilt('tsconfig.conformance.json', 'build/conformance/run.js', ['src', 'conformance']);
run(process.execPath, [join(root, 'build/conformance/ebpf-attack/main.js'), ...process.argv.slice(2)], { cwd: root });
