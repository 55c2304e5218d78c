import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { EACCES, EINVAL } from '../../core/errno.ts';
import { decodeInsns, type Insn } from '../insn.ts';
import { checkProgramInsns, type InsnError, isPseudoCall, jumpTarget } from './check-insn.ts';
import { checkWalked, type RegAccess } from './check-walked.ts';

const matrix = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf/matrices/isa_validity.jsonl.gz');

type Row = [number, number, number, number, number, 'A' | [number, string]];

/** Registers 0 to 3 and 10 hold something. */
const REGS: RegAccess = {
  read: (n) => (n > 3 && n !== 10 ? { errno: EACCES, message: `R${n} !read_ok` } : undefined),
  write: () => undefined,
};
const OPTIONS = { mayAccessSkb: true, hasArena: false };
const PROLOGUE =
  'b700000005000000b701000003000000b702000007000000bfa300000000000007030000f0ffffff7a0af8ff010000007a0af0ff02000000';
const AFTER = `${'b700000000000000'.repeat(3)}9500000000000000`;
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/** What the checks of this folder say about a program that reaches instruction 7. */
function judge(insns: Insn[]): InsnError | undefined {
  const starts = checkProgramInsns(insns, { maps: [], bpfCapable: true });
  if (!Array.isArray(starts)) return starts;
  return checkWalked(insns[7], REGS, OPTIONS);
}

/** Messages that these checks give; everything else is for the control flow graph and for the walk. */
const OURS =
  /^(unknown opcode|BPF_\S+ uses reserved|jump out of range|R11 is invalid|R[^6]\d* !read_ok|frame pointer is read|invalid (atomic operand|may_goto|shift|bpf_ld_imm64)|BPF_ATOMIC uses|div by zero|fd |last insn|unrecognized|addr_space_cast|call to invalid dest)/;

describe('single instructions', () => {
  it.skipIf(!existsSync(matrix))('are refused in the kernel’s words', () => {
    const differences: string[] = [];
    let judged = 0;
    for (const line of gunzipSync(readFileSync(matrix)).toString().split('\n')) {
      if (line === '') continue;
      const [code, dst, src, off, imm, verdict] = JSON.parse(line) as Row;
      const insn: Insn = { code, dst, src, off, imm };
      const body = code === 0x18 ? [insn, { code: 0, dst: 0, src: 0, off: 0, imm: 0 }] : [insn];
      const insns = [...decodeInsns(bytes(PROLOGUE)), ...body, ...decodeInsns(bytes(AFTER))];
      const error = judge(insns);
      const message = verdict === 'A' ? 'A' : verdict[1];
      judged++;
      const expected = OURS.test(message) ? message : undefined;
      if (expected === undefined && /^unreachable insn/.test(message)) continue;
      if (error?.message !== expected) differences.push(`${line}: ${error?.message}`);
      // Which errno a number that is no map gives depends on what it is open as.
      else if (error !== undefined && !message.startsWith('fd ') && error.errno !== (verdict as [number, string])[0])
        differences.push(`${line}: errno ${error.errno}`);
    }
    expect(differences.slice(0, 40)).toEqual([]);
    expect(judged).toBeGreaterThan(10_000);
  });

  it('call and jump to places that exist', () => {
    const call = { code: 0x85, dst: 0, src: 1, off: 0, imm: 5 };
    const exit = { code: 0x95, dst: 0, src: 0, off: 0, imm: 0 };
    const context = { maps: [], bpfCapable: true };
    expect(isPseudoCall(call)).toBe(true);
    expect(checkProgramInsns([call, exit], context)).toEqual({ errno: EINVAL, message: 'call to invalid destination' });
    expect(checkProgramInsns([{ ...call, imm: 1 }, exit, exit], context)).toEqual([0, 2]);
    expect(jumpTarget({ code: 0x06, dst: 0, src: 0, off: 0, imm: -70_000 }, 70_010)).toBe(11);
    expect(checkProgramInsns([{ ...call, imm: 1 }, exit, exit], { maps: [], bpfCapable: false })).toMatchObject({
      errno: 1,
    });
  });

  it('that name the value of a map stay inside it', () => {
    const map = { name: 'm', type: 2, keySize: 4, valueSize: 64, maxEntries: 1, flags: 0 };
    const program = (off: number): Insn[] => [
      { code: 0x18, dst: 1, src: 2, off: 0, imm: 0 },
      { code: 0, dst: 0, src: 0, off: 0, imm: off },
      { code: 0x95, dst: 0, src: 0, off: 0, imm: 0 },
    ];
    const judgeMap = (off: number, over: object = {}) =>
      checkProgramInsns(program(off), { maps: [{ ...map, ...over }], bpfCapable: true });
    expect(judgeMap(63)).toEqual([0]);
    expect(judgeMap(64)).toMatchObject({ message: 'invalid access to map value pointer, value_size=64 off=64' });
    expect(judgeMap(0, { type: 1 })).toMatchObject({ message: 'no direct value access support for this map type' });
    expect(judgeMap(-1)).toMatchObject({ message: 'direct value offset of 4294967295 is not allowed' });
  });
});
