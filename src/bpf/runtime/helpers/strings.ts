/**
 * Helpers on text: trace_printk, trace_vprintk, snprintf, strtol, strtoul, strncmp.
 */
import { EINVAL, ERANGE } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';
import { type FormatArgs, format } from './format.ts';

/** MAX_BPRINTF_VARARGS. */
const MAX_ARGS = 12;
const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Bytes up to a NUL, at most `limit`; nothing outside of the memory. */
function cString(run: Run, at: number, limit: number): string {
  const end = Math.min(run.u8.length, at + limit);
  let to = at;
  while (to < end && run.u8[to] !== 0) to++;
  return latin1(run.u8.subarray(at, to));
}

const memoryOf = (run: Run) => ({
  string: (at: number): string => (at === 0 ? '' : cString(run, at, 1024)),
  bytes: (at: number, size: number): Uint8Array =>
    at === 0 || at + size > run.u8.length ? new Uint8Array(size) : run.u8.slice(at, at + size),
});

/** The format of `size` bytes; undefined when no NUL ends it. */
function formatText(run: Run, at: number, size: number): string | undefined {
  const text = cString(run, at, size);
  return text.length < size ? text : undefined;
}

function argsAt(run: Run, at: number, bytes: number): FormatArgs | undefined {
  if (bytes % 8 !== 0 || bytes > MAX_ARGS * 8 || bytes < 0 || (bytes > 0 && at === 0)) return undefined;
  return Array.from({ length: bytes / 8 }, (_, i) => [
    run.dv.getInt32(at + i * 8, true),
    run.dv.getInt32(at + i * 8 + 4, true),
  ]);
}

function print(run: Run, text: string | undefined, args: FormatArgs | undefined): number {
  if (text === undefined || args === undefined) return -EINVAL;
  const out = format(text, args, memoryOf(run));
  if (typeof out === 'number') return out;
  run.machine.env.printk?.(out.replace(/\n$/, ''));
  return out.length;
}

function tracePrintk(run: Run, fmt: number, size: number, a: number, b: number, c: number): number {
  const text = formatText(run, fmt >>> 0, size);
  return print(run, text, [
    [a, run.hi(3)],
    [b, run.hi(4)],
    [c, run.hi(5)],
  ]);
}

function traceVprintk(run: Run, fmt: number, size: number, data: number, bytes: number): number {
  return print(run, formatText(run, fmt >>> 0, size), argsAt(run, data >>> 0, bytes));
}

/** Length of the whole text with its NUL; what fits into `size` bytes is stored. */
function snprintf(run: Run, to: number, size: number, fmt: number, data: number, bytes: number): number {
  const args = argsAt(run, data >>> 0, bytes);
  if (args === undefined) return -EINVAL;
  const out = format(cString(run, fmt >>> 0, 0x1_0000), args, memoryOf(run));
  if (typeof out === 'number') return out;
  if (size > 0) {
    const at = to >>> 0;
    const n = Math.min(out.length, size - 1);
    for (let i = 0; i < n; i++) run.u8[at + i] = out.charCodeAt(i);
    run.u8[at + n] = 0;
  }
  return out.length + 1;
}

const BASES: readonly number[] = [0, 8, 10, 16];
const U64_MAX = 0xffff_ffff_ffff_ffffn;
const S64_MAX = 0x7fff_ffff_ffff_ffffn;

/** A number at the start of the text: its magnitude, sign, and the bytes it took; or -errno. */
function parse(run: Run, at: number, length: number, base: number) {
  if (length <= 0 || !BASES.includes(base) || run.hi(3) !== 0) return -EINVAL;
  const text = latin1(run.u8.subarray(at, at + length));
  const lead = /^[\t-\r ]*(-?)/.exec(text) as RegExpExecArray;
  // As much as the kernel copies to look at.
  let digits = text.slice(lead[0].length, lead[0].length + 63);
  if (digits === '') return -EINVAL;
  let consumed = lead[0].length;
  let radix = base;
  if (radix === 0) radix = /^0x[0-9a-f]/i.test(digits) ? 16 : digits[0] === '0' ? 8 : 10;
  if (radix === 16 && /^0x/i.test(digits)) {
    digits = digits.slice(2);
    consumed += 2;
  }
  const found = (radix === 16 ? /^[0-9a-f]+/i : radix === 10 ? /^[0-9]+/ : /^[0-7]+/).exec(digits);
  if (found === null) return -EINVAL;
  const value = BigInt((radix === 16 ? '0x' : radix === 8 ? '0o' : '') + found[0]);
  if (value > U64_MAX) return -ERANGE;
  return { value, negative: lead[1] === '-', consumed: consumed + found[0].length };
}

function strtol(run: Run, buf: number, length: number, base: number, result: number): number {
  const found = parse(run, buf >>> 0, length, base);
  if (typeof found === 'number') return found;
  if (found.value > S64_MAX + (found.negative ? 1n : 0n)) return -ERANGE;
  run.dv.setBigInt64(result >>> 0, found.negative ? -found.value : found.value, true);
  return found.consumed;
}

function strtoul(run: Run, buf: number, length: number, base: number, result: number): number {
  const found = parse(run, buf >>> 0, length, base);
  if (typeof found === 'number') return found;
  if (found.negative) return -EINVAL;
  run.dv.setBigUint64(result >>> 0, found.value, true);
  return found.consumed;
}

function strncmp(run: Run, one: number, size: number, two: number): number {
  for (let i = 0; i < size; i++) {
    const a = run.u8[(one >>> 0) + i];
    const b = run.u8[(two >>> 0) + i];
    if (a !== b) return a < b ? -1 : 1;
    if (a === 0) break;
  }
  return 0;
}

export const stringHelpers: HelperTable = new Map<number, HelperImpl>([
  [6, { call: tracePrintk, ret: 'int', wide: wide(3, 4, 5) }],
  [177, { call: traceVprintk, ret: 'int' }],
  [165, { call: snprintf, ret: 'int' }],
  [105, { call: strtol, ret: 'int', wide: wide(3) }],
  [106, { call: strtoul, ret: 'int', wide: wide(3) }],
  [182, { call: strncmp, ret: 'int' }],
]);
