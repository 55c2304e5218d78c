/** `npm test`: installs what is missing, then runs the test suite. Arguments go to Vitest. */
import { bin, ensureBuilt, ensureInstalled, run } from './setup.js';

ensureInstalled();
ensureBuilt();
run(bin('vitest'), ['run', ...process.argv.slice(2)]);
