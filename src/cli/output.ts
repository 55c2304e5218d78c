/** What the commands share: files, colours, exit codes, a sign of life for long work. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { BadInput } from '../firewall/problem.ts';
import { COLOURED, PLAIN, type Style } from '../firewall/report.ts';

export const OK = 0;
export const REFUSED = 1;
export const BAD_INPUT = 2;

/** Reads a text file; the error names it. */
export function readText(path: string): string {
  if (path === '-') return readFileSync(0, 'utf8');
  try {
    if (statSync(path).isDirectory()) throw new Error('is a directory');
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BadInput(`${path}: ${reason(error)}`);
  }
}

/** Reads a file as bytes. */
export function readBytes(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new Error(reason(error));
  }
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'not readable' : message;
}

export function exists(path: string): boolean {
  return existsSync(path);
}

/** Colours on a terminal, unless NO_COLOR says otherwise (no-color.org). */
export function style(): Style {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  const wanted = FORCE_COLOR !== undefined && FORCE_COLOR !== '0' ? true : process.stdout.isTTY === true;
  return wanted && (NO_COLOR === undefined || NO_COLOR === '') ? COLOURED : PLAIN;
}

/** Counts on standard error when a terminal waits for more than two seconds. */
export class Progress {
  readonly #start: number = Date.now();
  #last = 0;
  #shown = false;

  step(done: number, total: number, what: string): void {
    const now = Date.now();
    if (!process.stderr.isTTY || now - this.#start < 2000 || now - this.#last < 200) return;
    this.#last = now;
    this.#shown = true;
    process.stderr.write(`\r${done} of ${total} ${what}...`);
  }

  done(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
  }
}

/** Runs a command; bad input becomes text and code 2. */
export async function guarded(run: () => number | Promise<number>): Promise<void> {
  try {
    process.exitCode = await run();
  } catch (error) {
    if (!(error instanceof BadInput)) throw error;
    process.stderr.write(error.text);
    process.exitCode = BAD_INPUT;
  }
}
