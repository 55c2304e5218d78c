/**
 * The kernel's string functions (bpf_strcmp, bpf_strchr...: since 6.17). Strings end with a NUL; more than
 * `XATTR_SIZE_MAX` bytes are -E2BIG, memory that cannot be read -EFAULT.
 */
import { E2BIG, EFAULT, ENOENT, ERANGE } from '../../core/errno.ts';
import type { HelperImpl } from './helper.ts';
import type { Run } from './run.ts';

const MAX = 65_536;

/** Bytes up to the NUL (not included) or `limit`; a number is -errno. */
function read(run: Run, pointer: number, limit = MAX): Uint8Array | number {
  const at = pointer >>> 0;
  if (at === 0) return -ERANGE;
  for (let n = 0; n < limit; n++) {
    if (at + n >= run.u8.length) return -EFAULT;
    if (run.u8[at + n] === 0) return run.u8.subarray(at, at + n);
  }
  return limit >= MAX ? -E2BIG : run.u8.subarray(at, at + limit);
}

type Two = (a: Uint8Array, b: Uint8Array) => number;

const two = (f: Two): HelperImpl => ({
  call: (run, r1, r2) => {
    const a = read(run, r1);
    if (typeof a === 'number') return a;
    const b = read(run, r2);
    return typeof b === 'number' ? b : f(a, b);
  },
  ret: 'int',
});

const lower = (byte: number): number => (byte >= 65 && byte <= 90 ? byte + 32 : byte);

const compare =
  (fold: (byte: number) => number): Two =>
  (a, b) => {
    for (let i = 0; ; i++) {
      const x = fold(a[i] ?? 0);
      const y = fold(b[i] ?? 0);
      if (x !== y) return x < y ? -1 : 1;
      if (x === 0) return 0;
    }
  };

/** Index of `part` in `text`, or -ENOENT. */
const find: Two = (text, part) => {
  for (let i = 0; i + part.length <= text.length; i++) if (part.every((byte, k) => text[i + k] === byte)) return i;
  return -ENOENT;
};

/** Bytes at the start that are (not) among `set`. */
const span =
  (among: boolean): Two =>
  (text, set) => {
    const end = text.findIndex((byte) => set.includes(byte) !== among);
    return end < 0 ? text.length : end;
  };

const length = (limit: (r2: number) => number): HelperImpl => ({
  call: (run, r1, r2) => {
    const text = read(run, r1, limit(r2));
    return typeof text === 'number' ? text : text.length;
  },
  ret: 'int',
});

const character = (f: (text: Uint8Array, c: number) => number, bounded: boolean): HelperImpl => ({
  call: (run, r1, r2, r3) => {
    const text = read(run, r1, bounded ? Math.min(MAX, r2 >>> 0) : MAX);
    return typeof text === 'number' ? text : f(text, (bounded ? r3 : r2) & 0xff);
  },
  ret: 'int',
});

const orMissing = (index: number): number => (index < 0 ? -ENOENT : index);

export const stringKfuncs: readonly (readonly [string, HelperImpl])[] = [
  ['bpf_strcmp', two(compare((byte) => byte))],
  ['bpf_strcasecmp', two(compare(lower))],
  ['bpf_strstr', two(find)],
  ['bpf_strspn', two(span(true))],
  ['bpf_strcspn', two(span(false))],
  ['bpf_strlen', length(() => MAX)],
  ['bpf_strnlen', length((n) => Math.min(MAX, n >>> 0))],
  ['bpf_strchr', character((text, c) => (c === 0 ? text.length : orMissing(text.indexOf(c))), false)],
  ['bpf_strrchr', character((text, c) => (c === 0 ? text.length : orMissing(text.lastIndexOf(c))), false)],
  [
    'bpf_strchrnul',
    character((text, c) => {
      const at = text.indexOf(c);
      return at < 0 ? text.length : at;
    }, false),
  ],
  ['bpf_strnchr', character((text, c) => orMissing(text.indexOf(c)), true)],
];
