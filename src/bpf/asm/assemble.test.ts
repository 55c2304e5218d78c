import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Insn, isLdImm64 } from '../insn.ts';
import { isKnownOpcode } from '../verifier/opcodes.ts';
import { assemble } from './assemble.ts';
import { disassemble } from './disassemble.ts';

const ok = (text: string): readonly Insn[] => {
  const { insns, errors } = assemble(text);
  expect(errors.map((e) => e.message)).toEqual([]);
  return insns;
};
const problems = (text: string): string[] => assemble(text).errors.map((e) => e.message);

const reg = fc.integer({ min: 0, max: 10 });
const s16 = fc.integer({ min: -0x8000, max: 0x7fff });
const s32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const insn = (code: number, dst: number, src: number, off: number, imm: number): Insn => ({ code, dst, src, off, imm });
const one = (code: fc.Arbitrary<number>, dst: typeof reg, src: typeof reg, off: typeof s16, imm: typeof s32) =>
  fc.tuple(code, dst, src, off, imm).map((fields) => [insn(...fields)]);
const zero = fc.constant(0);
const aluOps = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0];
const jumpOps = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
const from = (codes: number[]): fc.Arbitrary<number> => fc.constantFrom(...codes);
const cross = (ops: number[], low: number[]): number[] => ops.flatMap((op) => low.map((l) => op | l));
const SIZES = [0x00, 0x08, 0x10, 0x18];

/** Every instruction that has a meaning, with the fields it uses. */
const meaningful: fc.Arbitrary<Insn[]> = fc.oneof(
  one(from(cross(aluOps, [4, 7])), reg, zero, zero, s32),
  one(from(cross(aluOps, [12, 15])), reg, reg, zero, zero),
  one(from([0x34, 0x37, 0x94, 0x97]), reg, zero, fc.constant(1), s32),
  one(from([0x3c, 0x3f, 0x9c, 0x9f]), reg, reg, fc.constant(1), zero),
  one(from([0xbc, 0xbf]), reg, reg, fc.constantFrom(8, 16), zero),
  one(from([0xbf]), reg, reg, fc.constant(32), zero),
  one(from([0xbf]), reg, reg, fc.constant(1), fc.constantFrom(1, 0x10000)),
  one(from([0x84, 0x87]), reg, zero, zero, zero),
  one(from([0xd4, 0xdc, 0xd7]), reg, zero, zero, fc.constantFrom(16, 32, 64)),
  one(from(cross(jumpOps, [5, 6])), reg, zero, s16, s32),
  one(from(cross(jumpOps, [13, 14])), reg, reg, s16, zero),
  one(from([0x05, 0xe5]), zero, zero, s16, zero),
  one(from([0x06]), zero, zero, zero, s32),
  one(from([0x95]), zero, zero, zero, zero),
  one(from([0x85]), zero, zero, zero, fc.integer({ min: 1, max: 211 })),
  one(from([0x85]), zero, fc.constant(1), zero, s32),
  one(from([0x85]), zero, fc.constant(2), zero, fc.integer({ min: 1, max: 0x7fff_ffff })),
  one(from(SIZES.map((s) => (0x61 ^ 0) | s)), reg, reg, s16, zero),
  one(from([0x81, 0x89, 0x91]), reg, reg, s16, zero),
  one(from(SIZES.map((s) => 0x62 | s)), reg, zero, s16, s32),
  one(from(SIZES.map((s) => 0x63 | s)), reg, reg, s16, zero),
  one(from([0xc3, 0xdb]), reg, reg, s16, fc.constantFrom(0, 0x40, 0x50, 0xa0, 1, 0x41, 0x51, 0xa1, 0xe1, 0xf1)),
  one(from([0xc3, 0xcb, 0xd3, 0xdb]), reg, reg, s16, fc.constantFrom(0x100, 0x110)),
  one(from([0x20, 0x28, 0x30]), zero, zero, zero, s32),
  one(from([0x40, 0x48, 0x50]), zero, reg, zero, s32),
  fc
    .tuple(reg, fc.constantFrom(0, 0, 1, 2, 3, 4, 5, 6), s32, s32)
    .map(([dst, src, low, high]) => [
      insn(0x18, dst, src, 0, src === 0 ? low : Math.abs(low) & 0xffff),
      insn(0, 0, 0, 0, src === 0 || src === 2 || src === 6 ? high : 0),
    ]),
);

