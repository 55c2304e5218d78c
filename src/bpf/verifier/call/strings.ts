/** Constant strings in frozen read-only maps, and formats of bpf_snprintf (bpf-helpers(7)). */
import { EACCES, EINVAL, ENOTSUPP } from '../../../core/errno.ts';
import { BPF_F_RDONLY_PROG, BPF_MAP_TYPE_ARRAY } from '../../../wire/uapi/bpf.ts';
import type { MapInfo } from '../../program.ts';
import type { Verifier } from '../env.ts';
import { PTR_TO_MAP_VALUE, type Reg } from '../reg.ts';
import { checkMapAccess } from '../regions.ts';

/** The program cannot write to the map, and nobody else will any more. */
export const isReadOnlyMap = (map: MapInfo): boolean => (map.flags & BPF_F_RDONLY_PROG) !== 0 && map.frozen === true;

/** R`regno` is the address of a zero-terminated string that nobody changes. */
export function checkConstString(v: Verifier, regno: number): void {
  const reg = v.regs[regno];
  const map = reg.map as MapInfo;
  if (reg.type !== PTR_TO_MAP_VALUE) v.reject(EINVAL, `R${regno} is not a map value`);
  if (!isReadOnlyMap(map)) v.reject(EACCES, `R${regno} does not point to a readonly map'`);
  if (reg.mask !== 0n) v.reject(EACCES, `R${regno} is not a constant address'`);
  if (map.type !== BPF_MAP_TYPE_ARRAY) v.reject(EACCES, 'no direct value access support for this map type');
  checkMapAccess(v, regno, reg.off, map.valueSize - reg.off, false, 'helper');
  if (map.maxEntries !== 1) v.reject(ENOTSUPP, 'direct value access on string failed');
  if (constString(reg) === undefined) v.reject(EINVAL, 'string is not zero-terminated');
}

/** The bytes of the string, without the zero; undefined when there is none. */
export function constString(reg: Reg): number[] | undefined {
  const map = reg.map as MapInfo;
  const bytes: number[] = [];
  for (let at = reg.off + Number(reg.value); at < map.valueSize; at++) {
    const byte = map.peek?.(at, 1) ?? initialByte(map, at);
    if (byte === undefined) return undefined;
    if (byte === 0n) return bytes;
    bytes.push(Number(byte));
  }
  return undefined;
}

/** Of a map that is not made yet: what it will hold. */
function initialByte(map: MapInfo, at: number): bigint {
  const first = map.initial?.find(([key]) => key.every((b) => b === 0));
  return BigInt(first?.[1][at] ?? 0);
}

const isSpace = (c: string): boolean => /^[\t-\r ]$/.test(c);
const isPunct = (c: string): boolean => /^[!-/:-@[-`{-~]$/.test(c);
const endsWord = (c: string | undefined): boolean => c === undefined || isSpace(c) || isPunct(c);

/** The format is one that bpf_snprintf knows, and needs no more than `args` arguments. */
export function isValidFormat(bytes: readonly number[], args: number): boolean {
  const text = String.fromCharCode(...bytes);
  if (/[^\t-\r -~]/.test(text)) return false;
  let used = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '%') continue;
    if (text[i + 1] === '%') {
      i++;
      continue;
    }
    if (used >= args) return false;
    used++;
    i++;
    while ('0+- '.includes(text[i] ?? '?')) i++;
    while (/^\d$/.test(text[i] ?? '')) i++;
    const end = conversion(text, i);
    if (end < 0) return false;
    i = end;
  }
  return true;
}

/** Position of the last character of the conversion that begins at `i`; -1 when there is none. */
function conversion(text: string, i: number): number {
  const next = text[i + 1];
  switch (text[i]) {
    case 'p':
      if ((next === 'k' || next === 'u') && text[i + 2] === 's') return endsWord(text[i + 3]) ? i + 2 : -1;
      if (endsWord(next)) return i;
      if ('KxsSB'.includes(next)) return i + 1;
      if ((next === 'i' || next === 'I') && (text[i + 2] === '4' || text[i + 2] === '6')) return i + 2;
      return -1;
    case 's':
      return endsWord(next) ? i : -1;
    case 'c':
      return i;
  }
  let at = i;
  if (text[at] === 'l') at++;
  if (text[at] === 'l') at++;
  return 'iduxX'.includes(text[at] ?? '?') ? at : -1;
}
