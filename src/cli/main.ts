/** Entry point of `bin/netloom.js`. */
import { runCli } from './program.ts';

// A reader that has seen enough (`netloom try ... | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2));