describe('the assembler', () => {
  it('reads back what the disassembler writes, in both notations', () => {
    fc.assert(
      fc.property(fc.array(meaningful, { maxLength: 12 }), (parts) => {
        const insns = parts.flat();
        for (const i of insns) expect(i.code === 0 || isKnownOpcode(i.code)).toBe(true);
        for (const options of [
          { style: 'kernel' },
          { style: 'clang' },
          { style: 'clang', labels: true },
          { style: 'clang', decimal: true },
          { style: 'clang', numbers: true },
        ] as const) {
          const text = disassemble(insns, options);
          expect(ok(text), text).toEqual(insns);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('puts distances in for labels', () => {
    const insns = ok(`
      main:  r1 = 0
      loop:  r1 += 1; if r1 < 10 goto loop   // again
             r2 = callback ll
             gotol out
             call func
      out:   exit
      func:  exit            # comment
      callback: r0 = 0 /* a comment
             of two lines */
             exit
    `);
    expect(insns.map((i) => [i.code, i.off, i.imm])).toEqual([
      [0xb7, 0, 0],
      [0x07, 0, 1],
      [0xa5, -2, 10],
      [0x18, 0, 5],
      [0, 0, 0],
      [0x06, 0, 1],
      [0x85, 0, 1],
      [0x95, 0, 0],
      [0x95, 0, 0],
      [0xb7, 0, 0],
      [0x95, 0, 0],
    ]);
    expect(insns[3].src).toBe(4);
  });

  it('takes maps, helpers and kernel functions by name', () => {
    const { insns, errors } = assemble(
      'r1 = counts ll\nr2 = counts + 8 ll\ncall bpf_map_lookup_elem\ncall bpf_rcu_lock\nexit',
      {
        map: (name) => (name === 'counts' ? 3 : undefined),
        kfunc: (name) => (name === 'bpf_rcu_lock' ? 77 : undefined),
      },
    );
    expect(errors).toEqual([]);
    expect(insns.map((i) => [i.code, i.src, i.imm])).toEqual([
      [0x18, 1, 3],
      [0, 0, 0],
      [0x18, 2, 3],
      [0, 0, 8],
      [0x85, 0, 1],
      [0x85, 2, 77],
      [0x95, 0, 0],
    ]);
  });

  it('takes a verifier log as it is', () => {
    const insns = ok(`
; int x = bpf_ktime_get_ns(); @ x.c:3
0: (bf) r9 = r1                       ; R1=ctx() R9=ctx()
1: (18) r2 = 0x3                      ; R2=3
3: (85) call bpf_ktime_get_ns#5       ; R0=scalar()
4: (95) exit`);
    expect(insns.map((i) => i.code)).toEqual([0xbf, 0x18, 0, 0x85, 0x95]);
  });

  it('says what is wrong, and where', () => {
    expect(problems('r0 = 1\n  r11 = 5')).toEqual(['line 2, column 3: there is no register r11']);
    expect(problems('r1 = w2')).toEqual(['line 1, column 6: both sides have the same width']);
    expect(problems('if r1 = 5 goto +1')).toEqual(['line 1, column 7: expected a comparison, found "="']);
    expect(problems('goto nowhere')).toEqual(['line 1, column 6: there is no label "nowhere"']);
    expect(problems('r1 = 0x1ffffffff')).toEqual(['line 1, column 6: the number needs 64 bits: write "ll" after it']);
    expect(problems('r1 = *(u32 *)(r2 + 40000)')).toEqual(['line 1, column 18: 40000 does not fit in a 16-bit offset']);
    expect(problems('a:\na: exit')).toEqual(['line 2, column 1: label "a" is there already']);
    expect(problems('(b7) r1 += 5')).toEqual(['line 1, column 6: the opcode is 07, not b7']);
    expect(problems('3: exit')).toEqual(['line 1, column 1: instruction 0 is numbered 3']);
    expect(problems('exit exit')).toEqual(['line 1, column 6: expected end of line, found "exit"']);
    expect(problems('r1 = ?')).toEqual(['line 1, column 6: unexpected character "?"']);
    expect(problems('frobnicate r1')).toEqual(['line 1, column 1: there is no instruction "frobnicate"']);
    expect(problems('*(u64 *)(r1 + 0) = w2')).toEqual(['line 1, column 20: w2 has 32 bits, the access 64']);
    expect(problems('bad\n'.repeat(100)).length).toBe(20);
  });

  it('never throws', () => {
    const words = fc.constantFrom(
      'r1',
      'w2',
      '=',
      '+=',
      '*',
      '(',
      ')',
      'u32',
      '[',
      ']',
      '+',
      '-',
      '5',
      '0x',
      'if',
      'goto',
      'lock',
      'll',
      'call',
      'map',
      'skb',
      ':',
      ';',
      '#',
      ',',
      'pc',
      '<',
      '\n',
      'be16',
      's8',
      '/*',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words).map((w) => w.join(' ')),
        ),
        (text) => {
          const { insns, lines, errors } = assemble(text);
          if (errors.length === 0) expect(lines.length).toBe(insns.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  const mc = ['llvm-mc-19', 'llvm-mc-18', 'llvm-mc-17', 'llvm-mc'].find((name) =>
    spawnSync(name, ['--version'], { encoding: 'utf8' }).stdout?.includes('LLVM'),
  );
  it.skipIf(mc === undefined)('agrees with llvm about clang’s notation', () => {
    const insns = fc
      .sample(meaningful, { numRuns: 600, seed: 7 })
      .flat()
      // What llvm has no words for, writes otherwise, or knows only in later versions.
      .filter(({ code, src, imm }) => {
        if ((code & 0xe0) === 0x40 && (code & 7) === 0) return false;
        if (code === 0x85 || code === 0x06 || code === 0xe5 || code === 0 || code === 0x18) return false;
        return !((code & 0xe7) === 0xc3 && (imm === 0x100 || imm === 0x110)) && src <= 10;
      });
    const lines = disassemble(insns, { style: 'clang' }).split('\n').slice(0, -1);
    expect(insns.every((i) => !isLdImm64(i))).toBe(true);
    const bytes = disassemble(insns, { style: 'clang', bytes: true })
      .split('\n')
      .slice(0, -1)
      .map((line) => line.slice(0, 23).split(' '));
    // One byte list an instruction, so that an unknown one does not shift those after it.
    const input = bytes.map((b) => b.map((x) => `0x${x}`).join(' ')).join('\n');
    const run = spawnSync(mc ?? '', ['-triple', 'bpfel', '-mcpu=v4', '--disassemble', '--print-imm-hex'], {
      input,
      encoding: 'utf8',
    });
    const theirs = run.stdout
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && line !== '.text');
    // Version 14 knows less than v4; what it prints must then be among ours.
    if (theirs.length === lines.length) expect(lines.map((line) => line.trim())).toEqual(theirs);
    else expect(theirs.filter((line) => !lines.includes(line)).length).toBeLessThan(theirs.length / 2);
  });
});
