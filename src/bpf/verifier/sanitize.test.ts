import { describe, expect, it } from 'vitest';
import { BPF_MAP_TYPE_ARRAY, BPF_PROG_TYPE_SCHED_CLS } from '../../wire/uapi/bpf.ts';
import { assemble } from '../asm/assemble.ts';
import type { Mode } from './env.ts';
import { verify } from './verify.ts';

const VALUES = { name: 'm', type: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 64, maxEntries: 1, flags: 0 };

/** R7 points to a value of 64 bytes, R6 is any number. */
const VALUE = '*(u32 *)(r10 - 4) = 0; r2 = r10; r2 += -4; r1 = m ll; call 1; r7 = r0; r6 = *(u64 *)(r7 + 0)';

function message(mode: Mode, text: string): string {
  const { insns, errors } = assemble(`${text}\nr0 = 0\nexit`, { map: () => 0 });
  expect(errors.map((e) => e.message)).toEqual([]);
  const type = BPF_PROG_TYPE_SCHED_CLS;
  const spec = { name: 't', section: '', type, expectedAttachType: 0, flags: 0, license: 'GPL', insns, maps: [VALUES] };
  return verify(spec, { mode }).message;
}

// Messages are those of Linux 6.18.44 for the same programs, without CAP_PERFMON.
const CASES: readonly (readonly [name: string, text: string, message: string])[] = [
  [
    'a pointer stays inside its map value, even when it is not used there',
    `${VALUE}; r7 += 64`,
    'R7 pointer arithmetic of map value goes out of range, prohibited for !root',
  ],
  [
    'an offset of unknown sign cannot be masked',
    `${VALUE}; if r6 s< -1 goto out; if r6 s> 1 goto out; r7 += r6; out:`,
    'R6 has unknown scalar with mixed signed bounds, pointer arithmetic with it prohibited for !root',
  ],
  [
    'only pointers to the stack and to map values are moved by a register',
    'r7 = *(u32 *)(r1 + 76); r6 = *(u32 *)(r1 + 0); r6 &= 7; r7 += r6',
    'R7 has pointer with unsupported alu operation, pointer arithmetic with it prohibited for !root',
  ],
  [
    'the stack is not indexed by an unknown number',
    `${VALUE}; r6 &= 7; r2 = r10; r2 += -16; r2 += r6`,
    'R2 variable stack access prohibited for !root, var_off=(0x0; 0x7) off=-16',
  ],
];

describe('without CAP_PERFMON', () => {
  for (const [name, text, expected] of CASES) it(name, () => expect(message('netadmin', text)).toBe(expected));

  it('a bounded offset may move a pointer', () => {
    const text = `${VALUE}; r6 &= 7; r7 += r6; r1 = *(u8 *)(r7 + 0)`;
    expect(message('netadmin', text)).toBe('');
    expect(message('root', text)).toBe('');
  });
});
